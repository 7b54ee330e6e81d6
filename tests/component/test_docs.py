"""What docs/spacy.md shows is run, as README.md is: in order, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy

from tests.test_readme import LINK, ROOT, blocks

PAGE = ROOT / "docs" / "spacy.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_mark_has_its_block_and_links_lead_somewhere() -> None:
    assert len(blocks(TEXT)) == TEXT.count("<!-- run -->") >= 5
    assert [to for to in LINK.findall(TEXT) if not (PAGE.parent / to).exists()] == []


def test_the_settings_are_those_of_the_factory() -> None:
    import entlink.component  # noqa: F401

    table = TEXT.split("## Settings of `entlink`")[1].split("\n\n")[1]
    named = {name for line in table.splitlines() for name in line.split("|")[1].split("`")[1::2]}
    assert named == set(spacy.blank("en").get_factory_meta("entlink").default_config or {})


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@pytest.mark.skipif(os.name == "nt", reason="the blocks are written for a POSIX shell")
def test_what_the_page_shows_works(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent  # where the entlink command is
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks(TEXT):
        run = ["bash", "-euo", "pipefail"] if block.language == "sh" else [sys.executable, "-"]
        done = subprocess.run(
            run,
            input=block.code,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), f"printed nothing:\n{block.code}"
    assert (tmp_path / "trained" / "model-best" / "entlink" / "bundle" / "kb.sqlite").is_file()
