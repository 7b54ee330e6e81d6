"""What the writing of a word says about whether it may be (part of) a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_MONTHS = "january february march april may june july august september october november december"
_SHORT = (
    "mon tue tues wed thu thur thurs fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec"
)
# Capitalised in English without naming anything that a text is about.
_CALENDAR: Final = frozenset(f"{_DAYS} {_MONTHS} {_SHORT}".split())
_PARTICLES: Final = frozenset(
    ["al", "bin", "da", "de", "del", "della", "der", "di", "du", "el", "la", "le", "van", "von"]
)
_OFFICES: Final = frozenset(["president", "minister", "senator", "chancellor"])
_ENDERS: Final = frozenset([".", "!", "?", "…", ":", ";", "*", "•", "|", ".."])
_PARTS: Final = frozenset([",", "(", ")", "[", "]", "{", "}", "/", "\t", "|"])
_NO_STARTS: Final = frozenset([":", ";"])  # what follows has a capital only if it is a name
_OPENERS: Final = frozenset(['"', "'", "“", "‘", "«", "``", "`", "''", "”", "#"])
_MIN_SHOUTED = 3  # words in a row in capitals that make a headline


@dataclass(frozen=True, slots=True)
class Shape:
    """What a word looks like."""

    capital: bool  # holds a capital letter or a digit
    letter: bool
    spelt: bool  # two letters at least: no initial, no number
    coded: bool  # "C++", "C#": no ordinary word, however short
    word: bool  # holds a letter or a digit
    lower: bool  # all its letters are small
    upper: bool  # all its letters are capitals
    shouted: bool  # and it has two of them at least
    stop: bool  # a function word ("The", "In", "After")
    calendar: bool  # a day of the week or a month
    office: bool  # "President": stands before a name, and is no part of it
    particle: bool  # "van", "de": a name may start with it
    ends: bool  # a sentence may end here
    joins: bool  # ... but the sentence goes on
    opens: bool  # a quotation mark: a sentence may start behind it
    parts: bool  # a comma or a bracket: what stands on its two sides is not one name
    blank_line: bool  # a paragraph ends; a line end alone may be a wrapped line


@lru_cache(maxsize=1)
def _stop_words() -> frozenset[str]:
    from spacy.lang.en.stop_words import STOP_WORDS

    return frozenset(STOP_WORDS)


@lru_cache(maxsize=1 << 16)
def shape_of(text: str) -> Shape:
    """The shape of one token's text."""
    folded = text.casefold()
    letters = [char for char in text if char.isalpha()]
    return Shape(
        capital=any(char.isupper() or char.istitle() or char.isdigit() for char in text),
        letter=bool(letters),
        spelt=len(letters) >= 2,
        coded=bool(letters) and text.endswith(("++", "#")),
        word=any(char.isalnum() for char in text),
        lower=text.islower(),
        upper=text.isupper(),
        shouted=len(letters) >= 2 and text.isupper(),
        stop=folded in _stop_words(),
        calendar=folded.rstrip(".") in _CALENDAR,
        office=folded in _OFFICES,
        particle=text in _PARTICLES,
        ends=text in _ENDERS,
        joins=text in _NO_STARTS,
        opens=text in _OPENERS,
        parts=text in _PARTS,
        blank_line=text.count("\n") > 1,
    )


def sentence_starts(shapes: Sequence[Shape]) -> list[bool]:
    """For each token, whether a sentence may start there, where any word has a capital.

    By punctuation and blank lines alone: no parser is needed, and too many starts do less harm
    than too few.
    """
    starts = []
    fresh = True  # nothing but openers since the last end
    for shape in shapes:
        starts.append(fresh)
        fresh = (
            (shape.ends and not shape.joins)
            or shape.opens
            or shape.blank_line
            or (fresh and not shape.word)
        )
    return starts


def headline_words(shapes: Sequence[Shape]) -> list[bool]:
    """For each token, whether it stands in a run of words in capitals, where case says nothing."""
    loud = [False] * len(shapes)
    run: list[int] = []
    for i, shape in enumerate((*shapes, shape_of("end"))):
        if shape.upper:
            run.append(i)
        elif shape.letter:  # numbers and punctuation do not end a headline
            if sum(shapes[at].shouted for at in run) >= _MIN_SHOUTED:
                for at in run:
                    loud[at] = True
            run = []
    return loud


def has_company(shapes: Sequence[Shape], at: int) -> bool:
    """Whether the next word on either side has a capital too, or is in capitals if this one is."""
    return any(
        0 <= i < len(shapes)
        and shapes[i].capital
        and shapes[i].letter
        and (shapes[i].upper or not shapes[at].shouted)  # "Anna Bell BERLIN"
        and not (shapes[i].stop and i < at)  # "The Rangers", "In Texas"
        for i in (at - 1, at + 1)
    )
