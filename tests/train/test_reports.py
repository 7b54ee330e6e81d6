"""Composed news reports: offsets, what names mean, and which facts they are made of."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from entlink.kb.demonyms import DEMONYMS
from entlink.records import Entity
from entlink.train import frames
from entlink.train.data import Example, Relation
from entlink.train.reports import report_examples

COUNTRIES = ("Chile", "Ghana", "Norway", "Peru", "Turkey", "Kenya")
TOWNS = ("Alba", "Brook", "Corin", "Dell", "Esker", "Fenn", "Gorse", "Holm")


def world() -> tuple[list[Entity], list[Relation]]:
    """Countries with a national team each, towns with a club each, leagues, people, sports."""
    rows: list[Entity] = []
    relations: list[Relation] = []

    def add(name: str, description: str = "", types: tuple[str, ...] = ()) -> int:
        rows.append(Entity(f"E{len(rows)}", name, (), description, types=types, popularity=1.0))
        return len(rows) - 1

    soccer, hockey = add("association football"), add("ice hockey")
    countries = [add(name, "country") for name in COUNTRIES]
    for name in COUNTRIES:
        add(f"{name} national football team", "national team")
    towns = [add(name, "town") for name in TOWNS]
    for number, (name, town) in enumerate(zip(TOWNS, towns, strict=True)):
        club = add(f"{name} F.C.", "football club")
        relations.append(Relation(club, "sport", soccer))
        relations.append(Relation(club, "country", countries[number % 2]))
        relations.append(Relation(add(f"{name} Blades", "hockey club"), "sport", hockey))
        relations.append(Relation(town, "capital of", countries[0]))
    job = add("President of Peru", "office")
    person = add("Ana Quill", "politician", ("Q5",))
    relations.append(Relation(person, "position held", job))
    return rows, relations


def made(n: int = 3000, seed: int = 0) -> tuple[dict[str, Entity], list[Example]]:
    rows, relations = world()
    found = list(report_examples(rows, relations, n=n, seed=seed, fillers=["Some words here."]))
    return {e.id: e for e in rows}, found


def test_mentions_stand_where_they_say_and_are_names_of_what_they_mean() -> None:
    by_id, examples = made()
    assert len(examples) >= 3000
    for e in examples:
        name, said = by_id[e.gold].name, e.text[e.start : e.end]
        known = {name, name.split()[-1], *name.split(" national")[:1], DEMONYMS.get(name, name)}
        known |= {name.removesuffix(" F.C."), name.removesuffix(" Blades")}
        assert said.lower() in {k.lower() for k in known}, (said, name)
        assert "{" not in e.text and "}" not in e.text


def test_one_name_means_one_thing_in_one_place_of_each_report_and_several_overall() -> None:
    by_id, examples = made()
    meanings: dict[str, Counter[str]] = defaultdict(Counter)
    for e in examples:
        meanings[e.text[e.start : e.end].lower()][by_id[e.gold].name] += 1
    assert set(meanings["chile"]) == {"Chile", "Chile national football team"}
    assert set(meanings["alba"]) == {"Alba", "Alba F.C.", "Alba Blades"}
    assert set(meanings["quill"]) == {"Ana Quill"}
    spans = {(e.doc, e.start, e.end) for e in examples}
    assert len(spans) == len(examples)


def test_the_town_before_the_date_is_the_town() -> None:
    by_id, examples = made()
    dated = [e for e in examples if re.match(r" 1996-\d\d-\d\d ", e.text[e.end :])]
    assert len(dated) > 100
    assert {by_id[e.gold].description for e in dated} <= {"town", "country"}


def test_teams_of_a_report_play_its_sport() -> None:
    by_id, examples = made()
    hockey = [e for e in examples if e.text.lower().startswith("ice hockey - ")]
    assert hockey
    assert not [e for e in hockey if by_id[e.gold].name.endswith(("F.C.", "football team"))]


def test_the_same_seed_gives_the_same_reports_and_another_others() -> None:
    assert made(200, 1)[1] == made(200, 1)[1]
    assert made(200, 1)[1] != made(200, 2)[1]


def test_without_countries_or_towns_there_are_none() -> None:
    rows, relations = world()
    assert not list(report_examples(rows[:2], [], n=10, seed=0))
    assert not list(report_examples(rows, [r for r in relations if r.name == "x"], n=10, seed=0))


@pytest.mark.parametrize("kind", [f for f in vars(frames).values() if isinstance(f, frames.Frames)])
def test_every_report_has_enough_sentences(kind: frames.Frames) -> None:
    assert len(kind.bodies) >= 5 and len(set(kind.bodies)) == len(kind.bodies)
    assert kind.heads and kind.datelines
