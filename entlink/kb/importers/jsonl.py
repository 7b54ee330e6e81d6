"""JSON lines, plain or packed: entities, relations and alias counts.

Entities come in our own shape or in that of another linker; their keys tell which (`SHAPES`).
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from entlink.errors import InputError
from entlink.kb.importers.files import read_lines
from entlink.kb.importers.records import OnBad, Records, Relation, bad
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity

# Never carried along: facts taken from benchmark lists, and text that is not ours to keep.
_DROPPED = frozenset(("gloss", "benchmark_types", "paragraph"))


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys by which one program writes entities; of several keys the first that is filled."""

    name: str
    id: str
    label: str
    descriptions: tuple[str, ...] = ("description",)
    types: tuple[str, ...] = ("types",)
    type_names: str = "type_names"
    aliases: tuple[str, ...] = ("aliases",)
    counts_views: bool = False  # its popularity is a number of uses, ours the log10 of it

    @property
    def used(self) -> frozenset[str]:
        """All keys that it reads; the others go to ``extra``."""
        one = (self.id, self.label, self.type_names, "popularity", "facts")
        return frozenset((*one, *self.descriptions, *self.types, *self.aliases))


OURS = Shape("entlink", "id", "name", descriptions=("description", "paragraph"))
SHAPES = (
    OURS,
    Shape("scispaCy", "concept_id", "canonical_name", ("definition",)),
    Shape(
        "GLinker and ReFinED",
        "entity_id",
        "label",
        types=("entity_types", "entity_type"),
        type_names="entity_type",
        counts_views=True,
    ),
    Shape("MedCAT", "cui", "preferred_name", types=("type_ids",), aliases=("names", "synonyms")),
    Shape("MedCAT", "cui", "name", types=("type_ids",), aliases=("names", "synonyms")),
)


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """Entities of a JSON-lines file with their places. Only an id and a name are required.

    `settings` change nothing here. In our shape `paragraph` serves where `description` is null;
    keys that are not used go to `extra`. A bad line raises InputError, or is told to `on_bad`.
    """
    for where, value in read_objects(path, on_bad=on_bad):
        try:
            yield where, entity_of(value)
        except ValueError as error:
            bad(f"{where}: {error}", on_bad)


def read_entities(path: Path, *, on_bad: OnBad | None = None) -> Iterator[Entity]:
    """The entities alone, without their places."""
    for _, entity in read(path, on_bad=on_bad):
        assert isinstance(entity, Entity)
        yield entity


def read_relations(path: Path, *, on_bad: OnBad | None = None) -> Iterator[Relation]:
    """Relations: `head`, `property` and `tail` are required, `name` falls back to `property`."""
    for where, value in read_objects(path, on_bad=on_bad):
        try:
            head, prop, tail = (_required(value, key) for key in ("head", "property", "tail"))
            name = _optional(value, "name") or prop
            yield Relation(head, prop, name, tail, _strings(value, "source"))
        except ValueError as error:
            bad(f"{where}: {error}", on_bad)


def read_priors(
    path: Path, *, on_bad: OnBad | None = None
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Surfaces and how often each meant which entity. Other keys (weights) are no counts."""
    for where, value in read_objects(path, on_bad=on_bad):
        try:
            surface, counts = _required(value, "surface"), value.get("counts", {})
            if not isinstance(counts, dict) or not all(
                type(n) is int and n >= 0 for n in counts.values()
            ):
                raise ValueError("'counts' is not an object of whole numbers; write {id: n}")
            yield surface, counts
        except ValueError as error:
            bad(f"{where}: {error}", on_bad)


def read_ids(path: Path) -> Iterator[str]:
    """Ids, one a line, plain or gzipped; blank lines are skipped."""
    for where, line in read_lines(path):
        try:
            id = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise InputError(f"{where}: not UTF-8; save the file as UTF-8") from None
        if id:
            yield id


def entity_of(value: Mapping[str, object]) -> Entity:
    """The entity that a JSON object describes; ValueError says what is wrong with it."""
    shape = next((s for s in SHAPES if s.id in value and s.label in value), OURS)
    texts = (_optional(value, key) for key in shape.descriptions)
    types = (_strings(value, key) for key in shape.types)
    names = (name for key in shape.aliases for name in _strings(value, key))
    unused = value.keys() - shape.used - _DROPPED
    return Entity(
        id=_required(value, shape.id),
        name=_required(value, shape.label),
        aliases=tuple(dict.fromkeys(names)),
        description=next(filter(None, texts), None),
        facts=_optional(value, "facts") or "",
        types=next(filter(None, types), ()),
        type_names=_strings(value, shape.type_names),
        popularity=_popularity(value.get("popularity"), shape),
        extra={key: value[key] for key in sorted(unused)},
    )


def _popularity(found: object, shape: Shape) -> float | None:
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"'popularity' is {found!r}; write a number or null")
    if shape.counts_views:
        return round(math.log10(1 + max(0, found)), 3)
    return float(found)


def _required(value: Mapping[str, object], key: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"{key!r} is {found!r}; give each line a non-empty string {key!r}")
    return found.strip()


def _optional(value: Mapping[str, object], key: str) -> str | None:
    found = value.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        raise ValueError(f"{key!r} is {found!r}; write a string or null")
    return found.strip()


def _strings(value: Mapping[str, object], key: str) -> tuple[str, ...]:
    found = value.get(key)
    if found is None:
        return ()
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(f"{key!r} is {found!r}; write a list of strings")
    return tuple(dict.fromkeys(item.strip() for item in found if item.strip()))


def read_objects(
    path: Path, *, on_bad: OnBad | None = None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Each line's JSON object with "path:line", to be named in errors; blank lines are skipped."""
    for where, line in read_lines(path):
        line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            bad(f"{where}: not a JSON object ({error}); write one object a line", on_bad)
            continue
        if isinstance(value, dict):
            yield where, value
        else:
            found = type(value).__name__
            bad(f"{where}: a JSON {found}, not an object; write one object a line", on_bad)
