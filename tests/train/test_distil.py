"""A teacher teaches a student in a small world; each part against plain loops."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from entlink.cli.distill import command
from entlink.config import load_config
from entlink.decide import Decision
from entlink.encode.dual import BertReading, DualEncoder, DualEncoderConfig
from entlink.errors import ConfigError, InputError
from entlink.inputs import entity_inputs, mention_input, pair_context, pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, has_bf16
from entlink.retrieve.index import VectorIndex
from entlink.train.candidates import mine, rows_of
from entlink.train.data import Example, fold_of, label_examples, read_examples
from entlink.train.distil import begin, distil, learn, prepare, probe_of, with_reader
from entlink.train.distil_config import DistilTraining, is_left_out, mining_of
from entlink.train.distil_losses import LOSSES
from entlink.train.distil_measure import ranks, surface_vectors
from entlink.train.distil_scores import Taught, labelled, taught
from entlink.train.distil_student import Scores, Student, level, read_in_part, score_batch
from tests.tiny import encoder, write_bert
from tests.train.test_reranker import WORDS
from tests.train.world import World, write_world

SIZES = DualEncoderConfig(
    table_rows=1 << 11, embedding=16, text=16, hidden=32, vector=16, sparse=4, dropout=0.0
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def config(world: World, tmp_path_factory: pytest.TempPathFactory) -> DistilTraining:
    folder = tmp_path_factory.mktemp("models")
    write_bert(folder / "teacher", [WORDS], seed=5)
    budget = {"context_tokens": 20, "entity_tokens": 20, "span_tokens": 8, "name_tokens": 8}
    (folder / "teacher" / "pair.json").write_text(json.dumps(budget), encoding="utf-8")
    encoder(seed=1).save(folder / "fold0")
    encoder(seed=2).save(folder / "fold1")
    return DistilTraining(
        kb=world.kb,
        teacher=folder / "teacher",
        retrievers=(folder / "fold0", folder / "fold1"),
        mentions=(world.mentions,),
        dev=(world.dev,),
        views=(world.view,),
        out=folder / "student",
        scores=folder / "scores",
        backend="torch",
        relations=world.relations,
        relation_sources=("a",),
        n_composed=20,
        n_aliases=20,
        hold_out=8,
        pool=6,
        n_candidates=5,
        batch_size=32,
        others=8,
        epochs=3.0,
        learning_rate=0.01,
        encoder=SIZES,
    )


@pytest.fixture(scope="module")
def kb(config: DistilTraining) -> KnowledgeBase:
    return KnowledgeBase.open(config.kb)


def ask(config: DistilTraining, kb: KnowledgeBase) -> Taught:
    return taught(mining_of(config), kb, config.teacher, config.scores, backend=config.backend)


def test_what_the_teacher_says(config: DistilTraining, kb: KnowledgeBase) -> None:
    """Pair by pair, as the reranker itself scores them."""
    found = ask(config, kb)
    assert len(found.lists) > 250
    teacher = CrossEncoder.load(config.teacher)
    for item, logits in list(zip(found.lists, found.logits, strict=True))[::40]:
        e = item.example
        rows = [*([item.gold] if item.gold >= 0 else []), *item.rows]
        texts = [pair_entity(entity) for entity in kb.by_rows(rows)]
        pairs = [(0, i) for i in range(len(texts))]
        expected = teacher.score([pair_context(e.text, e.start, e.end)], texts, pairs)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        assert rows_of(item).tolist() == rows and fold_of(e.doc, config.hold_out) != 0
    known = [t[0] == max(t) for c, t in zip(found.lists, found.logits, strict=True) if c.gold >= 0]
    assert found.accuracy() == pytest.approx(np.mean(known), abs=0.01)


def test_it_is_asked_once(config: DistilTraining, kb: KnowledgeBase, tmp_path: Path) -> None:
    """What lies there is believed; what is missing or damaged is asked again."""
    config = replace(config, scores=tmp_path)
    first = ask(config, kb)
    (folder,) = tmp_path.glob("scores-*")
    one, two = sorted(folder.iterdir())
    marked = load_file(one)["logits"]
    marked[0] = 77.0
    save_file({"logits": marked}, one)
    two.unlink()
    again = ask(config, kb)
    assert again.logits[0][0] == 77.0 and again.key == first.key
    for a, b in zip(first.logits[1:], again.logits[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.lists == first.lists
    for damage in (b"", one.read_bytes()[:-4], two.read_bytes()):  # the last is another shard's
        one.write_bytes(damage)
        assert ask(config, kb).logits[0][0] == pytest.approx(first.logits[0][0], abs=1e-6)


def test_what_depends_on_what(config: DistilTraining, kb: KnowledgeBase, tmp_path: Path) -> None:
    """Another seed or loss of the student asks nothing anew; another teacher or pool does."""
    config = replace(config, scores=tmp_path, n_labelled=20)
    first = ask(config, kb)
    assert ask(replace(config, seed=3, loss="mse", out=tmp_path / "x"), kb).key == first.key
    other = tmp_path / "other"
    write_bert(other, [WORDS], seed=6)
    assert ask(replace(config, teacher=other), kb).key != first.key
    assert ask(replace(config, pool=3), kb).key != first.key
    assert len(list(tmp_path.glob("candidates-*"))) == 2
    assert len(list(tmp_path.glob("scores-*"))) == 3


def test_eight_bits(config: DistilTraining, kb: KnowledgeBase, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    few = replace(config, scores=tmp_path, n_labelled=30)
    exact, quick = ask(few, kb), ask(replace(few, backend="openvino"), kb)
    assert exact.key != quick.key and exact.lists == quick.lists
    a, b = np.concatenate(exact.logits), np.concatenate(quick.logits)
    assert 0.0 < float(np.abs(a - b).mean()) < 0.2 * float(a.std())
    assert ask(replace(few, backend="auto"), kb).key == quick.key


def test_half_precision(config: DistilTraining, kb: KnowledgeBase, tmp_path: Path) -> None:
    few = replace(config, scores=tmp_path, n_labelled=10, backend="bf16")
    if not has_bf16("cpu"):
        with pytest.raises(ConfigError, match="no bfloat16"):
            ask(few, kb)
        return
    exact, half = ask(replace(few, backend="torch"), kb), ask(few, kb)
    assert exact.key != half.key
    a, b = np.concatenate(exact.logits), np.concatenate(half.logits)
    assert float(np.abs(a - b).mean()) < 0.2 * float(a.std())


def test_candidates_that_are_none(
    config: DistilTraining, kb: KnowledgeBase, tmp_path: Path
) -> None:
    few = replace(config, scores=tmp_path, n_labelled=10)
    ask(few, kb)
    (path,) = tmp_path.glob("candidates-*")
    path.write_bytes(b'{"doc": "d"}')
    with pytest.raises(InputError, match=r"no candidates .* delete the file"):
        ask(few, kb)


def spread(scores: Scores, name: str) -> float:
    """List by list, the distances from the list's mean."""
    distances: list[float] = []
    values = getattr(scores, name)
    for row, chosen in zip(values.tolist(), scores.is_candidate.tolist(), strict=True):
        kept = [value for value, is_kept in zip(row, chosen, strict=True) if is_kept]
        distances += [value - sum(kept) / len(kept) for value in kept]
    return float(np.sqrt(np.mean(np.square(distances))))


def test_mentions_without_a_true_entity(config: DistilTraining, kb: KnowledgeBase) -> None:
    """They have no part in the ordinary loss, nor in losses that need a positive."""
    student = begin(config).eval()
    lesson = prepare(config, kb, student)
    nil = np.flatnonzero(lesson.lists.gold < 0)[:3]
    assert len(nil) == 3
    scores = score_batch(
        student,
        lesson.tables[0],
        lesson.lists,
        nil,
        None,
        np.zeros(0, int),
        np.random.default_rng(0),
    )
    assert scores.in_batch.item() == 0.0 and not scores.is_positive.any()
    levelled = level(student, scores)
    chosen = scores.is_candidate
    assert levelled.student[chosen].mean().item() == pytest.approx(
        scores.teacher[chosen].mean().item(), abs=1e-4
    )
    assert spread(levelled, "student") == pytest.approx(spread(scores, "teacher"), rel=1e-3)
    again = score_batch(
        student,
        lesson.tables[0],
        lesson.lists,
        nil,
        None,
        np.zeros(0, int),
        np.random.default_rng(0),
    )
    torch.testing.assert_close(again.student[chosen], levelled.student[chosen], atol=1e-3, rtol=0)
    nothing = replace(scores, is_candidate=torch.zeros_like(chosen))
    assert level(student, nothing) is nothing
    for name, loss in LOSSES.items():
        value = loss(levelled.student, scores.teacher, chosen, scores.is_positive)
        assert (value.item() == 0.0) == (name == "margin_mse")


def test_a_batch_is_scored_as_in_use(config: DistilTraining, kb: KnowledgeBase) -> None:
    """An entity's score is that of the best of its surfaces, one after the other."""
    student = begin(replace(config, scoring="mlp")).eval()
    torch.nn.init.normal_(student.layer.net[2].weight)  # type: ignore[index,arg-type]
    lesson = prepare(config, kb, student)
    chosen = np.asarray([3, 200, 17])

    class Everything(np.random.Generator):
        """Draws that hide nothing."""

        def random(self, *_: object, **__: object) -> np.ndarray:  # type: ignore[override]
            return np.full(_[0] if _ else 1, 0.5)  # type: ignore[call-overload,no-any-return]

    generator = Everything(np.random.PCG64(0))
    with torch.inference_mode():
        found = score_batch(
            student, lesson.tables[0], lesson.lists, chosen, None, np.zeros(0, int), generator
        )
    lists = ask(config, kb).lists
    for i, number in enumerate(chosen):
        item = lists[number]
        e = item.example
        rows = rows_of(item)[: config.n_candidates + 1]
        assert found.is_candidate[i].sum() == len(rows)
        assert found.is_positive[i].tolist() == [
            j == 0 and item.gold >= 0 for j in range(found.student.shape[1])
        ]
        mention = torch.from_numpy(
            student.encoder.encode_mentions([mention_input(e.text, e.start, e.end)])
        )
        for j, entity in enumerate(kb.by_rows(rows.tolist())):
            vectors = torch.from_numpy(student.encoder.encode_entities(entity_inputs(entity)))
            with torch.inference_mode():
                scores = student.layer(mention.expand(len(vectors), -1), vectors)
            assert found.student[i, j].item() == pytest.approx(scores.max().item(), abs=1e-3)
    assert np.isfinite(found.in_batch.item())


def distance(config: DistilTraining, student: Student, loss: str, *, is_fresh: bool) -> float:
    """The loss over all lists, less what no student can avoid."""
    lesson = prepare(config, KnowledgeBase.open(config.kb), student)
    student.eval()
    every = np.arange(len(lesson.lists))
    nobody = np.zeros(0, int)
    with torch.inference_mode():
        generator = np.random.default_rng(0)
        s = score_batch(student, lesson.tables[0], lesson.lists, every, None, nobody, generator)
        s = replace(s, teacher=s.teacher / config.temperature)
        if is_fresh:  # as before the first step
            s = level(copy.deepcopy(student), s)
        best = s.teacher
        if loss == "rankdistil_b":  # the best student scores all but the teacher's top very low
            hidden = s.teacher.masked_fill(~s.is_candidate, -99.0)
            best = s.teacher.where(hidden >= hidden.topk(3).values[:, 2:], torch.tensor(-30.0))
        found, floor = (
            LOSSES[loss](scores, s.teacher, s.is_candidate, s.is_positive).item()
            for scores in (s.student, best)
        )
    return found - floor


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_students_come_near_their_teacher(
    config: DistilTraining, tmp_path: Path, loss: str
) -> None:
    """The teacher's weights are random, so nothing but its scores teaches them."""
    config = replace(config, loss=loss, weight=1.0, views=(), out=tmp_path / "out", others=0)
    before = distance(config, begin(config), loss, is_fresh=True)
    student = begin(config)
    learn(config, student, prepare(config, KnowledgeBase.open(config.kb), student))
    after = distance(config, student, loss, is_fresh=False)
    assert 0.0 <= after < 0.8 * before


def test_a_run_that_was_stopped_goes_on(config: DistilTraining, tmp_path: Path) -> None:
    config = replace(config, epochs=0.7, checkpoint_every=2)
    distil(replace(config, out=tmp_path / "whole"))
    stopped = replace(config, out=tmp_path / "stopped")

    def stop(step: int, student: Student) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(stopped, watch=stop)
    assert not stopped.out.exists()
    steps: list[int] = []
    distil(stopped, watch=lambda step, _: steps.append(step))
    assert steps[0] == 5  # its checkpoint was that of step 4
    a, b = ((tmp_path / x / "weights.safetensors").read_bytes() for x in ("whole", "stopped"))
    assert a == b
    with pytest.raises(ConfigError, match="a run with other settings"):
        distil(replace(stopped, loss="mse"))


def test_labels_alone(config: DistilTraining, tmp_path: Path) -> None:
    """Without a loss the teacher has no say; with weight zero neither."""
    short = replace(config, epochs=0.3)
    for name, change in {
        "none": replace(short, loss="none"),
        "zero": replace(short, loss="mse", weight=0.0),
        "half": replace(short, loss="mse", weight=0.5),
    }.items():
        distil(replace(change, out=tmp_path / name))
    none, zero, half = (
        np.concatenate([t.float().numpy().ravel() for _, t in sorted(load_file(path).items())])
        for path in (tmp_path / n / "weights.safetensors" for n in ("none", "zero", "half"))
    )
    assert np.abs(none - zero).mean() < 0.01 * np.abs(none - half).mean()


def test_the_report(config: DistilTraining, world: World, tmp_path: Path) -> None:
    calibration = tmp_path / "calibration.toml"
    calibration.write_text(
        f'kb = "elsewhere"\nretriever = "elsewhere"\nreranker = "elsewhere"\nout = "elsewhere"\n'
        f'mentions = ["{world.mentions}"]\ndev = ["{world.dev}"]\nhold_out = 8\n',
        encoding="utf-8",
    )
    text = "\n".join(
        [
            *(
                f'{name} = "{getattr(config, name)}"'
                for name in ("kb", "teacher", "scores", "relations")
            ),
            f"retrievers = {json.dumps([str(p) for p in config.retrievers])}",
            f'mentions = ["{world.mentions}"]\ndev = ["{world.dev}"]',
            f'out = "{tmp_path}/out"\ncalibration = "{calibration}"\nbackend = "torch"',
            'relation_sources = ["a"]\nhold_out = 8\npool = 6\nn_candidates = 5\nepochs = 12',
            "batch_size = 32\nothers = 16\nn_composed = 20\nn_aliases = 20\nlearning_rate = 0.01",
            "[encoder]\ntable_rows = 2048\nembedding = 16\ntext = 16\nhidden = 32\nvector = 16",
        ]
    )
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    options = [str(tmp_path / "c.toml"), "--set", "loss=softmax", "--set", "weight=0.1"]
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["out"] == str(tmp_path / "out")
    assert report["n_lists"] > 250 and report["n_pairs"] > 5 * report["n_lists"]
    assert 0.0 < report["teacher_accuracy"] < 1.0
    for name in ("dev", "train", "held_out"):
        figures = report[name]
        assert figures["recall@1"] <= figures["mrr"] <= figures["recall@10"] <= 1.0
    assert report["dev"]["recall@1"] > 0.8  # the labels say what decides; by name it is a half
    assert report["calibrated"]["accuracy"] > 0.8
    decision = Decision.load(tmp_path / "out.decision.json")
    assert any(decision.first) and not any(decision.final)
    assert DualEncoder.load(tmp_path / "out").config.vector == 16


def test_places_against_a_full_sort(config: DistilTraining, kb: KnowledgeBase) -> None:
    for scoring in ("cosine", "dot", "mlp"):
        sizes = replace(SIZES, scoring="dot" if scoring == "dot" else "cosine")
        student = begin(replace(config, scoring=scoring, encoder=sizes)).eval()
        if student.layer.net is not None:
            torch.nn.init.normal_(student.layer.net[2].weight)  # type: ignore[arg-type]
        lesson = prepare(config, kb, student)
        probe = probe_of(config, student, lesson.tables[0])
        mentions, table = probe.sets["dev"], lesson.tables[0]
        vectors = surface_vectors(student, table)
        found = ranks(student, VectorIndex.build(vectors), vectors, table.rows, mentions)
        with torch.inference_mode():
            queries = student.encoder.mention_vectors(mentions.features)
            for query, gold, place in zip(queries, mentions.gold, found, strict=True):
                scores = student.layer(query.expand(len(vectors), -1), torch.from_numpy(vectors))
                best = [scores[table.rows == row].max().item() for row in range(len(kb))]
                better = sum(score > best[gold] + 1e-6 for score in best)
                assert better == place
        figures = probe.measure(student)["dev"]
        assert figures["mrr"] == pytest.approx(np.mean([1 / (p + 1) for p in found]))
        assert figures["recall@10"] == pytest.approx(np.mean([p < 10 for p in found]))


def test_training_mentions_are_those_that_are_learnt_from(
    config: DistilTraining, kb: KnowledgeBase
) -> None:
    few = replace(config, n_labelled=12)
    student = begin(few)
    sets = probe_of(few, student, prepare(few, kb, student).tables[0]).sets
    labelled_ones = set(read_examples(config.mentions))
    learnt = [c for c in mine(mining_of(few), kb) if c.example in labelled_ones and c.gold >= 0]
    assert 0 < len(learnt) <= 12
    assert sorted(sets["train"].gold.tolist()) == sorted(c.gold for c in learnt)


def test_entities_that_are_left_out(config: DistilTraining, kb: KnowledgeBase) -> None:
    few = replace(config, leave_out_entities=3)
    student = begin(few)
    lesson = prepare(few, kb, student)
    ids = {row: kb.by_rows([row])[0].id for row in range(len(kb))}
    out = {row for row, id in ids.items() if is_left_out(id, 3)}
    assert 0 < len(out) < len(kb)
    assert lesson.others is not None
    assert not out & set(lesson.lists.gold.tolist()) and not out & set(lesson.others.gold.tolist())
    assert out & set(prepare(config, kb, student).lists.gold.tolist())
    sets = probe_of(few, student, lesson.tables[0]).sets
    assert set(sets["left_out"].gold.tolist()) == out
    assert not out & set(sets["dev"].gold.tolist())
    every = [e for e in read_examples(config.dev) if e.gold.startswith("E")]
    held = [e for e in read_examples(config.mentions) if fold_of(e.doc, 8) == 0]
    known = [e for e in [*every, *held] if e.gold in ids.values()]
    assert len(sets["left_out"]) == sum(is_left_out(e.gold, 3) for e in known)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loss = 'l1'", "loss is 'l1'"),
        ("scoring = 'sum'", "scoring is 'sum'"),
        ("backend = 'abacus'", "backend is 'abacus'"),
        ("weight = 1.5", "weight is 1.5"),
        ("temperature = 0", "temperature is 0"),
    ],
)
def test_bad_settings(tmp_path: Path, setting: str, message: str) -> None:
    path = tmp_path / "c.toml"
    text = 'kb = "a"\nteacher = "b"\nretrievers = []\nmentions = []\nout = "c"\nscores = "d"\n'
    path.write_text(text + setting, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path, DistilTraining)


def test_errors_name_what_is_missing(config: DistilTraining, tmp_path: Path) -> None:
    kb = KnowledgeBase.open(config.kb)
    config = replace(config, scores=tmp_path)
    with pytest.raises(InputError, match="holds no model"):
        ask(replace(config, teacher=tmp_path / "nobody"), kb)
    with pytest.raises(InputError, match="no such file"):
        ask(replace(config, mentions=(tmp_path / "none.jsonl",)), kb)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no mention to learn from"):
        ask(replace(config, mentions=(empty,), relations=None), kb)
    with pytest.raises(ConfigError, match="the student's encoder scores by cosine"):
        begin(replace(config, scoring="dot", student=config.retrievers[0]))


def test_the_recipes(root: Path) -> None:
    recipe = load_config(root / "kb" / "recipe" / "distil.toml", DistilTraining)
    assert recipe.loss in LOSSES and recipe.hold_out == 16
    other = load_config(root / "kb" / "recipe" / "contextual.toml", DistilTraining)
    assert (other.teacher, other.student) == (recipe.teacher, recipe.student)
    assert other.reader is not None and other.encoder.bert.mention_tokens == 76


def test_token_embeddings_to_begin_with(config: DistilTraining, tmp_path: Path) -> None:
    """Frozen under "ade-fte", they are after training what they were."""
    given = DualEncoder(SIZES)
    given.save(tmp_path / "given")
    kept = DualEncoder.load(tmp_path / "given").mentions.embedder.table.weight  # type: ignore[union-attr]
    sizes = replace(SIZES, sharing="ade-fte")
    frozen = replace(config, embeddings=tmp_path / "given", encoder=sizes, out=tmp_path / "out")
    student = begin(frozen)
    learn(
        replace(frozen, epochs=0.3),
        student,
        prepare(frozen, KnowledgeBase.open(config.kb), student),
    )
    for tower in (student.encoder.mentions, student.encoder.entities):
        torch.testing.assert_close(tower.embedder.table.weight, kept)  # type: ignore[union-attr]


def test_a_bert_may_be_the_student(config: DistilTraining, tmp_path: Path) -> None:
    write_bert(tmp_path / "base", [WORDS], seed=7)
    reading = BertReading(base=tmp_path / "base", mention_tokens=20, entity_tokens=20)
    sizes = replace(SIZES, mention_encoder="bert", entity_encoder="bert", bert=reading)
    short = replace(config, encoder=sizes, epochs=0.4, batch_size=8, n_labelled=60, dev=())
    report = distil(replace(short, out=tmp_path / "out", learning_rate=1e-3, views=()))
    assert report["n_lists"] == 60 and "dev" not in report and "train" in report
    loaded = DualEncoder.load(tmp_path / "out")
    assert loaded.config.entity_encoder == "bert"
    again = replace(short, student=tmp_path / "out", out=tmp_path / "more", epochs=0.2)
    assert distil(again)["n_lists"] == 60


def test_labels_are_asked_once(config: DistilTraining, root: Path, tmp_path: Path) -> None:
    detector = root / "kb" / "builtin" / "detector"
    examples = [
        Example("d", "Michael Jordan flew to Paris. Jordan won.", start, end, "Q1")
        for start, end in ((0, 14), (23, 28), (30, 36))
    ]
    found = labelled(examples, detector, tmp_path)
    assert found == label_examples(examples, detector)
    assert {e.label for e in found} & {"PER", "LOC"} and labelled(
        examples, None, tmp_path
    ) == examples
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"LOC"', b'"MARK"'))
    assert "MARK" in {e.label for e in labelled(examples, detector, tmp_path)}
    labelled(examples[:2], detector, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_student_that_reads_contexts(config: DistilTraining, tmp_path: Path) -> None:
    """It begins as the bag it was, learns, and is loaded with its reader; a share goes unread."""
    write_bert(tmp_path / "base", [WORDS], seed=7)
    reading = BertReading(mention_tokens=20)
    short = replace(
        config,
        student=config.retrievers[0],
        reader=tmp_path / "base",
        encoder=replace(SIZES, bert=reading),
        out=tmp_path / "out",
        views=(),
        epochs=1.0,
        learning_rate=1e-3,
        bf16=has_bf16("cpu"),
    )
    items = [mention_input(e.text, e.start, e.end) for e in read_examples(config.mentions)[:40]]
    bag = DualEncoder.load(config.retrievers[0])
    np.testing.assert_allclose(
        begin(short).encoder.encode_mentions(items), bag.encode_mentions(items), atol=1e-6
    )
    distil(short)
    taught_one = DualEncoder.load(tmp_path / "out")
    unread, read = taught_one.query_vectors(items)
    assert np.abs(read - unread).max() > 1e-3
    assert taught_one.config.bert.mention_tokens == 20


def test_what_goes_unread(config: DistilTraining, tmp_path: Path) -> None:
    write_bert(tmp_path, [WORDS], seed=7)
    model = with_reader(encoder(seed=1), tmp_path, BertReading(mention_tokens=20))
    examples = read_examples(config.mentions)[:200]
    features = model.mention_features([mention_input(e.text, e.start, e.end) for e in examples])
    some = read_in_part(features, 150, 0.2, np.random.default_rng(0))
    assert some.context is not None and features.context is not None
    lengths = np.diff(some.context.offsets)
    assert not lengths[150:].any() and 15 <= (lengths[:150] == 0).sum() <= 45
    kept = np.flatnonzero(lengths)
    expected = features.context.take(kept)
    np.testing.assert_array_equal(some.context.take(kept).ids, expected.ids)
    np.testing.assert_array_equal(some.context.take(kept).offsets, expected.offsets)
