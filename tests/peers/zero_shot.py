"""Sentence embeddings that were never trained for linking, searched by FAISS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entlink.evaluate.benchmark.peer import MAX_CANDIDATES, Answer
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity, Mention
from tests.peers.base import Base, Flat, base_model, by_first, kept_vectors, model_digest, need

MAX_TOKENS = 64
_BATCH = 256


class SentenceEncoder:
    """A sentence-transformers model, in bfloat16 where that is quicker and no worse."""

    def __init__(self, model: str, *, device: str) -> None:
        transformers: Any = need("sentence_transformers")
        self._model = transformers.SentenceTransformer(model, device=_torch_device(device))
        self._model.max_seq_length = MAX_TOKENS

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) unit vectors."""
        import torch

        if not texts:
            return np.zeros((0, self._model.get_sentence_embedding_dimension()), dtype=np.float32)
        with torch.autocast(self._model.device.type, dtype=torch.bfloat16):
            found = self._model.encode(
                list(texts),
                batch_size=_BATCH,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        return np.asarray(found.float().cpu().numpy(), dtype=np.float32)


def _torch_device(name: str) -> str | None:
    return None if name == "auto" else name


def entity_text(entity: Entity) -> str:
    """Name and description."""
    description = entity_description(entity)
    return f"{entity.name}: {description}" if description else entity.name


def entity_vectors(kb: KnowledgeBase, encoder: SentenceEncoder, model: str) -> NDArray[np.float32]:
    """The vectors of all entities by row, made once."""

    def make(entities: Iterator[Entity]) -> NDArray[np.float32]:
        return encoder.encode([entity_text(entity) for entity in entities])

    return kept_vectors(kb, f"sentence {model_digest(model)} {MAX_TOKENS}", make)


class ZeroShot(Base):
    """The mention's words against name and description."""

    name = "sentence-transformers"
    about = (
        "zero-shot sentence embeddings (all-MiniLM-L6-v2 by default), the mention's words alone "
        "against name and description, which does better than with its context; exact FAISS"
    )

    def __init__(self, *, device: str, model: str | None = None) -> None:
        self._device = device
        self._model = model or base_model()

    def settings(self) -> Mapping[str, object]:
        """The model."""
        return {**super().settings(), "model": model_digest(self._model), "device": self._device}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Load the model, and encode the KB if that was not done before."""
        self._encoder = SentenceEncoder(self._model, device=self._device)
        self._index = Flat(entity_vectors(kb, self._encoder, self._model))
        self._kb = kb

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """By falling cosine."""
        surfaces: Iterable[str] = dict.fromkeys(m.text for _, m in mentions)
        place = {surface: i for i, surface in enumerate(surfaces)}
        found = self._index.search(self._encoder.encode(list(place)), k=MAX_CANDIDATES)
        return by_first(self._kb, [found[place[m.text]] for _, m in mentions])
