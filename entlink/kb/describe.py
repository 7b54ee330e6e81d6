"""Facts to text: what an entity is, in one phrase, and what tells it apart from its namesakes.

Pure functions. Only relations, types and names go in, so the text is composed, never copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from entlink.kb.kinds import is_former
from entlink.kb.phrase import what_it_is
from entlink.kb.properties import FREEBASE, NOISE, ROLES, SHORT_NAMES, SYMMETRIC
from entlink.records import Entity

MAX_FACTS = 350  # characters of composed facts
_OTHER_RANK = len(ROLES)  # properties without a place in the table come last
_OTHER_MOST = 2
_NOISY = re.compile(r"rating|Wikimedia|WikiProject|category|template|identifier| ID$")
_NOT_SHOWN = ("Category:", "Wikipedia:", "Template:", "Portal:", "List of ", "Outline of ")


@dataclass(frozen=True, slots=True)
class Fact:
    """A relation seen from one of its ends."""

    property: str  # Wikidata id, "freebase:" path, or any name
    name: str  # the property's name
    other: str  # name of the entity at the other end
    forward: bool = True  # the described entity is the head
    weight: int = 0  # number of relations of the other end: well-known ones are told first


def compose(entity: Entity, relations: Iterable[Fact]) -> tuple[str | None, str]:
    """A description (None if nothing says what the entity is) and facts of `entity`.

    The result does not depend on the order of `relations`. The description is composed from
    types and relations even where the entity has one of its own; the caller chooses.
    """
    told = sorted(
        {fact for relation in relations for fact in _canonical(relation)},
        key=lambda f: (f.property, not f.forward, _order(f), f.other),
    )
    values: dict[tuple[str, bool], list[str]] = {}
    for fact in told:
        found = values.setdefault((fact.property, fact.forward), [])
        if fact.other not in found:
            found.append(fact.other)
    description, used = what_it_is(entity, values)
    return description or None, _facts(entity, told, values, used)


def _canonical(fact: Fact) -> Iterable[Fact]:
    """The fact with its Wikidata property and direction; nothing if it is noise."""
    prop, forward = fact.property, fact.forward
    if not fact.other.strip():
        return  # nothing to name
    if prop.startswith("freebase:"):
        mapped = FREEBASE.get(prop.removeprefix("freebase:"))
        if mapped is None:
            return
        prop, turned = mapped
        forward ^= turned
    if prop in NOISE or fact.other.startswith(_NOT_SHOWN) or _NOISY.search(fact.name):
        return
    if prop in SYMMETRIC:
        forward = True
    other = SHORT_NAMES.get(fact.other, fact.other).replace("States of America", "States")
    yield Fact(prop, fact.name if prop not in ROLES else "", other, forward, fact.weight)


def _order(fact: Fact) -> tuple[bool, int]:
    """States of today first, then by renown; of the places around a place the nearest first."""
    narrow = fact.property == "P131" and fact.forward
    return is_former(fact.other), fact.weight if narrow else -fact.weight


def _facts(
    entity: Entity,
    told: list[Fact],
    values: dict[tuple[str, bool], list[str]],
    used: frozenset[tuple[str, bool]],
) -> str:
    ranked: dict[tuple[int, bool, str], tuple[str, list[str]]] = {}
    for fact in told:
        key = (fact.property, fact.forward)
        if key in used:
            continue
        rank, head, tail, most = ROLES.get(
            fact.property, (_OTHER_RANK, fact.name, f"{fact.name} of", _OTHER_MOST)
        )
        label = head if fact.forward else tail
        if label:
            ranked[rank, not fact.forward, fact.property] = (label, values[key][:most])
    by_label: dict[str, list[str]] = {}
    for _, (label, names) in sorted(ranked.items()):
        shown = by_label.setdefault(label, [])
        shown.extend(name for name in names if name not in shown and name != entity.name)
    return _joined(by_label)


def _joined(by_label: dict[str, list[str]]) -> str:
    """ "label: a, b; label: c", as many whole facts as MAX_FACTS allows."""
    parts: list[str] = []
    length = 0
    for label, names in by_label.items():
        while names:
            part = f"{label}: {', '.join(names)}"
            if length + len(part) <= MAX_FACTS:
                parts.append(part)
                length += len(part) + 2
                break
            names = names[:-1]
    return "; ".join(parts)
