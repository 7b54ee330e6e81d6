"""`entlink explain` against `linker.explain`; and what it says where it cannot."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

import entlink
from entlink.cli.app import run
from entlink.linker import Linker
from tests.tiny import make_bundle

TEXT = "On that day Jordan met Paris Hilton in Chicago."


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTLINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield str(make_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path)


@pytest.fixture(scope="module")
def linker(bundle: str) -> Linker:
    return entlink.load(bundle, device="cpu")


def test_it_prints_what_the_linker_explains(
    bundle: str, linker: Linker, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--bundle", bundle, "--device", "cpu"]
    assert run(["explain", "--text", TEXT, "--mention", "Jordan", *options]) == 0
    assert capsys.readouterr().out == str(linker.explain(TEXT, "Jordan")) + "\n"
    more = ["--mention", "12:18", "--mention", "Chicago", "--against", "NIL", "--candidates", "3"]
    assert run(["explain", "--text", TEXT, *more, "--fast", "--json", *options]) == 0
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line, mention in zip(lines, ["Jordan", "Chicago"], strict=True):
        found = linker.explain(
            TEXT, mention, against="NIL", n_candidates=3, words=False, vectors=False
        )
        assert line == orjson.loads(orjson.dumps(found.to_dict()))


def test_every_mention_of_a_file(
    bundle: str,
    linker: Linker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    options = ["--bundle", bundle, "--device", "cpu", "--fast", "--json"]
    assert run(["explain", str(file), *options]) == 0
    out = capsys.readouterr().out
    found = [orjson.loads(line)["mention"]["text"] for line in out.splitlines()]
    (document,) = linker.link(TEXT)
    assert found == [link.mention.text for link in document.links] != []
    with file.open("rb") as stream:
        monkeypatch.setattr("sys.stdin", _Bytes(stream))
        assert run(["explain", "-", *options]) == 0
    assert capsys.readouterr().out == out


def test_a_document_of_any_file_that_link_reads(
    bundle: str, linker: Linker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = TEXT.index("Jordan")
    place = {"start": start, "end": start + 6}
    line = orjson.dumps({"id": "d", "text": TEXT, "mentions": [place]})
    (tmp_path / "a.jsonl").write_bytes(line + b"\n")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    options = ["--bundle", bundle, "--device", "cpu", "--fast", "--json"]
    for name, names in [
        ("a.jsonl", ["Jordan"]),
        ("a.txt.gz", [link.mention.text for link in linker.link(TEXT)[0].links]),
    ]:
        assert run(["explain", str(tmp_path / name), *options]) == 0
        found = [orjson.loads(x)["mention"]["text"] for x in capsys.readouterr().out.splitlines()]
        assert found == names


def test_words_that_look_like_offsets(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--bundle", bundle, "--device", "cpu", "--fast", "--json"]
    for text, start in [("We met Jordan at 3:9, not 13:9.", 17), ("We met at 13:9.", 3)]:
        assert run(["explain", "--text", text, "--mention", "3:9", *options]) == 0
        assert orjson.loads(capsys.readouterr().out)["mention"]["start"] == start


class _Bytes:
    """Standard input as far as it is used."""

    def __init__(self, buffer: object) -> None:
        self.buffer = buffer


def test_what_it_cannot_explain_is_one_line(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    (tmp_path / "two.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (tmp_path / "nothing.txt").write_text("nothing here")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "dir").mkdir()
    options = ["--bundle", bundle, "--device", "cpu"]
    for args, said in [
        ([], "give a FILE"),
        ([str(latin), "--text", "x"], "only one of them"),
        ([str(latin)], "latin.txt: not valid UTF-8 at byte 3 (0xe9); convert the file"),
        ([str(tmp_path / "none.txt")], "none.txt: no such file; check the name and the folder"),
        ([str(tmp_path / "dir")], "dir: no files to link in this folder"),
        ([str(tmp_path / "two.jsonl")], "two.jsonl: more than one text; give one of them"),
        ([str(tmp_path / "empty.jsonl")], "empty.jsonl: no text; give a file with one"),
        ([str(tmp_path / "nothing.txt")], "nothing.txt: no mention was found; name one with"),
        (["--text", TEXT, "--mention", "Rome"], "the text does not have 'Rome'"),
        (["--text", TEXT, "--mention", "Jordan", "--against", "Q999"], "has no entity Q999"),
        (
            ["--text", "nothing here", *options],
            "the text: no mention was found; name one with --mention",
        ),
    ]:
        assert run(["explain", *args, *options]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and said in err
