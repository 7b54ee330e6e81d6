"""Where mentions come from: five strategies under versioned names, and room for your own.

A strategy is a function, registered in `spacy.registry.misc`, that takes Tools and returns a
finder: docs in, for each the spans that it proposes, which may overlap. The five go by a short name
too, "gazetteer" for "entlink.gazetteer.v1".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from spacy.tokens import Doc, Span
from spacy.util import registry

from entlink.detect.detector import Detector
from entlink.detect.given import LABELS
from entlink.detect.recogniser import TokenSpan
from entlink.detect.shapes import shape_of
from entlink.errors import ConfigError, InputError

SHORT: Final = ("ents", "noun_chunks", "gazetteer", "recogniser", "span_group")

Finder = Callable[[Sequence[Doc]], list[list[Span]]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a strategy may need."""

    where: str  # for messages
    detector: Callable[[], Detector]  # loads it when first called
    spans_in: str  # key of the span group to read
    labels_discard: frozenset[str]


Strategy = Callable[[Tools], Finder]


def strategy(name: str, *, where: str) -> Strategy:
    """The strategy of this name; ConfigError if nothing is registered under it."""
    full = f"entlink.{name}.v1" if name in SHORT else name
    if full not in registry.misc:
        raise ConfigError(
            f"{where}: strategy {name!r} is unknown; it has to be one of {', '.join(SHORT)}, or "
            "the name of a function registered in spacy.registry.misc"
        )
    found: Strategy = registry.misc.get(full)
    return found


def ents(tools: Tools) -> Finder:
    """The entities that are there, but for the labels to be discarded."""

    def find(docs: Sequence[Doc]) -> list[list[Span]]:
        return [[e for e in doc.ents if e.label_ not in tools.labels_discard] for doc in docs]

    return find


def noun_chunks(tools: Tools) -> Finder:
    """Noun chunks without function words at their ends; none of pronouns alone."""

    def find(docs: Sequence[Doc]) -> list[list[Span]]:
        return [_chunks(doc, tools.where) for doc in docs]

    return find


def gazetteer(tools: Tools) -> Finder:
    """The knowledge base's own names, written as names; they may overlap."""

    def find(docs: Sequence[Doc]) -> list[list[Span]]:
        return _spans(docs, tools.detector().named(docs))

    return find


def recogniser(tools: Tools) -> Finder:
    """What the bundle's recogniser takes for names, with borders mended by the knowledge base."""

    def find(docs: Sequence[Doc]) -> list[list[Span]]:
        detector = tools.detector()
        if detector.recogniser is None:
            raise ConfigError(
                f"{tools.where}: the bundle has no recogniser; leave 'recogniser' out of the "
                "strategies, or train one with 'spacy train'"
            )
        return _spans(docs, detector.recognised(docs))

    return find


def span_group(tools: Tools) -> Finder:
    """The members of `doc.spans[spans_in]`; a doc without that group has none."""

    def find(docs: Sequence[Doc]) -> list[list[Span]]:
        return [list(doc.spans.get(tools.spans_in, ())) for doc in docs]

    return find


def _chunks(doc: Doc, where: str) -> list[Span]:
    try:
        found = list(doc.noun_chunks) if len(doc) else []
    except (NotImplementedError, ValueError) as error:
        raise InputError(
            f"{where}: strategy 'noun_chunks' needs a parser for language {doc.lang_!r} earlier in "
            "the pipeline; add one, or leave 'noun_chunks' out"
        ) from error
    trimmed = []
    for chunk in found:
        start, end = chunk.start, chunk.end
        while start < end and _is_small(doc[start].text):
            start += 1
        while start < end and _is_small(doc[end - 1].text):
            end -= 1
        words = [token.text for token in doc[start:end]]
        if not all(_is_small(word) or _is_pronoun(word) for word in words):
            trimmed.append(doc[start:end])
    return trimmed


def _is_small(text: str) -> bool:
    shape = shape_of(text)
    return not shape.word or (shape.stop and (shape.lower or len(text) == 1))


def _is_pronoun(text: str) -> bool:
    """At a sentence's start it has a capital; in capitals it may be a name ("US", "WHO")."""
    return shape_of(text).stop and not text.isupper()


def _spans(docs: Sequence[Doc], found: Iterable[Iterable[TokenSpan]]) -> list[list[Span]]:
    return [
        [Span(doc, start, end, label=label) for start, end, label in some]
        for doc, some in zip(docs, found, strict=True)
    ]


def token_span(span: Span) -> TokenSpan:
    """A span as the overlap rule takes it. Labels that say nothing of the kind count as none."""
    return span.start, span.end, span.label_


def four(label: str) -> str:
    """A label as one of the recogniser's four; what is none of them is MISC."""
    return LABELS.get(label, "MISC")


for _function in (ents, noun_chunks, gazetteer, recogniser, span_group):
    registry.misc(f"entlink.{_function.__name__}.v1", func=_function)
