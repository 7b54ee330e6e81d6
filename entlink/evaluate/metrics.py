"""Measures of linking as pure functions; each is tested on examples worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RECALL_AT = (1, 10, 64, 100)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one gold mention."""

    doc: str
    in_kb: bool  # is the gold entity in the knowledge base?
    rank: int | None  # of the gold entity among the retriever's candidates, from 0; None: not there
    top_is_gold: bool  # the candidate with the highest probability is the gold entity
    top_probability: float
    answer_is_gold: bool  # after the NIL decision; for gold outside the KB: the answer is NIL
    n_pairs: int  # pairs that the cross-encoder read
    popular_is_gold: bool  # the most popular entity of that name is the gold one


def share(hits: Sequence[bool]) -> float:
    """The share of True; not a number if there is nothing to share."""
    return float(np.mean(hits)) if hits else float("nan")


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The figures of `entlink evaluate`; recall and accuracy are over gold mentions in the KB."""
    reachable = [o for o in outcomes if o.in_kb]
    figures = {
        f"recall@{k}": share([o.rank is not None and o.rank < k for o in reachable])
        for k in RECALL_AT
    }
    return figures | {
        "accuracy": share([o.top_is_gold for o in reachable]),
        "accuracy_nil": share([o.answer_is_gold for o in reachable]),
        "accuracy_all": share([o.answer_is_gold for o in outcomes]),
        "accuracy_most_popular": share([o.popular_is_gold for o in reachable]),
        "ece": expected_calibration_error(
            [o.top_probability for o in outcomes], [o.top_is_gold for o in outcomes]
        ),
        "pairs_per_mention": float(np.mean([o.n_pairs for o in outcomes])) if outcomes else 0.0,
    }


def expected_calibration_error(
    probabilities: Sequence[float], is_right: Sequence[bool], *, n_bins: int = 15
) -> float:
    """Mean distance of confidence and accuracy over equal-width bins (Guo et al. 2017, eq. 3)."""
    if not probabilities:
        return float("nan")
    p, right = np.asarray(probabilities), np.asarray(is_right, dtype=float)
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    error = 0.0
    for b in range(n_bins):
        chosen = bins == b
        if chosen.any():
            error += chosen.mean() * abs(p[chosen].mean() - right[chosen].mean())
    return float(error)
