"""`entlink evaluate` and `entlink compare`, from the command line to files and tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from entlink.cli import app
from tests import tiny
from tests.evaluate.texts import WEB, line, write


def test_json_is_one_object(
    bundle: str, files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["evaluate", files[0], "--bundle", bundle, "--json", "--device", "cpu"]) == 0
    out, err = capfd.readouterr()
    assert out.count("\n") == 1 and err == ""
    result = orjson.loads(out)
    assert (result["n_mentions"], result["n_in_kb"], result["n_out_of_kb"]) == (10, 8, 1)
    assert "outcomes" not in result and "link_f1" not in result and "macro" not in result


def test_exact_reads_every_candidate(
    bundle: str, files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    args = ["evaluate", files[0], "--bundle", bundle, "--json", "--backend", "torch"]
    found = []
    for more in ([], ["--exact"]):
        assert app.run([*args, *more]) == 0
        found.append(orjson.loads(capfd.readouterr().out))
    cascade, exact = found
    assert (cascade["exact"], exact["exact"]) == (False, True)
    assert cascade["backend"] == exact["backend"] == "torch fp32"
    assert cascade["pairs_per_mention"] < exact["pairs_per_mention"] == len(tiny.ENTITIES)


def test_tables_files_and_comparison(
    bundle: str, files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, errors, seen = tmp_path / "a.json", tmp_path / "errors.jsonl", tmp_path / "seen.txt"
    seen.write_text("Q1\nQ2\n", encoding="utf-8")
    args = ["evaluate", *files, "--bundle", bundle, "--end-to-end", "--seen", str(seen)]
    args += ["--errors", str(errors), "--out", str(out), "--outcomes"]
    assert app.run(args) == 0
    printed, log = capfd.readouterr()
    counts = printed[: printed.index("figures")]
    assert "tiny: KB of 21 entities" in counts  # which KB, and what it lacks, come first
    rows = {words[:-3]: words[-3:] for words in map(_words, counts.splitlines()) if words}
    assert rows[("entity", "in", "the", "KB")] == ("8", "4", "12")
    assert rows[("entity", "outside", "the", "KB")] == ("1", "0", "1")
    for part in ("micro", "macro", "link_f1", "by training", "by type", "reliability"):
        assert part in printed
    result = orjson.loads(out.read_bytes())
    assert set(result["outcomes"]) == {"news", "web"}
    n_wrong = len(errors.read_bytes().splitlines())
    assert f"{n_wrong} wrong links" in log
    assert n_wrong == round((1 - result["accuracy_all"]) * 14)

    assert app.run(["compare", str(out), str(out)]) == 0
    printed, _ = capfd.readouterr()
    assert "McNemar" in printed and "+0.0000 to +0.0000" in printed
    assert app.run(["compare", str(out), str(out), "--json"]) == 0
    compared = orjson.loads(capfd.readouterr().out)
    assert compared["measures"]["accuracy"]["a"] == result["accuracy"]
    assert compared["macro"]["accuracy"]["b"] == result["macro"]["accuracy"]


def test_the_split_is_named(bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dev").mkdir()
    web = write(tmp_path / "dev" / "web.jsonl", WEB)
    assert app.run(["evaluate", str(web), "--bundle", bundle, "--device", "cpu"]) == 0
    rows = [_words(row) for row in capfd.readouterr().out.splitlines()]
    assert rows.index(("split", "dev")) < rows.index(("gold", "mentions", "4"))


def _words(row: str) -> tuple[str, ...]:
    return tuple(row.split())


def test_given_candidates(
    bundle: str, files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lists = [{"doc": "w1", "start": 0, "end": 7, "candidates": ["Q8"]}]
    path = str(write(tmp_path / "c.jsonl", lists))
    assert app.run(["evaluate", files[1], "--bundle", bundle, "--candidates", path, "--json"]) == 0
    result = orjson.loads(capfd.readouterr().out)
    assert (result["n_with_candidates"], result["recall@1"], result["accuracy"]) == (1, 0.25, 0.25)


def one_line(capfd: pytest.CaptureFixture[str], *parts: str) -> None:
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1, err
    for part in parts:
        assert part in err


def test_bad_files_are_one_line_each(
    bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    offset: dict[str, object] = {
        "id": "d",
        "text": "a",
        "mentions": [{"start": 0, "end": 2, "entity": "Q1"}],
    }
    path = tmp_path / "x.jsonl"
    bad: list[tuple[list[dict[str, object]], str]] = [
        ([offset], "0 to 2"),
        ([WEB[0], WEB[0]], "twice"),
        ([], "no documents"),
        ([line("d", "Jordan", [("Jordan", "x:1")])], "none of its 1 gold entities"),
    ]
    for lines, part in bad:
        write(path, lines)
        assert app.run(["evaluate", str(path), "--bundle", bundle, "--json"]) == 2
        one_line(capfd, part)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}" * 1000)[:-12])
    assert app.run(["evaluate", str(path), "--bundle", bundle]) == 2
    one_line(capfd, str(path), "gzip")
    assert app.run(["evaluate", str(tmp_path / "none.jsonl"), "--bundle", bundle]) == 2
    one_line(capfd, "no such file")


def test_a_wrong_out_is_said_before_any_work(
    bundle: str, files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "none" / "r.json")
    assert app.run(["evaluate", files[0], "--bundle", "no-such-bundle", "--out", out]) == 2
    one_line(capfd, "none", "folder")


def test_results_without_mentions_cannot_be_compared(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"accuracy": 0.5}', encoding="utf-8")
    assert app.run(["compare", str(path), str(path)]) == 2
    one_line(capfd, str(path), "--outcomes")
