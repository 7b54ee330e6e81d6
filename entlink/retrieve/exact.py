"""Exact search: every query is compared with every vector, in PyTorch.

FAISS does the same; for many queries the BLAS that its packages bring takes several times as long
as PyTorch's.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_SCORES = 1 << 22  # scores that are held at a time
_BLOCK = 64  # vectors of which first only the best is looked at, or fewer
_BLOCKS = 4  # times k are so many blocks, at least

_kept = threading.local()


def nearest(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k of ``vectors`` (n, d) with the largest inner product with each of ``queries`` (m, d).

    Scores and positions, both (m, k), best first, equals by position; -inf and -1 where there are
    fewer than k. Only those at positions that are ``allowed``, (n,), count.
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    positions = np.full((len(queries), k), -1, dtype=np.int64)
    step = max(1, _SCORES // max(1, len(vectors)))
    columns = torch.from_numpy(vectors).T
    for begin in range(0, len(queries), step):
        some = torch.from_numpy(queries[begin : begin + step])
        found = torch.mm(some, columns, out=_room(len(some), len(vectors))).numpy()
        if allowed is not None:
            found[:, ~allowed] = -np.inf
        for row, (its, least) in enumerate(zip(found, _least(found, k), strict=True), begin):
            places = np.flatnonzero(its >= least)
            best = places[np.argsort(-its[places], kind="stable")[:k]]
            best = best[its[best] > -np.inf]
            scores[row, : len(best)], positions[row, : len(best)] = its[best], best
    return scores, positions


def _room(m: int, n: int) -> torch.Tensor:
    """Where this thread puts scores, (m, n).

    It is kept: so large a piece of memory, freed and asked for again with every call, leaves holes
    that others nibble at, and a process that searches for hours would grow.
    """
    room: NDArray[np.float32] | None = getattr(_kept, "room", None)
    if room is None or len(room) < m * n:
        room = _kept.room = np.empty(m * n, dtype=np.float32)
    return torch.from_numpy(room[: m * n].reshape(m, n))


def _least(scores: NDArray[np.float32], k: int) -> NDArray[Any]:
    """For each row of scores (m, n) a bound, (m,), that the k largest reach, and few others.

    That is the k-th largest of the maxima of blocks: so many scores reach it.
    """
    n = scores.shape[1]
    size = min(_BLOCK, n // (_BLOCKS * k))
    if size < 2:
        return np.full(len(scores), -np.inf, dtype=np.float32)
    blocks = torch.from_numpy(scores[:, : n // size * size]).view(len(scores), -1, size)
    return np.asarray(torch.topk(blocks.amax(2), k, dim=1).values[:, -1])
