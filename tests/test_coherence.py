"""The document pass, against features worked out mention by mention in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from entlink.coherence import FEATURES, N_HIDDEN, Coherence, Seen, surroundings

Floats = NDArray[np.float64]
NAMES = [("jordan",), ("michael", "jordan"), ("bulls",), ("chicago", "bulls"), ("chicago",), ()]


def unit_vectors(n: int, d: int = 6, *, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, d))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors, dtype=np.float32)


VECTORS = unit_vectors(12)


@st.composite
def documents(draw: st.DrawFn) -> list[Seen]:
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    mentions = []
    for _ in range(draw(st.integers(1, 7))):
        n = int(generator.integers(0, 5))
        rows = np.sort(generator.choice(12, size=n, replace=False)).astype(np.int64)
        p = generator.dirichlet(np.ones(n + 1))[:n]
        words = NAMES[int(generator.integers(len(NAMES)))]
        mentions.append(Seen(words, rows, p, VECTORS[rows], generator.random(n) < 0.5))
    return mentions


def given_by(seen: Seen, row: int) -> float:
    return float(seen.probabilities[list(seen.rows).index(row)]) if row in seen.rows else 0.0


def plain(mentions: list[Seen], i: int) -> list[list[float]]:
    """The five features of each candidate of mention i."""
    own = mentions[i]
    others = [m for j, m in enumerate(mentions) if j != i]
    same = [m for m in others if m.words == own.words]
    longer = [
        m
        for m in others
        if own.words and len(m.words) > len(own.words) and set(own.words) <= set(m.words)
    ]
    apart = {m.words for m in [own, *longer]}
    rest = {m.words: m for m in others if m.words not in apart}
    centres = []
    for m in rest.values():
        weighted = [p * v.astype(float) for p, v in zip(m.probabilities, m.vectors, strict=True)]
        centres.append(sum(weighted, np.zeros(6)))
    result = []
    for row, vector in zip(own.rows.tolist(), own.vectors.astype(float), strict=True):
        x = [0.0] * 5
        if same:
            mean = sum(given_by(m, row) for m in same) / len(same)
            x[0] = math.log(0.02 + mean) - math.log(0.02)
        x[1] = max((given_by(m, row) for m in longer), default=0.0)
        if centres:
            total = sum(centres)
            x[2] = float(vector @ total) / max(float(np.linalg.norm(total)), 1e-9)
            nearest = sorted(float(vector @ c) for c in centres)[-3:]
            x[4] = sum(nearest) / len(nearest)
        result.append(x)
    named = [x[2] for x, alias in zip(result, own.is_alias, strict=True) if alias]
    for x, alias in zip(result, own.is_alias, strict=True):
        if alias and centres:
            x[3] = x[2] - max(named)
    return result


@settings(max_examples=200)
@given(documents())
def test_surroundings_against_plain_ones(mentions: list[Seen]) -> None:
    for i, x in enumerate(surroundings(mentions)):
        assert x.shape == (len(mentions[i].rows), len(FEATURES))
        if len(x):
            np.testing.assert_allclose(x, plain(mentions, i), atol=1e-6)


def test_one_mention_has_no_surroundings() -> None:
    (x,) = surroundings([Seen(("a",), np.arange(3), np.ones(3) / 4, VECTORS[:3], np.ones(3, bool))])
    assert not x.any()


@settings(max_examples=50)
@given(documents())
def test_the_order_of_other_names_makes_no_difference(mentions: list[Seen]) -> None:
    """Of mentions of one name the last stands for it, so names are taken to differ."""
    distinct = list({m.words: m for m in mentions}.values())
    forth, back = surroundings(distinct), surroundings(distinct[::-1])[::-1]
    for a, b in zip(forth, back, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_scores_against_a_double_loop() -> None:
    generator = np.random.default_rng(1)
    f = 4
    sizes = {"linear": f, "hidden": f * N_HIDDEN, "bias": N_HIDDEN, "out": N_HIDDEN, "nil": 2}
    model = Coherence(**{k: tuple(generator.normal(size=n).tolist()) for k, n in sizes.items()})
    x = generator.normal(size=(5, f))
    expected = []
    for row in x:
        score = sum(w * value for w, value in zip(model.linear, row, strict=True))
        for j in range(N_HIDDEN):
            inner = model.bias[j] + sum(row[i] * model.hidden[i * N_HIDDEN + j] for i in range(f))
            score += model.out[j] * math.tanh(inner)
        expected.append(score)
    np.testing.assert_allclose(model.scores(x), expected)
    assert model.scores(np.zeros((0, f))).shape == (0,)
    assert model.scores(x[:1])[0] == pytest.approx(expected[0])
