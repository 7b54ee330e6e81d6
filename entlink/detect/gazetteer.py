"""Finds the knowledge base's own names in text: exact up to case, accents and punctuation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from entlink.detect.shapes import (
    Shape,
    has_company,
    headline_words,
    sentence_starts,
    shape_of,
)
from entlink.kb.aliases import normalise
from entlink.kb.demonyms import countries_of
from entlink.kb.store import AliasHit
from entlink.records import Entity

if TYPE_CHECKING:
    from spacy.tokens import Doc

Span = tuple[int, int]

MAX_TOKENS: Final = 8  # the longest name looked for
_STOP_NAMES: Final = frozenset(["IT", "US", "WHO"])
_CACHED = 50_000  # names whose verdict is remembered, some 10 MB
_MAX_BEARERS = 20  # entities of one name that are looked at for how it is written


class Names(Protocol):
    """What the gazetteer needs of a knowledge base; KnowledgeBase has it."""

    def by_aliases(self, surfaces: Sequence[str]) -> Mapping[str, Sequence[AliasHit]]: ...

    def by_rows(self, rows: Sequence[int]) -> Sequence[Entity]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What the gazetteer finds in one doc, as (first token, end token exclusive)."""

    windows: tuple[Span, ...]  # names, by position; they may overlap
    inside: frozenset[Span]  # parts of the spans asked about that are names in the KB


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the knowledge base says of a surface."""

    name: bool = False  # an entity bears it, written with a capital; or it is of a place
    word: bool = False  # it is an ordinary word as well


class Gazetteer:
    """Windows of up to 8 tokens whose text is a name in the knowledge base.

    A window counts when an entity bears that name *with a capital* (so "life" and "president",
    which the KB also holds, are not marked) and the text gives evidence that it is a name:
    it starts and ends with a capitalised word. One word alone needs more: it is no ordinary word
    (of the list given, or because the KB has an entity whose own name is that word written small),
    and no capitalised word stands beside it, with which it would rather make a longer name. Without
    a list of ordinary words, one at the start of a sentence or in a headline in capitals, where any
    word has a capital, counts only if the same document writes it with a capital elsewhere too.
    """

    def __init__(
        self, names: Names, *, max_tokens: int = MAX_TOKENS, ordinary: frozenset[str] = frozenset()
    ) -> None:
        self._names = names
        self._max_tokens = max_tokens
        self.ordinary = ordinary  # words usually written small, casefolded
        self._verdicts: dict[str, _Verdict] = {}
        self._version = 0  # of the names that they are about

    def find(
        self,
        docs: Sequence[Doc],
        within: Sequence[Sequence[Span]] | None = None,
        *,
        windows: bool = True,
    ) -> list[Found]:
        """The names in each doc, and those in any place within the given spans of each.

        One lookup in the knowledge base for all docs together. Without ``windows`` only the second.
        """
        eligible = [
            list(eligible_windows(doc, max_tokens=self._max_tokens, ordinary=self.ordinary))
            if windows
            else []
            for doc in docs
        ]
        parts = [
            [part for span in spans for part in _parts(doc, span)]
            for doc, spans in zip(docs, within or [()] * len(docs), strict=True)
        ]
        verdicts = self._look_up(
            {
                doc[start:end].text
                for doc, many, inside in zip(docs, eligible, parts, strict=True)
                for start, end in (*many, *inside)
            }
        )
        return [
            Found(
                windows=tuple(s for s in many if _counts(doc, s, verdicts)),
                inside=frozenset(s for s in inside if verdicts[doc[s[0] : s[1]].text].name),
            )
            for doc, many, inside in zip(docs, eligible, parts, strict=True)
        ]

    def _look_up(self, surfaces: set[str]) -> dict[str, _Verdict]:
        version = getattr(self._names, "version", 0)  # rises when the knowledge base is edited
        if version != self._version:
            self._verdicts, self._version = {}, version
        new = sorted(surfaces - self._verdicts.keys())
        known = {surface: self._verdicts[surface] for surface in surfaces.difference(new)}
        if new:
            places = {surface: countries_of(surface) for surface in new}
            asked = sorted({*new, *(place for many in places.values() for place in many)})
            hits = {s: h[:_MAX_BEARERS] for s, h in self._names.by_aliases(asked).items()}
            rows = sorted({hit.row for found in hits.values() for hit in found})
            entities = dict(zip(rows, self._names.by_rows(rows), strict=True))
            bearers = {s: [entities[hit.row] for hit in found] for s, found in hits.items()}
            for surface in new:
                named = any(_is_named(entity, surface) for entity in bearers[surface])
                known[surface] = _Verdict(
                    name=named
                    or any(bears_as_name(e, p) for p in places[surface] for e in bearers[p]),
                    word=any(is_word(entity, surface) for entity in bearers[surface]),
                )
            if len(self._verdicts) + len(new) > _CACHED:
                self._verdicts = {}
            self._verdicts.update((surface, known[surface]) for surface in new)
        return known


def _counts(doc: Doc, span: Span, verdicts: Mapping[str, _Verdict]) -> bool:
    text = doc[span[0] : span[1]].text
    verdict = verdicts[text]
    alone = span[1] - span[0] == 1 and not text.isupper()
    return verdict.name and not (alone and verdict.word)


def _parts(doc: Doc, span: Span) -> Iterator[Span]:
    """All windows within a span that do not start or end with punctuation."""
    words = [shape_of(doc[i].text).word for i in range(*span)]
    start = span[0]
    for a, opens in enumerate(words):
        for b in range(a + 1, min(len(words), a + MAX_TOKENS) + 1):
            if opens and (words[b - 1] or (b - a == 2 and _is_sharp(doc, start + a))):
                yield start + a, start + b


def bears_as_name(entity: Entity, surface: str) -> bool:
    """Whether one of the entity's names equals the surface, folded, and is written as a name."""
    key = normalise(surface)
    return any(
        shape_of(name).capital and normalise(name) == key for name in (entity.name, *entity.aliases)
    )


def _is_named(entity: Entity, surface: str) -> bool:
    """The same, but for an article that the entity can do without: "The United States"."""
    if not bears_as_name(entity, surface):
        return False
    first, _, rest = surface.partition(" ")
    return (
        first.casefold() != "the"
        or entity.name[:4].casefold() == "the "
        or not bears_as_name(entity, rest)
    )


def is_word(entity: Entity, surface: str) -> bool:
    """Whether the entity is what an ordinary word means: its own name is written small."""
    return not shape_of(entity.name).capital and normalise(entity.name) == normalise(surface)


def eligible_windows(
    doc: Doc, *, max_tokens: int = MAX_TOKENS, ordinary: frozenset[str] = frozenset()
) -> Iterator[Span]:
    """The windows of a doc that are written as names are, by position and length."""
    texts = [token.text for token in doc]
    shapes = [shape_of(text) for text in texts]
    loud = headline_words(shapes)
    weak = [a or b for a, b in zip(sentence_starts(shapes), loud, strict=True)]
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
            ) or (end == start + 2 and _is_sharp(doc, start)):
                yield start, end


def _is_sharp(doc: Doc, at: int) -> bool:
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
        return len(before) > 2 or not before[:1].isupper()
    return shape.parts or shape.blank_line
