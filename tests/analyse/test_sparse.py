"""BM25 and TF-IDF as inner products, against their formulas word by word and against bm25s."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from entlink.analyse import SparseTexts
from entlink.encode.lexical import words_of
from entlink.errors import ConfigError

TEXTS = [
    "Paris is the capital of France",
    "Paris, a city in Texas; not the capital",
    "the capital of the capital of capitals",
    "",
    "C++ and C#, two languages",
]
QUERIES = ["capital of France", "Paris Paris Texas", "C++", "unheard of", ""]


def bm25(query: str, text: str, *, k1: float, b: float) -> float:
    bags = [words_of(t) for t in TEXTS]
    mean = sum(map(len, bags)) / len(bags)
    own, score = words_of(text), 0.0
    for word in words_of(query):
        df = sum(word in bag for bag in bags)
        if df:
            idf = math.log(1 + (len(bags) - df + 0.5) / (df + 0.5))
            tf = own.count(word)
            score += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(own) / mean))
    return score


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.75), (1.2, 0.0)])
def test_bm25_word_by_word(k1: float, b: float) -> None:
    texts = SparseTexts.of(TEXTS, k1=k1, b=b)
    scores = (texts.queries(QUERIES) @ texts.vectors.T).toarray()
    for i, query in enumerate(QUERIES):
        for j, text in enumerate(TEXTS):
            assert scores[i, j] == pytest.approx(bm25(query, text, k1=k1, b=b))


def test_bm25_as_another_program_has_it() -> None:
    import bm25s

    texts = SparseTexts.of(TEXTS)
    other = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    other.index([words_of(text) or [""] for text in TEXTS], show_progress=False)
    scores = (texts.queries(QUERIES) @ texts.vectors.T).toarray()
    for i in (0, 1, 2):
        theirs = other.get_scores(words_of(QUERIES[i]))
        # theirs leaves out the factor k1 + 1, and counts the empty text as one word
        order = np.argsort(-scores[i], kind="stable")
        assert order[0] == int(np.argmax(theirs))
        np.testing.assert_allclose(scores[i] / 1.9, theirs, rtol=0.03, atol=0.02)


def test_tfidf_word_by_word() -> None:
    texts = SparseTexts.of(TEXTS, weights="tfidf")
    bags = [words_of(t) for t in TEXTS]

    def weight(word: str, bag: list[str]) -> float:
        df = sum(word in other for other in bags)
        return math.log(1 + len(bags) / df) * (1 + math.log(bag.count(word))) if df else 0.0

    scores = (texts.queries(QUERIES) @ texts.vectors.T).toarray()
    for i, query in enumerate(QUERIES):
        own = words_of(query)
        for j, bag in enumerate(bags):
            length = math.sqrt(sum(weight(w, bag) ** 2 for w in set(bag))) or 1.0
            both = set(own) & set(bag)
            expected = sum(weight(w, own) * weight(w, bag) for w in both) / length
            assert scores[i, j] == pytest.approx(expected)


def test_lengths_and_nothing() -> None:
    texts = SparseTexts.of(TEXTS)
    assert texts.lengths.tolist() == [len(words_of(text)) for text in TEXTS]
    assert SparseTexts.of([]).vectors.shape == (0, 0)
    with pytest.raises(ConfigError, match="weights are 'binary'"):
        SparseTexts.of(TEXTS, weights="binary")


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)  # importing it fails
    with pytest.raises(ConfigError, match=r"pip install 'entlink\[analyse\]'"):
        SparseTexts.of(TEXTS)
