# Two commands: `make link` links the sample text, `make test` runs every check.
# Another Python than python3:  make link PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
PYTEST_ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
SAMPLE := kb/sample/sample.jsonl
SOURCES := entlink tests kb

.PHONY: link test format clean
.DELETE_ON_ERROR:

link: $(VENV)/.link-stamp
	@mkdir -p $(OUT)
	$(BIN)/entlink link $(SAMPLE)
	$(BIN)/entlink link $(SAMPLE) --quiet --out $(OUT)/sample.html
	@echo "The same as a page: $(OUT)/sample.html"

test: $(VENV)/.test-stamp
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy --strict
	$(BIN)/pytest --cov --cov-branch --cov-report=term $(PYTEST_ARGS)

format: $(VENV)/.test-stamp
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf $(OUT) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find entlink tests kb -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" || { \
	  echo "entlink needs Python 3.11, 3.12 or 3.13, but '$(PYTHON)' is not one of them" \
	       "(found: $$($(PYTHON) --version 2>&1 || true));" \
	       "name one, for example: make link PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first and by itself, so that nothing else can ask for another (and far larger) build of it.
$(VENV)/.torch-stamp: constraints.txt | $(BIN)/python
	@echo "Installing the requirements into $(VENV); this takes some minutes the first time."
	$(PIP) torch
	@touch $@

$(VENV)/.link-stamp: pyproject.toml $(VENV)/.torch-stamp
	$(PIP) --editable .
	@touch $@

$(VENV)/.test-stamp: pyproject.toml $(VENV)/.link-stamp
	$(PIP) --editable ".[test]"
	@touch $@
