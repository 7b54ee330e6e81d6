"""Nearest vectors through FAISS: the only module that imports it. Scores are cosines."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entlink.errors import BundleError


class VectorIndex:
    """Unit vectors, searched by inner product."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: NDArray[np.float32], *, factory: str = "Flat") -> VectorIndex:
        """Index unit vectors (n, d); ``factory`` is for faiss.index_factory, "Flat" is exact."""
        import faiss

        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(np.ascontiguousarray(vectors))
        return cls(index)

    @classmethod
    def open(cls, path: Path) -> VectorIndex:
        """Map an index file into memory rather than read it."""
        import faiss

        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))
        except RuntimeError as error:
            raise BundleError(
                f"{path}: not a readable index; delete its folder and it is built again"
            ) from error

    def save(self, path: Path) -> None:
        """Write the index file, whole or not at all."""
        import faiss

        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        faiss.write_index(self._index, str(temporary))
        os.replace(temporary, path)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: NDArray[np.float32], *, k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest vectors of each query: cosines and positions, both (n, k), best first.

        Where fewer than k exist, the rest have position -1. Only those at positions that are
        ``allowed``, (n_vectors,), are looked at.
        """
        if not len(queries):
            return np.zeros((0, k), dtype=np.float32), np.zeros((0, k), dtype=np.int64)
        queries = np.ascontiguousarray(queries)
        if allowed is None:
            scores, positions = self._index.search(queries, k)
        else:
            scores, positions = self._index.search(queries, k, params=self._parameters(allowed))
        return scores, positions

    def _parameters(self, allowed: NDArray[np.bool_]) -> Any:
        faiss: Any = import_module("faiss")  # its type hints know only half of these
        chosen = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        index = faiss.downcast_index(self._index)
        if isinstance(index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=chosen, nprobe=index.nprobe)
        if isinstance(index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(sel=chosen, efSearch=index.hnsw.efSearch)
        return faiss.SearchParameters(sel=chosen)

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d); of a compressed index, as near as it has them."""
        if not len(positions):
            return np.zeros((0, self._index.d), dtype=np.float32)
        return np.asarray(self._index.reconstruct_batch(positions))


def use_threads(n_threads: int) -> None:
    """Limit FAISS to so many threads."""
    import faiss

    faiss.omp_set_num_threads(n_threads)
