"""What is chosen on dev text: how sure the document pass is, how much is read, when it is NIL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from entlink import decide
from entlink.coherence import Coherence
from entlink.documents import around
from entlink.retrieve.dense import Retrieved, Retriever

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

_THRESHOLDS = np.arange(0.0, 0.96, 0.05)
_NIL_EASE = 0.005  # of the right answers may go for a lower threshold: a link says more than NIL
_HEATS = np.arange(0.7, 1.65, 0.05)
_MASSES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
FLOORS = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.01)
_PAIRS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 100)


@dataclass(frozen=True, slots=True)
class Case:
    """A mention with its candidates; gold is a place among them, k for NIL, -1 if it was missed."""

    document: str  # mentions of one are weighed together
    name: str
    found: Retrieved
    evidence: decide.Evidence
    gold: int
    first: Floats  # (k + 1,) probabilities before reading, NIL last; of no size: not known yet
    read: NDArray[np.int64]
    logits: NDArray[np.float32]


def before_reading(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case]
) -> list[Case]:
    """The cases with their probabilities before reading, as linking would give them."""
    first = [decide.first_probabilities(decision, case.evidence) for case in cases]
    if decision.early is not None:
        first = _early(decision, cases, first, *early_surroundings(retriever, cases, first))
    return [replace(case, first=p) for case, p in zip(cases, first, strict=True)]


def _early(
    decision: decide.Decision,
    cases: Sequence[Case],
    first: Sequence[Floats],
    places: Sequence[NDArray[np.int64]],
    others: Sequence[Floats],
) -> list[Floats]:
    return [
        decide.early_probabilities(decision, case.evidence, p, some, x)
        for case, p, some, x in zip(cases, first, places, others, strict=True)
    ]


def early_surroundings(
    retriever: Retriever, cases: Sequence[Case], first: Sequence[Floats]
) -> tuple[list[NDArray[np.int64]], list[Floats]]:
    """What the document pass before reading weighs, and what the others say of it: (n, 5)."""
    places = [decide.early_places(p) for p in first]
    return places, _surroundings(retriever, cases, places, first)


def before_documents(decision: decide.Decision, case: Case) -> Floats:
    """Probabilities (k + 1,) after reading, before the document is looked at once more."""
    return decide.final_probabilities(decision, case.evidence, case.first, case.read, case.logits)


def surroundings_of(
    retriever: Retriever, cases: Sequence[Case], probabilities: Sequence[Floats]
) -> list[Floats]:
    """What the others of its document say of each case's candidates that were read: (n, 5)."""
    return _surroundings(retriever, cases, [case.read for case in cases], probabilities)


def _surroundings(
    retriever: Retriever,
    cases: Sequence[Case],
    places: Sequence[NDArray[np.int64]],
    probabilities: Sequence[Floats],
) -> list[Floats]:
    numbers: dict[str, int] = {}
    return around(
        retriever,
        [case.name for case in cases],
        [numbers.setdefault(case.document, len(numbers)) for case in cases],
        [case.found for case in cases],
        places,
        probabilities,
    )


def answers(decision: decide.Decision, retriever: Retriever, cases: Sequence[Case]) -> list[Floats]:
    """Probabilities (k + 1,) of all cases, NIL last, as linking them would give."""
    alone = [before_documents(decision, case) for case in cases]
    if decision.coherence is None:
        return alone
    return _late(decision, cases, alone, surroundings_of(retriever, cases, alone))


def _late(
    decision: decide.Decision,
    cases: Sequence[Case],
    alone: Sequence[Floats],
    others: Sequence[Floats],
) -> list[Floats]:
    return [
        decide.document_probabilities(decision, case.evidence, p, case.read, case.logits, x)
        for case, p, x in zip(cases, alone, others, strict=True)
    ]


def choose_heat(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case]
) -> decide.Decision:
    """How much surer than fitted the document pass may be: dev's gold is likeliest with it.

    It is the pass after reading, if the decision has one, else the one before.
    """
    is_early = decision.coherence is None
    model = decision.early if is_early else decision.coherence
    if model is None:
        return decision
    # what surrounds a mention is known before the pass, so it is the same for all heats
    if is_early:
        before = [decide.first_probabilities(decision, case.evidence) for case in cases]
        places, others = early_surroundings(retriever, cases, before)
    else:
        before = [before_documents(decision, case) for case in cases]
        places, others = [], surroundings_of(retriever, cases, before)
    best, best_loss = decision, float("inf")
    for heat in _HEATS.tolist():
        hotter = _heated(model, heat)
        if is_early:
            heated = replace(decision, early=hotter)
            first = _early(heated, cases, before, places, others)
            found = [
                before_documents(heated, replace(case, first=p))
                for case, p in zip(cases, first, strict=True)
            ]
        else:
            heated = replace(decision, coherence=hotter)
            found = _late(heated, cases, before, others)
        loss = _loss(found, cases)
        if loss < best_loss:
            best, best_loss = heated, loss
            log.info("heat %.2f: %.4f", heat, loss)
    return best


def _heated(model: Coherence, heat: float) -> Coherence:
    """The same with scores that lie so many times as far apart."""

    def times(weights: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(heat * weight for weight in weights)

    return replace(model, linear=times(model.linear), out=times(model.out), nil=times(model.nil))


def choose_reading(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case], max_lost: float
) -> decide.Decision:
    """What reads least and loses no more right answers than that.

    First the greatest ``read_floor``, which saves most, then ``read_mass`` and ``max_pairs``. The
    cases have been read as far as the decision's own settings go.
    """
    chosen = decision
    least = (1.0 - max_lost) * _n_right(answers(decision, retriever, cases), cases)
    fewest = np.mean([len(case.read) for case in cases]) if cases else 0.0

    def try_(fewer: decide.Decision) -> bool:
        """Take it if it reads less and is good enough; does it read less?"""
        nonlocal chosen, fewest
        some = [read_less(fewer, case) for case in cases]
        pairs = np.mean([len(case.read) for case in some]) if some else 0.0
        if pairs >= fewest:
            return False
        n_right = _n_right(answers(fewer, retriever, some), some)
        log.info(
            "%d pairs, mass %.2f, floor %.4f: %d right, %.1f a mention",
            *(fewer.max_pairs, fewer.read_mass, fewer.read_floor, n_right, pairs),
        )
        if n_right >= least:
            chosen, fewest = fewer, pairs
        return True

    for floor in FLOORS:
        try_(replace(decision, read_floor=floor))
    floored = chosen
    for n in [n for n in _PAIRS if n < decision.max_pairs] + [decision.max_pairs]:
        for mass in _MASSES:
            if not try_(replace(floored, read_mass=mass, max_pairs=n)):
                break  # a larger mass reads more
    return chosen


def read_less(decision: decide.Decision, case: Case) -> Case:
    """The case as if only what the decision asks for had been read."""
    wanted = decide.to_read(decision, case.first)
    logit_of = dict(zip(case.read.tolist(), case.logits, strict=True))
    logits = np.asarray([logit_of[place] for place in wanted.tolist()], dtype=np.float32)
    return replace(case, read=wanted, logits=logits)


def _n_right(found: Sequence[Floats], cases: Sequence[Case]) -> int:
    return sum(
        len(p) > 1 and int(p[:-1].argmax()) == case.gold
        for p, case in zip(found, cases, strict=True)
    )


def _loss(found: Sequence[Floats], cases: Sequence[Case]) -> float:
    """Mean negative log-likelihood of what was to be found, missed entities left out."""
    losses = [
        -float(np.log(max(p[case.gold], 1e-6)))
        for p, case in zip(found, cases, strict=True)
        if case.gold >= 0
    ]
    return float(np.mean(losses)) if losses else 0.0


def choose_threshold(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case]
) -> tuple[decide.Decision, dict[str, float]]:
    """The least threshold with nearly the most right answers on dev, NIL ones included."""
    tops, golds = [], []
    for case, p in zip(cases, answers(decision, retriever, cases), strict=True):
        top = int(p[:-1].argmax()) if len(p) > 1 else -2
        tops.append((top, float(p[top]) if top >= 0 else 0.0))
        golds.append(case.gold if case.gold != len(case.evidence.cosines) else -3)
    right = np.asarray([top == gold for (top, _), gold in zip(tops, golds, strict=True)])
    sure = np.asarray([probability for _, probability in tops])
    is_nil = np.asarray([gold == -3 for gold in golds])
    scores = [float(np.where(is_nil, sure < t, right & (sure >= t)).mean()) for t in _THRESHOLDS]
    best = int(np.flatnonzero(np.asarray(scores) >= max(scores) - _NIL_EASE)[0])
    figures = {"accuracy": float(right[~is_nil].mean()), "accuracy_all": scores[best]}
    return replace(decision, nil_threshold=round(float(_THRESHOLDS[best]), 2)), figures
