"""Vectors in one byte a number, mapped from disk: what an approximate index is corrected by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LARGEST = 127


def to_codes(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Vectors (n, d) as int8 codes (n, d) and one scale each, (n,), which keeps their length."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    codes = np.rint(vectors * (_LARGEST / np.where(largest > 0, largest, 1.0))).astype(np.int8)
    lengths = np.sqrt(np.square(codes, dtype=np.float32).sum(axis=1))
    scales = np.linalg.norm(vectors, axis=1) / np.where(lengths > 0, lengths, 1.0)
    return codes, scales.astype(np.float32)


class StoredVectors:
    """Vectors by position; a unit vector comes back as one, its cosines within about 0.003."""

    def __init__(self, codes: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        self._codes = codes  # (n, d)
        self._scales = scales  # (n,)

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> StoredVectors:
        """Those of an array (n, d), in memory."""
        return cls(*to_codes(vectors))

    @classmethod
    def open(cls, folder: Path) -> StoredVectors:
        """Map vectors.npy and scales.npy. Raises OSError, ValueError or EOFError if not whole."""
        codes = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        scales = np.load(folder / "scales.npy", mmap_mode="r", allow_pickle=False)
        if codes.dtype != np.int8 or codes.ndim != 2 or scales.dtype != np.float32:
            raise ValueError("vectors.npy holds something else")
        if scales.shape != codes.shape[:1]:
            raise ValueError("vectors.npy and scales.npy do not fit")
        return cls(codes.view(np.ndarray), scales.view(np.ndarray))  # plain arrays, still mapped

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def dim(self) -> int:
        """d"""
        return int(self._codes.shape[1])

    def at(self, positions: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d)."""
        return self._codes[positions].astype(np.float32) * self._scales[positions][:, None]

    def scores(
        self, query: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The inner product of a query (d,) with each of these, (n,).

        Row by row and not by BLAS: equal vectors get equal scores, wherever they stand.
        """
        codes = self._codes[positions].astype(np.float32)
        return np.asarray((codes * query).sum(axis=1) * self._scales[positions])
