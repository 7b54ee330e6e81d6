"""BM25 against its formula, one pair of query and text at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.errors import BundleError
from entlink.kb.aliases import normalise
from entlink.retrieve.sparse import K1, B, Bm25, best, scores_at

WORDS = st.lists(st.sampled_from(["a", "bee", "Sée", "d-d", "e.", "zebra"]), max_size=8)
TEXTS = st.lists(WORDS.map(" ".join), max_size=7)


def plain(texts: list[str], query: str) -> list[float]:
    split = [normalise(text).split() for text in texts]
    mean = sum(map(len, split)) / max(1, len(split))
    scores = []
    for words in split:
        score = 0.0
        for word in normalise(query).split():
            n = sum(word in other for other in split)
            f = words.count(word)
            if f:
                idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
                score += idf * f / (f + K1 * (1 - B + B * len(words) / mean))
        scores.append(score)
    return scores


@given(TEXTS, WORDS.map(" ".join))
def test_scores_equal_the_formula(texts: list[str], query: str) -> None:
    found = Bm25.of(texts).scores(query)
    expected = plain(texts, query)
    rows, scores = found
    assert rows.tolist() == [row for row, score in enumerate(expected) if score > 0]
    np.testing.assert_allclose(scores, [expected[row] for row in rows], rtol=1e-5)
    everything = scores_at(found, np.arange(len(texts)))
    np.testing.assert_allclose(everything, expected, rtol=1e-5, atol=1e-7)
    for k in (1, 2, 5):
        order = sorted(rows.tolist(), key=lambda row: (-scores[rows.tolist().index(row)], row))
        assert best(found, k=k).tolist() == order[:k]


def test_saved_it_is_the_same(tmp_path: Path) -> None:
    texts = ["Jordan, a country", "the river Jordan", "Michael Jordan", "nothing"]
    index = Bm25.of(texts)
    index.save(tmp_path)
    opened = Bm25.open(tmp_path)
    for query in ("Jordan", "the Jordan", "", "unheard of", "river river"):
        for a, b in zip(index.scores(query), opened.scores(query), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("damage", ["missing", "cut", "short"])
def test_files_that_do_not_fit_are_one_line(tmp_path: Path, damage: str) -> None:
    Bm25.of(["a b", "b c"]).save(tmp_path)
    path = tmp_path / "bm25_weights.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        np.save(path, np.load(path)[:-1])
    with pytest.raises(BundleError, match="delete it") as caught:
        Bm25.open(tmp_path)
    assert "\n" not in str(caught.value)
