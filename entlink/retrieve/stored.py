"""Vectors in one byte a number, on disk: what an approximate index is corrected by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

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

    def __init__(
        self,
        codes: NDArray[np.int8],
        scales: NDArray[np.float32],
        *,
        file: BinaryIO | None = None,
        begin: int = 0,
    ) -> None:
        self._codes = codes  # (n, d)
        self._scales = scales  # (n,)
        self._file = file if hasattr(os, "pread") else None  # which holds the codes from `begin` on
        self._begin = begin

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
        file = (folder / "vectors.npy").open("rb", buffering=0)
        # plain arrays, still mapped
        plain = codes.view(np.ndarray), scales.view(np.ndarray)
        return cls(*plain, file=file, begin=codes.offset)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def dim(self) -> int:
        """d"""
        return int(self._codes.shape[1])

    def at(self, positions: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """The vectors at these positions, (n, d)."""
        return self._read(positions).astype(np.float32) * self._scales[positions][:, None]

    def scores(
        self, query: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The inner product of a query (d,) with each of these, (n,).

        Row by row and not by BLAS: equal vectors get equal scores, wherever they stand.
        """
        codes = self._read(positions).astype(np.float32)
        return np.asarray((codes * query).sum(axis=1) * self._scales[positions])

    def _read(self, positions: NDArray[np.int64] | slice) -> NDArray[np.int8]:
        """The codes at these positions, (n, d).

        Scattered rows of a file are read one by one: of a mapped file the system would keep many
        pages around each.
        """
        if self._file is None or isinstance(positions, slice):
            return self._codes[positions]
        file, size = self._file.fileno(), self.dim
        places = (positions * size + self._begin).tolist()
        read = b"".join([os.pread(file, size, place) for place in places])
        return np.frombuffer(read, dtype=np.int8).reshape(-1, size)
