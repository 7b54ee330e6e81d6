"""The scores of mentions: retrieve -> weigh together -> rerank -> weigh together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from entlink import decide
from entlink.documents import around
from entlink.inputs import mention_input, pair_context
from entlink.kb.store import KnowledgeBase
from entlink.records import Mention

if TYPE_CHECKING:
    from entlink.rerank.cross_encoder import PairReader
    from entlink.retrieve.dense import Retrieved, Retriever

N_CANDIDATES = 100  # retrieved for a mention
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """All k candidates of one mention as they were retrieved, and what each stage said of them."""

    retrieved: Retrieved
    first: Floats  # (k + 1,) probabilities before reading, NIL last
    logits: NDArray[np.float32]  # (k,) the reranker's, NaN where the pair was not read
    alone: Floats  # (k + 1,) probabilities before the document pass, NIL last
    probabilities: Floats  # (k + 1,) NIL last

    def order(self) -> NDArray[np.int64]:
        """Places of the candidates by falling probability, ties by KB row."""
        return np.lexsort((self.retrieved.rows, -self.probabilities[:-1]))


class MentionScorer:
    """Scores the candidates of mentions, those of one document together."""

    def __init__(
        self,
        kb: KnowledgeBase,
        retriever: Retriever,
        reranker: PairReader | None,
        decision: decide.Decision,
        *,
        exact: bool = False,
    ) -> None:
        self.kb = kb
        self.retriever = retriever
        self.reranker = reranker
        self.decision = decision
        self.exact = exact  # read every candidate, not only those that can still win
        self.seconds: dict[str, float] = {}  # spent in each stage so far

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

    def score(
        self,
        mentions: Sequence[tuple[str, Mention]],
        *,
        documents: Sequence[int] | None = None,
        candidates: Sequence[NDArray[np.int64]] | None = None,
    ) -> list[Scored]:
        """Retrieve, decide what to read, read it, and share out the probabilities.

        Takes (text of the document, mention) pairs. ``documents`` has the number of each mention's
        document, so that its mentions are seen together (default: each is alone). ``candidates``
        are rows of the KB for each mention, to be ranked in place of what would be retrieved.
        """
        inputs = [
            mention_input(text, m.start, m.end, label=m.label, full_name=m.full_name)
            for text, m in mentions
        ]
        with self._timed("retrieve"):
            if candidates is None:
                distinct = list(dict.fromkeys(inputs))  # an explanation has the same many times
                retrieved = self.retriever.retrieve(distinct, k=N_CANDIDATES)
                once = dict(zip(distinct, retrieved, strict=True))
                found = [once[item] for item in inputs]
            else:
                found = self.retriever.rank(inputs, candidates)
        evidence = [self.retriever.evidence(candidates) for candidates in found]
        with self._timed("document"):
            first = self._first(mentions, documents, found, evidence)
        read = [self._to_read(probabilities) for probabilities in first]
        with self._timed("rerank"):
            logits = self._read(mentions, found, read)
        alone = [
            decide.final_probabilities(self.decision, *known)
            for known in zip(evidence, first, read, logits, strict=True)
        ]
        with self._timed("document"):
            final = self._final(mentions, documents, found, evidence, alone, read, logits)
        scored = []
        for i, (r, places, values) in enumerate(zip(found, read, logits, strict=True)):
            all_logits = np.full(len(r.rows), np.nan, dtype=np.float32)
            all_logits[places] = values
            scored.append(Scored(r, first[i], all_logits, alone[i], final[i]))
        return scored

    def _first(
        self,
        mentions: Sequence[tuple[str, Mention]],
        documents: Sequence[int] | None,
        found: Sequence[Retrieved],
        evidence: Sequence[decide.Evidence],
    ) -> list[Floats]:
        """The probabilities of each mention before reading."""
        first = [decide.first_probabilities(self.decision, e) for e in evidence]
        if self.decision.early is None:
            return first
        places = [decide.early_places(p) for p in first]
        others = self._around(mentions, documents, found, places, first)
        return [
            decide.early_probabilities(self.decision, *known)
            for known in zip(evidence, first, places, others, strict=True)
        ]

    def _final(
        self,
        mentions: Sequence[tuple[str, Mention]],
        documents: Sequence[int] | None,
        found: Sequence[Retrieved],
        evidence: Sequence[decide.Evidence],
        alone: Sequence[Floats],
        read: Sequence[NDArray[np.int64]],
        logits: Sequence[NDArray[np.float32]],
    ) -> list[Floats]:
        """The probabilities of each mention in the end."""
        if self.decision.coherence is None:
            return list(alone)
        others = self._around(mentions, documents, found, read, alone)
        return [
            decide.document_probabilities(self.decision, *known)
            for known in zip(evidence, alone, read, logits, others, strict=True)
        ]

    def _to_read(self, probabilities: Floats) -> NDArray[np.int64]:
        if self.reranker is None:
            return np.zeros(0, dtype=np.int64)
        if self.exact:
            return np.argsort(-probabilities[:-1], kind="stable")
        return decide.to_read(self.decision, probabilities)

    def _read(
        self,
        mentions: Sequence[tuple[str, Mention]],
        found: Sequence[Retrieved],
        read: Sequence[NDArray[np.int64]],
    ) -> list[NDArray[np.float32]]:
        """The reranker's logits for the chosen places of each mention, in the order of ``read``."""
        if self.reranker is None:
            return [np.zeros(len(places), dtype=np.float32) for places in read]
        from entlink.rerank.reading import read_candidates

        contexts = [pair_context(t, m.start, m.end, full_name=m.full_name) for t, m in mentions]
        chosen = [r.rows[places] for r, places in zip(found, read, strict=True)]
        return read_candidates(self.reranker, self.kb, contexts, chosen)

    def _around(
        self,
        mentions: Sequence[tuple[str, Mention]],
        documents: Sequence[int] | None,
        found: Sequence[Retrieved],
        places: Sequence[NDArray[np.int64]],
        probabilities: Sequence[Floats],
    ) -> list[Floats]:
        """What each mention's document says of the candidates at these places."""
        names = [mention.text for _, mention in mentions]
        numbers = range(len(mentions)) if documents is None else documents
        return around(self.retriever, names, numbers, found, places, probabilities)
