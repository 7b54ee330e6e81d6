"""The scores of one mention taken apart: they are sums, so that each term has its share exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from entlink import decide
from entlink.bundle import Bundle
from entlink.explain.parts import Window
from entlink.inputs import EntityInput, entity_inputs
from entlink.kb.store import KnowledgeBase
from entlink.records import Document, Entity, Mention
from entlink.rerank.cross_encoder import PairReader
from entlink.retrieve.dense import Retrieved, Retriever

Floats = NDArray[np.float64]
NIL_PLACE = -1  # where a candidate's place is asked for
_ROUNDING = 1e-9  # of a logarithm


class Scores(Protocol):
    """What `Linker.score` says of a mention (entlink.scoring.Scored)."""

    @property
    def retrieved(self) -> Retrieved: ...
    @property
    def first(self) -> Floats: ...
    @property
    def logits(self) -> NDArray[np.float32]: ...
    @property
    def probabilities(self) -> Floats: ...
    def order(self) -> NDArray[np.int64]: ...


class Scorer(Protocol):
    """What is asked of a linker; `entlink.linker.Linker` has it."""

    bundle: Bundle
    kb: KnowledgeBase
    retriever: Retriever
    reranker: PairReader | None
    decision: decide.Decision

    def prepare(
        self, documents: Sequence[Document]
    ) -> tuple[Sequence[Any], Sequence[Sequence[Mention]]]: ...

    def score(
        self,
        mentions: Sequence[tuple[str, Mention]],
        *,
        documents: Sequence[int] | None = None,
        candidates: Sequence[NDArray[np.int64]] | None = None,
    ) -> Sequence[Scores]: ...


@dataclass(frozen=True, slots=True)
class Base:
    """The mention's scores as they are, and the two candidates whose odds are watched."""

    window: Window
    scores: Scores
    entities: tuple[Entity, ...]  # of all k candidates
    answer: int  # place of the answer among them, or NIL_PLACE
    rival: int
    views: tuple[str, ...]  # of an entity, of which the retriever has vectors

    def inputs(self, entity: Entity) -> list[EntityInput]:
        """What the entity tower gets: one for each of the entity's vectors."""
        return entity_inputs(entity, self.views)

    def watched(self) -> list[int]:
        """The places of those of the two that are entities."""
        return [place for place in (self.answer, self.rival) if place != NIL_PLACE]


@dataclass(frozen=True, slots=True)
class Terms:
    """The evidence of one mention's k candidates, and the terms of their scores.

    A candidate's score is the sum of its row of terms, NIL's that of its own; the probabilities are
    their softmax. ``final`` is None where no pair was read.
    """

    features: Floats  # (k, n first features)
    first: Floats  # (k, n first features): features times weights
    first_nil: Floats  # (n first features of NIL,)
    read: NDArray[np.int64]  # places of the candidates that were read
    final: Floats | None  # (n read, n features)
    final_nil: Floats | None
    probabilities: Floats  # (k + 1,) NIL last
    alone: Floats  # (k + 1,) after reading, before the document was looked at for the last time
    first_probabilities: Floats  # (k + 1,) before reading
    has_document: bool  # other mentions may have moved the probabilities

    @classmethod
    def of(
        cls,
        decision: decide.Decision,
        evidence: decide.Evidence,
        logits: NDArray[np.float32],
        together: tuple[Floats, Floats] | None = None,
    ) -> Terms:
        """``logits`` are (k,), NaN where the pair is not read.

        ``together`` are the probabilities (k + 1,) after the document passes before and after
        reading; None: the mention is decided for itself.
        """
        read = np.flatnonzero(np.isfinite(logits)).astype(np.int64)
        features, nil = decide.first_features(evidence)
        before, end = together or (decide.first_probabilities(decision, evidence), None)
        after = decide.final_probabilities(decision, evidence, before, read, logits[read])
        final = final_nil = None
        if len(read):
            x, nil_x = decide.final_features(features[read], nil, logits[read])
            final = x * np.asarray(decision.final)
            final_nil = nil_x * np.asarray(decision.final_nil)
        return cls(
            features=features,
            first=features * np.asarray(decision.first),
            first_nil=nil * np.asarray(decision.first_nil),
            read=read,
            final=final,
            final_nil=final_nil,
            probabilities=after if end is None else end,
            alone=after,
            first_probabilities=before,
            has_document=together is not None,
        )

    def log_odds(self, place: int, against: int) -> float:
        """The logarithm of one probability over the other; NIL_PLACE is NIL."""
        return float(sum(self.contributions(place, against).values()))

    def contributions(self, place: int, against: int) -> dict[str, float]:
        """By feature, what the log-odds of a candidate against another are the sum of."""
        terms = self._by_itself(place, against)
        if self.has_document:  # networks of features and surroundings: they have no terms
            both = _log(self.probabilities[place]) - _log(self.probabilities[against])
            document = both - sum(terms.values())
            if abs(document) > _ROUNDING:
                terms["document"] = document
        return terms

    def _by_itself(self, place: int, against: int) -> dict[str, float]:
        was_read = {*self.read.tolist(), NIL_PLACE} if len(self.read) else set()
        if place in was_read and against in was_read:
            return _difference(self._final(place), self._final(against))
        terms = _difference(self._first(place), self._first(against))
        if place in was_read or against in was_read:
            # reading shares out among those read what they had before: it moves one of the two
            terms["was_read"] = self._moved(place) - self._moved(against)
        return terms

    def _moved(self, place: int) -> float:
        return _log(self.alone[place]) - _log(self.first_probabilities[place])

    def _first(self, place: int) -> dict[str, float]:
        if place == NIL_PLACE:
            return dict(zip(decide.NIL_FEATURES, self.first_nil.tolist(), strict=False))
        return dict(zip(decide.CANDIDATE_FEATURES, self.first[place].tolist(), strict=False))

    def _final(self, place: int) -> dict[str, float]:
        assert self.final is not None and self.final_nil is not None
        if place == NIL_PLACE:
            return dict(zip(decide.NIL_FEATURES, self.final_nil.tolist(), strict=True))
        row = self.final[int(np.searchsorted(self.read, place))]
        return dict(zip(decide.CANDIDATE_FEATURES, row.tolist(), strict=True))


def _log(probability: float) -> float:
    return float(np.log(max(probability, np.finfo(np.float64).tiny)))


def _difference(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = dict.fromkeys((*one, *other))
    return {name: one.get(name, 0.0) - other.get(name, 0.0) for name in names}
