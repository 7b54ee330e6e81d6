"""The sizes of system.md part 5, as formulas and as promises that random projections keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.analyse import (
    least_margin,
    margin,
    pair_failure,
    pair_size,
    project,
    recall_failure,
    recall_size,
)
from entlink.analyse.margins import margins_of, smallest
from entlink.analyse.ranks import projected_ranks, ranks_of
from entlink.errors import ConfigError

EPS = st.floats(0.01, 1.0)
BETA = st.floats(0.001, 0.9)
N = st.integers(1, 10**7)


@given(eps=EPS, beta=BETA)
def test_the_size_for_a_pair_is_the_least(eps: float, beta: float) -> None:
    k = pair_size(eps, beta=beta)
    assert k > 12 / eps**2 * math.log(4 / beta) >= k - 1
    assert pair_failure(eps, k=k) <= beta * (1 + 1e-9)
    assert pair_failure(eps, k=max(1, k // 2)) >= pair_failure(eps, k=k)


@given(eps=EPS, beta=BETA, n=N, data=st.data())
def test_the_size_for_recall_is_the_least(
    eps: float, beta: float, n: int, data: st.DataObject
) -> None:
    r0 = data.draw(st.integers(1, n))
    k = recall_size(eps, n_documents=n, r0=r0, beta=beta)
    assert k >= 2 / (eps**2 / 2 - eps**3 / 3) * math.log(4 * (n - r0 + 1) / beta) > k - 1
    assert recall_failure(eps, n_documents=n, r0=r0, k=k) <= beta * (1 + 1e-9)


@given(k=st.integers(1, 10**5), beta=BETA, n=N)
def test_the_least_margin_is_where_the_size_is_enough(k: int, beta: float, n: int) -> None:
    eps = least_margin(k, n_documents=n, r0=1, beta=beta)
    if eps == math.inf:
        assert recall_size(1.0, n_documents=n, r0=1, beta=beta) > k
        return
    assert recall_size(eps, n_documents=n, r0=1, beta=beta) <= k
    if eps > 0.001:
        assert recall_size(eps * 0.999, n_documents=n, r0=1, beta=beta) >= k


def test_worked_by_hand() -> None:
    # 12 / .25 * ln(4 / .1) = 177.06...; 2 / (.125 - .041666) * ln(4 * 991 / .05) = 270.72...
    assert pair_size(0.5, beta=0.1) == 178
    assert recall_size(0.5, n_documents=1000, r0=10, beta=0.05) == 271
    assert pair_failure(0.01, k=1) == recall_failure(0.01, n_documents=9, r0=1, k=1) == 1.0


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
@pytest.mark.parametrize("k", [4, 16, pair_size(0.6, beta=0.3)])
def test_pairs_are_turned_round_no_oftener_than_the_bound_says(kind: str, k: int) -> None:
    """One margin, 400 projections: failures are at most the bound, and come where k is small."""
    generator = np.random.default_rng(7)
    q, across = np.eye(40)[0], np.eye(40)[1]
    d2 = generator.standard_normal(40)
    d1 = d2 + 2.0 * (0.6 * q + 0.8 * across)
    assert margin(q, d1, d2) == pytest.approx(0.6)
    rows = np.stack([q, d1, d2])
    failed = 0
    for seed in range(400):
        a, b, c = project(rows, k, kind=kind, seed=seed)
        failed += bool(a @ b <= a @ c)
    assert failed / 400 <= pair_failure(0.6, k=k)
    assert failed > 0 if k == 4 else failed < 40


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
def test_recall_is_lost_no_oftener_than_the_bound_says(kind: str) -> None:
    generator = np.random.default_rng(3)
    documents = generator.standard_normal((30, 50))
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    gold = np.arange(12)
    queries = documents[gold] + 0.02 * generator.standard_normal((12, 50))
    r0, beta = 2, 0.2
    assert (ranks_of(queries, documents, gold) == 1).all()
    eps = smallest(margins_of(queries, documents, gold), (r0,))[:, 0]
    k = recall_size(float(eps.min()), n_documents=30, r0=r0, beta=beta)
    sizes = [2, 8, k]
    lost = np.zeros((12, 3))
    for seed in range(60):
        lost += projected_ranks(queries, documents, gold, sizes=sizes, kind=kind, seed=seed) > r0
    share = lost / 60
    for row, own in enumerate(eps.tolist()):
        for column, size in enumerate(sizes):
            assert share[row, column] <= recall_failure(own, n_documents=30, r0=r0, k=size)
    assert share[:, 0].max() > 0.1 and (share[:, 2] <= beta).all()


@pytest.mark.parametrize("eps", [0.0, -0.1, 1.1, math.nan])
def test_margins_that_cannot_be(eps: float) -> None:
    with pytest.raises(ConfigError, match="the margin is"):
        pair_size(eps, beta=0.1)
    with pytest.raises(ConfigError, match="the margin is"):
        recall_size(eps, n_documents=10, r0=1, beta=0.1)


def test_other_numbers_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="beta is 1"):
        pair_size(0.5, beta=1.0)
    with pytest.raises(ConfigError, match="r0 is 11; it must be from 1 to the 10 documents"):
        recall_size(0.5, n_documents=10, r0=11, beta=0.1)
    with pytest.raises(ConfigError, match="k is 0"):
        least_margin(0, n_documents=10, r0=1, beta=0.1)


def test_hopeless_margins_have_a_size_all_the_same() -> None:
    assert pair_size(1e-12, beta=0.1) > 10**17
    assert least_margin(1, n_documents=10, r0=1, beta=0.1) == math.inf
