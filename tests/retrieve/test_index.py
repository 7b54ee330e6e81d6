"""The index against a matrix product and a sort."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from entlink.errors import BundleError
from entlink.retrieve.exact import nearest, nearest_on
from entlink.retrieve.index import VectorIndex, use_threads

Floats = NDArray[np.float32]


def unit(n: int, d: int, *, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 60), d=st.integers(2, 24), k=st.integers(1, 70), seed=st.integers(0, 1000))
def test_search_equals_brute_force(n: int, d: int, k: int, seed: int) -> None:
    vectors, queries = unit(n, d, seed=seed), unit(7, d, seed=seed + 1)
    scores, positions = VectorIndex.build(vectors).search(queries, k=k)
    assert scores.shape == positions.shape == (7, k)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    best = np.argsort(-exact, axis=1)[:, :k]
    found = min(n, k)
    assert (positions[:, found:] == -1).all()
    np.testing.assert_allclose(
        scores[:, :found], np.take_along_axis(exact, best, axis=1), atol=1e-5
    )
    for row in range(7):  # ids too, save where two scores are equal to within rounding
        places = positions[row, :found]
        assert len(set(places.tolist())) == found
        np.testing.assert_allclose(exact[row, places], exact[row, best[row]], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 4000),
    k=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    m=st.sampled_from([5, 12]),
    seed=st.integers(0, 1000),
)
def test_search_among_some_equals_brute_force(
    n: int, k: int, share: float, m: int, seed: int
) -> None:
    vectors, queries = unit(n, 4, seed=seed), unit(m, 4, seed=seed + 1)
    vectors[n // 2 :] = vectors[: n - n // 2]  # equals
    allowed = np.random.default_rng(seed).random(n) < share
    scores, positions = VectorIndex.build(vectors).search(queries, k=k, allowed=allowed)
    exact = np.where(allowed, queries.astype(np.float64) @ vectors.astype(np.float64).T, -np.inf)
    found = min(k, int(allowed.sum()))
    assert (positions[:, found:] == -1).all()
    assert (scores[:, found:] < -1e30).all()
    best = -np.sort(-exact, axis=1)[:, :found]
    np.testing.assert_allclose(scores[:, :found], best, atol=1e-5)
    for row, places in enumerate(positions[:, :found]):
        assert len(set(places.tolist())) == found
        np.testing.assert_allclose(exact[row, places], best[row], atol=1e-5)


def test_searches_at_once_and_one_after_another_do_not_meet() -> None:
    def searched(n: int) -> list[int]:
        vectors = unit(n, 8, seed=n)
        queries = vectors[:50] + 0.01 * unit(50, 8, seed=n + 1)
        _, positions = VectorIndex.build(vectors).search(queries, k=3)
        return [int(first) for first in positions[:, 0]]

    sizes = [100, 90_000, 5_000, 60_000] * 4
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(searched, sizes)) == [list(range(50))] * len(sizes)
    with torch.inference_mode():
        assert searched(70_000) == list(range(50))
    assert searched(100_000) == list(range(50))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 900),
    k=st.integers(1, 40),
    share=st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_all_at_once_finds_the_same_in_the_same_order(
    n: int, k: int, share: float | None, seed: int
) -> None:
    """Of small whole numbers, so that most scores have equals, and all are exact."""
    random = np.random.default_rng(seed)
    vectors = random.integers(-2, 3, size=(n, 3)).astype(np.float32)
    queries = random.integers(-2, 3, size=(9, 3)).astype(np.float32)
    allowed = None if share is None else random.random(n) < share
    scores, positions = nearest_on(torch.device("cpu"), vectors, queries, k=k, allowed=allowed)
    known = np.arange(n) if allowed is None else np.flatnonzero(allowed)
    for query, own_scores, own in zip(queries, scores, positions, strict=True):
        pairs = sorted((-float(query @ vectors[place]), place) for place in known.tolist())
        expected = [(place, -score) for score, place in pairs[:k]]
        expected += [(-1, -np.inf)] * (k - len(expected))
        assert list(zip(own.tolist(), own_scores.tolist(), strict=True)) == expected
    other = nearest(vectors, queries, k=k, allowed=allowed)
    assert np.array_equal(other[0], scores) and np.array_equal(other[1], positions)


def test_ids_of_well_separated_vectors() -> None:
    vectors = np.eye(5, dtype=np.float32)
    query = np.asarray([[0.1, 0.7, 0.2, 0.6, 0.3]], dtype=np.float32)
    scores, positions = VectorIndex.build(vectors).search(query, k=3)
    assert positions.tolist() == [[1, 3, 4]]
    np.testing.assert_allclose(scores, [[0.7, 0.6, 0.3]], atol=1e-6)


def test_vectors_come_back_by_position() -> None:
    vectors = unit(20, 8, seed=0)
    index = VectorIndex.build(vectors)
    assert len(index) == 20
    places = np.asarray([3, 0, 19, 3])
    np.testing.assert_array_equal(index.vectors(places), vectors[places])
    assert index.vectors(np.zeros(0, dtype=np.int64)).shape == (0, 8)


def test_no_queries_give_no_rows() -> None:
    scores, positions = VectorIndex.build(unit(3, 4, seed=0)).search(
        np.zeros((0, 4), dtype=np.float32), k=2
    )
    assert scores.shape == positions.shape == (0, 2)


def test_a_saved_index_is_the_same(tmp_path: Path) -> None:
    vectors, queries = unit(50, 8, seed=1), unit(9, 8, seed=2)
    index = VectorIndex.build(vectors)
    index.save(tmp_path / "index.faiss")
    assert [file.name for file in tmp_path.iterdir()] == ["index.faiss"]
    opened = VectorIndex.open(tmp_path / "index.faiss")
    (scores, positions), (again, same) = (some.search(queries, k=5) for some in (index, opened))
    np.testing.assert_array_equal(positions, same)
    np.testing.assert_allclose(scores, again, atol=1e-6)  # the last bit hangs on where they lie
    np.testing.assert_array_equal(opened.vectors(np.arange(50)), vectors)


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "missing", "size"])
def test_a_damaged_index_is_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index.faiss"
    VectorIndex.build(unit(50, 8, seed=1)).save(path)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "empty": b"",
                "cut": data[: len(data) // 2],
                "noise": b"no index at all" * 10,
                "size": data[:8] + b"\xff" + data[9:],  # of the number of vectors
            }[damage]
        )
    with pytest.raises(BundleError, match="not a readable index") as caught:
        VectorIndex.open(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_approximate_index_scores_what_it_finds_exactly() -> None:
    vectors, queries = unit(400, 8, seed=3), unit(5, 8, seed=4)
    scores, positions = VectorIndex.build(vectors, factory="IVF4,Flat").search(queries, k=3)
    for query, row, places in zip(queries, scores, positions, strict=True):
        assert (places >= 0).all()
        np.testing.assert_allclose(row, vectors[places] @ query, atol=1e-5)
        assert (np.diff(row) <= 0).all()


def test_threads_can_be_limited() -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    try:
        use_threads(1)
        assert faiss.omp_get_max_threads() == 1
    finally:
        use_threads(before)
