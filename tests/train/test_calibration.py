"""Fitting the decision: its figures are those of linking, and only what is held out is fitted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entlink.bundle import Bundle
from entlink.decide import Decision
from entlink.encode.dual import DualEncoder
from entlink.errors import InputError
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import NIL, Mention
from entlink.rerank.cross_encoder import CrossEncoder
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.calibration import CalibrationTraining, _weights, train_calibration
from entlink.train.data import Example, fold_of, read_examples
from tests.tiny import cross_encoder, encoder
from tests.train.world import World, write_world


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
        backend="torch",
        out=folder / "decision.json",
        hold_out=4,
        max_pairs=5,
    )


def figures_of(config: CalibrationTraining, decision: Decision) -> tuple[float, float]:
    """Accuracy on dev in the KB, and over all with the threshold, as the linker scores it."""
    kb = KnowledgeBase.open(config.kb)
    model = DualEncoder.load(config.retriever)
    retriever = Retriever(kb, model, SurfaceVectors.build(kb, model))
    reranker = None if config.reranker is None else CrossEncoder.load(config.reranker)
    bundle = Bundle(config.out.parent, {})
    linker = Linker(bundle, kb, retriever, reranker, decision)
    examples = read_examples(config.dev)
    given = [(e.text, Mention(e.start, e.end, e.text[e.start : e.end])) for e in examples]
    documents = sorted({e.doc for e in examples})
    numbers = [documents.index(e.doc) for e in examples]
    in_kb, everything = [], []
    for e, scored in zip(examples, linker.score(given, documents=numbers), strict=True):
        best = int(scored.probabilities[:-1].argmax())
        (entity,) = kb.by_rows([int(scored.retrieved.rows[best])])
        linked = entity.id if scored.probabilities[best] >= decision.nil_threshold else NIL
        if kb.by_id(e.gold) is not None:
            in_kb.append(entity.id == e.gold)
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
    assert decision.max_pairs <= 5 and 0.5 <= decision.read_mass <= 2.0
    assert decision.early is not None
    accuracy, everything = figures_of(config, decision)
    assert figures["accuracy"] == pytest.approx(accuracy)
    assert figures["accuracy_all"] == pytest.approx(everything)
    assert everything > 0.45  # half of those in the KB by popularity, and NIL by its name
    assert (decision.coherence is not None) == reranked
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
    few = replace(config, n_mentions=20, n_dev=20, out=tmp_path / "few.json")
    train_calibration(few)
    train_calibration(config)
    assert Decision.load(few.out) != Decision.load(config.out)
    train_calibration(replace(few, n_mentions=10**6, n_dev=10**6))
    assert Decision.load(few.out) == Decision.load(config.out)


def test_nothing_to_fit_is_said(config: CalibrationTraining, tmp_path: Path) -> None:
    empty = tmp_path / "none.jsonl"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no held-out mention"):
        train_calibration(replace(config, mentions=(empty,), dev=(empty,)))


def test_what_a_mention_counts() -> None:
    documents = ["w-1", "report-1", "match-1", "adjective-1", "ambiguous-1", "rivals-x", "dev-1"]
    examples = [Example(doc, "Paris", 0, 5, "Q90") for doc in documents]
    config = CalibrationTraining(
        *(Path("kb"), Path("retriever"), (), (), Path("out")),
        held_out_weight=2.0,
        report_weight=0.5,
    )
    found = _weights(examples, 6, config, 7.0)
    assert found == [2.0, 0.5, 0.5, 0.5, 7.0, 7.0, 1.0]
