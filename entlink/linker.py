"""The main path: detect -> retrieve -> rerank -> decide. Read this first."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from entlink import decide
from entlink.bundle import DECISION, UNREAD, Bundle, open_bundle
from entlink.documents import portions
from entlink.errors import ConfigError, InputError
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL, Candidate, Document, Link, LinkedDocument, Mention
from entlink.scoring import MentionScorer, Scored
from entlink.vectors import load_retriever

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

    from entlink.detect import Detector
    from entlink.explain import Explanation, Vocabulary
    from entlink.rerank.cross_encoder import PairReader
    from entlink.retrieve.dense import Retriever

_WORDS = 20_000  # that spaCy's vocabulary takes in: it forgets none, of however many texts


class Linker(MentionScorer):
    """Finds the mentions in texts and links each to an entity of the bundle's KB, or to NIL."""

    def __init__(
        self,
        bundle: Bundle,
        kb: KnowledgeBase,
        retriever: Retriever,
        reranker: PairReader | None,
        decision: decide.Decision,
        *,
        exact: bool = False,
    ) -> None:
        super().__init__(kb, retriever, reranker, decision, exact=exact)
        self.bundle = bundle

    @classmethod
    def load(
        cls,
        bundle: str | Path | Bundle | None = None,
        *,
        device: str = "auto",
        threads: int | None = None,
        backend: str = "auto",
        exact: bool = False,
    ) -> Linker:
        """The built-in bundle, or the one in a folder; vectors and index are made at first use.

        A bundle that is open already is not checked again. ``backend`` is what reranker and context
        reader are computed with (see ``entlink.backends``); ``exact`` has it read every candidate.
        """
        from entlink.backends import choose_reader, load_reranker

        opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        chosen = choose_device(device, threads)
        kb = LiveKnowledgeBase.open_with(opened.path, opened.edits)
        reranker = load_reranker(opened, kb, backend=backend, device=chosen)
        decision = decide.Decision.load(opened.path / DECISION)
        retriever = load_retriever(opened, kb, device=chosen)
        choose_reader(opened, kb, retriever.encoder, backend=backend, device=chosen)
        return cls(opened, kb, retriever, reranker, decision, exact=exact)

    def within(self, *, types: Sequence[str] = (), ids: Sequence[str] = ()) -> Linker:
        """A linker to a part of the KB: entities of one of ``types`` (ids or names), of ``ids``.

        Given both, entities must be of both. Nothing is copied, and other entities are not looked
        at. InputError if no entity is left.
        """
        rows = set(self.kb.rows_of_types(types)) if types else set(self.kb.rows_of(ids).values())
        if types and ids:
            rows &= set(self.kb.rows_of(ids).values())
        if not rows:
            raise InputError(
                f"{self.kb.path}: no entity of types {list(types)} and ids {list(ids[:5])}; "
                "check them"
            )
        chosen = np.zeros(len(self.kb.popularity), dtype=np.bool_)
        chosen[sorted(rows)] = True
        retriever = self.retriever.within(chosen)
        part = Linker(
            self.bundle, self.kb, retriever, self.reranker, self.decision, exact=self.exact
        )
        part.__dict__.update(detector=self.detector, _nlp=self._nlp)
        return part

    def without_reranker(self) -> Linker:
        """The same linker, which reads no pair; with the decision that was fitted for that, if any.

        Faster, less accurate. Nothing is copied.
        """
        unread = self._unread or self.decision
        chosen = copy.copy(self)
        chosen.reranker, chosen.decision = None, unread
        return chosen

    @cached_property
    def _unread(self) -> decide.Decision | None:
        has = self.bundle.has(UNREAD)
        return decide.Decision.load(self.bundle.path / UNREAD) if has else None

    @cached_property
    def detector(self) -> Detector:
        """What finds mentions; loaded when first needed, since it needs spaCy."""
        from entlink.detect import Detector

        has = self.bundle.has("detector")
        return Detector.load(self.kb, self.bundle.path / "detector" if has else None)

    @cached_property
    def _nlp(self) -> Language:
        """Splits texts into tokens; nothing else."""
        import spacy

        nlp = spacy.blank("en")
        nlp.max_length = sys.maxsize  # long texts are no danger here: there is no parser
        return nlp

    def link(
        self,
        texts: str | Document | Sequence[str | Document],
        *,
        batch_size: int = 64,
        n_candidates: int = 10,
    ) -> list[LinkedDocument]:
        """Link texts or documents; one result each, in the same order.

        A document without mentions has them found. Each link carries its ``n_candidates`` best.
        """
        many = [texts] if isinstance(texts, str | Document) else texts
        documents = (
            Document(str(i), item) if isinstance(item, str) else item for i, item in enumerate(many)
        )
        return list(self.stream(documents, batch_size=batch_size, n_candidates=n_candidates))

    def stream(
        self, documents: Iterable[Document], *, batch_size: int = 64, n_candidates: int = 10
    ) -> Iterator[LinkedDocument]:
        """Link documents as they come, ``batch_size`` at a time, in order."""
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; it must be at least 1")
        source = iter(documents)
        while batch := list(islice(source, batch_size)):
            docs, mentions = self.prepare(batch)
            for document, links in zip(
                batch, self.link_docs(docs, mentions, n_candidates=n_candidates), strict=True
            ):
                yield LinkedDocument(document.id, document.text, links)

    def prepare(self, documents: Sequence[Document]) -> tuple[list[Doc], list[Sequence[Mention]]]:
        """The tokenised texts, and the mentions of each: those given, labelled, or those found."""
        given = [_checked(document) for document in documents]
        with self._timed("detect"):
            nlp = self._nlp
            docs = [nlp.make_doc(document.text) for document in documents]
            if len(nlp.vocab.strings) > _WORDS:
                self.__dict__.pop("_nlp", None)  # the next texts get a fresh one
            return docs, self._mentions(docs, given)

    def link_docs(
        self,
        docs: Sequence[Doc],
        mentions: Sequence[Sequence[Mention]] | None = None,
        *,
        n_candidates: int = 10,
    ) -> list[tuple[Link, ...]]:
        """The links of spaCy Docs: of the mentions given for each, or of those that are found."""
        if n_candidates < 1:
            raise ConfigError(f"n_candidates is {n_candidates}; it must be at least 1")
        if mentions is None:
            mentions = self.detector.detect(docs)
        links: list[Link] = []
        for some, documents in portions([doc.text for doc in docs], mentions):
            scored = self.score(some, documents=documents)
            links += self._links(some, scored, n_candidates)
        rest = iter(links)
        return [tuple(islice(rest, len(found))) for found in mentions]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Words of the KB to read vectors as; made when first needed, in a second or two."""
        from entlink.explain import Vocabulary

        return Vocabulary.of(self.kb, self.retriever.encoder)

    def explain(
        self, text: str | Document, mention: Mention | tuple[int, int] | str, **options: Any
    ) -> Explanation:
        """Why the mention, one of a link, (start, end) or the words themselves, is so linked.

        Where mentions were given to `link`, give the same Document: they count as they did there.
        ``options`` are those of `entlink.explain.ExplainOptions`: against, words, ...;
        ``vectors=False`` leaves out what needs the vocabulary.
        """
        return next(self.explain_all(text, [mention], **options))

    def explain_all(
        self,
        text: str | Document,
        mentions: Sequence[Mention | tuple[int, int] | str] | None = None,
        **options: Any,
    ) -> Iterator[Explanation]:
        """As `explain`, of several mentions or of all of the text, which is scored only once."""
        from entlink.explain import ExplainOptions, explain_all

        vocabulary = self.vocabulary if options.pop("vectors", True) else None
        chosen = ExplainOptions(**options)
        return explain_all(self, text, mentions, vocabulary=vocabulary, options=chosen)

    def _mentions(
        self, docs: Sequence[Doc], given: Sequence[Sequence[Mention] | None]
    ) -> list[Sequence[Mention]]:
        """Given mentions get the label that the recogniser gives them; the others are found."""
        free = iter(
            self.detector.detect([d for d, m in zip(docs, given, strict=True) if m is None])
        )
        bound = iter(
            self.detector.label_given(
                [d for d, m in zip(docs, given, strict=True) if m is not None],
                [m for m in given if m is not None],
            )
        )
        return [next(free) if mentions is None else next(bound) for mentions in given]

    def _links(
        self,
        mentions: Sequence[tuple[str, Mention]],
        scored: Sequence[Scored],
        n_candidates: int,
    ) -> list[Link]:
        orders = [s.order()[:n_candidates] for s in scored]
        kept = [s.retrieved.rows[order] for s, order in zip(scored, orders, strict=True)]
        rows = np.unique(np.concatenate(kept)).tolist() if kept else []
        entities = dict(zip(rows, self.kb.by_rows(rows), strict=True))
        links = []
        for (_, mention), s, order in zip(mentions, scored, orders, strict=True):
            candidates = []
            for place in order:
                entity = entities[int(s.retrieved.rows[place])]
                logit = float(s.logits[place])
                candidates.append(
                    Candidate(
                        entity.id,
                        entity.name,
                        retriever_score=float(s.retrieved.cosines[place]),
                        prior=float(s.retrieved.priors[place]),
                        reranker_score=None if np.isnan(logit) else logit,
                        probability=float(s.probabilities[place]),
                    )
                )
            links.append(self._link(mention, tuple(candidates), float(s.probabilities[-1])))
        return links

    def _link(self, mention: Mention, candidates: tuple[Candidate, ...], nil: float) -> Link:
        if candidates and candidates[0].probability >= self.decision.nil_threshold:
            best = candidates[0]
            return Link(mention, best.entity_id, best.name, best.probability, candidates)
        return Link(mention, NIL, "", nil, candidates)


def _checked(document: Document) -> Sequence[Mention] | None:
    """The document's mentions in order of their places; InputError if one is not in its text."""
    where, text = f"document {document.id!r}", document.text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: character {error.start} is half a surrogate pair; decode it as UTF-8"
        ) from None
    for m in document.mentions or ():
        if not 0 <= m.start < m.end <= len(text):
            raise InputError(
                f"{where}: mention {m.start} to {m.end} does not lie in a text of {len(text)} "
                "characters; offsets count characters, end exclusive"
            )
        if text[m.start : m.end] != m.text:
            raise InputError(
                f"{where}: the mention at {m.start} says {m.text!r}, but characters {m.start} to "
                f"{m.end} are {text[m.start : m.end]!r}; offsets count characters, end exclusive"
            )
    if document.mentions is None:
        return None
    return sorted(document.mentions, key=lambda m: (m.start, m.end))


def choose_device(name: str, threads: int | None) -> str:
    """The device of this name, "auto" for the best there is; limits the threads, if any are named.

    Raises ConfigError for a device that is not there.
    """
    import torch

    from entlink.retrieve.index import use_threads

    if threads is not None:
        if threads < 1:
            raise ConfigError(f"threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
        use_threads(threads)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]}); try --device cpu"
        ) from error
    return name
