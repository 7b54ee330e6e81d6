"""The studies on a tiny world: what they write, that they go on, and their figures by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entlink.config import load_config
from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError, InputError
from entlink.inputs import (
    entity_inputs,
    mention_input,
    pair_context,
    pair_entity,
    surfaces,
)
from entlink.kb.build import build_kb
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.candidates import learnt_from
from entlink.train.data import Example, fold_of, read_examples
from entlink.train.distil_config import DistilTraining, mining_of
from entlink.train.reranker_config import RerankerTraining
from tests.studies import margins, trajectories
from tests.studies.pages import cell, gap_closed, gathered, table, write_page
from tests.studies.rows import Done, Row, Study, run_study, slug
from tests.studies.teacher import teacher_report
from tests.tiny import encoder, write_bert
from tests.train.test_reranker import WORDS
from tests.train.world import NAMES, World, entities, write_world

STUDIES = ("losses", "sharing", "scoring", "dropout", "size")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    return write_world(folder)


@pytest.fixture(scope="module")
def base(folder: Path, world: World) -> Path:
    """The config of ``entlink distill`` on the tiny world."""
    write_bert(folder / "teacher", [WORDS], seed=5)
    encoder(seed=1).save(folder / "fold")
    (folder / "calibration.toml").write_text(
        f'kb = "-"\nretriever = "-"\nout = "-"\nhold_out = 8\nn_mentions = 40\n'
        f'mentions = ["{world.mentions}"]\ndev = ["{world.dev}"]\n',
        encoding="utf-8",
    )
    path = folder / "distil.toml"
    path.write_text(
        f"""
        kb = "{world.kb}"
        teacher = "{folder}/teacher"
        student = "{folder}/fold"
        retrievers = ["{folder}/fold"]
        mentions = ["{world.mentions}"]
        dev = ["{world.dev}"]
        out = "{folder}/unused"
        scores = "{folder}/scores"
        calibration = "{folder}/calibration.toml"
        backend = "torch"
        n_labelled = 60
        n_composed = 0
        n_aliases = 10
        hold_out = 8
        pool = 4
        batch_size = 16
        others = 4
        epochs = 1.0
        n_probed = 20
        [encoder]
        table_rows = 1024
        embedding = 8
        text = 8
        hidden = 8
        vector = 8
        sparse = 4
        """,
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def study(base: Path, world: World) -> Study:
    return Study(
        title="A study",
        base=base,
        sets=(world.dev,),
        seeds=(0, 1),
        row=(Row("not distilled", ('loss="none"',)), Row("Loss: M3SE", ('loss="m3se"',))),
    )


def test_a_study_goes_on_where_it_was_stopped(study: Study, folder: Path) -> None:
    out, told = folder / "losses", list[str]()
    one = replace(study, row=study.row[:1], seeds=(0,))
    run_study(one, out, told=told.append)
    done = run_study(study, out, told=told.append)
    assert [(d.row, d.seed) for d in done] == [
        (row.name, seed) for row in study.row for seed in (0, 1)
    ]
    assert [line.rpartition(": ")[2] for line in told] == [
        "running",
        "done before",
        *["running"] * 3,
    ]
    assert run_study(study, out, told=told.append) == done
    assert told[-4:] == [line.replace("running", "done before") for line in told[-4:]]
    for d in done:
        assert d.pooled["pairs_per_mention"] == 0.0 and 0.0 < d.pooled["accuracy"] <= 1.0
        assert d.pooled["n"] == 56 and d.report["test"] == d.report["dev"]
        assert DualEncoder.load(out / "students" / f"{slug(d.row)}-{d.seed}")
    assert not list(out.rglob("*.checkpoint.*"))
    write_page(study, done, out)
    page = out.with_suffix(".md").read_text(encoding="utf-8")
    assert page == table(study, done) and "| not distilled |" in page and "Mean of 2 seeds" in page
    assert "<svg" in out.with_suffix(".svg").read_text(encoding="utf-8")
    assert len(json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["rows"]) == 4
    changed = run_study(one, out, changes=["epochs=0.1"], told=told.append)
    assert told[-1].endswith("running") and changed != done[:1]


def test_curves(study: Study, folder: Path) -> None:
    rows = (study.row[0], Row("teacher", teacher=30))
    curved = replace(study, row=rows, seeds=(0,), curve_every=2, sets=(), fresh=True)
    done, teacher = run_study(curved, folder / "dropout", told=lambda _: None)
    assert {n: f["n"] for n, f in teacher.report.items()} == {"train": 30.0, "held_out": 30.0}
    assert [p["step"] for p in done.curve] == [1, 2]  # 3 steps, counted from 1
    assert all({"train", "held_out", "dev"} <= set(p) for p in done.curve)
    write_page(curved, [done, teacher], folder / "dropout")
    assert "<svg" in (folder / "dropout.svg").read_text(encoding="utf-8")


def made(row: str, seed: int, accuracy: float) -> Done:
    report = {"test": {"recall@1": accuracy, "mrr": accuracy}}
    return Done(row, seed, report, {"n": 10.0, "accuracy": accuracy}, [])


def test_means_spread_and_gap() -> None:
    """Between .5 and .7 a student with .58 and .62 has closed a half."""
    rows = (Row("a"), Row("t", bundle="x"), Row("s"))
    study = Study("T", Path(), rows, seeds=(0, 1), baseline="a", teacher="t")
    done = [made("a", 0, 0.5), made("t", 0, 0.7), made("s", 0, 0.58), made("s", 1, 0.62)]
    assert gap_closed(study, gathered(done)) == {"s": pytest.approx(0.5)}
    assert gap_closed(replace(study, baseline=""), gathered(done)) == {}
    assert gap_closed(study, gathered(done[1:])) == {}
    assert cell([0.58, 0.62]) == ".600 (.580 to .620)" and cell([]) == "" and cell([1.0]) == "1.000"
    assert "| s | .600 (.580 to .620) |" in table(study, done) and "| 0.50 |" in table(study, done)


def test_rows_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="same name"):
        Study("T", Path(), (Row("M3SE"), Row("m3se!")))
    with pytest.raises(ConfigError, match="no row of 'T' is named 'b'"):
        Study("T", Path(), (Row("a"),), baseline="b")


@pytest.mark.parametrize("name", STUDIES)
def test_the_recipes(root: Path, name: str) -> None:
    """Every row is a config that is accepted."""
    study = load_config(root / "kb" / "recipe" / f"distil_{name}.toml", Study)
    configs = [
        load_config(root / study.base, DistilTraining, changes=[*study.set, *row.set])
        for row in study.row
        if row.is_trained
    ]
    assert len({str(config) for config in configs}) == len(configs) >= 5


def test_the_teacher_by_hand(base: Path, world: World) -> None:
    """It reads all 16 entities, so the retrievers do not matter."""
    config = load_config(base, DistilTraining, changes=["pool=40"])
    found = teacher_report(config, 10**6)
    teacher, known = CrossEncoder.load(config.teacher), {e.id: e for e in entities()}
    every = read_examples([world.mentions])
    learnt = set(learnt_from(mining_of(config), every))
    right: dict[bool, list[bool]] = {True: [], False: []}
    for e in every:
        if e.gold in known and (e in learnt or fold_of(e.doc, 8) == 0):
            context = pair_context(e.text, e.start, e.end)
            texts = [pair_entity(entity) for entity in known.values()]
            logits = teacher.score([context], texts, [(0, i) for i in range(16)])
            best = list(known)[int(np.argmax(logits))]
            right[fold_of(e.doc, 8) == 0].append(best == e.gold)
    for name, is_out in (("train", False), ("held_out", True)):
        assert found[name]["n"] == len(right[is_out])
        assert found[name]["recall@1"] == pytest.approx(np.mean(right[is_out]))


def test_margins_by_hand() -> None:
    """Scaled to 0 and 1 the scores are 1, .25 and 0; and .5, 1, 0."""
    found = [
        margins.margins(np.asarray([6.0, 3.0, 2.0], np.float32), 0),
        margins.margins(np.asarray([1.0, 2.0, 0.0], np.float32), 0),
    ]
    np.testing.assert_allclose(found[0], [0.75, 1.0])
    np.testing.assert_allclose(found[1], [-0.5, 0.5])
    figures = margins.figures(found)
    assert figures["mean_margin"] == pytest.approx(1.75 / 4)
    assert (figures["above_zero"], figures["above_half"]) == (0.75, 0.5)
    assert figures["true_is_first"] == 0.5 and figures["n_pairs"] == 4.0
    np.testing.assert_allclose(margins.margins(np.zeros(3, np.float32), 1), [0.0, 0.0])
    assert margins.histogram(found).sum() == pytest.approx(1.0)


def test_margins_of_models(base: Path, world: World, folder: Path) -> None:
    kb = KnowledgeBase.open(world.kb)
    examples = read_examples([world.dev])[:12]
    students = {"one": folder / "fold"}
    teacher = CrossEncoder.load(folder / "teacher")
    found = margins.study(kb, teacher, students, examples, k=5)
    assert list(found) == ["teacher", "one"]
    known = [e for e in examples if kb.by_id(e.gold)]
    assert len(found["one"]) == len(found["teacher"]) == len(known)
    model = DualEncoder.load(folder / "fold")
    for e, some in zip(known, found["one"], strict=True):
        assert some.shape == (4,)
        query = model.encode_mentions([mention_input(e.text, e.start, e.end)])[0]
        best = {
            entity.id: float((model.encode_entities(entity_inputs(entity)) @ query).max())
            for entity in entities()
        }
        assert (some > 0).all() <= (best[e.gold] >= max(best.values()) - 1e-6)
    text = margins.write(found, folder / "margins")
    assert text.startswith("| model | mean margin |") and "\n| one | " in text
    assert "<svg" in (folder / "margins.svg").read_text(encoding="utf-8")
    assert margins.named("a b=c/d") == ("a b", Path("c/d"))
    with pytest.raises(ConfigError, match="write NAME=DIR"):
        margins.named("c/d")
    with pytest.raises(InputError, match="no mention"):
        margins.study(kb, teacher, students, [Example("d", "x", 0, 1, "nobody")], k=5)


@pytest.fixture(scope="module")
def named(folder: Path) -> Path:
    """The same world, its rivers with five names each."""
    many = [
        replace(e, aliases=tuple(f"{e.name} {word}" for word in ("a", "b", "c", "d")))
        for e in entities()
    ]
    build_kb(many, folder / "named")
    return folder / "named"


def test_trajectories(base: Path, world: World, folder: Path, named: Path) -> None:
    out = folder / "trajectories"
    distil = load_config(base, DistilTraining, changes=[f'kb="{named}"', "epochs=1.5"])
    for name in ("not-distilled", "distilled"):
        trajectories.run_student(name, distil, out, 2)
    reranker = RerankerTraining(
        kb=named,
        base=folder / "teacher",
        retrievers=(folder / "fold",),
        mentions=(world.mentions,),
        out=folder / "reranker",
        n_labelled=32,
        vocabulary=230,
        positions=64,
        batch_size=16,
        bf16=False,
        pair=PairConfig(20, 20, 8, 8),
    )
    trajectories.run_cross_encoder(reranker, [world.dev], out, 1)
    for name in trajectories.MODELS:
        lines = [json.loads(x) for x in (out / f"{name}.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines][:2] == [1, 2]
        for line in lines:
            assert len(line["positives"]) == len(line["negatives"]) == 5
    assert lines[0] != lines[1]
    trajectories.plot(out)
    assert "<svg" in (out / "trajectories.svg").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="nothing was recorded"):
        trajectories.plot(folder / "nowhere")


def test_who_is_followed(base: Path, world: World, folder: Path, named: Path) -> None:
    kb, model = KnowledgeBase.open(named), DualEncoder.load(folder / "fold")
    retriever = Retriever(kb, model, SurfaceVectors.build(kb, model))
    examples = read_examples([world.dev])
    found = trajectories.follow(kb, retriever, examples)
    first = next(e for e in examples if kb.by_id(e.gold))
    entity = kb.by_id(first.gold)
    assert entity is not None and found.example == first
    assert [e.name for e in found.positives] == surfaces(entity)
    assert {e.id for e in found.positives} == {first.gold}
    assert len({e.id for e in found.negatives} - {first.gold}) == 5
    scores = trajectories.vector_scores(model, found)
    query = model.encode_mentions([mention_input(first.text, first.start, first.end)])[0]
    for e, score in zip(found.positives, scores, strict=False):
        (vector,) = model.encode_entities([replace(entity_inputs(entity)[0], name=e.name)])
        assert score == pytest.approx(float(vector @ query), abs=1e-5)
    assert not set(NAMES) & {e.name for e in found.positives[1:]}
    small = KnowledgeBase.open(world.kb)
    with pytest.raises(InputError, match="5 names and 5 rivals"):
        trajectories.follow(small, retriever, examples)
