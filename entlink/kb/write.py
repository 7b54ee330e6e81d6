"""A knowledge base file: its tables, its rows, and the digest over them."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import orjson

from entlink.kb.store import SCHEMA_VERSION
from entlink.records import Entity

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entities (
  row INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, aliases TEXT, description TEXT,
  facts TEXT NOT NULL, types TEXT, type_names TEXT, popularity REAL, degree INTEGER NOT NULL,
  extra TEXT);
CREATE TABLE aliases (
  alias TEXT NOT NULL, row INTEGER NOT NULL, count INTEGER NOT NULL, prior REAL NOT NULL,
  PRIMARY KEY (alias, row)) WITHOUT ROWID;
"""
_CONTENT = (
    "SELECT * FROM entities ORDER BY row",
    "SELECT * FROM aliases ORDER BY alias, row",
)


@dataclass(frozen=True, slots=True)
class Written:
    """What is in a knowledge base file."""

    digest: str  # sha256 over the content
    n_aliases: int  # pairs of a folded name and an entity
    any_case: bool  # whether its names are found in any case


AliasRow = tuple[str, int, int, float]  # folded name, row, uses, share of the name's uses
ParentRow = tuple[str, str]  # ids of a type and of one above it
_PARENTS = (
    "CREATE TABLE parents (parent TEXT, child TEXT, PRIMARY KEY (parent, child)) WITHOUT ROWID"
)


def write_kb(
    path: Path,
    entities: Iterable[Entity],
    aliases: Callable[[], Iterable[AliasRow]],
    parents: Callable[[], Iterable[ParentRow]] = tuple,
    *,
    any_case: bool | None = None,
    scratch: Path | None = None,
    **meta: str,
) -> Written:
    """Write a knowledge base file, whole or not at all.

    `aliases` is called when all entities are written; its rows come sorted. So is `parents`, the
    hierarchy of types, of which there is no table where there is none. With `any_case` the names
    are found in texts however they are written there; None: if at least half of the entities' own
    names have no capital. Until it is whole it is `scratch`, None for a name of this process's own.
    """
    with _in_place(path, scratch) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_SCHEMA)
        n_entities = n_small = n_capital = 0
        for entity in entities:
            _insert(connection, n_entities, entity)
            n_entities += 1
            n_small += entity.name.islower()
            n_capital += entity.name != entity.name.lower()
        if any_case is None:
            any_case = n_small >= max(1, n_capital)
        connection.execute("CREATE UNIQUE INDEX entities_id ON entities (id)")
        connection.executemany("INSERT INTO aliases VALUES (?,?,?,?)", aliases())
        hierarchy = ((parent, child) for child, parent in parents())
        if (first := next(hierarchy, None)) is not None:
            connection.execute(_PARENTS)
            rows_of_it = chain([first], hierarchy)
            connection.executemany("INSERT OR IGNORE INTO parents VALUES (?,?)", rows_of_it)
        n_aliases = int(connection.execute("SELECT count(*) FROM aliases").fetchone()[0])
        digest = content_digest(connection)
        rows = {
            "schema_version": SCHEMA_VERSION,
            "digest": digest,
            "n_entities": n_entities,
            "n_aliases": n_aliases,
            **({"any_case": 1} if any_case else {}),  # nothing where it is off: the usual file
            **meta,
        }
        connection.executemany("INSERT INTO meta VALUES (?,?)", sorted(rows.items()))
        connection.commit()
    return Written(digest, n_aliases, any_case)


@contextmanager
def _in_place(path: Path, scratch: Path | None) -> Iterator[sqlite3.Connection]:
    """A database under a name of its own, which takes the place of `path` when it is done."""
    scratch = scratch or path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(scratch)
        try:
            yield connection
        finally:
            connection.close()
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def content_digest(connection: sqlite3.Connection) -> str:
    """SHA-256 over all entities and aliases, whatever the version of SQLite that stored them."""
    digest = hashlib.sha256()
    for sql in _CONTENT:
        for row in connection.execute(sql):
            digest.update(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()


def _insert(connection: sqlite3.Connection, row: int, entity: Entity) -> None:
    connection.execute(
        "INSERT INTO entities VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            row,
            entity.id,
            entity.name,
            _dumps(entity.aliases),
            entity.description,
            entity.facts,
            _dumps(entity.types),
            _dumps(entity.type_names),
            entity.popularity,
            entity.degree,
            orjson.dumps(dict(entity.extra), option=orjson.OPT_SORT_KEYS).decode()
            if entity.extra
            else None,
        ),
    )


def _dumps(values: tuple[str, ...]) -> str | None:
    return orjson.dumps(values).decode() if values else None
