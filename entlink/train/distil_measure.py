"""How well a student finds the entities of mentions among all entities of the KB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.retrieve.index import VectorIndex
from entlink.train.distil_student import Student
from entlink.train.tables import EntityTable, MentionTable

AT = (1, 10, 100)
_CHUNK = 8192  # texts encoded at a time
_NEAREST = 2 * max(AT) + 20  # surfaces: few entities have more than two near ones
_RESCORED = 64  # mentions whose surfaces the small network reads at a time


@dataclass(frozen=True, slots=True)
class Probe:
    """Named sets of mentions, to be measured again and again while a student learns."""

    table: EntityTable
    sets: Mapping[str, MentionTable]

    def measure(self, student: Student) -> dict[str, dict[str, float]]:
        """Of each set that has mentions: recall@1, @10, @100, mean reciprocal rank, and n."""
        vectors = surface_vectors(student, self.table)
        index = VectorIndex.build(vectors)
        found: dict[str, dict[str, float]] = {}
        for name, mentions in self.sets.items():
            if len(mentions):
                found[name] = _figures(ranks(student, index, vectors, self.table.rows, mentions))
        return found


def _figures(places: NDArray[np.int64]) -> dict[str, float]:
    recalls = {f"recall@{k}": float((places < k).mean()) for k in AT}
    reciprocal = np.where(places < max(AT), 1.0 / (places + 1.0), 0.0)
    return {**recalls, "mrr": float(reciprocal.mean()), "n": float(len(places))}


def ranks(
    student: Student,
    index: VectorIndex,
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    mentions: MentionTable,
) -> NDArray[np.int64]:
    """(n,) place of each mention's gold entity among the distinct entities found, from 0.

    ``vectors`` (n_surfaces, d) are those in the index, ``rows`` (n_surfaces,) whose each is. One
    that was not found has place n_surfaces. A student with a network ranks what was found anew.
    """
    queries = mention_vectors(student, mentions)
    _, found = index.search(queries, k=min(_NEAREST, len(rows)))
    if student.layer.net is not None:
        found = _rescored(student, queries, vectors, found)
    places = np.full(len(mentions), len(rows), dtype=np.int64)
    for i, (gold, positions) in enumerate(zip(mentions.gold.tolist(), found, strict=True)):
        distinct = list(dict.fromkeys(rows[positions].tolist()))
        if gold in distinct:
            places[i] = distinct.index(gold)
    return places


@torch.inference_mode()
def _rescored(
    student: Student,
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    found: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The found positions, (n, k), by falling score of the network; ties stay in order."""
    student.eval()
    parts = []
    for begin in range(0, len(found), _RESCORED):
        some = found[begin : begin + _RESCORED]
        asked = np.repeat(queries[begin : begin + _RESCORED], some.shape[1], axis=0)
        pairs = (torch.from_numpy(part) for part in (asked, vectors[some.ravel()]))
        scores = student.layer(*(part.to(student.encoder.device) for part in pairs))
        order = np.argsort(-scores.cpu().numpy().reshape(some.shape), axis=1, kind="stable")
        parts.append(np.take_along_axis(some, order, axis=1))
    return np.concatenate(parts)


@torch.inference_mode()
def surface_vectors(student: Student, table: EntityTable) -> NDArray[np.float32]:
    """(n_surfaces, d)"""
    student.eval()
    parts = [student.encoder.entity_vectors(table.take(some)) for some in _chunks(len(table))]
    return np.concatenate([part.cpu().numpy() for part in parts])


@torch.inference_mode()
def mention_vectors(student: Student, mentions: MentionTable) -> NDArray[np.float32]:
    """(n, d)"""
    student.eval()
    parts = [
        student.encoder.mention_vectors(mentions.features.take(some))
        for some in _chunks(len(mentions))
    ]
    return np.concatenate([part.cpu().numpy() for part in parts])


def _chunks(n: int) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(n), max(1, -(-n // _CHUNK)))
