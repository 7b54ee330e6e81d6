"""What docs/explain.md and docs/analyse.md show is run, block after block, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import ROOT, blocks, broken_links, needs_posix_shell, run_blocks

PAGES = [ROOT / "docs" / "explain.md", ROOT / "docs" / "analyse.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_mark_has_its_block_and_every_link_its_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(blocks(text)) == text.count("<!-- run -->") >= 2
    assert broken_links(page) == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@needs_posix_shell
def test_explanations_as_shown(tmp_path: Path) -> None:
    table, python, words = (
        done.stdout for done in run_blocks(PAGES[0].read_text(encoding="utf-8"), tmp_path)
    )
    for said in ("gradient x input", "taken out", "read as words", "Why "):
        assert said in table
    assert "decided_by" in python and "log_odds" in python and "by_reading" in python
    assert "probability" in words


@pytest.mark.slow
@needs_posix_shell
def test_analyses_as_shown(tmp_path: Path) -> None:
    size, pieces = (
        done.stdout for done in run_blocks(PAGES[1].read_text(encoding="utf-8"), tmp_path)
    )
    assert "120 texts" in size and "by the bound" in size
    assert pieces.count("array") == 4
