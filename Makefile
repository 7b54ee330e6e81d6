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
SOURCES := entlink tests kb notebooks

# For the benchmark (docs/evaluation.md): the measuring data, a bundle over the described KB, the
# full KB, and what the peers start from. Without PEERS their weights lie in entlink's cache.
SHARED ?= ../shared
BUNDLE ?= described
FULL_KB ?= kb-full
PEERS ?=
BASE ?=
MINUTES ?= 8
TEST_SETS := $(foreach name,aida_testb msnbc_updated tweeki_b oke_2015_train,\
  $(SHARED)/data/mentions/test/$(name).jsonl.gz)
TRAIN_SETS = $(sort $(wildcard $(SHARED)/data/mentions/train/*.jsonl.gz))
PEERS_ENV = ENTLINK_SHARED=$(SHARED) $(if $(PEERS),ENTLINK_PEERS=$(PEERS)) \
  $(if $(BASE),ENTLINK_PEERS_BASE=$(BASE))

.PHONY: measure-kb measure-scale link test format clean benchmark benchmark-train benchmark-small spacy-speed spacy-memory
.PHONY: notebooks
.PHONY: end-to-end corpus-kills corpus-100k corpus-1m corpus-speed corpus-cost corpus-pairs
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

# All notebooks from top to bottom: some minutes. With their outputs they are left in out/notebooks.
notebooks: $(VENV)/.test-stamp
	ENTLINK_NOTEBOOKS=$(abspath $(OUT))/notebooks $(BIN)/pytest tests/test_notebooks.py -rP --durations=0 \
	  -k "runs_from_top_to_bottom"

# Everything against everything; goes on where it was interrupted. Exit code 1: a peer could not run.
benchmark: $(VENV)/.test-stamp
	@code=0; \
	$(PEERS_ENV) $(BIN)/entlink benchmark $(TEST_SETS) --bundle $(BUNDLE) --retrieval-kb $(FULL_KB) \
	  --peers tests.peers.systems --out $(OUT)/benchmark || code=$$?; \
	if [ $$code -le 1 ]; then cp $(OUT)/benchmark/benchmark.md $(OUT)/benchmark/benchmark.svg docs/; fi; \
	exit $$code

# The peers that are trained, each for MINUTES minutes on the mentions that entlink is trained on.
benchmark-train: $(VENV)/.test-stamp
	$(PEERS_ENV) $(BIN)/python -m tests.peers.train spacy --kb $(BUNDLE) --minutes $(MINUTES) $(TRAIN_SETS)
	$(PEERS_ENV) $(BIN)/python -m tests.peers.train blink --kb $(BUNDLE) --minutes $(MINUTES) $(TRAIN_SETS)

# Detection and links in bare texts beside the recorded answers of other linkers.
end-to-end: $(VENV)/.test-stamp
	$(PEERS_ENV) $(BIN)/python -m tests.peers.end_to_end --bundle $(BUNDLE) --out $(OUT)/end-to-end.md

# On texts of ours over the built-in KB, with the peers that need no weights: under two minutes.
benchmark-small: $(VENV)/.test-stamp
	@mkdir -p $(OUT)/benchmark-small
	$(BIN)/python -m tests.peers.small $(OUT)/benchmark-small/contexts.jsonl
	$(BIN)/entlink benchmark $(OUT)/benchmark-small/contexts.jsonl --peers tests.peers.light \
	  --out $(OUT)/benchmark-small

# Does the part that an explanation names change the odds most? Over gold mentions (docs/explain.md),
# under ten minutes on two cores; FAITHFUL="--sentences 20 --words 5 --whole 3" for a try.
.PHONY: faithful masked-head
ALL_DEV_SETS := $(foreach name,aida_testa tweeki_a topres19th_dev,$(SHARED)/data/mentions/dev/$(name).jsonl.gz)
faithful: $(VENV)/.test-stamp
	$(BIN)/python -m tests.faithfulness $(ALL_DEV_SETS) --bundle $(BUNDLE) --out $(OUT) $(FAITHFUL)

# A masked-language head for the built-in reranker, to read its vectors as words.
masked-head: $(VENV)/.test-stamp
	$(BIN)/entlink train head kb/recipe/masked_head.toml

# The retriever's studies (docs/retriever.md), each a table that goes on row by row where it stopped:
# ablation sharing encoders hybrid curve rounds aliases questions unseen. RETRIEVER=--limit=50 for a try.
retriever-%: kb/recipe/retriever_%.toml $(VENV)/.test-stamp
	$(BIN)/python -m tests.studies.retrieval $< --out $(OUT)/$@ $(RETRIEVER)

# A run killed at KILLS random moments loses nothing (CI does it 20 times): about four minutes.
KILLS ?= 200
corpus-kills: $(VENV)/.test-stamp
	$(BIN)/python -m tests.corpus.kill --times $(KILLS)

# Memory and rate from the start to the end, and their plot. Over an hour on two cores, so
# ENDURANCE=--documents=5000 for a try; interrupted, they go on. CORPUS_BUNDLE=DIR links with another
# bundle.
CORPUS_OPTIONS = $(if $(CORPUS_BUNDLE),--bundle $(CORPUS_BUNDLE)) $(ENDURANCE)
corpus-100k: $(VENV)/.test-stamp
	$(BIN)/python -m tests.corpus.endurance --documents 100000 --processes 2 --threads 1 \
	  --out $(OUT)/corpus-100k $(CORPUS_OPTIONS)
	cp $(OUT)/corpus-100k.svg docs/

corpus-1m: $(VENV)/.test-stamp
	$(BIN)/python -m tests.corpus.endurance --documents 1000000 --no-reranker --processes 2 --threads 1 \
	  --out $(OUT)/corpus-1m $(CORPUS_OPTIONS)
	cp $(OUT)/corpus-1m.svg docs/

# The obvious loop, batches, two processes: documents a second of each. TEXTS=FILE.jsonl for yours.
corpus-speed: $(VENV)/.test-stamp
	$(BIN)/python -m tests.corpus.speed --no-reranker $(TEXTS) $(if $(CORPUS_BUNDLE),--bundle $(CORPUS_BUNDLE))
	$(BIN)/python -m tests.corpus.speed --documents 2048 --one $(TEXTS) $(if $(CORPUS_BUNDLE),--bundle $(CORPUS_BUNDLE))

# Beside spaCy's own entity_linker; and 100,000 documents through nlp.pipe (docs/spacy.md).
spacy-speed: $(VENV)/.test-stamp
	$(BIN)/python -m tests.speed_spacy

spacy-memory: $(VENV)/.test-stamp
	$(BIN)/python -m tests.memory_flat

# CPU hours and storage of 100 million documents like those of TEXTS, and with PAIRS=N the GPU hours:
# N is the pairs_per_second that corpus-pairs has measured on a GPU. COST="--backend openvino --read 20"
corpus-cost: TEXTS ?= $(SHARED)/data/mentions/test/msnbc_updated.jsonl.gz
corpus-cost: $(VENV)/.test-stamp
	$(BIN)/python -m tests.corpus.cost $(TEXTS) $(if $(CORPUS_BUNDLE),--bundle $(CORPUS_BUNDLE)) \
	  $(if $(PAIRS),--pairs-per-second $(PAIRS)) $(COST)

# Pairs that the reranker reads a second, on the GPU if there is one.
corpus-pairs: $(VENV)/.test-stamp
	$(BIN)/python -m tests.corpus.pairs
	$(BIN)/python -m tests.corpus.pairs --backend bf16

# Importers, build, and opening a KB of N entities recombined from real ones: make measure-kb N=6000000
N ?= 1000000
measure-kb: $(VENV)/.test-stamp
	@mkdir -p $(OUT)
	$(BIN)/python kb/recipe/measure_kb.py importer $(SHARED)/data/raw/wikidata_dump_100_items.json.bz2
	$(BIN)/python kb/recipe/measure_kb.py importer $(SHARED)/data/raw/wikidata_stream_635_items.json.bz2
	$(BIN)/python kb/recipe/measure_kb.py importer $(SHARED)/data/raw/enwiki-shortened.xml.bz2
	$(BIN)/python kb/recipe/measure_kb.py recombine $(N) --from $(SHARED)/data/wikidata --out $(OUT)/many.jsonl.gz
	$(BIN)/python kb/recipe/measure_kb.py build $(OUT)/many.jsonl.gz --out $(OUT)/many-kb
	$(BIN)/python kb/recipe/measure_kb.py open $(OUT)/many-kb
	$(BIN)/python kb/recipe/measure_kb.py circles 400000

# The same with vectors and index: bytes, seconds, memory, recall; goes on where it was interrupted.
# Hours for millions: make measure-scale N=6000000; then what another number costs (docs/scale.md).
INDEX ?= ivfpq
SCALE = $(OUT)/scale-$(N)
measure-scale: $(VENV)/.test-stamp
	$(BIN)/python kb/recipe/measure_scale.py all $(N) --shared $(SHARED) --out $(SCALE) --index "$(INDEX)"
	$(BIN)/python kb/recipe/measure_scale.py project 100000000 --out $(SCALE)

# Distillation (docs/distillation.md); each goes on where it was stopped. STUDY="--set epochs=0.1".
STUDY ?=
DEV_SETS = $(SHARED)/data/mentions/dev/aida_testa.jsonl.gz $(SHARED)/data/mentions/dev/tweeki_a.jsonl.gz
DISTIL_STUDIES := distil-losses distil-sharing distil-scoring distil-dropout distil-size
.PHONY: $(DISTIL_STUDIES) distil-margins distil-trajectories distil-cascade
$(DISTIL_STUDIES): distil-%: $(VENV)/.test-stamp
	@mkdir -p $(OUT)
	$(BIN)/python -m tests.studies.distil kb/recipe/distil_$*.toml --out $(OUT)/distil-$* $(STUDY)

distil-margins: $(VENV)/.test-stamp
	$(BIN)/python -m tests.studies.margins --kb work/kb_described --teacher work/reranker \
	  --student "not distilled=work/retriever" --student "distilled=work/distilled" \
	  --student "distilled and reads contexts=work/contextual" \
	  --out $(OUT)/distil-margins $(DEV_SETS)

distil-trajectories: $(VENV)/.test-stamp
	$(BIN)/python -m tests.studies.trajectories cross-encoder kb/recipe/trajectories.toml \
	  $(addprefix --dev ,$(DEV_SETS)) --out $(OUT)/distil-trajectories $(STUDY)
	$(BIN)/python -m tests.studies.trajectories not-distilled kb/recipe/distil.toml \
	  --out $(OUT)/distil-trajectories $(STUDY)
	$(BIN)/python -m tests.studies.trajectories distilled kb/recipe/distil.toml \
	  --out $(OUT)/distil-trajectories $(STUDY)
	$(BIN)/python -m tests.studies.trajectories plot --out $(OUT)/distil-trajectories

# How much is read for the same accuracy, with the retriever before and with the one that was taught; the
# decision is fitted anew for each. BUNDLE has the one that was taught.
CASCADE = $(OUT)/distil-cascade
distil-cascade: $(VENV)/.test-stamp
	@mkdir -p $(CASCADE)
	test -f $(CASCADE)/decision.json || $(BIN)/entlink train calibration kb/recipe/calibration.toml \
	  --set retriever=work/retriever --set max_pairs=12 --set out=$(CASCADE)/decision.json
	test -d $(CASCADE)/before || $(BIN)/entlink bundle create --like $(BUNDLE) --no-check \
	  --retriever work/retriever --decision $(CASCADE)/decision.json --out $(CASCADE)/before
	$(BIN)/python -m tests.studies.reading $(ALL_DEV_SETS) --limit 70 150 12 --bundle $(CASCADE)/before
	$(BIN)/python -m tests.studies.reading $(ALL_DEV_SETS) --limit 70 150 12 --bundle $(BUNDLE)
	$(BIN)/entlink evaluate $(TEST_SETS) --bundle $(CASCADE)/before --backend openvino --outcomes --out $(CASCADE)/before.json
	$(BIN)/entlink evaluate $(TEST_SETS) --bundle $(BUNDLE) --backend openvino --outcomes --out $(CASCADE)/after.json
	$(BIN)/entlink compare $(CASCADE)/before.json $(CASCADE)/after.json

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
