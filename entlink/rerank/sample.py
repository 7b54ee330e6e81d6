"""Mentions composed from a KB's own texts, to compare two backends on: any bundle has a KB."""

from __future__ import annotations

import random
from dataclasses import dataclass

from entlink.inputs import pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity


@dataclass(frozen=True, slots=True)
class PairSample:
    """Mentions with candidates; ``pairs`` holds (context, entity) places, mention by mention."""

    contexts: tuple[tuple[str, str, str], ...]
    entities: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]  # pairs of each mention


def sample_pairs(
    kb: KnowledgeBase, *, n_mentions: int = 64, n_candidates: int = 8, seed: int = 0
) -> PairSample:
    """Each mention is an entity's name between facts about it and a text about another one.

    Its candidates are the entity, those that share the name, then others. The same KB and seed
    give the same sample.
    """
    generator = random.Random(seed)
    rows = generator.sample(range(len(kb)), min(n_mentions, len(kb)))
    others = generator.sample(range(len(kb)), min(4 * n_candidates, len(kb)))
    meant, fillers = kb.by_rows(rows), kb.by_rows(others)
    hits = kb.by_aliases([entity.name for entity in meant])
    lists = [
        list(dict.fromkeys([row, *(hit.row for hit in hits[entity.name]), *others]))[:n_candidates]
        for row, entity in zip(rows, meant, strict=True)
    ]
    used = sorted({row for some in lists for row in some})
    place = {row: i for i, row in enumerate(used)}
    return PairSample(
        contexts=tuple(_context(e, generator.choice(fillers)) for e in meant),
        entities=tuple(pair_entity(entity) for entity in kb.by_rows(used)),
        pairs=tuple((i, place[row]) for i, some in enumerate(lists) for row in some),
        counts=tuple(len(some) for some in lists),
    )


def _context(entity: Entity, other: Entity) -> tuple[str, str, str]:
    about, beside = (e.facts or e.description or e.name for e in (entity, other))
    return f"{other.name}, {beside}. ", entity.name, f" ({about})"
