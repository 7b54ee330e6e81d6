"""All edits of a knowledge base in memory: who was added, who took whose place, who is gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from entlink.errors import InputError
from entlink.kb.aliases import normalise
from entlink.kb.overlay import Edit
from entlink.kb.store import AliasHit, KnowledgeBase
from entlink.records import Entity

_T = TypeVar("_T", bound=np.generic)
_Floats = npt.NDArray[np.float32]
_Ints = npt.NDArray[np.int32]


class _Growing(Generic[_T]):
    """The array of the base with values behind it; what is behind it is copied rarely."""

    def __init__(self, dtype: type[_T]) -> None:
        self._dtype = dtype
        self._values: list[float] = []
        self._joined: npt.NDArray[_T] | None = None  # with room at the end
        self._n = 0  # values that it holds

    def append(self, value: float) -> None:
        self._values.append(value)

    def after(self, base: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """The base and all values, shape (n_base + n,)."""
        values = self._values
        n, joined = len(values), self._joined
        if not n:
            return base
        if joined is None or len(joined) < len(base) + n:
            joined = np.empty(len(base) + 2 * n + 1000, dtype=self._dtype)
            joined[: len(base)] = base
            joined[len(base) : len(base) + n] = values[:n]
            self._joined = joined
        elif self._n < n:
            joined[len(base) + self._n : len(base) + n] = values[self._n : n]
        self._n = n
        return joined[: len(base) + n]


class Edits:
    """Grows with the log and never shrinks; whoever holds a row may go on to use it.

    A reader in another thread sees an edit once `seq` has risen, and then all of it.
    """

    def __init__(self, base: KnowledgeBase) -> None:
        self._base = base
        self._n_base = len(base)
        self._entities: list[Entity] = []  # by row - n_base
        self._rows: dict[str, int] = {}  # id: row, of those added or updated
        self._now: dict[int, int | None] = {}  # a row that does not count: the one that does
        self._roots: dict[int, int] = {}  # a row: the row of the base whose place it has
        self._gone: set[str] = set()  # ids whose row in the base does not count
        self._names: dict[str, list[int]] = defaultdict(list)  # folded name: rows
        self._popularity = _Growing[np.float32](np.float32)
        self._degree = _Growing[np.int32](np.int32)
        self.vectors: list[_Floats] = []  # by row - n_base, (n_surfaces, d) each
        self.gone_rows: set[int] = set()  # rows of the base that do not count
        self.n_more = 0  # entities more than in the base
        self.n_edits = 0
        self.seq = 0

    def take(self, edits: Iterable[tuple[int, Edit]]) -> None:
        """Take in further edits, in order."""
        for seq, edit in edits:
            if edit.row is not None:
                self._add(edit.row, edit)
            if edit.replaces is not None:
                self._retire(edit.replaces, edit.row)
            self.n_more += (edit.row is not None) - (edit.replaces is not None)
            self.n_edits += 1
            self.seq = seq

    def _add(self, row: int, edit: Edit) -> None:
        assert edit.entity is not None and edit.vectors is not None
        assert row == self.next_row, (row, self.next_row)
        entity = edit.entity
        self._entities.append(entity)
        self.vectors.append(edit.vectors)
        self._rows[entity.id] = row
        for alias in {normalise(name) for name in (entity.name, *entity.aliases)} - {""}:
            self._names[alias].append(row)
        self._popularity.append(np.nan if entity.popularity is None else entity.popularity)
        self._degree.append(entity.degree)

    def _retire(self, row: int, now: int | None) -> None:
        root = self._roots.get(row, row)
        self._now[root] = self._now[row] = now
        if now is not None:
            self._roots[now] = root
        if row < self._n_base:
            self.gone_rows.add(row)
            (entity,) = self._base.by_rows([row])
            self._gone.add(entity.id)
        elif now is None:
            self._rows.pop(self.entity(row).id, None)

    @property
    def next_row(self) -> int:
        """The row that the next entity gets."""
        return self._n_base + len(self._entities)

    @property
    def n_gone(self) -> int:
        """How many entities of the base were updated or removed."""
        return len(self._gone)

    def is_gone(self, id: str) -> bool:
        """Whether the entity that the base has under this id does not count any more."""
        return id in self._gone

    def row_of(self, id: str) -> int | None:
        """The row of an entity that was added or updated."""
        return self._rows.get(id)

    def now(self, row: int) -> int | None:
        """The row that counts in the place of this one: mostly itself, None if it was removed."""
        return self._now.get(row, row)

    def entity(self, row: int) -> Entity:
        """The entity of a row behind the base."""
        try:
            return self._entities[row - self._n_base]
        except IndexError:
            raise InputError(f"{self._base.path}: no row {row}; it was never given") from None

    def added(self) -> list[Entity]:
        """The entities that are new, and not in the place of one of the base, in row order."""
        in_place = {now for row, now in self._now.items() if row < self._n_base}
        rows = range(self._n_base, self.next_row)
        return [self.entity(r) for r in rows if self.now(r) == r and r not in in_place]

    def named(self, start: str) -> list[Entity]:
        """The entities added or updated that have a name which starts so, by id."""
        rows = {
            r for name, many in list(self._names.items()) if name.startswith(start) for r in many
        }
        return sorted((self.entity(r) for r in rows if self.now(r) == r), key=lambda e: e.id)

    def bearers(
        self, alias: str, hits: Sequence[AliasHit], by_rows: Callable[[list[int]], list[Entity]]
    ) -> list[AliasHit]:
        """Who bears a folded name, given who bears it in the base.

        An updated entity keeps its counted uses of a name; what it only bore as an alias it keeps
        if it still has that alias.
        """
        own = [row for row in self._names.get(alias, ()) if self.now(row) == row]
        if not own and all(self.now(hit.row) == hit.row for hit in hits):
            return list(hits)
        found: dict[int, AliasHit] = {}
        for hit in hits:
            row = self.now(hit.row)
            if row is not None and (row == hit.row or hit.count or row in own):
                found[row] = AliasHit(row, hit.prior, hit.count)
        for row in own:
            found.setdefault(row, AliasHit(row, 0.0))
        entities = dict(zip(found, by_rows(list(found)), strict=True))

        def order(hit: AliasHit) -> tuple[float, float, str]:
            entity = entities[hit.row]
            popularity = -np.inf if entity.popularity is None else entity.popularity
            return -hit.prior, -popularity, entity.id

        return sorted(found.values(), key=order)

    def popularity(self, base: _Floats) -> _Floats:
        """The base's popularity with that of the rows behind it."""
        return self._popularity.after(base)

    def degree(self, base: _Ints) -> _Ints:
        """The base's degrees with those of the rows behind it."""
        return self._degree.after(base)
