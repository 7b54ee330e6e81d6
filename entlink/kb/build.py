"""Build a knowledge base file from entities, their relations and counted uses of names."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
from tqdm import tqdm

from entlink.errors import InputError
from entlink.kb.aliases import normalise
from entlink.kb.describe import Fact, compose
from entlink.kb.importers.jsonl import OnBad, Relation, read_ids, read_priors, read_relations
from entlink.kb.store import FILE_NAME, SCHEMA_VERSION
from entlink.records import NIL, Entity

logger = logging.getLogger(__name__)

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
class BuildReport:
    """What went into a knowledge base, and what was left out."""

    path: Path
    digest: str  # sha256 over the content
    n_records: int = 0  # entities read
    n_entities: int = 0  # entities kept
    n_duplicates: int = 0  # records left out because their id had come before
    n_excluded: int = 0  # records left out because `only` does not list them
    n_missing: int = 0  # ids that `only` lists and no record has
    n_aliases: int = 0  # pairs of a folded name and an entity
    n_relations: int = 0  # relations read
    n_relations_kept: int = 0  # those with an end that is kept and both ends known
    n_relations_unknown: int = 0  # those with an end that no record has
    duplicates: tuple[str, ...] = ()  # the first ids that came twice


@dataclass(slots=True)
class _Gathered:
    """The records that are kept, and the names of all."""

    kept: dict[str, Entity] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    n_records: int = 0
    n_excluded: int = 0
    duplicates: list[str] = field(default_factory=list)


def build_kb(
    records: Iterable[Entity],
    out: Path,
    *,
    relations: Path | None = None,
    priors: Path | None = None,
    only: Path | None = None,
    progress: bool = False,
    on_bad: OnBad | None = None,
) -> BuildReport:
    """Write `out`/kb.sqlite; rows are in input order, the same input gives the same file.

    `relations` and `priors` are JSON-lines files, `only` lists the ids to keep (all plain or
    gzipped). Relations to entities that are not kept still give facts. An entity's own
    description is kept; where it has none, one is composed, and facts always are. Of records
    with the same id the first is kept. Bad lines of `relations` and `priors` raise InputError,
    or are told to `on_bad` and left out.
    """
    wanted = read_ids(only) if only else None
    gathered = _gather(tqdm(records, desc="entities", disable=not progress), wanted)
    if not gathered.kept:
        raise InputError(f"{only or out}: no entity is left to build from; check the input")
    facts, degrees, counts = _read_facts(relations, gathered, on_bad)
    entities = list(
        _described(tqdm(gathered.kept.values(), desc="facts", disable=not progress), facts, degrees)
    )
    aliases = _alias_rows(entities, priors, on_bad)
    out.mkdir(parents=True, exist_ok=True)
    path = out / FILE_NAME
    digest = _write(path, entities, aliases)
    duplicates = gathered.duplicates
    if duplicates:
        logger.warning("%d ids appear twice, first kept: %s", len(duplicates), duplicates[:5])
    return BuildReport(
        path=path,
        digest=digest,
        n_records=gathered.n_records,
        n_entities=len(entities),
        n_duplicates=len(duplicates),
        n_excluded=gathered.n_excluded,
        n_missing=len(wanted - gathered.kept.keys()) if wanted else 0,
        n_aliases=len(aliases),
        n_relations=counts[0],
        n_relations_kept=counts[1],
        n_relations_unknown=counts[2],
        duplicates=tuple(duplicates[:20]),
    )


def _gather(records: Iterable[Entity], wanted: frozenset[str] | None) -> _Gathered:
    gathered = _Gathered()
    for entity in records:
        gathered.n_records += 1
        if entity.id == NIL:
            raise InputError(f"entity id {NIL!r} stands for 'no entity'; rename it")
        if entity.id in gathered.names:
            gathered.duplicates.append(entity.id)
            continue
        gathered.names[entity.id] = entity.name
        if wanted is None or entity.id in wanted:
            gathered.kept[entity.id] = entity
        else:
            gathered.n_excluded += 1
    return gathered


_Facts = dict[str, list[Fact]]


def _read_facts(
    path: Path | None, gathered: _Gathered, on_bad: OnBad | None
) -> tuple[_Facts, dict[str, int], tuple[int, int, int]]:
    """Facts and degree of each kept entity, and relations (read, kept, with an unknown end)."""
    facts: _Facts = defaultdict(list)
    degrees: dict[str, int] = defaultdict(int)
    if path is None:
        return facts, degrees, (0, 0, 0)
    relations: list[Relation] = []
    n_read = n_unknown = n_kept = 0
    for relation in read_relations(path, on_bad=on_bad):
        n_read += 1
        if relation.head in gathered.names and relation.tail in gathered.names:
            relations.append(relation)
            for id in {relation.head, relation.tail}:
                degrees[id] += 1
        else:
            n_unknown += 1
    for relation in relations:
        ends = ((relation.head, relation.tail, True), (relation.tail, relation.head, False))
        kept = False
        for id, other, forward in ends:
            if id in gathered.kept and id != other:
                kept = True
                facts[id].append(
                    Fact(
                        property=relation.property,
                        name=relation.name,
                        other=gathered.names[other],
                        forward=forward,
                        weight=degrees[other],
                    )
                )
        n_kept += kept
    return facts, degrees, (n_read, n_kept, n_unknown)


def _described(
    entities: Iterable[Entity], facts: _Facts, degrees: dict[str, int]
) -> Iterator[Entity]:
    for entity in entities:
        description, composed = compose(entity, facts.get(entity.id, ()))
        yield replace(
            entity,
            description=entity.description or description,
            facts=entity.facts or composed,
            degree=degrees.get(entity.id, 0),
        )


def _alias_rows(
    entities: list[Entity], priors: Path | None, on_bad: OnBad | None
) -> list[tuple[str, int, int, float]]:
    """Rows of the alias table: (folded name, row, count, share of the name's counted uses)."""
    rows = {entity.id: row for row, entity in enumerate(entities)}
    counts: dict[tuple[str, int], int] = {}
    totals: dict[str, int] = defaultdict(int)
    for row, entity in enumerate(entities):
        for name in (entity.name, *entity.aliases):
            counts[normalise(name), row] = 0
    for surface, uses in read_priors(priors, on_bad=on_bad) if priors else ():
        alias = normalise(surface)
        for id, n in uses.items():
            totals[alias] += n  # uses that mean an entity left out count against those kept
            if id in rows and n:
                counts[alias, rows[id]] = counts.get((alias, rows[id]), 0) + n
    return sorted(
        (alias, row, n, round(n / totals[alias], 6) if n else 0.0)
        for (alias, row), n in counts.items()
        if alias
    )


def _write(path: Path, entities: list[Entity], aliases: list[tuple[str, int, int, float]]) -> str:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(scratch)
        try:
            digest = _fill(connection, entities, aliases)
        finally:
            connection.close()
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return digest


def _fill(
    connection: sqlite3.Connection,
    entities: list[Entity],
    aliases: list[tuple[str, int, int, float]],
) -> str:
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_SCHEMA)
    connection.executemany(
        "INSERT INTO entities VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (_row(row, entity) for row, entity in enumerate(entities)),
    )
    connection.execute("CREATE UNIQUE INDEX entities_id ON entities (id)")
    connection.executemany("INSERT INTO aliases VALUES (?,?,?,?)", aliases)
    digest = content_digest(connection)
    meta = {
        "schema_version": SCHEMA_VERSION,
        "digest": digest,
        "n_entities": len(entities),
        "n_aliases": len(aliases),
    }
    connection.executemany("INSERT INTO meta VALUES (?,?)", sorted(meta.items()))
    connection.commit()
    return digest


def content_digest(connection: sqlite3.Connection) -> str:
    """SHA-256 over all entities and aliases, whatever the version of SQLite that stored them."""
    digest = hashlib.sha256()
    for sql in _CONTENT:
        for row in connection.execute(sql):
            digest.update(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()


def _row(row: int, entity: Entity) -> tuple[object, ...]:
    return (
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
    )


def _dumps(values: tuple[str, ...]) -> str | None:
    return orjson.dumps(values).decode() if values else None
