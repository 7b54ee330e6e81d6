"""``entlink bundle``: an approximate index from the command line, made whole or in parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from entlink.cli.app import run
from entlink.retrieve.index_config import CONFIG_NAME, IndexConfig


def test_create_with_an_index_and_make_it_in_parts(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "made")
    index = ["--index", "HNSW8,SQ8; efSearch=32; rescore=3"]
    assert run(["bundle", "create", "--like", bundle, "--out", out, "--no-check", *index]) == 0
    config = IndexConfig("HNSW8,SQ8", "efSearch=32", 3)
    assert IndexConfig.load(tmp_path / "made" / CONFIG_NAME) == config
    capsys.readouterr()
    assert run(["bundle", "index", out, "--part", "1/2", "--device", "cpu"]) == 0
    shards = Path(capsys.readouterr().out.strip())
    assert [file.suffix for file in shards.iterdir()] == [".npz"]
    assert run(["bundle", "index", out]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "index.faiss").is_file() and not shards.exists()
    assert run(["link", "--bundle", out, "--text", "Jordan met Prince.", "--no-reranker"]) == 0
    assert "Prince" in capsys.readouterr().out


def test_create_with_a_retriever_and_without_a_reranker(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retriever, decision = Path(bundle) / "retriever", Path(bundle) / "decision.json"
    out = str(tmp_path / "quick")
    parts = ["--retriever", str(retriever), "--no-reranker", "--no-check"]
    assert run(["bundle", "create", "--like", bundle, "--out", out, *parts]) == 2
    assert "a decision is fitted for one retriever" in capsys.readouterr().err
    parts += ["--decision", str(decision)]
    assert run(["bundle", "create", "--like", bundle, "--out", out, *parts]) == 0
    names = {path.name for path in Path(out).iterdir()}
    assert {"retriever", "decision.json", "kb.sqlite"} <= names and "reranker" not in names
    assert run(["bundle", "verify", out]) == 0
    capsys.readouterr()
    assert run(["link", "--bundle", out, "--text", "Jordan met Prince."]) == 0
    assert "Prince" in capsys.readouterr().out


def test_create_with_another_reranker(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = tmp_path / "other", str(tmp_path / "out")
    shutil.copytree(Path(bundle) / "reranker", other)
    (other / "note.txt").write_text("another one", encoding="utf-8")
    parts = ["--reranker", str(other), "--no-check"]
    assert run(["bundle", "create", "--like", bundle, "--out", out, *parts]) == 2
    assert "a decision is fitted for one reranker" in capsys.readouterr().err
    parts += ["--decision", str(Path(bundle) / "decision.json")]
    assert run(["bundle", "create", "--like", bundle, "--out", out, *parts, "--no-reranker"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert run(["bundle", "create", "--like", bundle, "--out", out, *parts]) == 0
    assert (Path(out) / "reranker" / "note.txt").exists() and run(["bundle", "verify", out]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["create", "--like", "{}", "--out", "x", "--index", "IVFFF"], "no index 'IVFFF'"),
        (["create", "--like", "{}", "--out", "x", "--index", "hnsw; a"], "no NAME=NUMBER"),
        (["index", "{}", "--part", "3/2"], "part '3/2' is not I/N"),
        (["index", "{}", "--part", "1/2"], "a flat index is made in one go"),
    ],
)
def test_what_cannot_be_is_one_line(
    bundle: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundle", *(option.format(bundle) for option in options)]) == 2
    errors = capsys.readouterr().err
    assert said in errors and errors.count("\n") == 1
    assert not Path("x").exists()
