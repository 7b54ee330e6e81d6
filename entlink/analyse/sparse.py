"""BM25 and TF-IDF as sparse vectors, so that a score is an inner product and can be projected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from entlink.encode.lexical import words_of
from entlink.errors import ConfigError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WEIGHTS = ("bm25", "tfidf")


@dataclass(frozen=True)
class SparseTexts:
    """Documents as weighted words: <query, document> is the score.

    BM25 (Robertson and Zaragoza 2009): a document's word has idf * tf (k1 + 1) / (tf + k1 (1 - b +
    b length / mean length)), with idf = ln(1 + (N - df + 0.5) / (df + 0.5)); a query's has its
    count. TF-IDF: idf * (1 + ln tf) in both, with idf = ln(1 + N / df), documents of unit length.
    """

    words: tuple[str, ...]
    idf: NDArray[np.float64]  # (n_words,)
    vectors: csr_array  # (n_documents, n_words)
    lengths: NDArray[np.int64]  # (n_documents,) in words
    weights: str

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        *,
        weights: str = "bm25",
        k1: float = 0.9,
        b: float = 0.4,
    ) -> SparseTexts:
        """Split as the encoder's bags are. ConfigError if ``weights`` is neither of the two."""
        if weights not in WEIGHTS:
            raise ConfigError(f"weights are {weights!r}; they must be one of {', '.join(WEIGHTS)}")
        counts = [Counter(words_of(text)) for text in texts]
        df = Counter(word for bag in counts for word in bag)
        words = tuple(sorted(df))
        place = {word: i for i, word in enumerate(words)}
        tf = _matrix(counts, place)
        lengths = np.asarray([sum(bag.values()) for bag in counts], dtype=np.int64)
        n_with = np.asarray([df[word] for word in words], dtype=np.float64)
        if weights == "bm25":
            idf = np.log1p((len(texts) - n_with + 0.5) / (n_with + 0.5))
            mean = max(float(lengths.mean()) if len(lengths) else 0.0, 1e-9)
            rest = np.repeat(k1 * (1 - b + b * lengths / mean), np.diff(tf.indptr))
            tf.data = tf.data * (k1 + 1) / (tf.data + rest)
        else:
            idf = np.log1p(len(texts) / n_with)
            tf.data = 1 + np.log(tf.data)
        tf.data *= idf[tf.indices]
        if weights == "tfidf":
            norms = np.sqrt(np.asarray(tf.multiply(tf).sum(axis=1)).ravel())
            tf.data /= np.repeat(np.where(norms > 0, norms, 1.0), np.diff(tf.indptr))
        return cls(words, idf, tf, lengths, weights)

    def queries(self, texts: Sequence[str]) -> csr_array:
        """(n, n_words); words that no document has are left out."""
        place = {word: i for i, word in enumerate(self.words)}
        counts = [Counter(w for w in words_of(text) if w in place) for text in texts]
        tf = _matrix(counts, place)
        if self.weights == "tfidf":
            tf.data = (1 + np.log(tf.data)) * self.idf[tf.indices]
        return tf


def _matrix(counts: Sequence[Counter[str]], place: dict[str, int]) -> csr_array:
    try:
        from scipy.sparse import csr_array
    except ImportError as error:
        raise ConfigError("entlink.analyse needs SciPy; pip install 'entlink[analyse]'") from error
    rows = [sorted((place[word], n) for word, n in bag.items()) for bag in counts]
    ends = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64)))
    places = np.asarray([at for row in rows for at, _ in row], dtype=np.int64)
    values = np.asarray([n for row in rows for _, n in row], dtype=np.float64)
    return csr_array((values, places, ends), shape=(len(counts), len(place)))
