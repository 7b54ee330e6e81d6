"""Mentions of ambiguous names, labelled by the knowledge base's relations rather than by people.

A name that several entities bear, in a text that also names a neighbour of just one of them, most
likely means that one: "Birmingham" beside "Alabama". Such mentions teach a reranker to weigh what
stands around a name against the facts of an entity, which labelled text, where a name nearly always
means its best-known bearer, hardly does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from entlink.kb.aliases import normalise
from entlink.records import Entity
from entlink.train.data import Example, Relation, name_variant

_HUMAN = "Q5"
_WORD = re.compile(r"\b\w[\w.'’&-]*")
_MAX_WORDS = 5  # of a name
_AROUND = 300  # characters on each side in which a neighbour's name counts
_MIN_NAME = 4  # characters: a shorter neighbour's name is no evidence


class Ambiguous:
    """Which names several entities bear, and what each of these is related to."""

    def __init__(self, entities: Sequence[Entity], relations: Iterable[Relation]) -> None:
        self.entities = entities
        bearers: dict[str, set[int]] = {}
        for row, entity in enumerate(entities):
            for name in (entity.name, *entity.aliases):
                bearers.setdefault(normalise(name), set()).add(row)
        self.bearers = {name: sorted(rows) for name, rows in bearers.items() if len(rows) > 1}
        wanted = {row for rows in self.bearers.values() for row in rows}
        self.neighbours: dict[int, list[tuple[str, int]]] = {}
        for r in relations:
            for row, other in ((r.head, r.tail), (r.tail, r.head)):
                if row in wanted and row != other:
                    self.neighbours.setdefault(row, []).append((r.name, other))
        self._folded: dict[int, frozenset[str]] = {}

    def meant(self, name: str, around: str) -> int | None:
        """The one bearer of ``name`` of which neighbours are named in ``around`` (folded text)."""
        support = {}
        for row in self.bearers.get(name, ()):
            named = [n for n in self._names_around(row) if n != name and f" {n} " in around]
            if named:
                support[row] = len(named)
        if not support:
            return None
        best = max(support, key=lambda row: (support[row], -row))
        rest = max((n for row, n in support.items() if row != best), default=0)
        return best if rest == 0 or support[best] >= rest + 2 else None

    def _names_around(self, row: int) -> frozenset[str]:
        """The folded names of its neighbours, those that are long enough to be evidence."""
        if row not in self._folded:
            others = {other for _, other in self.neighbours.get(row, ())}
            names = (normalise(self.entities[other].name) for other in others)
            self._folded[row] = frozenset(name for name in names if len(name) >= _MIN_NAME)
        return self._folded[row]


def distant_examples(ambiguous: Ambiguous, texts: Iterable[tuple[str, str]]) -> Iterator[Example]:
    """Mentions in (id, text) pairs of ambiguous names beside a neighbour of one bearer."""
    for name, text in texts:
        words = list(_WORD.finditer(text))
        at = 0
        while at < len(words):
            step = 1
            if words[at].group()[0].isupper():
                for n in range(min(_MAX_WORDS, len(words) - at), 0, -1):
                    start, end = words[at].start(), words[at + n - 1].end()
                    surface = normalise(text[start:end])
                    if surface in ambiguous.bearers:
                        around = f" {normalise(text[max(0, start - _AROUND) : start])} | "
                        around += f"{normalise(text[end : end + _AROUND])} "
                        row = ambiguous.meant(surface, around)
                        if row is not None:
                            gold = ambiguous.entities[row].id
                            yield Example(f"{name}#{start}", text, start, end, gold)
                        step = n
                        break
            at += step


_FRAMES = (
    "{0}, {p} {1}, {2}.",
    "{1} and {2}: {0}, {3}.",
    "{0} was in the news in {1} again, {2} said.",
    "From {1} to {2}, everyone knows {0}.",
    "After {1}, {0} met {2} and {3}.",
    "The {d} {0} is known from {1}.",
    "{0}, a {d}, has to do with {2}.",
    "Everyone asked about the {d} {0}.",
)


def composed_ambiguous(
    ambiguous: Ambiguous, fillers: Sequence[str], *, n: int, seed: int
) -> Iterator[Example]:
    """Composed sentences about bearers of ambiguous names, some between sentences of real text."""
    random_ = random.Random(seed)
    names = sorted(ambiguous.bearers)
    for number in range(n):
        row = random_.choice(ambiguous.bearers[random_.choice(names)])
        entity = ambiguous.entities[row]
        facts = ambiguous.neighbours.get(row, [])
        shared = [s for s in (entity.name, *entity.aliases) if normalise(s) in ambiguous.bearers]
        if not shared or not (facts or entity.description):
            continue
        around = [random_.choice(facts) for _ in range(3)] if facts else []
        frames = _FRAMES if around else _FRAMES[-1:]
        frame = random_.choice(frames if entity.description else frames[:5])
        before, after = frame.split("{0}")
        values = ["", *(name_variant(ambiguous.entities[o], random_) for _, o in around)]
        what = (entity.description or "").split(",")[0]
        words = {"p": around[0][0] if around else "", "d": what}
        filler = random_.choice(fillers)[:200] if fillers and random_.random() < 0.5 else ""
        left = f"{filler} {before.format(*values, **words)}".lstrip()
        mention = random_.choice(shared)
        text = left + mention + after.format(*values, **words)
        yield Example(f"ambiguous-{number}", text, len(left), len(left) + len(mention), entity.id)


def of_one_name(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """By name, the first example of each entity that it means, of names that mean several."""
    together: dict[str, dict[str, Example]] = {}
    for e in examples:
        together.setdefault(normalise(e.text[e.start : e.end]), {}).setdefault(e.gold, e)
    return {name: list(many.values()) for name, many in together.items() if len(many) > 1}


def composed_rivals(ambiguous: Ambiguous, *, n: int, seed: int) -> list[Example]:
    """Texts of two sentences in which one name means two of its bearers; both are mentions.

    At most ``n`` mentions; names are drawn.
    """
    found = of_one_name(composed_ambiguous(ambiguous, [], n=16 * n, seed=seed))
    pairs = [many[:2] for many in found.values()]
    random.Random(seed).shuffle(pairs)
    rivals = []
    for number, (a, b) in enumerate(pairs[: n // 2]):
        text, doc, after = f"{a.text} {b.text}", f"rivals-{number}", len(a.text) + 1
        rivals.append(replace(a, doc=doc, text=text))
        rivals.append(replace(b, doc=doc, text=text, start=b.start + after, end=b.end + after))
    return rivals


def composed_longer(ambiguous: Ambiguous, *, n: int, seed: int) -> Iterator[Example]:
    """Two sentences: someone by the full name, then a bearer of the last name alone.

    "George Washington ... Washington, between Oregon and Canada": the shorter name does not always
    mean the one who was named in full. Both are mentions.
    """
    random_ = random.Random(seed)
    last: dict[str, list[int]] = {}
    for row, entity in enumerate(ambiguous.entities):
        words = entity.name.split()
        if len(words) == 2 and _HUMAN in entity.types:
            last.setdefault(normalise(words[-1]), []).append(row)
    names = sorted(name for name in last if name in ambiguous.bearers)
    for number in range(n if names else 0):
        name = random_.choice(names)
        person = random_.choice(last[name])
        others = [row for row in ambiguous.bearers[name] if ambiguous.neighbours.get(row)]
        if not others:
            continue
        other = random_.choice(others)
        entity = ambiguous.entities[other]
        shown = next((s for s in (entity.name, *entity.aliases) if normalise(s) == name), None)
        around = [random_.choice(ambiguous.neighbours[other]) for _ in range(3)]
        values = [name_variant(ambiguous.entities[o], random_, noise=False) for _, o in around]
        frame = random_.choice(_FRAMES[:5])
        if shown is None or person == other or frame.startswith("{1}"):
            continue
        full = ambiguous.entities[person]
        left = f"{full.name} was in the news again on Monday. "
        before, after = frame.split("{0}")
        start = left + before.format("", *values, p=around[0][0])
        text = start + shown + after.format("", *values, p=around[0][0])
        doc = f"longer-{number}"
        yield Example(doc, text, 0, len(full.name), full.id)
        yield Example(doc, text, len(start), len(start) + len(shown), entity.id)


def spread(examples: Iterable[Example], *, per_name: int) -> list[Example]:
    """At most so many examples of one name and entity, the first ones."""
    counts: dict[tuple[str, str], int] = {}
    kept = []
    for e in examples:
        key = (normalise(e.text[e.start : e.end]), e.gold)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= per_name:
            kept.append(e)
    return kept
