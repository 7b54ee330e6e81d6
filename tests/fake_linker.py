"""Small stand-ins for what is slow or large, with the real interfaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from entlink.records import (
    NIL,
    Candidate,
    Document,
    Entity,
    Link,
    LinkedDocument,
    Mention,
)

JORDAN = Entity(id="Q810", name="Jordan", description="country in Western Asia")
PLAYER = Entity(id="Q41421", name="Michael Jordan", description="American basketball player")
ODD = Entity(id="x:<1>", name='<b>"R&D"</b>', description="an entity of another knowledge base")


class FakeKb:
    """Three entities, found by id."""

    def __init__(self, entities: Iterable[Entity] = (JORDAN, PLAYER, ODD)) -> None:
        self._entities = {entity.id: entity for entity in entities}

    def by_id(self, entity_id: str) -> Entity | None:
        return self._entities.get(entity_id)


class FakeLinker:
    """Links every capitalised word: Jordan to the country, Odd to ODD, all others to NIL."""

    def __init__(self) -> None:
        self.kb = FakeKb()
        self.part: tuple[list[str], list[str]] = ([], [])  # types, ids

    def within(self, *, types: Sequence[str] = (), ids: Sequence[str] = ()) -> FakeLinker:
        """One that links to the ids only; what types are it does not know."""
        part = FakeLinker()
        part.part = (list(types), list(ids))
        return part

    def stream(
        self, documents: Iterable[Document], *, batch_size: int = 64, n_candidates: int = 10
    ) -> Iterator[LinkedDocument]:
        for document in documents:
            mentions = document.mentions
            if mentions is None:
                mentions = tuple(
                    Mention(start=m.start(), end=m.end(), text=m.group())
                    for m in re.finditer(r"\b[A-Z]\w+", document.text)
                )
            links = tuple(self._link(mention) for mention in mentions)
            yield LinkedDocument(id=document.id, text=document.text, links=links)

    def _link(self, mention: Mention) -> Link:
        link = self._of_all(mention)
        if link.entity_id in self.part[1] or not self.part[1]:
            return link
        return Link(mention=mention, entity_id=NIL, name="", probability=1.0, candidates=())

    def _of_all(self, mention: Mention) -> Link:
        if mention.text == "Jordan":
            return link_to(mention, [(JORDAN, 0.7), (PLAYER, 0.2)])
        if mention.text == "Odd":
            return link_to(mention, [(ODD, 0.9)])
        return Link(mention=mention, entity_id=NIL, name="", probability=1.0, candidates=())


def link_to(mention: Mention, answers: Sequence[tuple[Entity, float]]) -> Link:
    """A link to the first answer, with all answers as candidates."""
    candidates = tuple(
        Candidate(
            entity_id=entity.id,
            name=entity.name,
            retriever_score=probability / 3,
            prior=0.0,
            reranker_score=None,
            probability=probability,
        )
        for entity, probability in answers
    )
    entity, probability = answers[0]
    return Link(
        mention=mention,
        entity_id=entity.id,
        name=entity.name,
        probability=probability,
        candidates=candidates,
    )
