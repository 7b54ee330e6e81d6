from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from entlink.cli.train import command
from tests.train.test_detector import write

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
