"""``entlink link`` with a small fake linker: what is read, what is printed, what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import entlink
from entlink.cli.app import run
from entlink.cli.table import print_table, visible
from entlink.errors import BundleError
from entlink.records import Document
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
    assert (
        run(["link", "--text", "a", "--bundle", "b", "--device", "cuda:1", "--threads", "3"]) == 0
    )
    assert run(["link", "--text", "a"]) == 0
    assert loaded == [
        {"bundle": "b", "device": "cuda:1", "threads": 3},
        {"bundle": None, "device": "auto", "threads": None},
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


def test_bad_input_midway_leaves_no_file(
    docs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"caf\xe9")
    assert run(["link", docs, str(bad), "--out", str(tmp_path / "l.jsonl")]) == 2
    assert "bad.txt: not valid UTF-8 at byte 3" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "docs.jsonl"]
