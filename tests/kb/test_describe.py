"""Descriptions composed from facts: what they say, and that they do not depend on order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.kb.describe import MAX_FACTS, Fact, compose
from entlink.kb.properties import FREEBASE, NOISE, ROLES
from entlink.records import Entity


def facts(*rows: tuple[str, str] | tuple[str, str, int]) -> list[Fact]:
    """("P19", "Rome") reads from the head, ("<P19", "Rome") from the tail; third: weight."""
    return [
        Fact(
            property=row[0].removeprefix("<"),
            name=f"name of {row[0].removeprefix('<')}",
            other=row[1],
            forward=not row[0].startswith("<"),
            weight=row[2] if len(row) == 3 else 0,
        )
        for row in rows
    ]


def described(*rows: tuple[str, str] | tuple[str, str, int], kinds: tuple[str, ...] = ()) -> str:
    return compose(Entity("E", "Name", type_names=kinds), facts(*rows))[0] or ""


def test_a_player() -> None:
    rows = facts(
        ("P31", "Human"),
        ("P27", "United States of America"),
        ("P106", "entrepreneur"),
        ("P641", "basketball"),
        ("P54", "Chicago Bulls", 9),
        ("P54", "Washington Wizards", 3),
        ("P19", "Brooklyn"),
        ("<P161", "A Film"),
        ("P21", "male"),
        ("P735", "Michael"),
    )
    assert compose(Entity("E", "Somebody"), rows) == (
        "American basketball player and entrepreneur",
        "teams: Chicago Bulls, Washington Wizards; acted in: A Film; sport: basketball; "
        "born in: Brooklyn",
    )


@pytest.mark.parametrize(
    ("rows", "kinds", "text"),
    [
        ([("P27", "France"), ("P106", "poet"), ("P106", "writer")], ("human",), "French poet"),
        ([("P102", "A Party")], ("human",), "politician"),
        ([("P39", "Prime Minister of X")], ("human",), "politician, Prime Minister of X"),
        ([("P106", "cook"), ("P27", "Ruritania")], (), "cook from Ruritania"),
        ([], ("human",), "person"),
        (
            [("P17", "United States of America"), ("P131", "Nebraska")],
            ("county seat", "city of the United States"),
            "city in Nebraska, United States",
        ),
        (
            [("P17", "France"), ("P1376", "France")],
            ("capital", "city"),
            "city, capital of France",
        ),
        ([("P17", "German Empire", 9), ("P17", "Germany", 5)], ("town",), "town in Germany"),
        ([("P30", "Asia")], ("sovereign state",), "sovereign state in Asia"),
        (
            [("P495", "United Kingdom"), ("P57", "A. Maker"), ("P136", "drama film")],
            ("film",),
            "British drama film directed by A. Maker",
        ),
        ([("P161", "An Actor"), ("P136", "comedy film")], (), "comedy film"),
        (
            [("P495", "United Kingdom"), ("P136", "rock music")],
            ("musical group",),
            "British rock band",
        ),
        (
            [("P452", "electronics industry"), ("P159", "Oslo"), ("P17", "Norway")],
            ("business",),
            "electronics company based in Oslo, Norway",
        ),
        ([("<P264", "A Singer")], (), "record label"),
        ([("P279", "fruit", 9), ("P279", "pome", 1)], (), "kind of pome and fruit"),
        ([("<P279", "flour"), ("<P279", "sugar")], (), "class of things such as flour and sugar"),
        ([("P279", "mammal")], ("taxon",), "taxon, kind of mammal"),
        ([], ("Music genre",), "music genre"),
        ([], ("American football team",), "American football team"),
        ([], (), ""),
    ],
)
def test_what_it_is(
    rows: list[tuple[str, str] | tuple[str, str, int]], kinds: tuple[str, ...], text: str
) -> None:
    assert described(*rows, kinds=kinds) == text


def test_tails_are_told_from_their_side() -> None:
    _, told = compose(Entity("E", "Here"), facts(("<P19", "A. Poet"), ("<P159", "A Firm")))
    assert told == "home of: A Firm; birthplace of: A. Poet"


def test_freebase_reads_like_wikidata() -> None:
    path = "freebase:/location/location/contains"
    outer = compose(Entity("E", "Outer"), [Fact(path, "/contains", "Inner", True)])
    assert outer == compose(Entity("E", "Outer"), facts(("<P131", "Inner")))
    inner = compose(Entity("E", "Inner"), [Fact(path, "/contains", "Outer", False)])
    assert inner == compose(Entity("E", "Inner"), facts(("P131", "Outer")))
    unknown = Fact("freebase:/no/such/path", "/no/such/path", "x")
    assert compose(Entity("E", "Inner"), [unknown]) == (None, "")


def test_relations_of_other_knowledge_bases_use_their_names() -> None:
    rows = [Fact("treats", "treats", "fever"), Fact("treats", "treats", "aspirin", False)]
    assert compose(Entity("E", "x"), rows)[1] == "treats: fever; treats of: aspirin"


def test_own_name_and_upkeep_are_not_told() -> None:
    rows = facts(("P17", "Jordan"), ("P910", "x"), ("P138", "Category:y"), ("P2853", "Schuko"))
    rows.append(Fact("P9999", "KAVI rating", "16"))
    assert compose(Entity("E", "Jordan"), rows) == (None, "")


def test_tables_agree() -> None:
    assert not NOISE & ROLES.keys()
    assert {prop for prop, _ in FREEBASE.values()} <= ROLES.keys()


_NAMES = st.text("abc ABC", min_size=1, max_size=12)
_ROWS = st.lists(
    st.builds(
        Fact,
        property=st.sampled_from(sorted(ROLES) + sorted(NOISE)[:5] + ["own"]),
        name=st.just("own"),
        other=_NAMES,
        forward=st.booleans(),
        weight=st.integers(0, 5),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(_ROWS, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(rows: list[Fact], shuffler: random.Random) -> None:
    entity = Entity("E", "Name", type_names=("city", "Human settlement"))
    shuffled = [*rows, *rows[:10]]
    shuffler.shuffle(shuffled)
    assert compose(entity, rows) == compose(entity, shuffled)


@settings(deadline=None)
@given(_ROWS)
def test_facts_are_short_and_whole(rows: list[Fact]) -> None:
    _, told = compose(Entity("E", "Name"), rows)
    assert len(told) <= MAX_FACTS
    assert all(": " in part for part in told.split("; ") if told)


def test_a_nameless_neighbour_says_nothing() -> None:
    entity = Entity("E", "Name", type_names=("city",))
    nameless = [Fact("P641", "sport", " "), Fact("P17", "country", "")]
    assert compose(entity, nameless) == compose(entity, [])
