"""``entlink kb build``, ``show`` and ``search`` through the command line."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from entlink.bundle import open_bundle
from entlink.cli.app import run
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.store import KnowledgeBase
from tests import tiny

RIVER = {"id": "R", "name": "Ister", "aliases": ["Danuvius"], "type_names": ["river"]}
TOWN = {"id": "T", "name": "Istros", "description": "a town of ours", "popularity": 1.5}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "entities.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (RIVER, TOWN)), encoding="utf-8")
    return path


def test_build_show_search(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    relations = tmp_path / "relations.jsonl.gz"
    fact = {"head": "T", "property": "P206", "name": "next to body of water", "tail": "R"}
    relations.write_bytes(gzip.compress(json.dumps(fact).encode() + b"\n"))
    priors = tmp_path / "priors.jsonl"
    priors.write_text(json.dumps({"surface": "the river", "counts": {"R": 3, "x": 1}}) + "\n")
    out = str(tmp_path / "kb")
    options = ["--format", "jsonl", "--relations", str(relations), "--priors", str(priors)]
    assert run(["kb", "build", str(source), *options, "--out", out]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 entities, 4 names, 1 relations" in captured.err
    (hit,) = KnowledgeBase.open(Path(out)).by_aliases(["The River"])["The River"]
    assert (hit.row, hit.prior, hit.count) == (0, 0.75, 3)

    assert run(["kb", "show", "R", "--kb", out]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "id           R",
        "name         Ister",
        "aliases      Danuvius",
        "description  river",
        "facts        next to: Istros",
        "types        river",
        "relations    1",
    ]
    assert run(["kb", "search", "danu", "--kb", out]) == 0
    assert capsys.readouterr().out == "R\tIster\triver\n"
    assert run(["kb", "search", "ist", "--limit", "1", "--kb", out]) == 0
    assert capsys.readouterr().out == "T\tIstros\ta town of ours\n"


def test_only_and_duplicates_are_reported(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = tmp_path / "ids.gz"
    only.write_bytes(gzip.compress(b"T\nunheard-of\n"))
    out = str(tmp_path / "kb")
    assert run(["kb", "build", str(source), str(source), "--only", str(only), "--out", out]) == 0
    told = capsys.readouterr().err
    assert "1 entities" in told
    assert "2 records joined with one of the same id" in told
    assert "1 records left out: not among the ids to keep" in told
    assert "1 ids to keep that no record has" in told
    assert run(["kb", "build", "--quiet", str(source), "--out", out]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "told", "on"),
    [([], True, True), (["--any-case"], False, True), (["--no-any-case"], False, False)],
)
def test_names_without_capitals_are_found_in_any_case(
    options: list[str],
    told: bool,
    on: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "ills.csv"
    table.write_text("id,name\nD1,heart failure\nD2,ALS\n", encoding="utf-8")
    assert run(["kb", "build", str(table), *options, "--out", str(tmp_path / "kb")]) == 0
    assert ("--no-any-case" in capsys.readouterr().err) is told
    assert KnowledgeBase.open(tmp_path / "kb").any_case is on


def test_bad_lines_are_set_aside(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with source.open("a") as file:
        file.write("{\n" * 13)
    out = str(tmp_path / "kb")
    assert run(["kb", "build", str(source), "--out", out]) == 1
    told = capsys.readouterr().err
    assert f"set aside: {source}:3: not a JSON object" in told
    assert "set aside: 3 more" in told and "13 lines set aside: they cannot be read" in told
    assert len(KnowledgeBase.open(Path(out))) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["build", "absent.jsonl", "--out", "x"], "absent.jsonl: no such file"),
        (["build", "--out", "x"], "Missing argument"),
        (["build", "absent.jsonl"], "Missing option '--out'"),
        (["build", "absent.jsonl", "--format", "morse", "--out", "x"], "'morse' is not"),
        (["show", "Q1", "--kb", "absent"], "no knowledge base here"),
    ],
)
def test_bad_usage_is_one_line(
    args: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["kb", *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_not_found(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "kb")
    assert run(["kb", "build", "-q", str(source), "--out", out]) == 0
    assert run(["kb", "show", "nobody", "--kb", out]) == 1
    assert run(["kb", "search", "nobody", "--kb", out]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 2


def test_formats_are_told_and_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, lines = tmp_path / "t.csv", tmp_path / "e.jsonl"
    table.write_text("nr;wort;was\n1;Ister;river\n2;Istros;town\n", encoding="utf-8")
    lines.write_text('{"id": "1", "name": "Danuvius", "type_names": ["river"]}\n')
    out = str(tmp_path / "kb")
    columns = ["--columns", "id=nr,name=wort,description=was"]
    assert run(["kb", "build", str(table), str(lines), *columns, "--out", out]) == 0
    told = capsys.readouterr().err
    assert f"{table}: columns: id <- 'nr', name <- 'wort', description <- 'was'" in told
    assert "1 records joined with one of the same id" in told
    assert run(["kb", "show", "1", "--kb", out]) == 0
    assert "Danuvius" in capsys.readouterr().out
    formats = ["--format", "csv", "--format", "jsonl"]
    assert run(["kb", "build", str(table), str(lines), *formats, *columns, "--out", out, "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert (
        run(["kb", "build", str(lines), str(lines), *formats, "--types", "river", "--out", out])
        == 2
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.txt"], "its name does not tell its format; say --format"),
        (
            ["t.csv", "--format", "csv", "--format", "csv"],
            "--format is given 2 times for 1 sources",
        ),
        (["t.csv"], "no column looks like a name"),
        (["t.csv", "--columns", "name"], "'name' is not FIELD=COLUMN"),
        (["t.csv", "--columns", "name=z"], "no column 'z'"),
        (["bad.jsonl", "--strict"], "bad.jsonl:2: 'name' is None"),
        (["twice.jsonl", "--strict"], "twice.jsonl:2: id 'a' has come before"),
        (["mended.jsonl", "--strict"], "control characters removed"),
        (["e.jsonl", "--types", "boat"], "no entity is left"),
        (["t.xlsx"], "not an Excel workbook"),
    ],
)
def test_what_stops_a_build(
    args: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    a = '{"id": "a", "name": "A"}\n'
    files = {
        "a.txt": a,
        "e.jsonl": a,
        "t.csv": "x,y\n1,2\n",
        "t.xlsx": "x",
        "bad.jsonl": a + '{"id": "b"}\n',
        "twice.jsonl": a + a,
        "mended.jsonl": a.replace("A", "A\\u0007"),
    }
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    assert run(["kb", "build", *args, "--out", "kb"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert not Path("kb", "kb.sqlite").exists()


def test_what_is_mended_is_told_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"id": "a", "name": "A\\u0007"}\n' * 2, encoding="utf-8")
    assert run(["kb", "build", str(path), "--out", str(tmp_path / "kb")]) == 1  # the second one
    told = capsys.readouterr().err
    assert f"mended: {path}:1: 'a': control characters removed" in told
    assert f"set aside: {path}:2: id 'a' has come before ({path}:1)" in told
    assert "2 records mended" in told and "1 records left out: their id had come before" in told


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_bundle(tmp_path_factory.mktemp("bundles") / "tiny").path


@pytest.fixture
def bundle(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(original, tmp_path / "mine"))


def added(bundle: Path) -> dict[str, tuple[str, ...]]:
    """The names of the entities that were added."""
    opened = open_bundle(bundle)
    with LiveKnowledgeBase.open_with(opened.path, opened.edits) as kb:
        assert isinstance(kb, LiveKnowledgeBase)
        return {entity.id: (entity.name, *entity.aliases) for entity in kb.refresh().added()}


MEDCAT = "cui,name,name_status\nM1,Zorv,A\nM1,Zorvex,P\nM2,Quorl,P\n"
PLAIN = ["--format", "csv", "--no-header", "--delimiter", "!", "--encoding", "cp1252"]
PLAIN += ["--columns", "id=1,name=2"]
OBO = """[Term]
id: D:1
name: corn flu
is_a: D:0

[Term]
id: D:2
is_obsolete: true
replaced_by: D:1
"""


@pytest.mark.parametrize(
    ("name", "text", "options", "expected"),
    [
        ("t.csv", MEDCAT, [], {"M1": ("Zorvex", "Zorv"), "M2": ("Quorl",)}),
        ("t.obo", OBO, [], {"D:1": ("corn flu",)}),
        ("t.txt", "a!Möwe\n", PLAIN, {"a": ("Möwe",)}),
    ],
)
def test_add_reads_as_build_does(
    name: str, text: str, options: list[str], expected: dict[str, tuple[str, ...]], bundle: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    Path(name).write_text(text, encoding="cp1252")
    assert run(["kb", "add", name, *options, "--bundle", str(bundle)]) == 0
    assert added(bundle) == expected
    told = capsys.readouterr().err
    assert f"{len(expected)} entities added" in told
    assert ("1 links between types left out" in told) == (name == "t.obo")


def test_add_sets_bad_lines_aside(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ['{"id": "n1", "name": "Zorvex"}', '{"id": "n2"}', '{"id": "n3", "name": "Quorl"}']
    Path("e.jsonl").write_text("\n".join(lines))
    add = ["kb", "add", "e.jsonl", "--bundle", str(bundle)]
    assert run([*add, "--strict"]) == 2
    assert not added(bundle)
    assert run(add) == 1
    assert added(bundle) == {"n1": ("Zorvex",), "n3": ("Quorl",)}
    told = capsys.readouterr().err
    assert "set aside: e.jsonl:2: 'name' is None" in told and "2 entities added" in told
    Path("e.jsonl").write_text("\n".join(lines).replace('"n2"', '"n2", "name": "Merl"'))
    assert run(add) == 2  # whole, but for what is there already
    assert "there is an entity 'n1'; update it instead (kb add --update)" in capsys.readouterr().err
    assert "n2" not in added(bundle)
    assert run([*add, "--update"]) == 0
    assert set(added(bundle)) == {"n1", "n2", "n3"}


def test_add_is_all_or_nothing(bundle: Path) -> None:
    rows = [{"id": f"n{n}", "name": f"Zorvex {n}"} for n in range(1500)]
    rows.append({"id": "Q1", "name": "there already"})
    Path("e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["kb", "add", "e.jsonl", "--bundle", str(bundle)]) == 2
    assert not added(bundle)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["e.jsonl", "--alias", "x"], "go with --id, not FILEs"),
        (["e.jsonl", "--id", "x"], "not both"),
        (["e.jsonl", "--format", "jsonl", "--format", "csv"], "given 2 times for 1 files"),
        (["none.jsonl"], "none.jsonl: no entity is left"),
        (["no-ids.csv"], "no column of ids"),
        (["absent.csv"], "absent.csv: no such file"),
    ],
)
def test_what_add_refuses(
    args: list[str], message: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("e.jsonl").write_text('{"id": "n1", "name": "Zorvex"}\n')
    Path("none.jsonl").write_text("")
    Path("no-ids.csv").write_text("name,description\nZorvex,bird\n")
    assert run(["kb", "add", *args, "--bundle", str(bundle)]) == 2
    assert message in capsys.readouterr().err
    assert not added(bundle)


def test_removed_twice_is_removed_once(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kb", "remove", "Q5", "Q5", "--bundle", str(bundle)]) == 0
    assert "1 entities removed" in capsys.readouterr().err
