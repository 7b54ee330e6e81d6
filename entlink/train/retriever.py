"""Training the dual encoder: in-batch softmax, then rounds of hard negatives.

As in Gillick et al. (2019), sections 3.2 and 3.3.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entlink.encode.dual import DualEncoder, DualEncoderConfig, join_mentions
from entlink.errors import InputError
from entlink.records import Entity
from entlink.retrieve.index import VectorIndex
from entlink.train import data
from entlink.train.loop import LoopConfig, fit
from entlink.train.losses import in_batch_softmax
from entlink.train.matches import adjective_examples, match_examples
from entlink.train.tables import EntityTable, MentionTable, read_views

log = logging.getLogger(__name__)

_CHUNK = 8192  # texts encoded at a time
_NO_LABEL = 0.3  # share of the mentions whose label is hidden: a user may have none


@dataclass(frozen=True, slots=True)
class RetrieverTraining:
    """The config file of ``entlink train retriever``."""

    kb: Path
    out: Path
    mentions: tuple[Path, ...]
    dev: tuple[Path, ...] = ()
    views: tuple[Path, ...] = ()  # KBs with the same rows and other texts, to learn from both
    detector: Path | None = None  # labels the mentions as they will be in use
    relations: Path | None = None
    relation_sources: tuple[str, ...] = ()
    n_composed: int = 80_000
    n_aliases: int = 80_000
    n_matches: int = 0  # reports of matches, composed of the teams in relations
    n_adjectives: int = 0  # sentences with adjectives of countries
    n_folds: int = 0  # with leave_out: train without that fold of the documents
    leave_out: int = -1
    rounds: int = 3  # the first without hard negatives
    first_epochs: int = 2
    round_epochs: int = 1
    batch_size: int = 384
    n_negatives: int = 4
    learning_rate: float = 2e-3
    seed: int = 0
    encoder: DualEncoderConfig = field(default_factory=DualEncoderConfig)


def train_retriever(config: RetrieverTraining) -> dict[str, float]:
    """Train, write the encoder of the best round to ``config.out``; returns its recalls on dev.

    The best is the one with the greatest sum of recall@1, @10 and @100; without dev, the last.
    """
    torch.manual_seed(config.seed)
    views = read_views([config.kb, *config.views])
    entities = views[0]
    rows = {entity.id: row for row, entity in enumerate(entities)}
    model = DualEncoder(config.encoder)
    tables = [EntityTable.of(model, view) for view in views]
    sets = _training_sets(config, model, entities, rows)
    examples = data.label_examples(data.read_examples(config.dev), config.detector)
    dev = MentionTable.of(model, examples, entities, rows)
    log.info("training on %s mentions, dev %d", [len(s) for s in sets], len(dev))
    best: dict[str, float] = {}
    negatives: list[NDArray[np.int64]] | None = None
    for number in range(config.rounds):
        _one_round(config, model, tables, sets, negatives, number)
        index = VectorIndex.build(_surface_vectors(model, tables[0]))
        found = recall_at(model, index, tables[0].rows, dev, ks=(1, 10, 100)) if len(dev) else {}
        log.info("round %d: %s", number, found)
        if sum(found.values()) >= sum(best.values()):
            best = found
            model.save(config.out)
        if number + 1 < config.rounds:
            negatives = [hard_negatives(model, index, tables[0].rows, s) for s in sets]
    return best


def _training_sets(
    config: RetrieverTraining,
    model: DualEncoder,
    entities: Sequence[Entity],
    rows: dict[str, int],
) -> list[MentionTable]:
    """Labelled mentions, composed sentences, names alone: those there are."""
    labelled = data.read_examples(config.mentions)
    if config.n_folds:
        labelled = [e for e in labelled if data.fold_of(e.doc, config.n_folds) != config.leave_out]
    labelled = data.label_examples([e for e in labelled if e.gold in rows], config.detector)
    generator = np.random.default_rng(config.seed)
    without = generator.random(len(labelled)) < _NO_LABEL
    labelled = [replace(e, label="") if w else e for e, w in zip(labelled, without, strict=True)]
    sets = [labelled]
    if config.relations and config.n_composed:
        sources = frozenset(config.relation_sources)
        relations = data.read_relations(config.relations, rows, sources)
        n, seed = config.n_composed, config.seed
        composed = data.composed_examples(entities, relations, n=n, seed=seed)
        composed += match_examples(entities, relations, n=config.n_matches, seed=seed)
        composed += adjective_examples(entities, n=config.n_adjectives, seed=seed)
        sets.append(composed)
    if config.n_aliases:
        sets.append(data.alias_examples(entities, n=config.n_aliases, seed=config.seed))
    if not any(sets):
        raise InputError(f"{config.kb}: no example to train on; give mentions of its entities")
    return [MentionTable.of(model, examples, entities, rows) for examples in sets if examples]


def _one_round(
    config: RetrieverTraining,
    model: DualEncoder,
    tables: Sequence[EntityTable],
    sets: Sequence[MentionTable],
    negatives: list[NDArray[np.int64]] | None,
    number: int,
) -> None:
    total = sum(len(s) for s in sets)
    epochs = config.first_epochs if number == 0 else config.round_epochs
    per_epoch = max(1, total // config.batch_size)
    rate = config.learning_rate if number == 0 else config.learning_rate / 2
    which = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    place = np.concatenate([np.arange(len(s)) for s in sets])
    orders: dict[int, NDArray[np.int64]] = {}

    def loss_at(step: int) -> Tensor:
        epoch, at = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            generator = np.random.default_rng((config.seed, number, epoch))
            orders[epoch] = generator.permutation(total)
        batch = orders[epoch][at * config.batch_size : (at + 1) * config.batch_size]
        generator = np.random.default_rng((config.seed, number, step))
        table = tables[int(generator.integers(len(tables)))]
        return _batch_loss(
            config, model, table, sets, negatives, which[batch], place[batch], generator
        )

    loop = LoopConfig(
        n_steps=epochs * per_epoch,
        learning_rate=rate,
        warmup=0.03,
        seed=config.seed * config.rounds + number,
    )
    fit(model, loss_at, loop, title=f"retriever, round {number}")


def _batch_loss(
    config: RetrieverTraining,
    model: DualEncoder,
    table: EntityTable,
    sets: Sequence[MentionTable],
    negatives: list[NDArray[np.int64]] | None,
    which: NDArray[np.int64],
    place: NDArray[np.int64],
    generator: np.random.Generator,
) -> Tensor:
    features, gold, gold_columns, wrong = [], [], [], []
    for i, given in enumerate(sets):
        chosen = place[which == i]
        features.append(given.features.take(chosen))
        gold.append(given.gold[chosen])
        exact = generator.random(len(chosen)) < 0.7
        gold_columns.append(np.where(exact, given.exact[chosen], given.primary[chosen]))
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
    hidden = generator.random(len(columns)) < 0.3  # an own KB may know no popularity
    entity_features.numbers[hidden] = 0.0
    mentions = model.mention_vectors(join_mentions(features))
    entities = model.entity_vectors(entity_features)
    scores = mentions @ entities.T * model.log_scale.exp()  # (n mentions, n columns)
    return in_batch_softmax(scores, torch.from_numpy(golds), torch.from_numpy(table.rows[columns]))


@torch.inference_mode()
def _surface_vectors(model: DualEncoder, table: EntityTable) -> NDArray[np.float32]:
    model.eval()
    return np.concatenate(
        [model.entity_vectors(table.take(some)).cpu().numpy() for some in _chunks(len(table))]
    )


@torch.inference_mode()
def _mention_vectors(model: DualEncoder, mentions: MentionTable) -> NDArray[np.float32]:
    model.eval()
    parts = [mentions.features.take(some) for some in _chunks(len(mentions))]
    return np.concatenate([model.mention_vectors(part).cpu().numpy() for part in parts])


def _chunks(n: int) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(n), -(-n // _CHUNK))


def recall_at(
    model: DualEncoder,
    index: VectorIndex,
    rows: NDArray[np.int64],
    mentions: MentionTable,
    *,
    ks: tuple[int, ...],
) -> dict[str, float]:
    """Share of mentions whose gold entity is among the k nearest entities.

    index: the vectors of all surfaces, rows: (n_surfaces,) whose each is. Of entities with very
    many near surfaces, those beyond the nearest 2 max(ks) surfaces are missed.
    """
    _, found = index.search(_mention_vectors(model, mentions), k=2 * max(ks))
    hits = np.zeros(len(ks))
    for gold, positions in zip(mentions.gold.tolist(), found, strict=True):
        distinct = list(dict.fromkeys(rows[positions[positions >= 0]].tolist()))
        rank = distinct.index(gold) if gold in distinct else len(rows)
        hits += [rank < k for k in ks]
    return {f"recall@{k}": float(hit / len(mentions)) for k, hit in zip(ks, hits, strict=True)}


def hard_negatives(
    model: DualEncoder,
    index: VectorIndex,
    rows: NDArray[np.int64],
    mentions: MentionTable,
    *,
    k: int = 10,
) -> NDArray[np.int64]:
    """(n, k) nearest surfaces of other entities than the gold one; -1 where there are fewer."""
    negatives = np.full((len(mentions), k), -1, dtype=np.int64)
    queries = _mention_vectors(model, mentions)
    for some in _chunks(len(mentions)):
        _, found = index.search(queries[some], k=2 * k)
        for i, positions in zip(some, found, strict=True):
            positions = positions[positions >= 0]
            wrong = positions[rows[positions] != mentions.gold[i]][:k]
            negatives[i, : len(wrong)] = wrong
    return negatives
