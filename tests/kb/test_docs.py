"""What docs/kb.md shows is run, in order, in an empty folder; what it lists is what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from entlink.cli.kb_build import _FORMATS
from entlink.kb.importers import FORMATS
from tests.test_readme import LINK, blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kb.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_format_is_described() -> None:
    assert tuple(FORMATS) == _FORMATS
    assert [name for name in FORMATS if f"`{name}`" not in TEXT] == []


def test_links_lead_somewhere() -> None:
    assert [t for t in LINK.findall(TEXT) if not (PAGE.parent / t).exists()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@pytest.mark.skipif(os.name == "nt", reason="the blocks are written for a POSIX shell")
def test_what_it_shows_works(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent  # where the entlink command is
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "ENTLINK_CACHE": str(tmp_path / "cache"),
    }
    found = blocks(TEXT)
    assert len(found) == TEXT.count("<!-- run -->")
    told = ""
    for block in found:
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
        told += done.stdout + done.stderr
    assert "id <- 'sku', name <- 'product', description <- 'description'" in told
    assert "H200" in told and "gone" in told
    assert "2 edits are part of it now" in told
    assert "whole and unchanged" in told
