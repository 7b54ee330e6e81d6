"""The only place where mentions and entities become model input; training and serving both call it.

Everything here is text in, text out: no model, no KB. The fields are those of Gillick et al.
(2019): a mention is its span, left context, right context and sentence plus a label; an entity is
its name and a description plus its categories.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from entlink.records import Entity, Mention

CONTEXT_CHARS = 200  # on each side of the mention
HEAD_CHARS = 100  # of the document's start: what the text is about
SENTENCE_CHARS = 300  # a sentence reaches at most this far on each side
ELSEWHERE_CHARS = 36  # on each side of the same name at another place of the document
_SEARCHED = 2000  # characters in which that place is looked for
MAX_SURFACES = 12  # names by which one entity can be retrieved
VIEWS = ("name", "aliases", "description")  # of an entity; each text of each view has a vector

_EXPANDED = ("PER", "ORG")  # a place that ends alike is often another: England, New England
_Token = TypeVar("_Token")  # its id, or the id with its place
_SENTENCE_END = re.compile(r"[.!?。！？][\"'”’)\]]*\s|\n")


@dataclass(frozen=True, slots=True)
class MentionInput:
    """The five inputs of the mention tower."""

    span: str
    left: str
    right: str
    sentence: str
    label: str
    elsewhere: str = ""  # where else the document has the name; only the cross-encoder reads it


@dataclass(frozen=True, slots=True)
class EntityInput:
    """The inputs of the entity tower, for one of the entity's names."""

    name: str
    description: str
    types: tuple[str, ...]
    popularity: float | None
    degree: int


def mention_input(
    text: str, start: int, end: int, *, label: str = "", full_name: str = ""
) -> MentionInput:
    """The mention ``text[start:end]`` with its context, each side cut at a word's edge.

    Where the document has a longer form of the name (see ``with_full_names``), that is the span.
    """
    before = max(0, start - CONTEXT_CHARS)
    left, right = text[before:start], text[end : end + CONTEXT_CHARS]
    if before > 0:
        left = left[left.find(" ") + 1 :]
        head = text[: min(HEAD_CHARS, before)]
        left = head[: head.rfind(" ") + 1] + left
    if end + CONTEXT_CHARS < len(text):
        cut = right.rfind(" ")
        right = right if cut < 0 else right[:cut]
    sentence = sentence_around(text, start, end)
    first, last = elsewhere(text, start, end)
    return MentionInput(
        full_name or text[start:end], left, right, sentence, label, text[first:last].strip()
    )


def elsewhere(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch (start, end) around another place of the name that the contexts do not reach.

    There a person may have the first name, a team its sport. Looked for at the beginning of the
    document, then after the mention; (0, 0) if it is at neither.
    """
    name = text[start:end]
    after = end + CONTEXT_CHARS
    for begin, stop in ((0, min(_SEARCHED, start - CONTEXT_CHARS)), (after, after + _SEARCHED)):
        at = text.find(name, begin, max(0, stop))
        while at >= 0:
            if not _is_inside_word(text, at, at + len(name)):
                return _around(text, at, at + len(name))
            at = text.find(name, at + 1, stop)
    return 0, 0


def _is_inside_word(text: str, start: int, end: int) -> bool:
    return text[max(0, start - 1) : start].isalnum() or text[end : end + 1].isalnum()


def _around(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch with some words on each side, none of them cut."""
    left, right = max(0, start - ELSEWHERE_CHARS), end + ELSEWHERE_CHARS
    if left > 0:
        left += text[left:start].find(" ") + 1
    if right < len(text):
        right = end + text[end:right].rfind(" ") + 1
    return left, min(right, len(text))


def with_full_names(mentions: Sequence[Mention]) -> list[Mention]:
    """One document's mentions, each with the longer form of its name that the document has.

    A person or organisation that is named in full is often named by the last words alone elsewhere
    ("Michael Jordan" ... "Jordan"). The longer form is a mention with the same label that ends with
    the words of the shorter one: the last before it, else the first after it.
    """
    longer: dict[tuple[str, str], list[Mention]] = {}
    for mention in sorted(mentions, key=lambda m: m.start):
        words = mention.text.split()
        for i in range(1, len(words) if mention.label in _EXPANDED else 0):
            longer.setdefault((mention.label, " ".join(words[i:])), []).append(mention)
    result = []
    for mention in mentions:
        found = longer.get((mention.label, " ".join(mention.text.split())), [])
        if found:  # by a search, for a long text may hold a name a hundred thousand times
            n_before = bisect_left(found, mention.start, key=lambda m: m.start)
            mention = replace(mention, full_name=found[max(0, n_before - 1)].text)
        result.append(mention)
    return result


def sentence_around(text: str, start: int, end: int) -> str:
    """The sentence of the mention, by punctuation and line ends; at most 300 characters a side."""
    before, after = text[max(0, start - SENTENCE_CHARS) : start], text[end : end + SENTENCE_CHARS]
    begins = 0
    for match in _SENTENCE_END.finditer(before):
        begins = match.end()
    stop = _SENTENCE_END.search(after)
    return before[begins:] + text[start:end] + (after[: stop.start() + 1] if stop else after)


def entity_description(entity: Entity) -> str:
    """What the entity is: its description, its facts and the names of its types, as one text."""
    parts = (entity.description or "", entity.facts, ", ".join(entity.type_names))
    return "; ".join(part for part in parts if part)


def surfaces(entity: Entity) -> list[str]:
    """The names under which the entity is indexed: its own, then its aliases, without repeats."""
    return list(dict.fromkeys((entity.name, *entity.aliases)))[:MAX_SURFACES]


def view_names(entity: Entity, views: Sequence[str] = VIEWS[:2]) -> list[str]:
    """The name of each vector of the entity; "" for that of its description alone, the last.

    There is always one: an entity without a description or alias goes by its name.
    """
    name, *aliases = surfaces(entity)
    names = [name] if "name" in views else []
    names += aliases if "aliases" in views else []
    if "description" in views and entity_description(entity):
        names.append("")
    return names or [name]


def entity_inputs(entity: Entity, views: Sequence[str] = VIEWS[:2]) -> list[EntityInput]:
    """One input for each vector; an entity's score is their best (Luan et al. 2021, ME-BERT)."""
    text = entity_description(entity)
    return [
        EntityInput(name, text, entity.types, entity.popularity, entity.degree)
        for name in view_names(entity, views)
    ]


def entity_numbers(item: EntityInput) -> tuple[float, float, float]:
    """Popularity, whether it is known, and the number of relations, each of the order of one."""
    known = item.popularity is not None
    popularity = (item.popularity or 0.0) / 4.0
    return popularity, float(known), math.log1p(item.degree) / 4.0


def pair_context(text: str, start: int, end: int, *, full_name: str = "") -> tuple[str, str, str]:
    """Left context, span, right context for the cross-encoder, which cuts them to its budget."""
    return pair_context_of(mention_input(text, start, end, full_name=full_name))


def pair_context_of(item: MentionInput) -> tuple[str, str, str]:
    """The same of a mention that is an input already: first the name elsewhere, if it is anywhere.

    The document's beginning, which says what it is about, comes next (see ``mention_input``).
    """
    left = f"{item.elsewhere} | {item.left}" if item.elsewhere else item.left
    return left, item.span, item.right


def cut_mention(
    left: Sequence[_Token],
    span: Sequence[_Token],
    right: Sequence[_Token],
    *,
    n_span: int,
    n: int,
    n_head: int = 0,
) -> tuple[Sequence[_Token], Sequence[_Token], Sequence[_Token]]:
    """At most n tokens in all, n_span of them the span's.

    Contexts lose what is farthest from the span, but the left one keeps its first n_head tokens;
    what one side leaves the other gets.
    """
    span = span[:n_span]
    room = n - len(span)
    n_head = min(n_head, room // 2)
    n_right = min(len(right), max((room - n_head) // 2, room - len(left)))
    n_left = min(len(left), room - n_right)
    if n_left < len(left):
        left = [*left[:n_head], *left[len(left) - n_left + n_head :]]
    return left, span, right[:n_right]


def cut_entity(
    name: Sequence[_Token], description: Sequence[_Token], *, n_name: int, n: int
) -> tuple[Sequence[_Token], Sequence[_Token]]:
    """At most n tokens in all, n_name of them the name's; the description loses its end."""
    name = name[:n_name]
    return name, description[: n - len(name)]


def pair_entity(entity: Entity) -> tuple[str, str]:
    """Name and description for the cross-encoder; other names last, where the budget may cut."""
    text = entity_description(entity)
    others = [alias for alias in entity.aliases if alias != entity.name][:3]
    if others:
        text = f"{text}; also {', '.join(others)}"
    return entity.name, text
