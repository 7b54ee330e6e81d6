"""Edits of a knowledge base, as a log in a SQLite file beside the bundle that they are made to.

One row is one edit: the entity together with its vectors, so that names and index cannot disagree,
whenever a process is killed. Rows are only ever added; `entlink kb compact` begins a new log.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from entlink.errors import BundleError
from entlink.kb.merge import dumps, loads
from entlink.records import Entity

FILE_NAME = "edits.sqlite"
_FORMAT = 1
_WAIT_S = 20.0  # for another process that is writing
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS edits (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, row INTEGER, replaces INTEGER, record BLOB, vectors BLOB);
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: a new entity (`replaces` is None), a new version of one, or that one is gone."""

    row: int | None  # of the entity as it is now; None: removed
    replaces: int | None  # the row that does not count any more; None: nothing was there
    entity: Entity | None = None  # as it is now
    vectors: npt.NDArray[np.float32] | None = None  # (n_surfaces, d), one for each of its names


class Overlay:
    """The log of edits in a folder; the folder appears with the first edit."""

    def __init__(self, folder: Path, base: str) -> None:
        self.path = folder / FILE_NAME
        self.base = base  # digest of the knowledge base that is edited
        self._connections: dict[tuple[int, int], sqlite3.Connection] = {}  # that write
        self._readers: dict[tuple[int, int], sqlite3.Connection] = {}

    def exists(self) -> bool:
        """Whether anybody has edited yet."""
        return self.path.exists()

    def meta(self) -> dict[str, str]:
        """What the log says of itself: `base`, `id`, `format`; empty while there is no log."""
        if not self.exists():
            return {}
        rows = self._read("SELECT key, value FROM meta")
        found = {str(key): str(value) for key, value in rows}
        if found and found.get("format") != str(_FORMAT):
            raise BundleError(
                f"{self.path}: edits in format {found.get('format')!r}, this entlink reads "
                f"{_FORMAT}; upgrade entlink"
            )
        return found

    def last(self) -> int:
        """The number of the last edit, 0 before the first; takes microseconds."""
        if not self.exists():
            return 0
        rows = self._read("SELECT coalesce(max(seq), 0) FROM edits")
        return int(str(rows[0][0])) if rows else 0

    def after(self, seq: int) -> list[tuple[int, Edit]]:
        """The edits behind number `seq`, each with its own number, in order."""
        if not self.exists():
            return []
        sql = "SELECT seq, row, replaces, record, vectors FROM edits WHERE seq > ? ORDER BY seq"
        return [_edit(found) for found in self._read(sql, [seq])]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of this process alone; it is on disk when the block is left."""
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            raise self._unwritable(error) from None
        try:
            yield connection
            connection.commit()
        except BaseException as error:
            connection.rollback()
            if isinstance(error, sqlite3.Error):  # the disk is full, or it may only be read
                raise self._unwritable(error) from None
            raise

    def _unwritable(self, error: Exception) -> BundleError:
        return BundleError(
            f"{self.path}: cannot be written ({error}); is another process writing, is it "
            "read-only to you, or is the disk full?"
        )

    def append(self, connection: sqlite3.Connection, edits: Sequence[Edit]) -> None:
        """Write edits within a transaction."""
        connection.executemany(
            "INSERT INTO edits (row, replaces, record, vectors) VALUES (?, ?, ?, ?)",
            (
                (
                    edit.row,
                    edit.replaces,
                    None if edit.entity is None else dumps(edit.entity),
                    None if edit.vectors is None else _bytes(edit.vectors),
                )
                for edit in edits
            ),
        )

    def begin_anew(self, connection: sqlite3.Connection, base: str) -> None:
        """Forget all edits, which are part of the knowledge base `base` by now."""
        connection.execute("DELETE FROM edits")
        _describe(connection, base)

    def close(self) -> None:
        """Close this process's connections; a later call opens new ones."""
        for connections in (self._readers, self._connections):
            for key in [key for key in connections if key[0] == os.getpid()]:
                connections.pop(key).close()

    def _connection(self) -> sqlite3.Connection:
        key = (os.getpid(), threading.get_ident())  # never use a connection made before a fork
        connection = self._connections.get(key)
        if connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if not _is_made(connection):
                connection.execute("BEGIN IMMEDIATE")
                if not _is_made(connection):
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        connection.execute(statement)
                    _describe(connection, self.base)
                connection.execute("COMMIT")
            self._connections[key] = connection
        return connection

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Rows of the log, which is not written to; none of a log that is just being made."""
        try:
            try:
                return self._reader().execute(sql, tuple(values)).fetchall()
            except sqlite3.OperationalError:
                if not self._is_still():
                    raise
                with closing(self._opened("mode=ro&immutable=1")) as connection:
                    return connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise BundleError(
                f"{self.path}: cannot be read ({error}); you need the right to read it and the "
                "files -wal and -shm beside it"
            ) from None
        except sqlite3.Error as error:
            raise BundleError(
                f"{self.path}: cannot be read ({error}); restore it from a copy, or move its folder"
                " away to go on without the edits"
            ) from None

    def _reader(self) -> sqlite3.Connection:
        """What this thread reads with: if it writes, the same, which sees what is not done yet."""
        key = (os.getpid(), threading.get_ident())
        if key in self._connections:
            return self._connections[key]
        if key not in self._readers:
            self._readers[key] = self._opened("mode=ro")
        return self._readers[key]

    def _opened(self, how: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )

    def _is_still(self) -> bool:
        """Whether all edits are in the one file, where no file of SQLite's can be put beside it."""
        with suppress(FileNotFoundError):
            if self.path.with_name(f"{FILE_NAME}-wal").stat().st_size:
                return False
        return not os.access(self.path.parent, os.W_OK)


def _is_made(connection: sqlite3.Connection) -> bool:
    sql = "SELECT count(*) FROM sqlite_master WHERE name IN ('meta', 'edits')"
    return bool(connection.execute(sql).fetchone()[0] == 2)


def _describe(connection: sqlite3.Connection, base: str) -> None:
    meta = {"format": str(_FORMAT), "base": base, "id": uuid.uuid4().hex}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", sorted(meta.items()))


def _edit(found: tuple[object, ...]) -> tuple[int, Edit]:
    seq, row, replaces, record, vectors = found
    entity = loads(record) if isinstance(record, bytes) else None
    return int(str(seq)), Edit(
        row=None if row is None else int(str(row)),
        replaces=None if replaces is None else int(str(replaces)),
        entity=entity,
        vectors=_vectors(vectors) if isinstance(vectors, bytes) else None,
    )


def _bytes(vectors: npt.NDArray[np.float32]) -> bytes:
    n = np.asarray([len(vectors)], dtype="<u4")
    return n.tobytes() + np.ascontiguousarray(vectors, dtype="<f4").tobytes()


def _vectors(data: bytes) -> npt.NDArray[np.float32]:
    n = int(np.frombuffer(data, dtype="<u4", count=1)[0])
    values = np.frombuffer(data, dtype="<f4", offset=4)
    return values.reshape(n, len(values) // max(1, n)).astype(np.float32)
