"""Measures a linker on sets of texts with gold mentions."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from entlink.documents import portions
from entlink.evaluate.detection import count_spans
from entlink.evaluate.formats.gold import GoldDocument, GoldMention
from entlink.evaluate.groups import Groups
from entlink.evaluate.metrics import Outcome, SpanCounts
from entlink.evaluate.sets import Candidates, GoldSet, check_reachable
from entlink.linker import Linker
from entlink.records import NIL, Document, Mention
from entlink.scoring import Scored

_LABELS = frozenset(("PER", "LOC", "ORG", "MISC"))  # a source's other words would mislead a model
_DOCUMENTS = 64  # labelled at a time, as in use


@dataclass(frozen=True, slots=True)
class Measured:
    """What a linker did on one set."""

    gold: GoldSet
    outcomes: tuple[Outcome, ...]  # of all gold mentions that have an answer, in order
    seconds: float  # to link them, their spans being given
    spans: tuple[SpanCounts, ...] = ()  # end to end: of every document
    span_seconds: float = 0.0
    n_listed: int | None = None  # mentions that have a list of given candidates


def measure(
    linker: Linker,
    gold: GoldSet,
    *,
    candidates: Candidates | None = None,
    seen: Collection[str] | None = None,
    end_to_end: bool = False,
    progress: bool = False,
) -> Measured:
    """Link the gold mentions of a set and, ``end_to_end``, its bare texts too.

    ``candidates`` are ranked in place of what the retriever finds; a mention without a list has
    none. ``seen`` are ids that a model was trained on. Raises InputError if the KB knows no gold.
    """
    groups = Groups(linker.kb, gold, seen=seen)
    kb = f"{linker.bundle.path.name} ({len(linker.kb):,} entities)"
    check_reachable(gold, groups.rows, kb)
    score_documents(linker, [given_document(doc) for doc in gold.documents[:1]])  # loads the rest
    linker.seconds.clear()  # the stages' times are those of what is measured
    outcomes, seconds = _link_given(linker, gold, groups, candidates, progress=progress)
    listed = None
    if candidates is not None:
        listed = sum((d.id, m.start, m.end) in candidates for d, m, _ in gold.mentions())
    spans: tuple[SpanCounts, ...] = ()
    span_seconds = 0.0
    if end_to_end:
        spans, span_seconds = _link_found(linker, gold, groups, progress=progress)
    return Measured(gold, outcomes, seconds, spans, span_seconds, listed)


def _link_given(
    linker: Linker,
    gold: GoldSet,
    groups: Groups,
    candidates: Candidates | None,
    *,
    progress: bool,
) -> tuple[tuple[Outcome, ...], float]:
    outcomes: list[Outcome] = []
    seconds = 0.0
    rows = None if candidates is None else _rows_of(linker, candidates)
    nothing = np.zeros(0, dtype=np.int64)
    n_mentions = sum(1 for _ in gold.mentions())
    with tqdm(total=n_mentions, unit=" mentions", desc=gold.name, disable=not progress) as bar:
        for documents in _batches(gold.documents):
            golds = [
                (doc.id, m.start, m.end, entity)
                for doc, m, entity in replace(gold, documents=documents).mentions()
            ]
            given = None if rows is None else [rows.get(g[:3], nothing) for g in golds]
            started = time.perf_counter()
            scored = score_documents(linker, [given_document(d) for d in documents], given)
            seconds += time.perf_counter() - started
            surfaces = [d.text[m.start : m.end] for d in documents for m in _answered(d)]
            outcomes += _outcomes(linker, golds, surfaces, scored, groups)
            bar.update(len(golds))
    return tuple(outcomes), seconds


def _link_found(
    linker: Linker, gold: GoldSet, groups: Groups, *, progress: bool
) -> tuple[tuple[SpanCounts, ...], float]:
    documents = [Document(doc.id, doc.text) for doc in gold.documents]
    bar = tqdm(documents, unit=" documents", desc=gold.name, disable=not progress)
    started = time.perf_counter()
    counts = []
    for doc, linked in zip(gold.documents, linker.stream(bar, n_candidates=1), strict=True):
        found = {(link.mention.start, link.mention.end): link.entity_id for link in linked.links}
        counts.append(count_spans(doc, found, in_kb=groups.rows.__contains__))
    return tuple(counts), time.perf_counter() - started


def _batches(documents: Sequence[GoldDocument]) -> Iterator[tuple[GoldDocument, ...]]:
    source = iter(documents)
    while batch := tuple(islice(source, _DOCUMENTS)):
        yield batch


def given_document(doc: GoldDocument) -> Document:
    """A document with its gold mentions that have an answer, as they are given to be linked."""
    mentions = [
        Mention(m.start, m.end, doc.text[m.start : m.end], m.label if m.label in _LABELS else "")
        for m in _answered(doc)
    ]
    return Document(doc.id, doc.text, tuple(mentions))


def _answered(doc: GoldDocument) -> list[GoldMention]:
    return [m for m in doc.mentions if m.entity is not None]


def score_documents(
    linker: Linker,
    documents: Sequence[Document],
    candidates: Sequence[NDArray[np.int64]] | None = None,
) -> list[Scored]:
    """What a linker finds out about all mentions of documents, prepared as in use.

    ``candidates`` are rows of the KB for each mention, in place of what would be retrieved.
    """
    _, found = linker.prepare(documents)
    scored: list[Scored] = []
    for mentions, numbers in portions([doc.text for doc in documents], found):
        given = None if candidates is None else candidates[len(scored) :][: len(mentions)]
        scored += linker.score(mentions, documents=numbers, candidates=given)
    return scored


def _rows_of(
    linker: Linker, candidates: Candidates
) -> dict[tuple[str, int, int], NDArray[np.int64]]:
    """The given candidates by row of the KB; those that it does not know cannot be ranked."""
    known = linker.kb.rows_of(sorted({id for ids in candidates.values() for id in ids}))
    return {
        span: np.asarray([known[id] for id in ids if id in known], dtype=np.int64)
        for span, ids in candidates.items()
    }


def _outcomes(
    linker: Linker,
    golds: Sequence[tuple[str, int, int, str]],
    surfaces: Sequence[str],
    scored: Sequence[Scored],
    groups: Groups,
) -> Iterator[Outcome]:
    orders = [s.order() for s in scored]
    tops = [
        int(s.retrieved.rows[o[0]]) if len(o) else -1 for s, o in zip(scored, orders, strict=True)
    ]
    ranked = [before_reading(s) for s in scored]
    rivals = [
        _rival(rows, groups.rows.get(gold, -1))
        for (*_, gold), rows in zip(golds, ranked, strict=True)
    ]
    rows = sorted({*tops, *rivals} - {-1})
    entities = dict(zip(rows, linker.kb.by_rows(rows), strict=True))
    for (doc, start, end, gold), surface, s, order, row, before, rival in zip(
        golds, surfaces, scored, orders, tops, ranked, rivals, strict=True
    ):
        top = entities[row].id if row >= 0 else None
        probability = float(s.probabilities[order[0]]) if len(order) else 0.0
        is_link = top is not None and probability >= linker.decision.nil_threshold
        yield Outcome(
            doc,
            start,
            end,
            gold,
            in_kb=gold in groups.rows,
            rank=_rank(before, groups.rows.get(gold, -1)),
            top=top,
            top_probability=probability,
            answer=top if top is not None and is_link else NIL,
            n_pairs=int(np.isfinite(s.logits).sum()),
            popular=groups.popular(surface),
            groups=groups.of(surface, gold, entities.get(rival)),
        )


def before_reading(scored: Scored) -> NDArray[np.int64]:
    """The rows of all candidates in the order of what was known before any pair was read."""
    rows = scored.retrieved.rows
    return rows[np.lexsort((rows, -scored.first[:-1]))]


def _rival(ranked: NDArray[np.int64], gold: int) -> int:
    """The likeliest row before reading that is not the gold one; -1 if there is no other."""
    others = [row for row in ranked[:2].tolist() if row != gold]
    return others[0] if others else -1


def _rank(ranked: NDArray[np.int64], gold: int) -> int | None:
    """The place of the gold row before any pair was read, from 0."""
    places = np.flatnonzero(ranked == gold)
    return int(places[0]) if len(places) else None


def peak_rss_mb() -> float:
    """The most memory this process has held, in MB of 2^20 bytes; 0 where that is not to be had."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
