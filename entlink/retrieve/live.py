"""The vectors of a knowledge base that is edited: those of the file, and the few behind it.

Positions of vectors are given once, as rows are: an answer that is under way may use those it has.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from entlink.inputs import VIEWS, view_names
from entlink.kb.live import LiveKnowledgeBase
from entlink.retrieve.dense import SurfaceVectors
from entlink.retrieve.words import NameMatch, NameWords

_MANY = 100  # vectors of the base that are left out by a filter, rather than found and left out


class LiveSurfaces:
    """Searches the index of a bundle and a small exact one of the edits, as if they were one."""

    def __init__(
        self, base: SurfaceVectors, kb: LiveKnowledgeBase, *, views: Sequence[str] = VIEWS[:2]
    ) -> None:
        self._base = base
        self._views = views  # of which an entity has vectors
        self._kb = kb
        self._n_base = len(base)
        self._lock = threading.Lock()
        self._more = _More.empty(base.vectors(np.zeros(0, dtype=np.int64)).shape[1])
        self._n_taken = 0  # rows behind the base whose vectors are in it
        self._gone_rows: set[int] = set()  # of the base, whose positions are in what is next
        self._gone: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # positions in the base
        self._counts: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)  # of more: is it still so?
        self._seq = 0
        self._take()

    def __len__(self) -> int:
        return self._n_base + len(self._more.rows)

    def search(
        self, queries: NDArray[np.float32], *, k: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Positions of the k nearest surfaces of each query, (n, k), best first; -1 where fewer.

        Only among the positions that are ``allowed``, of which later ones are none.
        """
        self._take()
        before = None if allowed is None else allowed[: self._n_base]
        if not self._seq or not len(queries):
            return self._base.search(queries, k=k, allowed=before)
        with self._lock:
            more, gone, counts = self._more, self._gone, self._counts
        scores, positions = self._in_base(queries, k, before, gone)
        # row by row and not by BLAS, as everywhere: equal vectors get equal cosines
        cosines = np.stack([(more.vectors * query).sum(axis=1) for query in queries])
        if allowed is not None:
            behind = np.zeros(len(counts), dtype=np.bool_)
            known = allowed[self._n_base : self._n_base + len(counts)]
            behind[: len(known)] = known
            counts = counts & behind
        scores = np.hstack([scores, np.where(counts, cosines, -np.inf)])
        places = np.broadcast_to(np.arange(len(more.rows)) + self._n_base, cosines.shape)
        positions = np.hstack([positions, places])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(positions, order, axis=1)
        return np.where(np.take_along_axis(scores, order, axis=1) > -np.inf, best, -1)

    def _in_base(
        self,
        queries: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.bool_] | None,
        gone: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and positions of the nearest in the base, -inf where there are no more."""
        if len(gone) > _MANY:
            left = np.ones(self._n_base, dtype=np.bool_) if allowed is None else allowed.copy()
            left[gone] = False
            allowed, gone = left, gone[:0]
        n_fetch = max(1, min(self._n_base, k + len(gone)))
        scores, positions = self._base.index.search(queries, k=n_fetch, allowed=allowed)
        missing = np.isin(positions, gone) | (positions < 0)
        return np.where(missing, np.float32(-np.inf), scores), positions

    def rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The KB row of each position."""
        is_base = positions < self._n_base
        rows = np.empty(len(positions), dtype=np.int64)
        rows[is_base] = self._base.rows[positions[is_base]]
        rows[~is_base] = self._more.rows[positions[~is_base] - self._n_base]
        return rows

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of all surfaces of these entities."""
        more = self._more
        behind = np.flatnonzero(np.isin(more.rows, rows)) + self._n_base
        n_rows = len(self._kb.base)
        return np.concatenate([self._base.positions_of(rows[rows < n_rows]), behind])

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d)."""
        more = self._more
        is_base = positions < self._n_base
        found = self._base.vectors(positions[is_base])
        vectors = np.empty((len(positions), found.shape[1]), dtype=np.float32)
        vectors[is_base] = found
        if not is_base.all():
            vectors[~is_base] = more.vectors[positions[~is_base] - self._n_base]
        return vectors

    def match(self, surface: str, positions: NDArray[np.int64]) -> NameMatch:
        """How the surface's words lie in the names at these positions, which ascend."""
        n = int(np.searchsorted(positions, self._n_base))
        before = self._base.match(surface, positions[:n])
        if n == len(positions):
            return before
        return before.and_then(self._more.words.match(surface, positions[n:] - self._n_base))

    def _take(self) -> None:
        """Take in the vectors of entities that were edited since the last look."""
        edits = self._kb.refresh()
        if edits.seq == self._seq:
            return
        with self._lock:
            seq = edits.seq
            first = len(self._kb.base) + self._n_taken
            rows = list(range(first, edits.next_row))
            if rows:
                self._more = self._more.and_then(
                    [edits.vectors[row - len(self._kb.base)] for row in rows],
                    rows,
                    [view_names(edits.entity(row), self._views) for row in rows],
                )
                self._n_taken += len(rows)
            new = edits.gone_rows - self._gone_rows
            gone = self._base.positions_of(np.asarray(sorted(new), dtype=np.int64))
            self._gone = np.concatenate([self._gone, gone])
            self._gone_rows |= new
            counts = [edits.now(row) == row for row in self._more.rows.tolist()]
            self._counts = np.asarray(counts, dtype=np.bool_)
            self._seq = seq


class _More:
    """The vectors behind the base: never changed, only followed by a longer one."""

    def __init__(
        self, vectors: NDArray[np.float32], rows: NDArray[np.int64], words: NameWords
    ) -> None:
        self.vectors = vectors  # (n, d)
        self.rows = rows  # (n,) ascending
        self.words = words

    @classmethod
    def empty(cls, dim: int) -> _More:
        return cls(
            np.zeros((0, dim), dtype=np.float32), np.zeros(0, dtype=np.int64), NameWords.of([])
        )

    def and_then(
        self, vectors: list[NDArray[np.float32]], rows: list[int], names: list[list[str]]
    ) -> _More:
        """With the vectors of further rows, one for each of their names."""
        for own, its in zip(vectors, names, strict=True):
            assert len(own) == len(its), (own.shape, its)
        before = [self.vectors] if len(self.rows) else []
        repeated = np.repeat(np.asarray(rows, dtype=np.int64), [len(v) for v in vectors])
        words = NameWords.of([name for its in names for name in its])
        return _More(
            np.concatenate([*before, *vectors]),
            np.concatenate([self.rows, repeated]),
            self.words.and_then(words),
        )
