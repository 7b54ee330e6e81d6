"""One benchmark from files to page, picture and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from entlink.bundle import Bundle, open_bundle
from entlink.errors import ConfigError, EntlinkError, InputError
from entlink.evaluate.benchmark.figures import Figures, counts_of, row
from entlink.evaluate.benchmark.machine import commit, machine, versions
from entlink.evaluate.benchmark.markdown import page
from entlink.evaluate.benchmark.own import Mode, Own
from entlink.evaluate.benchmark.peer import Kind, Peer, load_peers
from entlink.evaluate.benchmark.plot import write_plot
from entlink.evaluate.benchmark.runs import Bench, Run, fixed_sample, limited
from entlink.evaluate.formats.files import replacing
from entlink.evaluate.sets import read_sets
from entlink.kb.store import KnowledgeBase
from entlink.retrieve.index import use_threads

PLOT = "benchmark.svg"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    bundle: str | None
    peers: str | None  # a module
    only: Sequence[str]  # names of peers; none: all
    retrieval_kb: Path | None
    limit: int | None  # mentions of each set
    n_sample: int
    out: Path
    again: bool
    device: str
    threads: int
    backend: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What came of it."""

    page: str  # Markdown
    figures: Figures
    set_aside: Mapping[str, str]  # system -> why it was not run


def benchmark(
    files: Sequence[Path], options: Options, *, told: Callable[[str], None] = lambda _: None
) -> Benchmark:
    """Run what has no result yet, and write benchmark.md, .json and (with matplotlib) .svg."""
    _use_threads(options.threads)
    sets = [limited(gold, options.limit) for gold in read_sets(files)]
    others = _others(options)
    opened = open_bundle(options.bundle)
    kb = KnowledgeBase.open(opened.path)
    larger = None
    if options.retrieval_kb is not None:
        larger = KnowledgeBase.open(options.retrieval_kb)
    options.out.mkdir(parents=True, exist_ok=True)
    sample = fixed_sample(sets, kb, n=options.n_sample)
    results = options.out / "results"
    bench = Bench(kb, sets, sample, results, options.threads, options.again, told)
    set_aside: dict[str, str] = {}
    rows = _rows(bench, [*_own(opened, options, others), *others], set_aside)
    retrieval_rows: list[Figures] = []
    if larger is not None:
        retrievers = [p for p in [*_own(opened, options, []), *others] if p.is_retriever]
        over = replace(bench, kb=larger)
        retrieval_rows = _rows(over, retrievers, set_aside, only_retrieval=True)
    found = {"rows": rows, "retrieval_rows": retrieval_rows, "set_aside": set_aside}
    figures = _about(opened, options, bench, larger) | found
    return Benchmark(_write(figures, options, told), figures, set_aside)


def _use_threads(n: int) -> None:
    """For all systems alike, whichever of them run."""
    import torch

    torch.set_num_threads(n)
    use_threads(n)


def _about(opened: Bundle, options: Options, bench: Bench, larger: KnowledgeBase | None) -> Figures:
    """What the figures depend on, and what they are over."""
    kbs = _named(opened.path, options, bench.kb, larger)
    abouts = [
        {"name": name, "n_entities": len(kb), "digest": kb.digest} for name, kb in kbs.items()
    ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "threads": options.threads,
        "device": options.device,
        "bundle": {"name": opened.path.resolve().name, "digest": opened.digest},
        "kb": abouts[0],
        "retrieval_kb": abouts[1] if len(abouts) > 1 else None,
        "limit": options.limit,
        "sets": {
            gold.name: counts_of(gold, split=gold.split, kbs=kbs, sample=bench.sample)
            for gold in bench.sets
        },
    }


def _named(
    bundle: Path, options: Options, kb: KnowledgeBase, larger: KnowledgeBase | None
) -> dict[str, KnowledgeBase]:
    """The KBs by the names of their folders."""
    name = bundle.resolve().name
    if larger is None or options.retrieval_kb is None:
        return {name: kb}
    other = options.retrieval_kb.resolve().name
    return {name: kb, other if other != name else f"{other} of {len(larger):,}": larger}


def _others(options: Options) -> list[Peer]:
    if options.peers is None:
        if options.only:
            raise ConfigError("--only chooses among the systems of --peers; name that module too")
        return []
    others = load_peers(options.peers, device=options.device, threads=options.threads)
    names = [peer.name for peer in others]
    if unknown := [name for name in options.only if name not in names]:
        raise InputError(
            f"module {options.peers!r} has no system {unknown[0]!r}; it has {', '.join(names)}"
        )
    return [peer for peer in others if not options.only or peer.name in options.only]


def _own(bundle: Bundle, options: Options, others: Sequence[Peer]) -> list[Own]:
    """entlink whole and its retriever; like those others that read every pair or find mentions."""
    modes: dict[Mode, frozenset[str] | None] = {Mode.WHOLE: None, Mode.RETRIEVER: None}
    if any(peer.kind is Kind.SAMPLED for peer in others):
        modes[Mode.EXACT] = None
    found = {name for p in others if p.kind is Kind.FINDS for name in p.sets or ()}
    if found:
        modes[Mode.FINDS] = frozenset(found)
    load: dict[str, Any] = {"device": options.device, "threads": options.threads}
    load["backend"] = options.backend
    return [Own(bundle, mode, sets=sets, **load) for mode, sets in modes.items()]


def _rows(
    bench: Bench, peers: Sequence[Peer], set_aside: dict[str, str], *, only_retrieval: bool = False
) -> list[Figures]:
    """A row for each system; the first of a kind that is ours is what the others are held to."""
    rows: list[Figures] = []
    ours: dict[Kind, Sequence[Run]] = {}
    for peer in peers:
        try:
            runs = bench.run(peer, only_retrieval=only_retrieval)
        except EntlinkError as error:
            if isinstance(peer, Own):
                raise
            set_aside[peer.name] = str(error)
            bench.told(f"{peer.name}: not run: {error}")
            continue
        if not runs:
            continue
        if isinstance(peer, Own):
            ours.setdefault(peer.kind, runs)
        kind = Kind.GIVEN if peer.kind is Kind.SAMPLED else peer.kind
        rows.append(row(peer, runs, ours.get(kind, ()), len(bench.kb)))
    return rows


def _write(figures: Figures, options: Options, told: Callable[[str], None]) -> str:
    kb, sets = figures["kb"], ", ".join(figures["sets"])
    title = f"{kb['name']}, {kb['n_entities']:,} entities; {sets}; {figures['threads']} threads"
    plot: str | None = PLOT
    try:
        write_plot(figures["rows"], options.out / PLOT, title=title)
    except ConfigError as error:
        told(str(error))
        plot = None
    text = page(figures, plot=plot)
    with replacing(options.out / "benchmark.md") as file:
        file.write(text.encode())
    with replacing(options.out / "benchmark.json") as file:
        file.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return text
