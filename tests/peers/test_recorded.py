"""Our scorer gives the figures that were published beside the recorded answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from entlink.evaluate.metrics import SpanCounts
from entlink.evaluate.run import given_document
from entlink.records import NIL
from tests.peers import recorded

Counted = dict[tuple[str, str], list[SpanCounts]]  # (set, linker) -> counts of every document

# design/peers.md: linked right of all gold mentions, right where it linked
PUBLISHED = [
    ("aida_testb", "refined__aida_", 0.901, 0.937),
    ("aida_testb", "rel__2014_", 0.870, 0.918),
    ("aida_testb", "genre__yago_", 0.824, 0.915),
    ("aida_testb", "dbpedia_spotlight", 0.598, 0.816),
    ("aida_testb", "baseline", 0.486, 0.696),
    ("msnbc_updated", "refined__aida_", 0.784, 0.909),
    ("msnbc_updated", "rel__2014_", 0.822, 0.940),
    ("msnbc_updated", "genre__yago_", 0.639, 0.941),
    ("msnbc_updated", "dbpedia_spotlight", 0.420, 0.743),
    ("msnbc_updated", "baseline", 0.538, 0.706),
]


@pytest.fixture(scope="module")
def counted(shared: Path) -> Counted:
    """(set, linker) -> counts of every document."""
    if not (shared / "data" / "peers").is_dir():
        pytest.skip("no recorded answers of other linkers in the measuring data")
    found = {}
    for name in recorded.SETS:
        gold = recorded.read_gold(shared, name)
        for linker, answers in recorded.read_answers(shared, name).items():
            found[name, linker] = recorded.count(gold, answers)
    return found


@pytest.mark.parametrize(("name", "linker", "of_all", "where_linked"), PUBLISHED)
def test_published_figures_to_three_digits(
    counted: Counted,
    name: str,
    linker: str,
    of_all: float,
    where_linked: float,
) -> None:
    found = recorded.figures(counted[name, linker])
    assert round(found["link_recall"], 3) == of_all
    assert round(found["link_accuracy_where_linked"], 3) == where_linked


def test_as_peers_they_give_the_same(shared: Path, counted: Counted) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_SHARED", str(shared))
        peers = recorded.recorded_peers()
    for peer, linker in zip(peers, recorded.LINKERS.values(), strict=True):
        peer.prepare(None)  # type: ignore[arg-type]  # each has its own KB
        for name in recorded.SETS:
            gold = recorded.read_gold(shared, name)
            answers = peer.answer([given_document(doc) for doc in gold])
            right = sum(
                answer.top == mention.entity != NIL
                for doc, some in zip(gold, answers, strict=True)
                for mention, answer in zip(doc.mentions, some, strict=True)
            )
            assert right == sum(c.n_right_links for c in counted[name, linker])


def test_every_recorded_linker_as_in_the_table(shared: Path, counted: Counted) -> None:
    lines = (shared / "data" / "peers" / "scores.tsv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    assert {(row["set"], row["linker"]) for row in rows} == counted.keys()
    for row in rows:
        counts = counted[row["set"], row["linker"]]
        right = sum(c.n_right_links for c in counts)
        assert sum(c.n_gold_links for c in counts) == int(row["gold"])
        assert sum(c.n_linked for c in counts) == int(row["linked"])
        assert right == int(row["correct"])
        # there every link counts, also those on gold spans that are NIL
        n_links = sum(c.n_links + c.n_left_out for c in counts)
        assert right / n_links == pytest.approx(float(row["precision"]), abs=5.1e-5)
