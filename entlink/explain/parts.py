"""The context of a mention as the models see it, in parts that can be taken out one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from entlink.inputs import MentionInput, elsewhere, mention_input, pair_context_of
from entlink.records import Mention

_SENTENCE_END = re.compile(r"[.!?。！？][\"'”’)\]]*\s|\n")
_WORD = re.compile(r"\w+(?:[.'’&-]\w+)*")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text, without the mention."""

    start: int  # character offset, inclusive
    end: int  # exclusive


@dataclass(frozen=True, slots=True)
class Window:
    """A mention's input, and where in the text each character of its contexts stands."""

    text: str
    mention: Mention
    item: MentionInput
    left: tuple[int, ...]  # the place of each character of item.left
    pair_left: tuple[int | None, ...]  # of what the cross-encoder reads on the left; None: a mark
    sentence: int  # where item.sentence begins

    @classmethod
    def around(cls, text: str, mention: Mention) -> Window:
        """What `entlink.inputs.mention_input` sees of the text."""
        m = mention
        item = mention_input(text, m.start, m.end, label=m.label, full_name=m.full_name)
        n = 0  # characters of the left context that stand right before the mention
        while n < min(len(item.left), m.start) and item.left[-1 - n] == text[m.start - 1 - n]:
            n += 1
        left = (*range(len(item.left) - n), *range(m.start - n, m.start))  # the rest is the head
        pair_left = (*_places_elsewhere(text, m, item), *left)
        return cls(text, m, item, left, pair_left, _begin(text, m, item.sentence))

    def spans(self) -> list[Span]:
        """The stretches of the text that the models see, in order, without the mention."""
        m = self.mention
        seen = set(self.left) | set(range(m.end, m.end + len(self.item.right)))
        seen |= set(range(self.sentence, self.sentence + len(self.item.sentence)))
        seen |= set(range(*elsewhere(self.text, m.start, m.end)))
        seen -= set(range(m.start, m.end))
        spans: list[Span] = []
        for place in sorted(seen):
            if spans and spans[-1].end == place:
                spans[-1] = replace(spans[-1], end=place + 1)
            else:
                spans.append(Span(place, place + 1))
        return spans

    def sentences(self) -> list[Span]:
        """Its sentences; that of the mention itself is two, before and after the mention."""
        return [part for span in self.spans() for part in self._split(span)]

    def words(self) -> list[Span]:
        """Its words."""
        return [
            Span(span.start + word.start, span.start + word.end)
            for span in self.spans()
            for word in word_spans(self.text[span.start : span.end])
        ]

    def _split(self, span: Span) -> Iterator[Span]:
        """Stripped sentences, those without a letter left out."""
        stretch = self.text[span.start : span.end]
        ends = [match.end() for match in _SENTENCE_END.finditer(stretch)]
        for begin, end in zip([0, *ends], [*ends, len(stretch)], strict=True):
            part = stretch[begin:end]
            if any(c.isalnum() for c in part):
                start = span.start + begin + len(part) - len(part.lstrip())
                yield Span(start, start + len(part.strip()))


def word_spans(text: str) -> list[Span]:
    """The words of a text; numbers with points, and words with apostrophes and hyphens, are one."""
    return [Span(match.start(), match.end()) for match in _WORD.finditer(text)]


def _places_elsewhere(text: str, mention: Mention, item: MentionInput) -> tuple[int | None, ...]:
    """Of what `pair_context_of` puts before the left context: the name elsewhere and a mark."""
    begin, end = elsewhere(text, mention.start, mention.end)
    begin += len(text[begin:end]) - len(text[begin:end].lstrip())
    n_before = len(pair_context_of(item)[0]) - len(item.left)
    n_mark = n_before - len(item.elsewhere)
    return (*range(begin, begin + len(item.elsewhere)), *[None] * n_mark)


def _begin(text: str, mention: Mention, sentence: str) -> int:
    """Where the sentence begins: it is a stretch of the text around the mention."""
    name = text[mention.start : mention.end]
    at = sentence.find(name)
    while at >= 0:
        start = mention.start - at
        if start >= 0 and text.startswith(sentence, start):
            return start
        at = sentence.find(name, at + 1)
    raise AssertionError(f"{sentence!r} is not around {mention}")
