from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy

from entlink.config import load_config
from entlink.detect import Recogniser
from entlink.detect.recogniser import read_ordinary
from entlink.errors import ConfigError
from entlink.train.detector import DetectorConfig, Source, train_detector


def write(path: Path, n: int) -> Path:
    """Texts in which every Mr Xxxx is a person and every town of Yyyy a place."""
    names = ["Abel", "Brook", "Casper", "Dover", "Elmer", "Fisk", "Gale", "Hobbs"]
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            person, town = names[i % 8], names[(i * 3 + 1) % 8]
            text = f"we met Mr {person} today in the town of {town} again"
            spans = [
                {"start": 10, "end": 10 + len(person), "label": "person"},
                {
                    "start": text.index(" of ") + 4,
                    "end": text.index(" of ") + 4 + len(town),
                    "label": "location",
                },
            ]
            file.write(json.dumps({"id": str(i), "text": text, "spans": spans}) + "\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> DetectorConfig:
    return DetectorConfig(
        out=tmp_path / "detector",
        train=(Source(write(tmp_path / "train.jsonl", 120), licence="ours"),),
        dev=(Source(write(tmp_path / "dev.jsonl", 24)),),
        rounds=6,
        width=32,
        depth=2,
        rows=200,
        dropout=0.0,
        learn_rate=0.01,
        batch_words=200,
    )


def test_learns_saves_and_loads(config: DetectorConfig) -> None:
    report = train_detector(config)
    score = report.scores["dev"]
    assert score.n_gold == 48
    assert score.f1 > 0.9 and score.labelled_f1 > 0.9
    doc = spacy.blank("en").make_doc("we met Mr Dover today in the town of Abel again")
    found = Recogniser.load(config.out).detect([doc])[0]
    assert [(m.text, m.label) for m in found] == [("Dover", "PER"), ("Abel", "LOC")]
    assert {"town", "today"} <= read_ordinary(config.out)
    meta = json.loads((config.out / "meta.json").read_text(encoding="utf-8"))
    assert meta["sources"] == [{"name": "train", "license": "ours"}]
    strings = json.loads((config.out / "vocab" / "strings.json").read_text(encoding="utf-8"))
    assert "Dover" not in strings  # the words of the training texts do not travel along


def test_the_recipe_is_a_valid_config() -> None:
    recipe = Path(__file__).resolve().parents[2] / "kb" / "recipe" / "detector.toml"
    config = load_config(recipe, DetectorConfig)
    assert len(config.train) == len(config.dev) == 5
    assert not any("test" in source.path.parts for source in (*config.train, *config.dev))


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('out = "x"\nround = 3\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown setting 'round'"):
        load_config(path, DetectorConfig)
