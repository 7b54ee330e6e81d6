"""What README.md shows is run: each block marked ``<!-- run -->``, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^<!-- run -->\n```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


class Block(NamedTuple):
    language: str
    code: str


def blocks(text: str) -> list[Block]:
    return [Block(*match.groups()) for match in BLOCK.finditer(text)]


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_mark_has_its_block() -> None:
    assert len(blocks(README)) == README.count("<!-- run -->") >= 4


def test_blocks_are_found_with_their_language() -> None:
    text = (
        "<!-- run -->\n```sh\na\n\nb\n```\n```sh\nnot run\n```\n<!-- run -->\n```python\nc\n```\n"
    )
    assert blocks(text) == [Block("sh", "a\n\nb\n"), Block("python", "c\n")]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/formats.md"])
def test_links_between_our_files_lead_somewhere(name: str) -> None:
    page = ROOT / name
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("builtin_bundle")
@pytest.mark.skipif(os.name == "nt", reason="the blocks are written for a POSIX shell")
def test_what_readme_shows_works(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent  # where the entlink command is
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks(README):
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
    assert {"links.html", "links.jsonl"} <= {path.name for path in tmp_path.iterdir()}
