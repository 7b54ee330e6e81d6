"""What is chosen on dev text: how sure the document pass is, how much is read, when it is NIL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from entlink import decide
from entlink.documents import around
from entlink.retrieve.dense import Retrieved, Retriever

log = logging.getLogger(__name__)

_THRESHOLDS = np.arange(0.0, 0.96, 0.05)
_NIL_EASE = 0.005  # of the right answers may go for a lower threshold: a link says more than NIL
_HEATS = np.arange(0.7, 1.65, 0.05)
_MASSES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Case:
    """A mention with its candidates; gold is a place among them, k for NIL, -1 if it was missed."""

    document: str  # mentions of one are weighed together
    name: str
    found: Retrieved
    evidence: decide.Evidence
    gold: int
    read: NDArray[np.int64]
    logits: NDArray[np.float32]


def before_documents(decision: decide.Decision, case: Case) -> NDArray[np.float64]:
    """Probabilities (k + 1,) of the case for itself, before the document pass."""
    first = decide.first_probabilities(decision, case.evidence)
    return decide.final_probabilities(decision, case.evidence, first, case.read, case.logits)


def surroundings_of(
    retriever: Retriever, cases: Sequence[Case], probabilities: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """What the others of its document say of each case's candidates that were read: (n, 5)."""
    numbers: dict[str, int] = {}
    return around(
        retriever,
        [case.name for case in cases],
        [numbers.setdefault(case.document, len(numbers)) for case in cases],
        [case.found for case in cases],
        [case.read for case in cases],
        probabilities,
    )


def answers(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case]
) -> list[NDArray[np.float64]]:
    """Probabilities (k + 1,) of all cases, NIL last, as linking them would give."""
    alone = [before_documents(decision, case) for case in cases]
    if decision.coherence is None:
        return alone
    return [
        decide.document_probabilities(decision, case.evidence, p, case.read, case.logits, x)
        for case, p, x in zip(cases, alone, surroundings_of(retriever, cases, alone), strict=True)
    ]


def choose_heat(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case]
) -> decide.Decision:
    """How much surer than fitted the document pass may be: dev's gold is likeliest with it."""
    model = decision.coherence
    if model is None:
        return decision
    best, best_loss = decision, float("inf")
    for heat in _HEATS.tolist():
        hotter = {
            name: tuple(heat * weight for weight in getattr(model, name))
            for name in ("linear", "out", "nil")
        }
        heated = replace(decision, coherence=replace(model, **hotter))
        loss = _loss(answers(heated, retriever, cases), cases)
        if loss < best_loss:
            best, best_loss = heated, loss
            log.info("heat %.2f: %.4f", heat, loss)
    return best


def choose_reading(
    decision: decide.Decision, retriever: Retriever, cases: Sequence[Case], max_lost: float
) -> tuple[decide.Decision, list[Case]]:
    """The least ``read_mass`` that loses no more right answers than allowed; and what it reads."""
    chosen, read = decision, list(cases)
    least = (1.0 - max_lost) * _n_right(answers(decision, retriever, cases), cases)
    for mass in sorted(_MASSES, reverse=True):
        fewer = replace(decision, read_mass=float(mass))
        some = [_read_less(fewer, case) for case in cases]
        n_right = _n_right(answers(fewer, retriever, some), some)
        pairs = float(np.mean([len(case.read) for case in some])) if some else 0.0
        log.info("read_mass %.2f: %d right, %.1f pairs a mention", mass, n_right, pairs)
        if n_right < least:
            break
        chosen, read = fewer, some
    return chosen, read


def _read_less(decision: decide.Decision, case: Case) -> Case:
    """The case as if only what the decision asks for had been read."""
    wanted = decide.to_read(decision, decide.first_probabilities(decision, case.evidence))
    logit_of = dict(zip(case.read.tolist(), case.logits, strict=True))
    logits = np.asarray([logit_of[place] for place in wanted.tolist()], dtype=np.float32)
    return replace(case, read=wanted, logits=logits)


def _n_right(found: Sequence[NDArray[np.float64]], cases: Sequence[Case]) -> int:
    return sum(
        len(p) > 1 and int(p[:-1].argmax()) == case.gold
        for p, case in zip(found, cases, strict=True)
    )


def _loss(found: Sequence[NDArray[np.float64]], cases: Sequence[Case]) -> float:
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
