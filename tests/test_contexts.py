"""The same name links differently in different contexts: the built-in bundle on texts of ours."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from entlink.kb.store import KnowledgeBase
from entlink.records import NIL, Document, Mention

if TYPE_CHECKING:
    from entlink.linker import Linker

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "kb" / "sample"


class Reading(NamedTuple):
    """A name in a text, and what it means there."""

    name: str
    text: str
    entity: str

    @property
    def mention(self) -> Mention:
        start = self.text.index(self.name)
        return Mention(start, start + len(self.name), self.name)


def readings(*, is_open: bool | None = None) -> list[tuple[Reading, ...]]:
    """All pairs, or those that the built-in bundle is known not to solve yet, or the others."""
    pairs = tomllib.loads((HERE / "data" / "contexts.toml").read_text(encoding="utf-8"))["pair"]
    return [
        tuple(Reading(pair["name"], r["text"], r["entity"]) for r in pair["readings"])
        for pair in pairs
        if is_open is None or pair.get("open", False) == is_open
    ]


def lines(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines()]


PAIRS = readings()
SOLVED = readings(is_open=False)
# Names in the sample that need not be found, and what they mean if they are.
ALSO_RIGHT = {"Christmas": "Q19809", "Monday": "Q105", "Saturday": "Q131", "September": "Q123"}


def test_there_are_enough_pairs_and_each_is_one() -> None:
    assert len(PAIRS) >= 40
    assert len(SOLVED) >= 30
    assert max(Counter(pair[0].name for pair in PAIRS).values()) == 1
    for pair in PAIRS:
        assert len({reading.entity for reading in pair}) == len(pair) >= 2, pair[0].name
        assert all(reading.name in reading.text for reading in pair), pair[0].name


def test_every_expected_entity_is_in_the_built_in_kb(builtin_bundle: Path) -> None:
    wanted = {reading.entity for pair in PAIRS for reading in pair}
    for line in lines("expected.jsonl"):
        mentions = line["mentions"]
        assert isinstance(mentions, list)
        wanted |= {mention["entity"] for mention in mentions}
    kb = KnowledgeBase.open(builtin_bundle)
    assert sorted(wanted - set(kb.rows_of(sorted(wanted)))) == []


@pytest.mark.parametrize("pair", SOLVED, ids=[pair[0].name for pair in SOLVED])
def test_context_decides(builtin_linker: Linker, pair: tuple[Reading, ...]) -> None:
    documents = [
        Document(id=reading.entity, text=reading.text, mentions=(reading.mention,))
        for reading in pair
    ]
    found = {
        document.id: (link.entity_id, link.name, round(link.probability, 3))
        for document in builtin_linker.link(documents)
        for link in document.links
    }
    assert {wanted: answer[0] for wanted, answer in found.items()} == {
        reading.entity: reading.entity for reading in pair
    }, found


def test_the_expected_links_of_the_sample_lie_in_its_text() -> None:
    sample, expected = lines("sample.jsonl"), lines("expected.jsonl")
    assert len(sample) == 13
    assert [(d["id"], d["text"]) for d in sample] == [(d["id"], d["text"]) for d in expected]
    for line in expected:
        text, mentions = line["text"], line["mentions"]
        assert isinstance(text, str) and isinstance(mentions, list)
        for mention in mentions:
            assert text[mention["start"] : mention["end"]] == mention["text"]


def test_names_of_the_sample_mean_more_than_one_thing() -> None:
    meanings: dict[str, set[str]] = {}
    for line in lines("expected.jsonl"):
        mentions = line["mentions"]
        assert isinstance(mentions, list)
        for mention in mentions:
            meanings.setdefault(mention["text"], set()).add(mention["entity"])
    several = {name for name, entities in meanings.items() if len(entities) > 1}
    assert several >= {
        "Jordan",
        "Apple",
        "Amazon",
        "Washington",
        "Lincoln",
        "Cambridge",
        "Georgia",
        "Queen",
        "Chelsea",
    }


def test_every_link_shown_for_the_sample_is_right(builtin_linker: Linker) -> None:
    wrong, missed, n_unsure = [], [], 0
    documents = [Document(str(line["id"]), str(line["text"])) for line in lines("sample.jsonl")]
    for linked, line in zip(builtin_linker.link(documents), lines("expected.jsonl"), strict=True):
        mentions = line["mentions"]
        assert isinstance(mentions, list)
        expected = {(m["start"], m["end"]): m["entity"] for m in mentions}
        shown = {(k.mention.start, k.mention.end): k for k in linked.links}
        for span, link in shown.items():
            right = expected.get(span, ALSO_RIGHT.get(link.mention.text))
            if link.entity_id not in (NIL, right):
                wrong.append((linked.id, link.mention.text, link.name, right))
        unsure = {(m["start"], m["end"]) for m in mentions if m.get("unsure")}  # NIL will do
        n_unsure += len(unsure)
        for span, entity in expected.items():
            if span in unsure:
                continue
            is_right = span in shown and shown[span].entity_id == entity
            if not is_right:
                missed.append((linked.id, linked.text[slice(*span)], entity))
    assert wrong == []
    assert missed == []
    assert n_unsure <= 3
