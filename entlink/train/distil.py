"""Distillation: a trained cross-encoder teaches a dual encoder (Menon et al. 2022).

The teacher's scores of training mentions and their candidates are computed once
(distil_scores.py). The student learns from them by one of the losses of distil_losses.py, mixed
with the ordinary one, the softmax over all entities of a batch.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entlink.config import load_config
from entlink.encode.config import READS, BertReading
from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.train import data
from entlink.train.calibration import CalibrationTraining, train_calibration
from entlink.train.candidates import Candidates, learnt_from
from entlink.train.distil_config import DistilTraining, is_left_out, mining_of
from entlink.train.distil_losses import LOSSES
from entlink.train.distil_measure import Probe
from entlink.train.distil_scores import Taught, labelled, taught
from entlink.train.distil_student import ListTable, Student, level, score_batch
from entlink.train.loop import LoopConfig, device_of, fit
from entlink.train.retriever import begin_with
from entlink.train.tables import EntityTable, MentionTable, read_views

log = logging.getLogger(__name__)

_NO_LABEL = 0.3  # share of the mentions whose label is hidden: a user may have none

Watch = Callable[[int, Student], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """All that a student learns from."""

    tables: tuple[EntityTable, ...]  # of each view
    lists: ListTable
    others: MentionTable | None
    key: str  # of the teacher's scores
    counts: dict[str, float]


def distil(config: DistilTraining, *, watch: Watch | None = None) -> dict[str, object]:
    """Teach, write the student to ``config.out``; returns counts and figures on dev.

    ``watch`` is called after each step with its number and the student.
    """
    torch.manual_seed(config.seed)
    kb = KnowledgeBase.open(config.kb)
    student = begin(config)
    lesson = prepare(config, kb, student)
    learn(config, student, lesson, watch=watch)
    student.save(config.out)
    report: dict[str, object] = {
        **lesson.counts,
        **probe_of(config, student, lesson.tables[0]).measure(student),
    }
    if config.calibration is not None and config.scoring != "mlp":
        report["calibrated"] = calibrate(config)
    return report


def begin(config: DistilTraining) -> Student:
    """The student before its first lesson."""
    torch.manual_seed(config.seed)
    if config.student is not None:
        encoder = DualEncoder.load(config.student)
        bits = config.encoder.saved_bits  # of what is saved; all else is as the student has it
        encoder.config = replace(encoder.config, saved_bits=bits)
    else:
        scoring = "dot" if config.scoring == "dot" else "cosine"
        encoder = DualEncoder(replace(config.encoder, scoring=scoring))
        if config.embeddings is not None:
            begin_with(encoder, DualEncoder.load(config.embeddings))
    if config.reader is not None:
        encoder = with_reader(encoder, config.reader, config.encoder.bert)
    return Student(encoder, config.scoring).to(device_of(config.device))


def with_reader(encoder: DualEncoder, folder: Path, reading: BertReading) -> DualEncoder:
    """The same encoder, to whose mentions a BERT adds what it reads in their contexts.

    ``folder`` is a Hugging Face one; the BERT adds nothing yet. ConfigError unless both towers of
    the encoder are bags.
    """
    if encoder.config.has_bert:
        raise ConfigError("reader is given, but the student has a BERT already; leave it out")
    c = replace(encoder.config, mention_encoder=READS, bert=replace(reading, base=folder))
    made = DualEncoder(c)
    own = made.state_dict()
    made.load_state_dict({**own, **encoder.state_dict()})
    return made


def prepare(config: DistilTraining, kb: KnowledgeBase, student: Student) -> Lesson:
    """Ask the teacher, or find what it said before, and hash all texts."""
    views = read_views([config.kb, *config.views])
    found = taught(mining_of(config), kb, config.teacher, config.scores, backend=config.backend)
    kept = [
        (c, t)
        for c, t in zip(found.lists, found.logits, strict=True)
        if not is_left_out(c.example.gold, config.leave_out_entities)
    ]
    lists, logits = [c for c, _ in kept], [t for _, t in kept]
    examples = _labels_hidden(config, lists)
    width = config.n_candidates + 1
    table = ListTable.of(student.encoder, lists, logits, examples, views[0], width=width)
    return Lesson(
        tables=tuple(EntityTable.of(student.encoder, view, first=views[0]) for view in views),
        lists=table,
        others=_others(config, student.encoder, views[0]),
        key=found.key,
        counts=_counts(lists, found),
    )


def _counts(lists: Sequence[Candidates], found: Taught) -> dict[str, float]:
    return {
        "n_lists": len(lists),
        "n_nil": sum(c.gold < 0 for c in lists),
        "n_pairs": sum(len(t) for t in found.logits),
        "teacher_accuracy": found.accuracy(),
    }


def _labels_hidden(config: DistilTraining, lists: Sequence[Candidates]) -> list[data.Example]:
    examples = labelled([c.example for c in lists], config.detector, config.scores)
    without = np.random.default_rng(config.seed).random(len(examples)) < _NO_LABEL
    return [replace(e, label="") if w else e for e, w in zip(examples, without, strict=True)]


def _others(
    config: DistilTraining, model: DualEncoder, entities: Sequence[Entity]
) -> MentionTable | None:
    """Composed sentences and names alone, so that the student does not forget them."""
    rows = {entity.id: row for row, entity in enumerate(entities)}
    examples: list[data.Example] = []
    if config.relations is not None and config.n_composed:
        facts = data.read_relations(config.relations, rows, frozenset(config.relation_sources))
        examples += data.composed_examples(entities, facts, n=config.n_composed, seed=config.seed)
    if config.n_aliases:
        examples += data.alias_examples(entities, n=config.n_aliases, seed=config.seed)
    examples = [e for e in examples if not is_left_out(e.gold, config.leave_out_entities)]
    if not examples or not config.others:
        return None
    return MentionTable.of(model, examples, entities, rows, read=False)


def learn(
    config: DistilTraining, student: Student, lesson: Lesson, *, watch: Watch | None = None
) -> None:
    """The training itself; goes on from its checkpoint."""
    per_epoch = max(1, len(lesson.lists) // config.batch_size)
    loss_of = LOSSES.get(config.loss)  # "none" has none
    orders: dict[int, NDArray[np.int64]] = {}

    def loss_at(step: int) -> Tensor:
        epoch, at = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            generator = np.random.default_rng((config.seed, epoch))
            orders[epoch] = generator.permutation(len(lesson.lists))
        chosen = orders[epoch][at * config.batch_size : (at + 1) * config.batch_size]
        generator = np.random.default_rng((config.seed, epoch, at))
        table = lesson.tables[int(generator.integers(len(lesson.tables)))]
        n_others = 0 if lesson.others is None else len(lesson.others)
        drawn = generator.integers(n_others, size=config.others if n_others else 0)
        scores = score_batch(
            student,
            table,
            lesson.lists,
            chosen,
            lesson.others,
            drawn,
            generator,
            unread=config.unread,
        )
        if loss_of is None:
            return scores.in_batch
        scores = replace(scores, teacher=scores.teacher / config.temperature)
        if step == 0:
            scores = level(student, scores)
        taught = loss_of(scores.student, scores.teacher, scores.is_candidate, scores.is_positive)
        return config.weight * taught + (1 - config.weight) * scores.in_batch

    loop = LoopConfig(
        n_steps=max(1, round(config.epochs * per_epoch)),
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        checkpoint_every=config.checkpoint_every,
        seed=config.seed,
        pretrained="encoder.reader.bert.",
        pretrained_rate=config.reader_rate,
    )
    if student.encoder.reader is not None:
        student.encoder.reader.bf16 = config.bf16
    fit(
        student,
        loss_at,
        loop,
        title=f"distilling, {config.loss}",
        checkpoint=config.out.with_name(f"{config.out.name}.checkpoint.safetensors"),
        run=f"{config} {lesson.key}",
        after_step=None if watch is None else lambda step: watch(step, student),
    )


def probe_of(config: DistilTraining, student: Student, table: EntityTable) -> Probe:
    """Dev; mentions of training and of held-out documents; and those of left-out entities."""
    entities = read_views([config.kb])[0]
    rows = {entity.id: row for row, entity in enumerate(entities)}
    dev = data.read_examples(config.dev)
    every = data.read_examples(config.mentions)
    seen = [e for e in learnt_from(mining_of(config), every) if e.gold in rows]
    held_out = [e for e in every if e.gold in rows and data.fold_of(e.doc, config.hold_out) == 0]
    chance = random.Random(0)
    groups = {
        "dev": dev,
        "test": data.read_examples(config.test),
        "train": chance.sample(seen, min(config.n_probed, len(seen))),
        "held_out": chance.sample(held_out, min(config.n_probed, len(held_out))),
    }
    if one_in := config.leave_out_entities:
        groups["left_out"] = [*dev, *held_out]
        groups = {
            name: [e for e in some if is_left_out(e.gold, one_in) == (name == "left_out")]
            for name, some in groups.items()
        }
    read = {n: labelled(some, config.detector, config.scores) for n, some in groups.items()}
    model = student.encoder
    return Probe(
        table,
        {n: MentionTable.of(model, some, entities, rows) for n, some in read.items()},
    )


def calibrate(config: DistilTraining) -> dict[str, float]:
    """Fit the decision of a bundle that has the student and no reranker; its figures on dev.

    It is written beside the student: NAME.decision.json.
    """
    assert config.calibration is not None
    settings = load_config(config.calibration, CalibrationTraining)
    out = config.out.with_name(f"{config.out.name}.decision.json")
    return train_calibration(
        replace(settings, kb=config.kb, retriever=config.out, reranker=None, out=out)
    )
