"""Measures a linker on documents whose mentions have gold entities."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from entlink.errors import InputError
from entlink.evaluate.metrics import Outcome, summary
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker, Scored
from entlink.records import Mention
from entlink.train.data import Example, label_examples, read_examples

_BATCH = 256  # mentions


def evaluate(linker: Linker, paths: Sequence[Path], *, progress: bool) -> dict[str, float | int]:
    """Link the gold mentions of JSONL files; the figures of `entlink evaluate --json`."""
    examples = read_examples(paths)
    if not examples:
        raise InputError(f"{paths[0]}: no mention with an entity; give a file with gold links")
    started = time.perf_counter()
    outcomes = list(outcomes_of(linker, examples, progress=progress))
    seconds = time.perf_counter() - started
    counts = {
        "n_documents": len({o.doc for o in outcomes}),
        "n_mentions": len(outcomes),
        "n_in_kb": sum(o.in_kb for o in outcomes),
    }
    speed = {"mentions_per_second": len(outcomes) / seconds, "peak_rss_mb": peak_rss_mb()}
    return counts | summary(outcomes) | speed


def outcomes_of(
    linker: Linker, examples: Sequence[Example], *, progress: bool = False
) -> Iterator[Outcome]:
    """One outcome for each gold mention, in order."""
    labelled = [
        (e.text, Mention(e.start, e.end, e.text[e.start : e.end], e.label, e.full_name))
        for e in label_examples(examples, linker.detector)
    ]
    rows = linker.kb.rows_of(list({e.gold for e in examples}))
    popular = most_popular(linker.kb, [m.text for _, m in labelled])
    with tqdm(total=len(examples), unit=" mentions", disable=not progress) as bar:
        for begin in range(0, len(examples), _BATCH):
            some = labelled[begin : begin + _BATCH]
            for i, scored in enumerate(linker.score(some), begin):
                row = rows.get(examples[i].gold, -1)
                guess = popular[labelled[i][1].text]
                yield outcome(linker, examples[i].doc, row, scored, popular_is_gold=guess == row)
            bar.update(len(some))


def outcome(
    linker: Linker, doc: str, gold: int, scored: Scored, *, popular_is_gold: bool
) -> Outcome:
    """Compare the candidates of one mention with the gold row (-1: not in the KB)."""
    order = scored.order()
    by_first = np.lexsort((scored.retrieved.rows, -scored.first[:-1]))
    ranked = scored.retrieved.rows[by_first].tolist()
    top = int(scored.retrieved.rows[order[0]]) if len(order) else -2
    probability = float(scored.probabilities[order[0]]) if len(order) else 0.0
    is_link = probability >= linker.decision.nil_threshold
    return Outcome(
        doc=doc,
        in_kb=gold >= 0,
        rank=ranked.index(gold) if gold in ranked else None,
        top_is_gold=top == gold,
        top_probability=probability,
        answer_is_gold=(is_link and top == gold) if gold >= 0 else not is_link,
        n_pairs=int(np.isfinite(scored.logits).sum()),
        popular_is_gold=gold >= 0 and popular_is_gold,
    )


def most_popular(kb: KnowledgeBase, surfaces: Sequence[str]) -> dict[str, int]:
    """The baseline: for each surface the row of the most popular entity of that name, -2 if none.

    Unknown popularity is least, ties go to the smaller row.
    """
    found = kb.by_aliases(list(dict.fromkeys(surfaces)))
    popularity = np.nan_to_num(kb.popularity, nan=-math.inf, neginf=-math.inf)
    return {
        surface: min((-popularity[hit.row], hit.row) for hit in hits)[1] if hits else -2
        for surface, hits in found.items()
    }


def peak_rss_mb() -> float:
    """The most memory this process has held, in MB of 2^20 bytes; 0 where that is not to be had."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
