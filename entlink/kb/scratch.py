"""The scratch file of a build: its tables, and what becomes of the records set down in it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from entlink.errors import InputError
from entlink.kb.importers.records import Located, OnBad

KEPT, NOT_WANTED, NAME_ONLY, OF_OTHER_TYPE = range(4)  # states of an entity

_SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, place TEXT NOT NULL,
  source INTEGER NOT NULL, state INTEGER NOT NULL, name_types INTEGER NOT NULL, record BLOB);
CREATE TABLE IF NOT EXISTS relations (head TEXT, property TEXT, name TEXT, tail TEXT);
CREATE TABLE IF NOT EXISTS parents (child TEXT, parent TEXT, place TEXT);
CREATE TABLE IF NOT EXISTS redirects (source TEXT PRIMARY KEY, target TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS other_names (id TEXT, name TEXT);
CREATE TABLE IF NOT EXISTS properties (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uses (alias TEXT, id TEXT, count INTEGER);
"""
_CACHE_KB = 64 << 10


@dataclass(frozen=True, slots=True)
class Source:
    """Records of one file, and what its format asks of the build."""

    records: Iterable[Located]
    name_types: bool = False  # its types are ids of entities, whose names are to be looked up
    links_are_popularity: bool = False  # uses of names are links between its entities


@dataclass(slots=True)
class Counts:
    """What became of the records; every entity that was read is in exactly one of the first."""

    n_records: int = 0
    n_kept: int = 0
    n_duplicates: int = 0
    n_merged: int = 0
    n_excluded: int = 0
    n_refused: int = 0
    n_relations: int = 0
    n_mended: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # by reason; not among n_records
    duplicates: list[str] = field(default_factory=list)  # the first few ids


class Told:
    """Remarks of one kind: all are counted, the first are passed on and kept for a later run."""

    def __init__(self, tell: OnBad, *, most: int = 10) -> None:
        self.n = 0
        self.first: list[str] = []
        self.muted = False  # while what an earlier run has read is read again
        self._tell = tell
        self._most = most

    def __call__(self, message: str) -> None:
        if self.muted:
            return
        self.n += 1
        if len(self.first) < self._most:
            self.first.append(message)
            self._tell(message)

    def resume(self, n: int, first: list[str]) -> None:
        """Begin with what an earlier run was told, and say it again."""
        self.n, self.first = n, first
        for message in first:
            self._tell(message)


def open_scratch(path: Path, key: str) -> sqlite3.Connection:
    """Open the file, empty unless a build with this key has left it; one build at a time."""
    try:
        connection = _open(path)
        if read_progress(connection, "key") not in (None, key):
            connection.close()  # left by a build of other sources
            remove_scratch(path)
            connection = _open(path)
        write_progress(connection, "key", key)
        connection.commit()
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{path}: cannot be written ({error}); is another build writing there?"
        ) from None
    except sqlite3.DatabaseError:  # torn by a crash of the machine: begin anew
        remove_scratch(path)
        return open_scratch(path, key)
    return connection


def remove_scratch(path: Path) -> None:
    """Delete the file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def read_progress(connection: sqlite3.Connection, key: str) -> str | None:
    """What was noted under this key, None if nothing was."""
    row = connection.execute("SELECT value FROM progress WHERE key = ?", [key]).fetchone()
    return str(row[0]) if row else None


def write_progress(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Note something; it counts from the next commit on."""
    connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", [key, value])


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=1)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    connection.executescript(_SCHEMA)
    return connection
