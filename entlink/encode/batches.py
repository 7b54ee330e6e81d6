"""What the towers take: the hashed or tokenised texts of many mentions, or of many entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from entlink.encode.features import Bags, Ragged, featurise, join_bags, join_ragged, ragged

Texts = Bags | Ragged  # bags of hashed n-grams, or the ids of tokens


class Words(Protocol):
    """Makes texts ready for a text encoder; there is no learnt part in it."""

    def names(self, texts: Sequence[str]) -> Texts:
        """Of names and spans."""
        ...

    def prose(self, texts: Sequence[str]) -> Texts:
        """Of descriptions and contexts."""
        ...


@dataclass(frozen=True, slots=True)
class BagWords:
    """Words and bigrams; of names also character n-grams."""

    rows: int
    chars: tuple[int, ...]

    def names(self, texts: Sequence[str]) -> Bags:
        """With character n-grams."""
        return featurise(texts, rows=self.rows, chars=self.chars)

    def prose(self, texts: Sequence[str]) -> Bags:
        """Without."""
        return featurise(texts, rows=self.rows)


@dataclass(frozen=True, slots=True)
class MentionFeatures:
    """The mention tower's input for n mentions."""

    span: Texts
    left: Texts
    right: Texts
    sentence: Texts
    label: Ragged
    context: Ragged | None = None  # what a context reader reads; of some mentions perhaps nothing

    def __len__(self) -> int:
        return len(self.span)

    def take(self, rows: NDArray[np.int64]) -> MentionFeatures:
        """The given mentions, in the given order."""
        return MentionFeatures(
            self.span.take(rows),
            self.left.take(rows),
            self.right.take(rows),
            self.sentence.take(rows),
            self.label.take(rows),
            None if self.context is None else self.context.take(rows),
        )


def join_texts(parts: Sequence[Texts]) -> Texts:
    """All texts of the parts, which are of one kind, one part after the other."""
    if isinstance(parts[0], Bags):
        return join_bags(cast(Sequence[Bags], parts))
    return join_ragged(cast(Sequence[Ragged], parts))


def join_mentions(parts: Sequence[MentionFeatures]) -> MentionFeatures:
    """All mentions of the parts, one part after the other."""
    contexts: list[Ragged] = []
    if any(part.context is not None for part in parts):  # what is not read has no tokens
        contexts = [ragged([()] * len(p)) if p.context is None else p.context for p in parts]
    return MentionFeatures(
        join_texts([part.span for part in parts]),
        join_texts([part.left for part in parts]),
        join_texts([part.right for part in parts]),
        join_texts([part.sentence for part in parts]),
        join_ragged([part.label for part in parts]),
        join_ragged(contexts) if contexts else None,
    )


@dataclass(frozen=True, slots=True)
class EntityFeatures:
    """The entity tower's input for n (entity, surface) pairs."""

    name: Texts
    description: Texts
    types: Ragged
    numbers: NDArray[np.float32]  # (n, 3)

    def __len__(self) -> int:
        return len(self.name)

    def take(self, rows: NDArray[np.int64]) -> EntityFeatures:
        """The given entities, in the given order."""
        return EntityFeatures(
            self.name.take(rows),
            self.description.take(rows),
            self.types.take(rows),
            self.numbers[rows],
        )
