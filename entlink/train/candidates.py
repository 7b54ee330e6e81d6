"""What the reranker learns to tell apart: training mentions with the retriever's own candidates.

Candidates come from retrievers that have not seen the mention's document (cross-fitting): those of
a retriever that has memorised it are easier than what the reranker meets later.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from entlink.encode.dual import DualEncoder
from entlink.inputs import mention_input, pair_context
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.dense import Retrieved, Retriever, SurfaceVectors
from entlink.train.data import Example, fold_of, read_examples, read_relations, read_texts
from entlink.train.distant import (
    Ambiguous,
    composed_ambiguous,
    composed_rivals,
    distant_examples,
    spread,
)
from entlink.train.matches import adjective_examples, match_examples
from entlink.train.reports import report_examples
from entlink.train.reranker_config import RerankerTraining


@dataclass(frozen=True, slots=True)
class Candidates:
    """A mention and what to tell apart."""

    example: Example
    gold: int  # KB row of the true entity, -1 for NIL
    rows: tuple[int, ...]  # of wrong candidates, best first


def rows_of(item: Candidates) -> NDArray[np.int64]:
    """KB rows of a mention's candidates: the true one, if any, then the others, best first."""
    first = [item.gold] if item.gold >= 0 else []
    return np.asarray([*first, *item.rows], dtype=np.int64)


def contexts_of(lists: Sequence[Candidates]) -> list[tuple[str, str, str]]:
    """What the reranker reads of each mention."""
    examples = [c.example for c in lists]
    return [pair_context(e.text, e.start, e.end, full_name=e.full_name) for e in examples]


def mine(config: RerankerTraining, kb: KnowledgeBase) -> list[Candidates]:
    """Candidate lists of all training mentions outside the held-out documents."""
    generator = random.Random(config.seed)
    examples = learnt_from(config, read_examples(config.mentions), generator)
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


def learnt_from(
    config: RerankerTraining, labelled: Sequence[Example], generator: random.Random | None = None
) -> list[Example]:
    """Of all labelled mentions those that ``mine`` takes: outside the held-out documents, drawn."""
    examples = [e for e in labelled if fold_of(e.doc, config.hold_out) != 0]
    if not config.n_labelled:
        return examples
    generator = generator or random.Random(config.seed)
    return generator.sample(examples, min(config.n_labelled, len(examples)))


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
