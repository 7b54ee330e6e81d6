"""How well a bundle's knowledge base can be linked to: what to mend in it, before any text is seen.

Three questions: which names do several entities share, which entities has nobody described, and is
an entity found again by its own names, in a sentence that says what it is?
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import NIL, Document, Entity, Mention

SAMPLE = 500  # entities that are looked for
_EXAMPLES = 3
_SAID = 120  # characters of its description that the sentence tells
_SENTENCES = ("We heard about {name}, {what}, again yesterday.", "We heard about {name} again.")


@dataclass(frozen=True, slots=True)
class Missed:
    """An entity whose own name led elsewhere."""

    id: str
    name: str  # the name that was looked for
    instead: str  # the id that it led to, or NIL


@dataclass(frozen=True, slots=True)
class Quality:
    """What a knowledge base looks like to a linker."""

    n_entities: int
    n_undescribed: int  # without a description and without facts
    n_names: int  # different names, as they are folded
    n_shared_names: int  # names that several entities bear
    most_shared: tuple[tuple[str, int], ...]  # names with the most bearers
    n_alike: int  # entities with the same name and the same description as another
    alike: tuple[str, ...]  # some of their names
    n_looked_for: int
    n_found: int  # of those looked for: among the candidates
    n_first: int  # of those looked for: the likeliest candidate
    missed: tuple[Missed, ...]  # some of the others

    def lines(self) -> Iterator[str]:
        """What it says to a person, worst last."""
        yield (
            f"{self.n_entities:,} entities with {self.n_names:,} names; "
            f"{self.n_shared_names:,} names are borne by several entities{_most(self.most_shared)}"
        )
        if self.n_undescribed:
            share = self.n_undescribed / self.n_entities
            yield (
                f"{self.n_undescribed:,} entities ({share:.0%}) have no description: only their "
                "names can tell them apart"
            )
        if self.n_alike:
            yield (
                f"{self.n_alike:,} entities have the name and the description of another, and "
                f"nothing can tell those apart: {', '.join(self.alike)}"
            )
        if self.n_looked_for:
            yield (
                f"of {self.n_looked_for:,} entities, each looked for by a name of its own in a "
                f"sentence of ours, {self.n_found / self.n_looked_for:.1%} are among the "
                f"candidates and {self.n_first / self.n_looked_for:.1%} come first"
            )
        for missed in self.missed:
            yield f"  {missed.name!r} of {missed.id} led to {missed.instead}"


def check_quality(linker: Linker, *, sample: int = SAMPLE, seed: int = 0) -> Quality:
    """Look at a bundle's knowledge base; takes seconds, and a quarter of a second more a million.

    The reranker is left out of it: what the retriever and what the names' uses say must do.
    """
    kb = linker.kb.base
    n_names, n_shared, most = kb.shared_names(limit=_EXAMPLES)
    n_alike, alike = kb.alike(limit=_EXAMPLES)
    first = Linker(linker.bundle, linker.kb, linker.retriever, None, linker.decision)
    looked_for = list(_questions(kb, sample, seed))
    n_found = n_first = 0
    missed: list[Missed] = []
    documents = [document for _, document in looked_for]
    for (entity, document), linked in zip(
        looked_for, first.link(documents, n_candidates=100), strict=True
    ):
        (link,) = linked.links
        ids = [candidate.entity_id for candidate in link.candidates]
        n_found += entity.id in ids
        n_first += ids[:1] == [entity.id]
        if ids[:1] != [entity.id] and len(missed) < _EXAMPLES:
            assert document.mentions
            missed.append(Missed(entity.id, document.mentions[0].text, ids[0] if ids else NIL))
    return Quality(
        n_entities=len(kb),
        n_undescribed=kb.n_undescribed(),
        n_names=n_names,
        n_shared_names=n_shared,
        most_shared=most,
        n_alike=n_alike,
        alike=alike,
        n_looked_for=len(looked_for),
        n_found=n_found,
        n_first=n_first,
        missed=tuple(missed),
    )


def _questions(kb: KnowledgeBase, sample: int, seed: int) -> Iterator[tuple[Entity, Document]]:
    """A sample of entities, each with a sentence that names it by one of its names."""
    generator = random.Random(seed)
    rows = sorted(generator.sample(range(len(kb)), min(sample, len(kb))))
    for entity in kb.by_rows(rows):
        name = generator.choice((entity.name, *entity.aliases))
        what = entity_description(entity)[:_SAID].rpartition(" ")[0] or entity_description(entity)
        told, bare = _SENTENCES
        text = told.format(name=name, what=what) if what else bare.format(name=name)
        start = text.index(name)
        yield entity, Document(entity.id, text, (Mention(start, start + len(name), name),))


def _most(shared: Sequence[tuple[str, int]]) -> str:
    told = ", ".join(f"{name!r} by {n:,}" for name, n in shared)
    return f" ({told})" if told else ""
