"""Is the explanation faithful? Take each part out of the text itself and link again, from scratch.

An explanation names the part of the text whose removal changes the answer's odds most. Here every
part is deleted as a user would: a new document, its one mention given, through `Linker.link`; and
the odds are taken from the link's candidates. Faithful is an explanation whose part then changes
them more than any other. With ``whole`` the text keeps its other mentions too, which are linked
anew and may speak for other candidates than before.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from entlink.errors import ConfigError, InputError
from entlink.explain import Effect, Explanation
from entlink.inputs import with_full_names
from entlink.linker import Linker
from entlink.records import NIL, Document, Link, LinkedDocument, Mention
from entlink.scoring import N_CANDIDATES

KINDS = ("sentence", "word")
MATTERS = 1.0  # a change of the log-odds from which a context is said to matter
TIE = 1e-3  # in log-odds: what a pair is read with in one batch may change a logit that much
_FLOOR = 1e-6  # of the probability of what is no candidate any more


@dataclass(frozen=True, slots=True)
class Named:
    """Of one way to name a part, over the mentions."""

    first: float  # share whose named part changes the odds more than any other part does
    change: float  # mean size of the change by the named part, in log-odds


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How often the named part is the one that matters most."""

    kind: str  # of part: "sentence" or "word"
    whole: bool  # the text's other mentions were linked too
    n_mentions: int  # that have at least two parts
    n_parts: float  # of a mention, in the mean
    change: float  # mean size of the change by any part, in log-odds
    methods: Mapping[str, Named]
    n_matter: int  # mentions of which some part changes the log-odds by at least MATTERS
    methods_where_it_matters: Mapping[str, Named]
    seconds: float = field(compare=False)  # of the processor, for one explanation in the mean

    def lines(self) -> Iterator[str]:
        """A table for people, in Markdown."""
        yield (
            f"{self.n_mentions} mentions, {'in their texts' if self.whole else 'by themselves'}, "
            f"with {self.n_parts:.1f} parts ({self.kind}s); taking one out changes the log-odds by "
            f"{self.change:.2f} in the mean; for {self.n_matter} mentions some part by "
            f"{MATTERS:g} or more; an explanation took {self.seconds:.1f} s of the processor"
        )
        yield ""
        yield "| the part named by | changes most | its change | where it matters | its change |"
        yield "|---|---|---|---|---|"
        for name, all_ in self.methods.items():
            few = self.methods_where_it_matters.get(name)
            shown = "| |" if few is None else f"{few.first:.3f} | {few.change:.2f} |"
            yield f"| {name} | {all_.first:.3f} | {all_.change:.2f} | {shown}"


@dataclass(frozen=True, slots=True)
class _Case:
    """One mention: what taking out each part does, and what each method says that it does."""

    actual: tuple[float, ...]
    said: Mapping[str, tuple[float, ...]]
    seconds: float  # that explaining it took


def measure_faithfulness(
    linker: Linker,
    documents: Sequence[Document],
    *,
    kind: str = "sentence",
    whole: bool = False,
    n_mentions: int = 200,
    seed: int = 0,
    on_mention: Callable[[int], None] | None = None,
) -> Faithfulness:
    """Over a sample of the documents' given mentions, drawn by ``seed``.

    Methods: "explanation", "gradient" (gradient x input of the reranker's tokens, summed over the
    part), "nearest" (to the mention), "random" (what drawing lots gives). Changes that differ by
    less than TIE are equal. InputError if no mention has two parts.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    cases: list[_Case] = []
    for document, mention in _mentions(linker, documents, seed, whole=whole):
        case = _case(linker, document, mention, kind)
        if case is not None:
            cases.append(case)
            if on_mention:
                on_mention(len(cases))
        if len(cases) == n_mentions:
            break
    if not cases:
        raise InputError(f"no mention has two {kind}s around it; give longer texts")
    matter = [case for case in cases if max(map(abs, case.actual)) >= MATTERS]
    return Faithfulness(
        kind=kind,
        whole=whole,
        n_mentions=len(cases),
        n_parts=float(np.mean([len(case.actual) for case in cases])),
        change=float(np.mean([np.mean(np.abs(case.actual)) for case in cases])),
        methods=_methods(cases),
        n_matter=len(matter),
        methods_where_it_matters=_methods(matter),
        seconds=float(np.mean([case.seconds for case in cases])),
    )


def _mentions(
    linker: Linker, documents: Sequence[Document], seed: int, *, whole: bool
) -> Iterator[tuple[Document, Mention]]:
    """The given mentions of all documents in any order, with the labels that the linker sees.

    Each with its document: as it is, or with this mention alone, which then keeps the longer name
    that the others gave it.
    """
    prepared: dict[int, Sequence[Mention]] = {}
    places = [(d, m) for d, document in enumerate(documents) for m in range(_n_given(document))]
    random.Random(seed).shuffle(places)
    for d, m in places:
        if d not in prepared:
            _, (prepared[d],) = linker.prepare([documents[d]])
        if whole:
            yield replace(documents[d], mentions=tuple(prepared[d])), prepared[d][m]
        else:
            mention = with_full_names(prepared[d])[m]
            yield replace(documents[d], mentions=(mention,)), mention


def _n_given(document: Document) -> int:
    return len(document.mentions or ())


def _case(linker: Linker, document: Document, mention: Mention, kind: str) -> _Case | None:
    place = (mention.start, mention.end)
    started = time.process_time()
    found = linker.explain(document, place, vectors=False, words=kind == "word")
    seconds = time.process_time() - started
    parts = [e for e in found.effects if (e.kind, e.side) == (kind, "mention")]
    if len(parts) < 2:
        return None
    linked = linker.link(
        [document, *(_without(document, part) for part in parts)], n_candidates=N_CANDIDATES
    )
    before, *after = (
        _log_odds(found, _link_at(shown, mention, part))
        for shown, part in zip(linked, [None, *parts], strict=True)
    )
    return _Case(
        actual=tuple(odds - before for odds in after),
        said={
            "explanation": tuple(part.log_odds for part in parts),
            "gradient": tuple(_gradient(found, part) for part in parts),
            "nearest": tuple(-float(_distance(mention, part)) for part in parts),
        },
        seconds=seconds,
    )


def _without(document: Document, part: Effect) -> Document:
    """The document with the part deleted, and the mentions that are left."""
    start, end = _place(part)
    rest = [m for m in document.mentions or () if m.end <= start or m.start >= end]
    moved = [_moved(m, part) for m in rest]
    return replace(
        document, text=document.text[:start] + document.text[end:], mentions=tuple(moved)
    )


def _moved(mention: Mention, part: Effect | None) -> Mention:
    """Where the mention stands when the part is gone."""
    if part is None or mention.start < _place(part)[0]:
        return mention
    n = len(part.part)
    return replace(mention, start=mention.start - n, end=mention.end - n)


def _place(part: Effect) -> tuple[int, int]:
    assert part.start is not None and part.end is not None
    return part.start, part.end


def _link_at(linked: LinkedDocument, mention: Mention, part: Effect | None) -> Link:
    start = _moved(mention, part).start
    return next(
        link
        for link in linked.links
        if (link.mention.start, link.mention.text) == (start, mention.text)
    )


def _log_odds(found: Explanation, link: Link) -> float:
    """Of the answer against its rival, as first explained, by what the link now says."""
    probability = {c.entity_id: c.probability for c in link.candidates}
    probability[NIL] = 1 - sum(probability.values())
    answer, rival = (
        max(probability.get(entity_id, 0.0), _FLOOR) for entity_id in (found.entity_id, found.rival)
    )
    return math.log(answer / rival)


def _gradient(found: Explanation, part: Effect) -> float:
    start, end = _place(part)
    return -sum(
        token.weight
        for token in found.tokens
        if token.start is not None and start <= token.start < end
    )


def _distance(mention: Mention, part: Effect) -> int:
    start, end = _place(part)
    return max(mention.start - end, start - mention.end)


def _methods(cases: Sequence[_Case]) -> dict[str, Named]:
    if not cases:
        return {}
    methods = {name: _named(cases, name) for name in cases[0].said}
    # of equal changes any may be named, so that lots may be right more often than 1 in n
    share = float(np.mean([_first(case, range(len(case.actual))) for case in cases]))
    change = float(np.mean([np.mean(np.abs(case.actual)) for case in cases]))
    return methods | {"random": Named(share, change)}


def _named(cases: Sequence[_Case], method: str) -> Named:
    first, change = [], []
    for case in cases:
        said = case.said[method]
        size = [abs(value) for value in said] if method != "nearest" else list(said)
        place = size.index(max(size))
        first.append(_first(case, [place]))
        change.append(abs(case.actual[place]))
    return Named(float(np.mean(first)), float(np.mean(change)))


def _first(case: _Case, places: Sequence[int]) -> float:
    """The share of these places at which no other part changes the odds more."""
    most = max(map(abs, case.actual))
    return float(np.mean([abs(case.actual[place]) > most - TIE for place in places]))
