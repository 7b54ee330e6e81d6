"""Pairs that a year or a place tells apart: which are composed, and what is measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from entlink.cli import app
from entlink.evaluate.facts import NEITHER, PLACE, YEAR, fact_cases, fact_pairs, measure_facts
from entlink.inputs import entity_description
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import Entity
from tests.tiny import make_bundle

CUP, FILM, TOWN = "T1", "T2", "T3"
ENTITIES = (
    Entity("E0", "2016 Asia Cup", facts="country: Bangladesh", types=(CUP,)),
    Entity("E1", "2018 Asia Cup", facts="country: United Arab Emirates", types=(CUP,)),
    Entity("E2", "Asia Cup", description="cricket tournament", types=("T9",)),
    Entity("E3", "Cleopatra", description="1963 film", types=(FILM,)),
    Entity("E4", "Cleopatra", description="1934 film by Cecil B. DeMille", types=(FILM,)),
    Entity("E5", "Cleopatra", description="queen of Egypt, 1934", types=("Q5",)),  # of no such kind
    Entity("E6", "Springfield", facts="population: many; in: Illinois", types=(TOWN,)),
    Entity("E7", "Springfield", description="town in New York", types=(TOWN,)),
    Entity("E8", "Salem", description="town in Oregon", types=(TOWN,)),
    Entity("E9", "Salem", description="old town in Oregon", types=(TOWN,)),  # nothing tells apart
    Entity("E10", "Paris", description="town in Texas", types=(TOWN,)),
    Entity("E11", "Paris", description="town in Texas and in Ohio", types=(TOWN,)),  # only one has
    Entity("E12", "2016", description="year", types=("T8",)),
    Entity("E13", "2018", description="year", types=("T8",)),
)
PAIRS = {
    ("Asia Cup", "E0", "E1"): (("2016", "2018"), ("Bangladesh", "United Arab Emirates")),
    ("Cleopatra", "E4", "E3"): (("1934", "1963"), None),
    ("Springfield", "E6", "E7"): (None, ("Illinois", "New York")),
}


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(ENTITIES, folder)
    return KnowledgeBase.open(folder)


def test_pairs_are_those_that_a_fact_tells_apart(kb: KnowledgeBase) -> None:
    found = {}
    for pair in fact_pairs(kb):
        one, two = kb.by_rows(list(pair.rows))
        found[(pair.surface, one.id, two.id)] = (pair.years, pair.places)
    assert found == PAIRS


def test_how_many_are_drawn(kb: KnowledgeBase) -> None:
    every = fact_pairs(kb)
    assert [fact_pairs(kb, n=n) for n in range(1, 4)] == [every[:n] for n in range(1, 4)]
    assert fact_pairs(kb, per_surface=0) == []


def test_texts_name_one_fact_or_none(kb: KnowledgeBase) -> None:
    pairs = fact_pairs(kb)
    cases = fact_cases(pairs)
    assert cases == fact_cases(pairs)
    kinds = [case.kind for case in cases]
    assert [kinds.count(kind) for kind in (YEAR, PLACE, NEITHER)] == [4, 4, 3]
    assert len({case.document.id for case in cases}) == len(cases)
    for case in cases:
        (mention,) = case.document.mentions or ()
        text = case.document.text
        assert text[mention.start : mention.end] == mention.text
        (pair,) = [p for p in pairs if set(p.rows) == {case.gold, case.rival}]
        assert mention.text == pair.surface
        facts = [fact for both in (pair.years, pair.places) if both for fact in both]
        named = [fact for fact in facts if fact in text]
        assert len(named) == (case.kind != NEITHER)
        gold, rival = kb.by_rows([case.gold, case.rival])
        for fact in named:
            assert fact in f"{gold.name} {entity_description(gold)}"
            assert fact not in f"{rival.name} {entity_description(rival)}"


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linker]:
    bundle = make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", entities=ENTITIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Linker.load(bundle, device="cpu")


def test_figures_against_links_one_by_one(linker: Linker) -> None:
    cases = fact_cases(fact_pairs(linker.kb))
    found = measure_facts(linker, cases)
    assert set(found) == {YEAR, PLACE, NEITHER}
    for kind, figures in found.items():
        tops, hits, wins, either = [], [], [], []
        for case in (case for case in cases if case.kind == kind):
            (linked,) = linker.link(case.document, n_candidates=len(ENTITIES))
            candidates = linked.links[0].candidates
            gold, rival = (e.id for e in linker.kb.by_rows([case.gold, case.rival]))
            p = {c.entity_id: c.probability for c in candidates}
            tops.append(candidates[0].probability)
            hits.append(candidates[0].entity_id == gold)
            either.append(candidates[0].entity_id in (gold, rival))
            wins.append(p[gold] > p[rival])
        assert figures["n_mentions"] == len(tops)
        assert figures["mean_probability"] == pytest.approx(np.mean(tops), abs=1e-4)
        assert figures["sure"] == np.mean([top >= 0.9 for top in tops])
        assert figures["either"] == np.mean(either)
        if kind != NEITHER:
            assert figures["accuracy"] == np.mean(hits)
            assert figures["pair_accuracy"] == np.mean(wins)


def test_the_command(linker: Linker, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cases, bundle = tmp_path / "cases.jsonl", str(linker.bundle.path)
    args = ["facts", "--bundle", bundle, "--device", "cpu", "--backend", "torch"]
    assert app.run([*args, "--json", "--cases", str(cases)]) == 0
    result = orjson.loads(capfd.readouterr().out)
    assert result["n_pairs"] == 3
    assert result[YEAR] == measure_facts(linker, fact_cases(fact_pairs(linker.kb)))[YEAR]
    golds = [orjson.loads(line) for line in cases.read_bytes().splitlines()]
    assert len(golds) == 8
    asia = [g["mentions"][0]["entity"] for g in golds if "Asia Cup" in g["text"]]
    assert sorted(asia) == ["E0", "E0", "E1", "E1"]
    assert app.run(args) == 0
    printed = capfd.readouterr().out
    assert printed.startswith("3 pairs\n") and "pair_accuracy" in printed


def test_a_kb_without_such_pairs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(tmp_path / "b", entities=ENTITIES[8:10])
    assert app.run(["facts", "--bundle", str(bundle.path)]) == 2
    assert "no two of its entities differ" in capfd.readouterr().err


def test_the_built_in_kb_has_over_a_hundred(builtin_bundle: Path) -> None:
    with KnowledgeBase.open(builtin_bundle) as kb:
        pairs = fact_pairs(kb)
    assert len(pairs) >= 100
    assert sum(pair.years is not None for pair in pairs) >= 50
    assert sum(pair.places is not None for pair in pairs) >= 20
