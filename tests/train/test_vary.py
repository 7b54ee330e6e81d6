from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.train.spans import LABELS, Tagged
from entlink.train.vary import Names, Variation, vary

NAMES: Names = {
    "PER": [("Zora", "Quux"), ("Zed",)],
    "LOC": [("Zembla",), ("New", "Zembla")],
    "ORG": [("Zeta", "Works")],
}
NOTHING = Variation(upper=0, lower=0, title=0, rename=0, joined=0, tables=0)


@st.composite
def tagged(draw: st.DrawFn) -> Tagged:
    """Words w0 w1 ..., where each labelled word says its label: the oracle for what moved."""
    n = draw(st.integers(1, 8))
    spans, words, at = [], [f"w{i}" for i in range(n)], 0
    while at < n:
        length = draw(st.integers(1, 3))
        if draw(st.booleans()) and at + length <= n:
            label = draw(st.sampled_from(LABELS))
            spans.append((at, at + length, label))
            words[at : at + length] = [f"{label.title()}-{i}" for i in range(length)]
        at += length
    inside = {i for s, e, _ in spans for i in range(s, e)}
    outside = [i for i in range(n) if i not in inside]
    unknown = frozenset(i for i in outside if draw(st.booleans()))
    words = [f"u{i}" if i in unknown else word for i, word in enumerate(words)]
    return Tagged(tuple(words), (True,) * n, tuple(spans), "x", unknown)


def test_nothing_to_vary_gives_the_same_texts() -> None:
    texts = [Tagged((f"w{i}",), (True,), (), "x") for i in range(20)]
    varied = list(vary(texts, NAMES, NOTHING, random.Random(1)))
    assert sorted(t.words for t in varied) == sorted(t.words for t in texts)
    assert varied != texts  # shuffled


@settings(max_examples=200)
@given(texts=st.lists(tagged(), max_size=6), seed=st.integers(0, 99))
def test_labels_stay_on_their_words(texts: list[Tagged], seed: int) -> None:
    often = Variation(upper=0.2, lower=0.2, title=0.2, rename=0.6, joined=0.5)
    made = {w.casefold() for names in NAMES.values() for name in names for w in name}
    of = {w.casefold(): k for k, names in NAMES.items() for name in names for w in name}
    for text in vary(texts, NAMES, often, random.Random(seed)):
        inside: dict[int, str] = {}
        for start, end, label in text.spans:
            assert 0 <= start < end <= len(text.words)
            for i in range(start, end):
                assert i not in inside  # no overlaps
                inside[i] = label
        assert len(text.spaces) == len(text.words)
        for i, word in enumerate(text.words):
            folded = word.casefold()
            if folded.split("-")[0].upper() in LABELS:
                assert inside[i] == folded.split("-")[0].upper()
            elif folded in made and i in inside:
                assert inside[i] == of[folded]
            assert (i in text.unknown) == (folded[0] == "u" and folded[1:].isdigit())


def test_the_same_seed_gives_the_same_texts() -> None:
    texts = [Tagged((f"w{i}", "Ada"), (True, True), ((1, 2, "PER"),), "x") for i in range(50)]
    one = list(vary(texts, NAMES, Variation(), random.Random(7)))
    assert one == list(vary(texts, NAMES, Variation(), random.Random(7)))
    assert one != list(vary(texts, NAMES, Variation(), random.Random(8)))
