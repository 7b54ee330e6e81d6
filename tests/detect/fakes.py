"""A knowledge base's names in memory, with the interface that the gazetteer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entlink.kb.aliases import normalise
from entlink.kb.store import AliasHit
from entlink.records import Entity


class FakeNames:
    """`by_aliases` and `by_rows` over a list of entities; counts its lookups."""

    def __init__(self, entities: Sequence[Entity], *, any_case: bool = False) -> None:
        self.entities = tuple(entities)
        self.any_case = any_case
        self.n_lookups = 0
        self._rows: dict[str, list[int]] = {}
        for row, entity in enumerate(entities):
            for key in dict.fromkeys(normalise(n) for n in (entity.name, *entity.aliases)):
                self._rows.setdefault(key, []).append(row)

    def by_aliases(self, surfaces: Sequence[str]) -> Mapping[str, Sequence[AliasHit]]:
        self.n_lookups += 1
        return {
            surface: [AliasHit(row, 0.0) for row in self._rows.get(normalise(surface), ())]
            for surface in surfaces
        }

    def by_rows(self, rows: Sequence[int]) -> Sequence[Entity]:
        return [self.entities[row] for row in rows]
