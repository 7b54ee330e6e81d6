"""Measure the road from a file to a knowledge base: importers, building, opening, memory.

    python kb/recipe/measure_kb.py importer DUMP --format wikidata|wikipedia
    python kb/recipe/measure_kb.py recombine N --from ../shared/data/wikidata --out many.jsonl.gz
    python kb/recipe/measure_kb.py build many.jsonl.gz --out many-kb
    python kb/recipe/measure_kb.py open many-kb
    python kb/recipe/measure_kb.py circles N
    python kb/recipe/measure_kb.py edit [--bundle NAME|DIR]

`recombine` makes N entities whose names and descriptions are put together from real ones, so that
the statistics of their text are real: a name takes its words from two entities of one type, and
description and types come whole from a third of that type. Each command prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from entlink.kb.build import build_from
from entlink.kb.hierarchy import tell_cycles
from entlink.kb.importers import guess_format, read_source
from entlink.kb.importers.files import read_blocks, replacing
from entlink.kb.importers.jsonl import read_entities
from entlink.kb.scratch import Source, open_scratch
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity

_LOOKUPS = 10_000


def measure_importer(path: Path, format: str | None, times: int = 5) -> dict[str, object]:
    """MB of the unpacked file a second, read as it is and unpacked: the medians of some readings.

    Of wall time, and of this process's time of the processor (of all its threads).
    """
    format = format or guess_format(path)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "unpacked"
        with plain.open("wb") as file:
            for block in read_blocks(path):
                file.write(block)
        n_bytes = plain.stat().st_size
        rates = {name: _rates(its, format, n_bytes, times) for name, its in
                 (("unpacked", plain), ("as_it_is", path))}  # fmt: skip
        kinds = Counter(type(record).__name__ for _, record in read_source(plain, format))
    return {
        "file": path.name,
        "mb": round(n_bytes / 1e6, 1),
        **rates,
        "peak_mb": _rss_mb(),
        "records": dict(kinds),
    }


def _rates(path: Path, format: str, n_bytes: int, times: int) -> dict[str, float]:
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in read_source(path, format):
            pass
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "mb_per_second": round(n_bytes / 1e6 / statistics.median(walls), 1),
        "mb_per_cpu_second": round(n_bytes / 1e6 / statistics.median(cpus), 1),
    }


def recombine(n: int, source: Path, out: Path, seed: int = 0) -> dict[str, object]:
    """Write `n` entities put together from those of `source`/entities.jsonl.gz."""
    generator = random.Random(seed)
    by_type: dict[str, list[Entity]] = defaultdict(list)
    for entity in read_entities(source / "entities.jsonl.gz"):
        if entity.description:
            by_type[entity.types[0] if entity.types else ""].append(entity)
    groups = [group for group in by_type.values() if len(group) >= 20]
    weights = [len(group) for group in groups]
    with replacing(out) as write:
        for number, group in enumerate(generator.choices(groups, weights, k=n)):
            write(_mixed(number, *generator.choices(group, k=3)))
    return {"entities": n, "types": len(groups), "file": str(out)}


def _mixed(number: int, first: Entity, second: Entity, third: Entity) -> dict[str, object]:
    ahead, behind = first.name.split(), second.name.split()
    words = [*ahead[: max(1, len(ahead) // 2)], *behind[len(behind) // 2 :]]
    return {
        "id": f"X{number}",
        "name": " ".join(words),
        "aliases": [words[-1]] if len(words) > 1 and number % 2 else [],
        "description": third.description,
        "types": list(third.types),
        "type_names": list(third.type_names),
        "popularity": third.popularity,
    }


def measure_build(sources: Sequence[Path], out: Path) -> dict[str, object]:
    """Seconds and memory of a build."""
    before, started = _rss_mb(), time.perf_counter()
    records = (read_source(source, guess_format(source), on_bad=_tell) for source in sources)
    report = build_from([Source(many) for many in records], out)
    seconds = time.perf_counter() - started
    return {
        "entities": report.n_entities,
        "seconds": round(seconds, 1),
        "entities_per_second": round(report.n_entities / seconds),
        "mb_before": before,
        "peak_mb": _rss_mb(),
        "file_mb": round(report.path.stat().st_size / 1e6, 1),
    }


def measure_circles(n_links: int) -> dict[str, object]:
    """Seconds and memory of looking for circles in a hierarchy of types with a few."""
    generator = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        connection = open_scratch(Path(folder) / "scratch", "")
        n_above = n_links // 5  # of real types, too, most have none below
        links = ((f"Q{n}", f"Q{generator.randrange(min(n, n_above) or 1)}", f"dump:{n}")
                 for n in range(n_links))  # fmt: skip
        connection.executemany("INSERT INTO parents VALUES (?, ?, ?)", links)
        back = ((f"Q{n}", f"Q{n + 1}", "dump:back") for n in range(0, n_above, 997))
        connection.executemany("INSERT INTO parents VALUES (?, ?, ?)", back)
        connection.commit()
        before, started = _rss_mb(), time.process_time()
        n_circles = tell_cycles(connection, None)
        seconds = time.process_time() - started
        connection.close()
    return {
        "links": n_links,
        "circles": n_circles,
        "cpu_seconds": round(seconds, 2),
        "mb_before": before,
        "peak_mb": _rss_mb(),
    }


def measure_open(path: Path) -> dict[str, object]:
    """Seconds to open, and milliseconds of a look-up by name once it is open."""
    before, started = _rss_mb(), time.perf_counter()
    kb = KnowledgeBase.open(path)
    kb.by_id("X0")
    opened = time.perf_counter() - started
    rows = random.Random(0).sample(range(len(kb)), min(_LOOKUPS, len(kb)))
    names = [entity.name for entity in kb.by_rows(rows)]
    started = time.perf_counter()
    for name in names:
        kb.by_aliases([name])
    lookup = time.perf_counter() - started
    return {
        "entities": len(kb),
        "open_seconds": round(opened, 4),
        "ms_per_name": round(1000 * lookup / len(names), 4),
        "mb_before": before,
        "peak_mb": _rss_mb(),
    }


def measure_edits(
    like: str | None, threads: int | None, backend: str, times: int = 50
) -> dict[str, object]:
    """Milliseconds to add an entity, on disk, and to link a text that names it."""
    from entlink.bundle import create_bundle, open_bundle
    from entlink.linker import Linker

    taken: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        bundle = create_bundle(open_bundle(like).path, like, Path(folder) / "bundle")
        linker = Linker.load(bundle, device="cpu", threads=threads, backend=backend)
        linker.link("Barack Obama spoke in Chicago.")  # all is loaded
        linker.seconds.clear()
        n_right = 0
        chance = random.Random(0)
        for number in range(times):
            name = f"{_invented(chance)} {_invented(chance)}"
            entity = Entity(f"N{number}", name, (), "maker of pumps for deep mines")
            wall, cpu = time.perf_counter(), time.process_time()
            linker.kb.add(entity)
            between, cpu_between = time.perf_counter(), time.process_time()
            (linked,) = linker.link(f"The pumps of {name} were sold to many miners.")
            after, cpu_after = time.perf_counter(), time.process_time()
            n_right += entity.id in {link.entity_id for link in linked.links}
            taken["add_ms"].append(between - wall)
            taken["link_ms"].append(after - between)
            taken["both_ms"].append(after - wall)
            taken["both_cpu_ms"].append(cpu_after - cpu)
            taken["add_cpu_ms"].append(cpu_between - cpu)
    middle = {name: round(1000 * statistics.median(many), 2) for name, many in taken.items()}
    worst = round(1000 * max(taken["both_ms"]), 1)
    stages = {name: round(1000 * s / times, 2) for name, s in linker.seconds.items()}
    return {
        "reading": linker.reranker.backend if linker.reranker else "none",
        **middle,
        "both_ms_at_most": worst,
        "link_stages_mean_ms": stages,
        "added": times,
        "linked_to": n_right,
    }


def _invented(chance: random.Random) -> str:
    """A name of two or three syllables that hardly anything bears."""
    syllables = [
        chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") + chance.choice("lnrsx")
        for _ in range(chance.choice((2, 3)))
    ]
    return "".join(syllables).title()


def _rss_mb() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def _tell(message: str) -> None:
    sys.stderr.write(message + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    importer = commands.add_parser("importer")
    importer.add_argument("path", type=Path)
    importer.add_argument("--format")
    mixed = commands.add_parser("recombine")
    mixed.add_argument("n", type=int)
    mixed.add_argument("--from", dest="source", type=Path, required=True)
    mixed.add_argument("--out", type=Path, required=True)
    build = commands.add_parser("build")
    build.add_argument("source", type=Path)
    build.add_argument("--out", type=Path, required=True)
    commands.add_parser("circles").add_argument("n", type=int)
    commands.add_parser("open").add_argument("path", type=Path)
    edit = commands.add_parser("edit")
    edit.add_argument("--bundle")
    edit.add_argument("--threads", type=int)
    edit.add_argument("--backend", default="auto", help="what reads the pairs: torch, openvino")
    options = parser.parse_args()
    run: dict[str, Callable[[], dict[str, object]]] = {
        "importer": lambda: measure_importer(options.path, options.format),
        "recombine": lambda: recombine(options.n, options.source, options.out),
        "build": lambda: measure_build([options.source], options.out),
        "circles": lambda: measure_circles(options.n),
        "open": lambda: measure_open(options.path),
        "edit": lambda: measure_edits(options.bundle, options.threads, options.backend),
    }
    sys.stdout.write(json.dumps(run[options.command](), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
