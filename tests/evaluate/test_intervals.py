"""Bootstrap against brute force and closed forms; the sign test against sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.evaluate.intervals import (
    interval,
    macro,
    micro,
    resampled,
    sign_test,
    two_sided,
)

COUNTS = np.array([[[1, 2], [3, 3]], [[0, 4], [1, 5]], [[2, 2], [0, 0]]])  # 3 documents, 2 measures


def test_resampled_sums_are_sums_of_that_many_documents() -> None:
    sums = resampled(COUNTS, n_resamples=200, seed=3)
    assert sums.shape == (200, 2, 2)
    possible = {
        tuple((COUNTS[i] + COUNTS[j] + COUNTS[k]).ravel().tolist())
        for i in range(3)
        for j in range(3)
        for k in range(3)
    }
    drawn = {tuple(s.ravel().tolist()) for s in sums}
    assert drawn <= possible
    assert len(drawn) == len(possible) == 10  # 200 draws see every bag of three


def test_the_same_seed_draws_the_same_documents_whatever_is_measured() -> None:
    alone = resampled(COUNTS[:, :1], n_resamples=50, seed=1)
    together = resampled(COUNTS, n_resamples=50, seed=1)
    assert np.array_equal(alone, together[:, :1])
    assert not np.array_equal(together, resampled(COUNTS, n_resamples=50, seed=2))


def test_many_documents_are_drawn_in_parts_but_all_of_them() -> None:
    counts = np.ones((5000, 1, 2), dtype=np.int64)  # 838 resamples at a time
    sums = resampled(counts, n_resamples=1000, seed=0)
    assert (sums == 5000).all()


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    """400 documents of one mention, 100 right: the standard error is sqrt(p (1 - p) / n)."""
    counts = np.array([[[int(i < 100), 1]] for i in range(400)])
    found = interval(micro([resampled(counts)])[:, 0])
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.low == pytest.approx(0.25 - half, abs=0.006)
    assert found.high == pytest.approx(0.25 + half, abs=0.006)


def test_micro_pools_and_macro_averages() -> None:
    one, other = np.array([[1, 2], [0, 0]]), np.array([[9, 9], [3, 4]])
    assert micro([one, other]).tolist() == [10 / 11, 3 / 4]
    assert macro([one, other]).tolist() == [(1 / 2 + 1) / 2, 3 / 4]  # nothing counted: left out
    nothing = np.array([[0, 0]])
    assert np.isnan(micro([nothing])).all() and np.isnan(macro([nothing, nothing])).all()


def test_an_interval_by_hand() -> None:
    values = np.append(np.arange(101) / 100, np.nan)
    found = interval(values, level=0.9)
    assert [found.low, found.high] == pytest.approx([0.05, 0.95])
    nothing = interval(np.array([np.nan]))
    assert math.isnan(nothing.low) and math.isnan(nothing.high)


def test_two_sided_by_hand() -> None:
    assert two_sided(np.array([0.1, 0.2, -0.1, 0.3])) == 2 * 1 / 4
    assert two_sided(np.array([0.1, 0.2, 0.3, 0.4])) == 1 / 4  # never none at all
    assert two_sided(np.zeros(4)) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_sign_test_is_the_binomial_tail(a: int, b: int) -> None:
    n = a + b
    tail = sum(math.comb(n, k) for k in range(min(a, b) + 1)) / 2**n
    assert sign_test(a, b) == pytest.approx(min(1.0, 2 * tail) if n else 1.0)


def test_sign_test_by_hand_and_with_many() -> None:
    assert sign_test(5, 0) == 2 / 32
    assert sign_test(0, 0) == 1.0
    assert 0.0 <= sign_test(4000, 2000) < 1e-100
