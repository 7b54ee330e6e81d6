"""Facts that decide: entities that differ only in a year or a place, with contexts that name it.

Composed from any KB: two editions of an event ("1952 Summer Olympics", "1956 Summer Olympics"), or
two namesakes of one kind (two films, two towns), where each has a year or a place that the other
lacks. The context names that fact, or neither; then nothing decides, and a linker should say that
it is not sure.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from entlink.evaluate.metrics import expected_calibration_error
from entlink.inputs import entity_description
from entlink.kb.aliases import normalise
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import Document, Entity, Mention

YEAR, PLACE, NEITHER = "year", "place", "neither"
SURE = 0.9  # from this probability on, an answer claims to be sure

_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_PLACE_FACT = re.compile(r"(?:^|; )(?:in|location|country|from|place): ([^;]+)")
_PLACE_TEXT = re.compile(r"\bin ((?:[A-Z][\w'.-]+)(?: [A-Z][\w'.-]+)*)")
_SHORTEST = 3  # letters of a surface
_GAP = 3  # bearers of a surface are paired with the next ones, by year
_CONTEXTS = {
    YEAR: (
        "In {fact}, everybody talked about {name}.",
        "A report on {name} was published in {fact}.",
        "That was {fact}; people still talk about {name}.",
    ),
    PLACE: (
        "In {fact}, everybody talked about {name}.",
        "A report on {name} in {fact} was published.",
        "The people of {fact} still talk about {name}.",
    ),
    NEITHER: (
        "Back then, everybody talked about {name}.",
        "A report on {name} was published.",
        "That was long ago; people still talk about {name}.",
    ),
}


@dataclass(frozen=True, slots=True)
class FactPair:
    """Two entities of one surface; the facts are of the first and of the second."""

    surface: str
    rows: tuple[int, int]
    years: tuple[str, str] | None
    places: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class FactCase:
    """A text in which the surface means the entity ``gold`` and not ``rival`` (rows)."""

    kind: str  # YEAR, PLACE or NEITHER: the fact that it names
    document: Document
    gold: int
    rival: int


def fact_pairs(kb: KnowledgeBase, *, n: int = 200, per_surface: int = 3) -> list[FactPair]:
    """Up to ``n`` pairs, at most some of a surface, drawn by a checksum: always the same ones."""
    entities = [entity for many in kb.iterate() for entity in many]
    bearers: dict[str, list[int]] = {}
    for row, entity in enumerate(entities):
        for surface in _surfaces(entity):
            bearers.setdefault(surface, []).append(row)
    chosen: dict[tuple[int, int], FactPair] = {}
    for surface in sorted(bearers, key=lambda s: (zlib.crc32(s.encode()), s)):
        rows = sorted(bearers[surface], key=lambda row: (_years(entities[row]), row))
        near = (
            (a, b) for gap in range(1, _GAP + 1) for a, b in zip(rows, rows[gap:], strict=False)
        )
        found = (_pair(surface, a, b, entities) for a, b in near)
        for pair in islice((p for p in found if p is not None), per_surface):
            chosen.setdefault(pair.rows, pair)
        if len(chosen) >= n:
            break
    return list(chosen.values())[:n]


def fact_cases(pairs: Sequence[FactPair]) -> list[FactCase]:
    """For each pair: the first meant and the second, by each fact that decides; and undecided."""
    cases = []
    for number, pair in enumerate(pairs):
        for kind, facts in ((YEAR, pair.years), (PLACE, pair.places), (NEITHER, ("", ""))):
            for side in (0, 1) if facts and kind != NEITHER else (0,) if facts else ():
                assert facts is not None
                id = f"pair {number} {kind} {side}"
                context = _CONTEXTS[kind][zlib.crc32(id.encode()) % len(_CONTEXTS[kind])]
                document = _document(id, context, pair.surface, facts[side])
                cases.append(FactCase(kind, document, pair.rows[side], pair.rows[1 - side]))
    return cases


def measure_facts(linker: Linker, cases: Sequence[FactCase]) -> dict[str, dict[str, float]]:
    """For each kind of context: counts, accuracies, and how sure the linker was.

    ``accuracy``: the best of all candidates is the one meant; ``pair_accuracy``: it is more
    probable than its rival. With neither fact there is no right one: ``either`` is the share where
    the best candidate is one of the two, ``sure`` the share with a probability of at least .9.
    """
    _, mentions = linker.prepare([case.document for case in cases])
    given = [(case.document.text, m[0]) for case, m in zip(cases, mentions, strict=True)]
    rows: dict[str, list[tuple[float, float, bool, bool]]] = {}
    for case, scored in zip(cases, linker.score(given), strict=True):
        p = dict(zip(scored.retrieved.rows.tolist(), scored.probabilities.tolist(), strict=False))
        best = int(scored.retrieved.rows[scored.order()[0]]) if len(scored.retrieved.rows) else -1
        gold, rival = p.get(case.gold, 0.0), p.get(case.rival, 0.0)
        top = p.get(best, 0.0)
        hit = best == case.gold
        either = hit or best == case.rival
        rows.setdefault(case.kind, []).append((top, gold - rival, hit, either))
    return {kind: _figures(kind, found) for kind, found in rows.items()}


def _figures(kind: str, found: Sequence[tuple[float, float, bool, bool]]) -> dict[str, float]:
    top = np.asarray([row[0] for row in found])
    figures = {
        "n_mentions": float(len(found)),
        "mean_probability": float(top.mean()),
        "sure": float((top >= SURE).mean()),
        "either": float(np.mean([row[3] for row in found])),
    }
    if kind != NEITHER:
        hits = [row[2] for row in found]
        figures["accuracy"] = float(np.mean(hits))
        figures["pair_accuracy"] = float(np.mean([row[1] > 0 for row in found]))
        figures["ece"] = expected_calibration_error(top.tolist(), hits)
    return figures


def _surfaces(entity: Entity) -> Iterator[str]:
    """Its name; and what is left of it without the year."""
    names = [entity.name]
    if _YEAR.search(entity.name):
        names.append(" ".join(_YEAR.sub(" ", entity.name).replace("()", " ").split()))
    for name in names:
        if len(normalise(name)) >= _SHORTEST and not name[0].isdigit():
            yield name


def _pair(surface: str, a: int, b: int, entities: Sequence[Entity]) -> FactPair | None:
    """The pair, if the two are of a kind and a year or a place tells them apart."""
    one, two = entities[a], entities[b]
    edition = one.name != surface and two.name != surface
    if not (edition or set(one.types) & set(two.types)):
        return None
    years = _apart(_years(one), _years(two), one, two)
    places = _apart(_places(one), _places(two), one, two)
    return FactPair(surface, (a, b), years, places) if years or places else None


def _apart(
    of_one: Sequence[str], of_two: Sequence[str], one: Entity, two: Entity
) -> tuple[str, str] | None:
    """A fact of each that the other's text does not mention."""
    texts = [
        normalise(f"{e.name} {' '.join(e.aliases)} {entity_description(e)}") for e in (one, two)
    ]
    mine = next((fact for fact in of_one if normalise(fact) not in texts[1]), None)
    other = next((fact for fact in of_two if normalise(fact) not in texts[0]), None)
    return None if mine is None or other is None else (mine, other)


def _years(entity: Entity) -> list[str]:
    return _YEAR.findall(f"{entity.name} {entity.description or ''}")


def _places(entity: Entity) -> list[str]:
    listed = [name for found in _PLACE_FACT.findall(entity.facts) for name in found.split(", ")]
    return [*listed, *_PLACE_TEXT.findall(entity.description or "")]


def _document(id: str, context: str, surface: str, fact: str) -> Document:
    before, after = (part.format(fact=fact) for part in context.split("{name}"))
    mention = Mention(len(before), len(before) + len(surface), surface)
    return Document(id, before + surface + after, (mention,))
