"""The vectors of all surfaces of all entities, and whose each is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, reason
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.index import VectorIndex, open_index
from entlink.retrieve.words import NameMatch, NameWords

_ENCODE_BATCH = 2048  # entities encoded at a time


@dataclass(frozen=True, slots=True)
class SurfaceVectors:
    """The index over all surfaces of all entities, and whose each vector is."""

    index: VectorIndex
    rows: NDArray[np.int32]  # (n_surfaces,) KB row of each vector, ascending
    words: NameWords  # of each surface

    @classmethod
    def build(cls, kb: KnowledgeBase, encoder: DualEncoder) -> SurfaceVectors:
        """Encode the whole KB as it was built, a batch of entities at a time."""
        vectors: list[NDArray[np.float32]] = []
        rows: list[int] = []
        names: list[str] = []
        row = 0
        for entities in kb.base.iterate(batch_size=_ENCODE_BATCH):
            items = [encoder.inputs_of(entity) for entity in entities]
            for surfaces in items:
                rows += [row] * len(surfaces)
                names += [surface.name for surface in surfaces]
                row += 1
            vectors.append(encoder.encode_entities([item for many in items for item in many]))
        joined = np.concatenate(vectors) if vectors else encoder.encode_entities([])
        words = NameWords.of(names)
        return cls(VectorIndex.build(joined), np.asarray(rows, dtype=np.int32), words)

    def save(self, folder: Path) -> None:
        """Write index.faiss, rows.npy and the words."""
        self.index.save(folder / "index.faiss")
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)
        self.words.save(folder)

    @classmethod
    def open(cls, folder: Path) -> SurfaceVectors:
        """Map what ``save`` wrote. Raises BundleError if it is not whole."""
        index = open_index(folder)
        try:
            rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
            words = NameWords.open(folder)
        except (OSError, ValueError, EOFError) as error:
            raise BundleError(
                f"{folder}: cannot be read ({reason(error)}); delete it and it is made again"
            ) from error
        if rows.shape != (len(index),) or rows.dtype != np.int32 or len(words) != len(index):
            raise BundleError(f"{folder}: its files do not fit; delete it and it is made again")
        return cls(index, rows, words)

    def __len__(self) -> int:
        return len(self.rows)

    def search(
        self, queries: NDArray[np.float32], *, k: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Positions of the k nearest surfaces of each query, (n, k), best first; -1 where fewer.

        Only among the positions that are ``allowed``, (n_surfaces,).
        """
        return self.index.search(queries, k=k, allowed=allowed)[1]

    def rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The KB row of each position."""
        return self.rows[positions].astype(np.int64)

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of all surfaces of these entities."""
        rows = rows.astype(self.rows.dtype)  # else all of them would be turned into the other
        starts = np.searchsorted(self.rows, rows)
        ends = np.searchsorted(self.rows, rows, side="right")
        ranges = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *ranges])

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d)."""
        return self.index.vectors(positions)

    def match(self, surface: str, positions: NDArray[np.int64]) -> NameMatch:
        """How the surface's words lie in the names at these positions."""
        return self.words.match(surface, positions)


class Surfaces(Protocol):
    """What the retriever asks of vectors; `SurfaceVectors` has it, and what edits put beside it."""

    def __len__(self) -> int: ...

    def search(
        self, queries: NDArray[np.float32], *, k: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]: ...

    def rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]: ...

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]: ...

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]: ...

    def match(self, surface: str, positions: NDArray[np.int64]) -> NameMatch: ...
