"""Exact search: every query is compared with every vector, in PyTorch.

FAISS does the same; for many queries the BLAS that its packages bring takes several times as long
as PyTorch's. Where models of this process are on a GPU, many queries are compared there.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SCORES = 1 << 22  # scores that are held at a time
_BLOCK = 64  # vectors of which first only the best is looked at, or fewer
_BLOCKS = 4  # times k are so many blocks, at least
_GPU_SCORES = 1 << 27  # scores that are held at a time on a GPU
_GPU_QUERIES = 256  # from so many on it is worth while to copy the vectors there

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
    if len(queries) >= _GPU_QUERIES and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return nearest_on(torch.device("cuda"), vectors, queries, k=k, allowed=allowed)
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


@torch.inference_mode()
def nearest_on(
    device: torch.device,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As ``nearest``, without a loop over the queries: for devices that do much at a time."""
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    positions = np.full((len(queries), k), -1, dtype=np.int64)
    n = len(vectors)
    if not n:
        return scores, positions
    columns = torch.zeros(-(-n // _BLOCK) * _BLOCK, vectors.shape[1], device=device)
    columns[:n] = torch.from_numpy(vectors).to(device)
    is_out = None if allowed is None else ~torch.from_numpy(allowed).to(device)
    step = max(1, _GPU_SCORES // len(columns))
    for begin in range(0, len(queries), step):
        some = torch.from_numpy(queries[begin : begin + step]).to(device)
        found = some @ columns.T
        found[:, n:] = -torch.inf
        if is_out is not None:
            found[:, :n].masked_fill_(is_out, -torch.inf)
        best, places = _best(found, k)
        rows = slice(begin, begin + len(some))
        scores[rows, : best.shape[1]] = best.cpu().numpy()
        positions[rows, : best.shape[1]] = places.masked_fill(best.isneginf(), -1).cpu().numpy()
    return scores, positions


def _best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row of scores (m, blocks * _BLOCK) and their places, ties by place.

    All lie in the k blocks with the largest maxima, ties by place again: any other block's scores
    come after the maxima of those.
    """
    blocks = scores.view(len(scores), -1, _BLOCK)
    order = blocks.amax(2).argsort(dim=1, descending=True, stable=True)
    chosen = order[:, :k].sort(dim=1).values  # (m, up to k), ascending
    held = blocks.gather(1, chosen[:, :, None].expand(-1, -1, _BLOCK)).flatten(1)
    best, at = held.sort(dim=1, descending=True, stable=True)
    best, at = best[:, :k], at[:, :k]
    return best, chosen.gather(1, at // _BLOCK) * _BLOCK + at % _BLOCK


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
