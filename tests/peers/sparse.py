"""Names by letters and entities by words: TF-IDF of character 3-grams, and BM25."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entlink.evaluate.benchmark.peer import MAX_CANDIDATES, Answer
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import Mention
from tests.peers.base import NOTHING, Base, by_first, need

_NEAREST_NAMES = 500
_MANY = 10_000  # names, from which on 3-grams that are rarer than 10 are dropped, as in scispaCy
_QUERIES = 64  # at a time: each is alike to a good part of all names


class CharacterTfidf(Base):
    """scispaCy's candidate generation, searched exactly; ties by popularity."""

    name = "TF-IDF of 3-grams"
    about = (
        "names by TF-IDF of character 3-grams (scikit-learn), as scispaCy generates candidates, "
        "but exact; of equal names the more popular entity"
    )

    def prepare(self, kb: KnowledgeBase) -> None:
        """Vectors of all names of all entities."""
        text: Any = need("sklearn.feature_extraction.text")
        names: list[str] = []
        rows: list[int] = []
        for row, entity in enumerate(e for some in kb.iterate() for e in some):
            own = dict.fromkeys((entity.name, *entity.aliases))
            names += own
            rows += [row] * len(own)
        min_df = 10 if len(names) >= _MANY else 1
        self._vectorizer = text.TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 3), min_df=min_df, dtype=np.float32
        )
        self._names = self._vectorizer.fit_transform(names).T.tocsr()  # (n_grams, n_names)
        self._rows = np.array(rows, dtype=np.int64)
        self._popularity = np.nan_to_num(kb.popularity, nan=-1e9)
        self._kb = kb

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """By the most alike of each entity's names."""
        surfaces = list(dict.fromkeys(m.text for _, m in mentions))
        ranked: dict[str, NDArray[np.int64]] = {}
        for begin in range(0, len(surfaces), _QUERIES):
            some = surfaces[begin : begin + _QUERIES]
            alike = (self._vectorizer.transform(some) @ self._names).tocsr()
            for i, surface in enumerate(some):
                own = slice(alike.indptr[i], alike.indptr[i + 1])
                ranked[surface] = self._best(alike.indices[own], alike.data[own])
        return by_first(self._kb, [ranked[m.text] for _, m in mentions])

    def _best(self, names: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        if len(names) > _NEAREST_NAMES:
            kept = np.argpartition(-scores, _NEAREST_NAMES)[:_NEAREST_NAMES]
            names, scores = names[kept], scores[kept]
        rows = self._rows[names]
        # rounded, so that names that are equal but for their case tie
        order = np.lexsort((rows, -self._popularity[rows], -scores.round(4)))
        return np.array(list(dict.fromkeys(rows[order].tolist()))[:MAX_CANDIDATES], dtype=np.int64)


class Bm25(Base):
    """Words of the mention in names and description."""

    name = "BM25"
    about = "words of the mention in names and description (bm25s)"

    def __init__(self, *, threads: int) -> None:
        self._threads = threads

    def prepare(self, kb: KnowledgeBase) -> None:
        """Index names, aliases and description of every entity."""
        bm25s: Any = need("bm25s")
        logging.getLogger("bm25s").setLevel(logging.ERROR)  # it warns that it is at work
        texts = [
            " ".join((e.name, *e.aliases, entity_description(e)))
            for some in kb.iterate()
            for e in some
        ]
        self._index = bm25s.BM25()
        self._index.index(self._words(texts), show_progress=False)
        self._known = set(self._index.vocab_dict)
        self._kb = kb

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        bm25s: Any = need("bm25s")
        found: list[list[str]] = bm25s.tokenize(
            list(texts),
            token_pattern=r"(?u)\b\w+\b",
            stopwords=None,
            return_ids=False,
            show_progress=False,
        )
        return found

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """By score; nothing where no word of the mention is known."""
        surfaces = list(dict.fromkeys(m.text for _, m in mentions))
        words = [[w for w in some if w in self._known] for some in self._words(surfaces)]
        asked = [i for i, some in enumerate(words) if some]
        ranked = dict.fromkeys(surfaces, NOTHING)
        if asked:
            found, scores = self._index.retrieve(
                [words[i] for i in asked],
                k=min(MAX_CANDIDATES, len(self._kb)),
                n_threads=self._threads,
                show_progress=False,
            )
            for i, rows, values in zip(asked, found, scores, strict=True):
                ranked[surfaces[i]] = np.asarray(rows, dtype=np.int64)[values > 0]
        return by_first(self._kb, [ranked[m.text] for _, m in mentions])
