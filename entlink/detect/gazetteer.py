"""Finds the knowledge base's own names in text: exact up to case, accents and punctuation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from entlink.detect.shapes import shape_of
from entlink.detect.windows import MAX_TOKENS, Rule, Span, Words, is_sharp, windows_of
from entlink.kb.aliases import normalise
from entlink.kb.demonyms import countries_of
from entlink.kb.store import AliasHit
from entlink.records import Entity

if TYPE_CHECKING:
    from spacy.tokens import Doc

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

    name: bool = False  # an entity bears it, written with a capital; or it is a people's
    people: bool = False  # an entity is the place of that people
    word: bool = False  # it is an ordinary word as well
    written: bool = False  # an entity bears it, written exactly so
    own: bool = False  # and as its own name
    borne: bool = False  # in a KB of names in any case: an entity bears it
    alone: bool = False  # and does so where it is a single word: in capitals if the KB has it so


_NOTHING = _Verdict()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of one doc."""

    windows: list[tuple[Rule, Span, str]]  # each with its text
    parts: list[tuple[Span, str]]  # of the spans given

    def surfaces(self) -> set[str]:
        return {text for _, _, text in self.windows} | {text for _, text in self.parts}


class Gazetteer:
    """Windows of up to 8 tokens whose text is a name in the knowledge base.

    A window counts when an entity bears that name *with a capital* (so "life" and "president",
    which the KB also holds, are not marked) and the text gives evidence that it is a name:
    it starts and ends with a capitalised word. One word alone needs more: it is no ordinary word
    (of the list given, or because the KB has an entity whose own name is that word written small),
    and no capitalised word stands beside it, with which it would rather make a longer name. Without
    a list of ordinary words, one at the start of a sentence or in a headline in capitals, where any
    word has a capital, counts only if the same document writes it with a capital elsewhere too.

    A window that ends with a word written small ("Quorvex aton") counts where an entity bears that
    name written exactly so; at the start of a sentence, or if the last word is an ordinary one, it
    has to be the entity's own name. A people's name is not drawn into it: "English law".

    Where the knowledge base says so (`KnowledgeBase.any_case`), its names count in any case too; of
    single words those with three letters, and those that it has in capitals only ("ALS") in
    capitals only. Two letters ("HD") count where both are capitals, here as there.
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
        spans = within or [()] * len(docs)
        asked = [
            self._asked(doc, some, windows=windows) for doc, some in zip(docs, spans, strict=True)
        ]
        verdicts = self._look_up(set[str]().union(*(one.surfaces() for one in asked)))
        return [
            Found(
                windows=tuple(sorted(set(_counting(one.windows, verdicts)))),
                inside=frozenset(s for s, text in one.parts if _is_known(s, verdicts[text])),
            )
            for one in asked
        ]

    @property
    def _any_case(self) -> bool:
        return bool(getattr(self._names, "any_case", False))

    def _asked(self, doc: Doc, spans: Sequence[Span], *, windows: bool) -> _Asked:
        whole = doc.text
        starts = [token.idx for token in doc]
        ends = [start + len(token) for start, token in zip(starts, doc, strict=True)]
        found = (
            windows_of(
                Words.of(doc),
                max_tokens=self._max_tokens,
                ordinary=self.ordinary,
                any_case=self._any_case,
            )
            if windows
            else ()
        )
        return _Asked(
            [(rule, (a, b), whole[starts[a] : ends[b - 1]]) for rule, (a, b) in found],
            [((a, b), whole[starts[a] : ends[b - 1]]) for s in spans for a, b in _parts(doc, s)],
        )

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
                own = bearers[surface]
                of_place = any(bears_as_name(e, p) for p in places[surface] for e in bearers[p])
                known[surface] = (
                    _verdict(surface, own, of_place=of_place, any_case=self._any_case)
                    if own or of_place
                    else _NOTHING
                )
            if len(self._verdicts) + len(new) > _CACHED:
                self._verdicts = {}
            self._verdicts.update((surface, known[surface]) for surface in new)
        return known


def _verdict(
    surface: str, bearers: Sequence[Entity], *, of_place: bool, any_case: bool
) -> _Verdict:
    plain, key = " ".join(surface.split()), normalise(surface)
    own = any(entity.name == plain for entity in bearers)
    names = [
        name
        for entity in (bearers if any_case else ())
        for name in (entity.name, *entity.aliases)
        if normalise(name) == key
    ]
    return _Verdict(
        name=of_place or any(_is_named(entity, surface) for entity in bearers),
        people=of_place,
        word=any(is_word(entity, surface) for entity in bearers),
        written=own or any(plain in entity.aliases for entity in bearers),
        own=own,
        borne=bool(names),
        alone=any(surface.isupper() or not name.isupper() for name in names),
    )


def _counting(
    asked: Sequence[tuple[Rule, Span, str]], verdicts: Mapping[str, _Verdict]
) -> Iterator[Span]:
    """The windows that count; one that begins with a people's name needs a capital in the end."""
    peoples = {
        span[0] for rule, span, text in asked if rule is Rule.CAPITAL and verdicts[text].people
    }
    for rule, span, text in asked:
        of_people = rule in (Rule.OWN, Rule.WRITTEN) and span[0] in peoples  # "English law"
        if not of_people and _counts(rule, span, verdicts[text], text):
            yield span


def _counts(rule: Rule, span: Span, verdict: _Verdict, text: str) -> bool:
    alone = span[1] - span[0] == 1
    if rule is Rule.CAPITAL:
        return verdict.name and not (alone and verdict.word and not text.isupper())
    if rule is Rule.ANY_CASE:
        return verdict.alone if alone else verdict.borne
    return verdict.own if rule is Rule.OWN else verdict.written


def _is_known(span: Span, verdict: _Verdict) -> bool:
    """Whether a part of a span that was asked about is a name."""
    return verdict.name or _counts(Rule.ANY_CASE, span, verdict, "")


def _parts(doc: Doc, span: Span) -> Iterator[Span]:
    """All windows within a span that do not start or end with punctuation."""
    words = [shape_of(doc[i].text).word for i in range(*span)]
    start = span[0]
    for a, opens in enumerate(words):
        for b in range(a + 1, min(len(words), a + MAX_TOKENS) + 1):
            if opens and (words[b - 1] or (b - a == 2 and is_sharp(doc, start + a))):
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
