"""``entlink link`` with a small fake linker: what is read, what is printed, what is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import entlink
from entlink.cli.app import run
from entlink.cli.progress import ProgressLine, duration
from entlink.cli.table import print_table, visible
from entlink.corpus import Progress
from entlink.corpus.shards import Counts
from entlink.errors import BundleError
from entlink.records import Document, LinkedDocument
from tests.fake_linker import FakeLinker

LINES = [
    {"id": "a", "text": "Jordan borders Nowhere."},
    {"id": "b", "text": "Ada knows an Odd one", "mentions": [{"start": 13, "end": 16}]},
]


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Loads a fake linker; the list holds what it was asked for."""
    calls: list[dict[str, object]] = []

    def load(bundle: str | None = None, **options: object) -> FakeLinker:
        calls.append({"bundle": bundle, **options})
        if bundle == "nowhere":
            raise BundleError("nowhere: no such bundle; the built-in one is 'builtin'")
        return FakeLinker()

    monkeypatch.setattr(entlink, "load", load)
    return calls


@pytest.fixture
def docs(tmp_path: Path) -> str:
    path = tmp_path / "docs.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES), encoding="utf-8")
    return str(path)


def test_a_plain_table(docs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["link", docs]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "a",
        "  Jordan   Jordan                       Q810  0.70  country in Western Asia",
        "  Nowhere  (not in the knowledge base)  -     1.00",
        "b",
        '  Odd  <b>"R&D"</b>  x:<1>  0.90  an entity of another knowledge base',
    ]
    assert captured.err.startswith("2 documents, 3 mentions, 2 linked in ")
    assert captured.err.count("\n") == 1


def test_quiet_says_nothing_on_stderr(docs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["link", docs, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    linker = FakeLinker()
    text = (
        "[red]It is said[/red] that a \x1b[2Jman flew to Jordan from\nsomewhere far away, by night"
    )
    print_table(next(linker.stream([Document("x [b]", text)])), lambda _: "a [country]")
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown  # text cannot steer the terminal
    assert "x [b]" in shown
    assert "a [country]" in shown
    assert "0.70" in shown


def test_unprintable_characters_are_not_shown() -> None:
    assert visible("a\x1b[0m\tb\u202e c\n\u0000") == "a[0m b c"


def test_given_mentions_are_linked_and_others_are_not(
    docs: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["link", docs, "--out", "-"]) == 0
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert [m["entity"] for line in lines for m in line["mentions"]] == ["Q810", "NIL", "x:<1>"]
    for line in lines:
        for mention in line["mentions"]:
            assert line["text"][mention["start"] : mention["end"]] == mention["text"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.html"])
def test_out_writes_a_file_and_prints_no_table(
    docs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    first, second = tmp_path / "1" / name, tmp_path / "2" / name
    for path in (first, second):
        path.parent.mkdir()
        assert run(["link", docs, "--out", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert first.read_bytes() == second.read_bytes() != b""


def test_text_and_files_in_the_order_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "n.txt").write_text("Odd", encoding="utf-8")
    assert run(["link", "--text", "Jordan", "--text", "", str(tmp_path / "n.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["text 1", "text 2", "n.txt"]
    assert "  (no mentions)" in lines


def test_options_reach_the_linker(loaded: list[dict[str, object]]) -> None:
    options = ["--bundle", "b", "--device", "cuda:1", "--threads", "3", "--backend", "bf16"]
    assert run(["link", "--text", "a", *options, "--exact"]) == 0
    assert run(["link", "--text", "a"]) == 0
    auto = {"device": "auto", "threads": None, "backend": "auto", "exact": False}
    assert loaded == [
        {"bundle": "b", "device": "cuda:1", "threads": 3, "backend": "bf16", "exact": True},
        {"bundle": None, **auto},
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nothing.txt"], "nothing.txt: no such file"),
        (["--text", "a", "--out", "l.pdf"], "l.pdf: unknown kind of output"),
        (["--text", "a", "--out", "no/l.html"], "no/l.html: there is no folder 'no'"),
    ],
)
def test_what_cannot_work_is_said_before_models_are_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loaded: list[dict[str, object]],
    args: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["link", *args]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"entlink: {said}")
    assert error.count("\n") == 1
    assert loaded == []


def test_an_unknown_bundle_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["link", "--text", "a", "--bundle", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("entlink: nowhere: no such bundle")


@pytest.mark.parametrize("out", [None, "links.jsonl"])
def test_only_to_a_part_of_the_knowledge_base(
    out: str | None, docs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids").write_text("Q810\n\nQ1\n", encoding="utf-8")
    to = [] if out is None else ["--out", str(tmp_path / out)]
    options = ["--ids", str(tmp_path / "ids"), "--types", "country, Q5", "--quiet", *to]
    assert run(["link", docs, *options]) == 0
    said = capsys.readouterr().out if out is None else (tmp_path / out).read_text("utf-8")
    assert "Q810" in said and "x:<1>" not in said
    (tmp_path / "ids").write_text(" \n", encoding="utf-8")
    assert run(["link", docs, *options, "--restart"] if out else ["link", docs, *options]) == 2
    assert "no ids; write one a line" in capsys.readouterr().err
    assert run(["link", docs, "--ids", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"caf\xe9")
    return str(path)


def test_bad_input_midway_is_set_aside(
    docs: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "l.jsonl"
    assert run(["link", docs, bad, "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert "2 documents, 3 mentions, 2 linked, 1 NIL, 1 set aside in " in said
    assert 'most linked: Jordan (Q810) 1, <b>"R&D"</b> (x:<1>) 1\n' in said
    assert f"set aside, with the reasons: {out}.quarantine.jsonl" in said
    assert len(out.read_bytes().splitlines()) == 2
    (aside,) = (tmp_path / "l.jsonl.quarantine.jsonl").read_bytes().splitlines()
    assert "bad.txt: not valid UTF-8 at byte 3" in json.loads(aside)["reason"]


def test_bad_input_midway_of_a_pipe_is_said(
    docs: str, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["link", bad, docs, "--out", "-", "--quiet"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err.startswith("entlink: set aside: ")
    assert "bad.txt: not valid UTF-8 at byte 3" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("out", [None, "-", "l.jsonl"])
@pytest.mark.parametrize("strict", [True, False])
def test_bad_input_alone_or_strict_is_an_error(
    docs: str,
    bad: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    out: str | None,
    strict: bool,
) -> None:
    args = ["link", bad, *([docs, "--strict"] if strict else [])]
    if out:
        args += ["--out", out if out == "-" else str(tmp_path / out)]
    assert run(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"entlink: {bad}: not valid UTF-8 at byte 3")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "l.jsonl").exists()


def test_all_of_several_bad_documents(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("{\n[\n", encoding="utf-8")
    assert run(["link", str(path)]) == 2
    assert capsys.readouterr().err.count("entlink: set aside: ") == 2
    assert run(["link", str(path), "--out", str(tmp_path / "o.jsonl")]) == 2
    assert "none of 2 documents is usable: " in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["d.jsonl"]


def test_a_folder_and_a_table(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "a.txt").write_text("Jordan", encoding="utf-8")
    (tmp_path / "b.csv").write_text("nr,story,day\n7,Odd,Monday\n", encoding="utf-8")
    args = ["link", str(tmp_path), "--out", "-", "--text-column", "story", "--id-column", "nr"]
    assert run(args) == 0
    first, second = map(json.loads, capsysbinary.readouterr().out.splitlines())
    assert (first["id"], first["text"]) == ("a.txt", "Jordan")
    assert (second["id"], second["text"], second["day"]) == ("7", "Odd", "Monday")


def test_an_interrupted_run_says_that_it_goes_on(
    docs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(FakeLinker):
        def stream(self, *_: object, **__: object) -> Iterator[LinkedDocument]:
            raise KeyboardInterrupt

    args = ["link", docs, "--out", str(tmp_path / "l.jsonl")]
    with monkeypatch.context() as patch:
        patch.setattr(entlink, "load", lambda *_, **__: Interrupted())
        assert run(args) == 130
    assert "what was done is kept; the same command goes on" in capsys.readouterr().err
    assert run([*args, "--candidates", "3"]) == 2
    assert "number of candidates was 10 and is now 3" in capsys.readouterr().err
    assert run(args) == 0


def test_options_of_runs_need_a_file(docs: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--processes", "2"], ["--engine", "ray"], ["--restart"]):
        assert run(["link", docs, *options]) == 2
        assert "need --out FILE" in capsys.readouterr().err


def test_the_line_of_progress() -> None:
    line = ProgressLine(shown=False)
    counts = Counts(n_documents=50, n_mentions=1234, n_set_aside=1)
    assert line.line(Progress(counts, 25, 100, 0), elapsed_s=10) == (
        " 25% [#####---------------] 50 documents, 1,234 mentions, 1 set aside, 5.0 documents/s, "
        "30 s left"
    )
    assert line.line(Progress(counts, 0, None, 0), elapsed_s=10).endswith("5.0 documents/s")
    line(Progress(Counts(n_documents=20), 10, 100, 20))  # twenty were there before
    said = line.line(Progress(counts, 25, 100, 20), elapsed_s=15)
    assert said.endswith("2.0 documents/s, 75 s left")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89, "89 s"), (300, "5 min"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
