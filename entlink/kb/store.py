"""The knowledge base as one read-only SQLite file, shared between threads and processes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from entlink.errors import BundleError, InputError
from entlink.kb.aliases import normalise
from entlink.kb.rows import COLUMNS, batches, entity_of, marks
from entlink.records import Entity

FILE_NAME = "kb.sqlite"
SCHEMA_VERSION = 1
_MMAP_BYTES = 16 << 20  # of the file; what lies behind is read, so that little stays resident


@dataclass(frozen=True, slots=True)
class AliasHit:
    """An entity that bears a name."""

    row: int  # row of the entity in the knowledge base
    prior: float  # share of this surface's counted uses that mean this entity; 0 if none is known
    count: int = 0  # how many uses that share rests on: those that mean this entity


class KnowledgeBase:
    """Entities by id, row and name. Rows are 0..n-1, in the order in which they were built.

    Opened read-only and immutable: many processes may read one file. Each process and thread
    has its own connection, and a pickled knowledge base is reopened from its path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path  # the SQLite file
        self._connections: dict[tuple[int, int], sqlite3.Connection] = {}
        self._popularity: npt.NDArray[np.float32] | None = None
        self._degree: npt.NDArray[np.int32] | None = None
        self.info: dict[str, str | int] = self._read_info()

    @classmethod
    def open(cls, path: Path) -> KnowledgeBase:
        """Open a KB folder or its SQLite file; InputError if there is none, BundleError if bad."""
        path = Path(path)
        file = path / FILE_NAME if path.is_dir() else path
        if not file.is_file():
            raise InputError(
                f"{path}: no knowledge base here; make one with 'entlink kb build --out {path}'"
            )
        return cls(file.resolve())

    def _read_info(self) -> dict[str, str | int]:
        try:
            rows = self._query("SELECT key, value FROM meta ORDER BY key")
        except sqlite3.Error as error:
            raise BundleError(
                f"{self.path}: not a readable knowledge base ({error}); build it again"
            ) from None
        info: dict[str, str | int] = {
            str(key): value if isinstance(value, int) else str(value) for key, value in rows
        }
        version = info.get("schema_version")
        if not isinstance(version, int) or not isinstance(info.get("n_entities"), int):
            raise BundleError(f"{self.path}: its meta table is incomplete; build it again")
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"{self.path}: made by a newer entlink (KB schema {version}, this one reads "
                f"{SCHEMA_VERSION}); upgrade entlink"
            )
        return info

    # -- connections ---------------------------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        key = (os.getpid(), threading.get_ident())  # never use a connection made before a fork
        connection = self._connections.get(key)
        if connection is None:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro&immutable=1",
                uri=True,
                check_same_thread=False,  # only so that close() may close all of them
            )
            connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
            self._connections[key] = connection
        return connection

    def _query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        return self._connection().execute(sql, tuple(values)).fetchall()

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        try:
            return self._query(sql, values)
        except sqlite3.DatabaseError as error:
            raise BundleError(
                f"{self.path}: damaged knowledge base ({error}); build it again"
            ) from None

    def close(self) -> None:
        """Close this process's connections; a later call opens new ones."""
        for key in [key for key in self._connections if key[0] == os.getpid()]:
            self._connections.pop(key).close()

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[KnowledgeBase], tuple[Path]]:
        return (KnowledgeBase, (self.path,))

    # -- entities ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self.info["n_entities"])

    @property
    def base(self) -> KnowledgeBase:
        """The knowledge base as it was built, without edits."""
        return self

    @property
    def version(self) -> int:
        """Rises with every edit; what was built is version 0."""
        return 0

    def add(self, *entities: Entity) -> None:
        """Add entities; only a knowledge base that a linker has opened can."""
        raise self._read_only()

    def update(self, *entities: Entity) -> None:
        """Put entities in the place of those with their ids; see `add`."""
        raise self._read_only()

    def remove(self, *ids: str) -> None:
        """Remove entities; see `add`."""
        raise self._read_only()

    def _read_only(self) -> InputError:
        return InputError(
            f"{self.path}: opened to be read; edit it through a linker (linker.kb) or with "
            "'entlink kb add --bundle DIR'"
        )

    @property
    def any_case(self) -> bool:
        """Whether its names are to be found in texts however they are written there."""
        return bool(self.info.get("any_case", 0))

    @property
    def digest(self) -> str:
        """SHA-256 over the content, stored when it was built."""
        return str(self.info["digest"])

    def by_id(self, id: str) -> Entity | None:
        """The entity with this id, or None."""
        rows = self._read(f"SELECT {COLUMNS} FROM entities WHERE id = ?", [id])
        return entity_of(rows[0]) if rows else None

    def by_rows(self, rows: Sequence[int]) -> list[Entity]:
        """The entities of these rows, in the order of `rows`; InputError for a row not there."""
        found: dict[int, Entity] = {}
        for part in batches(sorted({int(row) for row in rows})):
            sql = f"SELECT {COLUMNS} FROM entities WHERE row IN ({marks(part)})"
            found.update((int(str(row[0])), entity_of(row)) for row in self._read(sql, part))
        try:
            return [found[int(row)] for row in rows]
        except KeyError as error:
            raise InputError(
                f"{self.path}: no row {error.args[0]}; rows are 0 to {len(self) - 1}"
            ) from None

    def rows_of(self, ids: Iterable[str]) -> dict[str, int]:
        """The rows of those of `ids` that are in the knowledge base."""
        found: dict[str, int] = {}
        for part in batches(list(dict.fromkeys(ids))):
            sql = f"SELECT id, row FROM entities WHERE id IN ({marks(part)})"
            found.update((str(id), int(str(row))) for id, row in self._read(sql, part))
        return found

    def rows_of_types(self, types: Iterable[str]) -> list[int]:
        """The rows of entities that have one of these types or one below, ascending.

        A type is named by its id or its name.
        """
        wanted = orjson.dumps(sorted(self.types_below(types))).decode()
        sql = (
            "SELECT row FROM entities AS e WHERE EXISTS (SELECT 1 FROM json_each(e.types) AS t "
            "JOIN json_each(?) AS w ON w.value = t.value) OR EXISTS (SELECT 1 FROM "
            "json_each(e.type_names) AS t JOIN json_each(?) AS w ON w.value = t.value) ORDER BY row"
        )
        return [int(str(row)) for (row,) in self._read(sql, [wanted, wanted])]

    def types_below(self, types: Iterable[str]) -> set[str]:
        """These types, and the ids of all below them, if the hierarchy of types is known."""
        found = set(types)
        if not self._read("SELECT 1 FROM sqlite_master WHERE name = 'parents'"):
            return found
        for part in batches(sorted(found)):
            sql = f"SELECT id FROM entities WHERE name IN ({marks(part)})"
            found.update(str(id) for (id,) in self._read(sql, part))
        waiting = sorted(found)
        while waiting:
            sql = "SELECT child FROM parents WHERE parent = ?"
            below = {str(child) for (child,) in self._read(sql, [waiting.pop()])} - found
            found |= below
            waiting += sorted(below)
        return found

    def parent_rows(self) -> list[tuple[str, str]]:
        """The hierarchy of types: (child, parent), sorted; empty if it is not known."""
        if not self._read("SELECT 1 FROM sqlite_master WHERE name = 'parents'"):
            return []
        rows = self._read("SELECT child, parent FROM parents ORDER BY child, parent")
        return [(str(child), str(parent)) for child, parent in rows]

    def iterate(self, *, batch_size: int = 1000) -> Iterator[list[Entity]]:
        """All entities in row order, `batch_size` at a time."""
        for start in range(0, len(self), batch_size):
            yield self.between(start, start + batch_size)

    def between(self, first: int, after: int) -> list[Entity]:
        """The entities from row `first` to before row `after`, as they were built."""
        sql = f"SELECT {COLUMNS} FROM entities WHERE row >= ? AND row < ? ORDER BY row"
        return [entity_of(row) for row in self._read(sql, [first, after])]

    def take_columns(
        self, popularity: npt.NDArray[np.float32], degree: npt.NDArray[np.int32]
    ) -> None:
        """Use arrays that were kept for `popularity` and `degree`, to spare reading all rows."""
        if popularity.shape == degree.shape == (len(self),):
            self._popularity, self._degree = popularity, degree

    @property
    def popularity(self) -> npt.NDArray[np.float32]:
        """Log10 popularity by row, shape (n,); NaN where it is not known."""
        if self._popularity is None:
            rows = self._read("SELECT popularity FROM entities ORDER BY row")
            self._popularity = np.array(
                [np.nan if value is None else value for (value,) in rows], dtype=np.float32
            )
        return self._popularity

    @property
    def degree(self) -> npt.NDArray[np.int32]:
        """Number of relations by row, shape (n,)."""
        if self._degree is None:
            rows = self._read("SELECT degree FROM entities ORDER BY row")
            self._degree = np.array([value for (value,) in rows], dtype=np.int32)
        return self._degree

    # -- names ---------------------------------------------------------------------------------

    def by_aliases(self, surfaces: Sequence[str]) -> dict[str, list[AliasHit]]:
        """The entities that bear each surface, by falling prior, then popularity, then id.

        Every given surface is a key; surfaces are compared as `normalise` folds them.
        """
        keys = {surface: normalise(surface) for surface in surfaces}
        hits: dict[str, list[AliasHit]] = {}
        for part in batches(sorted(set(keys.values()))):
            sql = (
                "SELECT a.alias, a.row, a.prior, a.count FROM aliases AS a "
                "JOIN entities AS e ON e.row = a.row "
                f"WHERE a.alias IN ({marks(part)}) "
                "ORDER BY a.alias, a.prior DESC, e.popularity DESC NULLS LAST, e.id"
            )
            for alias, row, prior, count in self._read(sql, part):
                hit = AliasHit(int(str(row)), float(str(prior)), int(str(count)))
                hits.setdefault(str(alias), []).append(hit)
        return {surface: list(hits.get(key, ())) for surface, key in keys.items()}

    def alias_rows(self) -> Iterator[tuple[str, int, int, float]]:
        """The whole table of names: (folded name, row, uses, share of its uses), sorted."""
        sql = "SELECT alias, row, count, prior FROM aliases ORDER BY alias, row"
        yield from self._connection().execute(sql)

    def search(self, text: str, *, limit: int = 20) -> list[Entity]:
        """Entities whose name or alias is `text`, then those that have one starting with it."""
        key = normalise(text)
        if not key:
            return []
        exact = [hit.row for hit in self.by_aliases([text])[text]][:limit]
        sql = (
            "SELECT a.row FROM aliases AS a JOIN entities AS e ON e.row = a.row "
            "WHERE a.alias >= ? AND a.alias < ? GROUP BY a.row "
            "ORDER BY max(e.popularity) DESC NULLS LAST, max(e.degree) DESC, e.id LIMIT ?"
        )
        prefixed = self._read(sql, [key, key + "\U0010ffff", limit])
        rows = dict.fromkeys([*exact, *(int(str(row)) for (row,) in prefixed)])
        return self.by_rows(list(rows)[:limit])

    # -- what it looks like as a whole ---------------------------------------------------------

    def shared_names(self, *, limit: int) -> tuple[int, int, tuple[tuple[str, int], ...]]:
        """How many names there are, how many have several bearers, and which have the most."""
        sql = "SELECT alias, count(*) AS n FROM aliases GROUP BY alias"
        counts = f"SELECT count(*), coalesce(sum(n > 1), 0) FROM ({sql})"
        ((n_names, n_shared),) = self._read(counts)
        most = self._read(f"{sql} HAVING n > 1 ORDER BY n DESC, alias LIMIT ?", [limit])
        return int(str(n_names)), int(str(n_shared)), tuple((str(a), int(str(n))) for a, n in most)

    def alike(self, *, limit: int) -> tuple[int, tuple[str, ...]]:
        """How many entities have name, description and facts of another; some of their names."""
        sql = (
            "SELECT name, count(*) AS n FROM entities "
            "GROUP BY name, coalesce(description, ''), facts HAVING n > 1"
        )
        ((total,),) = self._read(f"SELECT coalesce(sum(n), 0) FROM ({sql})")
        most = f"SELECT name FROM ({sql}) GROUP BY name ORDER BY max(n) DESC, name LIMIT ?"
        names = self._read(most, [limit])
        return int(str(total)), tuple(str(name) for (name,) in names)

    def n_undescribed(self) -> int:
        """How many entities have neither a description nor facts."""
        sql = "SELECT count(*) FROM entities WHERE coalesce(description, '') = '' AND facts = ''"
        return int(str(self._read(sql)[0][0]))
