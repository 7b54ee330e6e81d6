"""Vectors made a shard at a time are those made in one go, however often that is broken off."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, ConfigError
from entlink.inputs import EntityInput
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.dense import SurfaceVectors
from entlink.retrieve.index_config import IndexConfig
from entlink.retrieve.shards import Part, Shards
from tests import tiny

HNSW = IndexConfig("HNSW8,SQ8")


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    return tiny.encoder()


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(tiny.ENTITIES, folder)
    return KnowledgeBase.open(folder)


def joined(shards: Shards, out: Path) -> SurfaceVectors:
    out.mkdir()
    shards.join(out, HNSW)
    return SurfaceVectors.open(out)


@pytest.mark.parametrize("size", [1, 4, 7, 21, 1000])
def test_as_made_in_one_go(
    kb: KnowledgeBase, model: DualEncoder, tmp_path: Path, size: int
) -> None:
    shards = Shards(tmp_path / "shards", kb, size=size)
    n_shards = -(-len(kb) // size)
    assert shards.missing() == list(range(n_shards))
    assert shards.make(model) == len(kb)
    assert shards.missing() == [] and shards.make(model) == 0
    made = joined(shards, tmp_path / "out")
    whole = SurfaceVectors.build(kb, model)
    assert made.rows.tolist() == whole.rows.tolist()
    places = np.arange(len(whole))
    np.testing.assert_allclose(made.vectors(places), whole.vectors(places), atol=0.01)
    for surface in ("Michael Jordan", "Amazon", "C++"):
        for part in ("found", "share", "begins"):
            own = getattr(made.match(surface, places), part)
            np.testing.assert_array_equal(own, getattr(whole.match(surface, places), part))
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "popularity.npy"), kb.popularity)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "degree.npy"), kb.degree)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_exact_vectors_are_kept_as_they_are(
    kb: KnowledgeBase, model: DualEncoder, tmp_path: Path, size: int
) -> None:
    shards = Shards(tmp_path / "shards", kb, size=size, exact=True)
    shards.make(model)
    shards.join(tmp_path, IndexConfig())
    made, whole = SurfaceVectors.open(tmp_path), SurfaceVectors.build(kb, model)
    assert made.rows.tolist() == whole.rows.tolist()
    places = np.arange(len(whole))
    np.testing.assert_allclose(made.vectors(places), whole.vectors(places), atol=1e-6)
    for part in ("found", "share", "begins"):
        own = getattr(made.match("Michael Jordan", places), part)
        np.testing.assert_array_equal(own, getattr(whole.match("Michael Jordan", places), part))


class Killed(Exception):
    """In the place of a process's end."""


class Breaking(DualEncoder):
    """Is killed at the n-th batch."""

    def __init__(self, model: DualEncoder, n: int) -> None:
        super().__init__(model.config)
        self.load_state_dict(model.state_dict())
        self.left = n
        self.n_encoded = 0

    def encode_entities(self, entities: Sequence[EntityInput]) -> NDArray[np.float32]:
        if not self.left:
            raise Killed
        self.left -= 1
        self.n_encoded += len(entities)
        return super().encode_entities(entities)


def test_what_is_done_is_kept(kb: KnowledgeBase, model: DualEncoder, tmp_path: Path) -> None:
    shards = Shards(tmp_path / "shards", kb, size=5)
    n_encoded = 0
    for left in (2, 1, 1, 9):
        breaking = Breaking(model, left)
        try:
            Shards(tmp_path / "shards", kb, size=5).make(breaking)
        except Killed:
            with pytest.raises(BundleError, match="of 5 shards are missing"):
                shards.join(tmp_path, HNSW)
        n_encoded += breaking.n_encoded
    assert shards.missing() == []
    whole = SurfaceVectors.build(kb, model)
    assert n_encoded == len(whole)  # nothing was encoded twice
    made = joined(shards, tmp_path / "out")
    assert made.rows.tolist() == whole.rows.tolist()


def test_parts_make_the_whole(kb: KnowledgeBase, model: DualEncoder, tmp_path: Path) -> None:
    for number in (3, 1, 2):
        shards = Shards(tmp_path / f"machine {number}", kb, size=4)
        shards.make(model, Part.parse(f"{number}/3"))
        assert shards.missing(Part(number, 3)) == []
        shutil.copytree(shards.folder, tmp_path / "all", dirs_exist_ok=True)
    shards = Shards(tmp_path / "all", kb, size=4)
    assert shards.missing() == []
    assert len(joined(shards, tmp_path / "out")) == len(SurfaceVectors.build(kb, model))


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="I/N"):
        Part.parse(text)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_shard_is_told_and_made_again(
    kb: KnowledgeBase, model: DualEncoder, tmp_path: Path, damage: str
) -> None:
    shards = Shards(tmp_path / "shards", kb, size=8)
    shards.make(model)
    path = sorted(shards.folder.iterdir())[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    length = {"empty": 0, "cut": len(data) // 2, "flipped": len(data)}[damage]
    path.write_bytes(bytes(data[:length]))
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match="damaged") as caught:
        shards.join(tmp_path / "out", HNSW)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert shards.missing() == [1]
    shards.make(model)
    shards.join(tmp_path / "out", HNSW)
    assert len(SurfaceVectors.open(tmp_path / "out")) == len(SurfaceVectors.build(kb, model))
