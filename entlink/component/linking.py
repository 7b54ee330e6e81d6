"""The component `entlink`: links whatever mentions are there, or finds them if nobody has looked.

Afterwards `ent.kb_id_` is an id of the knowledge base or "NIL", `ent._.kb_ents` a list of
(id, probability) by falling probability, and `ent._.entlink` the Link with all scores.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from spacy.tokens import Doc, Span

from entlink.component.fine_tuning import FineTuning
from entlink.component.options import Options, restricted
from entlink.component.results import (
    UNLABELLED,
    annotate_ents,
    annotate_group,
    replace_ents,
    set_extensions,
    store,
)
from entlink.component.scoring import score_links
from entlink.component.training import LinkTraining, Scorer
from entlink.detect.given import NOT_NAMES, mention_of
from entlink.errors import ConfigError
from entlink.records import NIL, Link, Mention

if TYPE_CHECKING:
    from entlink.linker import Linker

MENTIONS: Final = ("auto", "ents", "detect", "spans")
SPANS_KEY: Final = "entlink"  # the usual name of the span group


class EntlinkComponent(LinkTraining):
    """Links the mentions of docs.

    bundle: name or folder of a bundle; None is the built-in one. It is looked up at once, so that
        a missing one is reported here, and loaded in each process when the first doc comes.
    mentions: "ents" links `doc.ents`; "spans" the members of `doc.spans[spans_key]`, which may
        overlap; "detect" finds mentions with the bundle's detector and makes them `doc.ents`;
        "auto" does the first where entities have been set, even if none, else the third.
    threshold, types, n_candidates: see Options; they can be given for one call as well, by
        `nlp.pipe(texts, component_cfg={"entlink": {"threshold": 0.8}})`.
    labels_discard: entities with these labels are not linked.
    nil: what `kb_id_` is where the answer is NIL.
    max_pairs: so many candidates of a mention does the reranker read at most; 0 turns it off.
        None: the bundle's.
    device, backend, threads: as in `Linker.load`.
    carry_bundle: save a copy of the bundle with the pipeline, rather than its name.
    """

    SETTINGS = (
        "bundle",
        "mentions",
        "spans_key",
        "threshold",
        "types",
        "labels_discard",
        "n_candidates",
        "nil",
        "max_pairs",
        "carry_bundle",
        "device",
        "backend",
        "threads",
    )

    def __init__(
        self,
        *,
        name: str = "entlink",
        bundle: str | None = None,
        mentions: str = "auto",
        spans_key: str = SPANS_KEY,
        threshold: float | None = None,
        types: Collection[str] = (),
        labels_discard: Collection[str] = tuple(sorted(NOT_NAMES)),
        n_candidates: int = 10,
        nil: str = NIL,
        max_pairs: int | None = None,
        carry_bundle: bool = False,
        fine_tuning: FineTuning | None = None,
        device: str = "cpu",
        backend: str = "auto",
        threads: int | None = None,
        scorer: Scorer | None = score_links,
        loading: bool = False,
    ) -> None:
        super().__init__(name=name, bundle=bundle)
        self.mentions = mentions
        self.spans_key = spans_key
        self.threshold = threshold
        self.types = list(types)
        self.labels_discard = list(labels_discard)
        self.n_candidates = n_candidates
        self.nil = nil
        self.max_pairs = max_pairs
        self.carry_bundle = carry_bundle
        self.fine_tuning = fine_tuning or FineTuning()
        self.device = device
        self.backend = backend
        self.threads = threads
        self.scorer = scorer
        self._loaded = None
        self._tuning = None
        self._check()
        set_extensions()
        self._begin(loading=loading)

    def _check(self) -> None:
        where = f"component {self.name!r}"
        if self.mentions not in MENTIONS:
            raise ConfigError(
                f"{where}: mentions is {self.mentions!r}; it has to be one of {', '.join(MENTIONS)}"
            )
        if self.backend != "auto":  # so that PyTorch is not loaded for the usual one
            from entlink.backends import BACKENDS

            if self.backend not in BACKENDS:
                raise ConfigError(
                    f"{where}: backend is {self.backend!r}; it has to be one of "
                    f"{', '.join(BACKENDS)}"
                )
        if self.max_pairs is not None and self.max_pairs < 0:
            raise ConfigError(f"{where}: max_pairs is {self.max_pairs}; it must be at least 0")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"{where}: threads is {self.threads}; it must be at least 1")
        self._options()

    def _options(self, **changed: Any) -> Options:
        where = f"component {self.name!r}"
        types = frozenset(self.types)
        return Options(where, self.threshold, types, self.n_candidates).changed(**changed)

    @property
    def linker(self) -> Linker:
        """The linker of this process, loaded when first asked for; with what was learned so far."""
        if self._loaded is None or self._loaded[0] != os.getpid():
            from entlink.linker import Linker

            # Worker processes share the cores, and thread pools do not survive a fork: one that
            # asked for threads would hang.
            is_worker = self._loaded is not None or multiprocessing.parent_process() is not None
            threads = self.threads if self.threads is not None or not is_worker else 1
            linker = Linker.load(
                self.opened, device=self.device, threads=threads, backend=self.backend
            )
            self._loaded = (os.getpid(), linker)
        linker = self._loaded[1]
        if self._tuning is not None:
            self._tuning.serve(linker)
        return linker

    # -- linking -------------------------------------------------------------------------------

    def _process(self, docs: Sequence[Doc], **options: Any) -> None:
        """One batch. Mentions of all docs, found or given, are linked together."""
        chosen = self._options(**options)
        linker = self.linker
        spans = self._spans(linker, docs)
        mentions = [[mention_of(span) for span in found] for _, found in spans]
        if linker.bundle.has("detector") and any(not m.label for some in mentions for m in some):
            mentions = linker.detector.label_given(docs, mentions)
        all_links = self._links(linker, docs, mentions, chosen)
        for doc, (is_given, found), links in zip(docs, spans, all_links, strict=True):
            linked = list(zip(found, links, strict=True))
            if not is_given:
                linked = [(_labelled(span, link), link) for span, link in linked]
                kept = [ent for ent in doc.ents if ent.label_ in self.labels_discard]
                replace_ents(doc, linked, nil=self.nil, kept=kept)
            elif self.mentions == "spans":
                group = list(doc.spans.get(self.spans_key, ()))
                annotate_group(doc, self.spans_key, group, linked, nil=self.nil)
            else:
                annotate_ents(doc, linked, nil=self.nil)
            for link in links:
                store(doc, link)

    def _spans(self, linker: Linker, docs: Sequence[Doc]) -> list[tuple[bool, list[Span]]]:
        """What to link in each doc, and whether it was given (else it has just been found)."""
        given = [self._given(doc) for doc in docs]
        bare = [doc for doc, spans in zip(docs, given, strict=True) if spans is None]
        found = iter(linker.detector.detect(bare) if bare else ())
        return [
            (False, [_span_at(doc, mention) for mention in next(found)])
            if spans is None
            else (True, [span for span in spans if self._is_linked(span)])
            for doc, spans in zip(docs, given, strict=True)
        ]

    def _given(self, doc: Doc) -> Iterable[Span] | None:
        if self.mentions == "spans":
            return list(doc.spans.get(self.spans_key, ()))
        is_set = self.mentions == "auto" and doc.has_annotation("ENT_IOB")
        return doc.ents if is_set or self.mentions == "ents" else None

    def _is_linked(self, span: Span) -> bool:
        return span.label_ not in self.labels_discard and not span.text.isspace()

    def _links(
        self,
        linker: Linker,
        docs: Sequence[Doc],
        mentions: Sequence[Sequence[Mention]],
        options: Options,
    ) -> list[tuple[Link, ...]]:
        from entlink.scoring import N_CANDIDATES

        linker = linker.without_reranker() if self.max_pairs == 0 else copy.copy(linker)
        decision = linker.decision  # the models are shared; only this is its own
        if options.threshold is not None:
            decision = replace(decision, nil_threshold=options.threshold)
        if self.max_pairs is not None:
            decision = replace(decision, max_pairs=self.max_pairs)
        linker.decision = decision
        if not options.types:
            return linker.link_docs(docs, mentions, n_candidates=options.n_candidates)
        kb = linker.kb

        def entities(ids: Sequence[str]) -> Sequence[Any]:
            return kb.by_rows(sorted(kb.rows_of(ids).values()))

        links = linker.link_docs(docs, mentions, n_candidates=N_CANDIDATES)
        threshold = decision.nil_threshold
        flat = [link for some in links for link in some]
        rest = iter(restricted(flat, options, entities=entities, threshold=threshold))
        return [tuple(next(rest) for _ in some) for some in links]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        set_extensions()  # a spawned process has none yet


def _span_at(doc: Doc, mention: Mention) -> Span:
    """The span of a mention that the detector found, which lies at the edges of tokens."""
    span = doc.char_span(mention.start, mention.end, label=mention.label)
    assert span is not None, mention
    return span


def _labelled(span: Span, link: Link) -> Span:
    label = span.label_ or link.mention.label or UNLABELLED
    return Span(span.doc, span.start, span.end, label=label)
