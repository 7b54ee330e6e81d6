"""BM25 over the names and descriptions of a knowledge base (Robertson and Zaragoza 2009).

    score(q, e) = sum over words w of q: idf(w) * f / (f + k1 * (1 - b + b * |e| / mean |e|))
    idf(w) = ln(1 + (N - n(w) + .5) / (n(w) + .5))

with f the occurrences of w in e, |e| its words and n(w) the entities that have w: Lucene's form.
The weights of all postings are computed once; a query adds up those of its words.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from entlink.errors import BundleError, reason
from entlink.inputs import entity_description
from entlink.kb.aliases import normalise
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity

K1, B = 1.5, 0.75
_FILES = ("words", "starts", "rows", "weights")
Found = tuple[NDArray[np.int64], NDArray[np.float32]]  # rows that have a word, ascending; scores


class Bm25:
    """An inverted index: for each word the entities that have it, with their weights."""

    def __init__(
        self,
        words: NDArray[np.uint32],
        starts: NDArray[np.int64],
        rows: NDArray[np.int32],
        weights: NDArray[np.float32],
    ) -> None:
        self._words = words  # (n_words,) CRC-32 of each, ascending
        self._starts = starts  # (n_words + 1,) where its postings start
        self._rows = rows  # (n_postings,) ascending within a word
        self._weights = weights  # (n_postings,)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Bm25:
        """Of these texts; the row of each is its place."""
        found: list[NDArray[np.uint32]] = [_hashed(text) for text in texts]
        lengths = np.asarray([len(words) for words in found], dtype=np.int64)
        joined = np.concatenate([np.zeros(0, dtype=np.uint32), *found])
        owner = np.repeat(np.arange(len(found), dtype=np.uint64), lengths)
        pairs = (joined.astype(np.uint64) << np.uint64(32)) | owner  # sorted by word, then by row
        unique, frequency = np.unique(pairs, return_counts=True)
        word = (unique >> np.uint64(32)).astype(np.uint32)
        row = (unique & np.uint64(0xFFFFFFFF)).astype(np.int64)
        words, starts = np.unique(word, return_index=True)
        df = np.diff(np.append(starts, len(word)))
        idf = np.log(1.0 + (len(found) - df + 0.5) / (df + 0.5))
        norm = K1 * (1 - B + B * lengths[row] / max(1e-9, lengths.mean() if len(found) else 0.0))
        weights = np.repeat(idf, df) * frequency / (frequency + norm)
        return cls(
            words,
            np.append(starts, len(word)).astype(np.int64),
            row.astype(np.int32),
            weights.astype(np.float32),
        )

    @classmethod
    def of_kb(cls, kb: KnowledgeBase) -> Bm25:
        """Of the knowledge base as it was built."""
        return cls.of(entity_text(entity) for some in kb.base.iterate() for entity in some)

    def save(self, folder: Path) -> None:
        """Write bm25_words.npy, bm25_starts.npy, bm25_rows.npy and bm25_weights.npy."""
        for name in _FILES:
            array = getattr(self, f"_{name}")
            np.save(folder / f"bm25_{name}.npy", array, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> Bm25:
        """Map what ``save`` wrote. Raises BundleError if it is not whole."""
        try:
            arrays = [
                np.load(folder / f"bm25_{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in _FILES
            ]
            words, starts, rows, weights = arrays
            if len(starts) != len(words) + 1 or not len(rows) == len(weights) == starts[-1]:
                raise ValueError("its files do not fit")
        except (OSError, ValueError, EOFError, IndexError) as error:
            raise BundleError(
                f"{folder}: cannot be read ({reason(error)}); delete it and it is made again"
            ) from error
        return cls(words, starts, rows, weights)

    def scores(self, text: str) -> Found:
        """The rows that share a word with the text, ascending, and their scores."""
        parts = [self._postings(word) for word in _hashed(text).tolist()]
        if not parts:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        rows = np.concatenate([rows for rows, _ in parts])
        weights = np.concatenate([weights for _, weights in parts])
        unique, place = np.unique(rows, return_inverse=True)
        # in the order of the words, whatever else is in the knowledge base: sums are always alike
        summed = np.bincount(place, weights=weights, minlength=len(unique))
        return unique.astype(np.int64), summed.astype(np.float32)

    def _postings(self, word: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        place = int(np.searchsorted(self._words, np.uint32(word)))
        if place == len(self._words) or self._words[place] != word:
            return self._rows[:0], self._weights[:0]
        own = slice(int(self._starts[place]), int(self._starts[place + 1]))
        return self._rows[own], self._weights[own]


def best(found: Found, *, k: int) -> NDArray[np.int64]:
    """The k rows with the highest scores, best first, ties by row."""
    rows, scores = found
    if len(rows) > k:  # all that tie with the last one stay in, so that ties go by row
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[scores >= least], scores[scores >= least]
    return rows[np.lexsort((rows, -scores))][:k]


def scores_at(found: Found, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The scores of these rows; zero for those that share no word."""
    known, scores = found
    if not len(known):
        return np.zeros(len(rows), dtype=np.float32)
    places = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[places] == rows, scores[places], np.float32(0.0))


def entity_text(entity: Entity) -> str:
    """All names, then what it is."""
    return " ".join((entity.name, *entity.aliases, entity_description(entity)))


def _hashed(text: str) -> NDArray[np.uint32]:
    words = [zlib.crc32(word.encode()) for word in normalise(text).split()]
    return np.asarray(words, dtype=np.uint32)
