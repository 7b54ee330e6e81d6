"""The figures of one or several sets as one JSON object, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from entlink.evaluate.intervals import N_RESAMPLES, interval, macro, micro, resampled
from entlink.evaluate.metrics import (
    Outcome,
    SpanCounts,
    Tally,
    breakdowns,
    calibration_error,
    calibration_sums,
    outcome_ratios,
    reliability,
    span_ratios,
    summary,
    tally,
)
from entlink.evaluate.run import Measured, peak_rss_mb
from entlink.evaluate.sets import GoldSet
from entlink.linker import Linker
from entlink.records import NIL

SEED = 0
_NOT_RATIOS = ("ece", "pairs_per_mention")
Figures = dict[str, Any]


def result_of(
    linker: Linker, measured: Sequence[Measured], *, outcomes: bool = False
) -> dict[str, Any]:
    """All figures: pooled at the top (micro), then set by set, as macro average, and broken down.

    ``outcomes`` adds what happened to every mention, which `entlink compare` needs.
    """
    sets = {m.gold.name: figures_of([m]) | _file(m.gold) for m in measured}
    pooled = figures_of(measured) | {"peak_rss_mb": peak_rss_mb()}
    tallies = [tally_of(m) for m in measured]
    with_intervals(pooled, list(sets.values()), tallies)
    result = pooled | about(linker) | {"sets": sets}
    if len(measured) > 1:
        result["macro"] = macro_of(list(sets.values()), tallies)
    _add_calibration_intervals(result, measured)
    every = [o for m in measured for o in m.outcomes]
    probabilities, is_right = [o.top_probability for o in every], [o.top_is_gold for o in every]
    result["reliability"] = [asdict(b) for b in reliability(probabilities, is_right)]
    result["breakdowns"] = breakdowns(every)
    result["bootstrap"] = {"over": "documents", "resamples": N_RESAMPLES, "seed": SEED}
    if outcomes:
        result |= _details(measured)
    return result


def _file(gold: GoldSet) -> dict[str, str]:
    return {"split": gold.split, "sha256": gold.sha256}


def about(linker: Linker) -> dict[str, Any]:
    """What was measured: bundle and KB."""
    return {
        "bundle": {"name": linker.bundle.path.resolve().name, "digest": linker.bundle.digest},
        "kb": {"n_entities": len(linker.kb), "digest": linker.kb.digest},
        "nil_threshold": linker.decision.nil_threshold,
    }


def figures_of(measured: Sequence[Measured]) -> Figures:
    """Counts first, then every figure over the sets together; mentions weigh alike."""
    every = [o for m in measured for o in m.outcomes]
    counts = {
        "n_documents": sum(len(m.gold.documents) for m in measured),
        "n_mentions": len(every),
        "n_in_kb": sum(o.in_kb for o in every),
        "n_out_of_kb": sum(not o.in_kb and o.gold != NIL for o in every),
        "n_nil": sum(o.gold == NIL for o in every),
    }
    listed = [m.n_listed for m in measured if m.n_listed is not None]
    if listed:
        counts["n_with_candidates"] = sum(listed)
    seconds = sum(m.seconds for m in measured)
    figures: Figures = counts | summary(every) | {"mentions_per_second": len(every) / seconds}
    if any(m.spans for m in measured):
        spans = [c for m in measured for c in m.spans]
        counted = tally(["all"], (("all", span_ratios(c)) for c in spans))
        figures |= counted.figures()
        figures["n_links_left_out"] = sum(c.n_left_out for c in spans)
        span_seconds = sum(m.span_seconds for m in measured)
        figures["documents_per_second"] = len(spans) / span_seconds
    return figures


def tally_of(measured: Measured) -> Tally:
    """The counts of every measure of mentions and spans, document by document."""
    docs = [doc.id for doc in measured.gold.documents]
    return joined(docs, measured.outcomes, measured.spans)


def joined(docs: Sequence[str], outcomes: Sequence[Outcome], spans: Sequence[SpanCounts]) -> Tally:
    """One tally of the measures of mentions and of spans, whichever there are."""
    first = tally(docs, ((o.doc, outcome_ratios(o)) for o in outcomes))
    second = tally(docs, ((c.doc, span_ratios(c)) for c in spans))
    counts = np.concatenate([first.counts, second.counts], axis=1)
    return Tally((*first.names, *second.names), tuple(docs), counts)


def with_intervals(pooled: Figures, sets: Sequence[Figures], tallies: Sequence[Tally]) -> None:
    """Add "intervals" to the pooled figures and to those of each set."""
    sums = [resampled(t.counts, seed=SEED + i) for i, t in enumerate(tallies)]
    names = tallies[0].names
    for figures, values in zip([pooled, *sets], [micro(sums), *map(_alone, sums)], strict=True):
        found = [interval(values[:, i]) for i in range(len(names))]
        figures["intervals"] = {n: [i.low, i.high] for n, i in zip(names, found, strict=True)}


def macro_of(sets: Sequence[Figures], tallies: Sequence[Tally]) -> Figures:
    """The mean of each figure over the sets, with intervals; sets weigh alike."""
    names = tallies[0].names
    means = macro([t.counts.sum(axis=0) for t in tallies]).tolist()
    figures: Figures = dict(zip(names, means, strict=True))
    figures |= {name: float(np.mean([s[name] for s in sets])) for name in _NOT_RATIOS}
    values = macro([resampled(t.counts, seed=SEED + i) for i, t in enumerate(tallies)])
    found = [interval(values[:, i]) for i in range(len(names))]
    figures["intervals"] = {n: [i.low, i.high] for n, i in zip(names, found, strict=True)}
    return figures


def _add_calibration_intervals(result: Figures, measured: Sequence[Measured]) -> None:
    """The intervals of "ece", by the same documents; to draw them adds chance, so they lie high."""
    sums = []
    for i, m in enumerate(measured):
        docs = [doc.id for doc in m.gold.documents]
        sums.append(resampled(calibration_sums(docs, m.outcomes), seed=SEED + i))
    alone = [calibration_error(some) for some in sums]
    pairs = [
        (result, calibration_error(np.sum(sums, axis=0))),
        *zip(result["sets"].values(), alone, strict=True),
    ]
    if "macro" in result:
        pairs.append((result["macro"], np.mean(alone, axis=0)))
    for figures, values in pairs:
        found = interval(values)
        figures["intervals"]["ece"] = [found.low, found.high]


def _alone(sums: Any) -> Any:
    return micro([sums])


_DROPPED = "groups"  # they follow from the KB and the file


def _details(measured: Sequence[Measured]) -> dict[str, Any]:
    names = [f.name for f in fields(Outcome) if f.name != _DROPPED]
    return {
        "documents": {m.gold.name: [doc.id for doc in m.gold.documents] for m in measured},
        "outcomes": {
            m.gold.name: [{n: getattr(o, n) for n in names} for o in m.outcomes] for m in measured
        },
        "spans": {m.gold.name: [asdict(c) for c in m.spans] for m in measured},
    }


def outcomes_in(result: Mapping[str, Any], name: str) -> tuple[list[Outcome], list[SpanCounts]]:
    """The outcomes and span counts of one set, as ``result_of`` wrote them."""
    outcomes = [Outcome(**o) for o in result["outcomes"].get(name, ())]
    return outcomes, [SpanCounts(**c) for c in result["spans"].get(name, ())]
