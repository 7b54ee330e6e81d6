"""entlink beside recorded answers, over the same gold mentions."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from entlink.evaluate.formats import GoldDocument, GoldMention
from entlink.linker import Linker
from entlink.records import NIL
from tests import tiny
from tests.peers import end_to_end
from tests.peers.recorded import LINKERS, SETS, read_gold

TEXT = "Jordan met Paris and Odd."
GOLD = [("Jordan", "E1"), ("Paris", "E5"), ("Odd", "elsewhere")]


def spans(*words: str) -> list[tuple[int, int]]:
    return [(TEXT.index(word), TEXT.index(word) + len(word)) for word in words]


def test_figures_by_hand() -> None:
    mentions = tuple(
        GoldMention(*span, entity)
        for span, (_, entity) in zip(spans("Jordan", "Paris", "Odd"), GOLD, strict=True)
    )
    jordan, paris, odd, met = spans("Jordan", "Paris", "Odd", "met")
    found = {"d": {jordan: "E1", odd: "elsewhere", met: "E5"}}
    row = end_to_end.measured([GoldDocument("d", TEXT, mentions)], found, {"E1": 0, "E5": 1})
    assert row == pytest.approx(
        {
            "detect_precision": 2 / 3,
            "detect_recall": 2 / 3,
            "detect_f1": 2 / 3,
            "detect_recall_in_kb": 1 / 2,
            "link_precision": 1 / 2,  # the one outside the KB is left out
            "link_recall": 1 / 2,
            "link_f1": 1 / 2,
            "link_accuracy_where_linked": 1.0,
        }
    )
    assert end_to_end.measured([GoldDocument("d", TEXT, mentions)], {}, {})["detect_recall"] == 0
    assert paris  # a gold span that was not found


@pytest.fixture
def own_shared(tmp_path: Path) -> Path:
    """The layout of the measuring data, with one document of ours for each set."""
    ids = {entity.name: entity.id for entity in tiny.ENTITIES}
    mentions = [
        {"start": start, "end": end, "entity": ids.get(word, "elsewhere")}
        for (start, end), (word, _) in zip(spans("Jordan", "Paris", "Odd"), GOLD, strict=True)
    ]
    for name in SETS:
        gold = {"id": f"{name}-0", "text": TEXT, "mentions": mentions}
        answers = [
            {"linker": linker, "doc": f"{name}-0", **mentions[0]} for linker in LINKERS.values()
        ]
        for folder, rows in (("mentions/test", [gold]), ("peers", answers)):
            path = tmp_path / "data" / folder / f"{name}.jsonl.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return tmp_path


def test_one_command_prints_all(
    own_shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ENTLINK_SHARED", str(own_shared))
    bundle = tiny.make_bundle(tmp_path / "bundle")
    out = tmp_path / "made" / "page.md"
    argv: list[Any] = ["end_to_end", "--bundle", bundle.path, "--out", out]
    monkeypatch.setattr(sys, "argv", [str(a) for a in argv])
    end_to_end.main()
    page = capsys.readouterr().out
    assert page == out.read_text(encoding="utf-8")
    linker = Linker.load(bundle.path)
    for name in SETS:
        assert f"**{name}**: 1 documents, 3 gold mentions" in page
        gold = read_gold(own_shared, name)
        own = end_to_end.links(linker, gold)[f"{name}-0"]
        known = end_to_end.known_ids(linker.kb, gold)
        reachable = {(m.start, m.end) for m in gold[0].mentions if m.entity in known}
        share = len(reachable & own.keys()) / len(reachable)
        cells = [line.split(" | ") for line in page.splitlines() if line.startswith("| entlink")]
        assert all(cell[3] == f"{share:.3f}" for cell in cells)
    recorded = [line for line in page.splitlines() if "(recorded)" in line]
    assert len(recorded) == 2 * len(LINKERS)
    assert all(" | 1.000 | 0.333 | " in line for line in recorded)  # one of three, and that right
    assert NIL not in known
