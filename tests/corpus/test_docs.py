"""What docs/corpus.md shows is run, block after block, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import LINK, ROOT, blocks

PAGE = ROOT / "docs" / "corpus.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_mark_has_its_block_and_every_link_its_file() -> None:
    assert len(blocks(TEXT)) == TEXT.count("<!-- run -->") >= 4
    assert [t for t in LINK.findall(TEXT) if not (PAGE.parent / t).exists()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@pytest.mark.skipif(os.name == "nt", reason="the blocks are written for a POSIX shell")
def test_what_the_page_shows_works(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent  # where the entlink command is
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    said = []
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
        said.append(done.stdout)
    assert "3 links.jsonl" in said[0]
    assert "Monday" in said[1]
    assert "exit code 1" in said[2]
    assert "not valid JSON" in said[2]
    assert said[3].startswith("3 ")
