"""The study of the cascade: what it counts, that it goes on, and its ratios by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from entlink.evaluate.run import measure
from entlink.evaluate.sets import read_sets
from entlink.linker import Linker
from tests.evaluate.texts import NEWS, WEB, write
from tests.studies import cascade
from tests.tiny import ENTITIES


def test_the_whole_study(
    linker: Linker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("openvino")
    paths = [write(tmp_path / "news.jsonl", NEWS), write(tmp_path / "web.jsonl", WEB)]
    bundle, out = str(linker.bundle.path), tmp_path / "out"
    argv = ["cascade", *map(str, paths), "--bundle", bundle, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", argv)
    cascade.main()
    assert len(capsys.readouterr().err.splitlines()) >= 6  # two sets, three measurements each
    first, full, second = json.loads(out.with_suffix(".json").read_text())
    assert (first["exact"], full["exact"], second["exact"]) == (False, True, False)
    assert full["pairs_per_mention"] == len(ENTITIES) > first["pairs_per_mention"]
    assert first["mentions"] == full["mentions"] > full["in_kb"] > 0
    exact = Linker.load(bundle, device="cpu", backend="torch", exact=True)
    known = [o for gold in read_sets(paths) for o in measure(exact, gold).outcomes if o.in_kb]
    assert full["right"] == sum(o.top_is_gold for o in known)
    page = out.with_suffix(".md").read_text()
    one = next(out.glob("*all_100*"))
    one.write_text(one.read_text().replace('"right": ', '"right": 1'))  # not measured again
    cascade.main()
    assert out.with_suffix(".md").read_text() != page
    assert capsys.readouterr().err == ""


def test_ratios() -> None:
    figures = {
        "mentions": 10,
        "in_kb": 8,
        "right": 4,
        "all_right": 5,
        "pairs": 1000,
        "seconds": 20.0,
    }
    full = {**figures, **dict.fromkeys(cascade.STAGES, 1.0)}
    quick = {**full, "right": 3, "pairs": 50, "seconds": 0.5}
    rows = [
        (1, cascade.Way("a", False, "openvino"), cascade.pooled([quick, quick])),
        (1, cascade.Way("a", True, "torch"), cascade.pooled([full, full])),
    ]
    head, _, cascaded, everything, _, last = cascade.table(rows)
    cells = [cell.strip() for cell in cascaded.split("|")]
    assert cells[2:7] == ["0.375", "0.7500", "5.0", "20.0", "40.0"] and cells[7] == "25%"
    assert "| 1.0000 | 100.0 | 0.5 | 1.0 |" in everything and head.count("|") == cascaded.count("|")
    assert last == "20 mentions; accuracy over the 16 in the KB."
