"""What docs/kb.md shows is run, in order, in an empty folder; what it lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entlink.cli.kb_build import _FORMATS
from entlink.kb.importers import FORMATS
from tests.pages import ROOT, blocks, broken_links, needs_posix_shell, run_blocks

PAGE = ROOT / "docs" / "kb.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_format_is_described() -> None:
    assert tuple(FORMATS) == _FORMATS
    assert [name for name in FORMATS if f"`{name}`" not in TEXT] == []


def test_links_lead_somewhere() -> None:
    assert broken_links(PAGE) == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@needs_posix_shell
def test_what_it_shows_works(tmp_path: Path) -> None:
    assert len(blocks(TEXT)) == TEXT.count("<!-- run -->")
    ran = run_blocks(TEXT, tmp_path, ENTLINK_CACHE=str(tmp_path / "cache"))
    told = "".join(done.stdout + done.stderr for done in ran)
    assert "id <- 'sku', name <- 'product', description <- 'description'" in told
    assert "H200" in told and "gone" in told
    for name in ("heart failure", "Type 2 diabetes", "ALS"):
        assert re.search(f"^  {name}  ", told, re.MULTILINE), f"{name} was not found"
    assert "2 edits are part of it now" in told
    assert "whole and unchanged" in told
