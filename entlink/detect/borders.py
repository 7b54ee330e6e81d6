"""Mends the borders of recognised spans: what a knowledge base names is often shorter.

A recogniser trained on other guidelines takes in titles, nationalities, dashes and numbers that
stand beside a name. A span that the knowledge base knows as a name is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from entlink.detect.gazetteer import Found
from entlink.detect.recogniser import TokenSpan
from entlink.detect.shapes import Shape, sentence_starts, shape_of
from entlink.detect.windows import Span
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
_SENTENCE_ENDS: Final = frozenset([".", "!", "?", "…"])
_FIRMS = "inc corp co ltd plc llc ag sa nv gmbh incorporated limited"
_COMPANIES: Final = frozenset(_FIRMS.split())
_SHORT = (
    "mr mrs ms dr prof gen col maj capt lt sgt sen gov rep rev hon adm pres st ste mt ft jr sr no "
    "vs etc bros dept univ u.s u.k u.n"
)
_ABBREVIATIONS: Final = frozenset(_SHORT.split()) | _COMPANIES


def mend(
    doc: Doc,
    recognised: Sequence[TokenSpan],
    found: Found,
    *,
    ordinary: frozenset[str] = frozenset(),
) -> list[TokenSpan]:
    """The recognised spans with better borders, sorted; some are split, some vanish.

    Those that are no known names and not written as names vanish: without a capital, or a single
    word at the start of a sentence that is one of the ``ordinary``, those usually written small,
    casefolded.
    """
    known = found.inside
    starts = sentence_starts([shape_of(token.text) for token in doc]) if recognised else []
    mended: list[TokenSpan] = []
    for start, end, label in recognised:
        if (start, end) in known:
            mended.append((start, end, label))
            continue
        words = [doc[i].text for i in range(start, end)]
        shapes = [shape_of(word) for word in words]
        for a, b in _parts(doc, start, words, shapes, label, known):
            a, b = _trimmed(start, words, shapes, a, b, known)
            common = b - a == 1 and starts[start + a] and words[a].casefold() in ordinary
            if any(s.letter and not s.calendar for s in shapes[a:b]) and (
                (start + a, start + b) in known
                or (any(s.capital for s in shapes[a:b]) and not common)
            ):
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
        rest = (start + i + 1, start + len(words))
        joins = (shapes[i].lower or (shapes[i].word and not shapes[i].letter)) and {
            (start + at, start + i),
            rest,
        } <= known
        if (
            joins
            or (word in _DASHES and spaced)
            or (word in _POSSESSIVES and i + 1 < len(words))
            or _ends_sentence(words, shapes, at, i)
            or (word == "of" and _ends_before_of(words[at:i], label, right_known=rest in known))
        ):
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


def _ends_sentence(words: Sequence[str], shapes: Sequence[Shape], at: int, i: int) -> bool:
    """Whether a sentence ends at the i-th word, and not an abbreviation: "Palace. Prince"."""
    if words[i] not in _SENTENCE_ENDS or not at < i < len(words) - 1 or not shapes[i + 1].capital:
        return False
    before, behind = words[i - 1].casefold(), words[i + 1].casefold().rstrip(".")
    if words[i] != ".":
        return behind not in _COMPANIES  # "Yahoo! Inc."
    is_initial = len(before) <= 2 and words[i - 1][:1].isupper()
    return not is_initial and before not in _ABBREVIATIONS


def _ends_before_of(words: Sequence[str], label: str, *, right_known: bool) -> bool:
    """Whether a person or a company is named in full, so that "of Germany" is no part of it."""
    if not words:
        return False
    if label == "PER":
        return right_known and len(words) > 1 and not _is_number(words[-1])
    return words[-1].casefold().rstrip(".") in _COMPANIES


def _is_number(word: str) -> bool:
    return not set(word) - set("IVX")  # "Philip II of Spain"


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


def _trimmed(
    start: int,
    words: Sequence[str],
    shapes: Sequence[Shape],
    a: int,
    b: int,
    known: frozenset[Span],
) -> Span:
    """Without punctuation and small words at the ends; "The" before, numbers behind known names."""
    small = any(s.capital and s.letter for s in shapes[a:b])
    while a < b and (not shapes[a].word or (small and shapes[a].lower and not shapes[a].particle)):
        a += 1
    while a < b and (not shapes[b - 1].word or (small and shapes[b - 1].lower)):
        b -= 1
    name = next((n for n in range(b, a, -1) if shapes[n - 1].letter), b)
    if name < b and (start + a, start + name) in known:
        b = name
    if b - a > 1 and words[a] == "The" and (start + a + 1, start + b) in known:
        a += 1
    return a, b


@lru_cache(maxsize=1)
def _peoples() -> frozenset[str]:
    return frozenset(DEMONYMS.values())
