"""Which entities go in: the well-known ones, and whoever shares a name with them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

from facts import Relations

from entlink.kb.aliases import normalise
from entlink.kb.properties import NOISE
from entlink.records import Entity

MIN_RELATIONS = 3  # enough to compose a description that tells it apart
MIN_POPULARITY = 2.6  # log10 in-links, about 400
MIN_POPULARITY_OF_CONCEPTS = 3.0  # of common nouns
_TITLES = re.compile(r"^(Category|Template|Wikipedia|Portal|Module|Help|Wikidata|Talk|User):|^List")
# Items of a wiki's upkeep and of bibliographies.
_NEVER = re.compile(r"wikimedia|wikiproject|disambiguation|thesis|scholarly article|^phrase$", re.I)
# Kinds whose items are records rather than things that texts name, but for the best known.
_SELDOM = re.compile(
    r"wikidata|metaclass|bilateral relation|embassy|^((inter|infra)?national|land|open|closed"
    r"|political|maritime|European Union)? ?(border|boundary)$|open data portal|time zone"
    r"|legislative term|given name|family name|surname|UCUM|calendar (day|month)|Unicode"
    r"|grammatical|disease outbreak|^grade of an order|^designation for an administrative"
    r"|^Government of|type of property|^property$|^year|^decade|natural number|phrase$"
)
_WELL_KNOWN = 5  # relations


def select(
    entities: Mapping[str, Entity], relations: Relations, popularity: Mapping[str, float]
) -> list[Entity]:
    """The entities to keep, in the order of `entities`, with their popularity set."""
    degree = _telling_degree(relations)
    kinds = _kinds(entities, relations)
    usable = {
        id: entity
        for id, entity in entities.items()
        if (kinds[id] or degree[id])
        and not _TITLES.match(entity.name)
        and not any(_NEVER.search(kind) for kind in kinds[id])
        and (degree[id] >= _WELL_KNOWN or not any(_SELDOM.search(kind) for kind in kinds[id]))
        and normalise(entity.name)
    }
    core = {
        id for id, entity in usable.items() if _is_known(entity, degree[id], kinds[id], popularity)
    }
    kept = core | _rivals(usable, core)
    return [
        replace(entity, popularity=popularity.get(id))
        for id, entity in usable.items()
        if id in kept
    ]


def _is_known(
    entity: Entity, degree: int, kinds: set[str], popularity: Mapping[str, float]
) -> bool:
    if degree >= MIN_RELATIONS:
        return True
    if not degree and kinds == {"human"}:
        return False  # "person" tells nobody apart
    named = entity.name != entity.name.lower()
    needed = MIN_POPULARITY if named else MIN_POPULARITY_OF_CONCEPTS
    return popularity.get(entity.id, 0.0) >= needed


def _telling_degree(relations: Relations) -> Counter[str]:
    return Counter(
        id for head, prop, _, tail in relations if prop not in NOISE for id in (head, tail)
    )


def _kinds(entities: Mapping[str, Entity], relations: Relations) -> dict[str, set[str]]:
    kinds = {id: set(entity.type_names) for id, entity in entities.items()}
    for head, prop, _, tail in relations:
        if prop == "P31":
            kinds[head].add(entities[tail].name)
    return kinds


def _rivals(usable: Mapping[str, Entity], core: set[str]) -> set[str]:
    """Entities outside the core that bear a name or alias of one inside it."""
    bearers: defaultdict[str, set[str]] = defaultdict(set)
    for id, entity in usable.items():
        for name in (entity.name, *entity.aliases):
            bearers[normalise(name)].add(id)
    return {id for ids in bearers.values() if ids & core for id in ids - core}
