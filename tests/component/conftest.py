"""A small bundle, real through and through, and pipelines over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import spacy
from spacy.language import Language

from tests import tiny

Pipeline = Callable[..., Language]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a bundle without a recogniser."""
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    folder.mkdir()
    tiny.make_bundle(folder)
    return str(folder)


@pytest.fixture(scope="session")
def pipeline(bundle: str) -> Pipeline:
    """Makes a blank pipeline with `entlink` and, if it gets settings, `entlink_mentions`."""

    def make(*, lang: str = "en", finder: dict[str, Any] | None = None, **config: Any) -> Language:
        nlp = spacy.blank(lang)
        if finder is not None:
            nlp.add_pipe(
                "entlink_mentions",
                config={"bundle": bundle, "strategies": ["gazetteer"], **finder},
            )
        nlp.add_pipe("entlink", config={"bundle": bundle, **config})
        return nlp

    return make
