"""Training the reranker on a small world: which candidates it learns from, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from entlink.errors import BundleError, ConfigError, InputError
from entlink.inputs import pair_context, pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig
from entlink.train.candidates import mine
from entlink.train.data import fold_of, read_examples
from entlink.train.reranker import train_reranker
from entlink.train.reranker_config import RerankerTraining
from tests.tiny import encoder, write_bert
from tests.train.world import NAMES, TOPICS, World, documents, entities, write_lines, write_world

WORDS = " ".join(
    ["the and of had a in it zephyr river singer also", *NAMES]
    + [f"{description} {' '.join(words)}" for _, description, words in TOPICS]
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """In its texts every name means the river, so even a small model finds out."""
    folder = tmp_path_factory.mktemp("world")
    made = write_world(folder)
    rivers = documents(240, seed=5, prefix="doc", topics=(0,))
    return replace(made, mentions=write_lines(folder / "rivers.jsonl", rivers))


@pytest.fixture(scope="module")
def config(world: World, tmp_path_factory: pytest.TempPathFactory) -> RerankerTraining:
    folder = tmp_path_factory.mktemp("models")
    write_bert(folder / "base", [WORDS])
    encoder(seed=1).save(folder / "fold0")
    encoder(seed=2).save(folder / "fold1")
    return RerankerTraining(
        kb=world.kb,
        base=folder / "base",
        retrievers=(folder / "fold0", folder / "fold1"),
        mentions=(world.mentions,),
        out=folder / "out",
        views=(world.view,),
        hold_out=8,
        vocabulary=230,
        positions=64,
        n_wrong=3,
        pool=6,
        batch_size=16,
        epochs=2.5,
        learning_rate=3e-3,
        bf16=False,
        pair=PairConfig(20, 20, 8, 8),
    )


def test_candidates_come_from_a_retriever_that_did_not_see_the_document(
    config: RerankerTraining,
) -> None:
    """Of equal retrievers it does not matter which; of two others each mines its own fold."""
    kb = KnowledgeBase.open(config.kb)
    lists = {(c.example.doc, c.example.start): c for c in mine(config, kb)}
    one = replace(config, retrievers=(config.retrievers[0],) * 2)
    other = replace(config, retrievers=(config.retrievers[1],) * 2)
    first = {(c.example.doc, c.example.start): c for c in mine(one, kb)}
    second = {(c.example.doc, c.example.start): c for c in mine(other, kb)}
    assert lists.keys() == first.keys() == second.keys()
    for key, found in lists.items():
        expected = (first, second)[fold_of(key[0], 2)][key]
        assert found == expected
    assert first != second


def test_what_is_mined(config: RerankerTraining) -> None:
    kb = KnowledgeBase.open(config.kb)
    examples = read_examples(config.mentions)
    kept = [e for e in examples if fold_of(e.doc, config.hold_out) != 0]
    assert len(kept) < len(examples)
    rows = kb.rows_of([e.gold for e in kept])
    lists = mine(config, kb)
    known = [e for e in kept if e.gold in rows]
    assert sorted(c.example.doc for c in lists if c.gold >= 0) == sorted(e.doc for e in known)
    n_nil = sum(c.gold < 0 for c in lists)
    assert n_nil == min(len(kept) - len(known), round(config.nil_share * len(known)))
    for c in lists:
        assert c.gold == rows.get(c.example.gold, -1)
        assert c.gold not in c.rows and len(set(c.rows)) == len(c.rows) >= config.pool - 1
        name = c.example.text[c.example.start : c.example.end]
        namesakes = [row for row in range(16) if kb.by_rows([row])[0].name == name]
        assert set(namesakes) <= {c.gold, *c.rows}
    assert mine(config, kb) == lists
    assert mine(replace(config, seed=1), kb) != lists


def test_a_sample_of_the_labelled_mentions(config: RerankerTraining) -> None:
    kb = KnowledgeBase.open(config.kb)
    few = replace(config, n_labelled=40, nil_share=1.0)
    kept = [e for e in read_examples(config.mentions) if fold_of(e.doc, config.hold_out) != 0]
    found = [c.example for c in mine(few, kb)]
    assert len(set(found)) == len(found) <= 40 < len(kept)
    assert set(found) <= set(kept)


def test_mentions_of_ambiguous_names_come_on_top(
    config: RerankerTraining, world: World, tmp_path: Path
) -> None:
    """Avon is the river E0 or the singer E1; of these only E0 is near Brent (E2)."""
    kb = KnowledgeBase.open(config.kb)
    relations: list[dict[str, object]] = [
        {"head": "E0", "property": "P1", "name": "near", "tail": "E2", "source": ["a"]},
        {"head": "E1", "property": "P1", "name": "sang in", "tail": "E5", "source": ["b"]},
    ]
    text = "They crossed Avon and went on to Brent."
    more = replace(
        config,
        mentions=(),
        relations=write_lines(tmp_path / "relations.jsonl", relations),
        relation_sources=("a",),
        unlabelled=(write_lines(tmp_path / "texts.jsonl", [{"id": "t", "text": text}]),),
        n_ambiguous=30,
    )
    lists = mine(more, kb)
    found = [c for c in lists if c.example.text == text]
    assert [kb.by_rows([c.gold])[0].id for c in found if c.example.start == 13] == ["E0"]
    composed = [c.example for c in lists if c.example.text != text]
    assert composed and {e.gold for e in composed} <= {f"E{i}" for i in range(16)}
    assert all(e.text[e.start : e.end] for e in composed)
    train_reranker(replace(more, out=tmp_path / "out", epochs=0.2))
    assert CrossEncoder.load(tmp_path / "out").pairs.config == config.pair


@pytest.fixture(scope="module")
def trained(config: RerankerTraining) -> CrossEncoder:
    train_reranker(config)
    return CrossEncoder.load(config.out)


def margin(model: CrossEncoder) -> float:
    """How far, on new texts, the river's logit lies above its namesake's, on average."""
    known = entities()
    total, texts = 0.0, documents(40, seed=77, prefix="new", topics=(0,))
    for doc in texts:
        text, row = str(doc["text"]), 2 * NAMES.index("Avon")
        pairs = [pair_entity(known[row]), pair_entity(known[row + 1])]
        river, singer = model.score([pair_context(text, 4, 9)], pairs, [(0, 0), (0, 1)])
        total += float(river - singer)
    return total / len(texts)


def test_it_learns(config: RerankerTraining, trained: CrossEncoder) -> None:
    before = CrossEncoder.load(config.base)
    assert margin(trained) > 1.0 > abs(margin(before))


def test_what_is_written(config: RerankerTraining, trained: CrossEncoder) -> None:
    assert trained.pairs.config == config.pair
    assert trained.model.config.max_position_embeddings == config.positions
    assert trained.model.config.vocab_size == 230
    tokens = trained.pairs.tokenizer.encode("water banks", add_special_tokens=False).tokens
    assert tokens == ["water", "banks"]
    names = sorted(path.name for path in config.out.iterdir())
    assert names == [
        "config.json",
        "model.safetensors",
        "pair.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_run_that_is_started_again_is_not_repeated(
    config: RerankerTraining, trained: CrossEncoder
) -> None:
    """Its checkpoint lies beside it, and belongs to these settings alone."""
    before = (config.out / "model.safetensors").read_bytes()
    train_reranker(config)
    assert (config.out / "model.safetensors").read_bytes() == before
    with pytest.raises(ConfigError, match="a run with other settings"):
        train_reranker(replace(config, learning_rate=1e-4))


@pytest.mark.parametrize("loss", ["list", "binary"])
@pytest.mark.parametrize("bf16", [False, True])
def test_either_loss_in_either_precision(
    config: RerankerTraining, tmp_path: Path, loss: str, bf16: bool
) -> None:
    short = replace(config, out=tmp_path / "out", loss=loss, bf16=bf16, epochs=0.1)
    train_reranker(short)
    model = CrossEncoder.load(short.out).model
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_bad_settings_are_one_line(config: RerankerTraining, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loss is 'lists'; it must be one of list, binary"):
        train_reranker(replace(config, loss="lists"))
    (tmp_path / "base").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "base" / name).write_bytes((config.base / name).read_bytes())
    with pytest.raises(BundleError, match=r"tokenizer\.json or pair\.json cannot be read"):
        train_reranker(replace(config, base=tmp_path / "base", out=tmp_path / "out"))
    empty = tmp_path / "none.jsonl"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no mention to train on"):
        train_reranker(replace(config, mentions=(empty,), out=tmp_path / "out"))
