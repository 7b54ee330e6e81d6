"""Where documents stand for queries: by exact scores, and by scores of projected vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entlink.analyse.projection import project, shrink
from entlink.errors import ConfigError

if TYPE_CHECKING:
    from entlink.analyse.projection import Rows

_NUMBERS = 1 << 27  # held at a time: of projected documents
_CELLS = 1 << 22  # and of scores
_ROUNDING = 1e-5  # of a score


def best(queries: Rows, documents: Rows, *, k: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The k documents with the highest inner product: scores and places, (n, k), best first.

    Ties go by place. Exact; for projected vectors as for sparse ones.
    """
    if not 1 <= k <= documents.shape[0]:
        raise ConfigError(f"k is {k}; it must be from 1 to the {documents.shape[0]} documents")
    n = documents.shape[0]
    scores, places = [np.zeros((0, k))], [np.zeros((0, k), dtype=np.int64)]
    for some in batches(queries.shape[0], n):
        found = _scores(queries[some], documents)
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        scores.append(np.take_along_axis(found, order, axis=1))
        places.append(order)
    return np.concatenate(scores), np.concatenate(places)


def ranks_of(queries: Rows, documents: Rows, gold: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank, from 1, of each query's document ``gold``; ties go by place."""
    places = np.arange(documents.shape[0])
    found = np.ones(len(gold), dtype=np.int64)
    for some in batches(len(gold), documents.shape[0]):
        scores = _scores(queries[some], documents)
        own = scores[np.arange(len(scores)), gold[some]]
        found[some] += _ahead(scores, own, places, gold[some]).sum(axis=1)
    return found


def batches(n_queries: int, n_documents: int) -> list[slice]:
    """Queries in so few that their scores can be held."""
    n = max(1, _CELLS // max(1, n_documents))
    return [slice(start, start + n) for start in range(0, n_queries, n)]


def projected_ranks(
    queries: Rows,
    documents: Rows,
    gold: NDArray[np.int64],
    *,
    sizes: Sequence[int],
    kind: str = "gaussian",
    seed: int = 0,
) -> NDArray[np.int64]:
    """The same after a random projection to each of the sizes: (n, len(sizes)).

    One projection, of which the smaller sizes are the first columns. Documents are projected a
    batch at a time, so that memory does not grow with their number.
    """
    most = max(sizes)
    small = [shrink(project(queries, most, kind=kind, seed=seed), k) for k in sizes]
    chosen = project(documents[gold], most, kind=kind, seed=seed)
    own = [(q * shrink(chosen, k)).sum(axis=1) for q, k in zip(small, sizes, strict=True)]
    before = np.zeros((len(gold), len(sizes)), dtype=np.int64)
    n = max(1, _NUMBERS // most)
    for start in range(0, documents.shape[0], n):
        batch = project(documents[start : start + n], most, kind=kind, seed=seed)
        places = np.arange(start, start + len(batch))
        for column, (q, k) in enumerate(zip(small, sizes, strict=True)):
            scores = q @ shrink(batch, k).T
            before[:, column] += _ahead(scores, own[column], places, gold).sum(axis=1)
    return before + 1


def overlaps(
    queries: Rows,
    documents: Rows,
    *,
    k: int,
    sizes: Sequence[int],
    kind: str = "gaussian",
    seed: int = 0,
) -> NDArray[np.float64]:
    """How much of each query's k best documents is among its k best after a projection.

    (n, len(sizes)), from 0 to 1: the projected vectors' retrieval beside that of exact ones.
    """
    most = max(sizes)
    small, large = (project(rows, most, kind=kind, seed=seed) for rows in (queries, documents))
    _, exact = best(queries, documents, k=k)
    found = np.zeros((len(exact), len(sizes)))
    for column, size in enumerate(sizes):
        _, places = best(shrink(small, size), shrink(large, size), k=k)
        pairs = zip(exact, places, strict=True)
        found[:, column] = [len(np.intersect1d(a, b)) / k for a, b in pairs]
    return found


def _ahead(
    scores: NDArray[Any], own: NDArray[Any], places: NDArray[np.int64], gold: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which documents, at these places, come before the gold one, whose score is ``own`` (n,).

    Scores that differ by rounding alone are equal: of equal documents the first comes first.
    """
    gap = scores - own[:, None]
    is_equal = np.abs(gap) <= _ROUNDING * np.abs(own)[:, None]
    return np.asarray(np.where(is_equal, places[None, :] < gold[:, None], gap > 0))


def _scores(queries: Rows, documents: Rows) -> NDArray[Any]:
    product: Any = queries @ documents.T
    return np.asarray(product if isinstance(product, np.ndarray) else product.toarray())
