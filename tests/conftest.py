"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from entlink.linker import Linker

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data that is not part of the repository: ENTLINK_SHARED, or ``shared`` beside it."""
    path = Path(os.environ.get("ENTLINK_SHARED", ROOT.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"no measuring data at {path} (set ENTLINK_SHARED)")
    return path


@pytest.fixture(scope="session")
def builtin_bundle() -> Path:
    """The folder of the built-in bundle."""
    return ROOT / "kb" / "builtin"


@pytest.fixture(scope="session")
def builtin_linker(builtin_bundle: Path) -> Linker:
    """The built-in linker in single precision, whatever else was made on this machine."""
    import entlink

    return entlink.load(device="cpu", backend="torch")
