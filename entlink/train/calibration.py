"""Fitting the decision: its weights, how much is read, and the NIL threshold.

Fitted on dev, on held-out training documents, and on composed ones that show what both have too
little of. None was seen by the retriever or by the reranker in training, so their scores are as
they will be on new text.
"""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from entlink import decide
from entlink.encode.dual import DualEncoder
from entlink.inputs import mention_input, pair_context
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import PairReader
from entlink.rerank.reading import read_candidates
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.retrieve.hybrid import RetrievalConfig
from entlink.train.choices import (
    FLOORS,
    Case,
    before_documents,
    before_reading,
    choose_heat,
    choose_reading,
    choose_threshold,
    early_surroundings,
    read_less,
    surroundings_of,
)
from entlink.train.data import (
    Example,
    fold_of,
    label_examples,
    read_examples,
    read_relations,
    read_texts,
)
from entlink.train.distant import Ambiguous, composed_ambiguous, composed_longer, of_one_name
from entlink.train.distil_scores import reader_of
from entlink.train.matches import adjective_examples, match_examples
from entlink.train.reports import report_examples
from entlink.train.weights import Row, fit_coherence, fit_weights

log = logging.getLogger(__name__)

_BATCH = 64  # mentions
_REPORTS = ("match-", "adjective-", "report-")  # composed documents, as they begin
_AMBIGUOUS = ("ambiguous-", "rivals-", "longer-")


@dataclass(frozen=True, slots=True)
class CalibrationTraining:
    """The config file of ``entlink train calibration``."""

    kb: Path
    retriever: Path
    mentions: tuple[Path, ...]
    dev: tuple[Path, ...]
    out: Path  # decision.json
    reranker: Path | None = None  # None: for a bundle without one
    backend: str = "auto"  # what reads: torch, bf16, openvino; or the quickest there is
    detector: Path | None = None  # labels the mentions; None: they stay without
    relations: Path | None = None  # of these, some reports and sentences are composed:
    relation_sources: tuple[str, ...] = ()
    n_matches: int = 0  # as in the reranker's training, with another seed
    n_adjectives: int = 0
    n_ambiguous: int = 0
    n_reports: int = 0  # mentions in whole news reports
    unlabelled: tuple[Path, ...] = ()  # texts beside whose sentences the ambiguous names stand
    hold_out: int = 16  # as in the retriever's and the reranker's training
    n_longer: int = 0  # texts that name someone in full, then another by the last name
    n_rivals: int = 0  # documents with several bearers of one name, about so many
    n_mentions: int = 3000  # of held-out documents; those drawn are taken whole
    n_dev: int = 7000  # of dev documents
    held_out_weight: float = 1.0  # of a held-out mention beside one of dev
    report_weight: float = 0.5  # of one in a composed report
    ambiguous_weight: float = 3.0  # of a composed one whose name several entities bear
    ambiguous_weight_read: float = 8.0  # the same for the models after reading
    seed: int = 0
    max_pairs: int = 16
    max_lost: float = 0.001  # share of dev's right answers that reading fewer pairs may cost
    penalty: float = 1e-3  # of squared weights
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)  # as in the bundle


def train_calibration(config: CalibrationTraining) -> dict[str, float]:
    """Fit all models, choose reading and threshold, write ``config.out``; returns figures on dev.

    What a mention counts depends on where it is from: dev is like what is linked.
    """
    kb = KnowledgeBase.open(config.kb)
    encoder = DualEncoder.load(config.retriever)
    retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder))
    held_out = [e for e in read_examples(config.mentions) if fold_of(e.doc, config.hold_out) == 0]
    held_out = _some(label_examples(held_out, config.detector), config.n_mentions, config.seed)
    dev = _some(
        label_examples(read_examples(config.dev), config.detector), config.n_dev, config.seed
    )
    examples = [*held_out, *_made(config, kb), *dev]
    first_dev = len(examples) - len(dev)
    weights = _weights(examples, first_dev, config, config.ambiguous_weight)
    decision = replace(
        decide.Decision.blank(), max_pairs=config.max_pairs, read_mass=2.0, read_floor=FLOORS[0]
    )
    cases = _retrieve(kb, retriever, examples)
    decision = _fit_first(decision, config, cases, weights)
    log.info("first model: %s %s", decision.first, decision.first_nil)
    decision = _fit_early(decision, config, retriever, cases, weights)
    decision = choose_heat(decision, retriever, cases[first_dev:])
    cases = before_reading(decision, retriever, cases)
    if config.reranker is not None:
        with tempfile.TemporaryDirectory(prefix="entlink-int8-") as folder:
            reader = reader_of(config.reranker, Path(folder), config.backend)
            cases = _read(decision, kb, reader, examples, cases)
        weights = _weights(examples, first_dev, config, config.ambiguous_weight_read)
        whole = _fit_read(decision, config, retriever, cases, weights)
        chosen = choose_reading(whole, retriever, cases[first_dev:], config.max_lost)
        decision = replace(
            decision,
            max_pairs=chosen.max_pairs,
            read_mass=chosen.read_mass,
            read_floor=chosen.read_floor,
        )
        cases = [read_less(decision, case) for case in cases]
        decision = _fit_read(decision, config, retriever, cases, weights)
        decision = choose_heat(decision, retriever, cases[first_dev:])
    decision, figures = choose_threshold(decision, retriever, cases[first_dev:])
    decision.save(config.out)
    return figures


def _some(examples: list[Example], n: int, seed: int) -> list[Example]:
    """So many mentions, in order, of documents that are drawn and kept whole."""
    sizes: dict[str, int] = {}
    for e in examples:
        sizes[e.doc] = sizes.get(e.doc, 0) + 1
    documents = sorted(sizes)
    random.Random(seed).shuffle(documents)
    chosen, n_chosen = set(), 0
    for document in documents:
        if n_chosen >= n:
            break
        chosen.add(document)
        n_chosen += sizes[document]
    return [e for e in examples if e.doc in chosen]


def _weights(
    examples: Sequence[Example], first_dev: int, config: CalibrationTraining, ambiguous: float
) -> list[float]:
    """What each mention counts; ``ambiguous``: a composed one whose name several entities bear."""

    def held_out(document: str) -> float:
        if document.startswith(_AMBIGUOUS):
            return ambiguous
        return config.report_weight if document.startswith(_REPORTS) else config.held_out_weight

    some = [held_out(e.doc) for e in examples[:first_dev]]
    return some + [1.0] * (len(examples) - first_dev)


def _made(config: CalibrationTraining, kb: KnowledgeBase) -> list[Example]:
    """Composed mentions, of which labelled Wikipedia text has too few."""
    if config.relations is None:
        return []
    entities = [entity for many in kb.iterate() for entity in many]
    rows = {entity.id: row for row, entity in enumerate(entities)}
    facts = read_relations(config.relations, rows, frozenset(config.relation_sources))
    seed = config.seed + 1000  # not the sentences that the reranker has read
    fillers = [text for path in config.unlabelled for _, text in read_texts(path)]
    ambiguous = Ambiguous(entities, facts)
    made = [
        *match_examples(entities, facts, n=config.n_matches, seed=seed),
        *adjective_examples(entities, n=config.n_adjectives, seed=seed),
        *composed_ambiguous(ambiguous, fillers, n=config.n_ambiguous, seed=seed),
        *report_examples(entities, facts, n=config.n_reports, seed=seed, fillers=fillers),
        *composed_longer(ambiguous, n=config.n_longer, seed=seed),
        *_rivals(composed_ambiguous(ambiguous, fillers, n=8 * config.n_rivals, seed=seed + 1)),
    ]
    return label_examples(made, config.detector)


def _rivals(examples: Iterable[Example]) -> list[Example]:
    """Those of one name that mean different entities, as if they stood in one document."""
    return [
        replace(e, doc=f"rivals-{name}")
        for name, many in of_one_name(examples).items()
        for e in many
    ]


def _retrieve(kb: KnowledgeBase, retriever: Retriever, examples: Sequence[Example]) -> list[Case]:
    """Candidates, and the place of the gold one (k: not in the KB, -1: in the KB but missed)."""
    rows = kb.rows_of(list({e.gold for e in examples}))
    cases: list[Case] = []
    for begin in range(0, len(examples), _BATCH):
        some = examples[begin : begin + _BATCH]
        inputs = [
            mention_input(e.text, e.start, e.end, label=e.label, full_name=e.full_name)
            for e in some
        ]
        for e, found in zip(some, retriever.retrieve(inputs), strict=True):
            places = np.flatnonzero(found.rows == rows.get(e.gold, -1))
            missed = -1 if e.gold in rows else len(found.rows)
            gold = int(places[0]) if len(places) else missed
            nothing = np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
            name = e.text[e.start : e.end]
            cases.append(Case(e.doc, name, found, retriever.evidence(found), gold, *nothing))
    return cases


def _read(
    decision: decide.Decision,
    kb: KnowledgeBase,
    reader: PairReader,
    examples: Sequence[Example],
    cases: Sequence[Case],
) -> list[Case]:
    """Read the ``max_pairs`` best of every mention that are not below the least of the floors."""
    read: list[Case] = []
    for begin in tqdm(range(0, len(cases), _BATCH), desc="reading", disable=None):
        some = cases[begin : begin + _BATCH]
        places = [decide.to_read(decision, case.first) for case in some]
        contexts = [
            pair_context(e.text, e.start, e.end, full_name=e.full_name)
            for e in examples[begin : begin + _BATCH]
        ]
        chosen = [c.found.rows[p] for c, p in zip(some, places, strict=True)]
        logits_of = read_candidates(reader, kb, contexts, chosen)
        for case, p, logits in zip(some, places, logits_of, strict=True):
            read.append(replace(case, read=p, logits=logits))
    return read


def _fit_first(
    decision: decide.Decision,
    config: CalibrationTraining,
    cases: Sequence[Case],
    weights: Sequence[float],
) -> decide.Decision:
    rows = [
        (*decide.first_features(case.evidence), case.gold) if case.gold >= 0 else None
        for case in cases
    ]
    w, v = fit_weights(*_known(rows, weights), penalty=config.penalty)
    return replace(decision, first=w, first_nil=v)


def _fit_early(
    decision: decide.Decision,
    config: CalibrationTraining,
    retriever: Retriever,
    cases: Sequence[Case],
    weights: Sequence[float],
) -> decide.Decision:
    first = [decide.first_probabilities(decision, case.evidence) for case in cases]
    places, around = early_surroundings(retriever, cases, first)
    features = [
        decide.early_features(case.evidence, some, others)
        for case, some, others in zip(cases, places, around, strict=True)
    ]
    known, kept = _weighed(cases, weights, places, features)
    return replace(decision, early=fit_coherence(known, kept, seed=config.seed))


def _fit_read(
    decision: decide.Decision,
    config: CalibrationTraining,
    retriever: Retriever,
    cases: Sequence[Case],
    weights: Sequence[float],
) -> decide.Decision:
    """The models of what was read: of a mention for itself, and of a document's together."""
    decision = _fit_final(replace(decision, coherence=None), config, cases, weights)
    log.info("final model: %s %s", decision.final, decision.final_nil)
    return _fit_documents(decision, config, retriever, cases, weights)


def _fit_final(
    decision: decide.Decision,
    config: CalibrationTraining,
    cases: Sequence[Case],
    weights: Sequence[float],
) -> decide.Decision:
    rows: list[Row | None] = []
    for case in cases:
        x, nil = decide.read_features(case.evidence, case.read, case.logits)
        place = _place(case, case.read)
        rows.append(None if place is None else (x, nil, place))
    w, v = fit_weights(*_known(rows, weights), penalty=config.penalty)
    return replace(decision, final=w, final_nil=v)


def _fit_documents(
    decision: decide.Decision,
    config: CalibrationTraining,
    retriever: Retriever,
    cases: Sequence[Case],
    weights: Sequence[float],
) -> decide.Decision:
    around = surroundings_of(retriever, cases, [before_documents(decision, c) for c in cases])
    features = [
        decide.document_features(case.evidence, case.read, case.logits, others)
        for case, others in zip(cases, around, strict=True)
    ]
    known, kept = _weighed(cases, weights, [case.read for case in cases], features)
    if not known:
        return decision
    return replace(decision, coherence=fit_coherence(known, kept, seed=config.seed))


def _weighed(
    cases: Sequence[Case],
    weights: Sequence[float],
    places: Sequence[NDArray[np.int64]],
    features: Sequence[tuple[decide.Floats, decide.Floats]],
) -> tuple[list[Row], list[float]]:
    """What a document pass is fitted on: mentions of which it weighs candidates, the answer too."""
    rows: list[Row | None] = []
    for case, some, (x, nil) in zip(cases, places, features, strict=True):
        place = _place(case, some) if len(some) else None
        rows.append(None if place is None else (x, nil, place))
    return _known(rows, weights)


def _known(rows: Sequence[Row | None], weights: Sequence[float]) -> tuple[list[Row], list[float]]:
    """The mentions whose answer has a place, and what they weigh."""
    pairs = [(row, w) for row, w in zip(rows, weights, strict=True) if row is not None]
    return [row for row, _ in pairs], [w for _, w in pairs]


def _place(case: Case, among: NDArray[np.int64]) -> int | None:
    """The place of the gold one among these candidates; None if it is not one of them."""
    if case.gold == len(case.evidence.cosines):
        return len(among)
    places = np.flatnonzero(among == case.gold)
    return int(places[0]) if len(places) else None
