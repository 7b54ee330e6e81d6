"""What the tests of `entlink evaluate` and `entlink benchmark` measure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny
from tests.evaluate.texts import NEWS, WEB, write


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    folder.mkdir()
    tiny.make_bundle(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield str(folder)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    news, web = write(tmp_path / "news.jsonl", NEWS), write(tmp_path / "web.jsonl", WEB)
    return [str(news), str(web)]
