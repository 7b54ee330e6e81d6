"""Fitting the decision: against gradients worked out plainly, thresholds tried one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from entlink import decide
from entlink.decide import Decision
from entlink.encode.dual import DualEncoder
from entlink.errors import InputError
from entlink.inputs import mention_input, pair_context, pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL
from entlink.rerank.cross_encoder import CrossEncoder
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.calibration import (
    CalibrationTraining,
    Row,
    _fit,
    train_calibration,
)
from entlink.train.data import fold_of, read_examples
from tests.tiny import cross_encoder, encoder
from tests.train.world import World, write_world

Floats = NDArray[np.float64]


def shares(row: Row, w: Floats, v: Floats) -> Floats:
    """Probabilities of a mention's candidates and, last, of NIL."""
    powers = np.exp([*(row[0] @ w), row[1] @ v])
    return np.asarray(powers / powers.sum())


def planted(n: int, *, seed: int) -> tuple[list[Row], Floats, Floats]:
    """Mentions whose answers are drawn from known weights."""
    generator = np.random.default_rng(seed)
    w, v = np.asarray([1.5, -2.0, 0.7]), np.asarray([0.4, -1.0])
    rows: list[Row] = []
    for _ in range(n):
        k = int(generator.integers(0, 6))
        row = (generator.normal(size=(k, 3)), np.asarray([1.0, generator.normal()]), 0)
        place = int(generator.choice(k + 1, p=shares(row, w, v)))
        rows.append((row[0], row[1], place))
    return rows, w, v


def gradient(rows: list[Row], w: Floats, v: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Of the mean negative log-likelihood plus the penalty, summed up row by row."""
    dw, dv = np.zeros_like(w), np.zeros_like(v)
    for row in rows:
        p = shares(row, w, v)
        p[row[2]] -= 1.0
        dw += p[:-1] @ row[0]
        dv += p[-1] * row[1]
    return dw / len(rows) + 2 * penalty * w, dv / len(rows) + 2 * penalty * v


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_the_fitted_weights_are_the_optimum(penalty: float) -> None:
    rows, _, _ = planted(300, seed=0)
    w, v = (np.asarray(part) for part in _fit(rows, penalty))
    for part in gradient(rows, w, v, penalty):
        np.testing.assert_allclose(part, 0.0, atol=1e-4)
    assert np.abs(w).max() > 0.1


def test_planted_weights_are_found_again() -> None:
    rows, w, v = planted(6000, seed=1)
    found_w, found_v = _fit(rows, 0.0)
    np.testing.assert_allclose(found_w, w, atol=0.15)
    np.testing.assert_allclose(found_v, v, atol=0.15)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def config(world: World, tmp_path_factory: pytest.TempPathFactory) -> CalibrationTraining:
    folder = tmp_path_factory.mktemp("models")
    encoder(seed=3).save(folder / "retriever")
    cross_encoder(seed=3).save(folder / "reranker")
    return CalibrationTraining(
        kb=world.kb,
        retriever=folder / "retriever",
        reranker=folder / "reranker",
        mentions=(world.mentions,),
        dev=(world.dev,),
        out=folder / "decision.json",
        hold_out=4,
        max_pairs=5,
    )


def answers(config: CalibrationTraining, decision: Decision) -> tuple[float, float]:
    """Accuracy on dev in the KB, and over all with the threshold, mention by mention."""
    kb = KnowledgeBase.open(config.kb)
    model = DualEncoder.load(config.retriever)
    retriever = Retriever(kb, model, SurfaceVectors.build(kb, model))
    reranker = None if config.reranker is None else CrossEncoder.load(config.reranker)
    in_kb, everything = [], []
    for e in read_examples(config.dev):
        (found,) = retriever.retrieve([mention_input(e.text, e.start, e.end)])
        seen = retriever.evidence(found)
        first = decide.first_probabilities(decision, seen)
        order = decide.to_read(decision, first)
        entities = kb.by_rows(found.rows.tolist())
        final = first
        if reranker is not None:
            texts = [pair_entity(entities[i]) for i in order]
            context = pair_context(e.text, e.start, e.end)
            pairs = [(0, i) for i in range(len(order))]
            logits = reranker.score([context], texts, pairs) if pairs else np.zeros(0, np.float32)
            final = decide.final_probabilities(decision, seen, first, order, logits)
        best = int(final[:-1].argmax())
        answer = entities[best].id
        linked = answer if final[best] >= decision.nil_threshold else NIL
        if kb.by_id(e.gold) is not None:
            in_kb.append(answer == e.gold)
            everything.append(linked == e.gold)
        else:
            everything.append(linked == NIL)
    return float(np.mean(in_kb)), float(np.mean(everything))


@pytest.mark.parametrize("reranked", [True, False])
def test_the_figures_are_those_of_the_decision_that_is_written(
    config: CalibrationTraining, reranked: bool
) -> None:
    config = config if reranked else replace(config, reranker=None)
    figures = train_calibration(config)
    decision = Decision.load(config.out)
    assert decision.max_pairs == 5 and 0.5 <= decision.read_mass <= 2.0
    accuracy, everything = answers(config, decision)
    assert figures["accuracy"] == pytest.approx(accuracy)
    assert figures["accuracy_all"] == pytest.approx(everything)
    assert everything > 0.45  # half of those in the KB by popularity, and NIL by its name
    if not reranked:
        assert set(decision.final) == {0.0}
    train_calibration(config)
    assert Decision.load(config.out) == decision


def test_only_held_out_documents_are_fitted(config: CalibrationTraining, tmp_path: Path) -> None:
    """What the other documents say makes no difference."""
    lines = Path(config.mentions[0]).read_text(encoding="utf-8").splitlines()
    changed = []
    for line in lines:
        doc = json.loads(line)
        if fold_of(doc["id"], config.hold_out) != 0:
            doc["mentions"][0]["entity"] = "E0"
        changed.append(json.dumps(doc))
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(changed), encoding="utf-8")
    assert changed != lines
    train_calibration(config)
    expected = Decision.load(config.out)
    train_calibration(replace(config, mentions=(other,), out=tmp_path / "decision.json"))
    assert Decision.load(tmp_path / "decision.json") == expected


def test_a_sample_is_drawn(config: CalibrationTraining, tmp_path: Path) -> None:
    few = replace(config, n_mentions=20, out=tmp_path / "few.json")
    train_calibration(few)
    train_calibration(config)
    assert Decision.load(few.out) != Decision.load(config.out)
    train_calibration(replace(few, n_mentions=10**6))
    assert Decision.load(few.out) == Decision.load(config.out)


def test_nothing_to_fit_is_said(config: CalibrationTraining, tmp_path: Path) -> None:
    empty = tmp_path / "none.jsonl"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no held-out mention"):
        train_calibration(replace(config, mentions=(empty,)))
