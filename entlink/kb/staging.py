"""Records on their way into a knowledge base, set down in a scratch SQLite file.

Sources are read once, record by record, and nothing but counters stays in memory. What a build has
set down survives it: the next one with the same sources goes on behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import orjson

from entlink.kb.aliases import normalise
from entlink.kb.check import Refused, checked
from entlink.kb.importers.records import (
    OnBad,
    OtherName,
    Parent,
    PartOf,
    PropertyName,
    Record,
    Redirect,
    Relation,
    Skipped,
    Uses,
    bad,
)
from entlink.kb.merge import dumps, loads, merged
from entlink.kb.scratch import (
    KEPT,
    NAME_ONLY,
    NOT_WANTED,
    OF_OTHER_TYPE,
    Counts,
    Source,
    Told,
    open_scratch,
    read_progress,
    remove_scratch,
    write_progress,
)
from entlink.records import Entity

_COMMIT_EVERY = 20_000  # records
_MOST_USES = 200_000  # pairs of a name and an id that are counted in memory


class Staging:
    """The scratch file of one build."""

    def __init__(
        self,
        path: Path,
        *,
        key: str = "",
        on_bad: OnBad | None = None,
        on_note: OnBad | None = None,
    ) -> None:
        self.path = path
        self.counts = Counts()
        self._limited = False  # whether only the ids of the table `wanted` are kept
        self.on_bad = on_bad
        self.on_note = on_note
        self._told = [t for t in (on_bad, on_note) if isinstance(t, Told)]
        self._uses: dict[tuple[str, str], int] = {}
        self._follow = False  # whether ids may be redirected to entities of an earlier source
        self.connection = open_scratch(path, key)

    def close(self, *, remove: bool) -> None:
        """Close the file, which stays for a later build unless it is removed."""
        self.connection.close()
        if remove:
            remove_scratch(self.path)

    def want(self, ids: Iterable[str]) -> int:
        """Keep these ids alone of what is taken; returns how many they are."""
        self.connection.executescript(
            "DROP TABLE IF EXISTS wanted; CREATE TABLE wanted (id TEXT PRIMARY KEY) WITHOUT ROWID"
        )
        self.connection.executemany(
            "INSERT OR IGNORE INTO wanted VALUES (?)", ((id,) for id in ids)
        )
        self.connection.commit()
        self._limited = True
        return int(self.connection.execute("SELECT count(*) FROM wanted").fetchone()[0])

    def _is_wanted(self, id: str) -> bool:
        sql = "SELECT 1 FROM wanted WHERE id = ?"
        return not self._limited or self.connection.execute(sql, [id]).fetchone() is not None

    # -- progress ------------------------------------------------------------------------------

    def take(self, sources: Iterable[Source]) -> None:
        """Set down all records of all sources, behind those that an earlier run has set down."""
        state = orjson.loads(read_progress(self.connection, "state") or "{}")
        at_source, at_record = state.pop("source", 0), state.pop("record", 0)
        for told, before in zip(self._told, state.pop("told", ()), strict=False):
            told.resume(*before)
        if state:
            self.counts = Counts(**state | {"skipped": Counter(state["skipped"])})
        for number, source in enumerate(sources):
            if number < at_source:
                continue
            found = self.connection.execute("SELECT 1 FROM redirects LIMIT 1").fetchone()
            self._follow = found is not None and number > 0
            n_before = at_record if number == at_source else 0
            n_read = 0
            self._mute(n_before > 0)
            for n_read, (where, record) in enumerate(source.records, start=1):
                if n_read == n_before:
                    self._mute(False)
                elif n_read > n_before:
                    self._add(where, record, number, source)
                    if n_read % _COMMIT_EVERY == 0:
                        self._commit(number, n_read)
            self._mute(False)
            self._commit(number + 1, 0)
        self._rewind()

    def _mute(self, muted: bool) -> None:
        for told in self._told:
            told.muted = muted

    def _rewind(self) -> None:
        """Undo what an earlier run has added behind its sources, when it had begun to join."""
        found = read_progress(self.connection, "joined")
        tables = ("relations", "uses")
        if found is None:
            sql = "SELECT coalesce(max(rowid), 0) FROM "
            last = [self.connection.execute(sql + table).fetchone()[0] for table in tables]
            write_progress(self.connection, "joined", orjson.dumps(last).decode())
        else:
            for table, row in zip(tables, orjson.loads(found), strict=True):
                self.connection.execute(f"DELETE FROM {table} WHERE rowid > ?", [row])
            sql = f"UPDATE entities SET state = {KEPT} WHERE state = {OF_OTHER_TYPE}"
            self.connection.execute(sql)
        self.connection.commit()

    def _commit(self, source: int, record: int) -> None:
        self.flush()
        counts = {name: getattr(self.counts, name) for name in Counts.__slots__}
        told = [[told.n, told.first] for told in self._told]
        state = {**counts, "skipped": dict(self.counts.skipped), "source": source, "told": told}
        write_progress(self.connection, "state", orjson.dumps(state | {"record": record}).decode())
        self.connection.commit()

    # -- records -------------------------------------------------------------------------------

    def _add(self, where: str, record: Record, number: int, source: Source) -> None:
        execute = self.connection.execute
        if isinstance(record, Entity):
            self._add_entity(where, record, number, source, part=False)
        elif isinstance(record, PartOf):
            self._add_entity(
                where, record.entity, number, source, part=True, renamed=record.preferred
            )
        elif isinstance(record, Relation):
            self.add_relation(record)
        elif isinstance(record, Uses):
            self.add_uses(record)
        elif isinstance(record, OtherName):
            execute("INSERT INTO other_names VALUES (?, ?)", [record.id, record.name])
        elif isinstance(record, Redirect):
            if record.source != record.target:
                execute(
                    "INSERT OR IGNORE INTO redirects VALUES (?, ?)", [record.source, record.target]
                )
        elif isinstance(record, Parent):
            execute("INSERT INTO parents VALUES (?, ?, ?)", [record.child, record.parent, where])
        elif isinstance(record, PropertyName):
            execute("INSERT OR IGNORE INTO properties VALUES (?, ?)", [record.id, record.name])
        else:
            self._skip(where, record, number)

    def _skip(self, where: str, record: Skipped, number: int) -> None:
        self.counts.skipped[record.reason] += 1
        if record.id and record.name:
            self._insert(record.id, record.name, where, number, NAME_ONLY, False, None)

    def _add_entity(
        self,
        where: str,
        entity: Entity,
        number: int,
        source: Source,
        *,
        part: bool,
        renamed: bool = False,
    ) -> None:
        self.counts.n_records += 1
        try:
            entity, mended = checked(entity)
        except Refused as error:
            self.counts.n_refused += 1
            bad(f"{where}: {error}", self.on_bad)
            return
        if mended:
            self.counts.n_mended += 1
            if self.on_note:
                self.on_note(f"{where}: {entity.id!r}: {'; '.join(mended)}")
        id = self._target(entity.id)
        state = KEPT if self._is_wanted(id) else NOT_WANTED
        record = dumps(entity) if state == KEPT else None
        named = source.name_types and not entity.type_names
        if self._insert(id, entity.name, where, number, state, named, record):
            if state == KEPT:
                self.counts.n_kept += 1
            else:
                self.counts.n_excluded += 1
        else:
            self._meet(where, id, entity, number, part=part, renamed=renamed, record=record)

    def _insert(
        self,
        id: str,
        name: str,
        where: str,
        number: int,
        state: int,
        name_types: bool,
        record: bytes | None,
    ) -> bool:
        """Set an entity down; False if its id is there already."""
        sql = (
            "INSERT INTO entities (id, name, place, source, state, name_types, record) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
        )
        values = [id, name, where, number, state, name_types, record]
        return self.connection.execute(sql, values).rowcount == 1

    def _meet(
        self,
        where: str,
        id: str,
        entity: Entity,
        number: int,
        *,
        part: bool,
        renamed: bool,
        record: bytes | None,
    ) -> None:
        """An id that is there already: a second source's word, a further row, or a mistake."""
        sql = "SELECT n, place, source, state, record FROM entities WHERE id = ?"
        n, place, source, state, before = self.connection.execute(sql, [id]).fetchone()
        update = "UPDATE entities SET name = ?, state = ?, record = ? WHERE n = ?"
        if state == NAME_ONLY:
            new = KEPT if record else NOT_WANTED
            self.connection.execute(update, [entity.name, new, record, n])
            self.counts.n_kept += new == KEPT
            self.counts.n_excluded += new == NOT_WANTED
        elif source != number or part:
            if before is not None:
                joined = merged(loads(before), entity, renamed=renamed)
                self.connection.execute(update, [joined.name, state, dumps(joined), n])
            self.counts.n_merged += 1
        else:
            self.counts.n_duplicates += 1
            if len(self.counts.duplicates) < 20:
                self.counts.duplicates.append(id)
            if self.on_bad:
                self.on_bad(
                    f"{where}: id {id!r} has come before ({place}); keep one record an entity"
                )

    def _target(self, id: str) -> str:
        """The id under which an earlier source knows the entity: "enwiki:Paris" is Q90."""
        if not self._follow:
            return id
        sql = (
            "SELECT e.id FROM redirects AS r JOIN entities AS e ON e.id = r.target "
            "WHERE r.source = ?"
        )
        found = self.connection.execute(sql, [id]).fetchone()
        return str(found[0]) if found else id

    def add_relation(self, relation: Relation) -> None:
        """Set down a fact between two entities."""
        self.counts.n_relations += 1
        self.connection.execute(
            "INSERT INTO relations VALUES (?, ?, ?, ?)",
            [relation.head, relation.property, relation.name, relation.tail],
        )

    def add_uses(self, uses: Uses) -> None:
        """Count uses of a surface, as names are folded."""
        alias = normalise(uses.surface)
        if alias:
            for id, n in uses.counts.items():
                if n:
                    self._uses[alias, id] = self._uses.get((alias, id), 0) + n
            if len(self._uses) > _MOST_USES:
                self.flush()

    def flush(self) -> None:
        """Write down the uses that are counted in memory."""
        rows = ((alias, id, n) for (alias, id), n in self._uses.items())
        self.connection.executemany("INSERT INTO uses VALUES (?, ?, ?)", rows)
        self._uses = {}
