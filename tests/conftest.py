"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from entlink.linker import Linker

ROOT = Path(__file__).resolve().parents[1]

# The same examples in every run, however slow the machine, so that a test fails because of a change
# and not by chance. HYPOTHESIS_PROFILE=search looks at other examples each time.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeat", settings.get_profile("search"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


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
