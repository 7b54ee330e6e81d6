"""The spaCy component: `nlp.add_pipe("entlink")` finds mentions, unless there are any, and links.

Afterwards `ent.kb_id_` is an id of the knowledge base or "NIL", `ent._.kb_ents` a list of
(id, score) by falling score, and `ent._.entlink` the Link with all scores. What a doc carries is
plain data, so that it survives `Doc.to_bytes`, DocBin and other processes; the Link is made from
it when asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
from spacy.language import Language
from spacy.tokens import Doc, Span

from entlink.detect.given import NOT_NAMES, mentions_of_ents
from entlink.errors import ConfigError
from entlink.records import NIL, Candidate, Link, Mention

UNLABELLED: Final = "ENTITY"  # a mention that no recogniser labelled; spaCy needs some label
MENTIONS: Final = ("auto", "ents", "detect")
_KEY: Final = "entlink"  # doc.user_data[(_KEY, start_char, end_char)]


class LinksDocs(Protocol):
    """What the component needs of a linker; Linker has it."""

    def link_docs(
        self, docs: Sequence[Doc], mentions: Sequence[Sequence[Mention]] | None = None
    ) -> list[tuple[Link, ...]]: ...


@Language.factory(
    "entlink",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", "token.ent_kb_id"],
    default_config={
        "bundle": None,
        "mentions": "auto",
        "threshold": None,
        "device": "cpu",
        "threads": None,
    },
)
def make_entlink(
    nlp: Language,
    name: str,
    bundle: str | None,
    mentions: str,
    threshold: float | None,
    device: str,
    threads: int | None,
) -> EntlinkComponent:
    """The factory; see EntlinkComponent for the settings."""
    return EntlinkComponent(
        name=name,
        bundle=bundle,
        mentions=mentions,
        threshold=threshold,
        device=device,
        threads=threads,
    )


class EntlinkComponent:
    """Links the mentions of docs.

    bundle: name or folder of a bundle; None is the built-in one. It is looked up at once, so that
        a missing one is reported here, and loaded in each process when the first doc comes.
    mentions: "ents" links `doc.ents`; "detect" finds mentions and replaces `doc.ents`;
        "auto" does the first for docs that have entities, the second for others.
    threshold: the least probability of a link; below it the answer is NIL. None: the bundle's.
    """

    def __init__(
        self,
        *,
        name: str = "entlink",
        bundle: str | None = None,
        mentions: str = "auto",
        threshold: float | None = None,
        device: str = "cpu",
        threads: int | None = None,
        linker: LinksDocs | None = None,
    ) -> None:
        self.name = name
        self.bundle = bundle
        self.mentions = mentions
        self.threshold = threshold
        self.device = device
        self.threads = threads
        self._given_linker = linker
        self._loaded: tuple[int, LinksDocs] | None = None  # process id, linker
        self._check()
        _set_extensions()

    def _check(self) -> None:
        """Raises ConfigError or BundleError, in one sentence."""
        if self.mentions not in MENTIONS:
            raise ConfigError(
                f"component {self.name!r}: mentions is {self.mentions!r}; "
                f"it has to be one of {', '.join(MENTIONS)}"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"component {self.name!r}: threshold is {self.threshold}; "
                "it is a probability, from 0 to 1"
            )
        if self._given_linker is None:
            from entlink.bundle import open_bundle

            open_bundle(self.bundle)

    @property
    def linker(self) -> LinksDocs:
        """The linker of this process, loaded when first asked for."""
        if self._given_linker is not None:
            return self._given_linker
        if self._loaded is None or self._loaded[0] != os.getpid():
            from entlink.linker import Linker

            # thread pools do not survive a fork: a forked worker that asked for threads would hang
            threads = self.threads if self._loaded is None else 1
            linker = Linker.load(self.bundle, device=self.device, threads=threads)
            self._loaded = (os.getpid(), linker)
        return self._loaded[1]

    def __call__(self, doc: Doc) -> Doc:
        self._link([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 64) -> Iterator[Doc]:
        """Link docs in batches; mentions of all docs of a batch go through the models together."""
        waiting = iter(stream)
        while docs := list(islice(waiting, batch_size)):
            self._link(docs)
            yield from docs

    def _link(self, docs: Sequence[Doc]) -> None:
        given = [
            doc for doc in docs if self.mentions == "ents" or (self.mentions == "auto" and doc.ents)
        ]
        ids = {id(doc) for doc in given}
        bare = [doc for doc in docs if id(doc) not in ids]
        if given:
            mentions = [mentions_of_ents(doc) for doc in given]
            for doc, links in zip(given, self.linker.link_docs(given, mentions), strict=True):
                self._annotate(doc, links, keep=True)
        if bare:
            for doc, links in zip(bare, self.linker.link_docs(bare), strict=True):
                self._annotate(doc, links, keep=False)

    def _annotate(self, doc: Doc, links: Sequence[Link], *, keep: bool) -> None:
        links = [self._decide(link) for link in links]
        labels = {(ent.start_char, ent.end_char): ent.label_ for ent in doc.ents} if keep else {}
        ents = [ent for ent in doc.ents if ent.label_ in NOT_NAMES] if keep else []
        for link in links:
            start, end = link.mention.start, link.mention.end
            label = labels.get((start, end)) or link.mention.label or UNLABELLED
            span = doc.char_span(start, end, label=label, kb_id=link.entity_id)
            if span is not None:
                ents.append(span)
        doc.set_ents(sorted(ents, key=lambda ent: ent.start))
        for link in links:
            _store(doc, link)

    def _decide(self, link: Link) -> Link:
        """The link under this component's own threshold, where it has one."""
        if self.threshold is None or not link.candidates:
            return link
        best = link.candidates[0]
        if best.probability >= self.threshold:
            return replace(
                link, entity_id=best.entity_id, name=best.name, probability=best.probability
            )
        if link.entity_id == NIL:
            return link
        nil = 1 - sum(candidate.probability for candidate in link.candidates)
        return replace(link, entity_id=NIL, name="", probability=max(0.0, nil))

    # -- saving: the settings, not the bundle --------------------------------------------------

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "mentions": self.mentions,
            "threshold": self.threshold,
            "device": self.device,
            "threads": self.threads,
        }

    def _take(self, settings: dict[str, Any]) -> None:
        for key in self._settings.keys() & settings.keys():
            setattr(self, key, settings[key])
        self._loaded = None
        self._check()

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """The settings; the bundle is referred to by name or path."""
        return orjson.dumps(self._settings)

    def from_bytes(self, data: bytes, *, exclude: Sequence[str] = ()) -> EntlinkComponent:
        """Take over settings that `to_bytes` gave."""
        self._take(orjson.loads(data))
        return self

    def to_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> None:
        """Write the settings into a folder."""
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / "settings.json").write_bytes(self.to_bytes())

    def from_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> EntlinkComponent:
        """Take over settings that `to_disk` wrote."""
        return self.from_bytes((Path(path) / "settings.json").read_bytes())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _set_extensions()  # a spawned process has none yet


# -- what a doc carries ---------------------------------------------------------------------------


def _store(doc: Doc, link: Link) -> None:
    candidates = [list(astuple(candidate)) for candidate in link.candidates]
    user_data: dict[Any, Any] = doc.user_data
    user_data[(_KEY, link.mention.start, link.mention.end)] = [
        link.mention.label,
        link.entity_id,
        link.name,
        link.probability,
        candidates,
    ]


def _stored_link(span: Span) -> Link | None:
    """The Link of a span, None if it was not linked."""
    start, end = span.start_char, span.end_char
    user_data: dict[Any, Any] = span.doc.user_data
    stored = user_data.get((_KEY, start, end))
    if stored is None:
        return None
    label, entity_id, name, probability, candidates = stored
    return Link(
        mention=Mention(start, end, span.text, label),
        entity_id=entity_id,
        name=name,
        probability=probability,
        candidates=tuple(Candidate(*candidate) for candidate in candidates),
    )


def _kb_ents(span: Span) -> list[tuple[str, float]]:
    link = _stored_link(span)
    return [(c.entity_id, c.probability) for c in link.candidates] if link else []


def _set_extensions() -> None:
    """Register `span._.entlink` and `span._.kb_ents` once; ConfigError if another owns the name."""
    for name, getter in (("entlink", _stored_link), ("kb_ents", _kb_ents)):
        if not Span.has_extension(name):
            Span.set_extension(name, getter=getter)
        elif Span.get_extension(name)[2] is not getter:
            raise ConfigError(
                f"span._.{name} is in use by another component; remove that extension "
                f"(Span.remove_extension({name!r})) before adding entlink"
            )
