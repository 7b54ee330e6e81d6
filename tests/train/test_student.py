"""Students: which layers they keep, what they aim at, and that they come near their teacher."""

from __future__ import annotations

import copy
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from entlink.config import load_config
from entlink.errors import ConfigError
from entlink.inputs import pair_context, pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.rerank.bert import BertClassifier
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig
from entlink.train.candidates import contexts_of
from entlink.train.distil_config import DistilTraining, mining_of
from entlink.train.distil_scores import NOT_MINING, taught
from entlink.train.reranker import train_reranker
from entlink.train.reranker_config import RerankerTraining
from entlink.train.student import StudentConfig, keep_layers, match_probabilities
from tests.tiny import bert, encoder, tokenizer
from tests.train.test_losses import candidate_lists, padded
from tests.train.test_reranker import WORDS
from tests.train.world import documents, entities, write_world


def layers_of(model: BertClassifier) -> list[Any]:
    return list(cast(nn.ModuleList, model.bert.encoder["layer"]))


def deep(n_layers: int) -> BertClassifier:
    """A small BERT of so many different layers."""
    model = bert(100)
    layers = layers_of(model)
    many = [copy.deepcopy(layers[i % 2]) for i in range(n_layers)]
    for i, layer in enumerate(many):
        nn.init.constant_(layer.intermediate.dense.bias, float(i))
    model.bert.encoder["layer"] = nn.ModuleList(many)
    model.config = replace(model.config, num_hidden_layers=n_layers)
    return model


@pytest.mark.parametrize(
    ("n_layers", "n", "kept"),
    [(6, 3, [0, 2, 5]), (6, 4, [0, 2, 3, 5]), (6, 6, [0, 1, 2, 3, 4, 5]), (12, 1, [11])],
)
def test_layers_are_kept_at_even_distances(
    n_layers: int, n: int, kept: list[int], tmp_path: Path
) -> None:
    model = keep_layers(deep(n_layers), n=n)
    biases = [layer.intermediate.dense.bias.detach() for layer in layers_of(model)]
    assert [float(bias[0]) for bias in biases] == kept
    model.save(tmp_path)
    loaded = BertClassifier.load(tmp_path)
    batch = (torch.tensor([[2, 9, 3]]), torch.zeros(1, 3, dtype=torch.long))
    is_token = torch.ones(1, 3, dtype=torch.bool)
    with torch.inference_mode():
        torch.testing.assert_close(
            loaded(*batch, is_token), model.eval()(*batch, is_token), atol=0.05, rtol=0.01
        )


def test_more_layers_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="layers is 7, but the base has 6"):
        keep_layers(deep(6), n=7)


@settings(max_examples=200, deadline=None)
@given(candidate_lists(), st.data())
def test_matching_probabilities(
    lists: tuple[list[list[float]], list[int]], data: st.DataObject
) -> None:
    logits, gold = lists
    numbers = st.floats(-8, 8, width=32)
    aims = [data.draw(st.lists(numbers, min_size=len(x), max_size=len(x))) for x in logits]
    total = 0.0
    for student, teacher in zip(logits, aims, strict=True):
        for i in range(len(student) + 1):
            s, t = [*student, 0.0], [*teacher, 0.0]
            p = math.exp(t[i]) / sum(math.exp(x) for x in t)
            total -= p * (s[i] - math.log(sum(math.exp(x) for x in s)))
    scores, is_candidate, _ = padded(logits, gold)
    wanted = padded(aims, gold)[0]
    scores.requires_grad_()
    found = match_probabilities(scores, is_candidate, wanted)
    assert found.item() == pytest.approx(total / len(logits), abs=1e-4)
    found.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None and torch.isfinite(scores.grad).all()
    assert (scores.grad[~is_candidate] == 0).all()


def test_the_teacher_is_asked_about_the_same_pairs(config: RerankerTraining) -> None:
    assert config.student is not None
    its = config.student
    kb = KnowledgeBase.open(config.kb)
    said = taught(config, kb, its.teacher, its.scores, backend="torch")
    model = CrossEncoder.load(its.teacher)
    texts = [pair_entity(e) for e in kb.by_rows(range(len(kb)))]
    assert len(said.lists) > 20
    for item, context, logits in zip(
        said.lists, contexts_of(said.lists), said.by_row(), strict=True
    ):
        rows = [row for row in (item.gold, *item.rows) if row >= 0]
        assert sorted(logits) == sorted(rows)
        expected = model.score([context], texts, [(0, row) for row in rows])
        np.testing.assert_allclose([logits[row] for row in rows], expected, atol=1e-4)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RerankerTraining:
    folder = tmp_path_factory.mktemp("student")
    world = write_world(folder)
    words = tokenizer([WORDS])
    base = deep_with(words.get_vocab_size())
    base.save(folder / "teacher")
    words.save(str(folder / "teacher" / "tokenizer.json"))
    encoder(seed=1).save(folder / "retriever")
    return RerankerTraining(
        kb=world.kb,
        base=folder / "teacher",
        retrievers=(folder / "retriever",),
        mentions=(world.mentions,),
        views=(world.view,),
        out=folder / "out",
        vocabulary=210,
        positions=64,
        batch_size=16,
        epochs=2.0,
        learning_rate=3e-3,
        bf16=False,
        pair=PairConfig(20, 20, 8, 8),
        student=StudentConfig(
            folder / "teacher", folder / "scores", 2, weight=1.0, backend="torch"
        ),
    )


def deep_with(vocabulary: int) -> BertClassifier:
    """Four layers, whose logits differ from pair to pair."""
    model = bert(vocabulary, seed=5)
    layers = [*layers_of(model), *layers_of(bert(vocabulary, seed=6))]
    model.bert.encoder["layer"] = nn.ModuleList(layers)
    model.config = replace(model.config, num_hidden_layers=4)
    return model


def distance(model: CrossEncoder, teacher: CrossEncoder) -> float:
    """How far apart the two see new pairs: the mean difference of their sigmoids."""
    docs = documents(20, seed=99, prefix="new")
    contexts = []
    for doc in docs:
        span = doc["mentions"][0]  # type: ignore[index]
        contexts.append(pair_context(str(doc["text"]), span["start"], span["end"]))
    texts = [pair_entity(e) for e in entities()]
    pairs = [(m, e) for m in range(len(contexts)) for e in range(len(texts))]
    a, b = (1 / (1 + np.exp(-x.score(contexts, texts, pairs))) for x in (model, teacher))
    return float(np.abs(a - b).mean())


def test_a_student_comes_near_its_teacher(config: RerankerTraining, tmp_path: Path) -> None:
    assert config.student is not None
    teacher = CrossEncoder.load(config.student.teacher)
    train_reranker(replace(config, epochs=1e-6, learning_rate=0.0, out=tmp_path / "untrained"))
    untrained = CrossEncoder.load(tmp_path / "untrained")
    train_reranker(config)
    student = CrossEncoder.load(config.out)
    assert student.model.config.num_hidden_layers == 2
    assert student.model.config.vocab_size <= 210 < teacher.model.config.vocab_size
    assert distance(student, teacher) < 0.6 * distance(untrained, teacher)


def test_labels_and_teacher_share_the_loss(config: RerankerTraining, tmp_path: Path) -> None:
    """With weight zero the teacher does not matter; with another it does."""
    found = {}
    other = tmp_path / "other"
    bert(tokenizer([WORDS]).get_vocab_size(), seed=8).save(other)
    tokenizer([WORDS]).save(str(other / "tokenizer.json"))
    for weight in (0.0, 0.5):
        for teacher in (config.base, other):
            out = tmp_path / f"{weight} {teacher.name}"
            made = StudentConfig(teacher, tmp_path / "scores", 2, weight=weight, backend="torch")
            train_reranker(replace(config, out=out, epochs=0.2, student=made))
            found[weight, teacher.name] = (out / "model.safetensors").read_bytes()
    assert found[0.0, "teacher"] == found[0.0, "other"]
    assert found[0.5, "teacher"] != found[0.5, "other"]


def test_the_checkpoint_belongs_to_one_teacher(config: RerankerTraining, tmp_path: Path) -> None:
    short = replace(config, out=tmp_path / "out", epochs=0.1)
    train_reranker(short)
    assert short.student is not None
    with pytest.raises(ConfigError, match="a run with other settings"):
        train_reranker(replace(short, student=replace(short.student, weight=0.1)))
    assert "StudentConfig" not in str(short)  # so checkpoints of runs without one are as they were


@pytest.mark.parametrize(
    ("setting", "message"), [("layers = 0", "layers is 0"), ("weight = 2.0", "weight is 2.0")]
)
def test_bad_settings(tmp_path: Path, setting: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        'kb = "a"\nbase = "b"\nretrievers = []\nmentions = []\nout = "c"\n'
        f'[student]\nteacher = "b"\nscores = "s"\n{setting}\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=message):
        load_config(path, RerankerTraining)


@pytest.mark.parametrize(
    ("small", "other", "layers"),
    [("reranker_student", "contextual", 4), ("reader", "distil", 3)],
)
def test_the_recipes(root: Path, small: str, other: str, layers: int) -> None:
    """A student learns from the very scores that a retriever's student learns from."""
    recipe = load_config(root / "kb" / "recipe" / f"{small}.toml", RerankerTraining)
    distilled = load_config(root / "kb" / "recipe" / f"{other}.toml", DistilTraining)
    assert recipe.student is not None and recipe.student.layers == layers
    assert recipe.student.teacher == distilled.teacher
    assert recipe.student.scores == distilled.scores
    names = {field.name for field in fields(recipe)} - NOT_MINING
    assert {n: getattr(recipe, n) for n in names} == {
        n: getattr(mining_of(distilled), n) for n in names
    }
