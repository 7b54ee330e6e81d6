"""From runs to one JSON object: for each system its figures, and how far entlink is ahead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entlink.evaluate.benchmark.peer import Kind, Peer
from entlink.evaluate.benchmark.runs import Run, Sample
from entlink.evaluate.compare import ResultFile, SetResult, compare
from entlink.evaluate.intervals import interval, macro, micro, resampled
from entlink.evaluate.metrics import Outcome, outcome_ratios, tally
from entlink.evaluate.result import SEED
from entlink.evaluate.sets import GoldSet
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL

Figures = dict[str, Any]
SHOWN = ("accuracy", "recall@1", "recall@10", "recall@100")


def counts_of(
    gold: GoldSet, *, split: str, kbs: Mapping[str, KnowledgeBase], sample: Sample
) -> Figures:
    """How many mentions of a set are in each KB, outside it, and NIL."""
    golds = [entity for _, _, entity in gold.mentions()]
    n_nil = sum(entity == NIL for entity in golds)
    counts: Figures = {
        "split": split,
        "n_documents": len(gold.documents),
        "n_mentions": len(golds),
        "n_nil": n_nil,
        "n_sampled": len(sample[gold.name]),
        "in_kb": {},
        "out_of_kb": {},
    }
    for name, kb in kbs.items():
        known = kb.rows_of(sorted(set(golds)))
        n = sum(entity in known for entity in golds)
        counts["in_kb"][name] = n
        counts["out_of_kb"][name] = len(golds) - n_nil - n
    return counts


def row(peer: Peer, runs: Sequence[Run], ours: Sequence[Run], n_entities: int) -> Figures:
    """One system's figures over in-KB mentions; ``ours`` are cut to the mentions that it had."""
    names, counts = _counts(runs)
    sums = [resampled(c, seed=SEED + i) for i, c in enumerate(counts)]
    totals = [c.sum(axis=0) for c in counts]
    found: Figures = {"name": peer.name, "about": peer.about, "kind": peer.kind.value}
    for average, combine in (("micro", micro), ("macro", macro)):
        values, drawn = combine(totals), combine(sums)
        found[average] = {n: float(values[names.index(n)]) for n in SHOWN}
        middle = interval(drawn[:, names.index("accuracy")])
        found[average]["interval"] = [middle.low, middle.high]
    found["sets"] = {run.gold: _accuracy(run.outcomes) for run in runs}
    outcomes = [o for run in runs for o in run.outcomes]
    found |= _speed(peer, runs, outcomes)
    in_kb = [o for o in outcomes if o.in_kb]
    found["n_mentions"], found["n_in_kb"] = len(outcomes), len(in_kb)
    found["n_linked"] = sum(o.top is not None for o in in_kb)
    found["ahead"] = _ahead(runs, ours, n_entities) if ours and ours[0].peer != peer.name else None
    return found


def _counts(runs: Sequence[Run]) -> tuple[tuple[str, ...], list[Any]]:
    tallies = [tally(r.docs, ((o.doc, outcome_ratios(o)) for o in r.outcomes)) for r in runs]
    return tallies[0].names, [t.counts for t in tallies]


def _accuracy(outcomes: Sequence[Outcome]) -> float:
    in_kb = [o.top_is_gold for o in outcomes if o.in_kb]
    return float(np.mean(in_kb)) if in_kb else float("nan")


def _speed(peer: Peer, runs: Sequence[Run], outcomes: Sequence[Outcome]) -> Figures:
    seconds = sum(run.seconds for run in runs)
    return {
        "mentions_per_second": len(outcomes) / seconds if peer.is_timed and seconds else None,
        "pairs_per_mention": sum(o.n_pairs for o in outcomes) / max(1, len(outcomes)),
        "preparing_s": max(run.preparing_s for run in runs) if peer.is_timed else None,
        "commits": sorted({run.commit for run in runs}),
        "dates": sorted({run.date for run in runs}),
    }


def _ahead(runs: Sequence[Run], ours: Sequence[Run], n_entities: int) -> Figures | None:
    """Our accuracy less its own on the same mentions, with the paired 95% interval."""
    kb = {"n_entities": n_entities}
    own = {run.gold: run for run in ours}
    if any(run.gold not in own for run in runs):
        return None
    theirs = {run.gold: _set_result(run, run) for run in runs}
    same = {run.gold: _set_result(own[run.gold], run) for run in runs}
    result = compare(
        ResultFile(Path(runs[0].peer), theirs, kb), ResultFile(Path(ours[0].peer), same, kb)
    )
    averages = {"micro": result["measures"], "macro": result.get("macro", result["measures"])}
    return {
        name: {key: measures["accuracy"][key] for key in ("b", "difference", "interval", "p")}
        for name, measures in averages.items()
    }


def _set_result(run: Run, like: Run) -> SetResult:
    """The outcomes of ``run`` on the mentions that ``like`` had."""
    spans = {(o.doc, o.start, o.end) for o in like.outcomes}
    kept = {(o.doc, o.start, o.end): o for o in run.outcomes}
    return SetResult(like.docs, {span: o for span, o in kept.items() if span in spans}, ())


def leads(figures: Mapping[str, Any], average: str) -> bool | None:
    """Is entlink first: does the paired interval leave out zero? None for entlink itself."""
    ahead = figures["ahead"]
    return None if ahead is None else bool(ahead[average]["interval"][0] > 0)


def by_kind(rows: Sequence[Figures], kind: Kind) -> list[Figures]:
    """The systems of a kind, the most accurate first (macro average)."""
    chosen = [r for r in rows if r["kind"] == kind.value]
    return sorted(chosen, key=lambda r: (-r["macro"]["accuracy"], r["name"]))
