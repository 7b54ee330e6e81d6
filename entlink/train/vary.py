"""Variations of training texts: what news, headlines and tables look like, from texts that do not.

All that is added is composed: names of the knowledge base in frames of our own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from entlink.train.spans import Tagged, looks_like_a_name

Names = Mapping[str, Sequence[tuple[str, ...]]]  # tokenised names by label


@dataclass(frozen=True, slots=True)
class Variation:
    """How often a training text is changed, each as a share of the texts."""

    upper: float = 0.08  # ALL CAPITALS
    lower: float = 0.03
    title: float = 0.05  # Capitals On Each Word
    rename: float = 0.35  # a span's words exchanged for another name of its label
    joined: float = 0.3  # the next text of the same source put behind it
    tables: float = 0.06  # further texts made of names and numbers, as results of matches are


def vary(
    texts: Sequence[Tagged],
    names: Names,
    variation: Variation,
    rng: random.Random,
) -> Iterator[Tagged]:
    """One round of training texts: shuffled, some joined, renamed, recased, and tables added."""
    order = list(range(len(texts)))
    rng.shuffle(order)
    for at in order:
        text = texts[at]
        if rng.random() < variation.joined and at + 1 < len(texts):
            following = texts[at + 1]
            text = _join(text, following) if following.source == text.source else text
        if names and rng.random() < variation.rename:
            text = _rename(text, names, rng)
        yield _recase(text, variation, rng)
        if names and rng.random() < variation.tables:
            yield _recase(_table(names, rng), variation, rng)


def _join(first: Tagged, second: Tagged) -> Tagged:
    shift = len(first.words)
    return Tagged(
        words=first.words + second.words,
        spaces=(*first.spaces[:-1], True, *second.spaces) if shift else second.spaces,
        spans=first.spans + tuple((s + shift, e + shift, label) for s, e, label in second.spans),
        source=first.source,
        unknown=first.unknown | {i + shift for i in second.unknown},
    )


def _rename(text: Tagged, names: Names, rng: random.Random) -> Tagged:
    words: list[str] = []
    spans: list[tuple[int, int, str]] = []
    unknown: list[int] = []
    at = 0
    for start, end, label in (*text.spans, (len(text.words), len(text.words), "")):
        unknown += [i - at + len(words) for i in text.unknown if at <= i < start]
        words += text.words[at:start]
        new = text.words[start:end]
        if label in names and looks_like_a_name("".join(new)) and rng.random() < 0.6:
            other = rng.choice(names[label])
            # a person named by one word is named by a surname
            new = other[-1:] if label == "PER" and len(new) == 1 else other
        if label:
            spans.append((len(words), len(words) + len(new), label))
        words += new
        at = end
    return Tagged(
        words=tuple(words),
        spaces=(True,) * len(words),
        spans=tuple(spans),
        source=text.source,
        unknown=frozenset(unknown),
    )


def _recase(text: Tagged, variation: Variation, rng: random.Random) -> Tagged:
    draw = rng.random()
    for share, change in (
        (variation.upper, str.upper),
        (variation.lower, str.lower),
        (variation.title, str.capitalize),
    ):
        if draw < share:
            return replace(text, words=tuple(change(word) for word in text.words))
        draw -= share
    return text


_TABLES: Final = (
    "{PER} ( {LOC} ) {n}",
    "{n} . {PER} ( {LOC} ) {n}",
    "{PER} ( {LOC} ) beat {PER} ( {LOC} ) {n} {n}",
    "{LOC} {n} {LOC} {n}",
    "{ORG} {n} {ORG} {n}",
    "{ORG} {n} {n} {n} {n}",
    "{ORG} at {ORG}",
    "{LOC} : {PER} ( {n} minutes ) , {PER} ( {n} )",
    "{PER} , {LOC} , {n}",
    "{PER} , {ORG} , {n}",
    "{LOC} {n} - {n} - {n}",
    "{n} - {PER} ( {ORG} ) , {PER} ( {ORG} )",
)


def _table(names: Names, rng: random.Random) -> Tagged:
    """One to six rows of one kind, composed of names and numbers."""
    row = rng.choice(_TABLES).split()
    words: list[str] = []
    spans: list[tuple[int, int, str]] = []
    for part in row * rng.randint(1, 6):
        label = part.strip("{}")
        if label in names:
            name = rng.choice(names[label])
            spans.append((len(words), len(words) + len(name), label))
            words += name
        else:
            words.append(_number(rng) if part == "{n}" else part)
    return Tagged(tuple(words), (True,) * len(words), tuple(spans), "composed")


def _number(rng: random.Random) -> str:
    a, b = rng.randint(0, 9), rng.randint(10, 99)
    return rng.choice((str(a), str(b), f"{a}-{a + 1}", f"{a}:{b}", f"{b}.{a}", f"{b}-{a}"))
