"""A corpus linked to a part of the knowledge base, in this process and as other processes would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from entlink.bundle import Bundle
from entlink.corpus import link_corpus
from entlink.corpus.shards import LinkOptions, Setup
from entlink.errors import InputError
from entlink.records import Document
from tests.tiny import make_bundle

TEXT = Document("d", "Prince went with Michael Jordan from Paris to Jordan.")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    return make_bundle(tmp_path / "b")


def test_only_entities_of_the_part_are_candidates(bundle: Bundle, tmp_path: Path) -> None:
    def candidates(types: Sequence[str] = (), ids: Sequence[str] = ()) -> set[str]:
        out = tmp_path / "links.jsonl"
        options = LinkOptions(reranker=False, types=types, ids=ids)
        link_corpus(
            [TEXT], out, bundle=bundle.path, device="cpu", reranker=False, types=types, ids=ids
        )
        (line,) = out.read_text(encoding="utf-8").splitlines()
        mentions = json.loads(line)["mentions"]
        out.unlink()
        setup = Setup(str(bundle.path), bundle.digest, "cpu", None, options)
        (linked,) = Setup.parse(setup.dump()).load().stream([TEXT])
        found = {c.entity_id for link in linked.links for c in link.candidates}
        assert found >= {c["entity"] for m in mentions for c in m["candidates"]} != set()
        return found

    assert candidates(types=("T1",)) == {"Q1"}
    assert candidates(ids=("Q4", "Q16")) == {"Q4", "Q16"}
    assert candidates(types=("T1", "T2"), ids=("Q3", "Q4")) == {"Q3"}
    assert len(candidates()) > 4
    with pytest.raises(InputError, match="no entity of types"):
        candidates(ids=("nobody",))
