"""Peers for tests: one knows everything, one nothing, one lacks what it needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from entlink.errors import InputError
from entlink.evaluate.benchmark.peer import Answer, Kind
from entlink.kb.store import KnowledgeBase
from entlink.records import Document

Golds = Mapping[tuple[str, int], str]  # (document, start) -> id


class FakePeer:
    """Answers from a table; where that has nothing, there is no candidate."""

    about = "a table"
    is_timed = True
    sets: Collection[str] | None = None

    def __init__(
        self,
        name: str,
        golds: Golds,
        *,
        kind: Kind = Kind.GIVEN,
        is_retriever: bool = True,
        version: int = 1,
    ) -> None:
        self.name = name
        self.kind = kind
        self.is_retriever = is_retriever
        self.version = version
        self.n_prepared = 0
        self.given: list[str] = []  # documents, in the order in which they came
        self._golds = golds

    def settings(self) -> Mapping[str, object]:
        return {"version": self.version}

    def prepare(self, kb: KnowledgeBase) -> None:
        self.n_prepared += 1
        self._rows = kb.rows_of(sorted(set(self._golds.values())))

    def answer(self, documents: Sequence[Document]) -> list[list[Answer]]:
        self.given += [doc.id for doc in documents]
        return [
            [self._answer(self._golds.get((doc.id, m.start))) for m in doc.mentions or ()]
            for doc in documents
        ]

    def _answer(self, id: str | None) -> Answer:
        if id is None or id not in self._rows:
            return Answer(np.zeros(0, dtype=np.int64), None)
        # the right one stands second among what was retrieved
        return Answer(np.array([20, self._rows[id]], dtype=np.int64), id, n_pairs=2)


class Lacking(FakePeer):
    """Has no weights."""

    def prepare(self, kb: KnowledgeBase) -> None:
        raise InputError("weights.bin: is not there; train it")


def peers(*, device: str, threads: int) -> list[FakePeer]:
    """For ``--peers``: right on one of the documents, and on none."""
    some = {("n1", 0): "Q2", ("n1", 11): "Q5", ("w1", 12): "Q1"}
    return [
        FakePeer("some", some),
        FakePeer("none", {}, kind=Kind.SAMPLED, is_retriever=False),
        Lacking("lacking", {}),
    ]
