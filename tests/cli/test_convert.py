"""`entlink convert`: from one corpus format to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from entlink.cli.app import run
from entlink.evaluate.formats import read_corpus, write_corpus
from tests.evaluate.formats.documents import SMALL, path_with


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "gold.jsonl", tmp_path / "gold.tsv"
    write_corpus(SMALL, source)
    assert run(["convert", str(source), str(out), "--to", "hipe"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 documents, 4 mentions, 1 NIL, 0 without an answer" in captured.err
    assert tuple(read_corpus(out)) == SMALL
    back = tmp_path / "back.jsonl.gz"
    assert run(["convert", str(out), str(back), "--from", "hipe", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert tuple(read_corpus(back)) == SMALL


def test_convert_with_other_ids(tmp_path: Path) -> None:
    source, out = tmp_path / "gold.jsonl", tmp_path / "out.jsonl"
    write_corpus(SMALL, source)
    ids = path_with(tmp_path, "ids.tsv", "Q90\tparis")
    assert run(["convert", str(source), str(out), "--ids", str(ids), "-q"]) == 0
    assert [m.entity for d in read_corpus(out) for m in d.mentions] == [
        "NIL",
        "Q1",
        "paris",
        "Q585",
    ]


def test_an_error_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = path_with(
        tmp_path, "gold.jsonl", '{"id": "a", "text": "x"}', '{"id": "a", "text": "y"}'
    )
    assert run(["convert", str(source), str(tmp_path / "out.ttl")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"entlink: {source}:2: document id 'a' appears twice")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]
