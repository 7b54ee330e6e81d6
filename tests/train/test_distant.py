"""Labels from relations: an ambiguous name means the bearer whose neighbour stands beside it."""

from __future__ import annotations

from entlink.records import Entity
from entlink.train.data import Relation
from entlink.train.distant import Ambiguous, composed_ambiguous, distant_examples, spread

ENTITIES = [
    Entity("E0", "Birmingham", description="city in England"),
    Entity("E1", "Birmingham", description="city in Alabama"),
    Entity("E2", "England"),
    Entity("E3", "Alabama"),
    Entity("E4", "Ely"),
]
RELATIONS = [
    Relation(0, "country", 2),
    Relation(1, "located in", 3),
    Relation(0, "twinned with", 4),  # a name too short to be evidence
]
AMBIGUOUS = Ambiguous(ENTITIES, RELATIONS)


def labels(text: str) -> list[tuple[str, str]]:
    return [(e.text[e.start : e.end], e.gold) for e in distant_examples(AMBIGUOUS, [("d", text)])]


def test_the_neighbour_that_is_named_decides() -> None:
    assert labels("Children marched in Birmingham, Alabama.") == [("Birmingham", "E1")]
    assert labels("In ENGLAND, trains to Birmingham stood still.") == [("Birmingham", "E0")]


def test_no_label_without_evidence_or_with_evidence_for_both() -> None:
    assert labels("They met in Birmingham near Ely.") == []
    assert labels("Between England and Alabama lies Birmingham.") == []
    assert labels("birmingham, Alabama") == []  # no capital: not a name
    assert labels("Alabamans like Birmingham.") == []  # a part of a word is no name


def test_composed_mentions_name_what_they_say() -> None:
    examples = list(composed_ambiguous(AMBIGUOUS, ["Some other text."], n=40, seed=3))
    assert examples == list(composed_ambiguous(AMBIGUOUS, ["Some other text."], n=40, seed=3))
    assert {e.gold for e in examples} == {"E0", "E1"}
    assert all(e.text[e.start : e.end] == "Birmingham" for e in examples)


def test_spread_keeps_the_first_of_each_name_and_entity() -> None:
    examples = list(composed_ambiguous(AMBIGUOUS, [], n=40, seed=3))
    kept = spread(examples, per_name=2)
    assert len(kept) == 4
    assert kept == [e for e in examples if e in kept]
