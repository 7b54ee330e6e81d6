"""What importers yield: entities, and what else a file says about entities it may not hold itself.

An importer is a function ``read(path, ..., on_bad=None)`` that yields ``(where, record)`` pairs in
the order of the file, where ``where`` is "path:line" (or as near to it as the format lets one
come). Whatever it cannot use it tells to ``on_bad``; without ``on_bad`` it raises InputError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from entlink.errors import InputError
from entlink.records import Entity

OnBad = Callable[[str], None]  # told what is wrong with a line that is set aside


@dataclass(frozen=True, slots=True)
class Relation:
    """One fact between two entities, read as "head -name-> tail"."""

    head: str
    property: str
    name: str
    tail: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Uses:
    """How often a surface was seen to mean which entity."""

    surface: str
    counts: Mapping[str, int]  # id: uses; ids of entities that are not there count against others


@dataclass(frozen=True, slots=True)
class PartOf:
    """What one row says of an entity that may have several rows; they are merged."""

    entity: Entity
    preferred: bool = False  # its name is the entity's own name, the others are aliases


@dataclass(frozen=True, slots=True)
class OtherName:
    """One more name of an entity that stands elsewhere, perhaps later."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """An id that means another entity: a redirecting page, a merged or replaced id."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Parent:
    """A class and one above it: ``child`` is a kind of ``parent``."""

    child: str
    parent: str


@dataclass(frozen=True, slots=True)
class PropertyName:
    """The name of a property that relations use."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that the settings leave out. Its name still serves in the facts of others."""

    reason: str
    id: str = ""
    name: str = ""


Record = Entity | PartOf | Relation | Uses | OtherName | Redirect | Parent | PropertyName | Skipped
Located = tuple[str, Record]  # ("path:line", record)
Records = Iterator[Located]


def bad(message: str, on_bad: OnBad | None) -> None:
    """Tell of a line that cannot be used: to ``on_bad``, or by raising InputError."""
    if on_bad is None:
        raise InputError(message)
    on_bad(message)
