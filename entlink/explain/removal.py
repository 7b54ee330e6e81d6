"""Sentences and words taken out of the text itself; what is left is linked anew.

Nothing of the mention is held fixed: other candidates may be retrieved and others read, what stood
just outside the window moves into it, and a longer name may be gone. So the part whose removal
changes the odds most is named because it does, not because something else says that it would.
A label that the mention has stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from entlink.explain.parts import Span
from entlink.explain.result import Effect
from entlink.explain.scoring import NIL_PLACE, Base, Scorer, Scores
from entlink.inputs import with_full_names
from entlink.records import Document, Mention

FLOOR = 1e-6  # of a probability: less is as good as none, and so is what is no candidate any more
_NEAR = 1000  # characters from what is gone, farther than a recogniser sees
_AT_A_TIME = 4096  # mentions that are scored in one call; it bounds memory
Pairs = list[tuple[str, Mention]]


def removals(
    linker: Scorer,
    base: Base,
    together: Sequence[Mention],
    *,
    words: bool,
    candidates: NDArray[np.int64] | None = None,
) -> list[Effect]:
    """What each sentence does, then each word if asked for: of all that the models see.

    ``together`` are the mentions that were scored with this one, it among them: where the bundle
    decides a text's mentions together, they are scored again with each sentence gone, and those in
    it are gone too. Without a word the others' own contexts are taken to say what they said.
    ``candidates`` are rows to be ranked in place of what would be retrieved.
    """
    parts = [("sentence", span) for span in base.window.sentences()]
    parts += [("word", span) for span in base.window.words() if words]
    if base.answer == base.rival:
        return []
    left = [_Left.of(base, together, kind, span) for kind, span in parts]
    texts = [
        some.pairs(base, found) for some, found in zip(left, _labelled(linker, left), strict=True)
    ]
    if not linker.decision.sees_documents:
        texts = [([pairs[own]], 0) for pairs, own in texts]
    scores = _scores(linker, texts, candidates)
    return [_effect(base, part, now) for part, now in zip(parts, scores, strict=True)]


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left of a text, and of its mentions, without a stretch of it."""

    text: str
    place: int  # where the stretch was
    kept: tuple[Mention, ...]  # the mentions as they stand in the whole text
    moved: tuple[Mention, ...]  # as they stand now, without the longer names others gave them
    own: int  # which is explained
    whole: bool  # the others are linked anew too

    @classmethod
    def of(cls, base: Base, together: Sequence[Mention], kind: str, span: Span) -> _Left:
        text, n = base.window.text, span.end - span.start
        kept = [m for m in together if m.end <= span.start or m.start >= span.end]
        moved = [
            m if m.start < span.start else replace(m, start=m.start - n, end=m.end - n)
            for m in _as_they_stand(kept, together)
        ]
        own = kept.index(base.window.mention)
        short = text[: span.start] + text[span.end :]
        return cls(short, span.start, tuple(kept), tuple(moved), own, kind == "sentence")

    def unlabelled(self) -> list[int]:
        """Mentions that the recogniser may now see, since what is gone stood near them."""
        begin, end = self.place - _NEAR, self.place + _NEAR
        return [
            i
            for i in (range(len(self.moved)) if self.whole else [self.own])
            if not self.moved[i].label and begin <= self.moved[i].start and self.moved[i].end <= end
        ]

    def pairs(self, base: Base, labelled: Sequence[Mention]) -> tuple[Pairs, int]:
        """What is to be scored, and the place of the own mention in it."""
        found = with_full_names(labelled)
        if self.whole:
            return [(self.text, m) for m in found], self.own
        pairs = [(base.window.text, m) for m in self.kept]
        pairs[self.own] = self.text, found[self.own]
        return pairs, self.own


def _as_they_stand(kept: Sequence[Mention], together: Sequence[Mention]) -> list[Mention]:
    """The mentions without the longer names that the others gave them."""
    bare = [replace(m, full_name="") for m in together]
    full = with_full_names(bare)
    given = {m: b for m, b, same in zip(together, bare, full, strict=True) if same == m}
    return [given.get(m, m) for m in kept]


def _labelled(linker: Scorer, left: Sequence[_Left]) -> list[list[Mention]]:
    """The mentions that are left; those without a label are asked for one anew, as by a link."""
    places = [some.unlabelled() for some in left]
    asked = [_stretch(some, few) for some, few in zip(left, places, strict=True) if few]
    found = iter(linker.prepare(asked)[1] if asked else [])
    result = []
    for some, few in zip(left, places, strict=True):
        mentions = list(some.moved)
        for i, mention in zip(few, next(found) if few else [], strict=True):
            mentions[i] = replace(mentions[i], label=mention.label)
        result.append(mentions)
    return result


def _stretch(some: _Left, few: Sequence[int]) -> Document:
    """A few of the mentions that are left, and the text about them."""
    begin = max(0, some.place - 2 * _NEAR)
    moved = [some.moved[i] for i in few]
    shown = [replace(m, start=m.start - begin, end=m.end - begin) for m in moved]
    return Document("", some.text[begin : some.place + 2 * _NEAR], tuple(shown))


def _scores(
    linker: Scorer, texts: Sequence[tuple[Pairs, int]], candidates: NDArray[np.int64] | None
) -> Iterator[Scores]:
    """Of the own mention of each text; what is equal in several is looked up and read once."""
    begin = 0
    while begin < len(texts):
        end, n = begin + 1, len(texts[begin][0])
        while end < len(texts) and n + len(texts[end][0]) <= _AT_A_TIME:
            n += len(texts[end][0])
            end += 1
        some = texts[begin:end]
        flat = [pair for pairs, _ in some for pair in pairs]
        numbers = [number for number, (pairs, _) in enumerate(some) for _ in pairs]
        fixed = None if candidates is None else [candidates] * len(flat)
        scored = linker.score(flat, documents=numbers, candidates=fixed)
        ends = np.cumsum([0, *(len(pairs) for pairs, _ in some)])
        yield from (scored[first + own] for first, (_, own) in zip(ends, some, strict=False))
        begin = end


def _effect(base: Base, part: tuple[str, Span], now: Scores) -> Effect:
    kind, span = part
    answer, rival = (
        (_what_is_said(base, place, base.scores), _what_is_said(base, place, now))
        for place in (base.answer, base.rival)
    )
    log_odds, cosine, logit = (_change(*values) for values in zip(*answer, strict=True))
    rival_odds, rival_cosine, rival_logit = (
        _change(*values) for values in zip(*rival, strict=True)
    )
    assert log_odds is not None and rival_odds is not None
    return Effect(
        side="mention",
        kind=kind,
        part=base.window.text[span.start : span.end],
        start=span.start,
        end=span.end,
        cosine=cosine,
        rival_cosine=rival_cosine,
        logit=logit,
        rival_logit=rival_logit,
        log_odds=log_odds - rival_odds,
    )


def _what_is_said(
    base: Base, place: int, scores: Scores
) -> tuple[float, float | None, float | None]:
    """Logarithm of the probability, cosine and logit of the candidate at a place of the base."""
    if place == NIL_PLACE:
        return math.log(max(float(scores.probabilities[-1]), FLOOR)), None, None
    (found,) = np.nonzero(scores.retrieved.rows == base.scores.retrieved.rows[place])
    if not len(found):
        return math.log(FLOOR), None, None
    at = int(found[0])
    logit = float(scores.logits[at])
    return (
        math.log(max(float(scores.probabilities[at]), FLOOR)),
        float(scores.retrieved.cosines[at]),
        logit if np.isfinite(logit) else None,
    )


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
