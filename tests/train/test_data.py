"""Examples as they are read and made."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from entlink.detect import Detector, Recogniser
from entlink.errors import InputError
from entlink.inputs import surfaces
from entlink.records import NIL, Entity
from entlink.train.data import (
    Example,
    Relation,
    alias_examples,
    composed_examples,
    fold_of,
    label_examples,
    name_variant,
    noisy,
    read_examples,
    read_relations,
    read_texts,
)
from tests.tiny import ENTITIES
from tests.train.world import write_lines

TEXT = "Jordan met 😀 Jordan."
DOC: dict[str, object] = {
    "id": 7,
    "text": TEXT,
    "mentions": [
        {"start": 0, "end": 6, "entity": "Q1", "label": "PER"},
        {"start": 13, "end": 19, "entity": None},
        {"start": 7, "end": 10},
        {"start": 7, "end": 10, "entity": "NIL", "other": "keys", "full_name": "A Met"},
    ],
}


def test_mentions_with_an_entity_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [DOC, {"id": "x", "text": "no mentions"}])
    zipped = tmp_path / "b.jsonl.gz"
    zipped.write_bytes(gzip.compress(json.dumps({**DOC, "id": "z"}).encode()))
    expected = [
        Example("7", TEXT, 0, 6, "Q1", "PER"),
        Example("7", TEXT, 13, 19, NIL),
        Example("7", TEXT, 7, 10, NIL, "", "A Met"),
    ]
    found = read_examples([path, zipped])
    assert found[:3] == expected
    assert [(e.doc, e.start, e.gold) for e in found[3:]] == [
        ("z", e.start, e.gold) for e in expected
    ]
    assert TEXT[13:19] == "Jordan"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '{"id": "a"}',
        '{"id": "a", "text": 5, "mentions": []}',
        '{"text": "abc", "mentions": [{"start": 0, "end": 1, "entity": "Q1"}]}',
        '{"id": "a", "text": "abc", "mentions": [{"start": 0, "end": 4, "entity": "Q1"}]}',
        '{"id": "a", "text": "abc", "mentions": [{"start": 2, "end": 2, "entity": "Q1"}]}',
        '{"id": "a", "text": "abc", "mentions": [{"start": -1, "end": 2, "entity": "Q1"}]}',
        '{"id": "a", "text": "abc", "mentions": [{"start": 0.5, "end": 2, "entity": "Q1"}]}',
        '{"id": "a", "text": "abc", "mentions": [{"end": 2, "entity": "Q1"}]}',
        '{"id": "a", "text": "abc", "mentions": 3}',
        '{"id": "a", "text": "abc", "mentions": ["x"]}',
        '{"id": "a", "text": "abc", "mentions": [{"start": 0, "end": 2, "entity": 5}]}',
        '{"id": "a", "text": "a", "mentions": [{"start": 0, "end": 1, "entity": "b", "label": 5}]}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(DOC)}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.jsonl:3: ") as caught:
        read_examples([path])
    assert "\n" not in str(caught.value)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        read_examples([tmp_path / "none.jsonl"])
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(DOC).encode() * 50)[:-9])
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz: damaged gzip file"):
        read_examples([path])


def test_texts_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.jsonl", [DOC, {"text": "no id"}])
    assert read_texts(path) == [("7", TEXT), (f"{path}:2", "no id")]
    with pytest.raises(InputError, match=r"bad\.jsonl:1: no text"):
        read_texts(write_lines(tmp_path / "bad.jsonl", [{"id": "a"}]))


def detector() -> Detector:
    """A recogniser that knows two names."""
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "PER", "pattern": "Michael Jordan"}, {"label": "PER", "pattern": "Jordan"}]
    )
    return Detector(gazetteer=None, recogniser=Recogniser(nlp))


def test_labels_and_longer_names_come_from_the_same_text() -> None:
    text, other = "Michael Jordan won. Jordan smiled.", "Jordan is dry."
    examples = [
        Example("a", text, 20, 26, "Q2"),
        Example("b", other, 0, 6, "Q1"),
        Example("a", text, 0, 14, "Q2"),
        Example("b", other, 10, 13, NIL),
        Example("c", text, 20, 26, "Q2", "ORG"),
    ]
    found = label_examples(examples, detector())
    assert [(e.doc, e.start, e.end, e.gold) for e in found] == [
        (e.doc, e.start, e.end, e.gold) for e in examples
    ]
    assert [e.label for e in found] == ["PER", "PER", "PER", "", "ORG"]
    assert [e.full_name for e in found] == ["Michael Jordan", "", "", "", ""]


def test_without_a_detector_nothing_is_added() -> None:
    examples = [Example("a", TEXT, 0, 6, "Q1")]
    assert label_examples(examples, None) == examples


@given(doc=st.text(), n=st.integers(1, 20))
def test_paragraphs_of_a_page_stay_in_one_fold(doc: str, n: int) -> None:
    page = doc.replace("#", "")
    assert 0 <= fold_of(page, n) < n
    assert fold_of(f"{page}#3", n) == fold_of(page, n) == fold_of(f"{page}#17#2", n)


def test_folds_are_about_equal() -> None:
    counts = Counter(fold_of(f"page {i}", 16) for i in range(8000))
    assert len(counts) == 16 and all(400 < count < 600 for count in counts.values())


def test_relations_within_the_kb_of_the_named_sources(tmp_path: Path) -> None:
    def line(head: str, tail: str, source: list[str]) -> dict[str, object]:
        return {"head": head, "property": "P1", "name": "near", "tail": tail, "source": source}

    path = write_lines(
        tmp_path / "r.jsonl",
        [
            line("Q1", "Q2", ["a", "b"]),
            line("Q1", "Q3", ["c"]),
            line("Q9", "Q1", ["a"]),
            line("Q2", "Q9", ["a"]),
            line("Q2", "Q1", ["b"]),
        ],
    )
    found = read_relations(path, {"Q1": 10, "Q2": 20, "Q3": 30}, frozenset("ab"))
    assert found == [Relation(10, "near", 20), Relation(20, "near", 10)]


def test_composed_sentences_name_the_entity_among_its_neighbours() -> None:
    relations = [Relation(0, "river", 2), Relation(1, "plays for", 13), Relation(13, "in", 14)]
    neighbours = {0: {2}, 2: {0}, 1: {13}, 13: {1, 14}, 14: {13}}
    ids = {entity.id: row for row, entity in enumerate(ENTITIES)}
    examples = composed_examples(ENTITIES, relations, n=200, seed=3)
    assert len(examples) == 200
    assert {ids[e.gold] for e in examples} == set(neighbours)
    exact = 0
    for e in examples:
        row = ids[e.gold]
        span = e.text[e.start : e.end]
        assert span and e.text == e.text[: e.start] + span + e.text[e.end :]
        around = (e.text[: e.start] + e.text[e.end :]).lower()
        names = [n.lower() for other in neighbours[row] for n in surfaces(ENTITIES[other])]
        words = [w for name in names for w in (name, name.split()[-1])]
        if span in surfaces(ENTITIES[row]) and any(word in around for word in words):
            exact += 1
    assert exact > 120  # the others carry noise
    assert composed_examples(ENTITIES, relations, n=200, seed=3) == examples
    assert composed_examples(ENTITIES, relations, n=200, seed=4) != examples
    assert composed_examples(ENTITIES, [], n=5, seed=0) == []


def test_names_alone() -> None:
    examples = alias_examples(ENTITIES, n=300, seed=1)
    assert len(examples) == 300
    assert all((e.start, e.end) == (0, len(e.text)) and e.text for e in examples)
    by_id = {entity.id: entity for entity in ENTITIES}
    assert sum(e.text in surfaces(by_id[e.gold]) for e in examples) > 200
    assert alias_examples(ENTITIES, n=300, seed=1) == examples


def test_people_are_also_called_by_their_last_name() -> None:
    person = Entity("Q1", "Ada King Lovelace", types=("Q5",))
    company = Entity("Q2", "Ada King Lovelace")
    random_ = random.Random(0)
    variants = Counter(name_variant(person, random_) for _ in range(2000))
    assert 500 < variants["Lovelace"] < 900
    assert "Lovelace" not in {name_variant(company, random_) for _ in range(2000)}


@given(name=st.text(min_size=1, max_size=12), seed=st.integers(0, 10_000))
def test_noise_changes_case_or_one_letter(name: str, seed: int) -> None:
    found = noisy(name, random.Random(seed))
    one_lost = {name[:i] + name[i + 1 :] for i in range(len(name))}
    one_doubled = {name[: i + 1] + name[i:] for i in range(len(name))}
    assert found in {name, name.upper(), name.lower()} | one_lost | one_doubled
    assert found


def test_most_names_carry_no_noise() -> None:
    random_ = random.Random(5)
    names = Counter(noisy("Wellington", random_) for _ in range(4000))
    assert names["Wellington"] > 0.75 * 4000
    assert names["WELLINGTON"] > 100 and names["wellington"] > 100
