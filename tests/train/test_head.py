"""Training a masked-language head: it learns, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file

import entlink
from entlink.bert import load_bert
from entlink.cli.app import run
from entlink.encode.masked import FILE, MaskedHead
from entlink.errors import BundleError, ConfigError, InputError
from entlink.train.head import HeadTraining, train_head
from tests.tiny import ENTITIES, bert, make_bundle, write_bert

LINES = ["the river ends in the sea", "the city of light", "a team of the city"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> HeadTraining:
    folder = tmp_path_factory.mktemp("head")
    write_bert(folder / "base", LINES)
    texts = folder / "texts.jsonl"
    rows = [{"id": str(i), "text": LINES[i % 3]} for i in range(99)]
    texts.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return HeadTraining(
        base=folder / "base",
        out=folder / "out",
        texts=(texts,),
        n_steps=80,
        batch_size=8,
        learning_rate=1e-2,
    )


def test_it_learns_and_the_same_again(config: HeadTraining, tmp_path: Path) -> None:
    before = (config.base / "model.safetensors").read_bytes()
    untrained = train_head(replace(config, out=tmp_path / "none", n_steps=0))
    found = train_head(config)
    assert found["n_texts"] == 95  # of 99, every 32nd is held out
    assert found["accuracy"] > untrained["accuracy"] + 0.2
    assert (config.base / "model.safetensors").read_bytes() == before
    again = train_head(replace(config, out=tmp_path / "again"))
    assert again == found
    one, other = (load_file(folder / FILE) for folder in (config.out, tmp_path / "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    MaskedHead.load(config.out, load_bert(config.base).config)


def test_a_command_for_a_reranker_whose_vectors_are_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTLINK_CACHE", str(tmp_path / "cache"))
    bundle = make_bundle(tmp_path / "tiny")
    file = tmp_path / "head.toml"
    file.write_text(
        f"base = '{bundle.path}/reranker'\nkb = '{bundle.path}'\nout = '{tmp_path}/head'\n"
        "n_steps = 3\nbatch_size = 4\n",
        encoding="utf-8",
    )
    assert run(["train", "head", str(file)]) == 0
    report = orjson.loads(capsys.readouterr().out)
    assert report["n_texts"] == len(ENTITIES) - 1
    linker = entlink.load(bundle.path, device="cpu")
    text = "On that day Jordan met Paris Hilton in Chicago."
    found = linker.explain(text, "Jordan", words=False, vectors=False, head=tmp_path / "head")
    of = [reading.of for reading in found.readings]
    assert of == ["reranker, [CLS]", "reranker, mention mark", "reranker, entity mark"]
    for reading in found.readings:
        assert len(reading.words) == 20 and "jordan" not in reading.expansion
        assert all(rank >= 1 for rank in reading.ranks.values())
        best = [word for word, _ in reading.words]
        assert all(reading.ranks[w] == best.index(w) + 1 for w in best if w in reading.ranks)
    options = ["--text", text, "--mention", "Jordan", "--fast", "--bundle", str(bundle.path)]
    assert run(["explain", *options, "--head", str(tmp_path / "head"), "--device", "cpu"]) == 0
    assert "reranker, entity mark" in capsys.readouterr().out
    # beside the bundle's own reranker it is found by itself
    (tmp_path / "head" / FILE).rename(bundle.path / "reranker" / FILE)
    beside = linker.explain(text, "Jordan", words=False, vectors=False)
    assert beside.readings == found.readings


def test_what_a_head_cannot_be_trained_on(config: HeadTraining, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text to train a head on"):
        train_head(replace(config, texts=()))
    few = tmp_path / "few.jsonl"
    few.write_text('{"text": "the sea"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="1 texts are too few"):
        train_head(replace(config, texts=(few,)))
    with pytest.raises(ConfigError, match=r"share is 1\.5"):
        train_head(replace(config, share=1.5))
    for name, value in [("n_steps", -1), ("batch_size", 0), ("max_tokens", 2)]:
        setting: dict[str, Any] = {name: value}
        wrong = HeadTraining(config.base, tmp_path / "out", texts=config.texts, **setting)
        with pytest.raises(ConfigError, match=f"{name} is {value}; it must be at least"):
            train_head(wrong)
        assert not (tmp_path / "out").exists()
    bare = tmp_path / "bare"
    bert(20).save(bare)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        train_head(replace(config, base=bare))
