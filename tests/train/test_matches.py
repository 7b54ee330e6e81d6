"""Composed reports: who is meant is what the facts say."""

from __future__ import annotations

import pytest

from entlink.kb.demonyms import DEMONYMS
from entlink.records import Entity
from entlink.train.data import Relation
from entlink.train.matches import adjective_examples, best_named, match_examples, teams_by_sport

TOWNS = ("Avonmouth", "Brentham", "Carmeltown", "Dovering", "Elbaside", "Fernhill", "Gower")
SPORT = 0
ENTITIES = [
    Entity("sport", "baseball", (), "team sport"),
    *(Entity(f"town-{t}", t, (), "town", popularity=3.0) for t in TOWNS),
    *(Entity(f"team-{t}", f"{t} Hawks", (), f"baseball team of {t}") for t in TOWNS),
    Entity("player", "Sam Hawk", (), "plays in a baseball team", types=("Q5",)),
    Entity("youth", "Gower Hawks under-19", (), "baseball team"),
]
ROWS = {e.id: row for row, e in enumerate(ENTITIES)}
RELATIONS = [
    Relation(ROWS[e.id], "sport", SPORT) for e in ENTITIES if e.id not in ("sport", "town-Gower")
]
RELATIONS = [r for r in RELATIONS if not ENTITIES[r.head].id.startswith("town-")]


def test_teams_are_called_by_their_town() -> None:
    teams = teams_by_sport(ENTITIES, RELATIONS)
    assert list(teams) == ["baseball"]
    assert {ENTITIES[t.row].id for t in teams["baseball"]} == {f"team-{t}" for t in TOWNS}
    for team in teams["baseball"]:
        town = ENTITIES[team.row].id.removeprefix("team-")
        assert set(team.names) == {town, f"{town} Hawks"}
        assert team.place == ROWS[f"town-{town}"]


def test_clubs_and_countries_by_their_short_names() -> None:
    entities = [
        Entity("s", "association football"),
        Entity("p", "Leeds", (), "city", popularity=3.0),
        Entity("c", "Leeds United F.C.", (), "football club"),
        Entity("n", "Turkey national football team", (), "national team"),
        *(Entity(f"x{i}", f"FC Team{i}", (), "football club") for i in range(4)),
    ]
    teams = teams_by_sport(entities, [Relation(r, "sport", 0) for r in range(2, len(entities))])
    names = {entities[t.row].id: set(t.names) for t in teams["association football"]}
    assert names["c"] == {"Leeds", "Leeds United"}
    assert names["n"] == {"Turkey"} and names["x0"] == {"Team0"}


def test_a_sport_with_few_teams_is_left_out() -> None:
    assert teams_by_sport(ENTITIES, RELATIONS[:3]) == {}
    assert list(match_examples(ENTITIES, RELATIONS[:3], n=5, seed=0)) == []


def test_reports_name_the_team_or_its_town() -> None:
    examples = list(match_examples(ENTITIES, RELATIONS, n=300, seed=3))
    assert len(examples) == 300 and len({e.doc for e in examples}) == 300
    kinds = {"team": 0, "town": 0}
    for e in examples:
        kind, town = e.gold.split("-")
        kinds[kind] += 1
        surface = e.text[e.start : e.end]
        assert surface.lower() in {town.lower(), f"{town} hawks".lower()}
        if kind == "town":
            assert surface.lower() == town.lower()
        assert "{" not in e.text
    assert 60 < kinds["town"] < 140
    assert any(e.text[e.start : e.end].isupper() for e in examples)
    assert examples == list(match_examples(ENTITIES, RELATIONS, n=300, seed=3))
    assert examples != list(match_examples(ENTITIES, RELATIONS, n=300, seed=4))


def test_adjectives_mean_the_country_or_its_language() -> None:
    entities = [
        Entity("de", "Germany", popularity=5.0),
        Entity("film", "Germany", popularity=1.0),
        Entity("fr", "France"),
        Entity("lang", "German language"),
    ]
    examples = list(adjective_examples(entities, n=200, seed=0))
    assert len(examples) == 200
    golds = {(e.text[e.start : e.end], e.gold) for e in examples}
    names = {("Germany", "de"), ("France", "fr")}
    assert golds == {("German", "de"), ("German", "lang"), ("French", "fr")} | names
    spoken = [e for e in examples if e.gold == "lang"]
    assert 10 < len(spoken) < 60
    assert all(DEMONYMS["Germany"] == e.text[e.start : e.end] for e in spoken)


@pytest.mark.parametrize("entities", [[], [Entity("de", "Germany")]])
def test_without_two_countries_there_are_none(entities: list[Entity]) -> None:
    assert list(adjective_examples(entities, n=3, seed=0)) == []


def test_a_countrys_name_means_the_country_even_beside_a_better_known_namesake() -> None:
    entities = [
        Entity("S", "Georgia", description="state of the United States", popularity=4.0),
        Entity("C", "Georgia", description="country in Eastern Europe", popularity=3.0),
        Entity("D", "Georgia", type_names=("sovereign state",), popularity=2.0),
        Entity("R", "Avon", description="river", popularity=1.0),
        Entity("T", "Avon", description="town", popularity=2.0),
    ]
    assert best_named(entities) == {"Georgia": 1, "Avon": 4}
    assert best_named(entities[:1]) == {"Georgia": 0}  # rather that than none
    france = Entity("F", "France", description="country in Europe")
    gold = {e.gold for e in adjective_examples([*entities, france], n=40, seed=0)}
    assert "C" in gold and "S" not in gold
