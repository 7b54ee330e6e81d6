"""Training the cross-encoder on the retriever's own candidates (Agarwal and Bikel 2020).

Candidates come from retrievers that have not seen the mention's document (cross-fitting): those of
a retriever that has memorised it are easier than what the reranker meets later.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from entlink.encode.dual import DualEncoder
from entlink.errors import ConfigError, InputError
from entlink.inputs import mention_input, pair_context, pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.rerank.cross_encoder import CrossEncoder, PairConfig, PairTokenizer, pad_pairs
from entlink.retrieve.dense import Retrieved, Retriever, SurfaceVectors
from entlink.train.data import Example, fold_of, read_examples, read_relations, read_texts
from entlink.train.distant import (
    Ambiguous,
    composed_ambiguous,
    composed_rivals,
    distant_examples,
    spread,
)
from entlink.train.loop import LoopConfig, device_of, fit
from entlink.train.losses import binary, list_or_nil
from entlink.train.matches import adjective_examples, match_examples
from entlink.train.reports import report_examples
from entlink.train.student import StudentConfig, Teacher, keep_layers, match_probabilities
from entlink.train.tables import read_views
from entlink.train.vocabulary import prune_vocabulary, shorten

log = logging.getLogger(__name__)

_BUCKET = 64  # lists sorted by length together, times the batch size
Watch = Callable[[int, CrossEncoder], None]
_LOSSES = {"list": list_or_nil, "binary": binary}


@dataclass(frozen=True, slots=True)
class RerankerTraining:
    """The config file of ``entlink train reranker``."""

    kb: Path
    base: Path  # a Hugging Face BERT folder
    retrievers: tuple[Path, ...]  # number i was trained without fold i of len(retrievers)
    mentions: tuple[Path, ...]
    out: Path
    views: tuple[Path, ...] = ()  # KBs with the same rows and other texts
    n_labelled: int = 0  # so many of the mentions, drawn; 0: all
    relations: Path | None = (
        None  # of these, mentions of ambiguous names are made (train/distant.py):
    )
    relation_sources: tuple[str, ...] = ()
    unlabelled: tuple[Path, ...] = ()  # texts in which they are looked for
    n_distant: int = 0  # so many of those found, drawn; 0: all
    n_ambiguous: int = 0  # and so many that are composed
    n_matches: int = 0  # reports of matches, composed of the teams in relations
    n_adjectives: int = 0  # sentences with adjectives of countries
    n_rivals: int = 0  # mentions in texts where one name means two entities
    n_reports: int = 0  # mentions in whole news reports, composed (train/reports.py)
    hold_out: int = 16  # one document in so many is left for calibration
    vocabulary: int = 11_000
    positions: int = 128  # the longest pair in tokens
    n_wrong: int = 5  # wrong candidates in a list
    pool: int = 24  # they are drawn from so many of the best
    nil_share: float = 0.2  # lists without a right answer, for each list with one
    loss: str = "list"  # or "binary"
    batch_size: int = 8  # lists
    epochs: float = 1.0
    learning_rate: float = 6e-5
    bf16: bool = True
    device: str = "auto"  # a GPU if there is one
    seed: int = 0
    pair: PairConfig = field(default_factory=PairConfig)
    # not in repr(), so that checkpoints of runs without it go on
    student: StudentConfig | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Candidates:
    """A mention and what to tell apart."""

    example: Example
    gold: int  # KB row of the true entity, -1 for NIL
    rows: tuple[int, ...]  # of wrong candidates, best first


@dataclass(frozen=True, slots=True)
class Material:
    """All that is read in training, as token ids."""

    golds: tuple[int, ...]  # of each list: the KB row of the true entity, -1 for NIL
    rows: tuple[tuple[int, ...], ...]  # and those of wrong candidates, best first
    first: Sequence[Sequence[int]]  # the mention's half of a pair, of each list
    second: Sequence[Mapping[int, Sequence[int]]]  # the entity's, by KB row, in each view

    @classmethod
    def of(
        cls, pairs: PairTokenizer, lists: Sequence[Candidates], views: Sequence[Sequence[Entity]]
    ) -> Material:
        """The texts of the lists and of their candidates."""
        rows = sorted({row for c in lists for row in (c.gold, *c.rows) if row >= 0})
        second: dict[int, dict[int, list[int]]] = {}
        for view in views:  # the same view may be there twice, to be seen more often
            if id(view) not in second:
                halves = pairs.entities([pair_entity(view[row]) for row in rows])
                second[id(view)] = dict(zip(rows, halves, strict=True))
        return cls(
            golds=tuple(c.gold for c in lists),
            rows=tuple(c.rows for c in lists),
            first=pairs.mentions(_contexts(lists)),
            second=[second[id(view)] for view in views],
        )


def train_reranker(config: RerankerTraining, *, watch: Watch | None = None) -> dict[str, int]:
    """Mine candidates, train, write a Hugging Face folder to ``config.out``; returns counts.

    ``watch`` is called after each step with its number and the encoder.
    """
    if config.loss not in _LOSSES:
        raise ConfigError(f"loss is {config.loss!r}; it must be one of {', '.join(_LOSSES)}")
    torch.manual_seed(config.seed)
    kb = KnowledgeBase.open(config.kb)
    views = read_views([config.kb, *config.views])
    lists = mine(config, kb)
    if not lists:
        raise InputError(f"{config.kb}: no mention to train on; give mentions of its entities")
    counts = {"n_lists": len(lists), "n_nil": sum(c.gold < 0 for c in lists)}
    log.info("%d lists, %d of them NIL", *counts.values())
    encoder = begin(config, lists, views)
    material = Material.of(encoder.pairs, lists, views)
    teacher = None
    if config.student is not None:
        reader = CrossEncoder.load(config.student.teacher)
        its = material
        if reader.pairs.tokenizer.to_str() != encoder.pairs.tokenizer.to_str():
            its = Material.of(reader.pairs, lists, views)
        teacher = Teacher(reader, its.first, its.second)
    learn(config, encoder, material, teacher=teacher, watch=watch)
    encoder.save(config.out)
    return counts


def begin(
    config: RerankerTraining, lists: Sequence[Candidates], views: Sequence[Sequence[Entity]]
) -> CrossEncoder:
    """The base with a smaller vocabulary and fewer positions; of a student, fewer layers."""
    base = CrossEncoder.load(config.base)
    texts = (text for entities in views for e in entities for text in pair_entity(e))
    contexts = (c.example.text for c in lists)
    model, tokenizer = prune_vocabulary(
        base.model, base.pairs.tokenizer, chain(contexts, texts), size=config.vocabulary
    )
    model = shorten(model, positions=config.positions)
    if config.student is not None:
        model = keep_layers(model, n=config.student.layers)
    return CrossEncoder(model, PairTokenizer(tokenizer, config.pair))


def _contexts(lists: Sequence[Candidates]) -> list[tuple[str, str, str]]:
    examples = [c.example for c in lists]
    return [pair_context(e.text, e.start, e.end, full_name=e.full_name) for e in examples]


def mine(config: RerankerTraining, kb: KnowledgeBase) -> list[Candidates]:
    """Candidate lists of all training mentions outside the held-out documents."""
    generator = random.Random(config.seed)
    examples = [e for e in read_examples(config.mentions) if fold_of(e.doc, config.hold_out) != 0]
    if config.n_labelled:
        examples = generator.sample(examples, min(config.n_labelled, len(examples)))
    if config.relations is not None:
        examples += _made(config, kb, config.relations, generator)
    rows = kb.rows_of(list({e.gold for e in examples}))
    known = [e for e in examples if e.gold in rows]
    unknown = [e for e in examples if e.gold not in rows]
    n_unknown = min(len(unknown), round(config.nil_share * len(known)))
    examples = known + generator.sample(unknown, n_unknown)
    lists = []
    n_folds = len(config.retrievers)
    for fold, folder in enumerate(config.retrievers):
        encoder = DualEncoder.load(folder)
        retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder))
        chosen = [e for e in examples if fold_of(e.doc, n_folds) == fold]
        for begin in tqdm(range(0, len(chosen), 256), desc=f"candidates, fold {fold}"):
            some = chosen[begin : begin + 256]
            inputs = [mention_input(e.text, e.start, e.end) for e in some]
            for e, found in zip(some, retriever.retrieve(inputs, k=config.pool), strict=True):
                lists.append(_candidates(e, rows.get(e.gold, -1), found))
    lists = [c for c in lists if c.gold >= 0 or c.rows]
    generator.shuffle(lists)
    return lists


def _made(
    config: RerankerTraining, kb: KnowledgeBase, path: Path, generator: random.Random
) -> list[Example]:
    """Mentions of ambiguous names that are found, at most six of each, and composed ones."""
    entities = [entity for many in kb.iterate() for entity in many]
    rows = {entity.id: row for row, entity in enumerate(entities)}
    facts = read_relations(path, rows, frozenset(config.relation_sources))
    ambiguous = Ambiguous(entities, facts)
    texts = [text for path in config.unlabelled for text in read_texts(path)]
    found = spread(distant_examples(ambiguous, texts), per_name=6)
    if config.n_distant:
        found = generator.sample(found, min(config.n_distant, len(found)))
    fillers = [text for _, text in texts]
    seed = config.seed
    return [
        *found,
        *composed_ambiguous(ambiguous, fillers, n=config.n_ambiguous, seed=seed),
        *composed_rivals(ambiguous, n=config.n_rivals, seed=seed),
        *match_examples(entities, facts, n=config.n_matches, seed=seed),
        *adjective_examples(entities, n=config.n_adjectives, seed=seed),
        *report_examples(entities, facts, n=config.n_reports, seed=seed, fillers=fillers),
    ]


def _candidates(example: Example, gold: int, found: Retrieved) -> Candidates:
    order = np.lexsort((found.rows, -(found.cosines + 0.1 * found.is_alias)))
    rows = tuple(int(row) for row in found.rows[order] if row != gold)
    return Candidates(example, gold, rows)


def learn(
    config: RerankerTraining,
    encoder: CrossEncoder,
    material: Material,
    *,
    teacher: Teacher | None = None,
    watch: Watch | None = None,
) -> None:
    """The training itself; goes on from its checkpoint."""
    encoder.model.to(device_of(config.device))
    if teacher is not None:
        teacher.encoder.model.to(device_of(config.device))
    batches = _batches(config, material.first)

    def loss_at(step: int) -> Tensor:
        epoch, at = divmod(step, len(batches))
        generator = random.Random(f"{config.seed} {epoch} {at}")
        number = generator.randrange(len(material.second))
        view, drawn, asked = material.second[number], [], []
        for index in batches[_shuffled(len(batches), config.seed + epoch)[at]]:
            chosen, gold = _draw(config, material.golds[index], material.rows[index], generator)
            drawn.append((material.first[index], [view[row] for row in chosen], gold))
            asked.append((index, chosen))
        aim = None if teacher is None else teacher.logits(asked, view=number)
        return _list_loss(config, encoder, drawn, aim)

    loop = LoopConfig(
        n_steps=max(1, round(config.epochs * len(batches))),
        learning_rate=config.learning_rate,
        warmup=0.06,
        weight_decay=0.01,
        seed=config.seed,
    )
    checkpoint = config.out.with_name(config.out.name + ".checkpoint.safetensors")
    run = str(config) if config.student is None else f"{config} {config.student}"
    after_step = None if watch is None else partial(_told, watch, encoder)
    fit(
        encoder.model,
        loss_at,
        loop,
        title="reranker",
        checkpoint=checkpoint,
        run=run,
        after_step=after_step,
    )


def _told(watch: Watch, encoder: CrossEncoder, step: int) -> None:
    watch(step, encoder)


def _list_loss(
    config: RerankerTraining,
    encoder: CrossEncoder,
    lists: Sequence[tuple[Sequence[int], list[Sequence[int]], int]],
    aim: Tensor | None = None,
) -> Tensor:
    """Loss of some lists: (mention's half, candidates' halves, place of the gold one or -1).

    ``aim``: a teacher's logits of all their pairs.
    """
    ids, segments, is_token = pad_pairs(
        [mention for mention, candidates, _ in lists for _ in candidates],
        [candidate for _, candidates, _ in lists for candidate in candidates],
    )
    device = next(encoder.model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
        logits = encoder.model(ids.to(device), segments.to(device), is_token.to(device)).float()
    lengths = torch.tensor([len(candidates) for _, candidates, _ in lists], device=device)
    width = int(lengths.max())
    is_candidate = torch.arange(width, device=device)[None, :] < lengths[:, None]
    scores = logits.new_zeros(is_candidate.shape).masked_scatter(is_candidate, logits)
    gold = torch.tensor([width if place < 0 else place for _, _, place in lists], device=device)
    loss = _LOSSES[config.loss](scores, is_candidate, gold)
    if aim is None or config.student is None:
        return loss
    wanted = torch.zeros_like(scores).masked_scatter(is_candidate, aim.to(scores))
    weight = config.student.weight
    return (1 - weight) * loss + weight * match_probabilities(scores, is_candidate, wanted)


def _batches(config: RerankerTraining, first: Sequence[Sequence[int]]) -> list[list[int]]:
    """Lists of like length together, so that little is padded; which, depends on the seed."""
    generator = random.Random(config.seed)
    order = list(range(len(first)))
    generator.shuffle(order)
    size, batches = config.batch_size, []
    for begin in range(0, len(order), size * _BUCKET):
        bucket = sorted(order[begin : begin + size * _BUCKET], key=lambda i: len(first[i]))
        batches += [bucket[i : i + size] for i in range(0, len(bucket), size)]
    return batches


@lru_cache(maxsize=1)
def _shuffled(n: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(n), n)


def _draw(
    config: RerankerTraining, gold: int, rows: tuple[int, ...], generator: random.Random
) -> tuple[list[int], int]:
    """The gold row, the hardest wrong ones and some of the others; and where the gold one is."""
    n_hard = min(len(rows), config.n_wrong // 2)
    hard, others = rows[:n_hard], rows[n_hard:]
    n_others = min(len(others), config.n_wrong - n_hard)
    chosen = [*hard, *generator.sample(others, n_others)]
    if gold < 0:
        return chosen, -1
    return [gold, *chosen], 0
