"""The teacher on mentions of training and of held-out documents: does it over-fit as well?"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from entlink.encode.dual import DualEncoder
from entlink.inputs import pair_context
from entlink.kb.store import KnowledgeBase
from entlink.rerank.cross_encoder import PairReader
from entlink.rerank.reading import read_candidates
from entlink.retrieve.dense import Retriever, SurfaceVectors
from entlink.train.candidates import learnt_from
from entlink.train.data import Example, fold_of, read_examples
from entlink.train.distil_config import DistilTraining, mining_of
from entlink.train.distil_scores import reader_of
from tests.studies.margins import candidates_of


def teacher_report(config: DistilTraining, n: int) -> dict[str, dict[str, float]]:
    """Share of n mentions of each kind whose true entity the teacher likes best.

    It reads the true entity and what the fold's retriever, which has not seen the document, finds.
    """
    kb = KnowledgeBase.open(config.kb)
    every = read_examples(config.mentions)
    gold = kb.rows_of(sorted({e.gold for e in every}))
    groups = {
        "train": learnt_from(mining_of(config), every),
        "held_out": [e for e in every if fold_of(e.doc, config.hold_out) == 0],
    }
    reader = reader_of(config.teacher, config.scores, config.backend)
    folds = len(config.retrievers)
    right: dict[str, list[bool]] = {"train": [], "held_out": []}
    chosen = {name: _some([e for e in some if e.gold in gold], n) for name, some in groups.items()}
    for fold, folder in enumerate(config.retrievers):
        encoder = DualEncoder.load(folder)
        retriever = Retriever(kb, encoder, SurfaceVectors.build(kb, encoder))
        for name, many in chosen.items():
            some = [e for e in many if fold_of(e.doc, folds) == fold]
            right[name] += _right(reader, kb, retriever, some, gold, k=config.pool)
    return {
        name: {"recall@1": float(np.mean(found)), "n": float(len(found))}
        for name, found in right.items()
        if found
    }


def _some(examples: Sequence[Example], n: int) -> list[Example]:
    return random.Random(0).sample(examples, min(n, len(examples)))


def _right(
    reader: PairReader,
    kb: KnowledgeBase,
    retriever: Retriever,
    examples: Sequence[Example],
    gold: dict[str, int],
    *,
    k: int,
) -> list[bool]:
    rows = candidates_of(retriever, examples, gold, k=k)
    contexts = [pair_context(e.text, e.start, e.end) for e in examples]
    return [int(np.argmax(x)) == 0 for x in read_candidates(reader, kb, contexts, rows)]
