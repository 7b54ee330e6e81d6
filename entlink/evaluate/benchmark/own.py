"""entlink itself among the systems: whole, its retriever alone, uncut, and on bare texts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from functools import cache, cached_property
from typing import Any

import numpy as np

from entlink.backends import load_reranker
from entlink.bundle import Bundle
from entlink.evaluate.benchmark.machine import PACKAGE
from entlink.evaluate.benchmark.peer import Answer, Kind
from entlink.evaluate.run import before_reading, score_documents
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import NIL, Document
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.hybrid import Hybrid, RetrievalConfig
from entlink.scoring import Scored

_NOT_LINKING = ("cli", "evaluate", "corpus", "analyse", "train", "component")


@cache
def code_digest() -> str:
    """SHA-256 over the source of what links; results of other code are not taken for its own."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.split("/")[0].removesuffix(".py") not in _NOT_LINKING:
            digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


class Mode(Enum):
    """How much of entlink is run."""

    WHOLE = "entlink"
    RETRIEVER = "entlink, retriever alone"
    EXACT = "entlink, every pair read"
    FINDS = "entlink, own mentions"


class Own:
    """A bundle, over its own KB or, its retriever alone, over another one."""

    is_timed = True

    def __init__(
        self,
        bundle: Bundle,
        mode: Mode,
        *,
        device: str,
        threads: int,
        backend: str = "auto",
        sets: Collection[str] | None = None,
    ) -> None:
        self.name = mode.value
        self.kind = {Mode.EXACT: Kind.SAMPLED, Mode.FINDS: Kind.FINDS}.get(mode, Kind.GIVEN)
        self.is_retriever = mode is Mode.RETRIEVER
        self.sets = sets
        self._mode = mode
        self._bundle = bundle
        self._load: dict[str, Any] = {"device": device, "threads": threads, "backend": backend}
        self._linker: Linker | None = None

    @cached_property
    def _reader(self) -> str:
        """What reads the pairs: "auto" depends on what was made on this machine."""
        if self.is_retriever:
            return "nothing"
        kb = KnowledgeBase.open(self._bundle.path)
        device, backend = self._load["device"], self._load["backend"]
        reader = load_reranker(self._bundle, kb, backend=backend, device=_torch_name(device))
        return "nothing" if reader is None else reader.backend

    @property
    def about(self) -> str:
        """Its parts, and what reads the pairs."""
        return {
            Mode.WHOLE: f"retriever, and a cascade that reads few pairs ({self._reader})",
            Mode.RETRIEVER: "nothing is read",
            Mode.EXACT: f"the reranker reads every candidate ({self._reader})",
            Mode.FINDS: f"on bare texts, mentions by its own detector ({self._reader})",
        }[self._mode]

    def settings(self) -> Mapping[str, object]:
        """Bundle, code, and what reads the pairs."""
        return {
            "bundle": self._bundle.digest,
            "code": code_digest(),
            "device": self._load["device"],
            "reader": self._reader,
        }

    def prepare(self, kb: KnowledgeBase) -> None:
        """Load the bundle; over another KB than its own, encode that one's entities."""
        exact = self._mode is Mode.EXACT
        linker = Linker.load(self._bundle, exact=exact, **self._load)
        if linker.kb.digest != kb.digest:
            linker = _over(kb, linker)
        if self.is_retriever:
            linker = linker.without_reranker()
        self._linker = linker

    def answer(self, documents: Sequence[Document]) -> list[list[Answer]]:
        """Link the mentions given, or those found."""
        assert self._linker is not None
        if self._mode is Mode.FINDS:
            return _found(self._linker, documents)
        scored = score_documents(self._linker, documents)
        answers = iter(_answers(self._linker, scored))
        return [[next(answers) for _ in doc.mentions or ()] for doc in documents]


def _torch_name(device: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _over(kb: KnowledgeBase, linker: Linker) -> Linker:
    encoder = linker.retriever.encoder
    hybrid = Hybrid.of(RetrievalConfig.load(linker.bundle.path), kb)
    retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder), hybrid=hybrid)
    return Linker(linker.bundle, kb, retriever, None, linker.decision)


def _answers(linker: Linker, scored: Sequence[Scored]) -> list[Answer]:
    tops = [int(s.retrieved.rows[s.order()[0]]) if len(s.retrieved.rows) else -1 for s in scored]
    rows = sorted(set(tops) - {-1})
    ids = {row: entity.id for row, entity in zip(rows, linker.kb.by_rows(rows), strict=True)}
    return [
        Answer(before_reading(s), ids.get(top), int(np.isfinite(s.logits).sum()))
        for s, top in zip(scored, tops, strict=True)
    ]


def _found(linker: Linker, documents: Sequence[Document]) -> list[list[Answer]]:
    bare = [Document(doc.id, doc.text) for doc in documents]
    nothing = np.zeros(0, dtype=np.int64)
    answers = []
    for doc, linked in zip(documents, linker.link(bare, n_candidates=1), strict=True):
        found = {(k.mention.start, k.mention.end): k.entity_id for k in linked.links}
        tops = [found.get((m.start, m.end), NIL) for m in doc.mentions or ()]
        answers.append([Answer(nothing, None if top == NIL else top) for top in tops])
    return answers
