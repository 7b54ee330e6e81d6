"""Words as the encoder's features have them; projection and enrichment against plain loops."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from entlink.encode.features import featurise
from entlink.encode.lexical import enrich, word_probabilities, words_of


@given(st.text(max_size=40).filter(lambda t: not any(0xD800 <= ord(c) < 0xE000 for c in t)))
def test_words_are_the_features(text: str) -> None:
    ids = featurise([text], rows=1 << 20).word.ids.tolist()
    words = words_of(text)
    assert ids == [i for word in words for i in featurise([word], rows=1 << 20).word.ids.tolist()]
    assert all(len(featurise([word], rows=1 << 20).word.ids) == 1 for word in words)


def test_words_by_hand() -> None:
    assert words_of("C++, C# & Müller's 2-0 😀!") == ["c++", "c#", "muller", "s", "2", "0", "😀"]


def test_probabilities_by_a_loop() -> None:
    generator = np.random.default_rng(0)
    vectors, words = generator.standard_normal((2, 4)), generator.standard_normal((5, 4))
    found = word_probabilities(vectors.astype(np.float32), words.astype(np.float32), scale=3.0)
    for i in range(2):
        powers = [math.exp(3.0 * sum(vectors[i] * words[j])) for j in range(5)]
        np.testing.assert_allclose(found[i], np.asarray(powers) / sum(powers), rtol=1e-5)


def test_enrichment_by_a_loop() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((3, 4)).astype(np.float32)
    words = generator.standard_normal((6, 4)).astype(np.float32)
    idf = np.asarray([0.1, 2.0, 1.0, 3.0, 0.5, 1.5])
    bags = [np.asarray([1, 1, 4]), np.asarray([], dtype=np.int64), np.asarray([0, 3, 5])]
    found = enrich(vectors, bags, words, idf, weight=0.4)
    for i, bag in enumerate(bags):
        total = [0.0] * 4
        for place in bag.tolist():
            total = [t + idf[place] * w for t, w in zip(total, words[place], strict=True)]
        length = math.sqrt(sum(t * t for t in total))
        made = [
            v + (0.4 * t / length if length else 0.0)
            for v, t in zip(vectors[i].tolist(), total, strict=True)
        ]
        norm = math.sqrt(sum(m * m for m in made))
        np.testing.assert_allclose(found[i], np.asarray(made) / norm, rtol=1e-5)
    zero = enrich(np.zeros((1, 4), np.float32), [bags[1]], words, idf, weight=1.0)
    assert (zero == 0).all()
