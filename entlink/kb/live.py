"""A knowledge base that can be edited while it is used.

The file that was built is never touched. Edits stand in an overlay beside it (`overlay.py`); every
process that has the bundle open reads what is new in it before its next answer. Rows are never
given twice: an entity that is updated gets a new row, and the row of one that is removed can still
be read, so that an answer that is under way comes to its end.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from entlink.errors import BundleError, InputError
from entlink.kb.aliases import normalise
from entlink.kb.check import Refused, checked
from entlink.kb.describe import compose
from entlink.kb.edits import Edits
from entlink.kb.overlay import Edit, Overlay
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.records import Entity

logger = logging.getLogger(__name__)

Encode = Callable[[Sequence[Entity]], list[npt.NDArray[np.float32]]]  # of each (n_surfaces, d)


class LiveKnowledgeBase(KnowledgeBase):
    """Entities by id, row and name, with the edits made beside the file.

    `add`, `update` and `remove` are on disk when they return. They need `encode`, which a linker
    sets, and a folder for edits; without one (the built-in bundle) there are none.
    """

    def __init__(self, path: Path, edits: Path | None = None) -> None:
        super().__init__(path)
        self._base = KnowledgeBase(path)
        self.encode: Encode | None = None
        self._overlay = Overlay(edits, self.base.digest) if edits else None
        self._edits = Edits(self.base)
        self._lock = (os.getpid(), threading.RLock())
        self._is_open = False
        self._superseded = False  # compacted by another process: what is known stays as it is
        self.refresh()
        self._is_open = True

    @classmethod
    def open_with(cls, path: Path, edits: Path | None) -> LiveKnowledgeBase:
        """Open a KB folder or its SQLite file with the edits in a folder, which may be absent."""
        return cls(KnowledgeBase.open(path).path, edits)

    def __reduce__(self) -> tuple[type[KnowledgeBase], tuple[Path, Path | None]]:  # type: ignore[override]
        return (
            LiveKnowledgeBase,
            (self.path, self._overlay.path.parent if self._overlay else None),
        )

    def close(self) -> None:
        """Close this process's connections; a later call opens new ones."""
        super().close()
        self.base.close()
        if self._overlay:
            self._overlay.close()

    # -- reading -------------------------------------------------------------------------------

    def refresh(self) -> Edits:
        """Take in what any process has edited since the last look; microseconds if nothing."""
        if self._overlay is None or self._superseded:
            return self._edits
        if self._overlay.last() != self._edits.seq:
            with self._locked():
                self._catch_up(self._overlay)
        return self._edits

    def _catch_up(self, overlay: Overlay) -> None:
        meta = overlay.meta()
        if meta.get("base") == self.base.digest:
            self._edits.take(overlay.after(self._edits.seq))
        elif self.base.info.get("merged") == meta.get("id"):
            pass  # compacted, and killed before the log was begun anew: it is all in the base
        elif self._is_open:
            self._superseded = True
            logger.warning("%s: compacted by another process; load the bundle again", self.path)
        elif overlay.last():
            raise _other_base(overlay, self.path)

    @property
    def base(self) -> KnowledgeBase:
        """The knowledge base as it was built, without edits."""
        return self._base

    @property
    def version(self) -> int:
        """Rises with every edit: what was remembered of names before may be wrong."""
        return self.refresh().seq

    @property
    def last_edit(self) -> str:
        """The number of the last edit and the log it stands in, "none" before the first."""
        seq = self.refresh().seq
        if not seq or self._overlay is None:
            return "none"
        return f"{seq} of log {self._overlay.meta().get('id')}"

    def __len__(self) -> int:
        return len(self.base) + self._edits.n_more

    @property
    def digest(self) -> str:
        """That of the file that was built, with the number of the last edit if there are any."""
        seq = self._edits.seq
        return f"{self.base.digest}+{seq}" if seq else self.base.digest

    def by_id(self, id: str) -> Entity | None:
        """The entity with this id as it is now, or None."""
        edits = self.refresh()
        row = edits.row_of(id)
        if row is not None:
            return edits.entity(row)
        return None if edits.is_gone(id) else self.base.by_id(id)

    def by_rows(self, rows: Sequence[int]) -> list[Entity]:
        """The entities of these rows, in the order of `rows`; InputError for a row not there."""
        n_base = len(self.base)
        below = [int(row) for row in rows if row < n_base]
        found = dict(zip(below, self.base.by_rows(below), strict=True))
        return [found[int(r)] if r < n_base else self._edits.entity(int(r)) for r in rows]

    def rows_of(self, ids: Iterable[str]) -> dict[str, int]:
        """The present rows of those of `ids` that are in the knowledge base."""
        self.refresh()
        return self._rows_now(list(dict.fromkeys(ids)))

    def rows_of_types(self, types: Iterable[str]) -> list[int]:
        """The rows of entities that now have one of these types or one below."""
        edits, wanted = self.refresh(), self.base.types_below(types)
        kept = [row for row in self.base.rows_of_types(wanted) if edits.now(row) == row]
        behind = range(len(self.base), edits.next_row)
        of = {row: {*edits.entity(row).types, *edits.entity(row).type_names} for row in behind}
        return kept + [row for row in behind if edits.now(row) == row and of[row] & wanted]

    def iterate(self, *, batch_size: int = 1000) -> Iterator[list[Entity]]:
        """All entities as they are now: in row order, an updated one in its old place."""
        edits = self.refresh()
        row = 0
        for batch in self.base.iterate(batch_size=batch_size):
            kept = []
            for entity in batch:
                now = edits.now(row)
                if now is not None:
                    kept.append(entity if now == row else edits.entity(now))
                row += 1
            if kept:
                yield kept
        if added := edits.added():
            yield added

    def present_rows(self) -> dict[int, int]:
        """The rows that count, in the order of `iterate`, each with its place in that order."""
        edits = self.refresh()
        rows = [now for row in range(len(self.base)) if (now := edits.now(row)) is not None]
        rows += [self._rows_now([entity.id])[entity.id] for entity in edits.added()]
        return {row: place for place, row in enumerate(rows)}

    @property
    def popularity(self) -> npt.NDArray[np.float32]:
        """Log10 popularity by row, also of rows that do not count any more; NaN: not known."""
        return self._edits.popularity(self.base.popularity)

    @property
    def degree(self) -> npt.NDArray[np.int32]:
        """Number of relations by row, also of rows that do not count any more."""
        return self._edits.degree(self.base.degree)

    def by_aliases(self, surfaces: Sequence[str]) -> dict[str, list[AliasHit]]:
        """The entities that bear each surface now; as `KnowledgeBase.by_aliases`."""
        found, edits = self.base.by_aliases(surfaces), self.refresh()
        if not edits.seq:
            return found
        return {
            surface: edits.bearers(normalise(surface), hits, self.by_rows)
            for surface, hits in found.items()
        }

    def search(self, text: str, *, limit: int = 20) -> list[Entity]:
        """Entities whose name or alias is `text`, then those that have one starting with it."""
        edits, key = self.refresh(), normalise(text)
        if not key:
            return []
        hits = self.by_aliases([text])[text]
        exact = self.by_rows([hit.row for hit in hits[:limit]])
        before = self.base.search(text, limit=limit + edits.n_gone)
        kept = [entity for entity in before if not edits.is_gone(entity.id)]
        longer = sorted([*kept, *edits.named(key)], key=_known_first)
        return list({entity.id: entity for entity in (*exact, *longer)}.values())[:limit]

    # -- writing -------------------------------------------------------------------------------

    def add(self, *entities: Entity) -> None:
        """Add entities, all or none; InputError where an id is there already."""
        self._write(entities, known=False)

    def update(self, *entities: Entity) -> None:
        """Put entities in the place of those with their ids; InputError where one is not there."""
        self._write(entities, known=True)

    def put(self, *entities: Entity) -> None:
        """Add entities, or put them in the place of those with their ids."""
        self._write(entities, known=None)

    def remove(self, *ids: str) -> None:
        """Remove entities, all or none; InputError where an id is not there."""
        overlay = self._editable()
        with self._locked(), overlay.writing() as connection:
            self._check_base(overlay, connection)
            self._catch_up(overlay)
            rows = self._rows_now(ids)
            for id in ids:
                if id not in rows:
                    raise InputError(f"{self.path}: no entity {id!r} to remove; check the id")
            overlay.append(connection, [Edit(None, rows[id]) for id in dict.fromkeys(ids)])
        self.refresh()

    def _write(self, entities: Sequence[Entity], *, known: bool | None) -> None:
        overlay = self._editable()
        if not entities:
            return
        if self.encode is None:
            raise BundleError(
                f"{self.path}: entities are added through a linker (linker.kb) or 'entlink kb add',"
                " which have the model that reads them"
            )
        sound = [_sound(entity) for entity in entities]
        if len({entity.id for entity in sound}) < len(sound):
            raise InputError(
                f"{self.path}: an id appears twice among the entities; keep one of each"
            )
        vectors = self.encode(sound)
        with self._locked(), overlay.writing() as connection:
            self._check_base(overlay, connection)
            self._catch_up(overlay)
            rows = self._rows_now([entity.id for entity in sound])
            for entity in sound:
                if known is not None and (entity.id in rows) != known:
                    what = "no entity" if known else "there is an entity"
                    mend = "add it instead" if known else "update it instead (kb add --update)"
                    raise InputError(f"{self.path}: {what} {entity.id!r}; {mend}")
            free = self._edits.next_row
            edits = [
                Edit(free + n, rows.get(entity.id), entity, own)
                for n, (entity, own) in enumerate(zip(sound, vectors, strict=True))
            ]
            overlay.append(connection, edits)
        self.refresh()

    def _rows_now(self, ids: Sequence[str]) -> dict[str, int]:
        edits = self._edits
        known = self.base.rows_of(id for id in ids if not edits.is_gone(id))
        return known | {id: row for id in ids if (row := edits.row_of(id)) is not None}

    def _editable(self) -> Overlay:
        if self._overlay is None:
            raise BundleError(
                f"{self.path}: the built-in bundle is not edited; make one of your own with "
                "'entlink bundle create --out DIR' and use that"
            )
        return self._overlay

    def _check_base(self, overlay: Overlay, connection: sqlite3.Connection) -> None:
        """Within a transaction: no edit may go to a log that nobody will read."""
        with KnowledgeBase(self.path) as on_disk:
            if on_disk.digest != self.base.digest or self._superseded:
                raise BundleError(
                    f"{self.path}: compacted or replaced by another process; load the bundle again"
                )
            meta = overlay.meta()
            if meta["base"] != self.base.digest:
                if on_disk.info.get("merged") != meta["id"]:
                    raise _other_base(overlay, self.path)
                overlay.begin_anew(connection, self.base.digest)

    def _locked(self) -> threading.RLock:
        if self._lock[0] != os.getpid():  # a fork may have copied it while it was held
            self._lock = (os.getpid(), threading.RLock())
        return self._lock[1]


def _other_base(overlay: Overlay, path: Path) -> BundleError:
    return BundleError(
        f"{overlay.path}: edits of another knowledge base than {path}; move the folder away, or "
        "put back the bundle that they were made to"
    )


def _known_first(entity: Entity) -> tuple[float, int, str]:
    popularity = -np.inf if entity.popularity is None else entity.popularity
    return -popularity, -entity.degree, entity.id


def _sound(entity: Entity) -> Entity:
    """The entity as a build would write it; what is mended in it is told as a warning."""
    try:
        entity, mended = checked(entity)
    except Refused as error:
        raise InputError(str(error)) from None
    if mended:
        logger.warning("%r: %s", entity.id, "; ".join(mended))
    if entity.description is None:
        description, _ = compose(entity, ())
        return replace(entity, description=description)
    return entity
