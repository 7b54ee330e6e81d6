"""Measures of linking as pure functions; each is tested on examples worked by hand.

Every measure but the calibration error is a ratio of two counts that add up over documents. So the
figures of a set, of sets pooled, and of documents drawn again (intervals.py) are all made alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entlink.records import NIL

RECALL_AT = (1, 10, 64, 100)
N_BINS = 15
NO_TYPE, OTHER_TYPES = "(none)", "(others)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one gold mention whose span was given."""

    doc: str
    start: int
    end: int
    gold: str  # an entity id, perhaps of another knowledge base, or NIL
    in_kb: bool  # is the gold entity in the knowledge base?
    rank: int | None  # of the gold entity among the retriever's candidates, from 0; None: not there
    top: str | None  # the candidate with the highest probability; None if there is no candidate
    top_probability: float
    answer: str  # after the NIL decision: the top candidate, or NIL
    n_pairs: int  # pairs that the cross-encoder read
    popular: str | None = None  # the most popular entity of that name
    groups: tuple[tuple[str, str], ...] = ()  # (breakdown, group), such as ("alias", "known")

    @property
    def top_is_gold(self) -> bool:
        """The top candidate is the gold entity; never so where that is outside the KB."""
        return self.in_kb and self.top == self.gold

    @property
    def is_right(self) -> bool:
        """The answer is the gold entity, or NIL where the KB has no such entity."""
        return self.answer == (self.gold if self.in_kb else NIL)

    @property
    def popular_is_gold(self) -> bool:
        """The baseline "most popular entity of that name" is right."""
        return self.in_kb and self.popular == self.gold


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """One document linked end to end: strict spans, a link is an answer that is not NIL."""

    doc: str
    n_gold: int  # gold spans
    n_found: int  # spans that were found, linked or not
    n_right: int  # of them gold spans
    n_gold_links: int  # gold spans whose entity is in the KB
    n_links: int  # links, without those on gold spans whose entity is outside the KB
    n_right_links: int  # of them on a gold span and to its entity
    n_linked: int  # gold spans, entity in the KB, that got a link
    n_left_out: int  # links on gold spans whose entity is outside the KB


Ratio = tuple[int, int]


def outcome_ratios(o: Outcome) -> dict[str, Ratio]:
    """For each measure (hit, counted) of one mention; recall and accuracy are over in-KB gold.

    NIL's precision, recall and F1 compare the answer NIL with gold that is NIL or outside the KB.
    """
    hits = {f"recall@{k}": o.rank is not None and o.rank < k for k in RECALL_AT}
    hits["accuracy"] = o.top_is_gold
    hits["accuracy_nil"] = o.is_right
    hits["accuracy_most_popular"] = o.popular_is_gold
    ratios = {name: (int(o.in_kb and hit), int(o.in_kb)) for name, hit in hits.items()}
    ratios["accuracy_all"] = (int(o.is_right), 1)
    said, meant = o.answer == NIL, not o.in_kb
    both = int(said and meant)
    ratios["nil_precision"] = (both, int(said))
    ratios["nil_recall"] = (both, int(meant))
    ratios["nil_f1"] = (2 * both, int(said) + int(meant))
    return ratios


def span_ratios(c: SpanCounts) -> dict[str, Ratio]:
    """Precision, recall and F1 of detection and of links as ratios of counts."""
    return {
        "detect_precision": (c.n_right, c.n_found),
        "detect_recall": (c.n_right, c.n_gold),
        "detect_f1": (2 * c.n_right, c.n_found + c.n_gold),
        "link_precision": (c.n_right_links, c.n_links),
        "link_recall": (c.n_right_links, c.n_gold_links),
        "link_f1": (2 * c.n_right_links, c.n_links + c.n_gold_links),
        "link_accuracy_where_linked": (c.n_right_links, c.n_linked),
    }


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts behind the measures, document by document."""

    names: tuple[str, ...]  # the measures
    docs: tuple[str, ...]
    counts: NDArray[np.int64]  # (n_docs, n_names, 2): hits and what they are out of

    def figures(self) -> dict[str, float]:
        """Each measure over all documents; NaN where nothing was counted."""
        return dict(zip(self.names, divide(self.counts.sum(axis=0)).tolist(), strict=True))


def tally(docs: Sequence[str], ratios: Iterable[tuple[str, Mapping[str, Ratio]]]) -> Tally:
    """Add up (document, ratios) by document; documents without any keep a row of zeros."""
    place = {doc: i for i, doc in enumerate(docs)}
    items = list(ratios)
    names = tuple(items[0][1]) if items else ()
    counts = np.zeros((len(docs), len(names), 2), dtype=np.int64)
    for doc, values in items:
        counts[place[doc]] += [values[name] for name in names]
    return Tally(names, tuple(docs), counts)


def divide(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Hits over what they are out of, along the last axis; NaN for nothing out of nothing."""
    hits, of = counts[..., 0].astype(np.float64), counts[..., 1].astype(np.float64)
    shares: NDArray[np.float64] = np.full(hits.shape, np.nan)
    np.divide(hits, of, out=shares, where=of > 0)
    return shares


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose probability lies from ``low`` to ``high``, and how many of them are right."""

    low: float
    high: float
    n: int
    confidence: float  # mean probability
    accuracy: float


def reliability(
    probabilities: Sequence[float], is_right: Sequence[bool], *, n_bins: int = N_BINS
) -> list[Bin]:
    """The bins of equal width that hold an answer (Guo et al. 2017)."""
    p, right = np.asarray(probabilities, dtype=float), np.asarray(is_right, dtype=float)
    bins = _bins_of(p, n_bins)
    found = []
    for b in np.unique(bins).tolist():
        chosen = bins == b
        means = float(p[chosen].mean()), float(right[chosen].mean())
        found.append(Bin(b / n_bins, (b + 1) / n_bins, int(chosen.sum()), *means))
    return found


def _bins_of(p: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    return np.minimum((p * n_bins).astype(np.int64), n_bins - 1)


def expected_calibration_error(
    probabilities: Sequence[float], is_right: Sequence[bool], *, n_bins: int = N_BINS
) -> float:
    """Mean distance of confidence and accuracy over equal-width bins (Guo et al. 2017, eq. 3)."""
    bins = reliability(probabilities, is_right, n_bins=n_bins)
    n = sum(b.n for b in bins)
    return sum(b.n * abs(b.confidence - b.accuracy) for b in bins) / n if n else float("nan")


def calibration_sums(
    docs: Sequence[str], outcomes: Sequence[Outcome], *, n_bins: int = N_BINS
) -> NDArray[np.float64]:
    """(n_docs, n_bins, 2): in each bin the sum of confidence less right, and how many answers."""
    place = {doc: i for i, doc in enumerate(docs)}
    p = np.asarray([o.top_probability for o in outcomes], dtype=float)
    right = np.asarray([o.top_is_gold for o in outcomes], dtype=float)
    where = np.asarray([place[o.doc] for o in outcomes], dtype=np.int64), _bins_of(p, n_bins)
    sums = np.zeros((len(docs), n_bins, 2))
    np.add.at(sums, where, np.stack([p - right, np.ones_like(p)], axis=1))
    return sums


def calibration_error(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The expected calibration error of such sums, (..., n_bins, 2) -> (...); NaN for nothing."""
    distances, n = np.abs(sums[..., 0]).sum(axis=-1), sums[..., 1].sum(axis=-1)
    return divide(np.stack([distances, n], axis=-1))


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The figures of mentions whose spans were given."""
    docs = list(dict.fromkeys(o.doc for o in outcomes))
    figures = tally(docs, ((o.doc, outcome_ratios(o)) for o in outcomes)).figures()
    tops = [o.top_probability for o in outcomes], [o.top_is_gold for o in outcomes]
    figures["ece"] = expected_calibration_error(*tops)
    pairs = float(np.mean([o.n_pairs for o in outcomes])) if outcomes else float("nan")
    return figures | {"pairs_per_mention": pairs}


_SHOWN = (
    *("recall@1", "recall@10", "recall@64", "recall@100"),
    *("accuracy", "accuracy_nil", "accuracy_most_popular"),
)


def breakdowns(
    outcomes: Sequence[Outcome], *, n_types: int = 15
) -> dict[str, dict[str, dict[str, float]]]:
    """Breakdown -> group -> n_mentions and figures, over gold mentions in the KB.

    A mention counts in each of its entity's types; all types but the most frequent are one group.
    """
    groups: dict[str, dict[str, list[Outcome]]] = {}
    for o in outcomes:
        for breakdown, group in o.groups if o.in_kb else ():
            groups.setdefault(breakdown, {}).setdefault(group, []).append(o)
    if "type" in groups:
        groups["type"] = _most_frequent(groups["type"], n_types)
    return {
        breakdown: {group: _group_figures(some) for group, some in by_group.items()}
        for breakdown, by_group in groups.items()
    }


def _most_frequent(by_type: Mapping[str, list[Outcome]], n: int) -> dict[str, list[Outcome]]:
    named = sorted(by_type.keys() - {NO_TYPE}, key=lambda name: (-len(by_type[name]), name))
    kept = {name: by_type[name] for name in named[:n]}
    others = {(o.doc, o.start, o.end): o for name in named[n:] for o in by_type[name]}
    if others:
        kept[OTHER_TYPES] = list(others.values())
    if NO_TYPE in by_type:
        kept[NO_TYPE] = by_type[NO_TYPE]
    return kept


def _group_figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    figures = summary(outcomes)
    return {"n_mentions": len(outcomes)} | {name: figures[name] for name in _SHOWN}
