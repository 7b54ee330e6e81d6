"""Link very many short documents and watch memory and rate from the start to the end.

    python -m tests.corpus.endurance --documents 100000 --out out/100k
    python -m tests.corpus.endurance --documents 1000000 --no-reranker --out out/1m

Writes OUT.json (samples and verdict) and OUT.svg (the plot). The exit code is 1 if the rate of the
last tenth is more than 5% below that of the second (the first warms up), or memory grew by more
than 5% between them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from entlink.bundle import open_bundle
from entlink.corpus import Progress, link_corpus
from entlink.corpus.items import BATCH_DOCUMENTS, SHARD_BATCHES
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL

ALLOWED = 0.05
_PATTERNS = (
    "{a} and {b} were in the news on day {n}.",
    "On day {n} a man from {a} wrote about {b}, and nobody in {c} replied.",
    "{a} lost to {b}; the next match is in {c} on day {n}.",
    "The trade between {a} and {b} grew by {n} percent, says {c}.",
)


class Sample(NamedTuple):
    """The state of a run at one moment."""

    seconds: float
    n_documents: int
    rss_mb: float  # of this process and those that it started


def compose(path: Path, n_documents: int, names: Sequence[str], *, seed: int = 0) -> None:
    """Short documents about names of the knowledge base."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for n in range(n_documents):
            a, b, c = chance.sample(names, 3)
            text = chance.choice(_PATTERNS).format(a=a, b=b, c=c, n=n)
            file.write(json.dumps({"id": n, "text": text}) + "\n")


def names_of(bundle: str | None, *, n_names: int = 5000) -> list[str]:
    """Names of entities, the first of the KB."""
    kb = KnowledgeBase.open(open_bundle(bundle).path)
    found: list[str] = []
    for entities in kb.iterate():
        found += [entity.name for entity in entities if entity.id != NIL]
        if len(found) >= n_names:
            break
    return found[:n_names]


def rss_mb() -> float:
    """Resident memory of this process and its children, in MB (Linux)."""
    total = 0
    for process in [os.getpid(), *_children(os.getpid())]:
        status = Path(f"/proc/{process}/status")
        if status.exists():
            line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
            total += int(line.split()[1])
    return total / 1024


def _children(process: int) -> Iterator[int]:
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield child
            yield from _children(child)


def tenths(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The samples of the second and the last tenth of a run's documents."""
    tenth = len(samples) // 10  # a sample a shard, and shards are of one size
    return samples[tenth : 2 * tenth + 1], samples[-tenth - 1 :]


def rate(samples: Sequence[Sample]) -> float:
    """Documents a second between the first and the last sample."""
    first, last = samples[0], samples[-1]
    return (last.n_documents - first.n_documents) / (last.seconds - first.seconds)


def plot(samples: Sequence[Sample], title: str) -> str:
    """Rate and memory over the documents, as SVG."""
    step = max(1, len(samples) // 100)
    ends = samples[::step]
    rates = [rate([a, b]) for a, b in pairwise(ends)]
    memory = [s.rss_mb for s in ends[1:]]
    x = [s.n_documents for s in ends[1:]]
    panels = [("documents/s", rates, "#1b6ca8"), ("memory, MB", memory, "#a83c1b")]
    body = "".join(
        _panel(x, values, name=name, colour=colour, top=40 + 190 * i)
        for i, (name, values, colour) in enumerate(panels)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="430" '
        'font-family="sans-serif" font-size="12"><rect width="720" height="430" fill="white"/>'
        f'<text x="60" y="22" font-size="14">{title}</text>{body}</svg>\n'
    )


def _panel(x: Sequence[int], values: Sequence[float], *, name: str, colour: str, top: int) -> str:
    width, height, left = 620, 140, 70
    highest, total = 1.15 * max(values), x[-1]
    points = " ".join(
        f"{left + width * a / total:.1f},{top + height * (1 - b / highest):.1f}"
        for a, b in zip(x, values, strict=True)
    )
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>'
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{left + 6}" y="{top + 16}" fill="{colour}">{name}</text>'
        f'<text x="{left - 6}" y="{top + 10}" text-anchor="end">{highest:.0f}</text>'
        f'<text x="{left - 6}" y="{top + height}" text-anchor="end">0</text>'
        f'<text x="{left + width}" y="{top + height + 16}" text-anchor="end">'
        f"{total:,} documents</text>"
    )


def run(arguments: argparse.Namespace) -> bool:
    """Link, write the report, and tell whether rate and memory stayed what they were."""
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        source = Path(folder) / "composed.jsonl"
        compose(source, arguments.documents, names_of(arguments.bundle))
        started = time.perf_counter()

        def sample(progress: Progress) -> None:
            seconds = time.perf_counter() - started
            samples.append(Sample(seconds, progress.counts.n_documents, rss_mb()))

        summary = link_corpus(
            source,
            Path(folder) / "links.jsonl.gz",
            bundle=arguments.bundle,
            device=arguments.device,
            processes=arguments.processes,
            reranker=not arguments.no_reranker,
            n_candidates=arguments.candidates,
            on_progress=sample,
        )
        size = (Path(folder) / "links.jsonl.gz").stat().st_size
    second, last = tenths(samples)
    rates, memory = (rate(second), rate(last)), (second[-1].rss_mb, last[-1].rss_mb)
    steady = rates[1] >= (1 - ALLOWED) * rates[0] and memory[1] <= (1 + ALLOWED) * memory[0]
    report = {
        "n_documents": summary.n_documents,
        "n_mentions": summary.n_mentions,
        "seconds": round(summary.wall_s, 1),
        "seconds_by_stage": {k: round(v, 1) for k, v in summary.seconds.items()},
        "documents_per_second": {"second_tenth": rates[0], "last_tenth": rates[1]},
        "memory_mb": {"second_tenth": memory[0], "last_tenth": memory[1]},
        "bytes_per_document": size / summary.n_documents,
        "steady": steady,
        "samples": samples,
    }
    out.with_suffix(".json").write_text(json.dumps(report) + "\n", encoding="utf-8")
    title = f"{summary.n_documents:,} documents in {summary.wall_s:,.0f} s"
    out.with_suffix(".svg").write_text(plot(samples, title), encoding="utf-8")
    del report["samples"]
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return steady


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--bundle")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--no-reranker", action="store_true")
    parser.add_argument("--out", default="out/endurance", metavar="NAME")
    arguments = parser.parse_args()
    if arguments.documents < 10 * SHARD_BATCHES * BATCH_DOCUMENTS:
        parser.error("too few documents to tell; raise --documents")
    sys.exit(0 if run(arguments) else 1)


if __name__ == "__main__":
    main()
