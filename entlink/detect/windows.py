"""Which windows of a text may be names, by how they are written; the rest the KB says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from entlink.detect.shapes import Shape, has_company, headline_words, sentence_starts, shape_of
from entlink.kb.demonyms import countries_of

if TYPE_CHECKING:
    from spacy.tokens import Doc

Span = tuple[int, int]

MAX_TOKENS: Final = 8  # the longest name looked for
_STOP_NAMES: Final = frozenset(["IT", "US", "WHO"])
_MIN_LETTERS: Final = 3  # of a single word that is a name in any case


class Rule(Enum):
    """What the knowledge base has to say of a window, so that it counts."""

    CAPITAL = "an entity bears it, written with a capital"
    WRITTEN = "an entity bears it, written exactly so"
    OWN = "it is an entity's own name, written exactly so"
    ANY_CASE = "an entity bears it, however it is written"


@dataclass(frozen=True, slots=True)
class Words:
    """A doc's words and how they are written."""

    doc: Doc
    texts: list[str]
    shapes: list[Shape]
    loud: list[bool]  # in a headline in capitals
    weak: list[bool]  # there, or where a sentence may start: any word has a capital there

    @classmethod
    def of(cls, doc: Doc) -> Words:
        """Look at a doc."""
        texts = [token.text for token in doc]
        shapes = [shape_of(text) for text in texts]
        loud = headline_words(shapes)
        weak = [a or b for a, b in zip(sentence_starts(shapes), loud, strict=True)]
        return cls(doc, texts, shapes, loud, weak)


def windows_of(
    words: Words, *, max_tokens: int, ordinary: frozenset[str], any_case: bool
) -> Iterator[tuple[Rule, Span]]:
    """All windows to look up, each with its rule; one may come with several."""
    for span in eligible_windows(words, max_tokens=max_tokens, ordinary=ordinary):
        yield Rule.CAPITAL, span
    for start, end in small_ended_windows(words, max_tokens=max_tokens):
        plain = words.weak[start] or words.texts[end - 1] in ordinary  # "Red meat", "Fed chairman"
        yield Rule.OWN if plain else Rule.WRITTEN, (start, end)
    if any_case:
        for span in any_case_windows(words, max_tokens=max_tokens):
            yield Rule.ANY_CASE, span
        for at, shape in enumerate(words.shapes):  # "HD": too short to be found in any case
            if (
                shape.shouted
                and len(words.texts[at]) < _MIN_LETTERS
                and not (shape.stop or words.loud[at])
            ):
                yield Rule.WRITTEN, (at, at + 1)


def eligible_windows(
    words: Words, *, max_tokens: int = MAX_TOKENS, ordinary: frozenset[str] = frozenset()
) -> Iterator[Span]:
    """The windows of a doc that are written as names are, by position and length."""
    texts, shapes, loud, weak = words.texts, words.shapes, words.loud, words.weak
    firm = {
        text.casefold()
        for text, shape, is_weak in zip(texts, shapes, weak, strict=True)
        if shape.capital and not is_weak
    }
    for start, shape in enumerate(shapes):
        if not _may_start(shapes, weak, start):
            continue
        word = texts[start].casefold()
        people = bool(countries_of(texts[start]))
        sure = ordinary or word in firm or shape.coded or people
        if (
            _may_be_a_name(texts[start], shape)
            and word not in ordinary
            and not (weak[start] and (shape.stop or not sure))
            and (loud[start] or people or not has_company(shapes, start))
        ):
            yield start, start + 1
        for end in range(start + 2, min(start + max_tokens, len(shapes)) + 1):
            last = shapes[end - 1]
            if shape.office or _breaks(last, texts[end - 2]):
                break
            if (
                last.capital
                and last.word
                and not last.office
                and not (weak[end - 1] and last.stop)
                and any(s.spelt and s.capital and not s.calendar for s in shapes[start:end])
            ) or (end == start + 2 and is_sharp(words.doc, start)):
                yield start, end


def small_ended_windows(words: Words, *, max_tokens: int = MAX_TOKENS) -> Iterator[Span]:
    """Windows from a capitalised word to one written small, which few names are: "Red meat"."""
    shapes = words.shapes
    for start, shape in enumerate(shapes):
        if shape.office or not _may_start(shapes, words.weak, start):
            continue
        named = _is_telling(shape)
        for end in range(start + 2, min(start + max_tokens, len(shapes)) + 1):
            last = shapes[end - 1]
            if _breaks(last, words.texts[end - 2]):
                break
            named = named or _is_telling(last)
            if named and last.lower and last.word:
                yield start, end


def any_case_windows(words: Words, *, max_tokens: int = MAX_TOKENS) -> Iterator[Span]:
    """Windows that neither start nor end with punctuation or a function word, whatever their case.

    A function word in capitals may be a name ("ALL") or a part of one ("IT security", "type I"),
    and so may one with a hyphen behind it ("I-cell disease").
    """
    texts, shapes = words.texts, words.shapes
    for start, shape in enumerate(shapes):
        if not shape.word or (shape.stop and not shape.shouted and not _is_joined(words, start)):
            continue
        is_word = shape.stop and (words.loud[start] or not shape.shouted)
        if not is_word and sum(map(str.isalpha, texts[start])) >= _MIN_LETTERS:
            yield start, start + 1
        for end in range(start + 2, min(start + max_tokens, len(shapes)) + 1):
            last = shapes[end - 1]
            if _breaks(last, texts[end - 2]):
                break
            if last.word and (last.upper or not last.stop):
                yield start, end


def _is_joined(words: Words, at: int) -> bool:
    """Whether a hyphen follows without a blank."""
    return words.texts[at + 1 : at + 2] == ["-"] and not words.doc[at].whitespace_


def is_sharp(doc: Doc, at: int) -> bool:
    """Whether "C#" stands there, which tokenisers split; not "C #1", nor "C#Corner"."""
    letter, sharp = doc[at], doc[at + 1] if at + 1 < len(doc) else None
    return (
        sharp is not None
        and sharp.text == "#"
        and len(letter) == 1
        and letter.text.isupper()
        and not letter.whitespace_
        and (bool(sharp.whitespace_) or at + 2 == len(doc) or not shape_of(doc[at + 2].text).word)
    )


def _is_telling(shape: Shape) -> bool:
    """Whether the word makes a name of the words around it: "I", "The" and "May" do not."""
    return (
        shape.capital and shape.letter and not (shape.lower or shape.stop or shape.calendar)
    )  # "20th" is small


def _may_start(shapes: Sequence[Shape], weak: Sequence[bool], at: int) -> bool:
    shape = shapes[at]
    if shape.particle:
        return at + 1 < len(shapes) and shapes[at + 1].capital
    return shape.capital and shape.word and not (weak[at] and shape.stop)


def _may_be_a_name(text: str, shape: Shape) -> bool:
    """Whether the word alone is written as a name; "us" and "it" are words, "US" and "IT" names."""
    if not ((shape.spelt or shape.coded) and shape.capital) or shape.calendar:
        return False
    return not shape.stop or text in _STOP_NAMES


def _breaks(shape: Shape, before: str) -> bool:
    """Whether no name reaches across this token: commas ("Paris, Texas" is two), ends, brackets."""
    if shape.ends:  # but a full stop may belong to the token before: initials, "St ." in split text
        return shape.joins or len(before) > 2 or not before[:1].isupper()
    return shape.parts or shape.blank_line
