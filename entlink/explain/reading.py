"""The vectors of a mention and of its candidates read as words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entlink.encode.lexical import enrich, word_probabilities, words_of
from entlink.explain.result import VectorReading
from entlink.explain.scoring import Base, Scorer
from entlink.explain.vocabulary import Vocabulary
from entlink.inputs import EntityInput, MentionInput

_LOW = 0.05  # words of the input that rank below this share of the vocabulary are forgotten
_MOST = 12  # forgotten words that are told


def readings(
    linker: Scorer, base: Base, vocabulary: Vocabulary, n_words: int, weight: float
) -> tuple[tuple[VectorReading, ...], dict[str, int]]:
    """Of the mention, the answer and its rival; and each candidate's rank by enriched cosine."""
    encoder = linker.retriever.encoder
    item = base.window.item
    query = encoder.encode_mentions([item])
    surfaces = [base.inputs(entity) for entity in base.entities]
    vectors = encoder.encode_entities([surface for many in surfaces for surface in many])
    starts = np.cumsum([0, *(len(many) for many in surfaces)])
    found = [read_vector("mention", query[0], mention_text(item), vocabulary, n_words)]
    for place in base.watched():
        own = vectors[starts[place] : starts[place + 1]]
        best = int((own @ query[0]).argmax())
        text = surface_text(surfaces[place][best])
        found.append(read_vector(base.entities[place].id, own[best], text, vocabulary, n_words))
    if not base.entities:
        return tuple(found), {}
    texts = [surface_text(surface) for many in surfaces for surface in many]
    enriched = _enriched(vectors, texts, vocabulary, weight)
    asked = _enriched(query, [mention_text(item)], vocabulary, weight)[0]
    cosines = np.maximum.reduceat((enriched * asked).sum(axis=1), starts[:-1])
    order = np.argsort(-cosines, kind="stable")
    return tuple(found), {base.entities[p].id: i for i, p in enumerate(order.tolist(), start=1)}


def read_vector(
    of: str, vector: NDArray[np.float32], text: str, vocabulary: Vocabulary, n_words: int
) -> VectorReading:
    """The words that a vector, (d,), stands for, and which of its input's words rank low."""
    shares = word_probabilities(vector[None], vocabulary.vectors, scale=vocabulary.scale)[0]
    order = np.argsort(-shares, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    own = list(dict.fromkeys(words_of(text)))
    ranks = {word: int(rank[vocabulary.places[word]]) for word in own if word in vocabulary.places}
    best = [(vocabulary.words[place], float(shares[place])) for place in order[:n_words].tolist()]
    low = [word for word, at in ranks.items() if at > _LOW * len(vocabulary.words)]
    low.sort(key=lambda word: -vocabulary.idf[vocabulary.places[word]])
    return VectorReading(
        of=of,
        words=tuple(best),
        expansion=tuple(word for word, _ in best if word not in own),
        ranks=ranks,
        amnesia=tuple(low[:_MOST]),
        n_words=len(vocabulary.words),
    )


def mention_text(item: MentionInput) -> str:
    """All words that the mention tower gets, each once; the sentence is mostly of them."""
    return f"{item.left}\n{item.span}\n{item.right}"


def surface_text(item: EntityInput) -> str:
    """All words that the entity tower gets."""
    return f"{item.name}\n{item.description}"


def _enriched(
    vectors: NDArray[np.float32], texts: list[str], vocabulary: Vocabulary, weight: float
) -> NDArray[np.float32]:
    bags = [vocabulary.bag(text) for text in texts]
    return enrich(vectors, bags, vocabulary.centred, vocabulary.idf, weight=weight)
