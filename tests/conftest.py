"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linker]:
    """Over the small knowledge base of `tests.tiny`."""
    yield from _tiny(tmp_path_factory, reranker=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linker]:
    """The same without a reranker."""
    yield from _tiny(tmp_path_factory, reranker=False)


def _tiny(folders: pytest.TempPathFactory, *, reranker: bool) -> Iterator[Linker]:
    import entlink
    from tests.tiny import make_bundle

    bundle = make_bundle(folders.mktemp("bundle") / "tiny", reranker=reranker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(folders.mktemp("cache")))
        yield entlink.load(bundle.path, device="cpu")
