"""The words that a dual encoder's vectors can be read as: those of the knowledge base's own texts.

The bag encoder's embeddings are of hashed features, which no table turns back into words. So each
word goes through the entity tower by itself, as a description or as a name, and stands where the
tower puts it: in the space in which mentions and entities meet (projection as in Ram et al. 2022).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from entlink.encode.dual import DualEncoder
from entlink.encode.lexical import words_of
from entlink.errors import ConfigError
from entlink.inputs import EntityInput, entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity

N_WORDS = 20_000
N_ENTITIES = 50_000  # whose texts are looked through
_BATCH = 2048
_KINDS = ("name", "description")


@dataclass(frozen=True)
class Vocabulary:
    """Words, how rare they are, and their vectors."""

    words: tuple[str, ...]  # by falling number of entities that have them, then by alphabet
    idf: NDArray[np.float64]  # (n_words,)
    vectors: NDArray[np.float32]  # (n_words, d), each of unit length
    scale: float  # of an inner product, as in training

    @classmethod
    def of(
        cls,
        kb: KnowledgeBase,
        encoder: DualEncoder,
        *,
        kind: str = "name",
        n_words: int = N_WORDS,
        n_entities: int = N_ENTITIES,
    ) -> Vocabulary:
        """The most frequent words of the first entities' names and descriptions.

        ``kind`` is what a word is given to the encoder as: "name" or "description".
        """
        batches = kb.iterate(batch_size=_BATCH)
        entities = islice((entity for batch in batches for entity in batch), n_entities)
        return cls.of_texts(map(_text, entities), encoder, kind=kind, n_words=n_words)

    @classmethod
    def of_texts(
        cls,
        texts: Iterable[str],
        encoder: DualEncoder,
        *,
        kind: str = "name",
        n_words: int = N_WORDS,
    ) -> Vocabulary:
        """The most frequent words of the texts. ConfigError if ``kind`` is neither of the two."""
        if kind not in _KINDS:
            raise ConfigError(f"kind is {kind!r}; it must be one of {', '.join(_KINDS)}")
        counts: Counter[str] = Counter()
        n_texts = 0
        for text in texts:
            counts.update(set(words_of(text)))
            n_texts += 1
        words = sorted(counts, key=lambda word: (-counts[word], word))[:n_words]
        df = np.asarray([counts[word] for word in words], dtype=np.float64)
        parts = [
            encoder.encode_entities([_alone(word, kind) for word in words[i : i + _BATCH]])
            for i in range(0, len(words), _BATCH)
        ]
        vectors = np.concatenate(parts) if parts else encoder.encode_entities([])
        scale = float(encoder.log_scale.detach().exp())
        return cls(tuple(words), np.log1p(n_texts / np.maximum(df, 1.0)), vectors, scale)

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each word."""
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def centred(self) -> NDArray[np.float32]:
        """(n_words, d) less their mean, which all words share and which tells none from another."""
        return np.asarray(self.vectors - self.vectors.mean(axis=0), dtype=np.float32)

    def bag(self, text: str) -> NDArray[np.int64]:
        """The places of the text's words that it has, repeats included."""
        known = [self.places[word] for word in words_of(text) if word in self.places]
        return np.asarray(known, dtype=np.int64)


def _text(entity: Entity) -> str:
    return " ".join((entity.name, *entity.aliases, entity_description(entity)))


def _alone(word: str, kind: str) -> EntityInput:
    return EntityInput(
        name=word if kind == "name" else "",
        description=word if kind == "description" else "",
        types=(),
        popularity=None,
        degree=0,
    )
