"""Pages that are run: each block marked ``<!-- run -->``, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^<!-- run -->\n```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

needs_posix_shell = pytest.mark.skipif(
    os.name == "nt", reason="the blocks are written for a POSIX shell"
)


class Block(NamedTuple):
    """A marked block."""

    language: str
    code: str


def blocks(text: str) -> list[Block]:
    """The marked blocks of a page."""
    return [Block(*match.groups()) for match in _BLOCK.finditer(text)]


def broken_links(page: Path) -> list[str]:
    """Links to our own files that lead nowhere."""
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    return [target for target in targets if not (page.parent / target).exists()]


def run_blocks(
    text: str, folder: Path, **environment: str
) -> list[subprocess.CompletedProcess[str]]:
    """Run the marked blocks of a page in a folder; each must succeed."""
    scripts = Path(sys.executable).parent  # where the entlink command is
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    variables: Mapping[str, str] = os.environ | {"PATH": path} | environment
    finished = []
    for block in blocks(text):
        run = ["bash", "-euo", "pipefail"] if block.language == "sh" else [sys.executable, "-"]
        done = subprocess.run(
            run,
            input=block.code,
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"
        finished.append(done)
    return finished
