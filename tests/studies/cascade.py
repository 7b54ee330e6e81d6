"""How much faster is the cascade than reading everything, and what does that cost?

    python -m tests.studies.cascade FILE ... --bundle described [--bundle small] --out OUT

On each set of texts with gold mentions, one after the other: the cascade of each bundle in eight
bits, all 100 candidates of the first bundle in single precision, and the cascades once more, so
that what else the machine does is seen. Writes OUT.md (accuracy, pairs, mentions a second, seconds
of each stage) and OUT.json. Each finished measurement is a file in OUT/, so that a run that was
stopped goes on with the first that is missing; delete OUT/ to measure again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from entlink.evaluate.run import measure
from entlink.evaluate.sets import GoldSet, read_sets
from entlink.linker import Linker
from tests.studies.retrieval_rows import write_json

STAGES = ("detect", "retrieve", "document", "rerank")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to link: which models, what they read, and what computes."""

    bundle: str
    exact: bool
    backend: str

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{'all 100 pairs' if self.exact else 'cascade'}, {self.bundle}, {self.backend}"


def measure_on(way: Way, gold: GoldSet, threads: int | None) -> dict[str, float]:
    """Counts and seconds of one set."""
    linker = Linker.load(
        way.bundle, device="cpu", threads=threads, backend=way.backend, exact=way.exact
    )
    done = measure(linker, gold, progress=sys.stderr.isatty())
    known = [o for o in done.outcomes if o.in_kb]
    figures = {
        "mentions": len(done.outcomes),
        "in_kb": len(known),
        "right": sum(o.top_is_gold for o in known),
        "all_right": sum(o.is_right for o in done.outcomes),
        "pairs": sum(o.n_pairs for o in done.outcomes),
        "seconds": done.seconds,
    }
    return {**figures, **{stage: linker.seconds.get(stage, 0.0) for stage in STAGES}}


def rounds(bundles: Sequence[str]) -> Iterator[tuple[int, Way]]:
    """(which time, way) in the order of measuring."""
    quick = [Way(bundle, exact=False, backend="openvino") for bundle in bundles]
    yield from ((1, way) for way in quick)
    yield 1, Way(bundles[0], exact=True, backend="torch")
    yield from ((2, way) for way in quick)


def pooled(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """The figures of all sets together."""
    total = {key: sum(part[key] for part in parts) for key in parts[0]}
    stages = sum(total[stage] for stage in STAGES)
    return {
        "accuracy": total["right"] / total["in_kb"],
        "accuracy_all": total["all_right"] / total["mentions"],
        "pairs_per_mention": total["pairs"] / total["mentions"],
        "mentions_per_second": total["mentions"] / total["seconds"],
        **{f"{stage}_share": total[stage] / stages for stage in STAGES},
        **total,
    }


def table(found: Sequence[tuple[int, Way, dict[str, float]]]) -> list[str]:
    """The page's lines; accuracy and speed also as ratios to reading everything."""
    full = next(figures for _, way, figures in found if way.exact)
    head = ("accuracy", "of all 100", "pairs a mention", "mentions a second", "times", *STAGES)
    lines = [f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for time, way, f in found:
        cells = [
            f"{f['accuracy']:.3f}",
            f"{f['accuracy'] / full['accuracy']:.4f}",
            f"{f['pairs_per_mention']:.1f}",
            f"{f['mentions_per_second']:.1f}",
            f"{f['mentions_per_second'] / full['mentions_per_second']:.1f}",
            *(f"{f[f'{stage}_share']:.0%}" for stage in STAGES),
        ]
        again = f" ({time})" if not way.exact else ""
        lines.append(f"| {way.name}{again} | {' | '.join(cells)} |")
    n = round(full["mentions"])
    return [*lines, "", f"{n:,} mentions; accuracy over the {round(full['in_kb']):,} in the KB."]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--bundle", action="append", required=True, help="the first reads all, too")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=int, help="documents of each set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sets = read_sets(options.files)
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[int, Way], list[dict[str, float]]] = {}
    for gold in sets:
        some = replace(gold, documents=gold.documents[: options.limit])
        for time, way in rounds(options.bundle):
            name = f"{gold.name}-{way.name}-{time}".replace("/", "_").replace(" ", "_")
            path = options.out / f"{name}.json"
            if not path.exists():
                write_json(path, measure_on(way, some, options.threads))
                sys.stderr.write(f"{name}\n")
            found.setdefault((time, way), []).append(json.loads(path.read_text()))
    rows = [(time, way, pooled(parts)) for (time, way), parts in found.items()]
    page = "\n".join(table(rows)) + "\n"
    options.out.with_suffix(".md").write_text(page, encoding="utf-8")
    figures = [{"time": time, **asdict(way), **f} for time, way, f in rows]
    write_json(options.out.with_suffix(".json"), figures)
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
