"""Margins against a double loop over pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from entlink.analyse import by_length, length_groups, margin, margins_frame, margins_of, smallest
from entlink.errors import ConfigError


def sample(seed: int, n: int = 9, d: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, documents of which many numbers are zero and two are the same, gold places."""
    generator = np.random.default_rng(seed)
    documents = generator.standard_normal((n, d)) * (generator.random((n, d)) < 0.6)
    documents[-1] = documents[0]
    queries = generator.standard_normal((5, d)) * (generator.random((5, d)) < 0.7)
    return queries, documents, generator.integers(0, n, 5)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), is_sparse=st.booleans())
def test_margins_are_those_of_each_pair(seed: int, is_sparse: bool) -> None:
    queries, documents, gold = sample(seed)
    if is_sparse:
        found = margins_of(csr_array(queries), csr_array(documents), gold)
    else:
        found = margins_of(queries, documents, gold)
    assert found.shape == (5, 9)
    for i, own in enumerate(gold):
        for j in range(9):
            if j == own:
                assert np.isnan(found[i, j])
            else:
                expected = margin(queries[i], documents[own], documents[j])
                assert found[i, j] == pytest.approx(expected, abs=1e-7)
                assert -1 <= found[i, j] <= 1


def test_a_margin_by_hand() -> None:
    q, d1, d2 = np.array([3.0, 4.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert margin(q, d1, d2) == pytest.approx(-1 / (5 * np.sqrt(2)))
    assert margin(q, d1, d1) == 0.0
    assert margin(np.zeros(2), d1, d2) == 0.0


def test_single_precision_is_not_lost_in() -> None:
    generator = np.random.default_rng(0)
    documents = (1000 + generator.standard_normal((5, 8))).astype(np.float32)
    queries = generator.standard_normal((2, 8)).astype(np.float32)
    found = margins_of(queries, documents, np.array([0, 1]))
    exact = margin(queries[0].astype(float), documents[0].astype(float), documents[3].astype(float))
    assert found[0, 3] == pytest.approx(exact, abs=1e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_the_smallest_are_those_of_a_sorted_list(seed: int) -> None:
    found = margins_of(*sample(seed))
    values = smallest(found, (1, 3, 8, 9, 1000))
    for row, few in zip(found, values, strict=True):
        ordered = sorted(row[~np.isnan(row)])
        assert few[:3].tolist() == [ordered[0], ordered[2], ordered[7]]
        assert np.isnan(few[3:]).all()
    with pytest.raises(ConfigError, match="an order of margins is 0"):
        smallest(found, (0,))


@given(
    lengths=st.lists(st.integers(0, 12), max_size=40).map(lambda x: np.asarray(x, dtype=np.int64)),
    n_groups=st.integers(1, 6),
)
def test_groups_hold_each_text_once_by_rising_length(lengths: np.ndarray, n_groups: int) -> None:
    groups = length_groups(lengths, n_groups=n_groups)
    joined = np.concatenate([np.zeros(0, dtype=int), *groups])
    assert sorted(joined.tolist()) == list(range(len(lengths)))
    assert len(groups) <= n_groups and all(len(group) for group in groups)
    for before, after in itertools.pairwise(groups):
        assert lengths[before].max() < lengths[after].min()


def test_groups_are_of_like_size_where_lengths_allow() -> None:
    groups = length_groups(np.arange(100), n_groups=5)
    assert [len(group) for group in groups] == [20] * 5
    with pytest.raises(ConfigError, match="n_groups is 0"):
        length_groups(np.arange(3), n_groups=0)


def test_means_by_length() -> None:
    found = margins_of(*sample(3))
    lengths = np.asarray([1, 9, 1, 9, 9])
    short, long = by_length(found, lengths, n_groups=2, orders=(1, 2, 1000))
    assert (short.shortest, short.longest, short.n) == (1, 1, 2)
    assert (long.shortest, long.longest, long.n) == (9, 9, 3)
    first = [sorted(row[~np.isnan(row)])[0] for row in found]
    assert short.smallest[1] == pytest.approx((first[0] + first[2]) / 2)
    assert set(long.smallest) == {1, 2}
    frame = margins_frame([short, long])
    assert list(frame.columns) == ["shortest", "longest", "n", "margin_1", "margin_2"]
    assert frame["margin_1"].tolist() == [short.smallest[1], long.smallest[1]]
