"""The vectors of a bundle's entities: made at first use, then mapped from the user's cache."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink.bundle import Bundle, cache_dir
from entlink.encode.dual import DualEncoder
from entlink.errors import BundleError, ConfigError
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.hybrid import Hybrid, RetrievalConfig
from entlink.retrieve.index_config import CONFIG_NAME, IndexConfig
from entlink.retrieve.live import LiveSurfaces
from entlink.retrieve.shards import SHARD, Part, Shards

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_VERSION = 2  # of inputs and features: raise it when the same weights would give other vectors


def load_retriever(bundle: Bundle, kb: KnowledgeBase, *, device: str = "cpu") -> Retriever:
    """The bundle's retriever over its KB; encodes the KB if no process has done so before."""
    encoder = DualEncoder.load(bundle.path / "retriever").to(device)
    place = _Place(bundle)
    for _ in range(_ATTEMPTS - 1):
        try:
            return _retriever(bundle, kb, encoder, _open(place, kb, encoder))
        except BundleError as error:  # or another process found it damaged and removes it just now
            log.warning("%s: damaged (%s); making it again", place.folder, error)
            shutil.rmtree(place.folder, ignore_errors=True)
    return _retriever(bundle, kb, encoder, _open(place, kb, encoder))


def make_vectors(bundle: Bundle, *, part: Part | None = None, device: str = "cpu") -> Path:
    """Make the bundle's vectors and index before their first use; returns the folder they are in.

    With a ``part`` only those shards, in a folder beside: other processes, or machines that share
    the cache folder, make the others, and the last call is without one. What is there already is
    not made again. Raises ConfigError for a part of an exact index, which is made in one go.
    """
    kb, place = KnowledgeBase.open(bundle.path), _Place(bundle)
    if part is None:
        load_retriever(bundle, kb, device=device)
        return place.folder
    if place.config.is_exact:
        raise ConfigError(
            f"{bundle.path}: a flat index is made in one go; parts are for a bundle that was "
            "created with --index ivfpq or another"
        )
    if not place.folder.is_dir():
        encoder = DualEncoder.load(bundle.path / "retriever").to(device)
        Shards(place.shards, kb).make(encoder, part)
    return place.shards


def encode_each(encoder: DualEncoder, entities: Sequence[Entity]) -> list[NDArray[np.float32]]:
    """The vectors of each entity, (n_surfaces, d): what an edit of a knowledge base carries."""
    items = [encoder.inputs_of(entity) for entity in entities]
    joined = encoder.encode_entities([item for many in items for item in many])
    return np.split(joined, np.cumsum([len(many) for many in items])[:-1])


class _Place:
    """Where the vectors of a bundle are kept, and how they are indexed."""

    def __init__(self, bundle: Bundle) -> None:
        name = f"vectors-{_VERSION}-{bundle.index_digest[:32]}"
        self.config, own = IndexConfig(), ""
        if bundle.has(CONFIG_NAME):
            self.config = IndexConfig.load(bundle.path / CONFIG_NAME)
            own = f"-{bundle.files[CONFIG_NAME][:8]}"
        # the same for all indices that are not exact
        kind = "exact-shards" if self.config.is_exact else "shards"
        self.shards = cache_dir() / f"{name}.{kind}"
        self.folder = cache_dir() / f"{name}{own}"


def _retriever(
    bundle: Bundle, kb: KnowledgeBase, encoder: DualEncoder, surfaces: SurfaceVectors
) -> Retriever:
    hybrid = Hybrid.open(RetrievalConfig.load(bundle.path), kb, cache_dir())
    if not isinstance(kb, LiveKnowledgeBase):
        return Retriever(kb, encoder, surfaces, hybrid=hybrid)
    kb.encode = partial(encode_each, encoder)
    live = LiveSurfaces(surfaces, kb, views=encoder.config.views)
    return Retriever(kb, encoder, live, hybrid=hybrid)


def _open(place: _Place, kb: KnowledgeBase, encoder: DualEncoder) -> SurfaceVectors:
    if not place.folder.is_dir():
        _make(place, kb, encoder)
    surfaces = SurfaceVectors.open(place.folder)
    if not place.config.is_exact:
        _take_columns(place.folder, kb)
    return surfaces


def _make(place: _Place, kb: KnowledgeBase, encoder: DualEncoder) -> None:
    """Write to a folder of our own, then rename: of two processes that start at once, one wins."""
    folder = place.folder
    log.info("encoding %d entities; this is done once for a bundle", len(kb.base))
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        if place.config.is_exact and len(kb.base) <= SHARD:  # in one go
            SurfaceVectors.build(kb, encoder).save(made)
        else:
            shards = Shards(place.shards, kb, exact=place.config.is_exact)
            shards.make(encoder)
            shards.join(made, place.config)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.is_dir():  # it is there: another process was quicker, with the same bytes
                raise
        shutil.rmtree(place.shards, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _take_columns(folder: Path, kb: KnowledgeBase) -> None:
    """Popularity and degree, which else are read from every row of the KB."""
    try:
        popularity, degree = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("popularity", "degree")
        )
        kb.base.take_columns(popularity, degree)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{folder}: cannot be read ({error}); it is made again") from error
