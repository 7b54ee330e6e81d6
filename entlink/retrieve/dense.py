"""The retriever: the entities nearest to a mention, with the holders of its very name among them.

An entity has one vector for each of its surfaces (ME, Luan et al. 2021); its score is the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.inputs import MentionInput, entity_inputs
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.retrieve.index import VectorIndex

_ENCODE_BATCH = 2048  # entities encoded at a time


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Candidates of one mention: distinct entities, by falling cosine, ties by row."""

    rows: NDArray[np.int64]  # (k,) rows of the KB
    cosines: NDArray[np.float32]  # (k,)
    priors: NDArray[np.float32]  # (k,) share of this surface's uses that mean this entity; 0 unknown
    is_alias: NDArray[np.bool_]  # (k,) does the KB know the surface as a name of this entity?


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
        """Map what ``save`` wrote."""
        rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
        return cls(VectorIndex.open(folder / "index.faiss"), rows)


class Retriever:
    """Mentions in, the nearest entities of the KB out."""

    def __init__(self, kb: KnowledgeBase, encoder: DualEncoder, surfaces: SurfaceVectors) -> None:
        self._kb = kb
        self._encoder = encoder
        self._surfaces = surfaces

    def retrieve(self, mentions: Sequence[MentionInput], *, k: int = 100) -> list[Retrieved]:
        """The k best entities of each mention; those that bear its very name are always kept."""
        queries = self._encoder.encode_mentions(mentions)
        n_fetch = min(2 * k + 20, len(self._surfaces.rows))  # surfaces: an entity may have several
        scores, positions = self._surfaces.index.search(queries, k=n_fetch)
        known = self._kb.by_aliases(list(dict.fromkeys(m.span for m in mentions)))
        return [
            self._merge(query, found, cosines, known[mention.span][:k], k)
            for mention, query, found, cosines in zip(
                mentions, queries, positions, scores, strict=True
            )
        ]

    def _merge(
        self,
        query: NDArray[np.float32],
        found: NDArray[np.int64],
        cosines: NDArray[np.float32],
        hits: Sequence[AliasHit],
        k: int,
    ) -> Retrieved:
        priors = {hit.row: hit.prior for hit in hits}
        alias_rows = np.asarray(sorted(priors), dtype=np.int64)
        at, alias_cosines = self._score_entities(query, alias_rows)
        rows = np.concatenate([self._surfaces.rows[found[found >= 0]], alias_rows[at]])
        scores = np.concatenate([cosines[found >= 0], alias_cosines])
        order = np.lexsort((rows, -scores))
        rows, scores = rows[order], scores[order]
        first = np.sort(np.unique(rows, return_index=True)[1])  # each entity at its best surface
        rows, scores = rows[first].astype(np.int64), scores[first]
        is_alias = np.isin(rows, alias_rows)
        room = k - int(is_alias.sum())
        kept = is_alias | (np.cumsum(~is_alias) <= room)
        rows = rows[kept]
        return Retrieved(
            rows=rows,
            cosines=scores[kept],
            priors=np.asarray([priors.get(int(row), 0.0) for row in rows], dtype=np.float32),
            is_alias=is_alias[kept],
        )

    def _score_entities(
        self, query: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Cosines of all surfaces of these entities, and which of ``rows`` each belongs to."""
        starts = np.searchsorted(self._surfaces.rows, rows)
        ends = np.searchsorted(self._surfaces.rows, rows, side="right")
        at = np.repeat(np.arange(len(rows)), ends - starts)
        positions = np.concatenate(
            [np.arange(a, b) for a, b in zip(starts, ends, strict=True)] or [np.zeros(0, np.int64)]
        )
        return at, (self._surfaces.index.vectors(positions.astype(np.int64)) @ query).astype(
            np.float32
        )
