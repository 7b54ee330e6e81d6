"""The words of entlink: entities, mentions, candidates, links. Everything else passes these along.

Offsets are Python string indices into the document's text: ``start`` inclusive, ``end`` exclusive,
so that ``text[start:end] == mention.text`` always holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NIL = "NIL"  # the answer "none of the entities in this knowledge base"


@dataclass(frozen=True, slots=True)
class Entity:
    """One entry of a knowledge base."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    description: str | None = None  # one phrase that says what it is
    facts: str = ""  # composed from relations: where, when, known for, related to
    types: tuple[str, ...] = ()  # ids of categories
    type_names: tuple[str, ...] = ()  # names of those that have one; may be shorter than types
    popularity: float | None = None  # log10 scale; None is "unknown", not "unpopular"
    degree: int = 0  # number of relations it takes part in
    extra: Mapping[str, object] = field(default_factory=dict)  # keys entlink does not use, kept


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of text that may name an entity."""

    start: int  # character offset, inclusive
    end: int  # character offset, exclusive
    text: str
    label: str = ""  # the recogniser's label (PER, LOC, ORG, MISC), "" if unknown
    full_name: str = ""  # a longer form of the name in the same document ("Bulls": "Chicago Bulls")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity that a mention may refer to, with every score it was given."""

    entity_id: str
    name: str
    retriever_score: float  # cosine, higher is better
    prior: float  # share of this surface's uses that mean this entity, 0..1; 0 if unknown
    reranker_score: float | None  # logit, higher is better; None if the pair was not read
    probability: float  # calibrated; all candidates and NIL sum to one


@dataclass(frozen=True, slots=True)
class Link:
    """A mention and what it was linked to."""

    mention: Mention
    entity_id: str  # an id of the knowledge base, or NIL
    name: str  # the entity's name, "" for NIL
    probability: float  # that entity_id is right (for NIL: that no candidate is)
    candidates: tuple[Candidate, ...]  # by falling probability, ties by id


@dataclass(frozen=True, slots=True)
class Document:
    """A text to link. ``mentions`` None means: find them."""

    id: str
    text: str
    mentions: tuple[Mention, ...] | None = None


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    """A text and its links, in order of start offset."""

    id: str
    text: str
    links: tuple[Link, ...]
