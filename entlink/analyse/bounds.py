"""How large a random projection must be so that the order of scores survives it.

Johnson-Lindenstrauss sizes after Luan et al. (2021, "Sparse, Dense, and Attentional
Representations for Text Retrieval"); ``eps`` is always a normalised margin (see margins.py).
The bounds hold for Gaussian and Rademacher projections.
"""

from __future__ import annotations

import math

from entlink.errors import ConfigError

_FAR = 1 << 60  # sizes beyond it are "never"


def pair_size(eps: float, *, beta: float) -> int:
    """The least k > 12 / eps^2 * ln(4 / beta).

    With it, P(<Aq, Ad1> <= <Aq, Ad2>) <= beta for two documents with normalised margin ``eps``.
    """
    _check(eps, beta)
    return math.floor(min(12 / eps**2 * math.log(4 / beta), float(_FAR))) + 1


def pair_failure(eps: float, *, k: int) -> float:
    """The bound on the probability that k dimensions turn two documents round; at most 1."""
    _check(eps, 0.5)
    return min(1.0, 4 * math.exp(-k * eps**2 / 12))


def recall_size(eps: float, *, n_documents: int, r0: int, beta: float) -> int:
    """The least k >= 2 / (eps^2/2 - eps^3/3) * ln(4 (|D| - r0 + 1) / beta).

    With it, a document of the ``n_documents`` = |D| whose r0-th smallest normalised margin against
    the others is ``eps`` stays among the first r0 with probability 1 - beta.
    """
    _check(eps, beta)
    needed = 2 / _rate(eps) * math.log(4 * _pairs(n_documents, r0) / beta)
    return math.ceil(min(needed, float(_FAR)))


def recall_failure(eps: float, *, n_documents: int, r0: int, k: int) -> float:
    """The bound on the probability that k dimensions lose the document; at most 1."""
    _check(eps, 0.5)
    return min(1.0, 4 * _pairs(n_documents, r0) * math.exp(-k * _rate(eps) / 2))


def least_margin(k: int, *, n_documents: int, r0: int, beta: float) -> float:
    """The least margin for which k dimensions are enough by the bound; inf if none is."""
    if k < 1:
        raise ConfigError(f"k is {k}; a projection has at least 1 dimension")
    if recall_size(1.0, n_documents=n_documents, r0=r0, beta=beta) > k:
        return math.inf
    low, high = 0.0, 1.0  # enough at high, not at low
    while high - low > 1e-12:
        middle = (low + high) / 2
        enough = recall_size(middle, n_documents=n_documents, r0=r0, beta=beta) <= k
        low, high = (low, middle) if enough else (middle, high)
    return high


def _rate(eps: float) -> float:
    return eps**2 / 2 - eps**3 / 3


def _pairs(n_documents: int, r0: int) -> int:
    if not 1 <= r0 <= n_documents:
        raise ConfigError(f"r0 is {r0}; it must be from 1 to the {n_documents} documents")
    return n_documents - r0 + 1


def _check(eps: float, beta: float) -> None:
    if not 0 < eps <= 1:
        raise ConfigError(f"the margin is {eps}; it must be over 0 and at most 1")
    if not 0 < beta < 1:
        raise ConfigError(f"beta is {beta}; it must be between 0 and 1")
