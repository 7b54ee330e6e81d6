"""Approximate indexes: against brute force, with filters, from a mapped file, made of shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from entlink.errors import BundleError, ConfigError
from entlink.retrieve import index as indexes
from entlink.retrieve.index import VectorIndex, check_factory, open_index
from entlink.retrieve.index_config import CONFIG_NAME, IndexConfig
from entlink.retrieve.stored import StoredVectors, to_codes

Floats = NDArray[np.float32]
N, DIM, K = 2000, 16, 20
CONFIGS = [
    IndexConfig("HNSW16,SQ8", "efSearch=128"),
    IndexConfig("IVF16,PQ8x4", "nprobe=8", rescore=4),
    IndexConfig("IVF16,PQ8x4fsr", "nprobe=8", rescore=4),
    IndexConfig("RR16,IVF16,PQ8x4", "nprobe=8", rescore=8),  # behind a rotation
    IndexConfig("IVF16,SQ8", "nprobe=8"),
    IndexConfig("Flat"),
]


def unit(n: int, d: int, *, seed: int, clusters: int = 40) -> Floats:
    """Vectors that lie in clusters, as those of real entities do."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(clusters, d))
    vectors = centres[generator.integers(clusters, size=n)] + generator.normal(size=(n, d))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return unit(N, DIM, seed=0)


@pytest.fixture(scope="module")
def queries() -> Floats:
    return unit(50, DIM, seed=1)


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: config.factory)
def made(
    request: pytest.FixtureRequest, vectors: Floats, tmp_path_factory: pytest.TempPathFactory
) -> VectorIndex:
    """Written to a file and mapped from there."""
    folder = tmp_path_factory.mktemp("index")
    write(folder, vectors, request.param)
    return open_index(folder)


def write(folder: Path, vectors: Floats, config: IndexConfig) -> None:
    codes, scales = to_codes(vectors)
    np.save(folder / "vectors.npy", codes)
    np.save(folder / "scales.npy", scales)
    VectorIndex.over(StoredVectors.open(folder), config).save(folder / "index.faiss")
    (folder / CONFIG_NAME).write_text(config.dump(), encoding="utf-8")


def kept(found: NDArray[np.int64], exact: NDArray[np.float64], k: int = K) -> float:
    """The share of the k truly nearest that were found."""
    best = np.argsort(-exact, axis=1)[:, :k]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found, best, strict=True)]))


def test_recall_and_scores_against_brute_force(
    made: VectorIndex, vectors: Floats, queries: Floats
) -> None:
    scores, found = made.search(queries, k=K)
    exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    assert kept(found, exact) >= 0.95
    np.testing.assert_allclose(scores, np.take_along_axis(exact, found, axis=1), atol=0.005)
    assert (np.diff(scores, axis=1) <= 0).all()  # cosines, the best first
    for query, places, own in zip(queries, found, scores, strict=True):
        assert len(set(places.tolist())) == K
        np.testing.assert_allclose((made.vectors(places) * query).sum(axis=1), own, atol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("few", [0, 500])
def test_a_filter_works_inside_the_search(
    made: VectorIndex,
    vectors: Floats,
    queries: Floats,
    share: float,
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexes, "_FEW", few)
    allowed = np.random.default_rng(3).random(N) < share
    _, found = made.search(queries, k=K, allowed=allowed)
    assert allowed[found[found >= 0]].all()
    exact = np.where(allowed, queries.astype(np.float64) @ vectors.T.astype(np.float64), -2.0)
    assert kept(found, exact) >= 0.95
    _, nothing = made.search(queries[:2], k=3, allowed=np.zeros(N, dtype=np.bool_))
    assert nothing.tolist() == [[-1] * 3] * 2


def test_more_than_there_are(made: VectorIndex, queries: Floats) -> None:
    _, found = made.search(queries[:2], k=N + 10)
    for places in found:
        has = places[places >= 0]
        assert len(set(has.tolist())) == len(has) > 0
        assert (places[len(has) :] == -1).all()
    assert [len(part) for part in made.search(queries[:0], k=3)] == [0, 0]


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 30), d=st.integers(1, 40), seed=st.integers(0, 999), size=st.floats(0.1, 9))
def test_stored_vectors_keep_their_length_and_their_direction(
    n: int, d: int, seed: int, size: float
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32) * np.float32(size)
    back = StoredVectors.of(vectors).at(np.arange(n))
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), lengths, rtol=1e-5)
    # half a step of the largest number, in each place, and as much again for the length
    step = np.abs(vectors).max(axis=1, keepdims=True) / 127
    assert (np.abs(back - vectors) <= step * (0.5 + np.sqrt(d)) + 1e-6).all()


def test_a_vector_of_nothing_stays_so() -> None:
    np.testing.assert_array_equal(StoredVectors.of(np.zeros((2, 4), np.float32)).at(slice(2)), 0)


@pytest.mark.parametrize("name", ["index.faiss", "vectors.npy", "scales.npy", CONFIG_NAME])
@pytest.mark.parametrize("damage", ["empty", "cut", "missing", "other"])
def test_damage_is_one_line(tmp_path: Path, name: str, damage: str) -> None:
    config = IndexConfig("IVF4,SQ8", "nprobe=4")
    write(tmp_path, unit(200, 8, seed=0), config)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", unit(150, 8, seed=0), IndexConfig("HNSW8,SQ8"))
    path = tmp_path / name
    data = path.read_bytes()
    path.unlink()
    if damage == "other":
        path.write_bytes((tmp_path / "other" / name).read_bytes())
    elif damage != "missing":
        path.write_bytes(b"" if damage == "empty" else data[: len(data) // 2])
    if (name, damage) == (CONFIG_NAME, "other"):
        return  # an HNSW is opened with the same calls
    with pytest.raises(BundleError) as caught:
        open_index(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flat", IndexConfig()),
        ("Flat", IndexConfig()),
        ("IVFPQ", IndexConfig("ivfpq")),
        ("hnsw; efSearch=64", IndexConfig("hnsw", "efSearch=64")),
        ("IVF64,PQ8;nprobe=4; rescore=9", IndexConfig("IVF64,PQ8", "nprobe=4", 9)),
    ],
)
def test_what_a_user_writes(text: str, expected: IndexConfig) -> None:
    assert IndexConfig.parse(text) == expected


@pytest.mark.parametrize("text", ["flat; nprobe=3", "hnsw; wide", "ivfpq; rescore=0", "hnsw; a=b"])
def test_what_makes_no_sense_is_said(text: str) -> None:
    with pytest.raises(ConfigError):
        IndexConfig.parse(text)


@pytest.mark.parametrize("factory", ["flt", "IVF,PQ", "PQ7", ""])
def test_a_factory_that_faiss_does_not_know(factory: str) -> None:
    with pytest.raises(ConfigError, match="try flat, hnsw or ivfpq") as caught:
        check_factory(factory, dim=16)
    assert "\n" not in str(caught.value)


def test_too_few_vectors_or_another_kind_s_settings() -> None:
    stored = StoredVectors.of(unit(20, 8, seed=0))
    with pytest.raises(ConfigError, match="cannot be made of 20 vectors"):
        VectorIndex.over(stored, IndexConfig("IVF64,PQ4"))
    with pytest.raises(ConfigError, match="has no 'efSearch=9'"):
        VectorIndex.over(stored, IndexConfig("IVF2,SQ8", "efSearch=9"))


def test_names_become_what_fits_the_number_of_vectors() -> None:
    ivfpq = IndexConfig("ivfpq")
    assert ivfpq.resolved(500, 128).factory == "Flat"
    small, large = ivfpq.resolved(50_000, 128), ivfpq.resolved(8_400_000, 128)
    assert small == IndexConfig("IVF512,PQ64x4fsr", "nprobe=158")
    assert large == IndexConfig("IVF8192,PQ64x4fsr", "nprobe=634") and large.n_train == 64 * 8192
    assert ivfpq.resolved(50_000, 31).factory == "IVF512,PQ31x4fsr"
    hnsw = IndexConfig("hnsw", "efSearch=99").resolved(50_000, 128)
    assert hnsw == IndexConfig("HNSW32,SQ8", "efSearch=99") and hnsw.n_train == 1 << 16
    assert IndexConfig("PQ8").resolved(9, 128) == IndexConfig("PQ8")


def test_settings_are_read_back(tmp_path: Path) -> None:
    config = IndexConfig("hnsw", "efSearch=9", 7)
    (tmp_path / CONFIG_NAME).write_text(config.dump(), encoding="utf-8")
    assert IndexConfig.load(tmp_path / CONFIG_NAME) == config
