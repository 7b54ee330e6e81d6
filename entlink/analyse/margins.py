"""Normalised margins: how clearly a query tells its document from another (Luan et al. 2021).

    margin(q, d1, d2) = (<q, d1> - <q, d2>) / (|q| |d1 - d2|)

It is the cosine of the angle between q and d1 - d2, so from -1 to 1; the smaller, the more
dimensions a random projection needs to keep d1 before d2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entlink.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from entlink.analyse.projection import Rows

Floats = NDArray[np.float64]
ORDERS = (10, 100, 1000)


def margin(q: NDArray[Any], d1: NDArray[Any], d2: NDArray[Any]) -> float:
    """Of one query and two documents, each (d,); 0 where there is nothing to tell apart."""
    length = float(np.linalg.norm(q)) * float(np.linalg.norm(d1 - d2))
    return float(q @ d1 - q @ d2) / length if length else 0.0


def margins_of(queries: Rows, documents: Rows, gold: NDArray[np.int64]) -> Floats:
    """Of each query's document ``gold`` (n,) against all others: (n, n_documents), NaN at gold.

    Rows are vectors, dense or sparse, of any length. Only inner products and lengths are computed,
    since |d1 - d2|^2 = |d1|^2 + |d2|^2 - 2 <d1, d2>.
    """
    queries, documents = queries.astype(np.float64), documents.astype(np.float64)
    chosen = documents[gold]
    scores = _dense(queries @ documents.T)
    between = _dense(chosen @ documents.T)
    squares, own = _squares(documents), _squares(chosen)
    distances = np.sqrt(np.maximum(own[:, None] + squares[None, :] - 2 * between, 0.0))
    # of equal documents rounding may leave a little, which would blow up what it divides
    distances[distances < 1e-6 * np.sqrt(np.maximum(own, 1e-30))[:, None]] = 0.0
    lengths = np.sqrt(_squares(queries))[:, None] * distances
    differences = scores[np.arange(len(gold)), gold][:, None] - scores
    found = np.divide(differences, lengths, out=np.zeros_like(differences), where=lengths > 0)
    found[np.arange(len(gold)), gold] = np.nan
    return np.asarray(np.clip(found, -1.0, 1.0))


def smallest(found: Floats, orders: Sequence[int] = ORDERS) -> Floats:
    """The r-th smallest margin of each query for each r of ``orders``: (n, len(orders)).

    NaN where a query has fewer margins.
    """
    n = found.shape[1]
    result = np.full((len(found), len(orders)), np.nan)
    for column, order in enumerate(orders):
        if order < 1:
            raise ConfigError(f"an order of margins is {order}; the smallest is the 1st")
        if order < n:  # NaN, that of the document itself, is sorted last
            result[:, column] = np.partition(found, order - 1, axis=1)[:, order - 1]
    return result


@dataclass(frozen=True, slots=True)
class LengthGroup:
    """Texts of like length, and their margins."""

    shortest: int  # words, inclusive
    longest: int
    n: int
    smallest: dict[int, float]  # the mean of the r-th smallest margin, by r


def by_length(
    found: Floats,
    lengths: NDArray[np.int64],
    *,
    n_groups: int = 5,
    orders: Sequence[int] = ORDERS,
) -> list[LengthGroup]:
    """The margins of queries grouped by the length, (n,), of their document's text.

    Groups are of like size; those of one length stay together. Orders beyond the number of
    documents are left out.
    """
    values = smallest(found, orders)
    groups = []
    for chosen in length_groups(lengths, n_groups=n_groups):
        means = {
            order: float(values[chosen, column].mean())
            for column, order in enumerate(orders)
            if np.isfinite(values[chosen, column]).all()
        }
        own = lengths[chosen]
        groups.append(LengthGroup(int(own.min()), int(own.max()), len(own), means))
    return groups


def length_groups(lengths: NDArray[np.int64], *, n_groups: int) -> list[NDArray[np.int64]]:
    """The places of texts in groups of rising length; never two groups for one length."""
    if n_groups < 1:
        raise ConfigError(f"n_groups is {n_groups}; it must be at least 1")
    if not len(lengths):
        return []
    ordered = np.sort(lengths)
    ends = (
        np.searchsorted(ordered, lengths, side="left"),
        np.searchsorted(ordered, lengths, "right"),
    )
    group = (ends[0] + ends[1]) * n_groups // (2 * len(lengths))  # by the middle of its equals
    return [np.flatnonzero(group == number) for number in np.unique(group)]


def margins_frame(groups: Sequence[LengthGroup]) -> pd.DataFrame:
    """One row a group: shortest, longest, n, and a column for each order."""
    import pandas as pd

    rows = [
        {"shortest": g.shortest, "longest": g.longest, "n": g.n}
        | {f"margin_{order}": value for order, value in g.smallest.items()}
        for g in groups
    ]
    return pd.DataFrame(rows)


def _squares(rows: Rows) -> Floats:
    if isinstance(rows, np.ndarray):
        return np.asarray((rows.astype(np.float64) ** 2).sum(axis=1))
    return np.asarray(rows.multiply(rows).sum(axis=1), dtype=np.float64).ravel()


def _dense(product: Any) -> Floats:
    dense = product if isinstance(product, np.ndarray) else product.toarray()
    return np.asarray(dense, dtype=np.float64)
