from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from entlink.cli.app import run
from entlink.cli.train import command
from entlink.decide import Decision
from entlink.encode.dual import DualEncoder
from entlink.rerank.cross_encoder import CrossEncoder
from tests.tiny import encoder, write_bert
from tests.train.test_detector import write
from tests.train.test_reranker import WORDS
from tests.train.world import World, write_world

CONFIG = """
out = "{folder}/detector"
rounds = 1
width = 16
depth = 1
rows = 50
[[train]]
path = "{folder}/train.jsonl"
[[dev]]
path = "{folder}/dev.jsonl"
"""


def test_train_detector_prints_a_report(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", 10)
    write(tmp_path / "dev.jsonl", 5)
    config = tmp_path / "c.toml"
    config.write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    result = CliRunner().invoke(command, ["detector", str(config)])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["n_train"] == 10 and report["scores"]["dev"]["n_gold"] == 10
    assert (tmp_path / "detector" / "ner" / "model").is_file()


def test_a_missing_config_is_bad_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["detector", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


SIZES = """
[encoder]
table_rows = 2048
embedding = 16
text = 16
hidden = 32
vector = 16
sparse = 4
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


def trained(tmp_path: Path, model: str, text: str, *options: str) -> dict[str, object]:
    """The report of ``entlink train``."""
    config = tmp_path / f"{model}.toml"
    config.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(command, [model, str(config), *options])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert isinstance(report, dict) and report["seconds"] > 0
    assert report["out"] == str(tmp_path / "out")
    return report


def test_train_retriever(world: World, tmp_path: Path) -> None:
    text = f"""
        kb = "{world.kb}"
        out = "{tmp_path}/elsewhere"
        mentions = ["{world.mentions}"]
        dev = ["{world.dev}"]
        rounds = 9
        first_epochs = 6
        n_aliases = 0
        batch_size = 48
        learning_rate = 0.01
        {SIZES}"""
    changes = ("--set", f"out={tmp_path}/out", "--set", "rounds=1", "--set", "encoder.vector=12")
    report = trained(tmp_path, "retriever", text, *changes)
    assert isinstance(report["dev"], dict)
    assert 0.2 < report["dev"]["recall@1"] <= report["dev"]["recall@100"] == 1.0
    assert DualEncoder.load(tmp_path / "out").config.vector == 12
    assert not (tmp_path / "elsewhere").exists()


def test_train_reranker(world: World, tmp_path: Path) -> None:
    write_bert(tmp_path / "base", [WORDS])
    encoder().save(tmp_path / "retriever")
    text = f"""
        kb = "{world.kb}"
        base = "{tmp_path}/base"
        retrievers = ["{tmp_path}/retriever"]
        mentions = ["{world.mentions}"]
        out = "{tmp_path}/out"
        epochs = 0.1
        vocabulary = 230
        bf16 = false
        pair = {{context_tokens = 20, entity_tokens = 20, span_tokens = 8, name_tokens = 8}}
        """
    report = trained(tmp_path, "reranker", text, "--threads", "1")
    assert isinstance(report["n_lists"], int) and isinstance(report["n_nil"], int)
    assert report["n_lists"] > 200 > report["n_nil"] > 20
    assert CrossEncoder.load(tmp_path / "out").pairs.config.context_tokens == 20


def test_train_calibration(world: World, tmp_path: Path) -> None:
    encoder().save(tmp_path / "retriever")
    text = f"""
        kb = "{world.kb}"
        retriever = "{tmp_path}/retriever"
        mentions = ["{world.mentions}"]
        dev = ["{world.dev}"]
        out = "{tmp_path}/out"
        hold_out = 2
        """
    report = trained(tmp_path, "calibration", text, "--set", "max_pairs=3")
    assert isinstance(report["dev"], dict)
    assert 0.3 < report["dev"]["accuracy_all"] <= 1.0
    decision = Decision.load(tmp_path / "out")
    assert decision.max_pairs == 3 and any(decision.first)


@pytest.mark.parametrize("model", ["detector", "retriever", "reranker", "calibration"])
def test_a_setting_that_does_not_fit_is_one_line(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("", encoding="utf-8")
    assert run(["train", model, str(config), "--set", "colour=3"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "unknown setting 'colour'" in captured.err
    assert captured.err.count("\n") == 1
