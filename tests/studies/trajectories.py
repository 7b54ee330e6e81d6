"""How the scores of one mention's candidates move while a model learns.

    python -m tests.studies.trajectories cross-encoder kb/recipe/reranker.toml --out OUT --dev FILE
    python -m tests.studies.trajectories not-distilled kb/recipe/distil.toml --out OUT
    python -m tests.studies.trajectories distilled kb/recipe/distil.toml --out OUT
    python -m tests.studies.trajectories plot --out OUT

The positives are five names of the true entity, each a pair of its own; the negatives are its five
nearest rivals by the retriever of the first fold. The first three commands train from nothing (the
cross-encoder from its base) and write OUT/MODEL.jsonl, one line every few steps; the last draws
OUT/trajectories.svg. The same mention is followed by all. --set KEY=VALUE changes a setting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from entlink.config import load_config
from entlink.encode.dual import DualEncoder
from entlink.errors import InputError
from entlink.inputs import entity_inputs, mention_input, pair_context, pair_entity, surfaces
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.rerank.cross_encoder import CrossEncoder
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.data import Example, read_examples
from entlink.train.distil import distil
from entlink.train.distil_config import NONE, DistilTraining
from entlink.train.distil_student import Student
from entlink.train.reranker import train_reranker
from entlink.train.reranker_config import RerankerTraining
from tests.studies.drawing import figure

N = 5
MODELS = ("cross-encoder", "not-distilled", "distilled")
_TRIED = 2000  # mentions looked at for one that will do


@dataclass(frozen=True, slots=True)
class Followed:
    """One mention, five names of its entity and five rivals."""

    example: Example
    positives: tuple[Entity, ...]  # the same entity under five names
    negatives: tuple[Entity, ...]

    @property
    def entities(self) -> list[Entity]:
        return [*self.positives, *self.negatives]


def follow(kb: KnowledgeBase, retriever: Retriever, examples: Sequence[Example]) -> Followed:
    """The first mention whose entity has five names and that has five rivals.

    InputError if there is none.
    """
    for e in examples[:_TRIED]:
        entity = kb.by_id(e.gold)
        if entity is None or len(names := surfaces(entity)) < N:
            continue
        (found,) = retriever.retrieve([mention_input(e.text, e.start, e.end)], k=N + 1)
        rivals = [r for r in kb.by_rows(found.rows.tolist()) if r.id != entity.id][:N]
        if len(rivals) == N:
            known = tuple(
                replace(entity, name=name, aliases=tuple(a for a in names if a != name))
                for name in names[:N]
            )
            return Followed(e, known, tuple(rivals))
    raise InputError(f"no mention has an entity with {N} names and {N} rivals; give other files")


def pair_scores(encoder: CrossEncoder, followed: Followed) -> NDArray[np.float32]:
    """(10,) logits."""
    e = followed.example
    texts = [pair_entity(entity) for entity in followed.entities]
    context = pair_context(e.text, e.start, e.end)
    return encoder.score([context], texts, [(0, i) for i in range(len(texts))])


@torch.inference_mode()
def vector_scores(encoder: DualEncoder, followed: Followed) -> NDArray[np.float32]:
    """(10,) inner products; a rival's is that of its best name, a positive's that of its own."""
    e = followed.example
    query = encoder.encode_mentions([mention_input(e.text, e.start, e.end, label=e.label)])[0]
    scores = []
    for i, entity in enumerate(followed.entities):
        inputs = entity_inputs(entity)
        vectors = encoder.encode_entities(inputs[:1] if i < N else inputs)
        scores.append(float((vectors @ query).max()))
    return np.asarray(scores, dtype=np.float32)


class Recorder:
    """Writes the scores every few steps; a line of an earlier run beyond this step is dropped."""

    def __init__(self, path: Path, every: int) -> None:
        self._path = path
        self._every = every
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._lines = [json.loads(line) for line in lines]

    def __call__(self, step: int, scores: Callable[[], NDArray[np.float32]]) -> None:
        if step != 1 and step % self._every:
            return
        found = scores().tolist()
        self._lines = [line for line in self._lines if line["step"] < step]
        self._lines.append({"step": step, "positives": found[:N], "negatives": found[N:]})
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(text, encoding="utf-8")


def followed_of(kb_path: Path, retriever: Path, files: Sequence[Path]) -> Followed:
    """The mention that all models are followed on, from the first fold's retriever."""
    kb = KnowledgeBase.open(kb_path)
    encoder = DualEncoder.load(retriever)
    return follow(
        kb, Retriever(kb, encoder, SurfaceVectors.build(kb, encoder)), read_examples(files)
    )


def run_cross_encoder(config: RerankerTraining, dev: Sequence[Path], out: Path, every: int) -> None:
    """Train the reranker of the config."""
    followed = followed_of(config.kb, config.retrievers[0], dev)
    record = Recorder(out / "cross-encoder.jsonl", every)
    folder = out / "models" / "cross-encoder"
    train_reranker(
        replace(config, out=folder),
        watch=lambda step, encoder: record(step, lambda: pair_scores(encoder, followed)),
    )


def run_student(name: str, config: DistilTraining, out: Path, every: int) -> None:
    """Train a fresh student, with or without the teacher."""
    followed = followed_of(config.kb, config.retrievers[0], config.dev)
    record = Recorder(out / f"{name}.jsonl", every)

    def watch(step: int, student: Student) -> None:
        record(step, lambda: vector_scores(student.encoder, followed))

    loss = NONE if name == "not-distilled" else config.loss
    folder = out / "models" / name
    distil(replace(config, student=None, calibration=None, loss=loss, out=folder), watch=watch)


def plot(out: Path) -> None:
    """The models that have been recorded, side by side."""
    found = {name: out / f"{name}.jsonl" for name in MODELS if (out / f"{name}.jsonl").exists()}
    if not found:
        raise InputError(f"{out}: nothing was recorded yet; run the models first")
    with figure(out / "trajectories.svg", size=(4 * len(found), 3.5)) as drawn:
        panels = drawn.subplots(1, len(found), squeeze=False)[0]
        for axes, (name, path) in zip(panels, found.items(), strict=True):
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            steps = [line["step"] for line in lines]
            for kind, colour in (("positives", "#2980b9"), ("negatives", "#c0392b")):
                for i in range(N):
                    label = kind if i == 0 else None
                    values = [line[kind][i] for line in lines]
                    axes.plot(steps, values, color=colour, alpha=0.7, label=label)
            axes.set_title(name.replace("-", " "), fontsize=10)
            axes.set_xlabel("step")
            axes.grid(visible=True, alpha=0.3)
        panels[0].set_ylabel("score")
        panels[0].legend(fontsize=8)


@click.command()
@click.argument("model", type=click.Choice([*MODELS, "plot"]))
@click.argument("config", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--dev", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--every", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE")
def main(
    model: str,
    config: Path | None,
    out: Path,
    dev: tuple[Path, ...],
    every: int,
    changes: tuple[str, ...],
) -> None:
    """Record MODEL while it learns, or draw what has been recorded."""
    if model == "plot":
        plot(out)
    elif config is None:
        raise click.UsageError("name the config of the training")
    elif model == "cross-encoder":
        read = load_config(config, RerankerTraining, changes=changes)
        run_cross_encoder(read, dev, out, every)
    else:
        student = load_config(config, DistilTraining, changes=changes)
        run_student(model, replace(student, dev=dev or student.dev), out, every)


if __name__ == "__main__":
    main()
