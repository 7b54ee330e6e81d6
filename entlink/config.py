"""Settings from TOML files into frozen dataclasses; a key that the dataclass lacks is refused."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from entlink.errors import ConfigError

T = TypeVar("T")


def load_config(path: Path, kind: type[T], *, changes: Sequence[str] = ()) -> T:
    """Read ``path`` into the dataclass ``kind``; ConfigError says what does not fit.

    Relative paths in it are relative to the working directory. ``changes`` ("seed = 2",
    "inner.size=3") take the place of single settings; a value that is no TOML is a string.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from error
    for change in changes:
        _put(values, _parsed(change))
    return from_mapping(kind, values, where=str(path))


def _parsed(change: str) -> dict[str, Any]:
    key, equals, value = change.partition("=")
    for text in (change, f"{key} = {json.dumps(value)}"):
        try:
            if equals and "\n" not in text:
                return tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            pass
    raise ConfigError(f"{change!r} is no change of a setting; write KEY=VALUE")


def _put(values: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Put the change into a table and its inner tables."""
    for key, value in change.items():
        inner = values.setdefault(key, {}) if isinstance(value, Mapping) else None
        if isinstance(inner, dict):
            _put(inner, value)
        else:
            values[key] = value


def from_mapping(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """A dataclass from a table of values, nested ones included; ConfigError says what is wrong."""
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown setting {key!r}; known are {', '.join(known)}")
    for name, field in known.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"{where}: setting {name!r} is missing; add it")
    made = {k: _convert(hints[k], v, where=f"{where}: {k}") for k, v in values.items()}
    return kind(**made)


def _convert(hint: Any, value: Any, *, where: str) -> Any:
    if isinstance(hint, types.UnionType):  # only "X | None" is used; TOML has no null
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: a table is needed, found {value!r}")
        return from_mapping(typing.cast(type[Any], hint), value, where=where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: a list is needed, found {value!r}")
        return tuple(_convert(typing.get_args(hint)[0], item, where=where) for item in value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{where}: {hint.__name__} is needed, found {value!r}")
    return value
