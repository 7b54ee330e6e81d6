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
from entlink.errors import BundleError
from entlink.inputs import entity_inputs
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.live import LiveSurfaces

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_VERSION = 2  # of inputs and features: raise it when the same weights would give other vectors


def load_retriever(bundle: Bundle, kb: KnowledgeBase, *, device: str = "cpu") -> Retriever:
    """The bundle's retriever over its KB; encodes the KB if no process has done so before."""
    encoder = DualEncoder.load(bundle.path / "retriever").to(device)
    folder = cache_dir() / f"vectors-{_VERSION}-{bundle.index_digest[:32]}"
    for _ in range(_ATTEMPTS - 1):
        try:
            return _retriever(kb, encoder, _open(folder, kb, encoder))
        except BundleError as error:  # or another process found it damaged and removes it just now
            log.warning("%s: damaged (%s); making it again", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
    return _retriever(kb, encoder, _open(folder, kb, encoder))


def encode_each(encoder: DualEncoder, entities: Sequence[Entity]) -> list[NDArray[np.float32]]:
    """The vectors of each entity, (n_surfaces, d): what an edit of a knowledge base carries."""
    items = [entity_inputs(entity) for entity in entities]
    joined = encoder.encode_entities([item for many in items for item in many])
    return np.split(joined, np.cumsum([len(many) for many in items])[:-1])


def _retriever(kb: KnowledgeBase, encoder: DualEncoder, surfaces: SurfaceVectors) -> Retriever:
    if not isinstance(kb, LiveKnowledgeBase):
        return Retriever(kb, encoder, surfaces)
    kb.encode = partial(encode_each, encoder)
    return Retriever(kb, encoder, LiveSurfaces(surfaces, kb))


def _open(folder: Path, kb: KnowledgeBase, encoder: DualEncoder) -> SurfaceVectors:
    if not folder.is_dir():
        _make(folder, kb, encoder)
    return SurfaceVectors.open(folder)


def _make(folder: Path, kb: KnowledgeBase, encoder: DualEncoder) -> None:
    """Write to a folder of our own, then rename: of two processes that start at once, one wins."""
    log.info("encoding %d entities; this is done once for a bundle", len(kb.base))
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        SurfaceVectors.build(kb, encoder).save(made)
        try:
            os.replace(made, folder)
        except OSError:
            if not folder.is_dir():  # it is there: another process was quicker, with the same bytes
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
