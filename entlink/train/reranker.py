"""Training the cross-encoder on the retriever's own candidates (Agarwal and Bikel 2020)."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain

import torch
from torch import Tensor

from entlink.errors import ConfigError, InputError
from entlink.inputs import pair_entity
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.rerank.cross_encoder import CrossEncoder, PairTokenizer, pad_pairs
from entlink.train.candidates import Candidates, contexts_of, mine
from entlink.train.distil_scores import Taught, taught
from entlink.train.loop import LoopConfig, device_of, fit
from entlink.train.losses import binary, list_or_nil
from entlink.train.reranker_config import RerankerTraining
from entlink.train.student import keep_layers, match_probabilities
from entlink.train.tables import read_views
from entlink.train.vocabulary import prune_vocabulary, shorten

log = logging.getLogger(__name__)

_BUCKET = 64  # lists sorted by length together, times the batch size
Watch = Callable[[int, CrossEncoder], None]
_LOSSES = {"list": list_or_nil, "binary": binary}


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
            first=pairs.mentions(contexts_of(lists)),
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
    said = _asked(config, kb)
    lists = said.lists if said else mine(config, kb)
    if not lists:
        raise InputError(f"{config.kb}: no mention to train on; give mentions of its entities")
    counts = {"n_lists": len(lists), "n_nil": sum(c.gold < 0 for c in lists)}
    log.info("%d lists, %d of them NIL", *counts.values())
    encoder = begin(config, lists, views)
    material = Material.of(encoder.pairs, lists, views)
    learn(config, encoder, material, aims=said.by_row() if said else None, watch=watch)
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


def _asked(config: RerankerTraining, kb: KnowledgeBase) -> Taught | None:
    """What a student's teacher says of the same candidates."""
    if config.student is None:
        return None
    its = config.student
    return taught(config, kb, its.teacher, its.scores, backend=its.backend)


def learn(
    config: RerankerTraining,
    encoder: CrossEncoder,
    material: Material,
    *,
    aims: Sequence[Mapping[int, float]] | None = None,
    watch: Watch | None = None,
) -> None:
    """The training itself; goes on from its checkpoint.

    ``aims``: a teacher's logits of each list's candidates, by KB row.
    """
    encoder.model.to(device_of(config.device))
    batches = _batches(config, material.first)

    def loss_at(step: int) -> Tensor:
        epoch, at = divmod(step, len(batches))
        generator = random.Random(f"{config.seed} {epoch} {at}")
        view, drawn = generator.choice(material.second), []
        wanted: list[float] = []
        for index in batches[_shuffled(len(batches), config.seed + epoch)[at]]:
            chosen, gold = _draw(config, material.golds[index], material.rows[index], generator)
            drawn.append((material.first[index], [view[row] for row in chosen], gold))
            wanted += [aims[index][row] for row in chosen] if aims else []
        return _list_loss(config, encoder, drawn, torch.tensor(wanted) if aims else None)

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
