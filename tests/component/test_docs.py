"""What docs/spacy.md shows is run, as README.md is: in order, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy

from tests.pages import ROOT, blocks, broken_links, needs_posix_shell, run_blocks

PAGE = ROOT / "docs" / "spacy.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_mark_has_its_block_and_links_lead_somewhere() -> None:
    assert len(blocks(TEXT)) == TEXT.count("<!-- run -->") >= 5
    assert broken_links(PAGE) == []


def test_the_settings_are_those_of_the_factory() -> None:
    import entlink.component  # noqa: F401

    table = TEXT.split("## Settings of `entlink`")[1].split("\n\n")[1]
    named = {name for line in table.splitlines() for name in line.split("|")[1].split("`")[1::2]}
    assert named == set(spacy.blank("en").get_factory_meta("entlink").default_config or {})


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@needs_posix_shell
def test_what_the_page_shows_works(tmp_path: Path) -> None:
    for block, done in zip(blocks(TEXT), run_blocks(TEXT, tmp_path), strict=True):
        assert done.stdout.strip(), f"printed nothing:\n{block.code}"
    assert (tmp_path / "trained" / "model-best" / "entlink" / "bundle" / "kb.sqlite").is_file()
