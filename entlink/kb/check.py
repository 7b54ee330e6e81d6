"""What an entity must not hold, and how it is mended or why it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from entlink.records import NIL, Entity

MAX_NAME = 500  # characters
MAX_DESCRIPTION = 10_000  # characters; models read far less
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # in names a line end is one of them


class Refused(ValueError):
    """The entity cannot be used; the text says why and what to do."""


def checked(entity: Entity) -> tuple[Entity, list[str]]:
    """The entity as it may go into a KB, and what was mended in it; raises Refused."""
    if _is_sound(entity):
        return entity, []
    mended: list[str] = []
    _refuse_bad_id(entity.id)
    texts = (entity.name, *entity.aliases, entity.description or "", entity.facts)
    if any(_has_surrogate(text) for text in (*texts, *entity.types, *entity.type_names)):
        raise Refused(f"{entity.id!r} holds half a surrogate pair; decode the file as UTF-8")
    name = _without(_BREAKS, entity.name).strip()
    if not name:
        raise Refused(f"{entity.id!r} has no name; give it one")
    if len(name) > MAX_NAME:
        raise Refused(
            f"the name of {entity.id!r} has {len(name):,} characters; at most {MAX_NAME} make sense"
        )
    aliases = [_without(_BREAKS, alias) for alias in entity.aliases]
    kept = tuple(dict.fromkeys(a for a in aliases if a and len(a) <= MAX_NAME))
    if too_long := sum(len(alias) > MAX_NAME for alias in aliases):
        mended.append(f"{too_long} aliases of over {MAX_NAME} characters left out")
    description = entity.description and _without(_CONTROL, entity.description)
    if description and len(description) > MAX_DESCRIPTION:
        mended.append(f"description of {len(description):,} characters cut to {MAX_DESCRIPTION:,}")
        cut = description.rfind(" ", MAX_DESCRIPTION // 2, MAX_DESCRIPTION)
        description = description[: cut if cut > 0 else MAX_DESCRIPTION]
    sound = replace(
        entity,
        name=name,
        aliases=kept,
        description=description or None,
        facts=_without(_CONTROL, entity.facts),
        types=_all_without(entity.types),
        type_names=_all_without(entity.type_names),
    )
    if _changed(entity, sound):
        mended.append("control characters removed")
    return sound, mended


def _is_sound(entity: Entity) -> bool:
    """Whether nothing needs a closer look; the case of nearly all entities, so it is quick."""
    texts = (entity.id, entity.name, *entity.aliases, *entity.types, *entity.type_names)
    description = entity.description or ""
    return (
        bool(entity.name.strip() and entity.id.strip())
        and entity.id != NIL
        and all(text.isprintable() for text in texts)
        and description.isprintable()
        and entity.facts.isprintable()
        and len(description) <= MAX_DESCRIPTION
        and max(map(len, texts)) <= MAX_NAME
    )


def _refuse_bad_id(id: str) -> None:
    if not id.strip():
        raise Refused("the id is empty; give it one")
    if id == NIL:
        raise Refused(f"entity id {NIL!r} stands for 'no entity'; rename it")
    if _BREAKS.search(id) or _has_surrogate(id):
        raise Refused(f"id {id!r} holds control characters; rename it")


def _changed(before: Entity, after: Entity) -> bool:
    cut = before.description and len(before.description) > MAX_DESCRIPTION
    return (
        before.name != after.name
        or any(_BREAKS.search(text) for text in (*before.aliases, *before.types))
        or (not cut and (before.description or None) != after.description)
        or bool(cut and _CONTROL.search(before.description or ""))
        or before.facts != after.facts
        or before.type_names != after.type_names
    )


def _all_without(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in (_without(_BREAKS, text) for text in texts) if text)


def _without(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(" ", text).strip() if pattern.search(text) else text


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text) if not text.isprintable() else False
