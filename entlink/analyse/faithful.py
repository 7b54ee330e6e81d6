"""Is the explanation faithful? Take each part out of the text itself and link again, from scratch.

An explanation holds candidates, evidence of names and pairs to read fixed, and names the part whose
removal changes the answer's odds most. Here nothing is held fixed: the text loses the part, and the
whole linker runs, for the mention by itself. Faithful is an explanation whose part then changes the
odds more than any other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from entlink.errors import ConfigError, InputError
from entlink.explain import Effect, Explanation
from entlink.inputs import with_full_names
from entlink.linker import Linker
from entlink.records import NIL, Document, Mention
from entlink.scoring import Scored

KINDS = ("sentence", "word")
MATTERS = 1.0  # a change of the log-odds from which a context is said to matter
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
    n_mentions: int  # that have at least two parts
    n_parts: float  # of a mention, in the mean
    change: float  # mean size of the change by any part, in log-odds
    methods: Mapping[str, Named]
    n_matter: int  # mentions of which some part changes the log-odds by at least MATTERS
    methods_where_it_matters: Mapping[str, Named]

    def lines(self) -> Iterator[str]:
        """A table for people, in Markdown."""
        yield (
            f"{self.n_mentions} mentions with {self.n_parts:.1f} parts ({self.kind}s); taking one "
            f"out changes the log-odds by {self.change:.2f} in the mean; for {self.n_matter} of "
            f"them some part changes them by {MATTERS:g} or more"
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


def measure_faithfulness(
    linker: Linker,
    documents: Sequence[Document],
    *,
    kind: str = "sentence",
    n_mentions: int = 200,
    seed: int = 0,
    on_mention: Callable[[int], None] | None = None,
) -> Faithfulness:
    """Over a sample of the documents' given mentions, drawn by ``seed``.

    Methods: "explanation" (one part left out, all else fixed), "gradient" (gradient x input of the
    reranker's tokens, summed over the part), "nearest" (to the mention), "random" (what drawing
    lots gives). InputError if no mention has two parts.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    cases: list[_Case] = []
    for text, mention in _mentions(linker, documents, seed):
        case = _case(linker, text, mention, kind)
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
        n_mentions=len(cases),
        n_parts=float(np.mean([len(case.actual) for case in cases])),
        change=float(np.mean([np.mean(np.abs(case.actual)) for case in cases])),
        methods=_methods(cases),
        n_matter=len(matter),
        methods_where_it_matters=_methods(matter),
    )


def _mentions(
    linker: Linker, documents: Sequence[Document], seed: int
) -> Iterator[tuple[str, Mention]]:
    """The given mentions of all documents in any order, as the linker sees them."""
    prepared: dict[int, list[Mention]] = {}
    places = [(d, m) for d, document in enumerate(documents) for m in range(_n_given(document))]
    random.Random(seed).shuffle(places)
    for d, m in places:
        if d not in prepared:
            _, (mentions,) = linker.prepare([documents[d]])
            prepared[d] = with_full_names(mentions)
        yield documents[d].text, prepared[d][m]


def _n_given(document: Document) -> int:
    return len(document.mentions or ())


def _case(linker: Linker, text: str, mention: Mention, kind: str) -> _Case | None:
    found = linker.explain(text, mention, vectors=False, words=kind == "word", alone=True)
    parts = [e for e in found.effects if (e.kind, e.side) == (kind, "mention")]
    if len(parts) < 2:
        return None
    scored = linker.score([(text, mention), *(_without(text, mention, part) for part in parts)])
    before, *after = (_log_odds(linker, found, scores) for scores in scored)
    return _Case(
        actual=tuple(odds - before for odds in after),
        said={
            "explanation": tuple(part.log_odds for part in parts),
            "gradient": tuple(_gradient(found, part) for part in parts),
            "nearest": tuple(-float(_distance(mention, part)) for part in parts),
        },
    )


def _without(text: str, mention: Mention, part: Effect) -> tuple[str, Mention]:
    """The text without the part, and the mention where it then stands."""
    assert part.start is not None and part.end is not None
    shift = part.end - part.start if part.start < mention.start else 0
    moved = replace(mention, start=mention.start - shift, end=mention.end - shift)
    return text[: part.start] + text[part.end :], moved


def _log_odds(linker: Linker, found: Explanation, scores: Scored) -> float:
    """Of the answer against its rival, as first explained, in what the linker now says."""
    rows = linker.kb.rows_of([found.entity_id, found.rival])

    def probability(entity_id: str) -> float:
        if entity_id == NIL:
            return float(scores.probabilities[-1])
        place = np.flatnonzero(scores.retrieved.rows == rows[entity_id])
        return float(scores.probabilities[place[0]]) if len(place) else _FLOOR

    return float(
        np.log(max(probability(found.entity_id), _FLOOR))
        - np.log(max(probability(found.rival), _FLOOR))
    )


def _gradient(found: Explanation, part: Effect) -> float:
    assert part.start is not None and part.end is not None
    return -sum(
        token.weight
        for token in found.tokens
        if token.start is not None and part.start <= token.start < part.end
    )


def _distance(mention: Mention, part: Effect) -> int:
    assert part.start is not None and part.end is not None
    return max(mention.start - part.end, part.start - mention.end)


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
    return float(np.mean([abs(case.actual[place]) == most for place in places]))
