"""What is chosen on dev, against trying every choice one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink import decide
from entlink.coherence import N_HIDDEN, Coherence, Seen, surroundings
from entlink.decide import Decision
from entlink.kb.aliases import normalise
from entlink.retrieve.dense import Retriever
from entlink.train.choices import (
    Case,
    answers,
    choose_heat,
    choose_reading,
    choose_threshold,
)
from tests.evidence import random_evidence, retrieved
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
        gold = int(generator.integers(-1, k + 1))
        cases.append(case(generator, random_evidence(generator, k), gold, read, logits))

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
    chosen, figures = choose_threshold(decision, Vectors(), cases)
    assert chosen.nil_threshold in thresholds
    place = thresholds.index(chosen.nil_threshold)
    assert scores[place] >= max(scores) - 0.005
    assert all(score < max(scores) - 0.005 for score in scores[:place])
    assert figures["accuracy_all"] == pytest.approx(scores[place])
    assert len(set(scores)) > 3
    in_kb = [i for i, case in enumerate(cases) if case.gold < len(case.evidence.cosines)]
    without_nil = right(0.0)
    assert figures["accuracy"] == pytest.approx(np.mean([without_nil[i] for i in in_kb]))
    assert replace(chosen, nil_threshold=0.5) == decision


class Vectors(Retriever):
    """Of all that a retriever does, only the entities' vectors."""

    def __init__(self) -> None:
        vectors = np.random.default_rng(8).normal(size=(50, 6))
        self.all = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def entity_vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(self.all[rows])


def case(
    generator: np.random.Generator,
    evidence: decide.Evidence,
    gold: int,
    read: NDArray[np.int64],
    logits: NDArray[np.float32],
) -> Case:
    """Of one of 30 documents."""
    rows = generator.permutation(50)[: len(evidence.cosines)].astype(np.int64)
    document, name = generator.integers(30), generator.choice(["Ann", "Ann Lee", "Bo"])
    found = retrieved(evidence, rows)
    return Case(str(document), str(name), found, evidence, gold, read, logits)


def with_coherence(decision: Decision, *, seed: int = 4) -> Decision:
    """The same with a document pass of random weights."""
    generator = np.random.default_rng(seed)
    f, h = decide.N_DOCUMENT, N_HIDDEN
    sizes = {"linear": f, "hidden": f * h, "bias": h, "out": h, "nil": len(decide.NIL_FEATURES)}
    weights = {name: tuple(generator.normal(size=n).tolist()) for name, n in sizes.items()}
    return replace(decision, coherence=Coherence(**weights))


def plain_answers(decision: Decision, cases: list[Case]) -> list[NDArray[np.float64]]:
    """Document by document, as the linker does."""
    result: list[NDArray[np.float64]] = [np.zeros(0)] * len(cases)
    for document in {case.document for case in cases}:
        places = [i for i, case in enumerate(cases) if case.document == document]
        seen = []
        for i in places:
            c = cases[i]
            first = decide.first_probabilities(decision, c.evidence)
            result[i] = decide.final_probabilities(decision, c.evidence, first, c.read, c.logits)
            kept = c.read if len(c.read) else np.argsort(-result[i][:-1], kind="stable")[:1]
            words = tuple(normalise(c.name).split())
            rows = c.found.rows[kept]
            vectors = Vectors().entity_vectors(rows)
            seen.append(Seen(words, rows, result[i][kept], vectors, c.found.is_alias[kept]))
        for i, x in zip(places, surroundings(seen), strict=True):
            c = cases[i]
            result[i] = decide.document_probabilities(
                decision, c.evidence, result[i], c.read, c.logits, x[: len(c.read)]
            )
    return result


@pytest.mark.parametrize("together", [False, True])
def test_answers_are_those_of_linking(together: bool) -> None:
    decision = with_coherence(DECISION) if together else DECISION
    cases = reading_cases(helps=True)
    found = answers(decision, Vectors(), cases)
    for a, b in zip(found, plain_answers(decision, cases), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
        assert a.sum() == pytest.approx(1.0)
    alone = answers(DECISION, Vectors(), cases)
    assert together == any(abs(a - b).max() > 0.1 for a, b in zip(found, alone, strict=True))


def likelihood(decision: Decision, cases: list[Case]) -> float:
    """The mean logarithm of what the gold was given."""
    found = zip(answers(decision, Vectors(), cases), cases, strict=True)
    return float(np.mean([np.log(max(p[c.gold], 1e-6)) for p, c in found if c.gold >= 0]))


def test_the_likeliest_heat_is_chosen() -> None:
    cases = reading_cases(helps=True)
    decision = with_coherence(DECISION)
    chosen = choose_heat(decision, Vectors(), cases)
    assert chosen.coherence is not None and decision.coherence is not None
    heats = np.asarray(chosen.coherence.out) / np.asarray(decision.coherence.out)
    np.testing.assert_allclose(heats, heats[0])
    assert likelihood(chosen, cases) >= likelihood(decision, cases)
    assert heats[0] < 0.95  # of weights that are noise, the less the better
    assert chosen.coherence.hidden == decision.coherence.hidden
    assert choose_heat(DECISION, Vectors(), cases) == DECISION


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
        cases.append(case(generator, evidence, gold, read, logits))
    return cases


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
    chosen, read = choose_reading(everything, Vectors(), cases, max_lost)
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
    assert choose_heat(with_coherence(everything), Vectors(), []).nil_threshold == 0.3
    assert choose_reading(everything, Vectors(), [], 0.0)[1] == []
