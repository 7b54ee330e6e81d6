"""A part of the KB: what is found is what a KB of that part alone would give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from entlink.errors import InputError
from entlink.inputs import mention_input
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import Entity
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.index import VectorIndex
from tests import tiny

TEXT = "Jordan and Michael Jordan went from Paris to Amazon."
NAMES = ("Jordan", "Michael Jordan", "Paris", "Amazon")
PARTS = (
    ("Q1",),
    ("Q4", "Q6", "Q7"),
    tuple(e.id for e in tiny.ENTITIES if e.id not in ("Q2", "Q5")),
)


@pytest.mark.parametrize("ids", PARTS)
@pytest.mark.parametrize("k", [1, 2, 100])
def test_as_a_kb_of_that_part_alone(tmp_path: Path, ids: Sequence[str], k: int) -> None:
    encoder = tiny.encoder()

    def told(entities: Sequence[Entity], name: str, part: Sequence[str] = ()) -> list[object]:
        build_kb(entities, tmp_path / name)
        kb = KnowledgeBase.open(tmp_path / name)
        retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder))
        if part:
            rows = np.zeros(len(kb), dtype=np.bool_)
            rows[list(kb.rows_of(part).values())] = True
            retriever = retriever.within(rows)
        spans = [(TEXT.index(name), TEXT.index(name) + len(name)) for name in NAMES]
        result: list[object] = []
        for found in retriever.retrieve([mention_input(TEXT, *span) for span in spans], k=k):
            entities_found = kb.by_rows(found.rows.tolist())
            result.append(
                [
                    (e.id, round(float(c), 5), bool(a))
                    for e, c, a in zip(entities_found, found.cosines, found.is_alias, strict=True)
                ]
            )
        return result

    alone = [entity for entity in tiny.ENTITIES if entity.id in ids]
    assert told(tiny.ENTITIES, "all", ids) == told(alone, "alone")


@pytest.mark.parametrize("factory", ["Flat", "HNSW16", "IVF4,Flat"])
def test_only_allowed_vectors_are_looked_at(factory: str) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((400, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    allowed = generator.random(400) < 0.2
    index = VectorIndex.build(vectors, factory=factory)
    _, found = index.search(vectors[:20], k=10, allowed=allowed)
    assert allowed[found[found >= 0]].all()
    if factory == "Flat":
        scores = np.where(allowed, vectors[:20] @ vectors.T, -2)
        np.testing.assert_array_equal(found, np.argsort(-scores, axis=1)[:, :10])


def test_by_type_and_by_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    tiny.make_bundle(tmp_path / "b")
    linker = Linker.load(tmp_path / "b", device="cpu")
    linker.kb.add(Entity("N1", "Novum", types=("T1",)), Entity("N2", "Ovum", type_names=("T2",)))

    def found(part: Linker) -> set[str]:
        text = "Jordan went from Paris to Novum."
        links = part.link(text, n_candidates=100)[0].links
        assert links
        return {candidate.entity_id for link in links for candidate in link.candidates}

    assert found(linker.within(types=["T1"])) == {"Q1", "N1"}
    assert found(linker.within(types=["T1", "T2"])) == {"Q1", "Q3", "N1", "N2"}
    assert found(linker.within(ids=["Q4", "N1", "unheard of"])) == {"Q4", "N1"}
    assert found(linker.within(types=["T1"], ids=["Q1", "Q4"])) == {"Q1"}
    part = linker.within(types=["T1"])
    linker.kb.add(Entity("N3", "Trium", types=("T1",)))
    linker.kb.remove("Q1")
    assert found(part) == {"N1"}
    assert len(found(linker)) > 4
    for nobody in ({"types": ["T7"]}, {"ids": ["Q99"]}, {"types": ["T2"], "ids": ["Q1"]}):
        with pytest.raises(InputError, match="no entity of types"):
            linker.within(**nobody)
