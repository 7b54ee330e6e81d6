"""The settings of the decision that are chosen on dev text: trust in the reranker, reading, NIL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from entlink import decide

log = logging.getLogger(__name__)

_THRESHOLDS = np.arange(0.0, 0.96, 0.05)
_TRUSTS = np.arange(0.3, 1.25, 0.1)
_HEATS = np.arange(0.6, 1.45, 0.1)
_MASSES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Case:
    """A mention with its candidates; gold is a place among them, k for NIL, -1 if it was missed."""

    evidence: decide.Evidence
    gold: int
    read: NDArray[np.int64]
    logits: NDArray[np.float32]


def choose_trust(decision: decide.Decision, cases: Sequence[Case]) -> decide.Decision:
    """How far dev text, which is not Wikipedia, bears out the reranker.

    Both models are linear in the same features, so a mean of their weights is a mean of their
    scores; the one under which dev's gold is likeliest, at the likeliest temperature, is taken.
    """
    n_first, n_nil = len(decision.first), len(decision.first_nil)
    first = np.asarray([*decision.first, *(0.0,) * (len(decision.final) - n_first)])
    first_nil = np.asarray([*decision.first_nil, *(0.0,) * (len(decision.final_nil) - n_nil)])
    final, final_nil = np.asarray(decision.final), np.asarray(decision.final_nil)
    best, best_loss = decision, float("inf")
    for trust in _TRUSTS:
        for heat in _HEATS:
            w = heat * (trust * final + (1 - trust) * first)
            v = heat * (trust * final_nil + (1 - trust) * first_nil)
            mixed = replace(decision, final=tuple(w.tolist()), final_nil=tuple(v.tolist()))
            loss = _loss(mixed, cases)
            if loss < best_loss:
                best, best_loss = mixed, loss
                log.info("trust %.1f, heat %.2f: %.4f", trust, heat, loss)
    return best


def choose_reading(
    decision: decide.Decision, cases: Sequence[Case], max_lost: float
) -> tuple[decide.Decision, list[Case]]:
    """The least ``read_mass`` that loses no more right answers than allowed; and what it reads."""
    chosen, read = decision, list(cases)
    least = (1.0 - max_lost) * _n_right(decision, cases)
    for mass in sorted(_MASSES, reverse=True):
        fewer = replace(decision, read_mass=float(mass))
        some = [_read_less(fewer, case) for case in cases]
        n_right = _n_right(fewer, some)
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


def _n_right(decision: decide.Decision, cases: Sequence[Case]) -> int:
    n = 0
    for case in cases:
        first = decide.first_probabilities(decision, case.evidence)
        final = decide.final_probabilities(decision, case.evidence, first, case.read, case.logits)
        n += len(final) > 1 and int(final[:-1].argmax()) == case.gold
    return n


def _loss(decision: decide.Decision, cases: Sequence[Case]) -> float:
    """Mean negative log-likelihood of what was to be found, missed entities left out."""
    losses = []
    for case in cases:
        if case.gold >= 0:
            first = decide.first_probabilities(decision, case.evidence)
            final = decide.final_probabilities(
                decision, case.evidence, first, case.read, case.logits
            )
            losses.append(-float(np.log(max(final[case.gold], 1e-6))))
    return float(np.mean(losses)) if losses else 0.0


def choose_threshold(
    decision: decide.Decision, cases: Sequence[Case]
) -> tuple[decide.Decision, dict[str, float]]:
    """The threshold with the most right answers on dev, NIL ones included."""
    tops, golds = [], []
    for case in cases:
        first = decide.first_probabilities(decision, case.evidence)
        final = decide.final_probabilities(decision, case.evidence, first, case.read, case.logits)
        top = int(final[:-1].argmax()) if len(final) > 1 else -2
        tops.append((top, float(final[top]) if top >= 0 else 0.0))
        golds.append(case.gold if case.gold != len(case.evidence.cosines) else -3)
    right = np.asarray([top == gold for (top, _), gold in zip(tops, golds, strict=True)])
    p = np.asarray([probability for _, probability in tops])
    is_nil = np.asarray([gold == -3 for gold in golds])
    scores = [float(np.where(is_nil, p < t, right & (p >= t)).mean()) for t in _THRESHOLDS]
    best = int(np.argmax(scores))
    figures = {"accuracy": float(right[~is_nil].mean()), "accuracy_all": scores[best]}
    return replace(decision, nil_threshold=round(float(_THRESHOLDS[best]), 2)), figures
