"""Training the dual encoder: in-batch softmax, then rounds of hard negatives.

As in Gillick et al. (2019), sections 3.2 and 3.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entlink.encode.bag import BagEntities, BagMentions
from entlink.encode.dual import DualEncoder, join_mentions
from entlink.errors import ConfigError
from entlink.inputs import entity_inputs
from entlink.records import Entity
from entlink.retrieve.index import VectorIndex
from entlink.train import data
from entlink.train.loop import LoopConfig, device_of, fit
from entlink.train.losses import in_batch_softmax, triplet
from entlink.train.mining import hard_negatives, recall_at, surface_vectors
from entlink.train.progress import Progress
from entlink.train.retriever_config import RetrieverTraining, is_hidden
from entlink.train.retriever_sets import training_sets
from entlink.train.tables import EntityTable, MentionTable, read_views

__all__ = ["RetrieverTraining", "hard_negatives", "recall_at", "train_retriever"]

log = logging.getLogger(__name__)

_EXACT = 0.7  # how often the gold entity goes by the name that stands in the text
_BARE = 0.15  # how often it goes by its description alone, where there are such vectors
_NO_NUMBERS = 0.3  # how often popularity is hidden: an own KB may know none


class _Stop(Exception):
    """Recall has not risen for as long as it was given."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One training."""

    config: RetrieverTraining
    model: DualEncoder
    tables: Sequence[EntityTable]
    sets: Sequence[MentionTable]
    dev: MentionTable
    progress: Progress

    @property
    def n_examples(self) -> int:
        return sum(len(s) for s in self.sets)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.n_examples // self.config.batch_size)

    def index(self) -> VectorIndex:
        """Of all surfaces, as the model is now."""
        return VectorIndex.build(surface_vectors(self.model, self.tables[0]))

    def evaluate(self, number: int, step: int) -> None:
        """Recalls on dev; the best encoder is saved."""
        self.progress.evaluate(
            number, step, recalls=self._recalls, save=lambda: self.model.save(self.config.out)
        )

    def _recalls(self) -> dict[str, float]:
        if not len(self.dev):
            return {}
        return recall_at(self.model, self.index(), self.tables[0].rows, self.dev, ks=(1, 10, 100))


def train_retriever(config: RetrieverTraining) -> dict[str, float]:
    """Train, write the best encoder to ``config.out``; returns its recalls on dev.

    The best is the one with the greatest sum of recall@1, @10 and @100; without dev, the last. A
    run that was interrupted goes on where it was.
    """
    torch.manual_seed(config.seed)
    run = _prepare(config)
    negatives: list[NDArray[np.int64]] | None = None
    for number in range(run.progress.first_round(config.rounds), config.rounds):
        if run.progress.is_stopped:  # before it could end
            break
        n_steps = _steps(run, number)
        try:
            _one_round(run, negatives, number)
        except _Stop:
            log.info("no gain in the last %d evaluations; stopped", config.patience)
            break
        run.evaluate(number, n_steps)
        if config.keep_rounds:
            run.model.save(config.out.with_name(f"{config.out.name}.round{number}"))
        run.progress.end_of_round(number)
        if number + 1 < config.rounds:
            index = run.index()
            rows = run.tables[0].rows
            negatives = [
                hard_negatives(run.model, index, rows, s, only_above=config.only_above)
                for s in run.sets
            ]
    run.progress.finish(config.rounds)
    return run.progress.best


def _prepare(config: RetrieverTraining) -> _Run:
    views = read_views([config.kb, *config.views])
    views = [[e for e in view if not is_hidden(e.id, config.hidden)] for view in views]
    rows = {entity.id: row for row, entity in enumerate(views[0])}
    model = DualEncoder(config.encoder)
    if config.embeddings is not None:
        begin_with(model, DualEncoder.load(config.embeddings))
    model.count_tokens([entity_inputs(entity)[0] for entity in views[0]])
    found = training_sets(config, views[0], rows)
    tables = [EntityTable.of(model, view, first=views[0]) for view in views]
    sets = [MentionTable.of(model, s, views[0], rows) for s in found]
    dev = _dev_table(config, model, views[0], rows)
    log.info("training on %s mentions, dev %d", [len(s) for s in sets], len(dev))
    model.to(device_of(config.device))
    progress = Progress(config.out, run=repr(config), patience=config.patience)
    return _Run(config, model, tables, sets, dev, progress)


def _dev_table(
    config: RetrieverTraining, model: DualEncoder, entities: Sequence[Entity], rows: dict[str, int]
) -> MentionTable:
    examples = data.label_examples(data.read_examples(config.dev), config.detector)
    return MentionTable.of(model, examples, entities, rows)


def begin_with(model: DualEncoder, other: DualEncoder) -> None:
    """Take over the token embeddings of another encoder of bags, for both towers."""
    towers = [(model.mentions, other.mentions), (model.entities, other.entities)]
    for own, its in towers:
        if not isinstance(own, BagMentions | BagEntities):
            continue
        if not isinstance(its, BagMentions | BagEntities):
            raise ConfigError("embeddings names a retriever that is no bag; name one that is")
        table, given = own.embedder.table.weight, its.embedder.table.weight
        if table.shape != given.shape:
            raise ConfigError(
                f"embeddings names a retriever with a table of {tuple(given.shape)}, and this one "
                f"is of {tuple(table.shape)}; give both the same table_rows and embedding"
            )
        with torch.no_grad():
            table.copy_(given)


def _steps(run: _Run, number: int) -> int:
    epochs = run.config.first_epochs if number == 0 else run.config.round_epochs
    return epochs * run.steps_per_epoch


def _one_round(run: _Run, negatives: list[NDArray[np.int64]] | None, number: int) -> None:
    config, per_epoch = run.config, run.steps_per_epoch
    which = np.repeat(np.arange(len(run.sets)), [len(s) for s in run.sets])
    place = np.concatenate([np.arange(len(s)) for s in run.sets])
    orders: dict[int, NDArray[np.int64]] = {}

    def loss_at(step: int) -> Tensor:
        epoch, at = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            generator = np.random.default_rng((config.seed, number, epoch))
            orders[epoch] = generator.permutation(run.n_examples)
        batch = orders[epoch][at * config.batch_size : (at + 1) * config.batch_size]
        generator = np.random.default_rng((config.seed, number, step))
        table = run.tables[int(generator.integers(len(run.tables)))]
        return _batch_loss(run, table, negatives, which[batch], place[batch], generator)

    def after_step(done: int) -> None:
        if config.patience and done % per_epoch == 0:
            run.evaluate(number, done)
            if run.progress.is_stopped:
                raise _Stop

    loop = LoopConfig(
        n_steps=_steps(run, number),
        learning_rate=config.learning_rate if number == 0 else config.learning_rate / 2,
        warmup=0.03,
        weight_decay=config.weight_decay,
        seed=config.seed * config.rounds + number,
    )
    fit(
        run.model,
        loss_at,
        loop,
        title=f"retriever, round {number}",
        checkpoint=run.progress.checkpoint(number),
        run=repr(config),
        after_step=after_step,
    )


def _batch_loss(
    run: _Run,
    table: EntityTable,
    negatives: list[NDArray[np.int64]] | None,
    which: NDArray[np.int64],
    place: NDArray[np.int64],
    generator: np.random.Generator,
) -> Tensor:
    config, model = run.config, run.model
    features, gold, gold_columns, wrong = [], [], [], []
    for i, given in enumerate(run.sets):
        chosen = place[which == i]
        features.append(given.features.take(chosen))
        gold.append(given.gold[chosen])
        exact = generator.random(len(chosen)) < _EXACT
        names = np.where(exact, given.exact[chosen], given.primary[chosen])
        if "description" in config.encoder.views:
            bare = generator.random(len(chosen)) < _BARE
            names = np.where(bare, given.last[chosen], names)
        gold_columns.append(names)
        if negatives is not None:
            picks = generator.integers(
                negatives[i].shape[1], size=(len(chosen), config.n_negatives)
            )
            wrong.append(np.take_along_axis(negatives[i][chosen], picks, axis=1).ravel())
    golds = np.concatenate(gold)
    columns = np.concatenate(gold_columns)
    extra = np.unique(np.concatenate(wrong)) if wrong else np.zeros(0, dtype=np.int64)
    columns = np.concatenate([columns, extra[extra >= 0]])
    entity_features = table.take(columns)
    hidden = generator.random(len(columns)) < _NO_NUMBERS
    entity_features.numbers[hidden] = 0.0
    with torch.autocast(model.device.type, torch.bfloat16, enabled=config.bf16):
        mentions = model.mention_vectors(join_mentions(features))
        entities = model.entity_vectors(entity_features)
    return _loss(config, model)(
        mentions.float() @ entities.float().T,  # (n mentions, n columns)
        *(
            torch.from_numpy(array).to(model.device, non_blocking=True)
            for array in (golds, table.rows[columns])
        ),
    )


def _loss(
    config: RetrieverTraining, model: DualEncoder
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Of cosines (n mentions, n columns), gold entities and the columns' entities."""
    if config.loss == "triplet":
        return lambda cosines, gold, entity: triplet(cosines, gold, entity, margin=config.margin)
    return lambda cosines, gold, entity: in_batch_softmax(
        cosines * model.log_scale.exp(), gold, entity
    )
