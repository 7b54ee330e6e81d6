"""Mends the borders of recognised spans: what a knowledge base names is often shorter.

A recogniser trained on other guidelines takes in titles, nationalities, dashes and numbers that
stand beside a name. A span that the knowledge base knows as a name is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from entlink.detect.gazetteer import Found, Span
from entlink.detect.recogniser import TokenSpan
from entlink.detect.shapes import Shape, shape_of
from entlink.kb.demonyms import DEMONYMS

if TYPE_CHECKING:
    from spacy.tokens import Doc

_DASHES: Final = frozenset(["-", "--", "–", "—"])
_POSSESSIVES: Final = frozenset(["'s", "’s", "'S"])
_TITLE_WORDS = (
    "president minister chancellor secretary senator sen. gov. governor rep. judge cardinal mr. "
    "mrs. ms. dr. sir mr mrs ms dr gen. general spokesman spokeswoman chairman coach captain"
)
_TITLES: Final = frozenset(_TITLE_WORDS.split())
_BEFORE_TITLES: Final = frozenset(["prime", "foreign", "vice", "deputy", "defence", "finance"])
_MIN_CITY = 4  # letters of a word in capitals that may begin a dateline


def mend(doc: Doc, recognised: Sequence[TokenSpan], found: Found) -> list[TokenSpan]:
    """The recognised spans with better borders, sorted; some are split, some vanish."""
    known = found.inside
    mended: list[TokenSpan] = []
    for start, end, label in recognised:
        if (start, end) in known:
            mended.append((start, end, label))
            continue
        words = [doc[i].text for i in range(start, end)]
        shapes = [shape_of(word) for word in words]
        for a, b in _parts(doc, start, words, shapes, label, known):
            a, b = _trimmed(start, shapes, a, b, known)
            if any(s.letter and not s.calendar for s in shapes[a:b]):
                mended.append((start + a, start + b, label))
    return sorted(mended)


def _parts(
    doc: Doc,
    start: int,
    words: Sequence[str],
    shapes: Sequence[Shape],
    label: str,
    known: frozenset[Span],
) -> Iterator[Span]:
    """Where a span that is no known name falls apart; positions count from its first token."""
    at = 0
    for i, word in enumerate(words):
        spaced = bool(doc[start + i].whitespace_) and i > 0 and bool(doc[start + i - 1].whitespace_)
        joins = (
            shapes[i].lower
            and {(start + at, start + i), (start + i + 1, start + len(words))} <= known
        )
        if joins or (word in _DASHES and spaced) or (word in _POSSESSIVES and i + 1 < len(words)):
            yield from _headline(start, at, i, shapes, label, known)
            at = i + 1
        elif (
            word.casefold() in _TITLES
            and shapes[i].capital
            and (label in ("PER", "MISC") or (i and shapes[i].office))
        ):
            before = i - 1 if i > at and words[i - 1].casefold() in _BEFORE_TITLES else i
            yield at, before
            at = i + 1
    if label in ("PER", "MISC"):
        for n in (2, 1):
            if at + n < len(words) and " ".join(words[at : at + n]) in _peoples():
                yield at, at + n
                at += n
                break
    yield from _headline(start, at, len(words), shapes, label, known)


def _headline(
    start: int, a: int, b: int, shapes: Sequence[Shape], label: str, known: frozenset[Span]
) -> Iterator[Span]:
    """Known names in capitals side by side, or one behind a name that is not in capitals."""
    if (start + a, start + b) in known or not any(s.shouted for s in shapes[a:b]):
        yield a, b
        return
    tiles = _tiles(start + a, start + b, known)
    if label != "PER" and len(tiles) > 1 and all(s.upper or not s.letter for s in shapes[a:b]):
        yield from ((s - start, e - start) for s, e in tiles)
        return
    turn = next((i for i in range(b, a, -1) if not shapes[i - 1].shouted), a)
    if a < turn < b and (start + turn, start + b) in known:
        yield a, turn
        yield turn, b
    else:
        yield a, b


def _tiles(start: int, end: int, known: frozenset[Span]) -> list[Span]:
    """Known names that follow one another from start to end, longest first; [] if none do."""
    tiles: list[Span] = []
    while start < end:
        stop = next((e for e in range(end, start, -1) if (start, e) in known), None)
        if stop is None:
            return []
        tiles.append((start, stop))
        start = stop
    return tiles


def _trimmed(start: int, shapes: Sequence[Shape], a: int, b: int, known: frozenset[Span]) -> Span:
    """Without punctuation and small words at the ends, and numbers behind a known name."""
    small = any(s.capital and s.letter for s in shapes[a:b])
    while a < b and (not shapes[a].word or (small and shapes[a].lower and not shapes[a].particle)):
        a += 1
    while a < b and (not shapes[b - 1].word or (small and shapes[b - 1].lower)):
        b -= 1
    if b - a > 1 and not shapes[b - 1].letter and (start + a, start + b - 1) in known:
        b -= 1
    return a, b


@lru_cache(maxsize=1)
def _peoples() -> frozenset[str]:
    return frozenset(DEMONYMS.values())
