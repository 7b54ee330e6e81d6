"""Labels from relations: an ambiguous name means the bearer whose neighbour stands beside it."""

from __future__ import annotations

from entlink.records import Entity
from entlink.train.data import Relation
from entlink.train.distant import (
    Ambiguous,
    composed_ambiguous,
    composed_longer,
    composed_rivals,
    distant_examples,
    spread,
)

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


def test_rivals_stand_in_one_text_and_mean_different_things() -> None:
    rivals = composed_rivals(AMBIGUOUS, n=10, seed=1)
    assert rivals == composed_rivals(AMBIGUOUS, n=10, seed=1)
    assert len(rivals) == 2 and rivals[0].text == rivals[1].text
    assert {e.gold for e in rivals} == {"E0", "E1"}
    assert [e.text[e.start : e.end] for e in rivals] == ["Birmingham", "Birmingham"]
    assert rivals[0].end < rivals[1].start
    assert composed_rivals(AMBIGUOUS, n=0, seed=1) == []


def test_the_last_name_alone_is_somebody_or_something_else() -> None:
    people = [
        Entity("P0", "Ada Birmingham", types=("Q5",)),
        Entity("P1", "Bo Oslo", types=("Q5",)),  # nothing is called Oslo
    ]
    ambiguous = Ambiguous([*ENTITIES, *people], RELATIONS)
    examples = list(composed_longer(ambiguous, n=40, seed=2))
    assert examples and len(examples) % 2 == 0
    for full, last in zip(examples[::2], examples[1::2], strict=True):
        assert full.text == last.text and full.doc == last.doc
        assert full.text[full.start : full.end] == "Ada Birmingham" and full.gold == "P0"
        assert last.text[last.start : last.end] == "Birmingham" and last.gold in ("E0", "E1")
        assert last.start > full.end
