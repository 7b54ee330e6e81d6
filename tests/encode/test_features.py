"""The hashed features against plain Python that spells out how they are defined."""

from __future__ import annotations

import unicodedata
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entlink.encode.features import Bags, Ragged, featurise, fold, join_bags, join_ragged

PRIME = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
SALTS = {"word": 0x1F3D, "bigram": 0x2B77, "char": 0x3C95}
TEXTS = st.text(
    st.one_of(
        st.sampled_from(" \n\t.,'-+#aAbBéİßñ\u0301\u200f\ufdfa0²"),
        st.sampled_from("القدسירושלים東京\U0001f600\U0001f3fb\U0001faff\U00020000\ufeff"),
        st.characters(),
    ),
    max_size=30,
)


def is_letter(char: str) -> bool:
    return ord(char) < 0x20000 and (
        char.isalnum() or char in "+#" or 0x1F300 <= ord(char) < 0x1FB00
    )


def folded(text: str) -> str:
    text = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in text if not unicodedata.combining(char))


def words_of(text: str) -> list[str]:
    return ["".join(run) for letters, run in groupby(folded(text), is_letter) if letters]


def polynomial(text: str) -> int:
    return sum((ord(char) + 1) * pow(PRIME, k, 1 << 64) for k, char in enumerate(text)) & MASK


def row(value: int, kind: str, rows: int) -> int:
    x = value ^ SALTS[kind]
    x = ((x ^ (x >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    x = ((x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53) & MASK
    return (x ^ (x >> 33)) & (rows - 1)


def expected(text: str, rows: int, lengths: tuple[int, ...]) -> dict[str, list[int]]:
    words = words_of(text)
    hashes = [polynomial(word) for word in words]
    pairs = pairwise(hashes)
    ngrams = [
        padded[i : i + n]
        for n in lengths
        for padded in (f" {word} " for word in words)
        for i in range(len(padded) - n + 1)
    ]
    return {
        "word": sorted(row(value, "word", rows) for value in hashes),
        "bigram": sorted(
            row((a * 0xD6E8FEB86659FD93 + b) & MASK, "bigram", rows) for a, b in pairs
        ),
        "char": sorted(row(polynomial(ngram), "char", rows) for ngram in ngrams),
    }


def found(bags: Bags, text: int) -> dict[str, list[int]]:
    kinds = {"word": bags.word, "bigram": bags.bigram, "char": bags.char}
    return {kind: sorted(lists(bag)[text]) for kind, bag in kinds.items() if bag is not None}


def lists(bag: Ragged) -> list[list[int]]:
    return [bag.ids[a:b].tolist() for a, b in zip(bag.offsets[:-1], bag.offsets[1:], strict=True)]


def ragged(rows: list[list[int]]) -> Ragged:
    return Ragged(
        np.asarray([i for items in rows for i in items], dtype=np.int32),
        np.cumsum([0, *(len(items) for items in rows)]),
    )


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(TEXTS, max_size=5),
    rows=st.sampled_from([1, 64, 1 << 20]),
    lengths=st.sampled_from([(3, 4), (3,), (5, 3)]),
)
@example(texts=["", "", ""], rows=64, lengths=(3, 4))
@example(texts=["a", "ab", " a ", "\n", "a\nb", "\ud800x"], rows=1 << 20, lengths=(3, 4))
@example(
    texts=["C++ and C#", "Ｆｕｌｌ width", "שלום עולם", "👍🏽 ok"], rows=1 << 20, lengths=(3, 4)
)
def test_features_are_the_hashes_of_their_substrings(
    texts: list[str], rows: int, lengths: tuple[int, ...]
) -> None:
    bags = featurise(texts, rows=rows, chars=lengths)
    assert len(bags) == len(texts)
    for i, text in enumerate(texts):
        assert found(bags, i) == expected(text, rows, lengths)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, max_size=6))
def test_a_batch_equals_its_texts_one_by_one(texts: list[str]) -> None:
    together = featurise(texts, rows=1 << 16, chars=(3, 4))
    for i, text in enumerate(texts):
        alone = featurise([text], rows=1 << 16, chars=(3, 4))
        for a, b in zip(together.kinds(), alone.kinds(), strict=True):
            assert lists(a)[i] == lists(b)[0]


def test_without_lengths_there_are_no_character_features() -> None:
    bags = featurise(["some words"], rows=64)
    assert bags.char is None
    assert len(bags.kinds()) == 2


def test_a_place_in_a_long_text_does_not_change_a_hash() -> None:
    filler = "x " * 20_000
    word = featurise(["needle"], rows=1 << 30).word.ids[0]
    assert featurise([filler + "needle"], rows=1 << 30).word.ids[-1] == word


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ("Zürich", "zurich"),
        ("ÅNGSTRÖM", "angstrom"),
        ("Straße", "strasse"),
        ("ABC", "abc"),
        ("ﬁne", "fine"),
        ("", ""),
        ("ＴＯＫＹＯ", "tokyo"),
    ],
)
def test_fold(text: str, expected_text: str) -> None:
    assert fold(text) == expected_text


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 99), max_size=4), min_size=1, max_size=6), data=st.data()
)
def test_take_is_what_lists_do(rows: list[list[int]], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    taken = ragged(rows).take(np.asarray(places, dtype=np.int64))
    assert len(taken) == len(places)
    assert lists(taken) == [rows[place] for place in places]


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.lists(st.integers(0, 99), max_size=3), max_size=4), min_size=1, max_size=4
    )
)
def test_joining_is_what_lists_do(parts: list[list[list[int]]]) -> None:
    joined = join_ragged([ragged(rows) for rows in parts])
    assert lists(joined) == [items for rows in parts for items in rows]


def test_joined_batches_equal_one_batch() -> None:
    texts = ["New York", "", "a b c", "Köln"]
    whole = featurise(texts, rows=256, chars=(3,))
    parts = [featurise(texts[:1], rows=256, chars=(3,)), featurise(texts[1:], rows=256, chars=(3,))]
    for a, b in zip(whole.kinds(), join_bags(parts).kinds(), strict=True):
        assert lists(a) == lists(b)
    bare = [featurise(texts, rows=256), featurise(texts, rows=256)]
    assert join_bags(bare).char is None
    assert len(join_bags(bare)) == 8


def test_bags_take_the_same_texts_of_every_kind() -> None:
    texts = ["one two", "three", "four five six"]
    bags = featurise(texts, rows=1 << 16, chars=(3, 4))
    back = bags.take(np.asarray([2, 0, 2]))
    again = featurise([texts[2], texts[0], texts[2]], rows=1 << 16, chars=(3, 4))
    for a, b in zip(back.kinds(), again.kinds(), strict=True):
        assert lists(a) == lists(b)
