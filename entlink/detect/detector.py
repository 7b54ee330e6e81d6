"""Puts the recogniser and the gazetteer together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from entlink.detect.borders import mend
from entlink.detect.gazetteer import Found, Gazetteer, Names
from entlink.detect.recogniser import Recogniser, TokenSpan, mention_at, read_ordinary
from entlink.errors import ConfigError
from entlink.records import Mention

if TYPE_CHECKING:
    from spacy.tokens import Doc


class Detector:
    """Finds mentions with a gazetteer, a recogniser, or both.

    Overlaps: the longest span wins (in tokens), of equals the recogniser's, then the leftmost.
    A mention carries the label of the recogniser's span that it equals or overlaps most, else "".
    """

    def __init__(self, *, gazetteer: Gazetteer | None, recogniser: Recogniser | None) -> None:
        if gazetteer is None and recogniser is None:
            raise ConfigError("a detector needs a gazetteer or a recogniser; give it one of them")
        self.gazetteer = gazetteer
        self.recogniser = recogniser

    @classmethod
    def load(cls, names: Names | None, path: Path | None) -> Detector:
        """A detector over a knowledge base's names and the recogniser saved at ``path``."""
        return cls(
            gazetteer=None
            if names is None
            else Gazetteer(names, ordinary=frozenset() if path is None else read_ordinary(path)),
            recogniser=None if path is None else Recogniser.load(path),
        )

    def detect(self, docs: Sequence[Doc]) -> list[list[Mention]]:
        """The mentions of each doc, in order of offsets, without overlaps."""
        recognised = self._recognised(docs)
        if self.gazetteer is None:
            found = [Found((), frozenset())] * len(docs)
        else:
            spans = [[(start, end) for start, end, _ in some] for some in recognised]
            found = self.gazetteer.find(docs, spans)
        return [
            [mention_at(doc, *span) for span in resolve(mend(doc, some, names), names.windows)]
            for doc, some, names in zip(docs, recognised, found, strict=True)
        ]

    def label_given(
        self, docs: Sequence[Doc], mentions: Sequence[Sequence[Mention]]
    ) -> list[list[Mention]]:
        """The same mentions with the labels that the recogniser gives to what they overlap.

        A label that is there already is kept; "" where the recogniser sees no name.
        """
        if all(mention.label for found in mentions for mention in found):
            return [list(found) for found in mentions]
        labelled = []
        for doc, spans, found in zip(docs, self._recognised(docs), mentions, strict=True):
            characters = [
                (doc[start].idx, doc[end - 1].idx + len(doc[end - 1]), label)
                for start, end, label in spans
            ]
            labelled.append([_labelled(mention, characters) for mention in found])
        return labelled

    def _recognised(self, docs: Sequence[Doc]) -> list[list[TokenSpan]]:
        return self.recogniser.token_spans(docs) if self.recogniser else [[] for _ in docs]


def resolve(recognised: Iterable[TokenSpan], windows: Iterable[tuple[int, int]]) -> list[TokenSpan]:
    """Choose among overlapping token spans by the rule of `Detector`; sorted by position."""
    spans = sorted(recognised)
    labels = {(start, end): label for start, end, label in spans}
    pool = {**dict.fromkeys(windows, False), **dict.fromkeys(labels, True)}
    chosen: list[tuple[int, int]] = []
    taken: set[int] = set()
    for span in sorted(pool, key=lambda s: (s[0] - s[1], not pool[s], s)):
        tokens = range(*span)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            chosen.append(span)
    return [(start, end, best_label(start, end, spans)) for start, end in sorted(chosen)]


def best_label(start: int, end: int, spans: Sequence[TokenSpan]) -> str:
    """The label of the span that shares most with start..end; of equals the first; "" if none.

    ``spans`` are sorted and do not overlap one another.
    """
    best, label = 0, ""
    for at in range(bisect_right(spans, start, key=lambda span: span[1]), len(spans)):
        other_start, other_end, other = spans[at]
        if other_start >= end:
            break
        shared = min(end, other_end) - max(start, other_start)
        if shared > best:
            best, label = shared, other
    return label


def _labelled(mention: Mention, spans: Sequence[TokenSpan]) -> Mention:
    if mention.label:
        return mention
    return replace(mention, label=best_label(mention.start, mention.end, spans))
