"""Two records of one entity as one, and entities as bytes to be set down in between."""

from __future__ import annotations

from dataclasses import replace

import orjson

from entlink.records import Entity


def merged(first: Entity, second: Entity, *, renamed: bool = False) -> Entity:
    """What two sources say of one entity: the first one's word counts, the second fills gaps.

    Names, types and further keys are joined; of two descriptions the first is kept, of two
    popularities the larger. ``renamed``: the second has the entity's own name.
    """
    name, other = (second.name, first.name) if renamed else (first.name, second.name)
    aliases = dict.fromkeys((*first.aliases, other, *second.aliases))
    aliases.pop(name, None)
    known = [p for p in (first.popularity, second.popularity) if p is not None]
    new = [i for i, kind in enumerate(second.types) if kind not in first.types]
    return replace(
        first,
        name=name,
        aliases=tuple(aliases),
        description=first.description or second.description,
        facts=first.facts or second.facts,
        types=(*first.types, *(second.types[i] for i in new)),
        type_names=tuple(dict.fromkeys((*first.type_names, *second.type_names))),
        popularity=max(known, default=None),
        extra={**second.extra, **first.extra},
    )


def dumps(entity: Entity) -> bytes:
    """An entity as JSON; ``loads`` gives it back."""
    return orjson.dumps(astuple_of(entity))


def astuple_of(entity: Entity) -> tuple[object, ...]:
    """The fields in the order of the record, without copying what they hold."""
    return (
        entity.id,
        entity.name,
        entity.aliases,
        entity.description,
        entity.facts,
        entity.types,
        entity.type_names,
        entity.popularity,
        entity.degree,
        dict(entity.extra),
    )


def loads(data: bytes) -> Entity:
    """The entity that ``dumps`` wrote."""
    id, name, aliases, description, facts, types, type_names, popularity, degree, extra = (
        orjson.loads(data)
    )
    return Entity(
        id=id,
        name=name,
        aliases=tuple(aliases),
        description=description,
        facts=facts,
        types=tuple(types),
        type_names=tuple(type_names),
        popularity=popularity,
        degree=degree,
        extra=extra,
    )
