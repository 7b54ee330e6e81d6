"""What the KB knows of gold mentions: the groups of the breakdowns, and the baseline."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from entlink.evaluate.metrics import NO_TYPE
from entlink.evaluate.sets import GoldSet
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity

_DESCRIBED = {  # (gold entity, its top rival)
    (True, True): "gold and top rival",
    (True, False): "gold alone",
    (False, True): "top rival alone",
    (False, False): "neither",
}


class Groups:
    """The groups that the gold mentions of a set belong to."""

    def __init__(
        self, kb: KnowledgeBase, gold: GoldSet, *, seen: Collection[str] | None = None
    ) -> None:
        golds = {entity for _, _, entity in gold.mentions()}
        self.rows = kb.rows_of(sorted(golds))
        surfaces = {doc.text[m.start : m.end] for doc, m, _ in gold.mentions()}
        self._hits = kb.by_aliases(sorted(surfaces))
        self._entities = {e.id: e for e in kb.by_rows(list(self.rows.values()))}
        self._seen = seen
        self._popular = _most_popular(kb, self._hits_rows())

    def _hits_rows(self) -> dict[str, list[int]]:
        return {surface: [hit.row for hit in hits] for surface, hits in self._hits.items()}

    def popular(self, surface: str) -> str | None:
        """The baseline: the most popular entity of that name, None if the KB has no such name."""
        return self._popular.get(surface)

    def of(
        self, surface: str, gold: str, rival: Entity | None = None
    ) -> tuple[tuple[str, str], ...]:
        """(breakdown, group) pairs of one mention; none where its entity is outside the KB.

        ``rival`` is the likeliest other candidate before reading, if there is one.
        """
        entity = self._entities.get(gold)
        if entity is None:
            return ()
        bearers = [hit.row for hit in self._hits[surface]]
        name = "ambiguous" if len(bearers) > 1 else "unambiguous" if bearers else "of no entity"
        groups = [
            ("description", "with" if entity.description else "without"),
            ("name", name),
            ("alias", "known" if self.rows[gold] in bearers else "unknown"),
        ]
        if rival is not None:
            groups.append(
                ("described", _DESCRIBED[bool(entity.description), bool(rival.description)])
            )
        if self._seen is not None:
            groups.append(("training", "seen" if gold in self._seen else "unseen"))
        names = dict.fromkeys(entity.type_names) or (NO_TYPE,)
        return (*groups, *(("type", name) for name in names))


def _most_popular(kb: KnowledgeBase, bearers: dict[str, list[int]]) -> dict[str, str]:
    """For each surface the id of its most popular bearer; unknown is least, ties to the first."""
    popularity = np.nan_to_num(kb.popularity, nan=-math.inf, neginf=-math.inf)
    best = {
        surface: min((-popularity[row], row) for row in rows)[1]
        for surface, rows in bearers.items()
        if rows
    }
    rows = sorted(set(best.values()))
    ids = {row: entity.id for row, entity in zip(rows, kb.by_rows(rows), strict=True)}
    return {surface: ids[row] for surface, row in best.items()}
