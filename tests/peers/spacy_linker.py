"""spaCy's own entity_linker: exact aliases, priors, the sentence against entity vectors."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from entlink.errors import InputError
from entlink.evaluate.benchmark.peer import MAX_CANDIDATES, Answer
from entlink.inputs import sentence_around
from entlink.kb.store import KnowledgeBase
from entlink.records import Mention
from entlink.train.data import Example
from tests.peers.base import NOTHING, Base, base_model, digest_of, folder, model_digest
from tests.peers.zero_shot import SentenceEncoder, entity_vectors

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.pipeline.entity_linker import EntityLinker
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

DIMENSIONS = 128  # of entity vectors: the first principal ones of sentence embeddings
_SMOOTH = 0.1  # share of a prior that follows popularity, for names that were never counted
_BATCH = 128
_FILES = ("model.bin", "projection.npy", "training.json")


class SpacyLinker(Base):
    """``entity_linker`` as trained by ``train`` below."""

    name = "spaCy entity_linker"
    is_retriever = False  # its candidates are those of the exact alias

    def __init__(self, *, device: str, model: str | None = None) -> None:
        self._device = device
        self._base = model or base_model()
        self._folder = folder() / "spacy"
        self.about = (
            "exact aliases and spaCy's own entity_linker; entity vectors are sentence embeddings "
            f"of the descriptions{trained_for(self._folder)}"
        )

    def settings(self) -> Mapping[str, object]:
        """Its weights."""
        weights = digest_of(self._folder)
        return {**super().settings(), "weights": weights, "model": model_digest(self._base)}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Load the weights, and make spaCy's KB of ours."""
        check_trained(self._folder, _FILES, "spacy")
        mean, axes = np.split(np.load(self._folder / "projection.npy", allow_pickle=False), [1])
        encoder = SentenceEncoder(self._base, device=self._device)
        vectors = _project(entity_vectors(kb, encoder, self._base), mean, axes)
        self._aliases = Aliases.of(kb)
        self._nlp, self._linker = pipeline(kb, vectors, self._aliases)
        self._linker.model.from_disk(self._folder / "model.bin")
        self._rows = {e.id: row for row, e in enumerate(e for b in kb.iterate() for e in b)}

    def link(self, mentions: Sequence[tuple[str, Mention]]) -> list[Answer]:
        """Of the bearers of exactly that name the one it prefers."""
        random.seed(0)  # it shuffles candidates
        docs = [make_doc(self._nlp, text, m.start, m.end, "") for text, m in mentions]
        answers = []
        for doc, (_, mention) in zip(docs, mentions, strict=True):
            (found,) = self._linker.predict([doc])
            rows = self._aliases.rows.get(mention.text, NOTHING)[:MAX_CANDIDATES]
            answers.append(Answer(rows, found if found in self._rows else None))
        return answers


class Aliases:
    """Exact names, who bears them, and how likely each is meant."""

    def __init__(
        self, rows: dict[str, NDArray[np.int64]], probabilities: dict[str, NDArray[np.float64]]
    ) -> None:
        self.rows = rows  # by falling probability
        self.probabilities = probabilities

    @classmethod
    def of(cls, kb: KnowledgeBase) -> Aliases:
        """Priors where uses were counted, mixed with popularity."""
        bearers: dict[str, list[int]] = {}
        for row, entity in enumerate(e for some in kb.iterate() for e in some):
            for name in dict.fromkeys((entity.name, *entity.aliases)):
                bearers.setdefault(name, []).append(row)
        weights = 10.0 ** np.nan_to_num(kb.popularity.astype(np.float64), nan=0.0)
        hits = kb.by_aliases(list(bearers))
        rows, probabilities = {}, {}
        for name, own in bearers.items():
            priors = {hit.row: hit.prior for hit in hits[name]}
            prior = np.array([priors.get(row, 0.0) for row in own])
            popular = weights[own] / weights[own].sum()
            values = (1 - _SMOOTH) * prior + _SMOOTH * popular
            order = np.lexsort((own, -values))
            rows[name] = np.array(own, dtype=np.int64)[order]
            probabilities[name] = values[order] * 0.999  # they may not add up to more than one
        return cls(rows, probabilities)


def pipeline(
    kb: KnowledgeBase, vectors: NDArray[np.float32], aliases: Aliases
) -> tuple[Language, EntityLinker]:
    """A pipeline with the one component, over a spaCy KB with our entities and vectors."""
    import spacy
    from spacy.kb import InMemoryLookupKB
    from spacy.training import Example as SpacyExample

    ids = [e.id for some in kb.iterate() for e in some]

    def load(vocab: Vocab) -> InMemoryLookupKB:
        made = InMemoryLookupKB(vocab, entity_vector_length=vectors.shape[1])
        made.set_entities(ids, [1.0] * len(ids), list(vectors))
        for name, rows in aliases.rows.items():
            made.add_alias(name, [ids[row] for row in rows], aliases.probabilities[name].tolist())
        return made

    nlp = spacy.blank("en")
    config = {"entity_vector_length": vectors.shape[1], "n_sents": 0}
    linker: Any = nlp.add_pipe("entity_linker", config=config)
    one = make_doc(nlp, "One name", 0, 3, "")
    linker.initialize(lambda: [SpacyExample(one.copy(), one)], nlp=nlp, kb_loader=load)
    return nlp, linker


def make_doc(nlp: Language, text: str, start: int, end: int, id: str) -> Doc:
    """The sentence of a mention as one sentence of spaCy's, with the mention as its entity."""
    from spacy.tokens import Doc, Span

    sentence = sentence_around(text, start, end)
    at = len(sentence_around(text[:end], start, end)) - (end - start)
    pieces = sentence[:at], sentence[at : at + end - start], sentence[at + end - start :]
    parts = [list(nlp.make_doc(piece)) for piece in pieces]
    tokens = [token for part in parts for token in part]
    doc = Doc(
        nlp.vocab,
        words=[token.text for token in tokens],
        spaces=[bool(token.whitespace_) for token in tokens],
        sent_starts=[i == 0 for i in range(len(tokens))],
    )
    first, last = len(parts[0]), len(parts[0]) + len(parts[1])
    doc.set_ents([Span(doc, first, last, label="ENTITY", kb_id=id)])
    return doc


def train(
    examples: Sequence[Example], kb: KnowledgeBase, *, base: str, minutes: float, device: str
) -> dict[str, object]:
    """Train for so many minutes on mentions of the KB's entities; writes ``folder()/spacy``."""
    from spacy.training import Example as SpacyExample

    full = entity_vectors(kb, SentenceEncoder(base, device=device), base)
    mean, axes = principal(full, min(DIMENSIONS, full.shape[1]))
    nlp, linker = pipeline(kb, _project(full, mean, axes), Aliases.of(kb))
    order = list(examples)
    random_ = random.Random(0)
    random_.shuffle(order)
    optimizer = cast(Any, nlp).create_optimizer()
    started, n_seen, losses = time.monotonic(), 0, []
    while time.monotonic() - started < 60 * minutes:
        begin = n_seen % len(order)
        batch = []
        for e in order[begin : begin + _BATCH]:
            doc = make_doc(nlp, e.text, e.start, e.end, e.gold)
            batch.append(SpacyExample(doc.copy(), doc))
        losses.append(linker.update(batch, sgd=optimizer, drop=0.2)["entity_linker"])
        n_seen += len(batch)
    out = folder() / "spacy"
    out.mkdir(parents=True, exist_ok=True)
    linker.model.to_disk(out / "model.bin")
    np.save(out / "projection.npy", np.concatenate([mean, axes]), allow_pickle=False)
    told: dict[str, object] = {
        "minutes": minutes,
        "n_mentions": len(order),
        "n_seen": n_seen,
        "base": Path(base).name,
        "kb": kb.digest,
        "loss": [float(np.mean(losses[:20])), float(np.mean(losses[-20:]))],
    }
    (out / "training.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def principal(
    vectors: NDArray[np.float32], n: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (1, d) and the first n principal axes (n, d)."""
    mean = vectors.mean(axis=0, keepdims=True)
    centred = vectors - mean
    values, axes = np.linalg.eigh(centred.T @ centred)
    return mean, np.ascontiguousarray(axes[:, np.argsort(-values)[:n]].T.astype(np.float32))


def _project(
    vectors: NDArray[np.float32], mean: NDArray[np.float32], axes: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray((vectors - mean) @ axes.T, dtype=np.float32)


def check_trained(path: Path, files: Sequence[str], what: str) -> None:
    """InputError unless ``tests.peers.train`` has written these files."""
    if missing := [name for name in files if not (path / name).exists()]:
        raise InputError(
            f"{path / missing[0]}: is not there; train it with 'make benchmark-train' "
            f"(tests/peers/train.py {what})"
        )


def trained_for(path: Path) -> str:
    """How long it was trained and on how much, for the report; "" if it was not."""
    file = path / "training.json"
    if not file.is_file():
        return ""
    told = json.loads(file.read_text(encoding="utf-8"))
    return f"; trained for {told['minutes']:g} minutes on {told['n_mentions']:,} mentions"
