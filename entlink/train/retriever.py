"""Training the dual encoder: in-batch softmax, then rounds of hard negatives (Gillick et al. 2019)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entlink.encode.dual import DualEncoder, DualEncoderConfig, EntityFeatures, MentionFeatures
from entlink.encode.features import Bags, Ragged, join_ragged
from entlink.inputs import EntityInput, entity_inputs, mention_input
from entlink.kb.aliases import normalise
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.retrieve.index import VectorIndex
from entlink.train import data
from entlink.train.loop import LoopConfig, fit
from entlink.train.losses import in_batch_softmax

log = logging.getLogger(__name__)

_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class RetrieverTraining:
    """The config file of ``entlink train retriever``."""

    kb: Path
    out: Path
    mentions: tuple[Path, ...]
    dev: tuple[Path, ...] = ()
    views: tuple[Path, ...] = ()  # KBs with the same rows and other texts, to learn from both
    relations: Path | None = None
    relation_sources: tuple[str, ...] = ()
    n_composed: int = 80_000
    n_aliases: int = 80_000
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


@dataclass(frozen=True, slots=True)
class EntityTable:
    """Features of a whole KB: names for each surface, the rest once for each entity."""

    names: Bags
    rows: NDArray[np.int64]  # (n_surfaces,) entity of each surface
    descriptions: Bags
    types: Ragged
    numbers: NDArray[np.float32]

    def take(self, surfaces: NDArray[np.int64]) -> EntityFeatures:
        """Features of the given surfaces."""
        rows = self.rows[surfaces]
        return EntityFeatures(
            self.names.take(surfaces),
            self.descriptions.take(rows),
            self.types.take(rows),
            self.numbers[rows],
        )


@dataclass(frozen=True, slots=True)
class Examples:
    """Mentions ready for training, and their gold entities as surfaces of the KB."""

    features: MentionFeatures
    gold: NDArray[np.int64]  # (n,) KB row
    primary: NDArray[np.int64]  # (n,) surface: the entity's name
    exact: NDArray[np.int64]  # (n,) surface: the entity's name that equals the mention, else primary


def train_retriever(config: RetrieverTraining) -> dict[str, float]:
    """Train, keep the best round by recall on dev, write the encoder to ``config.out``; returns recalls."""
    torch.manual_seed(config.seed)
    kb = KnowledgeBase.open(config.kb)
    entities = [entity for many in kb.iterate() for entity in many]
    model = DualEncoder(config.encoder)
    tables = [_entity_table(model, entities)]
    for view in config.views:
        other = KnowledgeBase.open(view)
        tables.append(_entity_table(model, [e for many in other.iterate() for e in many]))
    rows = {entity.id: row for row, entity in enumerate(entities)}
    sets = _training_sets(config, model, entities, rows)
    dev = _examples(model, data.read_examples(config.dev), entities, rows)
    log.info("training on %s mentions, dev %d", [len(s.gold) for s in sets], len(dev.gold))
    best: dict[str, float] = {}
    negatives: list[NDArray[np.int64]] | None = None
    for number in range(config.rounds):
        _one_round(config, model, tables, sets, negatives, number)
        vectors = _encode_all(model, tables[0])
        recalls = recall_at(model, vectors, tables[0].rows, dev, ks=(1, 10, 100))
        log.info("round %d: %s", number, recalls)
        if sum(recalls.values()) >= sum(best.values()):
            best = recalls
            model.save(config.out)
        if number + 1 < config.rounds:
            negatives = [_hard_negatives(model, vectors, tables[0].rows, s) for s in sets]
    return best


def _training_sets(
    config: RetrieverTraining,
    model: DualEncoder,
    entities: Sequence[Entity],
    rows: dict[str, int],
) -> list[Examples]:
    labelled = data.read_examples(config.mentions)
    if config.n_folds:
        labelled = [e for e in labelled if data.fold_of(e.doc, config.n_folds) != config.leave_out]
    sets = [_examples(model, labelled, entities, rows)]
    if config.relations and config.n_composed:
        relations = data.read_relations(
            config.relations, rows, frozenset(config.relation_sources)
        )
        composed = data.composed_examples(
            entities, relations, n=config.n_composed, seed=config.seed
        )
        sets.append(_examples(model, composed, entities, rows))
    if config.n_aliases:
        names = data.alias_examples(entities, n=config.n_aliases, seed=config.seed)
        sets.append(_examples(model, names, entities, rows))
    return sets


def _entity_table(model: DualEncoder, entities: Sequence[Entity]) -> EntityTable:
    per_entity = [entity_inputs(entity) for entity in entities]
    flat = [item for items in per_entity for item in items]
    first = [items[0] for items in per_entity]
    bare = [EntityInput(item.name, "", (), None, 0) for item in flat]
    names = _in_chunks(lambda part: model.entity_features(part).name, bare)
    whole = model.entity_features(first)
    counts = [len(items) for items in per_entity]
    return EntityTable(
        names=names,
        rows=np.repeat(np.arange(len(entities)), counts),
        descriptions=whole.description,
        types=whole.types,
        numbers=whole.numbers,
    )


def _in_chunks(function, items):  # type: ignore[no-untyped-def]
    parts = [function(items[i : i + _CHUNK]) for i in range(0, len(items), _CHUNK)]
    return _join(parts)


def _join(parts):  # type: ignore[no-untyped-def]
    """Concatenate Ragged, Bags or MentionFeatures."""
    one = parts[0]
    if isinstance(one, Ragged):
        return join_ragged(parts)
    fields = one.__dataclass_fields__
    joined = {
        name: None if getattr(one, name) is None else _join([getattr(p, name) for p in parts])
        for name in fields
    }
    return type(one)(**joined)


def _examples(
    model: DualEncoder,
    examples: Sequence[data.Example],
    entities: Sequence[Entity],
    rows: dict[str, int],
) -> Examples:
    known = [e for e in examples if e.gold in rows]
    inputs = [mention_input(e.text, e.start, e.end, label=e.label) for e in known]
    gold = np.asarray([rows[e.gold] for e in known], dtype=np.int64)
    starts = np.concatenate(
        ([0], np.cumsum([len(entity_inputs(entity)) for entity in entities]))
    )
    primary = starts[gold]
    exact = primary.copy()
    for i, (example, row) in enumerate(zip(known, gold, strict=True)):
        span = normalise(example.text[example.start : example.end])
        for j, item in enumerate(entity_inputs(entities[row])):
            if normalise(item.name) == span:
                exact[i] = primary[i] + j
                break
    features = _in_chunks(model.mention_features, inputs)
    return Examples(features, gold, primary, exact)


def _one_round(
    config: RetrieverTraining,
    model: DualEncoder,
    tables: Sequence[EntityTable],
    sets: Sequence[Examples],
    negatives: list[NDArray[np.int64]] | None,
    number: int,
) -> None:
    total = sum(len(s.gold) for s in sets)
    epochs = config.first_epochs if number == 0 else config.round_epochs
    per_epoch = total // config.batch_size
    rate = config.learning_rate if number == 0 else config.learning_rate / 2
    which = np.concatenate([np.full(len(s.gold), i) for i, s in enumerate(sets)])
    place = np.concatenate([np.arange(len(s.gold)) for s in sets])
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

    steps = LoopConfig(n_steps=epochs * per_epoch, learning_rate=rate, warmup=0.03)
    fit(model, loss_at, steps, title=f"retriever, round {number}")


def _batch_loss(
    config: RetrieverTraining,
    model: DualEncoder,
    table: EntityTable,
    sets: Sequence[Examples],
    negatives: list[NDArray[np.int64]] | None,
    which: NDArray[np.int64],
    place: NDArray[np.int64],
    generator: np.random.Generator,
) -> Tensor:
    features, gold, columns, wrong = [], [], [], []
    for i, examples in enumerate(sets):
        chosen = place[which == i]
        features.append(examples.features.take(chosen))
        gold.append(examples.gold[chosen])
        exact = generator.random(len(chosen)) < 0.7
        columns.append(np.where(exact, examples.exact[chosen], examples.primary[chosen]))
        if negatives is not None:
            picks = generator.integers(
                negatives[i].shape[1], size=(len(chosen), config.n_negatives)
            )
            wrong.append(np.take_along_axis(negatives[i][chosen], picks, axis=1).ravel())
    golds = np.concatenate(gold)
    surfaces = np.concatenate(columns)
    extra = np.unique(np.concatenate(wrong)) if wrong else np.zeros(0, dtype=np.int64)
    surfaces = np.concatenate([surfaces, extra[extra >= 0]])
    entity_features = table.take(surfaces)
    hidden = generator.random(len(surfaces)) < 0.3  # an own KB may know no popularity
    entity_features.numbers[hidden] = 0.0
    mentions = model.mention_vectors(_join(features))
    entities = model.entity_vectors(entity_features)
    scores = mentions @ entities.T * model.log_scale.exp()  # (n mentions, n columns)
    return in_batch_softmax(
        scores, torch.from_numpy(golds), torch.from_numpy(table.rows[surfaces])
    )


@torch.inference_mode()
def _encode_all(model: DualEncoder, table: EntityTable) -> NDArray[np.float32]:
    model.eval()
    n = len(table.rows)
    parts = [
        model.entity_vectors(table.take(np.arange(i, min(i + _CHUNK, n)))).numpy()
        for i in range(0, n, _CHUNK)
    ]
    return np.concatenate(parts)


@torch.inference_mode()
def _mention_vectors(model: DualEncoder, examples: Examples) -> NDArray[np.float32]:
    model.eval()
    n = len(examples.gold)
    parts = [
        model.mention_vectors(examples.features.take(np.arange(i, min(i + _CHUNK, n)))).numpy()
        for i in range(0, n, _CHUNK)
    ]
    return np.concatenate(parts)


def recall_at(
    model: DualEncoder,
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    examples: Examples,
    *,
    ks: tuple[int, ...],
) -> dict[str, float]:
    """Share of mentions whose gold entity is among the k nearest distinct entities."""
    index = VectorIndex.build(vectors)
    _, found = index.search(_mention_vectors(model, examples), k=2 * max(ks))
    hits = np.zeros(len(ks))
    for gold, positions in zip(examples.gold, found, strict=True):
        distinct = list(dict.fromkeys(rows[positions].tolist()))
        rank = distinct.index(int(gold)) if int(gold) in distinct else len(rows)
        hits += [rank < k for k in ks]
    return {f"recall@{k}": float(hit / len(examples.gold)) for k, hit in zip(ks, hits, strict=True)}


def _hard_negatives(
    model: DualEncoder,
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    examples: Examples,
    *,
    k: int = 10,
) -> NDArray[np.int64]:
    """(n, k) surfaces that rank above or just below the gold entity; -1 where there are fewer."""
    index = VectorIndex.build(vectors)
    negatives = np.full((len(examples.gold), k), -1, dtype=np.int64)
    queries = _mention_vectors(model, examples)
    for begin in range(0, len(queries), _CHUNK):
        _, found = index.search(queries[begin : begin + _CHUNK], k=2 * k)
        gold = examples.gold[begin : begin + _CHUNK]
        for i, (row, positions) in enumerate(zip(gold, found, strict=True), begin):
            wrong = positions[rows[positions] != row][:k]
            negatives[i, : len(wrong)] = wrong
    return negatives
