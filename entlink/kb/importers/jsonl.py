"""JSON lines, plain or gzipped: entities, relations and alias counts."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from entlink.errors import InputError
from entlink.records import Entity

OnBad = Callable[[str], None]  # told what is wrong with a line that is set aside

_USED = frozenset(
    ("id", "name", "aliases", "description", "types", "type_names", "popularity", "facts")
)
# Never carried along: facts taken from benchmark lists, and text that is not ours to keep.
_DROPPED = frozenset(("gloss", "benchmark_types", "paragraph"))


@dataclass(frozen=True, slots=True)
class Relation:
    """One fact between two entities, read as "head -name-> tail"."""

    head: str
    property: str
    name: str
    tail: str
    sources: tuple[str, ...] = ()


def read_entities(path: Path, *, on_bad: OnBad | None = None) -> Iterator[Entity]:
    """Entities of a JSON-lines file. Only `id` and `name` are required.

    `paragraph` serves where `description` is null; keys that are not used go to `extra`.
    A bad line raises InputError, or is reported to `on_bad` and left out.
    """
    for where, value in read_objects(path, on_bad=on_bad):
        try:
            yield _entity(value)
        except ValueError as error:
            _bad(f"{where}: {error}", on_bad)


def read_relations(path: Path, *, on_bad: OnBad | None = None) -> Iterator[Relation]:
    """Relations: `head`, `property` and `tail` are required, `name` falls back to `property`."""
    for where, value in read_objects(path, on_bad=on_bad):
        try:
            head, prop, tail = (_required(value, key) for key in ("head", "property", "tail"))
            name = _optional(value, "name") or prop
            yield Relation(head, prop, name, tail, _strings(value, "source"))
        except ValueError as error:
            _bad(f"{where}: {error}", on_bad)


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
            _bad(f"{where}: {error}", on_bad)


def read_ids(path: Path) -> frozenset[str]:
    """Ids, one a line, plain or gzipped; blank lines are skipped."""
    ids: set[str] = set()
    for where, line in _lines(path):
        try:
            ids.add(line.decode("utf-8").strip())
        except UnicodeDecodeError:
            raise InputError(f"{where}: not UTF-8; save the file as UTF-8") from None
    return frozenset(ids - {""})


def _entity(value: Mapping[str, object]) -> Entity:
    popularity = value.get("popularity")
    if popularity is not None and (
        isinstance(popularity, bool) or not isinstance(popularity, int | float)
    ):
        raise ValueError(f"'popularity' is {popularity!r}; write a number or null")
    return Entity(
        id=_required(value, "id"),
        name=_required(value, "name"),
        aliases=_strings(value, "aliases"),
        description=_optional(value, "description") or _optional(value, "paragraph") or None,
        facts=_optional(value, "facts") or "",
        types=_strings(value, "types"),
        type_names=_strings(value, "type_names"),
        popularity=None if popularity is None else float(popularity),
        extra={k: v for k, v in sorted(value.items()) if k not in _USED | _DROPPED},
    )


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
    for where, line in _lines(path):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            _bad(f"{where}: not a JSON object ({error}); write one object a line", on_bad)
            continue
        if isinstance(value, dict):
            yield where, value
        else:
            found = type(value).__name__
            _bad(f"{where}: a JSON {found}, not an object; write one object a line", on_bad)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line with "path:line"; the gzip signature decides, not the file's name."""
    try:
        with path.open("rb") as probe:
            gzipped = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if gzipped else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield f"{path}:{number}", line
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged gzip file ({error}); fetch it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None


def _bad(message: str, on_bad: OnBad | None) -> None:
    if on_bad is None:
        raise InputError(message)
    on_bad(message)
