"""The decision: probabilities are probabilities, whatever was read and in whatever order."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from entlink.coherence import N_HIDDEN, Coherence
from entlink.decide import (
    CANDIDATE_FEATURES,
    MAX_EARLY,
    N_DOCUMENT,
    N_EARLY,
    NIL_FEATURES,
    Decision,
    Evidence,
    document_features,
    document_probabilities,
    early_features,
    early_places,
    early_probabilities,
    final_features,
    final_probabilities,
    first_features,
    first_probabilities,
    to_read,
)
from entlink.errors import BundleError
from tests.evidence import random_evidence, taken
from tests.tiny import DECISION

Floats = NDArray[np.float64]


def together(n_features: int, nil: tuple[float, ...]) -> Coherence:
    return Coherence(
        linear=(0.5,) * n_features,
        hidden=tuple(math.sin(i) for i in range(n_features * N_HIDDEN)),
        bias=(0.1,) * N_HIDDEN,
        out=tuple(math.cos(i) for i in range(N_HIDDEN)),
        nil=nil,
    )


EARLY = together(N_EARLY, (0.5, -1.0, 2.0))
COHERENCE = together(N_DOCUMENT, (0.5, -1.0, 2.0, 0.3))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Decision, Evidence, NDArray[np.int64], NDArray[np.float32]]:
    """Weights, what is known of some candidates, which were read, and their logits."""
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    k = draw(st.integers(0, 12))
    scale = draw(st.sampled_from([0.0, 1.0, 30.0]))

    def weights(n: int) -> tuple[float, ...]:
        return tuple(generator.normal(scale=scale, size=n).tolist())

    decision = Decision(weights(14), weights(3), weights(16), weights(4))
    evidence = random_evidence(generator, k)
    read = generator.permutation(k)[: draw(st.integers(0, k))].astype(np.int64)
    return decision, evidence, read, generator.normal(scale=8, size=len(read)).astype(np.float32)


Case = tuple[Decision, Evidence, NDArray[np.int64], NDArray[np.float32]]


def plain_features(e: Evidence, i: int) -> list[float]:
    """The features of candidate i, one at a time."""
    known = [not math.isnan(p) for p in e.popularity]
    popularity = [float(p) / 4 if known[j] else 0.0 for j, p in enumerate(e.popularity)]
    best_named = max(
        (p for p, alias in zip(popularity, e.is_alias, strict=True) if alias), default=0.0
    )
    alias, prior = bool(e.is_alias[i]), float(e.priors[i])
    return [
        float(e.cosines[i]),
        float(e.cosines[i]) - max(float(c) for c in e.cosines),
        float(alias),
        float(alias and sum(e.is_alias.tolist()) == 1),
        prior,
        math.log(max(prior, 0.01)),
        popularity[i],
        float(known[i]),
        popularity[i] - best_named if alias else 0.0,
        math.log(1 + int(e.degree[i])) / 4,
        float(e.is_country[i]),
        float(e.words_found[i]),
        float(e.part_of_name[i]),
        float(e.begins_name[i]),
    ]


@settings(max_examples=200, deadline=None)
@given(cases())
def test_features_are_what_their_names_say(case: Case) -> None:
    _, evidence, read, logits = case
    k = len(evidence.cosines)
    x, nil = first_features(evidence)
    assert x.shape == (k, len(CANDIDATE_FEATURES) - 2)
    for i in range(k):
        np.testing.assert_allclose(x[i], plain_features(evidence, i), atol=1e-6)
    best = max((float(c) for c in evidence.cosines), default=-1.0)
    np.testing.assert_allclose(nil, [1.0, best, float(not any(evidence.is_alias))], atol=1e-6)
    y, nil_too = final_features(x[read], nil, logits)
    assert y.shape == (len(read), len(CANDIDATE_FEATURES)) and nil_too.shape == (len(NIL_FEATURES),)
    for i, place in enumerate(read):
        others = [float(v) for j, v in enumerate(logits) if j != i]
        gap = float(logits[i]) - max(others, default=0.0)
        expected = [*plain_features(evidence, int(place)), float(logits[i]) / 4, gap / 4]
        np.testing.assert_allclose(y[i], expected, atol=1e-5)
    assert nil_too[3] == pytest.approx(max((float(v) for v in logits), default=0.0) / 4)


def plain_softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


@settings(max_examples=200, deadline=None)
@given(cases())
def test_probabilities_are_two_softmaxes(case: Case) -> None:
    decision, evidence, read, logits = case
    x, nil = first_features(evidence)
    first = plain_softmax(
        [float(np.dot(row, decision.first)) for row in x] + [float(np.dot(nil, decision.first_nil))]
    )
    found = first_probabilities(decision, evidence)
    np.testing.assert_allclose(found, first, atol=1e-9)
    final = list(first)
    if len(read):
        y, nil_too = final_features(x[read], nil, logits)
        shares = plain_softmax(
            [float(np.dot(row, decision.final)) for row in y]
            + [float(np.dot(nil_too, decision.final_nil))]
        )
        among = [*read.tolist(), len(first) - 1]
        mass = sum(first[i] for i in among)
        for i, share in zip(among, shares, strict=True):
            final[i] = share * mass
    result = final_probabilities(decision, evidence, found, read, logits)
    np.testing.assert_allclose(result, final, atol=1e-9)


@settings(max_examples=300, deadline=None)
@given(cases())
def test_they_sum_to_one_whatever_was_read(case: Case) -> None:
    decision, evidence, read, logits = case
    first = first_probabilities(decision, evidence)
    kept = first.copy()
    final = final_probabilities(decision, evidence, first, read, logits)
    for p in (first, final):
        assert p.shape == (len(evidence.cosines) + 1,)
        assert (p >= 0).all() and p.sum() == pytest.approx(1.0, abs=1e-9)
    unread = np.setdiff1d(np.arange(len(evidence.cosines)), read)
    np.testing.assert_array_equal(final[unread], first[unread])
    np.testing.assert_array_equal(first, kept)  # not changed under the caller's hands


@settings(max_examples=50, deadline=None)
@given(cases())
def test_reading_nothing_leaves_what_the_first_model_says(case: Case) -> None:
    decision, evidence, _, _ = case
    first = first_probabilities(decision, evidence)
    nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    np.testing.assert_array_equal(final_probabilities(decision, evidence, first, *nothing), first)


@settings(max_examples=200, deadline=None)
@given(case=cases(), seed=st.integers(0, 1000))
def test_the_order_of_the_candidates_does_not_matter(case: Case, seed: int) -> None:
    decision, evidence, read, logits = case
    k = len(evidence.cosines)
    order = np.random.default_rng(seed).permutation(k)
    place = np.argsort(order)  # where each candidate went
    shuffled = taken(evidence, order)
    first = first_probabilities(decision, evidence)
    final = final_probabilities(decision, evidence, first, read, logits)
    first_too = first_probabilities(decision, shuffled)
    final_too = final_probabilities(decision, shuffled, first_too, place[read], logits)
    np.testing.assert_allclose(first_too, np.append(first[order], first[-1]), atol=1e-9)
    np.testing.assert_allclose(final_too, np.append(final[order], final[-1]), atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(case=cases(), copies=st.lists(st.integers(0, 11), min_size=1, max_size=40))
def test_equal_candidates_have_equal_probabilities_to_the_last_bit(
    case: Case, copies: list[int]
) -> None:
    decision, evidence, _, _ = case
    assume(len(evidence.cosines) > 0)
    chosen = np.asarray(copies) % len(evidence.cosines)
    repeated = taken(evidence, chosen)
    first = first_probabilities(decision, repeated)
    logits = (chosen % 3).astype(np.float32)
    final = final_probabilities(decision, repeated, first, np.arange(len(chosen)), logits)
    for p in (first, final):
        for i, a in enumerate(chosen):
            for j, b in enumerate(chosen):
                assert a != b or p[i] == p[j]


def reading(probabilities: list[float], **changes: float) -> list[int]:
    decision = replace(Decision.blank(), **changes)  # type: ignore[arg-type]
    return [int(i) for i in to_read(decision, np.asarray(probabilities))]


def test_as_few_as_hold_the_mass_are_read_best_first() -> None:
    p = [0.1, 0.5, 0.05, 0.3, 0.05]  # the last is NIL's
    assert reading(p, read_mass=0.9) == [1, 3, 0]  # 0.9 of 0.95 is 0.855
    assert reading(p, read_mass=0.8) == [1, 3]
    assert reading(p, read_mass=0.5) == []  # the first alone is sure enough
    assert reading(p, read_mass=0.52) == [1]
    assert reading(p, read_mass=2.0) == [1, 3, 0, 2]
    assert reading(p, read_mass=2.0, max_pairs=2) == [1, 3]
    assert reading(p, read_mass=2.0, max_pairs=0) == []
    assert reading(p, read_mass=2.0, read_floor=0.1) == [1, 3, 0]
    assert reading(p, read_mass=0.8, read_floor=0.1) == [1, 3]
    assert reading(p, read_mass=2.0, read_floor=0.6) == [1]  # the likeliest always
    assert reading(p, read_mass=0.5, read_floor=0.6) == []


def test_nothing_is_read_of_one_certain_candidate_or_of_none() -> None:
    assert reading([0.99, 0.005, 0.005], read_mass=0.98) == []
    assert reading([1.0], read_mass=0.98) == []
    # not certain: NIL is likely, so the one candidate is worth reading
    assert reading([0.3, 0.0, 0.7], read_mass=0.98) == [0]


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.floats(0.001, 1), min_size=2, max_size=20),
    mass=st.floats(0.1, 1.0),
    max_pairs=st.integers(1, 20),
)
def test_what_is_read_is_the_shortest_prefix(
    scores: list[float], mass: float, max_pairs: int
) -> None:
    p = np.asarray(scores) / sum(scores)
    found = to_read(replace(Decision.blank(), read_mass=mass, max_pairs=max_pairs), p).tolist()
    order = sorted(range(len(p) - 1), key=lambda i: (-p[i], i))
    assert found == order[: len(found)]
    assert len(found) <= max_pairs
    needed = mass * p[:-1].sum()
    if not found:
        assert p[order[0]] >= mass
    else:
        if len(found) < min(max_pairs, len(order)):
            assert p[found].sum() >= needed - 1e-9
        assert p[found[:-1]].sum() <= needed + 1e-9


@settings(max_examples=100)
@given(cases())
def test_the_document_pass_shares_out_what_was_read_anew(case: Case) -> None:
    decision, evidence, read, logits = case
    first = first_probabilities(decision, evidence)
    final = final_probabilities(decision, evidence, first, read, logits)
    around = np.random.default_rng(len(read)).normal(size=(len(read), 5))
    arguments = evidence, final, read, logits, around
    p = document_probabilities(replace(decision, coherence=COHERENCE), *arguments)
    np.testing.assert_array_equal(document_probabilities(decision, *arguments), final)
    assert p.sum() == pytest.approx(1.0)
    unread = np.setdiff1d(np.arange(len(evidence.cosines)), read)
    np.testing.assert_array_equal(p[unread], final[unread])
    if len(read):
        x, nil = document_features(evidence, read, logits, around)
        assert x.shape == (len(read), N_DOCUMENT)
        scores = [*COHERENCE.scores(x), float(nil @ np.asarray(COHERENCE.nil))]
        shares = np.exp(np.asarray(scores) - max(scores))
        among = [*read.tolist(), len(final) - 1]
        mass = final[among].sum()
        np.testing.assert_allclose(p[among], mass * shares / shares.sum(), atol=1e-9)
    else:
        np.testing.assert_array_equal(p, final)


@settings(max_examples=100)
@given(cases())
def test_the_document_pass_before_reading_shares_out_the_likeliest_anew(case: Case) -> None:
    decision, evidence, _, _ = case
    first = first_probabilities(decision, evidence)
    places = early_places(first)
    k = len(evidence.cosines)
    assert places.tolist() == sorted(range(k), key=lambda i: -first[i])[:MAX_EARLY]
    around = np.random.default_rng(k).normal(size=(len(places), 5))
    arguments = evidence, first, places, around
    p = early_probabilities(replace(decision, early=EARLY), *arguments)
    np.testing.assert_array_equal(early_probabilities(decision, *arguments), first)
    assert p.sum() == pytest.approx(1.0)
    x, nil = early_features(evidence, places, around)
    assert x.shape == (len(places), N_EARLY)
    scores = np.append(EARLY.scores(x), nil @ np.asarray(EARLY.nil)) if k else np.zeros(1)
    shares = np.exp(scores - scores.max())
    among = [*places.tolist(), k]
    np.testing.assert_allclose(p[among], first[among].sum() * shares / shares.sum(), atol=1e-9)


@pytest.mark.parametrize("early", [None, EARLY])
def test_a_saved_document_pass_is_the_same(tmp_path: Path, early: Coherence | None) -> None:
    decision = replace(DECISION, early=early, coherence=COHERENCE)
    assert decision.sees_documents and replace(decision, coherence=None).sees_documents == bool(
        early
    )
    decision.save(tmp_path / "decision.json")
    assert Decision.load(tmp_path / "decision.json") == decision


def test_a_saved_decision_is_the_same(tmp_path: Path) -> None:
    DECISION.save(tmp_path / "decision.json")
    assert Decision.load(tmp_path / "decision.json") == DECISION
    Decision.blank().save(tmp_path / "blank.json")
    assert Decision.load(tmp_path / "blank.json") == Decision.blank()
    before = (tmp_path / "decision.json").read_bytes()
    DECISION.save(tmp_path / "decision.json")
    assert (tmp_path / "decision.json").read_bytes() == before


def test_blank_weights_make_all_alike() -> None:
    evidence = random_evidence(np.random.default_rng(0), 2)
    np.testing.assert_allclose(first_probabilities(Decision.blank(), evidence), [1 / 3] * 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        json.dumps(asdict(DECISION) | {"first": [1.0]}),
        json.dumps(asdict(DECISION) | {"final": [0.0] * 11}),
        json.dumps(asdict(DECISION) | {"first_nil": 3}),
        json.dumps(asdict(DECISION) | {"final_nil": [0.0] * 3}),
        json.dumps(asdict(DECISION) | {"final_nil": ["x"] * 4}),
        json.dumps(asdict(DECISION) | {"max_pairs": None}),
        json.dumps(asdict(DECISION) | {"coherence": {}}),
        json.dumps(asdict(DECISION) | {"early": asdict(COHERENCE)}),
        json.dumps(asdict(DECISION) | {"coherence": asdict(COHERENCE) | {"bias": [0.0]}}),
        json.dumps({k: v for k, v in asdict(DECISION).items() if k != "nil_threshold"}),
        "\xff binary" * 1000,
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "decision.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match="not a decision file of this version") as caught:
        Decision.load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 600


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a decision file"):
        Decision.load(tmp_path / "none.json")
