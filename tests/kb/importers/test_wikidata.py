"""Wikidata's dumps: lines of ours, and real ones where there are any."""

from __future__ import annotations

import bz2
import json
import tracemalloc
from collections import Counter
from pathlib import Path

import orjson
import pytest

from entlink.errors import InputError
from entlink.kb.build import build_from
from entlink.kb.importers import read_source
from entlink.kb.importers.records import Parent, PropertyName, Redirect, Relation, Skipped
from entlink.kb.importers.settings import Settings
from entlink.kb.importers.wikidata import popularity_of, read
from entlink.kb.scratch import Source
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity


def text(value: str, language: str = "en") -> dict[str, dict[str, str]]:
    return {language: {"language": language, "value": value}}


def claim(target: str, rank: str = "normal") -> dict[str, object]:
    value = {"entity-type": "item", "numeric-id": int(target[1:])}
    snak = {"snaktype": "value", "datavalue": {"type": "wikibase-entityid", "value": value}}
    return {"mainsnak": snak, "rank": rank, "type": "statement"}


BOAT = {
    "type": "item",
    "id": "Q1",
    "labels": text("boat") | text("Boot", "de"),
    "descriptions": text("it floats"),
    "aliases": {"en": [{"language": "en", "value": "vessel"}, {"language": "en", "value": "boat"}]},
    "claims": {
        "P31": [claim("Q2"), claim("Q3", "deprecated")],
        "P279": [claim("Q4")],
        "P17": [claim("Q5"), claim("Q6", "preferred"), claim("Q7")],
        "P999999": [claim("Q8")],
        "P569": [{"mainsnak": {"snaktype": "novalue"}, "rank": "normal"}],
    },
    "sitelinks": {"enwiki": {"title": "Boat"}, "dewiki": {"title": "Boot"}, "commonswiki": {}},
}


def dump(path: Path, *items: object) -> Path:
    lines = ",\n".join(item if isinstance(item, str) else json.dumps(item) for item in items)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return path


def test_an_item(tmp_path: Path) -> None:
    path = dump(tmp_path / "d.json", BOAT)
    found = list(read(path))
    assert [record for _, record in found] == [
        Parent("Q1", "Q4"),
        Entity(
            "Q1",
            "boat",
            aliases=("vessel",),
            description="it floats",
            types=("Q2",),
            popularity=popularity_of(2),
            extra={"sitelinks": 2, "wikipedia": "Boat"},
        ),
        Redirect("enwiki:Boat", "Q1"),
        Relation("Q1", "P279", "P279", "Q4"),
        Relation("Q1", "P17", "P17", "Q6"),
    ]
    assert {where for where, _ in found} == {f"{path}:2"}


def test_what_is_skipped(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "d.json",
        {"id": "P17", "type": "property", "labels": text("country")},
        {"id": "L1", "type": "lexeme"},
        {"id": "Q2", "labels": text("nur deutsch", "de"), "claims": [], "sitelinks": []},
        {"id": "Q3", "labels": text("Boat"), "claims": {"P31": [claim("Q4167410")]}},
        {"id": "Q4", "labels": text("rare")},
        {"id": "Q5", "labels": text("Name", "mul"), "sitelinks": {"frwiki": {"title": "x"}}},
    )
    found = [record for _, record in read(path, Settings(min_sitelinks=1))]
    assert found[:5] == [
        PropertyName("P17", "country"),
        Skipped("no item"),
        Skipped("no name in 'en'", "Q2", ""),
        Skipped("a page of Wikimedia's own", "Q3", "Boat"),
        Skipped("fewer than 1 sitelinks", "Q4", "rare"),
    ]
    assert isinstance(found[5], Entity) and found[5].name == "Name"
    german = [r.name for _, r in read(path, Settings(language="de")) if isinstance(r, Entity)]
    assert german == ["nur deutsch", "Name"]


def test_classes_that_are_skipped_keep_the_hierarchy_whole(tmp_path: Path) -> None:
    def item(id: str, *, kind: str = "", above: str = "", n_sites: int = 0) -> dict[str, object]:
        claims = {p: [claim(q)] for p, q in (("P31", kind), ("P279", above)) if q}
        sites = {f"{site}wiki": {"title": id} for site in ("en", "de")[:n_sites]}
        return {"id": id, "labels": text(id), "claims": claims, "sitelinks": sites}

    path = dump(
        tmp_path / "d.json",
        item("Q100", n_sites=2),
        item("Q101", above="Q100"),  # too few articles
        item("Q102", above="Q101") | {"labels": {}},  # no name
        item("Q1", kind="Q102", n_sites=2),
    )
    source = Source(read(path, Settings(min_sitelinks=1)), name_types=True)
    report = build_from([source], tmp_path / "kb", types=["Q100"])
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        assert kb.by_id("Q1") is not None
    assert report.skipped == {"fewer than 1 sitelinks": 1, "no name in 'en'": 1}


def test_a_byte_order_mark(tmp_path: Path) -> None:
    path = dump(tmp_path / "d.json", BOAT)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert any(isinstance(record, Entity) for _, record in read(path))


def test_bad_lines_are_named(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "d.json", BOAT, "{broken", {"labels": {}}, '"text"', {"id": "Q9", "labels": 3}
    )
    told: list[str] = []
    found = [r.id for _, r in read(path, on_bad=told.append) if isinstance(r, Entity)]
    assert found == ["Q1"]
    assert [line.split(": ")[0] for line in told] == [f"{path}:{n}" for n in (3, 4, 5, 6)]
    with pytest.raises(InputError, match=r"d.json:3: not a JSON object"):
        list(read(path))


def test_popularity_rises_with_the_articles() -> None:
    values = [popularity_of(n) for n in range(1, 300)]
    assert values == sorted(values, key=lambda v: v or 0.0)
    assert popularity_of(0) is None


def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    def most(n: int) -> int:
        items = ({**BOAT, "id": f"Q{number}"} for number in range(10, 10 + n))
        path = dump(tmp_path / f"{n}.json", *items)
        tracemalloc.start()
        assert sum(isinstance(record, Entity) for _, record in read(path)) == n
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # a dump of 5 MB, and one of 0.8; what threads of earlier tests still do adds a little
    assert most(6_000) < 1.6 * most(1_000)


@pytest.mark.parametrize("name", ["wikidata_dump_100_items", "wikidata_stream_635_items"])
def test_real_dumps(shared: Path, name: str) -> None:
    path = shared / "data" / "raw" / f"{name}.json.bz2"
    lines = bz2.decompress(path.read_bytes()).splitlines()
    raw = [orjson.loads(line.rstrip(b",")) for line in lines if len(line) > 3]
    labelled = {item["id"]: item["labels"]["en"]["value"] for item in raw if "en" in item["labels"]}
    kinds = Counter[str]()
    names = {}
    for _, record in read_source(path):
        kinds[type(record).__name__] += 1
        if isinstance(record, Entity):
            names[record.id] = record.name
    assert kinds["Entity"] + kinds["Skipped"] == len(raw)
    assert names.items() <= labelled.items()
    assert len(names) > 0.95 * len(labelled)
