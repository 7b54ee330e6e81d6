"""Fitted weights: the optimum of the likelihood, and patterns that only a hidden layer can hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink.errors import InputError
from entlink.train.weights import Row, fit_coherence, fit_weights

Floats = NDArray[np.float64]


def shares(row: Row, w: Floats, v: Floats) -> Floats:
    """Probabilities of a mention's candidates and, last, of NIL."""
    powers = np.exp([*(row[0] @ w), row[1] @ v])
    return np.asarray(powers / powers.sum())


def planted(n: int, *, seed: int) -> tuple[list[Row], Floats, Floats]:
    """Mentions whose answers are drawn from known weights."""
    generator = np.random.default_rng(seed)
    w, v = np.asarray([1.5, -2.0, 0.7]), np.asarray([0.4, -1.0])
    rows: list[Row] = []
    for _ in range(n):
        k = int(generator.integers(0, 6))
        row = (generator.normal(size=(k, 3)), np.asarray([1.0, generator.normal()]), 0)
        place = int(generator.choice(k + 1, p=shares(row, w, v)))
        rows.append((row[0], row[1], place))
    return rows, w, v


def gradient(
    rows: list[Row], weights: list[float], w: Floats, v: Floats, penalty: float
) -> tuple[Floats, Floats]:
    """Of the mean negative log-likelihood plus the penalty, summed up row by row."""
    dw, dv = np.zeros_like(w), np.zeros_like(v)
    for row, weight in zip(rows, weights, strict=True):
        p = shares(row, w, v)
        p[row[2]] -= 1.0
        dw += weight * (p[:-1] @ row[0])
        dv += weight * p[-1] * row[1]
    total = sum(weights)
    return dw / total + 2 * penalty * w, dv / total + 2 * penalty * v


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_fitted_weights_are_the_optimum(penalty: float, weighted: bool) -> None:
    rows, _, _ = planted(300, seed=0)
    weights = np.random.default_rng(2).uniform(0.1, 3, size=300).tolist() if weighted else None
    w, v = (np.asarray(part) for part in fit_weights(rows, weights, penalty=penalty))
    for part in gradient(rows, weights or [1.0] * 300, w, v, penalty):
        np.testing.assert_allclose(part, 0.0, atol=1e-4)
    assert np.abs(w).max() > 0.1


def test_planted_weights_are_found_again() -> None:
    rows, w, v = planted(6000, seed=1)
    found_w, found_v = fit_weights(rows, penalty=0.0)
    np.testing.assert_allclose(found_w, w, atol=0.15)
    np.testing.assert_allclose(found_v, v, atol=0.15)


def crossed(n: int, *, seed: int) -> list[Row]:
    """The right candidate is the one whose two signs agree: no linear score tells it."""
    generator = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(n):
        signs = generator.choice([-1.0, 1.0], size=(3, 1))
        x = np.concatenate([signs, -signs], axis=1)
        place = int(generator.integers(4))
        if place < 3:
            x[place, 1] = x[place, 0]
        rows.append((5 * x + 20, np.asarray([1.0, float(place == 3)]), place))
    return rows


def accuracy(rows: list[Row], scores: list[Floats]) -> float:
    return float(np.mean([s.argmax() == r[2] for r, s in zip(rows, scores, strict=True)]))


def test_the_small_network_holds_what_a_line_cannot() -> None:
    train, test = crossed(2000, seed=0), crossed(300, seed=1)
    model = fit_coherence(train, seed=3)
    nil = np.asarray(model.nil)
    deep = accuracy(test, [np.append(model.scores(x), n @ nil) for x, n, _ in test])
    w, v = fit_weights(train, penalty=1e-3)
    line = accuracy(test, [np.append(x @ np.asarray(w), n @ np.asarray(v)) for x, n, _ in test])
    assert deep > 0.95 and line < 0.7
    assert fit_coherence(train, seed=3) == model


def test_mentions_that_weigh_nothing_teach_nothing() -> None:
    rows = crossed(400, seed=0)
    wrong = [(x, nil, (place + 1) % 4) for x, nil, place in rows]
    weights = [1.0] * 400 + [1e-9] * 400
    model = fit_coherence([*rows, *wrong], weights=weights)
    nil = np.asarray(model.nil)
    assert accuracy(rows, [np.append(model.scores(x), n @ nil) for x, n, _ in rows]) > 0.8


def test_nothing_to_fit_is_said() -> None:
    with pytest.raises(InputError, match="no held-out mention"):
        fit_weights([], penalty=0.1)
    with pytest.raises(InputError, match="no held-out mention"):
        fit_coherence([])
