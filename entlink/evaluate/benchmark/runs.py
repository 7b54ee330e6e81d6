"""Runs systems on sets; every result is a file, so that an interrupted benchmark goes on."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from entlink.errors import InputError, reason
from entlink.evaluate.benchmark.machine import commit
from entlink.evaluate.benchmark.peer import Answer, Kind, Peer
from entlink.evaluate.formats.files import replacing
from entlink.evaluate.formats.gold import GoldDocument
from entlink.evaluate.metrics import Outcome
from entlink.evaluate.run import given_document
from entlink.evaluate.sets import GoldSet, Span, check_reachable
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL, Document

_DOCUMENTS = 64  # given at a time
_FORMAT = 1
Sample = Mapping[str, frozenset[Span]]  # set -> mentions


@dataclass(frozen=True, slots=True)
class Run:
    """What one system did on one set over one KB."""

    peer: str
    gold: str  # the set
    docs: tuple[str, ...]  # all documents of the set that were given
    outcomes: tuple[Outcome, ...]
    seconds: float  # to answer all of them, after one document that is not timed
    preparing_s: float  # to load models and to index the KB
    commit: str  # of entlink, when it ran
    date: str


@dataclass(frozen=True, slots=True)
class Bench:
    """What systems are run on, and where their results are kept."""

    kb: KnowledgeBase
    sets: Sequence[GoldSet]
    sample: Sample
    folder: Path
    threads: int
    again: bool = False  # even where there are results
    told: Callable[[str], None] = lambda _: None

    def run(self, peer: Peer, *, only_retrieval: bool = False) -> list[Run]:
        """The results on every set that the system has answers for, read or made."""
        runs: list[Run] = []
        preparing: float | None = None
        for gold in self.sets:
            if peer.sets is not None and gold.name not in peer.sets:
                continue
            given = self._given(gold, peer.kind)
            if not any(doc.mentions for doc in given):
                continue
            key = self._key(peer, gold, given, only_retrieval=only_retrieval)
            path = self.folder / self.kb.digest[:12] / _slug(peer.name) / f"{_slug(gold.name)}.json"
            found = None if self.again else _read(path, key)
            if found is None:
                if preparing is None:
                    preparing = self._prepare(peer)
                    peer.answer(given[:1])  # what is loaded at first use is not timed
                found = self._measure(peer, gold, given, preparing)
                _write(path, found, key)
                self.told(_line(found, "run"))
            else:
                self.told(_line(found, "kept"))
            runs.append(found)
        return runs

    def _prepare(self, peer: Peer) -> float:
        self.told(f"{peer.name}: preparing over {len(self.kb):,} entities")
        started = time.perf_counter()
        peer.prepare(self.kb)
        return time.perf_counter() - started

    def _given(self, gold: GoldSet, kind: Kind) -> list[Document]:
        documents = [given_document(doc) for doc in gold.documents]
        if kind is not Kind.SAMPLED:
            return documents
        kept = self.sample[gold.name]
        cut = [
            replace(
                doc,
                mentions=tuple(m for m in doc.mentions or () if (doc.id, m.start, m.end) in kept),
            )
            for doc in documents
        ]
        return [doc for doc in cut if doc.mentions]

    def _measure(
        self, peer: Peer, gold: GoldSet, given: Sequence[Document], preparing: float
    ) -> Run:
        answers: list[list[Answer]] = []
        started = time.perf_counter()
        for begin in range(0, len(given), _DOCUMENTS):
            answers += peer.answer(given[begin : begin + _DOCUMENTS])
        seconds = time.perf_counter() - started
        entities = {(doc.id, m.start, m.end): entity for doc, m, entity in gold.mentions()}
        rows = self.kb.rows_of(sorted(set(entities.values())))
        check_reachable(gold, rows, f"of {len(self.kb):,} entities")
        outcomes = tuple(
            _outcome((doc.id, m.start, m.end), entities[doc.id, m.start, m.end], answer, rows)
            for doc, some in zip(given, answers, strict=True)
            for m, answer in zip(doc.mentions or (), some, strict=True)
        )
        docs = tuple(doc.id for doc in given)
        now = datetime.now(UTC).strftime("%Y-%m-%d")
        return Run(peer.name, gold.name, docs, outcomes, seconds, preparing, commit(), now)

    def _key(
        self, peer: Peer, gold: GoldSet, given: Sequence[Document], *, only_retrieval: bool
    ) -> dict[str, Any]:
        """What a result depends on."""
        digest = hashlib.sha256()
        for doc in given:
            spans = [(m.start, m.end) for m in doc.mentions or ()]
            digest.update(orjson.dumps([doc.id, doc.text, spans]))
        golds = [[doc.id, m.start, m.end, entity] for doc, m, entity in gold.mentions()]
        digest.update(orjson.dumps(golds))
        return {
            "format": _FORMAT,
            "peer": peer.name,
            "settings": dict(peer.settings()),
            "kb": self.kb.digest,
            "mentions": digest.hexdigest(),
            "threads": self.threads,
            "only_retrieval": only_retrieval,
        }


def fixed_sample(sets: Sequence[GoldSet], kb: KnowledgeBase, *, n: int) -> Sample:
    """Of each set the same number of in-KB mentions, n in all; always the same ones.

    Of a set with fewer, all.
    """
    share = n // max(1, len(sets))
    sample = {}
    for gold in sets:
        known = kb.rows_of(sorted({entity for _, _, entity in gold.mentions()}))
        spans = [(d.id, m.start, m.end) for d, m, entity in gold.mentions() if entity in known]
        spans.sort(key=lambda span: _hash(gold.name, *span))
        sample[gold.name] = frozenset(spans[:share])
    return sample


def limited(gold: GoldSet, n: int | None) -> GoldSet:
    """Whole documents of a set, always the same ones, until they have n mentions."""
    if n is None:
        return gold
    n_kept, kept = 0, set()
    for doc in sorted(gold.documents, key=lambda doc: _hash(gold.name, doc.id)):
        n_here = sum(m.entity is not None for m in doc.mentions)
        if n_here and n_kept < n:
            kept.add(doc.id)
            n_kept += n_here
    documents: tuple[GoldDocument, ...] = tuple(d for d in gold.documents if d.id in kept)
    return replace(gold, documents=documents)


def _hash(*parts: object) -> str:
    return hashlib.sha256("\t".join(map(str, parts)).encode()).hexdigest()


def _outcome(span: Span, gold: str, answer: Answer, rows: Mapping[str, int]) -> Outcome:
    places = (answer.rows == rows.get(gold, -1)).nonzero()[0]
    return Outcome(
        *span,
        gold,
        in_kb=gold in rows,
        rank=int(places[0]) if len(places) else None,
        top=answer.top,
        top_probability=0.0,  # not every system has one
        answer=answer.top or NIL,
        n_pairs=answer.n_pairs,
    )


def _line(run: Run, what: str) -> str:
    right = sum(o.top_is_gold for o in run.outcomes)
    n = sum(o.in_kb for o in run.outcomes)
    share = f"{right:,} of {n:,} in-KB mentions right"
    return f"{run.peer}: {run.gold}: {share}, {run.seconds:.1f} s ({what})"


_KEPT = [f.name for f in fields(Outcome) if f.name not in ("popular", "groups", "top_probability")]


def _write(path: Path, run: Run, key: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    value = asdict(run) | {
        "key": key,
        "outcomes": [[getattr(o, name) for name in _KEPT] for o in run.outcomes],
    }
    with replacing(path) as file:
        file.write(orjson.dumps(value))


def _read(path: Path, key: Mapping[str, Any]) -> Run | None:
    """The result in a file, None if there is none or it is of another key."""
    if not path.is_file():
        return None
    try:
        value = orjson.loads(path.read_bytes())
        if value.pop("key") != orjson.loads(orjson.dumps(key)):
            return None
        outcomes = tuple(
            Outcome(**dict(zip(_KEPT, row, strict=True)), top_probability=0.0)
            for row in value.pop("outcomes")
        )
        return Run(**value | {"docs": tuple(value["docs"]), "outcomes": outcomes})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: not a result of this benchmark ({reason(error)}); delete it, and it is made "
            "again"
        ) from error


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
