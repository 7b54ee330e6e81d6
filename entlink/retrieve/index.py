"""Nearest vectors through FAISS: the only module that imports it. Scores are cosines.

(Inner products, that is: of unit vectors, which all are but those of encoders that score so.)
An exact index holds the vectors, and all are compared (exact.py). An approximate one finds some
times as many as it is asked for, and they are put in order, and given their scores, by vectors that
are stored beside it.
"""

from __future__ import annotations

import math
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entlink.errors import BundleError, ConfigError, reason
from entlink.retrieve.exact import nearest
from entlink.retrieve.index_config import CONFIG_NAME, IndexConfig
from entlink.retrieve.stored import StoredVectors

_FEW = 20_000  # so many allowed vectors are compared one by one
_MANY = 8  # queries from which on PyTorch is faster at comparing all than FAISS
_ADDED = 1 << 16  # vectors that are read from the store at a time


class VectorIndex:
    """Vectors, searched by inner product."""

    def __init__(
        self, index: Any, *, stored: StoredVectors | None = None, rescore: int = 1
    ) -> None:
        self._index = index
        self._stored = stored
        self._rescore = rescore  # times as many are found as asked for
        self._exact = None if stored is not None else _held(index)  # (n, d)
        core = _core(index)
        self._nprobe = getattr(core, "nprobe", None)  # of IVF
        self._ef = core.hnsw.efSearch if hasattr(core, "hnsw") else None  # of HNSW

    @classmethod
    def build(cls, vectors: NDArray[np.float32], *, factory: str = "Flat") -> VectorIndex:
        """Index unit vectors (n, d); ``factory`` is for faiss.index_factory, "Flat" is exact."""
        index = _empty(vectors.shape[1], factory)
        if not index.is_trained:
            index.train(vectors)
        index.add(np.ascontiguousarray(vectors))
        return cls(index)

    @classmethod
    def over(cls, stored: StoredVectors, config: IndexConfig, *, seed: int = 0) -> VectorIndex:
        """Index stored vectors, a part at a time; what has to be trained is trained on a sample.

        Raises ConfigError where there are too few vectors for such an index.
        """
        index = _empty(stored.dim, config.factory)
        if not index.is_trained:
            n = min(len(stored), config.n_train)
            places = np.random.default_rng(seed).choice(len(stored), n, replace=False)
            try:
                index.train(stored.at(np.sort(places)))
            except RuntimeError as error:
                raise ConfigError(
                    f"an index {config.factory!r} cannot be made of {len(stored)} vectors "
                    f"({_said(error)}); use another, or flat"
                ) from error
        _set(index, config)
        for begin in range(0, len(stored), _ADDED):
            index.add(stored.at(slice(begin, begin + _ADDED)))
        return cls(index, stored=stored, rescore=config.rescore)

    @classmethod
    def open(
        cls, path: Path, *, stored: StoredVectors | None = None, config: IndexConfig | None = None
    ) -> VectorIndex:
        """Map an index file into memory rather than read it; with ``stored`` as `over` makes it."""
        faiss: Any = import_module("faiss")
        try:
            # the one flag maps the lists of an IVF, the other all else
            flag = faiss.IO_FLAG_MMAP if config and config.is_ivf else faiss.IO_FLAG_MMAP_IFC
            index = faiss.read_index(str(path), flag)
            if config is not None:
                _set(index, config)
        except (RuntimeError, ConfigError) as error:
            raise BundleError(
                f"{path}: not a readable index; delete its folder and it is built again"
            ) from error
        if stored is not None and len(stored) != index.ntotal:
            raise BundleError(
                f"{path}: not for the vectors beside it; delete its folder and it is built again"
            )
        return cls(index, stored=stored, rescore=config.rescore if config else 1)

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

        Where fewer than k are found, the rest have position -1. Only those at positions that are
        ``allowed``, (n_vectors,), are looked at.
        """
        if not len(queries):
            return np.zeros((0, k), dtype=np.float32), np.zeros((0, k), dtype=np.int64)
        queries = np.ascontiguousarray(queries)
        if self._exact is not None and len(queries) >= _MANY:
            return nearest(self._exact, queries, k=k, allowed=allowed)
        n_allowed = len(self) if allowed is None else int(np.count_nonzero(allowed))
        if self._stored is not None and allowed is not None and n_allowed <= _FEW:
            few = np.flatnonzero(allowed)
            found = np.broadcast_to(few, (len(queries), len(few)))
            return self._in_order(self._stored, queries, found, k)
        parameters = None if allowed is None else self._parameters(allowed, n_allowed)
        if self._stored is None:
            scores, positions = self._index.search(queries, k, params=parameters)
            return scores, positions
        n_fetch = max(1, min(k * self._rescore, n_allowed))
        _, found = self._index.search(queries, n_fetch, params=parameters)
        return self._in_order(self._stored, queries, found, k)

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d); of a compressed index, as near as it has them."""
        if self._stored is not None:
            return self._stored.at(positions)
        if self._exact is not None:
            return self._exact[positions]
        if not len(positions):
            return np.zeros((0, self._index.d), dtype=np.float32)
        return np.asarray(self._index.reconstruct_batch(positions))

    def _in_order(
        self,
        stored: StoredVectors,
        queries: NDArray[np.float32],
        found: NDArray[np.int64],
        k: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k best of what was found for each query, by the stored vectors; ties by position."""
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        for row, (query, places) in enumerate(zip(queries, found, strict=True)):
            some = np.sort(places[places >= 0])
            exact = stored.scores(query, some)
            best = np.argsort(-exact, kind="stable")[:k]
            scores[row, : len(best)], positions[row, : len(best)] = exact[best], some[best]
        return scores, positions

    def _parameters(self, allowed: NDArray[np.bool_], n_allowed: int) -> Any:
        """The fewer are allowed, the further it has to look to find as many."""
        faiss: Any = import_module("faiss")  # its type hints know only half of these
        chosen = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        further = len(self) / max(1, n_allowed)
        core = _core(self._index)
        if self._nprobe is not None:
            n_lists = min(core.nlist, math.ceil(self._nprobe * further))
            inner = faiss.SearchParametersIVF(sel=chosen, nprobe=n_lists)
        elif self._ef is not None:
            wide = min(len(self), math.ceil(self._ef * further))
            inner = faiss.SearchParametersHNSW(sel=chosen, efSearch=wide)
        else:
            inner = faiss.SearchParameters(sel=chosen)
        if isinstance(faiss.downcast_index(self._index), faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(index_params=inner)
        return inner


def open_index(folder: Path, config: IndexConfig | None = None) -> VectorIndex:
    """Map the index in a folder: index.faiss, and what belongs to it if it is approximate.

    It is searched as it was made to be, or by another ``config`` of the same factory. Raises
    BundleError if it is not whole.
    """
    file, settings = folder / "index.faiss", folder / CONFIG_NAME
    if not settings.exists() and not (folder / "vectors.npy").exists():
        return VectorIndex.open(file)
    config = config or IndexConfig.load(settings)
    try:
        stored = StoredVectors.open(folder)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(
            f"{folder}: cannot be read ({reason(error)}); delete it and it is made again"
        ) from error
    return VectorIndex.open(file, stored=stored, config=config)


def check_factory(factory: str, *, dim: int) -> None:
    """Raise ConfigError if faiss knows no such index of vectors (dim,)."""
    _empty(dim, factory)


def use_threads(n_threads: int) -> None:
    """Limit FAISS to so many threads."""
    import faiss

    faiss.omp_set_num_threads(n_threads)


def _empty(dim: int, factory: str) -> Any:
    import faiss

    try:
        return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ConfigError(
            f"no index {factory!r} for vectors of {dim} numbers ({_said(error)}); try flat, hnsw "
            "or ivfpq, or see docs/scale.md"
        ) from error


def _core(index: Any) -> Any:
    """The index itself, without what turns vectors before it."""
    faiss: Any = import_module("faiss")
    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index


def _held(index: Any) -> NDArray[np.float32] | None:
    """The vectors of an exact index, (n, d), where they lie; None of any other."""
    faiss: Any = import_module("faiss")
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexFlat):
        return None
    held = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return np.asarray(held, dtype=np.float32).reshape(index.ntotal, index.d)


def _set(index: Any, config: IndexConfig) -> None:
    """How far a search looks; and that it starts no threads to read ahead."""
    faiss: Any = import_module("faiss")
    if config.search:
        try:
            faiss.ParameterSpace().set_index_parameters(index, config.search)
        except RuntimeError as error:
            raise ConfigError(
                f"an index {config.factory!r} has no {config.search!r} ({_said(error)}); name "
                "nprobe of an IVF, efSearch of an HNSW"
            ) from error
    if config.is_ivf:
        lists = faiss.downcast_InvertedLists(_core(index).invlists)
        if isinstance(lists, faiss.OnDiskInvertedLists):
            lists.prefetch_nthread = 0


def _said(error: RuntimeError) -> str:
    """What faiss says, without the place in its source."""
    return str(error).strip().splitlines()[-1].split("Error: ")[-1].strip()
