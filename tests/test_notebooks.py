"""The notebooks: committed without outputs, and each runs from top to bottom in an empty folder.

Running them takes minutes, so `make notebooks` does it and `make test` does not. What was run, with
its outputs, is left in the folder that ENTLINK_NOTEBOOKS names.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TIMEOUT_S = 600  # of one cell; all together take a few minutes on two idle cores
_DRAWS = re.compile(r"\bplt\.show\(\)|<svg")

# What a run must have shown, so that a notebook that says nothing is a failure too.
SHOWN = {
    "01_link_a_text": ("Q3783", "Q3884", "not in the knowledge base"),
    "02_your_own_kb": ("tel-1", "db-3", "cat-1", "Mara Lindqvist"),
    "03_train": ("host-orion", "room-orion", "right before"),
    "04_why_this_entity": ("Michael Jordan", "basketball", "none shared", "enriched cosine"),
    "05_how_big_must_a_vector_be": ("margin_1000", "dimensions keep", "length of the right text"),
    "06_what_the_teacher_taught": ("the teacher prefers", "right one", "mean lead"),
    "07_a_corpus": ("Richard Nixon", "Leonid Brezhnev", "diary.html"),
}


def cells_of(path: Path) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)  # cells have ids
    cells: list[dict[str, Any]] = notebook["cells"]
    return cells


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_notebooks_are_there() -> None:
    assert {path.stem for path in NOTEBOOKS} >= set(SHOWN)


@each_notebook
def test_a_notebook_carries_no_outputs(path: Path) -> None:
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "clear all outputs before committing"
            assert cell["execution_count"] is None


@each_notebook
def test_a_notebook_begins_with_a_title_and_says_what_it_needs(path: Path) -> None:
    cells = cells_of(path)
    assert cells[0]["cell_type"] == "markdown"
    number = path.stem.split("_")[0].lstrip("0")
    assert source(cells[0]).startswith(f"# {number}. ")
    assert any("entlink[notebooks]" in source(cell) for cell in cells[:2])


@each_notebook
def test_charts_have_a_title_units_and_a_sentence_of_what_to_see(path: Path) -> None:
    cells = cells_of(path)
    for cell, after in zip(cells, [*cells[1:], {"cell_type": "", "source": ""}], strict=True):
        code = source(cell)
        if cell["cell_type"] != "code" or not _DRAWS.search(code):
            continue
        assert "title" in code, code
        assert "label" in code or "axis" in code or "<svg" in code, code
        assert after["cell_type"] == "markdown" and "**What to see:**" in source(after), code


@each_notebook
def test_links_between_notebooks_and_pages_lead_somewhere(path: Path) -> None:
    text = "\n".join(source(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), target


def _texts(notebook: Any) -> Iterator[str]:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield from (output.get("text", ""), *map(str, output.get("data", {}).values()))


@each_notebook
@pytest.mark.slow
@pytest.mark.skipif("ENTLINK_NOTEBOOKS" not in os.environ, reason="`make notebooks` runs them")
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3", resources=where).execute()
    shown = "\n".join(_texts(notebook))
    for expected in SHOWN.get(path.stem, ()):
        assert expected in shown
    n_charts = sum("plt.show()" in cell.source for cell in notebook.cells)
    pictures = [o for c in notebook.cells for o in c.get("outputs", ()) if "image/png" in str(o)]
    assert len(pictures) >= n_charts
    out = Path(os.environ["ENTLINK_NOTEBOOKS"])
    out.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, out / path.name)  # type: ignore[no-untyped-call]
