"""Random projections Y = X R / sqrt(k), of dense and of sparse rows, with R never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from entlink.errors import ConfigError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Rows: TypeAlias = "NDArray[np.float32] | NDArray[np.float64] | csr_array"

KINDS = ("gaussian", "rademacher")
_BLOCK = 8192  # features whose rows of R are drawn together


def project(rows: Rows, k: int, *, kind: str = "gaussian", seed: int = 0) -> NDArray[np.float32]:
    """(n, d) -> (n, k) by R with entries N(0, 1) or, "rademacher", -1 and 1 with equal chance.

    The same seed and d give the same R, and its first columns whatever k is: a projection to fewer
    dimensions is the first columns of one to more, times sqrt(more / fewer) (see ``shrink``).
    """
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    if k < 1:
        raise ConfigError(f"k is {k}; a projection has at least 1 dimension")
    n, d = rows.shape
    result = np.zeros((n, k), dtype=np.float32)
    for start, part in _columns(rows, d):
        result += part @ directions(part.shape[1], k, block=start // _BLOCK, kind=kind, seed=seed)
    return np.asarray(result / np.sqrt(np.float32(k)), dtype=np.float32)


def directions(n: int, k: int, *, block: int, kind: str, seed: int) -> NDArray[np.float32]:
    """The rows of R, (n, k), for a block of n features."""
    generator = np.random.default_rng([seed, block])
    # a row of the draw is a dimension, so that more of them begin with the same ones
    if kind == "gaussian":
        drawn = generator.standard_normal((k, n), dtype=np.float32)
    else:
        drawn = (generator.random((k, n), dtype=np.float32) < 0.5).astype(np.float32) * 2 - 1
    return np.asarray(drawn.T)


def shrink(projected: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The projection to k dimensions that is part of one to more, (n, more) -> (n, k)."""
    more = projected.shape[1]
    if not 1 <= k <= more:
        raise ConfigError(f"k is {k}; it must be from 1 to {more}")
    return np.asarray(projected[:, :k] * np.sqrt(np.float32(more / k)), dtype=np.float32)


def _columns(rows: Rows, d: int) -> Iterator[tuple[int, Any]]:
    by_column: Any = rows if isinstance(rows, np.ndarray) else rows.tocsc()
    for start in range(0, d, _BLOCK):
        yield start, by_column[:, start : start + _BLOCK].astype(np.float32)
