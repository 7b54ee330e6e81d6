"""Vectors are made once, by whoever comes first, and again if they are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink.bundle import Bundle, create_bundle, write_manifest
from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError
from entlink.inputs import EntityInput, mention_input
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve.dense import Retrieved, SurfaceVectors
from entlink.retrieve.index_config import IndexConfig
from entlink.retrieve.shards import Part, Shards
from entlink.vectors import load_retriever, make_vectors
from tests.tiny import ENTITIES, encoder, make_bundle

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

TEXT = "Jordan met Prince in Paris."


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def retrieve(bundle: Bundle) -> Retrieved:
    retriever = load_retriever(bundle, KnowledgeBase.open(bundle.path))
    return retriever.retrieve([mention_input(TEXT, 0, 6)], k=9)[0]


def same(a: Retrieved, b: Retrieved) -> bool:
    return bool((a.rows == b.rows).all() and (a.cosines == b.cosines).all())


def folders(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_they_are_made_once_and_then_mapped(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = retrieve(bundle)
    (folder,) = folders(cache)
    assert bundle.index_digest[:32] in folder.name
    names = ["index.faiss", "rows.npy", "word_ends.npy", "words.npy"]
    assert sorted(file.name for file in folder.iterdir()) == names
    times = [file.stat().st_mtime_ns for file in sorted(folder.iterdir())]

    def never(kb: KnowledgeBase, model: DualEncoder) -> SurfaceVectors:
        raise AssertionError("they were there")

    monkeypatch.setattr(SurfaceVectors, "build", never)
    assert same(retrieve(bundle), first)
    assert [file.stat().st_mtime_ns for file in sorted(folder.iterdir())] == times


def test_another_retriever_has_other_vectors(bundle: Bundle, cache: Path, tmp_path: Path) -> None:
    first = retrieve(bundle)
    shutil.copytree(bundle.path, tmp_path / "other")
    encoder(seed=9).save(tmp_path / "other" / "retriever")
    other = write_manifest(tmp_path / "other")
    assert not same(retrieve(other), first)
    assert len(folders(cache)) == 2
    shutil.copytree(bundle.path, tmp_path / "copy")  # the same elsewhere has the same
    assert same(retrieve(write_manifest(tmp_path / "copy")), first)
    assert len(folders(cache)) == 2


def test_exact_vectors_of_a_large_kb_go_on_after_a_kill(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_retriever(bundle, KnowledgeBase.open(bundle.path))
    shutil.rmtree(cache)
    monkeypatch.setattr("entlink.vectors.SHARD", 4)
    monkeypatch.setattr(Shards.__init__, "__kwdefaults__", {"size": 4, "exact": False})
    encode, n_left = DualEncoder.encode_entities, 2

    def killed(self: DualEncoder, entities: Sequence[EntityInput]) -> NDArray[np.float32]:
        nonlocal n_left
        if not n_left:
            raise KeyboardInterrupt
        n_left -= 1
        return encode(self, entities)

    monkeypatch.setattr(DualEncoder, "encode_entities", killed)
    with pytest.raises(KeyboardInterrupt):
        make_vectors(bundle)
    (shards,) = cache.glob("*.exact-shards")
    assert len(list(shards.iterdir())) == 2
    n_left = len(KnowledgeBase.open(bundle.path)) // 4 - 1  # not enough to begin anew
    made = load_retriever(bundle, KnowledgeBase.open(bundle.path))
    assert not shards.exists() and n_left == 0
    rows = np.arange(len(KnowledgeBase.open(bundle.path)))
    np.testing.assert_allclose(made.entity_vectors(rows), whole.entity_vectors(rows), atol=1e-6)


@pytest.mark.parametrize("name", ["index.faiss", "rows.npy"])
@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "missing"])
def test_damaged_vectors_are_made_again(
    bundle: Bundle, cache: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = retrieve(bundle)
    (folder,) = folders(cache)
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    if damage == "missing":
        (folder / name).unlink()
    else:
        noise = {"empty": b"", "cut": whole[name][:-5], "noise": b"\x93NUMPY" + b"\xff" * 300}
        # a new file: the old one may still be mapped by those who opened it
        (folder / "new").write_bytes(noise[damage])
        (folder / "new").replace(folder / name)
    assert same(retrieve(bundle), first)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    assert folders(cache) == [folder]
    assert "damaged" in caplog.text and str(folder) in caplog.text


def test_the_vectors_are_those_of_the_encoder(bundle: Bundle, cache: Path) -> None:
    retrieve(bundle)
    (folder,) = folders(cache)
    opened = SurfaceVectors.open(folder)
    model = DualEncoder.load(bundle.path / "retriever")
    built = SurfaceVectors.build(KnowledgeBase.open(bundle.path), model)
    assert opened.rows.tolist() == built.rows.tolist()
    places = np.arange(len(built.rows))
    np.testing.assert_array_equal(opened.index.vectors(places), built.index.vectors(places))


def test_another_process_that_was_quicker_is_no_error(
    bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before ours are put in place, another process puts its own there."""
    build = SurfaceVectors.build
    others: list[Retrieved] = []

    def slow(kb: KnowledgeBase, model: DualEncoder) -> SurfaceVectors:
        monkeypatch.setattr(SurfaceVectors, "build", build)
        others.append(retrieve(bundle))
        return build(kb, model)

    monkeypatch.setattr(SurfaceVectors, "build", slow)
    found = retrieve(bundle)
    assert len(others) == 1 and same(found, others[0])
    assert len(folders(cache)) == 1  # and nothing is left behind


def race(bundle: Bundle, barrier: Barrier, answers: Queue[tuple[list[int], list[float]]]) -> None:
    kb = KnowledgeBase.open(bundle.path)
    kb.by_rows([0])
    encoder().encode_mentions([mention_input(TEXT, 0, 6)])  # all that is loaded late
    barrier.wait(timeout=240)
    found = load_retriever(bundle, kb).retrieve([mention_input(TEXT, 0, 6)], k=9)[0]
    answers.put((found.rows.tolist(), found.cosines.tolist()))


@pytest.mark.slow
def test_two_processes_that_start_at_once(bundle: Bundle, cache: Path) -> None:
    spawn = get_context("spawn")
    barrier, answers = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=race, args=(bundle, barrier, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    expected = retrieve(bundle)
    assert found == [(expected.rows.tolist(), expected.cosines.tolist())] * 2
    assert len(folders(cache)) == 1


# -- approximate indexes --------------------------------------------------------------------------

APPROXIMATE = [
    "index.faiss",
    "index.json",
    "rows.npy",
    "scales.npy",
    "vectors.npy",
    "word_ends.npy",
    "words.npy",
]
COLUMNS = ["degree.npy", "popularity.npy"]


HNSW = IndexConfig("HNSW8,SQ8", "efSearch=64")


@pytest.fixture
def hnsw(bundle: Bundle, tmp_path: Path) -> Bundle:
    return create_bundle(bundle.path, bundle.path, tmp_path / "hnsw", index=HNSW)


def test_an_approximate_index_finds_the_same(bundle: Bundle, hnsw: Bundle, cache: Path) -> None:
    exact = cosines(bundle)
    for _ in range(2):  # made, then mapped
        assert cosines(hnsw) == pytest.approx(exact, abs=0.005)
    flat, other = folders(cache)
    assert sorted(file.name for file in other.iterdir()) == sorted(APPROXIMATE + COLUMNS)
    assert flat.name == other.name.rpartition("-")[0]
    kb = KnowledgeBase.open(hnsw.path)
    load_retriever(hnsw, kb)
    assert isinstance(kb.popularity, np.memmap) and isinstance(kb.degree, np.memmap)
    for kept, read in zip((kb.popularity, kb.degree), columns(bundle), strict=True):
        np.testing.assert_array_equal(kept, read)


def cosines(bundle: Bundle) -> dict[int, float]:
    """Of every entity, for there are fewer than are asked for."""
    retriever = load_retriever(bundle, KnowledgeBase.open(bundle.path))
    (found,) = retriever.retrieve([mention_input(TEXT, 0, 6)], k=100)
    assert (np.diff(found.cosines) <= 0).all()
    return dict(zip(found.rows.tolist(), found.cosines.tolist(), strict=True))


def columns(bundle: Bundle) -> list[NDArray[np.generic]]:
    kb = KnowledgeBase.open(bundle.path)
    return [kb.popularity, kb.degree]


def test_edits_and_parts_of_it(bundle: Bundle, hnsw: Bundle, cache: Path) -> None:
    def told(of: Bundle) -> list[set[str]]:
        kb = LiveKnowledgeBase.open_with(of.path, of.path.with_name(f"{of.path.name} edits"))
        retriever = load_retriever(of, kb)
        kb.add(Entity("N1", "Novum", ("Jordan",), "a new town", popularity=2.0))
        kb.remove("Q2")
        chosen = np.zeros(len(kb.popularity), dtype=np.bool_)
        chosen[list(kb.rows_of(["Q1", "Q3", "Q7", "N1"]).values())] = True
        found = [r.retrieve([item], k=100)[0] for r in (retriever, retriever.within(chosen))]
        assert kb.popularity[found[0].rows].shape == found[0].rows.shape
        return [{entity.id for entity in kb.by_rows(f.rows.tolist())} for f in found]

    item = mention_input(TEXT, 0, 6)
    everything, part = told(hnsw)
    assert everything == {entity.id for entity in ENTITIES} - {"Q2"} | {"N1"}
    assert part == {"Q1", "Q3", "Q7", "N1"}
    assert told(bundle) == [everything, part]


@pytest.mark.parametrize("name", ["popularity.npy", "vectors.npy", "index.json"])
def test_damage_is_mended(hnsw: Bundle, cache: Path, name: str) -> None:
    first = retrieve(hnsw)
    (folder,) = folders(cache)
    (folder / name).unlink()
    assert same(retrieve(hnsw), first)
    assert (folder / name).exists()


def test_parts_are_made_before_the_first_use(
    bundle: Bundle, hnsw: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shards.__init__, "__kwdefaults__", {"size": 4, "exact": False})
    (shards,) = {make_vectors(hnsw, part=Part(number, 2)) for number in (2, 1)}
    assert folders(cache) == [shards] and len(list(shards.iterdir())) == 6
    monkeypatch.setattr(DualEncoder, "encode_entities", None)  # all is there
    folder = make_vectors(hnsw)
    assert folders(cache) == [folder]
    assert make_vectors(hnsw) == folder
    assert make_vectors(hnsw, part=Part(1, 2)) == shards and not shards.exists()
    with pytest.raises(ConfigError, match="flat index is made in one go"):
        make_vectors(bundle, part=Part(1, 2))
