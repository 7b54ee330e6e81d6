"""What is chosen on dev, against trying every choice one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink import decide
from entlink.coherence import Seen, surroundings
from entlink.decide import Decision
from entlink.kb.aliases import normalise
from entlink.retrieve.dense import Retriever
from entlink.train.choices import (
    Case,
    answers,
    before_reading,
    choose_heat,
    choose_reading,
    choose_threshold,
    read_less,
)
from tests.evidence import random_evidence, retrieved
from tests.tiny import DECISION, seeing_documents


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
    cases = before_reading(decision, Vectors(), cases)

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
    nothing = np.zeros(0)
    return Case(str(document), str(name), found, evidence, gold, nothing, read, logits)


def plain_surroundings(
    cases: list[Case], places: list[NDArray[np.int64]], probabilities: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Document by document, what the others say of the candidates at these places."""
    result: list[NDArray[np.float64]] = [np.zeros((0, 5))] * len(cases)
    for document in {case.document for case in cases}:
        of_it = [i for i, case in enumerate(cases) if case.document == document]
        seen = []
        for i in of_it:
            c, p = cases[i], probabilities[i]
            kept = places[i] if len(places[i]) else np.argsort(-p[:-1], kind="stable")[:1]
            words = tuple(normalise(c.name).split())
            rows = c.found.rows[kept]
            vectors = Vectors().entity_vectors(rows)
            seen.append(Seen(words, rows, p[kept], vectors, c.found.is_alias[kept]))
        for i, x in zip(of_it, surroundings(seen), strict=True):
            result[i] = x[: len(places[i])]
    return result


def plain_answers(decision: Decision, cases: list[Case]) -> list[NDArray[np.float64]]:
    """Pass by pass, as the linker does."""
    p = [decide.first_probabilities(decision, c.evidence) for c in cases]
    if decision.early is not None:
        best = [np.argsort(-q[:-1], kind="stable")[: decide.MAX_EARLY] for q in p]
        for i, x in enumerate(plain_surroundings(cases, best, list(p))):
            p[i] = decide.early_probabilities(decision, cases[i].evidence, p[i], best[i], x)
    for i, c in enumerate(cases):
        p[i] = decide.final_probabilities(decision, c.evidence, p[i], c.read, c.logits)
    if decision.coherence is not None:
        for i, x in enumerate(plain_surroundings(cases, [c.read for c in cases], list(p))):
            c = cases[i]
            p[i] = decide.document_probabilities(decision, c.evidence, p[i], c.read, c.logits, x)
    return p


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_answers_are_those_of_linking(early: bool, late: bool) -> None:
    decision = seeing_documents(DECISION, early=early, late=late)
    cases = reading_cases(helps=True)
    found = answers(decision, Vectors(), before_reading(decision, Vectors(), cases))
    for a, b in zip(found, plain_answers(decision, cases), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
        assert a.sum() == pytest.approx(1.0)
    alone = answers(DECISION, Vectors(), cases)
    changed = any(abs(a - b).max() > 0.1 for a, b in zip(found, alone, strict=True))
    assert changed == (early or late)


def likelihood(decision: Decision, cases: list[Case]) -> float:
    """The mean logarithm of what the gold was given."""
    seen = before_reading(decision, Vectors(), cases)
    found = zip(answers(decision, Vectors(), seen), cases, strict=True)
    return float(np.mean([np.log(max(p[c.gold], 1e-6)) for p, c in found if c.gold >= 0]))


@pytest.mark.parametrize("late", [False, True])
def test_the_likeliest_heat_is_chosen(late: bool) -> None:
    cases = reading_cases(helps=True)
    decision = seeing_documents(DECISION, early=not late, late=late)
    chosen = choose_heat(decision, Vectors(), cases)
    before, after = (d.coherence if late else d.early for d in (decision, chosen))
    assert before is not None and after is not None
    heats = np.asarray(after.out) / np.asarray(before.out)
    np.testing.assert_allclose(heats, heats[0])
    assert likelihood(chosen, cases) >= likelihood(decision, cases)
    assert heats[0] < 0.95  # of weights that are noise, the less the better
    assert after.hidden == before.hidden
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
    return before_reading(DECISION, Vectors(), cases)


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
    chosen = choose_reading(everything, Vectors(), cases, max_lost)
    full = right(everything, cases)
    assert right(chosen, cases) >= (1 - max_lost) * full

    def n_read(decision: Decision) -> int:
        return sum(len(read_less(decision, case).read) for case in cases)

    if max_lost == 1.0:
        assert (chosen.read_mass, chosen.max_pairs) == (0.5, 1)
    for max_pairs in (1, 3, chosen.max_pairs, everything.max_pairs):
        for mass in (0.5, 0.8, 0.9, 0.98):
            other = replace(everything, read_mass=mass, max_pairs=min(max_pairs, 6))
            if right(other, cases) >= (1 - max_lost) * full:
                assert n_read(chosen) <= n_read(other)
    settings = {"read_mass": 2.0, "read_floor": 0.0, "max_pairs": everything.max_pairs}
    assert replace(chosen, **settings) == everything  # type: ignore[arg-type]


def test_what_can_hardly_win_is_not_read() -> None:
    """Many unlikely candidates hold what the mass asks for, and none of them is ever right."""
    first, read = np.asarray([0.7, 0.15, *[0.001] * 4, 0.146]), np.arange(6)
    some = [case for case in reading_cases(helps=True) if len(case.first) == len(first)]
    cases = [
        replace(
            case,
            first=first,
            gold=i % 2,
            read=read,
            logits=np.where(read == i % 2, 4, -4).astype(np.float32),
        )
        for i, case in enumerate(some)
    ]
    chosen = choose_reading(replace(DECISION, read_mass=2.0), Vectors(), cases, 0.0)
    assert chosen.read_floor > 0.001
    assert len(cases) > 5 and {len(read_less(chosen, case).read) for case in cases} == {2}


def test_reading_less_is_reading_what_the_decision_asks_for() -> None:
    less = replace(DECISION, read_mass=0.9, max_pairs=3)
    for case in reading_cases(helps=False):
        few = read_less(less, case)
        np.testing.assert_array_equal(few.read, decide.to_read(less, case.first))
        logit_of = dict(zip(case.read.tolist(), case.logits.tolist(), strict=True))
        assert [logit_of[place] for place in few.read.tolist()] == few.logits.tolist()


def test_without_cases_the_settings_stay() -> None:
    everything = replace(DECISION, read_mass=2.0)
    assert choose_heat(seeing_documents(everything), Vectors(), []).nil_threshold == 0.3
    assert choose_reading(everything, Vectors(), [], 0.0) == everything
