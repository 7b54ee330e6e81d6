"""Running peers: what is counted, what is kept, what is sampled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from entlink.errors import InputError
from entlink.evaluate.benchmark.figures import row
from entlink.evaluate.benchmark.peer import Kind
from entlink.evaluate.benchmark.runs import Bench, fixed_sample, limited
from entlink.evaluate.sets import GoldSet, read_sets
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from tests import tiny
from tests.evaluate.benchmark.fake_peers import FakePeer
from tests.evaluate.texts import NEWS, WEB, line, write


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("kb")
    build_kb(tiny.ENTITIES, folder)
    return KnowledgeBase.open(folder)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[GoldSet]:
    folder = tmp_path_factory.mktemp("sets") / "test"
    folder.mkdir()
    return read_sets([write(folder / "news.jsonl", NEWS), write(folder / "web.jsonl", WEB)])


@pytest.fixture
def bench(kb: KnowledgeBase, sets: list[GoldSet], tmp_path: Path) -> Bench:
    return Bench(kb, sets, fixed_sample(sets, kb, n=6), tmp_path, threads=1)


GOLDS = {
    ("n1", 0): "Q2",  # right
    ("n1", 11): "Q2",  # wrong
    ("n2", 12): "Q10",  # its gold entity is not in the KB
    ("w1", 0): "Q8",  # right
}


def test_figures_by_hand(bench: Bench) -> None:
    peer = FakePeer("table", GOLDS)
    runs = bench.run(peer)
    assert [(run.gold, len(run.outcomes)) for run in runs] == [("news", 10), ("web", 4)]
    outside = [o for run in runs for o in run.outcomes if not o.in_kb]
    assert [(o.gold, o.top, o.rank) for o in outside] == [
        ("Q999", "Q10", None),
        ("NIL", None, None),
    ]
    found = row(peer, runs, (), len(tiny.ENTITIES))
    assert found["micro"]["accuracy"] == pytest.approx(2 / 12)
    assert found["macro"]["accuracy"] == pytest.approx((1 / 8 + 1 / 4) / 2)
    assert found["sets"] == {"news": 1 / 8, "web": 1 / 4}
    assert found["micro"]["recall@1"] == 0
    assert found["micro"]["recall@10"] == pytest.approx(2 / 12)
    assert found["pairs_per_mention"] == pytest.approx(2 * 4 / 14)
    assert (found["n_mentions"], found["n_in_kb"], found["n_linked"]) == (14, 12, 3)
    assert found["ahead"] is None
    low, high = found["micro"]["interval"]
    assert 0 <= low <= 2 / 12 <= high <= 1


def test_ahead_is_the_paired_difference(bench: Bench) -> None:
    every = {(d.id, m.start): e for gold in bench.sets for d, m, e in gold.mentions()}
    ours, theirs = FakePeer("ours", every), FakePeer("theirs", GOLDS)
    own = bench.run(ours)
    assert row(ours, own, own, 21)["ahead"] is None
    ahead = row(theirs, bench.run(theirs), own, 21)["ahead"]
    assert ahead["micro"]["difference"] == pytest.approx(1 - 2 / 12)
    assert ahead["macro"]["difference"] == pytest.approx(1 - (1 / 8 + 1 / 4) / 2)
    assert ahead["micro"]["interval"][0] > 0


def test_what_was_done_is_kept_and_what_changed_is_done_again(bench: Bench) -> None:
    first = FakePeer("table", GOLDS)
    runs = bench.run(first)
    assert first.n_prepared == 1
    same = FakePeer("table", GOLDS)
    assert bench.run(same) == runs
    assert same.n_prepared == 0
    for changed in (replace(bench, threads=2), replace(bench, again=True)):
        peer = FakePeer("table", GOLDS)
        changed.run(peer)
        assert peer.n_prepared == 1
    other = FakePeer("table", GOLDS, version=2)
    bench.run(other)
    assert other.n_prepared == 1


def test_an_interrupted_run_goes_on_with_the_next_set(bench: Bench) -> None:
    replace(bench, sets=bench.sets[:1]).run(FakePeer("table", GOLDS))
    rest = FakePeer("table", GOLDS)
    bench.run(rest)
    assert rest.given == ["w1", "w1", "w2"]  # the first document twice, once not timed


def test_a_damaged_result_is_named(bench: Bench) -> None:
    bench.run(FakePeer("table", GOLDS))
    path = next(bench.folder.rglob("news.json"))
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"news\.json: not a result .*; delete it"):
        bench.run(FakePeer("table", GOLDS))


def test_the_sample_is_fixed_in_kb_and_alike_of_each_set(
    bench: Bench, kb: KnowledgeBase, sets: list[GoldSet]
) -> None:
    sample = fixed_sample(sets, kb, n=6)
    assert sample == fixed_sample(sets[::-1], kb, n=6)
    assert {name: len(spans) for name, spans in sample.items()} == {"news": 3, "web": 3}
    golds = {(d.id, m.start, m.end): e for gold in sets for d, m, e in gold.mentions()}
    known = {entity.id for entity in tiny.ENTITIES}
    assert all(golds[span] in known for spans in sample.values() for span in spans)
    assert len(fixed_sample(sets, kb, n=100)["web"]) == 4  # no more than there are
    slow = FakePeer("slow", golds={}, kind=Kind.SAMPLED)
    spans = {run.gold: {(o.doc, o.start, o.end) for o in run.outcomes} for run in bench.run(slow)}
    assert spans == sample


def test_limits_keep_whole_documents(sets: list[GoldSet]) -> None:
    (news, web) = sets
    assert limited(news, None) is news
    cut = limited(news, 3)
    assert cut == limited(news, 3)
    assert set(cut.documents) < set(news.documents)
    assert 3 <= sum(1 for _ in cut.mentions()) < 10
    assert limited(web, 100).documents == web.documents


def test_the_split_is_that_of_the_folder(sets: list[GoldSet], tmp_path: Path) -> None:
    assert [gold.split for gold in sets] == ["test", "test"]
    (tmp_path / "corpus").mkdir()
    path = write(tmp_path / "corpus" / "x.jsonl", [line("d", "Jordan", [("Jordan", "Q1")])])
    assert read_sets([path])[0].split == ""
    assert read_sets([path.rename(tmp_path / "corpus" / "dev.jsonl")])[0].split == "dev"
