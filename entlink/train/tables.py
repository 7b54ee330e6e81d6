"""A knowledge base and its training mentions as features, hashed once before training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from entlink.encode.batches import Texts, join_texts
from entlink.encode.dual import (
    DualEncoder,
    EntityFeatures,
    MentionFeatures,
    join_mentions,
)
from entlink.encode.features import Ragged
from entlink.errors import InputError
from entlink.inputs import entity_inputs, mention_input, surfaces, view_names
from entlink.kb.aliases import normalise
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.train.data import Example

_CHUNK = 8192  # texts hashed at a time
_T = TypeVar("_T")
_U = TypeVar("_U")


def read_views(paths: Sequence[Path]) -> list[list[Entity]]:
    """The entities of each KB in row order; all must have the same ids and names.

    One that is named twice is read once. Raises InputError if they do not: rows and surfaces of one
    would mean others in the next.
    """
    read: dict[Path, list[Entity]] = {}
    for path in paths:
        if path not in read:
            read[path] = [e for many in KnowledgeBase.open(path).iterate() for e in many]
    views = [read[path] for path in paths]
    names = [(entity.id, surfaces(entity)) for entity in views[0]]
    for path, view in zip(paths, views, strict=True):
        if [(entity.id, surfaces(entity)) for entity in view] != names:
            raise InputError(
                f"{path}: not the entities and names of {paths[0]}; a view differs only in texts"
            )
    return views


@dataclass(frozen=True, slots=True)
class EntityTable:
    """Features of a whole KB: names for each surface, the rest once for each entity."""

    names: Texts
    rows: NDArray[np.int64]  # (n_surfaces,) entity of each surface, ascending
    descriptions: Texts
    types: Ragged
    numbers: NDArray[np.float32]  # (n_entities, 3)

    def __len__(self) -> int:
        """Number of surfaces."""
        return len(self.rows)

    @classmethod
    def of(
        cls,
        model: DualEncoder,
        entities: Sequence[Entity],
        *,
        first: Sequence[Entity] | None = None,
    ) -> EntityTable:
        """The table of these entities, in this order.

        Of a further view of a KB, ``first`` is the first one: it says which surfaces there are, for
        an entity may have a description in one view and none in another.
        """
        names = [view_names(entity, model.config.views) for entity in first or entities]
        whole = model.entity_features([entity_inputs(entity)[0] for entity in entities])
        read = _in_chunks(model.entity_words.names, [name for some in names for name in some])
        return cls(
            names=join_texts(read),
            rows=np.repeat(np.arange(len(entities)), [len(some) for some in names]),
            descriptions=whole.description,
            types=whole.types,
            numbers=whole.numbers,
        )

    def take(self, surfaces: NDArray[np.int64]) -> EntityFeatures:
        """Features of the given surfaces."""
        rows = self.rows[surfaces]
        return EntityFeatures(
            self.names.take(surfaces),
            self.descriptions.take(rows),
            self.types.take(rows),
            self.numbers[rows],
        )


@dataclass(frozen=True, slots=True)
class MentionTable:
    """Mentions ready for training, and their gold entities as surfaces of the KB."""

    features: MentionFeatures
    gold: NDArray[np.int64]  # (n,) KB row
    primary: NDArray[np.int64]  # (n,) surface: the entity's name
    exact: NDArray[np.int64]  # (n,) surface: that of its names that equals the mention, or primary
    last: NDArray[np.int64]  # (n,) surface: that of the description alone, if there are such

    def __len__(self) -> int:
        return len(self.gold)

    @classmethod
    def of(
        cls,
        model: DualEncoder,
        examples: Sequence[Example],
        entities: Sequence[Entity],
        rows: dict[str, int],
        *,
        read: bool = True,
    ) -> MentionTable:
        """The examples whose entity is among ``entities``, in order; ``rows`` are those by id.

        Not to ``read`` leaves out what only a context reader needs.
        """
        known = [e for e in examples if e.gold in rows]
        gold = np.asarray([rows[e.gold] for e in known], dtype=np.int64)
        views = model.config.views
        starts = np.cumsum([0, *(len(view_names(entity, views)) for entity in entities)])
        primary = starts[gold]
        spans = [normalise(e.text[e.start : e.end]) for e in known]
        names_of = {
            row: [normalise(name) for name in view_names(entities[row], views)]
            for row in np.unique(gold).tolist()
        }
        names = [names_of[row] for row in gold.tolist()]
        offsets = [
            some.index(span) if span in some else 0 for span, some in zip(spans, names, strict=True)
        ]
        inputs = [mention_input(e.text, e.start, e.end, label=e.label) for e in known]
        return cls(
            features=join_mentions(_in_chunks(partial(model.mention_features, read=read), inputs)),
            gold=gold,
            primary=primary,
            exact=primary + np.asarray(offsets, dtype=np.int64),
            last=starts[gold + 1] - 1,
        )


def _in_chunks(function: Callable[[Sequence[_T]], _U], items: Sequence[_T]) -> list[_U]:
    """At least one chunk, if need be an empty one."""
    return [function(items[i : i + _CHUNK]) for i in range(0, max(1, len(items)), _CHUNK)]
