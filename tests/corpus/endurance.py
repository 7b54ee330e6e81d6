"""Link very many short documents and watch memory and rate from the start to the end.

    python -m tests.corpus.endurance --documents 100000 --out out/100k
    python -m tests.corpus.endurance --documents 1000000 --no-reranker --processes 2 --out out/1m

The documents are composed, each about one entity of the KB, drawn from all. A run that was
interrupted goes on when the same command is given again: OUT.run holds what was done, samples too.

Writes OUT.json (samples and verdict) and OUT.svg (the plot). The exit code is 1 if the rate of the
last three tenths is more than 5% below that of the second to fourth (the first warms up), or memory
grew by more than 5% between them. The rate that is judged is that of documents a second of the
processor, which other work on the machine changes less than that by the clock, which stands beside
it; but it does change it, by up to a quarter, so see `tests.corpus.beside` if there is any.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from entlink.corpus import Progress, Summary, link_corpus
from entlink.corpus.items import BATCH_DOCUMENTS, SHARD_BATCHES
from tests.corpus.composed import ONE, compose, names_of

ALLOWED = 0.05


class Sample(NamedTuple):
    """The state at one moment: a shard is done."""

    run: int  # which one, of those that it took, from 0
    seconds: float  # since that run began
    cpu_s: float  # that it and the processes that it started have used by now
    n_documents: int  # done by all runs
    rss_mb: float  # of the process and those that it started


class Watch:
    """Takes samples and keeps them in a file, to which the next run adds its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.samples = read_samples(path)
        self._run = self.samples[-1].run + 1 if self.samples else 0
        self._n_resumed = 0
        self._started = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """What ``link_corpus`` calls after each shard."""
        if progress.n_resumed > self._n_resumed:  # a shard that an earlier run did
            self._n_resumed = progress.n_resumed
            return
        seconds = time.perf_counter() - self._started
        done = progress.counts.n_documents
        self.samples.append(Sample(self._run, seconds, cpu_s(), done, rss_mb()))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.samples[-1]) + "\n")


def read_samples(path: Path) -> list[Sample]:
    """What earlier runs kept, without a last line that was cut."""
    if not path.exists():
        return []
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(whole))
    return [Sample(*json.loads(line)) for line in whole]


def read_last(path: Path) -> Sample | None:
    """The last sample of a run that is at work, None before the first."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    whole = text[: text.rfind("\n") + 1].splitlines()
    return Sample(*json.loads(whole[-1])) if whole else None


def rss_mb() -> float:
    """Resident memory of this process and its children, in MB (Linux)."""
    pages = [int(fields[21]) for fields in _stat()]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s() -> float:
    """Processor time of this process and its children, in seconds (Linux); ended ones count too."""
    ticks = [sum(map(int, fields[11:15])) for fields in _stat()]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def _stat() -> Iterator[list[str]]:
    """Of this process and its children what the system says: the fields behind the name."""
    for process in [os.getpid(), *children(os.getpid())]:
        try:
            line = Path(f"/proc/{process}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        yield line[line.rindex(")") + 2 :].split()


def children(process: int) -> Iterator[int]:
    """The processes that a process has started, and theirs (Linux)."""
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found = file.read_text()
        except (FileNotFoundError, ProcessLookupError):  # that thread has just ended
            continue
        for child in map(int, found.split()):
            yield child
            yield from children(child)


def ends(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The samples of the second to fourth tenth of all documents, and of the last three."""
    total = samples[-1].n_documents
    early = [s for s in samples if 0.1 * total <= s.n_documents <= 0.4 * total]
    return early, [s for s in samples if s.n_documents >= 0.7 * total]


def tenths(samples: Sequence[Sample]) -> list[float | None]:
    """The rate of each tenth of the documents; None for one of a single sample."""
    total = samples[-1].n_documents
    marks = [(i / 10 * total, (i + 1) / 10 * total) for i in range(10)]
    parts = [[s for s in samples if a <= s.n_documents <= b] for a, b in marks]
    return [round(rate(part), 1) if len(part) > 1 else None for part in parts]


def rate(samples: Sequence[Sample], *, by: str = "cpu_s") -> float:
    """Documents a second between the samples of each run; ``by`` which clock."""
    pairs = [(a, b) for a, b in pairwise(samples) if a.run == b.run]
    n_documents = sum(b.n_documents - a.n_documents for a, b in pairs)
    seconds: float = sum(getattr(b, by) - getattr(a, by) for a, b in pairs)
    return n_documents / seconds if seconds else float("nan")


def plot(samples: Sequence[Sample], title: str) -> str:
    """Rate and memory over the documents, as SVG."""
    step = max(1, len(samples) // 100)
    parts = [samples[i : i + step + 1] for i in range(0, len(samples) - 1, step)]
    shown = [(p[-1], rate(p)) for p in parts if any(a.run == b.run for a, b in pairwise(p))]
    memory = [s.rss_mb for s, _ in shown]
    x = [s.n_documents for s, _ in shown]
    panels = [
        ("documents a second of the processor", [r for _, r in shown], "#1b6ca8"),
        ("memory, MB", memory, "#a83c1b"),
    ]
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


def link(arguments: argparse.Namespace, folder: Path) -> tuple[Summary, list[Sample], int]:
    """Link what was not linked before; the summary, all samples, and the size of the links."""
    source = folder / "composed.jsonl"
    if not source.exists():
        compose(source, arguments.documents, names_of(arguments.bundle), patterns=ONE)
    watch = Watch(folder / "samples.jsonl")
    out = folder / "links.jsonl.gz"
    summary = link_corpus(
        source,
        out,
        bundle=arguments.bundle,
        device=arguments.device,
        backend=arguments.backend,
        processes=arguments.processes,
        threads=arguments.threads,
        reranker=not arguments.no_reranker,
        n_candidates=arguments.candidates,
        on_progress=watch,
    )
    return summary, watch.samples, out.stat().st_size


def run(arguments: argparse.Namespace) -> bool:
    """Link, write the report, and tell whether rate and memory stayed what they were."""
    out = Path(arguments.out)
    folder = out.with_name(f"{out.name}.run")
    if arguments.restart:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    summary, samples, size = link(arguments, folder)
    early, last = ends(samples)
    rates = rate(early), rate(last)
    memory = max(s.rss_mb for s in early), max(s.rss_mb for s in last)  # at the end, workers go
    steady = rates[1] >= (1 - ALLOWED) * rates[0] and memory[1] <= (1 + ALLOWED) * memory[0]
    clock = {"early": rate(early, by="seconds"), "last": rate(last, by="seconds")}
    runs = [[s for s in samples if s.run == n] for n in sorted({s.run for s in samples})]
    seconds = sum(some[-1].seconds for some in runs)
    report = {
        "n_documents": summary.n_documents,
        "n_mentions": summary.n_mentions,
        "n_runs": len(runs),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(sum(some[-1].cpu_s for some in runs), 1),
        "seconds_by_stage": {k: round(v, 1) for k, v in summary.seconds.items()},
        "documents_per_cpu_second": {"early": rates[0], "last": rates[1]},
        "documents_per_cpu_second_by_tenth": tenths(samples),
        "documents_per_second": clock,
        "memory_mb": {"early": memory[0], "last": memory[1]},
        "bytes_per_document": size / summary.n_documents,
        "steady": steady,
        "samples": samples,
    }
    out.with_suffix(".json").write_text(json.dumps(report) + "\n", encoding="utf-8")
    title = f"{summary.n_documents:,} documents in {seconds:,.0f} s"
    out.with_suffix(".svg").write_text(plot(samples, title), encoding="utf-8")
    del report["samples"]
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    shutil.rmtree(folder)
    return steady


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--bundle")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backend", default="auto", help="auto: eight bits where they were made")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, help="of each process; else all cores, shared out")
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--no-reranker", action="store_true")
    parser.add_argument("--restart", action="store_true", help="throw away what OUT.run holds")
    parser.add_argument("--out", default="out/endurance", metavar="NAME")
    arguments = parser.parse_args()
    if arguments.documents < 10 * SHARD_BATCHES * BATCH_DOCUMENTS:
        parser.error("too few documents to tell; raise --documents")
    sys.exit(0 if run(arguments) else 1)


if __name__ == "__main__":
    main()
