"""Baselines that know nothing but the KB: of the entities that bear the very name, take one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from entlink.evaluate.benchmark.peer import Answer
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import Mention
from tests.peers.base import Base, by_first

Values = NDArray[np.float64]  # (n_entities,), higher is better


class OfThatName(Base):
    """The bearers of the name, ordered by a number; ties by row."""

    def __init__(
        self, name: str, about: str, values: Callable[[KnowledgeBase], Values] | None
    ) -> None:
        self.name = name
        self.about = about
        self._values_of = values  # None: the prior of the name

    def settings(self) -> Mapping[str, object]:
        """All have the code in common; their names tell them apart."""
        return {**super().settings(), "name": self.name}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Read the number of every entity."""
        self._kb = kb
        self._values = None if self._values_of is None else self._values_of(kb)

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """By falling number."""
        hits = self._kb.by_aliases(list(dict.fromkeys(m.text for _, m in mentions)))
        ranked: dict[str, NDArray[np.int64]] = {}
        for surface, found in hits.items():
            rows = np.array([hit.row for hit in found], dtype=np.int64)
            if self._values is not None:  # else as they come: by prior, then popularity
                rows = rows[np.lexsort((rows, -self._values[rows]))]
            ranked[surface] = rows
        return by_first(self._kb, [ranked[m.text] for _, m in mentions])


def popularity(kb: KnowledgeBase) -> Values:
    """Unknown is least."""
    return np.nan_to_num(kb.popularity.astype(np.float64), nan=-1e9)


def has_popularity(kb: KnowledgeBase) -> Values:
    """One where it is known."""
    return np.isfinite(kb.popularity).astype(np.float64)


def has_description(kb: KnowledgeBase) -> Values:
    """One where there is a description, given or composed."""
    return np.array([bool(e.description) for some in kb.iterate() for e in some], np.float64)


def description_length(kb: KnowledgeBase) -> Values:
    """Characters of all that the KB says of an entity."""
    return np.array([len(entity_description(e)) for some in kb.iterate() for e in some], np.float64)


def name_peers() -> list[Base]:
    """What the presence of facts alone is worth (the KB knows gold entities better)."""
    of = "of the entities of that name"
    return [
        OfThatName("most popular of that name", f"{of} the most popular", popularity),
        OfThatName(
            "highest prior of that name",
            f"{of} the one it was most seen to mean, then the more popular",
            None,
        ),
        OfThatName("has a description", f"{of} the first with a description", has_description),
        OfThatName("has a popularity", f"{of} the first whose popularity is known", has_popularity),
        OfThatName("longest description", f"{of} the one with most text", description_length),
    ]
