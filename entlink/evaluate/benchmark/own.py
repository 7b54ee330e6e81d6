"""entlink itself as one of the systems: whole, its retriever alone, and on bare texts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

import entlink
from entlink.bundle import open_bundle
from entlink.decide import Decision
from entlink.encode.dual import DualEncoder
from entlink.evaluate.benchmark.peer import Answer, Kind
from entlink.evaluate.run import before_reading, score_documents
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker, Scored
from entlink.records import NIL, Document
from entlink.retrieve.dense import Retriever, SurfaceVectors

_NOT_LINKING = ("cli", "evaluate", "corpus", "analyse", "train", "component")


@cache
def code_digest() -> str:
    """SHA-256 over the source of what links; results of other code are not taken for its own."""
    package = Path(entlink.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name.split("/")[0].removesuffix(".py") not in _NOT_LINKING:
            digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


class Own:
    """A bundle, over its own KB or over another one; ``reads``: with its reranker."""

    sets: Collection[str] | None = None
    is_timed = True

    def __init__(
        self, bundle: str | None, *, device: str, threads: int, reads: bool, finds: bool = False
    ) -> None:
        self.name = "entlink" if reads else "entlink, retriever alone"
        self.about = "retriever and cascade of a cross-encoder" if reads else "nothing is read"
        if finds:
            self.name, self.about = "entlink, own mentions", "mentions found by its detector"
        self.kind = Kind.FINDS if finds else Kind.GIVEN
        self.is_retriever = not reads
        self._bundle = bundle
        self._device = device
        self._threads = threads
        self._linker: Linker | None = None

    def settings(self) -> Mapping[str, object]:
        """Bundle and code."""
        digest = open_bundle(self._bundle).digest
        return {"bundle": digest, "code": code_digest(), "device": self._device}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Load the bundle; over another KB than its own, encode that one's entities."""
        linker = Linker.load(self._bundle, device=self._device, threads=self._threads)
        if linker.kb.digest != kb.digest:
            linker = _over(kb, linker.bundle.path, linker)
        if self.is_retriever:
            linker.reranker = None
        self._linker = linker

    def answer(self, documents: Sequence[Document]) -> list[list[Answer]]:
        """Link the mentions given, or those found."""
        assert self._linker is not None
        if self.kind is Kind.FINDS:
            return _found(self._linker, documents)
        scored = score_documents(self._linker, documents)
        answers = iter(_answers(self._linker, scored))
        return [[next(answers) for _ in doc.mentions or ()] for doc in documents]


def _over(kb: KnowledgeBase, path: Path, linker: Linker) -> Linker:
    encoder = DualEncoder.load(path / "retriever")
    retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder))
    return Linker(linker.bundle, kb, retriever, None, Decision.load(path / "decision.json"))


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
