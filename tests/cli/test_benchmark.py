"""`entlink benchmark`, from the command line to page, picture and JSON."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import orjson
import pytest

from entlink.cli import app
from entlink.kb.build import build_kb
from entlink.records import Entity
from tests import tiny

PEERS = ["--peers", "tests.evaluate.benchmark.fake_peers"]


@pytest.fixture
def larger(tmp_path: Path) -> str:
    more = [Entity(f"x:{i}", f"Jordan {i}") for i in range(30)]
    build_kb([*tiny.ENTITIES, *more], tmp_path / "larger")
    return str(tmp_path / "larger")


def test_page_picture_and_json(
    bundle: str,
    files: list[str],
    larger: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    args = ["benchmark", *files, "--bundle", bundle, "--out", str(out), "--retrieval-kb", larger]
    args += [*PEERS, "--sample", "4", "--threads", "1", "--device", "cpu"]
    assert app.run(args) == 1  # one of the peers lacks its weights
    printed, log = capfd.readouterr()
    assert printed == (out / "benchmark.md").read_text(encoding="utf-8")
    assert "lacking: not run: weights.bin: is not there" in log
    figures = orjson.loads((out / "benchmark.json").read_bytes())
    assert figures["sets"]["news"]["in_kb"] == {"tiny": 8, "larger": 8}
    rows = {row["name"]: row for row in figures["rows"]}
    own = ["entlink", "entlink, retriever alone", "entlink, every pair read"]
    assert list(rows) == [*own, "some", "none"]
    assert rows["entlink, every pair read"]["pairs_per_mention"] == len(tiny.ENTITIES)
    assert rows["entlink, every pair read"]["n_mentions"] == 4  # the sample
    assert rows["some"]["micro"]["accuracy"] == pytest.approx(3 / 12)
    assert rows["none"]["n_mentions"] == 4
    for row in figures["rows"][1:]:
        difference = row["ahead"]["micro"]["difference"]
        ours = row["ahead"]["micro"]["b"]
        assert difference == pytest.approx(ours - row["micro"]["accuracy"])
    names = [row["name"] for row in figures["retrieval_rows"]]
    assert names == ["entlink, retriever alone", "some"]  # only what retrieves
    assert figures["set_aside"] == {"lacking": "weights.bin: is not there; train it"}
    picture = ET.fromstring((out / "benchmark.svg").read_bytes())
    texts = {"".join(e.itertext()) for e in picture.iter() if e.tag.endswith("text")}
    assert {"entlink", "some", "none (sample)", "mentions per second"} <= texts

    assert app.run(args) == 1  # the same again, from what was kept
    again, log = capfd.readouterr()
    assert again == printed and "(kept)" in log and "(run)" not in log


def test_entlink_is_measured_as_evaluate_measures_it(
    bundle: str, files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    args = ["--bundle", bundle, "--device", "cpu", "--threads", "1", "--quiet"]
    assert app.run(["evaluate", *files, *args, "--json"]) == 0
    expected = orjson.loads(capfd.readouterr().out)
    assert app.run(["benchmark", *files, *args, "--out", str(tmp_path / "out")]) == 0
    assert capfd.readouterr().err == ""
    figures = orjson.loads((tmp_path / "out" / "benchmark.json").read_bytes())
    entlink = figures["rows"][0]
    for average, result in (("micro", expected), ("macro", expected["macro"])):
        for name in ("accuracy", "recall@1", "recall@10", "recall@100"):
            assert entlink[average][name] == pytest.approx(result[name])
    assert entlink["pairs_per_mention"] == pytest.approx(expected["pairs_per_mention"])
    assert entlink["micro"]["interval"] == expected["intervals"]["accuracy"]
    assert figures["rows"][1]["pairs_per_mention"] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--peers", "no.such.module"], "'no.such.module' of peers cannot be imported"),
        (["--peers", "entlink.records"], "gives no peers"),
        ([*PEERS, "--only", "BLINK"], "has no system 'BLINK'; it has some, none, lacking"),
        (["--only", "BLINK"], "name that module too"),
        (["--retrieval-kb", "nowhere"], "nowhere: no knowledge base here"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    bundle: str,
    files: list[str],
    args: list[str],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = ["--bundle", bundle, "--out", str(tmp_path / "out")]
    assert app.run(["benchmark", *files, *out, *args]) == 2
    printed, log = capfd.readouterr()
    assert printed == "" and log.count("\n") == 1
    assert message in log
