"""The retriever: the entities nearest to a mention, with the holders of its very name among them.

An entity has one vector for each of its surfaces (ME, Luan et al. 2021); its score is their best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink.decide import Evidence
from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, reason
from entlink.inputs import MentionInput, entity_inputs
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.retrieve.index import VectorIndex

_ENCODE_BATCH = 2048  # entities encoded at a time
_DOUBT = 2.0  # uses of a name that mean none of the known entities, assumed beside those counted


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates of one mention: distinct entities, by falling cosine, ties by row."""

    rows: NDArray[np.int64]  # (k,) rows of the KB
    cosines: NDArray[np.float32]  # (k,)
    priors: NDArray[np.float32]  # (k,) share of this surface's uses that mean it; 0 if unknown
    counts: NDArray[np.int32]  # (k,) the uses on which that rests: those that mean this entity
    is_alias: NDArray[np.bool_]  # (k,) does the KB know the surface as a name of it?


@dataclass(frozen=True, slots=True)
class SurfaceVectors:
    """The index over all surfaces of all entities, and whose each vector is."""

    index: VectorIndex
    rows: NDArray[np.int32]  # (n_surfaces,) KB row of each vector, ascending

    @classmethod
    def build(cls, kb: KnowledgeBase, encoder: DualEncoder) -> SurfaceVectors:
        """Encode the whole KB, a batch of entities at a time."""
        vectors: list[NDArray[np.float32]] = []
        rows: list[int] = []
        row = 0
        for entities in kb.iterate(batch_size=_ENCODE_BATCH):
            items = [entity_inputs(entity) for entity in entities]
            for surfaces in items:
                rows += [row] * len(surfaces)
                row += 1
            vectors.append(encoder.encode_entities([item for many in items for item in many]))
        joined = np.concatenate(vectors) if vectors else encoder.encode_entities([])
        return cls(VectorIndex.build(joined), np.asarray(rows, dtype=np.int32))

    def save(self, folder: Path) -> None:
        """Write index.faiss and rows.npy."""
        self.index.save(folder / "index.faiss")
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> SurfaceVectors:
        """Map what ``save`` wrote. Raises BundleError if it is not whole."""
        index = VectorIndex.open(folder / "index.faiss")
        try:
            rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BundleError(
                f"{folder / 'rows.npy'}: cannot be read ({reason(error)}); delete its folder and it"
                " is made again"
            ) from error
        if rows.shape != (len(index),) or rows.dtype != np.int32:
            raise BundleError(f"{folder}: its files do not fit; delete it and it is made again")
        return cls(index, rows)


class Retriever:
    """Mentions in, the nearest entities of the KB out."""

    def __init__(self, kb: KnowledgeBase, encoder: DualEncoder, surfaces: SurfaceVectors) -> None:
        self._kb = kb
        self._encoder = encoder
        self._surfaces = surfaces

    def retrieve(self, mentions: Sequence[MentionInput], *, k: int = 100) -> list[Retrieved]:
        """The k best entities of each mention, fewer only where the KB has fewer.

        Those that bear the mention's very name are always among them (of more than k, the k first).
        """
        queries = self._encoder.encode_mentions(mentions)
        nearest = self._nearest(queries, k)
        bearers = self._kb.by_aliases(list(dict.fromkeys(m.span for m in mentions)))
        return [
            self._merge(query, positions, bearers[mention.span], k)
            for mention, query, positions in zip(mentions, queries, nearest, strict=True)
        ]

    def rank(
        self, mentions: Sequence[MentionInput], candidates: Sequence[NDArray[np.int64]]
    ) -> list[Retrieved]:
        """The candidates given for each mention, as rows of the KB, in place of the nearest."""
        queries = self._encoder.encode_mentions(mentions)
        bearers = self._kb.by_aliases(list(dict.fromkeys(m.span for m in mentions)))
        return [
            _retrieved(
                *self._by_cosine(query, self._positions_of(np.unique(rows))), bearers[m.span]
            )
            for m, query, rows in zip(mentions, queries, candidates, strict=True)
        ]

    def evidence(self, found: Retrieved) -> Evidence:
        """What the decision's first model looks at. A prior that rests on few uses counts less."""
        n_uses = found.counts / np.maximum(found.priors, 1e-6)
        return Evidence(
            cosines=found.cosines,
            is_alias=found.is_alias,
            priors=(found.counts / (n_uses + _DOUBT)).astype(np.float32),
            popularity=self._kb.popularity[found.rows],
            degree=self._kb.degree[found.rows],
        )

    def _nearest(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """The positions of each query's nearest surfaces, so many that k entities have one."""
        rows, index = self._surfaces.rows, self._surfaces.index
        n_fetch = min(2 * k + 20, len(rows))  # enough for nearly all: few have over two surfaces
        _, found = index.search(queries, k=n_fetch)
        nearest = [positions[positions >= 0] for positions in found]
        while n_fetch < len(rows):
            short = [
                i for i, positions in enumerate(nearest) if len(np.unique(rows[positions])) < k
            ]
            if not short:
                break
            n_fetch = min(4 * n_fetch, len(rows))
            _, found = index.search(queries[short], k=n_fetch)
            for i, positions in zip(short, found, strict=True):
                nearest[i] = positions[positions >= 0]
        return nearest

    def _merge(
        self,
        query: NDArray[np.float32],
        nearest: NDArray[np.int64],
        hits: Sequence[AliasHit],
        k: int,
    ) -> Retrieved:
        bearers = np.asarray(sorted(hit.row for hit in hits[:k]), dtype=np.int64)
        positions = np.union1d(nearest, self._positions_of(bearers))
        rows, cosines = self._by_cosine(query, positions)
        is_kept = np.isin(rows, bearers)
        is_kept |= np.cumsum(~is_kept) <= k - int(is_kept.sum())
        return _retrieved(rows[is_kept], cosines[is_kept], hits)

    def _by_cosine(
        self, query: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and cosines of the entities at these positions, each once, at its best surface."""
        rows = self._surfaces.rows[positions].astype(np.int64)
        # Row by row and not by BLAS: equal vectors get equal cosines, wherever in the KB they stand
        # and however many mentions are linked at once, so that their order is always the same.
        cosines = (self._surfaces.index.vectors(positions) * query).sum(axis=1)
        order = np.lexsort((rows, -cosines))
        rows, cosines = rows[order], cosines[order]
        best = np.sort(np.unique(rows, return_index=True)[1])
        return rows[best], cosines[best]

    def _positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of all surfaces of these entities."""
        starts = np.searchsorted(self._surfaces.rows, rows)
        ends = np.searchsorted(self._surfaces.rows, rows, side="right")
        ranges = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *ranges])


def _retrieved(
    rows: NDArray[np.int64], cosines: NDArray[np.float32], hits: Sequence[AliasHit]
) -> Retrieved:
    known = {hit.row: hit for hit in hits}
    found = [known.get(row) for row in rows.tolist()]
    return Retrieved(
        rows=rows,
        cosines=cosines,
        priors=np.asarray([hit.prior if hit else 0.0 for hit in found], np.float32),
        counts=np.asarray([hit.count if hit else 0 for hit in found], np.int32),
        is_alias=np.asarray([hit is not None for hit in found], dtype=np.bool_),
    )
