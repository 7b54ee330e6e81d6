"""How sure are the figures: bootstrap over documents, and tests of two systems.

Mentions of one document stand or fall together, so documents and not mentions are drawn again
(Efron and Tibshirani 1993; for paired differences Koehn 2004). Of several sets each is drawn by
itself. The same seed draws the same documents, whatever is measured on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from entlink.evaluate.metrics import divide

N_RESAMPLES = 2000
_AT_A_TIME = 1 << 22  # numbers drawn at a time, so that many documents do not need much memory


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95% of what resampled documents give."""

    low: float
    high: float


_N = TypeVar("_N", np.int64, np.float64)


def resampled(counts: NDArray[_N], *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> NDArray[_N]:
    """Sums over documents drawn with replacement: (n_docs, m, 2) -> (n_resamples, m, 2)."""
    n_docs = len(counts)
    flat = counts.reshape(n_docs, -1)
    random = np.random.default_rng(seed)
    sums = np.zeros((n_resamples, flat.shape[1]), dtype=counts.dtype)
    step = max(1, _AT_A_TIME // max(n_docs, 1))
    for begin in range(0, n_resamples if n_docs else 0, step):
        some = sums[begin : begin + step]
        times = random.multinomial(n_docs, np.full(n_docs, 1 / n_docs), size=len(some))
        some[:] = times @ flat
    return sums.reshape(n_resamples, *counts.shape[1:])


def micro(sums: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Measures over all sets together: mentions weigh alike. (..., m, 2) each -> (..., m)."""
    return divide(np.sum(np.stack(sums), axis=0))


def macro(sums: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """The mean of the sets' measures: sets weigh alike; a set where nothing counts is left out."""
    values = np.stack([divide(s) for s in sums])
    known = np.isfinite(values)
    total, n = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    means: NDArray[np.float64] = np.full(total.shape, np.nan)
    np.divide(total, n, out=means, where=n > 0)
    return means


def interval(values: NDArray[np.float64], *, level: float = 0.95) -> Interval:
    """The middle ``level`` of resampled values (n,), by percentiles; NaN if there are none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def two_sided(differences: NDArray[np.float64]) -> float:
    """Share of resampled differences (n,) on the far side of zero, doubled, at least 1 / n."""
    known = differences[np.isfinite(differences)]
    if not len(known):
        return float("nan")
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, max(2 * tail, 1) / len(known))


def sign_test(n_only_a: int, n_only_b: int) -> float:
    """McNemar's exact test: the chance that a fair coin splits the disagreements so unevenly."""
    n, fewer = n_only_a + n_only_b, min(n_only_a, n_only_b)
    ways, total = 1, 1
    for i in range(fewer):
        ways = ways * (n - i) // (i + 1)
        total += ways
    # whole numbers to the end: two to the power of thousands is no float
    return min(1.0, 2 * total / (1 << n)) if n else 1.0
