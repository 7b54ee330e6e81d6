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
from entlink.detect.repeats import with_repeats
from entlink.errors import ConfigError
from entlink.records import Mention

if TYPE_CHECKING:
    from spacy.tokens import Doc


class Detector:
    """Finds mentions with a gazetteer, a recogniser, or both.

    Overlaps are resolved by the rule of `resolve`, the recogniser before the gazetteer.
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
            [
                mention_at(doc, *span)
                for span in resolve(self._mended(doc, some, names), _bare(names))
            ]
            for doc, some, names in zip(docs, recognised, found, strict=True)
        ]

    def recognised(self, docs: Sequence[Doc]) -> list[list[TokenSpan]]:
        """The recogniser's spans of each doc, with their borders mended by the KB's names."""
        found = self._recognised(docs)
        if self.gazetteer is None:
            return found
        spans = [[(start, end) for start, end, _ in some] for some in found]
        names = self.gazetteer.find(docs, spans, windows=False)
        return [self._mended(doc, s, n) for doc, s, n in zip(docs, found, names, strict=True)]

    def named(self, docs: Sequence[Doc]) -> list[list[TokenSpan]]:
        """The gazetteer's spans of each doc, without labels; they may overlap."""
        if self.gazetteer is None:
            return [[] for _ in docs]
        return [_bare(names) for names in self.gazetteer.find(docs)]

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

    def _mended(self, doc: Doc, recognised: Sequence[TokenSpan], names: Found) -> list[TokenSpan]:
        ordinary = frozenset() if self.gazetteer is None else self.gazetteer.ordinary
        return with_repeats(doc, mend(doc, recognised, names, ordinary=ordinary), ordinary=ordinary)

    def _recognised(self, docs: Sequence[Doc]) -> list[list[TokenSpan]]:
        return self.recogniser.token_spans(docs) if self.recogniser else [[] for _ in docs]


def resolve(*proposals: Iterable[TokenSpan]) -> list[TokenSpan]:
    """Choose among overlapping token spans; sorted by position, without overlaps.

    The longest wins (in tokens), of equals that of the earlier list, then the leftmost. A span
    without a label gets that of the labelled span that it shares most tokens with, of the first
    list that has one.
    """
    lists = [sorted(spans) for spans in proposals]
    chosen = _disjoint(lists)
    labelled = [_disjoint([[span for span in spans if span[2]]]) for spans in lists]
    return [
        (start, end, label or _first_label(start, end, labelled)) for start, end, label in chosen
    ]


def _disjoint(lists: Sequence[Sequence[TokenSpan]]) -> list[TokenSpan]:
    ranks: dict[tuple[int, int], int] = {}
    labels: dict[tuple[int, int], str] = {}
    for rank, spans in enumerate(lists):
        for start, end, label in spans:
            ranks.setdefault((start, end), rank)
            labels[start, end] = labels.get((start, end), "") or label
    chosen: list[TokenSpan] = []
    taken: set[int] = set()
    for span in sorted(ranks, key=lambda s: (s[0] - s[1], ranks[s], s)):
        tokens = range(*span)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            chosen.append((*span, labels[span]))
    return sorted(chosen)


def _first_label(start: int, end: int, lists: Iterable[Sequence[TokenSpan]]) -> str:
    found = (best_label(start, end, spans) for spans in lists if spans)
    return next((label for label in found if label), "")


def _bare(names: Found) -> list[TokenSpan]:
    return [(start, end, "") for start, end in names.windows]


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
