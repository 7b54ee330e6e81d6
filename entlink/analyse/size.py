"""How big must a vector be? What a knowledge base's own texts ask for, and whether it holds."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from entlink.analyse.bounds import least_margin, recall_size
from entlink.analyse.margins import margins_of, smallest
from entlink.analyse.ranks import batches, projected_ranks, ranks_of
from entlink.analyse.sparse import SparseTexts
from entlink.encode.lexical import words_of
from entlink.errors import ConfigError, InputError
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity

if TYPE_CHECKING:
    import pandas as pd

    from entlink.analyse.projection import Rows

SIZES = (32, 64, 128, 256, 512, 1024)
N_QUERIES = 200
_TOLD = 6  # words of its description that a composed query tells


@dataclass(frozen=True, slots=True)
class SizePoint:
    """One size, measured on queries whose document is among the first r0 by exact scores."""

    k: int
    kept: float  # share that still has it there
    promised: float  # share for which the bound says so, each with probability 1 - beta
    broken: float  # share of those promised that lost it; the bound allows beta of them


@dataclass(frozen=True, slots=True)
class HowBig:
    """What vectors of each size keep, and the size to take."""

    n_documents: int
    n_queries: int
    r0: int
    keep: float  # what a size must keep to be recommended
    beta: float
    exact_recall: float  # recall@r0 of the scores that are projected
    margin: float  # that a share ``keep`` of those queries has at least (their r0-th smallest)
    bound: int | None  # dimensions that it asks for by the bound; None if none are enough
    recommended: int | None  # the least size that keeps so much; None if none of them does
    checked: float | None  # what that size keeps on other queries, by another projection
    points: tuple[SizePoint, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a size."""
        import pandas as pd

        return pd.DataFrame([asdict(point) for point in self.points])

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{self.n_documents:,} texts, {self.n_queries} queries; exact recall@{self.r0} "
            f"{self.exact_recall:.3f}"
        )
        yield f"{'k':>6}  {'kept':>6}  {'promised':>8}  {'broken':>6}"
        for p in self.points:
            yield f"{p.k:>6}  {p.kept:>6.3f}  {p.promised:>8.3f}  {p.broken:>6.3f}"
        if self.recommended is None:
            yield f"none of these sizes keeps {self.keep:.0%}; try larger ones"
        else:
            checked = "" if self.checked is None else f" (on other queries {self.checked:.1%})"
            yield f"{self.recommended} dimensions keep {self.keep:.0%}{checked}"
        if math.isinf(self.margin):
            yield f"any number of dimensions is enough: there are no more than {self.r0:,} texts"
            return
        asked = "no number of dimensions" if self.bound is None else f"{self.bound:,} dimensions"
        yield f"by the bound, a margin of {self.margin:.4f} asks for {asked}"


def how_big(
    kb: KnowledgeBase,
    *,
    queries: Sequence[tuple[str, str]] | None = None,
    weights: str = "bm25",
    r0: int = 10,
    keep: float = 0.95,
    beta: float = 0.05,
    sizes: Sequence[int] = SIZES,
    n_queries: int = N_QUERIES,
    kind: str = "gaussian",
    seed: int = 0,
) -> HowBig:
    """How many dimensions this knowledge base's texts need, after random projection.

    A vector of that size *can* hold what BM25 (or TF-IDF) tells apart by words, without any
    training; a trained one may do with less. ``queries`` are (text, entity id), for example
    mentions in context; without them each is composed of an entity's name and six words of its
    description. Half of them choose the size, the others check it. InputError if there are none.
    """
    if n_queries < 1:
        raise ConfigError(f"n_queries is {n_queries}; it must be at least 1")
    entities = [entity for batch in kb.iterate() for entity in batch]
    place = {entity.id: i for i, entity in enumerate(entities)}
    if queries is None:
        queries = list(composed(entities, n=n_queries, seed=seed))
    known = [(text, place[entity_id]) for text, entity_id in queries if entity_id in place]
    if not known:
        raise InputError(f"{kb.path}: no query is of its entities; give (text, id) of this one")
    texts = SparseTexts.of([entity_text(entity) for entity in entities], weights=weights)
    return how_big_for(
        texts.queries([text for text, _ in known]),
        texts.vectors,
        np.asarray([row for _, row in known], dtype=np.int64),
        r0=min(r0, len(entities)),
        keep=keep,
        beta=beta,
        sizes=sizes,
        kind=kind,
        seed=seed,
    )


def how_big_for(
    queries: Rows,
    documents: Rows,
    gold: NDArray[np.int64],
    *,
    r0: int = 10,
    keep: float = 0.95,
    beta: float = 0.05,
    sizes: Sequence[int] = SIZES,
    kind: str = "gaussian",
    seed: int = 0,
) -> HowBig:
    """The same for any vectors, dense or sparse, and each query's document ``gold``, (n,).

    Queries of zeros, as those without a known word, are left out. InputError if no query has its
    document among the first r0 to begin with, ConfigError for settings that make no sense.
    """
    n_documents = documents.shape[0]
    _check(queries.shape[0], n_documents, gold, r0=r0, keep=keep, sizes=sizes)
    sizes = sorted(sizes)
    asking = np.flatnonzero(np.asarray(abs(queries).sum(axis=1)).ravel())
    if not len(asking):
        raise InputError("no query has a word of the texts (all are zeros); give others")
    queries, gold = queries[asking], gold[asking]
    found = ranks_of(queries, documents, gold)
    good = np.flatnonzero(found <= r0)
    if not len(good):
        raise InputError(f"no query has its document among the first {r0}; nothing can be kept")
    chosen, others = good[::2], good[1::2]
    least = _nth_margins(queries[good], documents, gold[good], r0)
    asked = float(np.quantile(least, 1 - keep, method="lower"))
    has_bound = asked > 0 and r0 < n_documents
    kept = _kept(queries, documents, gold, chosen, sizes, r0, kind, seed)
    checks = _kept(queries, documents, gold, others, sizes, r0, kind, seed + 1)
    both = np.concatenate([kept, checks])
    ordered = np.concatenate([least[::2], least[1::2]])
    enough = [least_margin(k, n_documents=n_documents, r0=r0, beta=beta) for k in sizes]
    points = [
        _point(k, both[:, column], ordered >= enough[column]) for column, k in enumerate(sizes)
    ]
    first = next((i for i in range(len(sizes)) if kept[:, i].mean() >= keep), None)
    return HowBig(
        n_documents=n_documents,
        n_queries=len(gold),
        r0=r0,
        keep=keep,
        beta=beta,
        exact_recall=len(good) / len(gold),
        margin=asked,
        bound=recall_size(asked, n_documents=n_documents, r0=r0, beta=beta) if has_bound else None,
        recommended=None if first is None else sizes[first],
        checked=None if first is None or not len(others) else float(checks[:, first].mean()),
        points=tuple(points),
    )


def composed(entities: Sequence[Entity], *, n: int, seed: int) -> Iterator[tuple[str, str]]:
    """(text, id) of a sample of entities: a name, and six words of the description in any order."""
    generator = random.Random(seed)
    for place in sorted(generator.sample(range(len(entities)), min(n, len(entities)))):
        entity = entities[place]
        words = sorted(set(words_of(entity_description(entity))))
        told = generator.sample(words, min(_TOLD, len(words)))
        yield " ".join([generator.choice((entity.name, *entity.aliases)), *told]), entity.id


def entity_text(entity: Entity) -> str:
    """All that is known of an entity, as one text: its names and its description."""
    return " ".join((entity.name, *entity.aliases, entity_description(entity)))


def _check(
    n_queries: int,
    n_documents: int,
    gold: NDArray[np.int64],
    *,
    r0: int,
    keep: float,
    sizes: Sequence[int],
) -> None:
    if not 0 < keep <= 1:
        raise ConfigError(f"keep is {keep}; it must be a share over 0 and at most 1, as 0.95")
    if not 1 <= r0 <= n_documents:
        raise ConfigError(f"r0 is {r0}; it must be from 1 to the {n_documents} documents")
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"sizes are {tuple(sizes)}; give one or more of at least 1")
    if len(gold) != n_queries:
        raise ConfigError(f"gold has {len(gold)} documents for {n_queries} queries; give one each")
    if len(gold) and not 0 <= gold.min() <= gold.max() < n_documents:
        raise ConfigError(
            f"gold goes from {gold.min()} to {gold.max()}; it must be places from 0 to "
            f"{n_documents - 1} among the documents"
        )


def _point(k: int, kept: NDArray[np.bool_], promised: NDArray[np.bool_]) -> SizePoint:
    broken = float((~kept[promised]).mean()) if promised.any() else 0.0
    return SizePoint(k, float(kept.mean()), float(promised.mean()), broken)


def _nth_margins(
    queries: Rows, documents: Rows, gold: NDArray[np.int64], r0: int
) -> NDArray[np.float64]:
    """The r0-th smallest margin of each query; inf where there is nothing else to be first."""
    parts = [
        smallest(margins_of(queries[some], documents, gold[some]), (r0,))[:, 0]
        for some in batches(len(gold), documents.shape[0])
    ]
    joined = np.concatenate(parts)
    return np.where(np.isnan(joined), math.inf, joined)


def _kept(
    queries: Rows,
    documents: Rows,
    gold: NDArray[np.int64],
    chosen: NDArray[np.int64],
    sizes: Sequence[int],
    r0: int,
    kind: str,
    seed: int,
) -> NDArray[np.bool_]:
    """(n chosen, n sizes): is its document still among the first r0?"""
    if not len(chosen):
        return np.zeros((0, len(sizes)), dtype=np.bool_)
    found = projected_ranks(
        queries[chosen], documents, gold[chosen], sizes=sizes, kind=kind, seed=seed
    )
    return np.asarray(found <= r0)
