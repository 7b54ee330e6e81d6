"""Vectors beside the index: an edited base retrieves as one that was built with the edits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from entlink.inputs import mention_input
from entlink.kb.build import build_kb
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve import live as live_surfaces
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.live import LiveSurfaces
from entlink.vectors import encode_each
from tests import tiny

TEXT = "Jordan and Michael Jordan went from Paris to Amazon and to Novum in Georgia."
NEW = (
    Entity("N1", "Novum", ("Jordan",), "a new town", popularity=2.0),
    Entity("N2", "Amazon", (), "an island", types=("T1",)),
)
UPDATED = Entity("Q4", "Paris", ("Lutetia", "Novum"), "capital city of France", popularity=4.4)
REMOVED = ("Q5", "Q12")


def mentions() -> list[tuple[int, int]]:
    names = ("Jordan", "Michael Jordan", "Paris", "Amazon", "Novum", "Georgia")
    return [(TEXT.index(name), TEXT.index(name) + len(name)) for name in names]


@pytest.mark.parametrize("many", [0, 100])
@pytest.mark.parametrize("k", [1, 3, 8, 100])
def test_as_if_it_had_been_built_so(
    tmp_path: Path, k: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_surfaces, "_MANY", many)
    encoder = tiny.encoder()
    build_kb(tiny.ENTITIES, tmp_path / "base")
    live = LiveKnowledgeBase.open_with(tmp_path / "base", tmp_path / "edits")
    live.encode = partial(encode_each, encoder)
    edited = Retriever(live, encoder, LiveSurfaces(SurfaceVectors.build(live, encoder), live))
    inputs = [mention_input(TEXT, start, end) for start, end in mentions()]
    before = edited.retrieve(inputs, k=k)
    live.add(*NEW)
    live.update(UPDATED)
    live.remove(*REMOVED)
    present = [UPDATED if e.id == "Q4" else e for e in tiny.ENTITIES if e.id not in REMOVED]
    build_kb([*present, *NEW], tmp_path / "built")
    built_kb = KnowledgeBase.open(tmp_path / "built")
    built = Retriever(built_kb, encoder, SurfaceVectors.build(built_kb, encoder))

    def told(retriever: Retriever, kb: KnowledgeBase) -> list[dict[str, tuple[float, ...]]]:
        result: list[dict[str, tuple[float, ...]]] = []
        for found in retriever.retrieve(inputs, k=k):
            ids = [entity.id for entity in kb.by_rows(found.rows.tolist())]
            evidence = retriever.evidence(found)
            result.append(
                {
                    id: (
                        round(float(found.cosines[i]), 5),
                        float(found.is_alias[i]),
                        float(np.nan_to_num(evidence.popularity[i])),
                        float(found.match.share[i]),
                        float(found.match.begins[i]),
                    )
                    for i, id in enumerate(ids)
                }
            )
        return result

    assert told(edited, live) == told(built, built_kb)
    rows = [np.asarray([live.rows_of([id])[id] for id in ("Q1", "N1", "Q4")])]
    (ranked,) = edited.rank(inputs[:1], rows)
    assert sorted(ranked.rows.tolist()) == sorted(rows[0].tolist())
    again = Retriever(live, encoder, LiveSurfaces(SurfaceVectors.build(live, encoder), live))
    assert told(again, live) == told(edited, live)
    assert len(before) == len(inputs)
    assert edited.retrieve([], k=k) == []


def test_what_is_only_removed_is_not_found(tmp_path: Path) -> None:
    encoder = tiny.encoder()
    build_kb(tiny.ENTITIES, tmp_path / "base")
    live = LiveKnowledgeBase.open_with(tmp_path / "base", tmp_path / "edits")
    live.encode = partial(encode_each, encoder)
    edited = Retriever(live, encoder, LiveSurfaces(SurfaceVectors.build(live, encoder), live))
    inputs = [mention_input(TEXT, start, end) for start, end in mentions()]
    before = edited.retrieve(inputs, k=100)
    gone = {live.rows_of([id])[id] for id in REMOVED}
    live.remove(*REMOVED)
    for was, found in zip(before, edited.retrieve(inputs, k=100), strict=True):
        assert set(found.rows.tolist()) == set(was.rows.tolist()) - gone
    live.remove(*(entity.id for entity in tiny.ENTITIES if entity.id not in REMOVED))
    assert all(not len(found.rows) for found in edited.retrieve(inputs, k=100))
