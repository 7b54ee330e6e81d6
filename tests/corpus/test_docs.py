"""What docs/corpus.md shows is run, block after block, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import ROOT, blocks, broken_links, needs_posix_shell, run_blocks

PAGE = ROOT / "docs" / "corpus.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_mark_has_its_block_and_every_link_its_file() -> None:
    assert len(blocks(TEXT)) == TEXT.count("<!-- run -->") >= 4
    assert broken_links(PAGE) == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@needs_posix_shell
def test_what_the_page_shows_works(tmp_path: Path) -> None:
    said = [done.stdout for done in run_blocks(TEXT, tmp_path)]
    assert "3 links.jsonl" in said[0]
    assert "Monday" in said[1]
    assert "exit code 1" in said[2]
    assert "not valid JSON" in said[2]
    assert said[3].startswith("3 ")
