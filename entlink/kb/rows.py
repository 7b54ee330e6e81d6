"""Rows of the knowledge base's table of entities, and the values of SQL statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import orjson

from entlink.records import Entity

_T = TypeVar("_T")

COLUMNS = "row, id, name, aliases, description, facts, types, type_names, popularity, degree, extra"
_MAX_VARIABLES = 900  # older SQLite builds allow 999 in one statement


def entity_of(row: tuple[object, ...]) -> Entity:
    """The entity of a row with COLUMNS."""
    _, id, name, aliases, description, facts, types, type_names, popularity, degree, extra = row
    return Entity(
        id=str(id),
        name=str(name),
        aliases=_strings(aliases),
        description=None if description is None else str(description),
        facts=str(facts),
        types=_strings(types),
        type_names=_strings(type_names),
        popularity=popularity if isinstance(popularity, float) else None,
        degree=int(str(degree)),
        extra=orjson.loads(str(extra)) if extra else {},
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(orjson.loads(str(value))) if value else ()


def batches(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The values, as many at a time as one statement may have."""
    for start in range(0, len(values), _MAX_VARIABLES):
        yield values[start : start + _MAX_VARIABLES]


def marks(values: Sequence[object]) -> str:
    """A question mark for each value."""
    return ",".join("?" * len(values))
