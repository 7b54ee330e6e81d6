"""Fitting the decision: weights on held-out training documents, the NIL threshold on dev.

The held-out documents were seen neither by the retriever nor by the reranker in training, so their
scores are as they will be on new text.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from entlink import decide
from entlink.encode.dual import DualEncoder
from entlink.errors import InputError
from entlink.inputs import mention_input, pair_context
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import CrossEncoder, has_bf16
from entlink.rerank.reading import read_candidates
from entlink.retrieve.dense import Retrieved, Retriever, SurfaceVectors
from entlink.retrieve.hybrid import Hybrid, RetrievalConfig
from entlink.train.choices import Case, choose_reading, choose_threshold, choose_trust
from entlink.train.data import (
    Example,
    fold_of,
    label_examples,
    read_examples,
    read_relations,
    read_texts,
)
from entlink.train.distant import Ambiguous, composed_ambiguous
from entlink.train.matches import adjective_examples, match_examples

log = logging.getLogger(__name__)

_BATCH = 64  # mentions


@dataclass(frozen=True, slots=True)
class CalibrationTraining:
    """The config file of ``entlink train calibration``."""

    kb: Path
    retriever: Path
    mentions: tuple[Path, ...]
    dev: tuple[Path, ...]
    out: Path  # decision.json
    reranker: Path | None = None  # None: for a bundle without one
    detector: Path | None = None  # labels the mentions; None: they stay without
    relations: Path | None = None  # of these, some reports and sentences are composed:
    relation_sources: tuple[str, ...] = ()
    n_matches: int = 0  # as in the reranker's training, with another seed
    n_adjectives: int = 0
    n_ambiguous: int = 0
    unlabelled: tuple[Path, ...] = ()  # texts beside whose sentences the ambiguous names stand
    hold_out: int = 16  # as in the retriever's and the reranker's training
    n_mentions: int = 1500  # at most, drawn from the held-out documents; as many of dev
    seed: int = 0
    max_pairs: int = 16
    max_lost: float = 0.003  # share of dev's right answers that reading fewer pairs may cost
    penalty: float = 1e-3  # of squared weights
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)  # as in the bundle


def train_calibration(config: CalibrationTraining) -> dict[str, float]:
    """Fit both models and the threshold, write ``config.out``; returns figures on dev."""
    kb = KnowledgeBase.open(config.kb)
    encoder = DualEncoder.load(config.retriever)
    hybrid = Hybrid.of(config.retrieval, kb)
    retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder), hybrid=hybrid)
    held_out = [e for e in read_examples(config.mentions) if fold_of(e.doc, config.hold_out) == 0]
    held_out = _some(label_examples(held_out, config.detector), config) + _made(config, kb)
    blank = replace(decide.Decision.blank(), max_pairs=config.max_pairs, read_mass=2.0)
    found, gold = _retrieve(kb, retriever, held_out)
    decision = _fit_first(blank, config, retriever, found, gold)
    log.info("first model: %s %s", decision.first, decision.first_nil)
    reranker = None
    if config.reranker is not None:
        reranker = CrossEncoder.load(config.reranker, bf16=has_bf16("cpu"))
    if reranker is not None:
        cases = _read(decision, kb, retriever, reranker, held_out, found, gold)
        decision = _fit_final(decision, config, cases)
        log.info("final model: %s %s", decision.final, decision.final_nil)
    dev = _some(label_examples(read_examples(config.dev), config.detector), config)
    found, gold = _retrieve(kb, retriever, dev)
    dev_cases = _read(decision, kb, retriever, reranker, dev, found, gold)
    if reranker is not None:
        decision = choose_trust(decision, dev_cases)
        decision, dev_cases = choose_reading(decision, dev_cases, config.max_lost)
    decision, figures = choose_threshold(decision, dev_cases)
    decision.save(config.out)
    return figures


def _some(examples: list[Example], config: CalibrationTraining) -> list[Example]:
    """A sample, in order; drawn after the documents were looked at whole."""
    chosen = random.Random(config.seed).sample(
        range(len(examples)), min(len(examples), config.n_mentions)
    )
    return [examples[i] for i in sorted(chosen)]


def _made(config: CalibrationTraining, kb: KnowledgeBase) -> list[Example]:
    """Composed mentions, of which labelled Wikipedia text has too few."""
    if config.relations is None:
        return []
    entities = [entity for many in kb.iterate() for entity in many]
    rows = {entity.id: row for row, entity in enumerate(entities)}
    facts = read_relations(config.relations, rows, frozenset(config.relation_sources))
    seed = config.seed + 1000  # not the sentences that the reranker has read
    fillers = [text for path in config.unlabelled for _, text in read_texts(path)]
    made = [
        *match_examples(entities, facts, n=config.n_matches, seed=seed),
        *adjective_examples(entities, n=config.n_adjectives, seed=seed),
        *composed_ambiguous(Ambiguous(entities, facts), fillers, n=config.n_ambiguous, seed=seed),
    ]
    return label_examples(made, config.detector)


def _retrieve(
    kb: KnowledgeBase, retriever: Retriever, examples: Sequence[Example]
) -> tuple[list[Retrieved], list[int]]:
    """Candidates, and the place of the gold one (k: not in the KB, -1: in the KB but missed)."""
    rows = kb.rows_of(list({e.gold for e in examples}))
    found: list[Retrieved] = []
    for begin in range(0, len(examples), _BATCH):
        some = examples[begin : begin + _BATCH]
        found += retriever.retrieve(
            [
                mention_input(e.text, e.start, e.end, label=e.label, full_name=e.full_name)
                for e in some
            ]
        )
    gold = []
    for e, candidates in zip(examples, found, strict=True):
        places = np.flatnonzero(candidates.rows == rows.get(e.gold, -1))
        missed = -1 if e.gold in rows else len(candidates.rows)
        gold.append(int(places[0]) if len(places) else missed)
    return found, gold


def _read(
    decision: decide.Decision,
    kb: KnowledgeBase,
    retriever: Retriever,
    reranker: CrossEncoder | None,
    examples: Sequence[Example],
    found: Sequence[Retrieved],
    gold: Sequence[int],
) -> list[Case]:
    """Read the ``max_pairs`` best of every mention, whatever the cascade would read."""
    if reranker is None:
        nothing = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        return [Case(retriever.evidence(r), g, *nothing) for r, g in zip(found, gold, strict=True)]
    every = replace(decision, read_mass=2.0)  # more than there is
    cases: list[Case] = []
    for begin in range(0, len(examples), _BATCH):
        some = slice(begin, begin + _BATCH)
        evidence = [retriever.evidence(r) for r in found[some]]
        reads = [decide.to_read(every, decide.first_probabilities(every, e)) for e in evidence]
        chosen = [r.rows[p] for r, p in zip(found[some], reads, strict=True)]
        contexts = [
            pair_context(e.text, e.start, e.end, full_name=e.full_name) for e in examples[some]
        ]
        logits_of = read_candidates(reranker, kb, contexts, chosen)
        for e, g, p, values in zip(evidence, gold[some], reads, logits_of, strict=True):
            cases.append(Case(e, g, p, values))
    return cases


def _fit_first(
    decision: decide.Decision,
    config: CalibrationTraining,
    retriever: Retriever,
    found: Sequence[Retrieved],
    gold: Sequence[int],
) -> decide.Decision:
    rows = []
    for candidates, place in zip(found, gold, strict=True):
        if place >= 0:
            x, nil = decide.first_features(retriever.evidence(candidates))
            rows.append((x, nil, place))
    weights, nil_weights = _fit(rows, config.penalty)
    return replace(decision, first=weights, first_nil=nil_weights)


def _fit_final(
    decision: decide.Decision, config: CalibrationTraining, cases: Sequence[Case]
) -> decide.Decision:
    rows = []
    for case in cases:
        x, nil = decide.first_features(case.evidence)
        x, nil = decide.final_features(x[case.read], nil, case.logits)
        if case.gold == len(case.evidence.cosines):
            rows.append((x, nil, len(case.read)))
        elif case.gold in case.read:
            rows.append((x, nil, int(np.flatnonzero(case.read == case.gold)[0])))
    weights, nil_weights = _fit(rows, config.penalty)
    return replace(decision, final=weights, final_nil=nil_weights)


Row = tuple[NDArray[np.float64], NDArray[np.float64], int]


def _fit(rows: Sequence[Row], penalty: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Maximum likelihood of the gold place under a softmax of linear scores, by L-BFGS."""
    if not rows:
        raise InputError("no held-out mention has its entity among the candidates; give more texts")
    width = max(len(x) for x, _, _ in rows)
    x = torch.zeros(len(rows), width, rows[0][0].shape[1], dtype=torch.float64)
    is_candidate = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, (features, _, _) in enumerate(rows):
        x[i, : len(features)] = torch.from_numpy(features)
        is_candidate[i, : len(features)] = True
    nil = torch.from_numpy(np.stack([n for _, n, _ in rows]))
    gold = torch.tensor([width if place == len(f) else place for f, _, place in rows])
    w = torch.zeros(x.shape[2], dtype=torch.float64, requires_grad=True)
    v = torch.zeros(nil.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        scores = (x @ w).masked_fill(~is_candidate, float("-inf"))
        joined = torch.cat([scores, (nil @ v)[:, None]], dim=1)
        fit = torch.nn.functional.cross_entropy(joined, gold)
        return fit + penalty * ((w**2).sum() + (v**2).sum())

    _minimise(loss, [w, v])
    return tuple(w.tolist()), tuple(v.tolist())


def _minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    optimizer = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
