"""Build a knowledge base file from entities, their relations and counted uses of names.

Records are set down once in a scratch file (`staging.py`), joined there (`resolve.py`), and written
in one pass; memory does not grow with their number.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from tqdm import tqdm

from entlink.errors import InputError
from entlink.kb.describe import compose
from entlink.kb.hierarchy import keep_types, tell_cycles, types_above
from entlink.kb.importers.jsonl import read_ids, read_priors, read_relations
from entlink.kb.importers.records import OnBad, Uses
from entlink.kb.merge import loads
from entlink.kb.resolve import (
    Names,
    read_facts,
    read_links,
    read_other_names,
    redirect_mentions,
    relate,
    resolve_redirects,
    type_names,
)
from entlink.kb.scratch import KEPT, Source
from entlink.kb.staging import Staging
from entlink.kb.store import FILE_NAME
from entlink.kb.write import write_kb
from entlink.records import Entity

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What went into a knowledge base, and what was left out.

    Every record is in one of the counts: ``n_records = n_entities + n_duplicates + n_merged +
    n_excluded + n_other_types + n_refused``.
    """

    path: Path
    digest: str  # sha256 over the content
    n_records: int = 0  # entities read
    n_entities: int = 0  # entities kept
    n_duplicates: int = 0  # records left out because their id had come before in the same source
    n_merged: int = 0  # records joined with that of an earlier source, or an earlier row
    n_excluded: int = 0  # records left out because `only` does not list them
    n_other_types: int = 0  # records left out because they are of none of the wanted types
    n_refused: int = 0  # records without an id or a name that can be used
    n_mended: int = 0  # records kept with something cut or removed
    n_missing: int = 0  # ids that `only` lists and no record has
    n_aliases: int = 0  # pairs of a folded name and an entity
    n_relations: int = 0  # relations read
    n_relations_kept: int = 0  # those with an end that is kept and both ends known
    n_relations_unknown: int = 0  # those with an end that no record has
    n_redirects: int = 0  # other ids of entities
    n_redirects_lost: int = 0  # ids that lead to no entity
    n_cycles: int = 0  # links of the type hierarchy that lead back
    any_case: bool = False  # whether its names are found in texts in any case
    skipped: Mapping[str, int] = field(default_factory=dict)  # records the importer left out: why
    duplicates: tuple[str, ...] = ()  # the first ids that came twice


def build_kb(
    records: Iterable[Entity],
    out: Path,
    *,
    relations: Path | None = None,
    priors: Path | None = None,
    only: Path | None = None,
    any_case: bool | None = None,
    progress: bool = False,
    on_bad: OnBad | None = None,
) -> BuildReport:
    """Write `out`/kb.sqlite; rows are in input order, the same input gives the same file.

    `relations` and `priors` are JSON-lines files, `only` lists the ids to keep (all plain or
    packed). Relations to entities that are not kept still give facts. An entity's own
    description is kept; where it has none, one is composed, and facts always are. Of records
    with the same id the first is kept. Bad lines of `relations` and `priors` raise InputError,
    or are told to `on_bad` and left out. `any_case`: whether names are found in texts in any case;
    None: if at least half of the entities' own names are written without a capital.
    """
    numbered = ((f"record {n}", entity) for n, entity in enumerate(records, start=1))
    return build_from(
        [Source(numbered)],
        out,
        relations=relations,
        priors=priors,
        only=only,
        any_case=any_case,
        progress=progress,
        on_bad=on_bad,
    )


def build_from(
    sources: Sequence[Source],
    out: Path,
    *,
    relations: Path | None = None,
    priors: Path | None = None,
    only: Path | None = None,
    types: Sequence[str] = (),
    any_case: bool | None = None,
    resume_key: str = "",
    progress: bool = False,
    on_bad: OnBad | None = None,
    on_note: OnBad | None = None,
    mentions: Path | None = None,
) -> BuildReport:
    """Write `out`/kb.sqlite from several sources; entities of the same id are merged.

    As `build_kb`; and only entities of `types` (ids or names, and what is below them) are kept if
    any are named. `on_note` is told what was mended rather than set aside. With a `resume_key`
    (which says what the sources are) a build that was killed or interrupted is taken up where it
    stood, and what a `Told` that is `on_bad` or `on_note` had been told by then is told again.
    Links in `mentions`, texts that an importer has written, are made to name the entities that
    they reach.
    """
    out.mkdir(parents=True, exist_ok=True)
    name = f".{FILE_NAME}.staging" if resume_key else f".{FILE_NAME}.{os.getpid()}.staging"
    staging = Staging(out / name, key=resume_key, on_bad=on_bad, on_note=on_note)
    keep = False
    scratch = out / f".{FILE_NAME}.new" if resume_key else None  # one, that kills leave no others
    try:
        n_wanted = staging.want(read_ids(only)) if only else 0
        staging.take(_watched(source, progress) for source in sources)
        report = _finish(
            staging, sources, out, relations, priors, types, any_case, progress, mentions, scratch
        )
    except KeyboardInterrupt:
        keep = bool(resume_key)
        raise
    finally:
        staging.close(remove=not keep)
    if report.n_duplicates and on_bad is None:  # else each has been told
        first = list(report.duplicates[:5])
        logger.warning("%d ids appear twice, first kept: %s", report.n_duplicates, first)
    missing = n_wanted - report.n_entities - report.n_other_types
    return replace(report, n_missing=missing if n_wanted else 0)


def _watched(source: Source, progress: bool) -> Source:
    records = tqdm(source.records, desc="records", disable=not progress)
    return replace(source, records=records)


def _finish(
    staging: Staging,
    sources: Sequence[Source],
    out: Path,
    relations: Path | None,
    priors: Path | None,
    types: Sequence[str],
    any_case: bool | None,
    progress: bool,
    mentions: Path | None,
    scratch: Path | None,
) -> BuildReport:
    """Join what has been set down, and write it."""
    connection, on_bad = staging.connection, staging.on_bad
    for relation in read_relations(relations, on_bad=on_bad) if relations else ():
        staging.add_relation(relation)
    for surface, counts in read_priors(priors, on_bad=on_bad) if priors else ():
        staging.add_uses(Uses(surface, counts))
    staging.flush()
    n_redirects, n_lost = resolve_redirects(connection)
    n_cycles = tell_cycles(connection, staging.on_note)
    n_other_types = keep_types(connection, types) if types else 0
    n_kept, n_unknown = relate(connection)
    found = staging.counts
    n_entities = found.n_kept - n_other_types
    if not n_entities:
        raise InputError(f"{out}: no entity is left to build from; check the input")
    linked = any(source.links_are_popularity for source in sources)
    entities = tqdm(
        _entities(connection, linked), desc="entities", total=n_entities, disable=not progress
    )
    names = Names(connection)
    written = write_kb(
        out / FILE_NAME,
        _noted(entities, names),
        names.rows,
        lambda: types_above(connection),
        any_case=any_case,
        scratch=scratch,
    )
    if mentions:
        redirect_mentions(connection, mentions)
    return BuildReport(
        path=out / FILE_NAME,
        digest=written.digest,
        n_records=found.n_records,
        n_entities=n_entities,
        n_duplicates=found.n_duplicates,
        n_merged=found.n_merged,
        n_excluded=found.n_excluded,
        n_other_types=n_other_types,
        n_refused=found.n_refused,
        n_mended=found.n_mended,
        n_aliases=written.n_aliases,
        n_relations=found.n_relations,
        n_relations_kept=n_kept,
        n_relations_unknown=n_unknown,
        n_redirects=n_redirects,
        n_redirects_lost=n_lost,
        n_cycles=n_cycles,
        any_case=written.any_case,
        skipped=dict(found.skipped),
        duplicates=tuple(found.duplicates),
    )


def _noted(entities: Iterable[tuple[int, Entity]], names: Names) -> Iterator[Entity]:
    """The entities, whose names are noted beside."""
    for row, (n, entity) in enumerate(entities):
        names.add(n, row, entity)
        yield entity


def _entities(connection: sqlite3.Connection, linked: bool) -> Iterator[tuple[int, Entity]]:
    """The kept entities in order, described, each with its number in the scratch file."""
    rows = connection.execute(
        "SELECT e.n, e.name_types, e.record, coalesce(d.degree, 0) FROM entities AS e "
        f"LEFT JOIN degrees AS d ON d.n = e.n WHERE e.state = {KEPT} ORDER BY e.n"
    )
    facts, names = _Beside(read_facts(connection)), _Beside(read_other_names(connection))
    links = _Beside(read_links(connection) if linked else iter(()))
    for n, name_types, record, degree in rows:
        entity = loads(record)
        if more := names.of(n):
            aliases = dict.fromkeys((*entity.aliases, *more))
            aliases.pop(entity.name, None)
            entity = replace(entity, aliases=tuple(aliases))
        if name_types:
            entity = replace(entity, type_names=type_names(connection, entity.types))
        if entity.popularity is None and (n_links := links.of(n)):
            entity = replace(entity, popularity=round(math.log10(1 + n_links), 3))
        description, composed = compose(entity, facts.of(n) or ())
        yield (
            n,
            replace(
                entity,
                description=entity.description or description,
                facts=entity.facts or composed,
                degree=degree,
            ),
        )


class _Beside(Generic[_T]):
    """Values by rising number, read along with another sequence of rising numbers."""

    def __init__(self, pairs: Iterator[tuple[int, _T]]) -> None:
        self._pairs = pairs
        self._next = next(pairs, None)

    def of(self, n: int) -> _T | None:
        """The value of this number, None if it has none; numbers are asked for in order."""
        while self._next and self._next[0] < n:
            self._next = next(self._pairs, None)
        return self._next[1] if self._next and self._next[0] == n else None
