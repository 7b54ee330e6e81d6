"""The knowledge base that ships: what it holds, what it must not, and that it can be remade."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entlink.kb.store import KnowledgeBase
from entlink.kb.write import content_digest

MAY_SHIP = {"kgtk", "fb15k", "markg", "codex_types", "magpie", "nsi"}

# A name; then for each reading its id and words of its description or facts.
READINGS: list[tuple[str, list[tuple[str, str]]]] = [
    ("Paris", [("Q90", "capital of France"), ("Q3181341", "United States")]),
    ("Paris Hilton", [("Q47899", "American")]),
    ("Michael Jordan", [("Q41421", "basketball")]),
    ("Jordan", [("Q810", "sovereign state in Asia")]),
    ("Apple", [("Q312", "company"), ("Q89", "fruit"), ("Q213710", "record label")]),
    ("Amazon", [("Q3884", "online"), ("Q3783", "river")]),
    ("Washington", [("Q23", "politician"), ("Q1223", "state of"), ("Q61", "capital of")]),
    ("Lincoln", [("Q91", "politician"), ("Q28260", "Nebraska"), ("Q32433", "film")]),
    ("Cambridge", [("Q350", "Kingdom"), ("Q49111", "Massachusetts"), ("Q35794", "university")]),
    ("Georgia", [("Q230", "sovereign state"), ("Q1428", "state of the United States")]),
    ("Prince", [("Q7542", "singer"), ("Q2747456", "title")]),
    ("Queen", [("Q15862", "rock band"), ("Q9682", "monarch")]),
    ("Chelsea", [("Q9616", "association football club"), ("Q743535", "area of London")]),
    ("Java", [("Q3757", "Asia")]),
    ("Mercury", [("Q925", "liquid")]),
    ("Phoenix", [("Q16556", "Arizona")]),
    ("Chicago", [("Q1297", "city"), ("Q371938", "band"), ("Q189889", "film")]),
    ("Boston", [("Q100", "Massachusetts"), ("Q311975", "town")]),
    ("Victoria", [("Q9439", "monarch"), ("Q36687", "Australia"), ("Q2132", "British Columbia")]),
    ("Congo", [("Q974", "sovereign state"), ("Q3503", "river"), ("Q598860", "film")]),
]  # fmt: skip


@pytest.fixture(scope="module")
def kb(root: Path) -> KnowledgeBase:
    return KnowledgeBase.open(root / "kb" / "builtin")


@pytest.fixture(scope="module")
def record(root: Path) -> dict[str, object]:
    found = json.loads((root / "kb" / "recipe" / "kb.json").read_text())
    assert isinstance(found, dict)
    return found


def test_it_is_the_recorded_one(kb: KnowledgeBase, record: dict[str, object]) -> None:
    assert hashlib.sha256(kb.path.read_bytes()).hexdigest() == record["file_sha256"]
    connection = sqlite3.connect(kb.path)
    assert content_digest(connection) == kb.digest == record["content_digest"]
    connection.close()
    assert len(kb) == record["n_entities"]
    assert len(kb) >= 20_000
    assert kb.path.stat().st_size <= 13_000_000


@pytest.mark.parametrize(("name", "readings"), READINGS)
def test_readings(kb: KnowledgeBase, name: str, readings: list[tuple[str, str]]) -> None:
    rows = [hit.row for hit in kb.by_aliases([name])[name]]
    bearers = {entity.id: entity for entity in kb.by_rows(rows)}
    told = set()
    for id, words in readings:
        assert id in bearers, (name, sorted(bearers))
        text = f"{bearers[id].description}; {bearers[id].facts}"
        assert words in text, text
        told.add(text)
    assert len(told) == len(readings)


def test_rivals_are_told_apart(kb: KnowledgeBase) -> None:
    """Of well-known entities that share their name, few read word for word alike."""
    popularity = kb.popularity
    by_name: dict[str, list[str]] = {}
    for batch in kb.iterate():
        for entity in batch:
            if (entity.popularity or 0) > 3.2:
                by_name.setdefault(entity.name, []).append(f"{entity.description}; {entity.facts}")
    shared_names = [texts for texts in by_name.values() if len(texts) > 1]
    alike = sum(len(texts) - len(set(texts)) for texts in shared_names)
    assert len(shared_names) > 50
    assert alike <= len(shared_names) // 50
    assert len(popularity) == len(kb)


def test_nearly_all_are_described(kb: KnowledgeBase) -> None:
    bare = [
        entity.id
        for batch in kb.iterate()
        for entity in batch
        if entity.description is None and not entity.facts
    ]
    assert len(bare) < len(kb) / 500


def test_nothing_is_carried_along(kb: KnowledgeBase) -> None:
    for batch in kb.iterate():
        for entity in batch:
            assert entity.extra == {}
            assert not entity.id.startswith("enwiki:")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def test_only_what_may_ship(kb: KnowledgeBase, shared: Path) -> None:
    ours = {entity.id: entity for batch in kb.iterate() for entity in batch}
    seen = 0
    for row in lines(shared / "data" / "wikidata" / "entities.jsonl.gz"):
        entity = ours.get(str(row["id"]))
        if entity is None:
            continue
        seen += 1
        assert MAY_SHIP & set(row["source"])
        assert set(entity.types) <= set(row["types"])
        assert set(entity.aliases) <= set(row["aliases"])
        composed = f"{entity.description} {entity.facts}"
        for key in ("description", "gloss", "paragraph"):
            text = row.get(key)  # short ones may well be worded alike: "river in Germany"
            if text and len(text.split()) > 9 and text not in row["type_names"]:
                assert text not in composed, entity.id
    assert seen == len(ours)


def test_only_relations_that_may_ship(kb: KnowledgeBase, shared: Path) -> None:
    wikidata = shared / "data" / "wikidata"
    shippable = {
        str(row["id"])
        for row in lines(wikidata / "entities.jsonl.gz")
        if MAY_SHIP & set(row["source"])
    }
    degree = Counter(
        id
        for row in lines(wikidata / "relations.jsonl.gz")
        if {"codex-m", "wd50k", "markg"} & set(row["source"])
        and {row["head"], row["tail"]} <= shippable
        and row["head"] != row["tail"]
        for id in (row["head"], row["tail"])
    )
    for batch in kb.iterate():
        for entity in batch:
            assert entity.degree == degree[entity.id], entity.id
            assert entity.degree or not entity.facts, entity.id


@pytest.mark.slow
def test_remade_it_is_the_same(root: Path, shared: Path, tmp_path: Path) -> None:
    recipe = root / "kb" / "recipe" / "make_kb.py"
    options = ["--shared", str(shared), "--out", str(tmp_path), "--check"]
    done = subprocess.run(
        [sys.executable, str(recipe), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "agrees" in done.stderr
