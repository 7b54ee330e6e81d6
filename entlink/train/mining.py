"""The encoder as it is now: its recall, and the entities that it wrongly puts near a mention."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.retrieve.index import VectorIndex
from entlink.train.tables import EntityTable, MentionTable

_CHUNK = 8192  # texts encoded at a time


@torch.inference_mode()
def surface_vectors(model: DualEncoder, table: EntityTable) -> NDArray[np.float32]:
    """The vectors of all surfaces, (n_surfaces, d)."""
    model.eval()
    return np.concatenate(
        [model.entity_vectors(table.take(some)).cpu().numpy() for some in _chunks(len(table))]
    )


@torch.inference_mode()
def _mention_vectors(model: DualEncoder, mentions: MentionTable) -> NDArray[np.float32]:
    model.eval()
    parts = [mentions.features.take(some) for some in _chunks(len(mentions))]
    return np.concatenate([model.mention_vectors(part).cpu().numpy() for part in parts])


def _chunks(n: int) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(n), -(-n // _CHUNK))


def recall_at(
    model: DualEncoder,
    index: VectorIndex,
    rows: NDArray[np.int64],
    mentions: MentionTable,
    *,
    ks: tuple[int, ...],
) -> dict[str, float]:
    """Share of mentions whose gold entity is among the k nearest entities.

    index: the vectors of all surfaces, rows: (n_surfaces,) whose each is. Of entities with very
    many near surfaces, those beyond the nearest 2 max(ks) surfaces are missed.
    """
    _, found = index.search(_mention_vectors(model, mentions), k=2 * max(ks))
    hits = np.zeros(len(ks))
    for gold, positions in zip(mentions.gold.tolist(), found, strict=True):
        distinct = list(dict.fromkeys(rows[positions[positions >= 0]].tolist()))
        rank = distinct.index(gold) if gold in distinct else len(rows)
        hits += [rank < k for k in ks]
    return {f"recall@{k}": float(hit / len(mentions)) for k, hit in zip(ks, hits, strict=True)}


def hard_negatives(
    model: DualEncoder,
    index: VectorIndex,
    rows: NDArray[np.int64],
    mentions: MentionTable,
    *,
    k: int = 10,
    only_above: bool = False,
) -> NDArray[np.int64]:
    """(n, k) nearest surfaces of other entities than the gold one; -1 where there are fewer.

    ``only_above``: none but those that are nearer than the gold one (Gillick et al. 2019, 3.3).
    """
    negatives = np.full((len(mentions), k), -1, dtype=np.int64)
    queries = _mention_vectors(model, mentions)
    for some in _chunks(len(mentions)):
        _, found = index.search(queries[some], k=2 * k)
        is_wrong = (found >= 0) & (rows[found] != mentions.gold[some, None])
        if only_above:
            is_wrong &= np.cumsum(rows[found] == mentions.gold[some, None], axis=1) == 0
        first = np.argsort(~is_wrong, axis=1, kind="stable")[:, :k]  # in the order they were found
        negatives[some, : first.shape[1]] = np.take_along_axis(
            np.where(is_wrong, found, -1), first, axis=1
        )
    return negatives
