"""What is chosen on dev, against trying every choice one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from entlink import decide
from entlink.decide import Decision
from entlink.train.choices import Case, choose_reading, choose_threshold, choose_trust
from tests.evidence import random_evidence
from tests.tiny import DECISION


def test_the_threshold_with_the_most_right_answers_is_chosen() -> None:
    generator = np.random.default_rng(3)
    base = Decision.blank()
    decision = replace(
        base,
        first=tuple(generator.normal(size=len(base.first))),
        first_nil=tuple(generator.normal(size=len(base.first_nil))),
        final=tuple(generator.normal(size=len(base.final))),
        final_nil=tuple(generator.normal(size=len(base.final_nil))),
    )
    cases = []
    for _ in range(120):
        k = int(generator.integers(0, 5))
        read = generator.permutation(k)[: generator.integers(0, k + 1)].astype(np.int64)
        logits = generator.normal(size=len(read)).astype(np.float32)
        cases.append(
            Case(random_evidence(generator, k), int(generator.integers(-1, k + 1)), read, logits)
        )

    def right(threshold: float) -> list[bool]:
        answers = []
        for case in cases:
            k = len(case.evidence.cosines)
            first = decide.first_probabilities(decision, case.evidence)
            final = decide.final_probabilities(
                decision, case.evidence, first, case.read, case.logits
            )
            best = max(range(k), key=lambda i: final[i], default=-1)
            linked = best >= 0 and final[best] >= threshold
            answers.append(case.gold == (best if linked else k))
        return answers

    thresholds = [round(0.05 * i, 2) for i in range(20)]
    scores = [float(np.mean(right(t))) for t in thresholds]
    chosen, figures = choose_threshold(decision, cases)
    assert chosen.nil_threshold in thresholds
    assert scores[thresholds.index(chosen.nil_threshold)] == pytest.approx(max(scores))
    assert figures["accuracy_all"] == pytest.approx(max(scores))
    assert len(set(scores)) > 3
    in_kb = [i for i, case in enumerate(cases) if case.gold < len(case.evidence.cosines)]
    without_nil = right(0.0)
    assert figures["accuracy"] == pytest.approx(np.mean([without_nil[i] for i in in_kb]))
    assert replace(chosen, nil_threshold=0.5) == decision


def likelihood(decision: Decision, cases: list[Case]) -> float:
    """The mean logarithm of what the gold was given."""
    found = []
    for case in cases:
        first = decide.first_probabilities(decision, case.evidence)
        final = decide.final_probabilities(decision, case.evidence, first, case.read, case.logits)
        if case.gold >= 0:
            found.append(float(np.log(max(final[case.gold], 1e-6))))
    return float(np.mean(found))


def reading_cases(*, helps: bool) -> list[Case]:
    """Mentions whose gold the first model mostly finds; a reranker that knows it, or that errs."""
    generator = np.random.default_rng(5)
    cases = []
    for _ in range(150):
        k = int(generator.integers(3, 9))
        evidence = random_evidence(generator, k)
        first = decide.first_probabilities(DECISION, evidence)
        gold = int(generator.choice(k, p=first[:-1] / first[:-1].sum()))
        read = decide.to_read(replace(DECISION, read_mass=2.0), first)
        logits = generator.normal(scale=3, size=len(read)).astype(np.float32)
        if helps:
            logits = np.where(read == gold, 4.0, -4.0).astype(np.float32)
        cases.append(Case(evidence, gold, read, logits))
    return cases


@pytest.mark.parametrize("helps", [True, False])
def test_a_reranker_is_trusted_as_far_as_it_helps(helps: bool) -> None:
    cases = reading_cases(helps=helps)
    chosen = choose_trust(DECISION, cases)
    assert likelihood(chosen, cases) >= likelihood(DECISION, cases)
    weight, given = chosen.final[-2], DECISION.final[-2]
    assert (weight > given) if helps else (weight < given / 2)
    assert replace(chosen, final=DECISION.final, final_nil=DECISION.final_nil) == DECISION


def test_a_blend_of_models_is_a_blend_of_their_scores() -> None:
    """Trust 1 at heat 1 is the decision itself, so the choice is never worse than that."""
    cases = reading_cases(helps=True)[:20]
    best = likelihood(choose_trust(DECISION, cases), cases)
    n = len(DECISION.first)
    padded = np.asarray([*DECISION.first, *(0.0,) * (len(DECISION.final) - n)])
    for trust in (0.3, 0.7, 1.2):
        blend = trust * np.asarray(DECISION.final) + (1 - trust) * padded
        nil = np.asarray(DECISION.final_nil)
        first_nil = np.asarray([*DECISION.first_nil, 0.0])
        mixed = replace(
            DECISION,
            final=tuple(blend.tolist()),
            final_nil=tuple((trust * nil + (1 - trust) * first_nil).tolist()),
        )
        assert best >= likelihood(mixed, cases) - 1e-9


def right(decision: Decision, cases: list[Case]) -> int:
    """How many answers are right if only what the decision asks for is read."""
    n = 0
    for case in cases:
        first = decide.first_probabilities(decision, case.evidence)
        read = decide.to_read(decision, first)
        logits = np.asarray([case.logits[case.read.tolist().index(i)] for i in read], np.float32)
        final = decide.final_probabilities(decision, case.evidence, first, read, logits)
        n += int(final[:-1].argmax()) == case.gold
    return n


@pytest.mark.parametrize("max_lost", [0.0, 0.02, 1.0])
def test_no_more_is_lost_by_reading_less_than_allowed(max_lost: float) -> None:
    cases = reading_cases(helps=True)
    everything = replace(DECISION, read_mass=2.0)
    chosen, read = choose_reading(everything, cases, max_lost)
    full = right(everything, cases)
    assert right(chosen, cases) >= (1 - max_lost) * full
    pairs = [len(case.read) for case in read]
    assert pairs == [
        len(decide.to_read(chosen, decide.first_probabilities(chosen, case.evidence)))
        for case in cases
    ]
    if max_lost == 1.0:
        assert chosen.read_mass == 0.5 and sum(pairs) < sum(len(c.read) for c in cases) / 2
    assert replace(chosen, read_mass=2.0) == everything


def test_without_cases_the_settings_stay() -> None:
    everything = replace(DECISION, read_mass=2.0)
    assert choose_trust(everything, []).nil_threshold == everything.nil_threshold
    assert choose_reading(everything, [], 0.0)[1] == []
