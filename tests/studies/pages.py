"""A study's rows as a table in Markdown, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tests.studies.drawing import figure
from tests.studies.rows import Done, Study

_COLUMNS = ("recall@1", "recall@10", "recall@100", "mrr")
_HEADS = {
    "mrr": "MRR",
    "dev mrr": "dev MRR",
    "left out mrr": "left out MRR",
    "mentions_per_second": "mentions/s",
    "pairs_per_mention": "pairs read a mention",
    "accuracy_left_out": "accuracy, left out",
}
_COLOURS = ("#2c3e50", "#c0392b", "#2980b9", "#27ae60", "#8e44ad", "#d35400", "#16a085", "#7f8c8d")


def figures_of(done: Done) -> dict[str, float]:
    """The columns of one row and seed: recalls of the student alone, accuracy of its linker."""
    found: dict[str, float] = {}
    for name, prefix in (("test", ""), ("dev", "dev "), ("left_out", "left out ")):
        figures = done.report.get(name, {})
        found |= {f"{prefix}{c}": figures[c] for c in _COLUMNS if c in figures}
    for name in ("train", "held_out"):
        if "recall@1" in done.report.get(name, {}):
            found[f"{name.replace('_', '-')} recall@1"] = done.report[name]["recall@1"]
    return found | {k: v for k, v in done.pooled.items() if not k.startswith("n")}


def gathered(done: Sequence[Done]) -> dict[str, dict[str, list[float]]]:
    """For each row, in order, the values of each column over the seeds."""
    rows: dict[str, dict[str, list[float]]] = {}
    for item in done:
        columns = rows.setdefault(item.row, {})
        for name, value in figures_of(item).items():
            columns.setdefault(name, []).append(value)
    return rows


def gap_closed(study: Study, rows: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Share of the accuracy between baseline and teacher that each other row gains."""
    if not (study.baseline and study.teacher):
        return {}
    mean = {name: float(np.mean(c["accuracy"])) for name, c in rows.items() if "accuracy" in c}
    if study.baseline not in mean or study.teacher not in mean:
        return {}
    low, high = mean[study.baseline], mean[study.teacher]
    return {
        name: (value - low) / (high - low)
        for name, value in mean.items()
        if high > low and name not in (study.baseline, study.teacher)
    }


def cell(values: Sequence[float], *, digits: int = 3) -> str:
    """The mean, and in brackets least and greatest where there are several."""
    if not values:
        return ""
    shown = f"{np.mean(values):.{digits}f}"
    if len(values) > 1 and digits == 3:
        shown += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return shown.replace("0.", ".") if digits == 3 else shown


def table(study: Study, done: Sequence[Done]) -> str:
    """The whole page."""
    rows = gathered(done)
    gaps = gap_closed(study, rows)
    names = list(dict.fromkeys(name for columns in rows.values() for name in columns))
    heads = ["", *(_HEADS.get(name, name) for name in names), *(["gap closed"] if gaps else [])]
    lines = [f"# {study.title}", "", " | ".join(["", *heads, ""]).strip()]
    lines.append("|" + "---|" * len(heads))
    for row, columns in rows.items():
        cells = [
            cell(columns.get(name, []), digits=1 if name.endswith(("second", "mention")) else 3)
            for name in names
        ]
        if gaps:
            cells.append(f"{gaps[row]:.2f}" if row in gaps else "")
        lines.append("| " + " | ".join([row, *cells]) + " |")
    n_seeds = max((len(v) for columns in rows.values() for v in columns.values()), default=0)
    lines += ["", _notes(study, done, n_seeds)]
    return "\n".join(lines) + "\n"


def _notes(study: Study, done: Sequence[Done], n_seeds: int) -> str:
    sets = ", ".join(path.name.split(".")[0] for path in study.sets)
    n = {int(d.pooled["n"]) for d in done if "n" in d.pooled}
    parts = [f"Sets: {sets}, pooled ({', '.join(f'{x:,}' for x in sorted(n))} in-KB mentions)."]
    parts.append("Recalls and MRR are of the vectors alone, accuracy is that of the whole linker.")
    if n_seeds > 1:
        parts.append(f"Mean of {n_seeds} seeds, least and greatest in brackets.")
    return " ".join(parts)


def write_page(study: Study, done: Sequence[Done], out: Path) -> None:
    """OUT.md, OUT.json and OUT.svg."""
    out.with_suffix(".md").write_text(table(study, done), encoding="utf-8")
    raw = {"title": study.title, "rows": [asdict(d) | {"figures": figures_of(d)} for d in done]}
    out.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    if any(d.curve for d in done):
        plot_curves(study, done, out.with_suffix(".svg"))
    else:
        plot_rows(study, done, out.with_suffix(".svg"))


def plot_rows(study: Study, done: Sequence[Done], path: Path) -> None:
    """Recall@1 and accuracy of each row: a point for each seed, a bar for the mean."""
    rows = gathered(done)
    names = [
        n for n in ("recall@1", "dev recall@1", "accuracy") if any(n in c for c in rows.values())
    ]
    with figure(path, size=(8, 1.2 + 0.5 * len(rows))) as drawn:
        axes = drawn.add_subplot()
        for shift, (name, colour) in enumerate(zip(names, _COLOURS, strict=False)):
            for place, columns in enumerate(rows.values()):
                y = place + 0.2 * (shift - len(names) / 2)
                values = columns.get(name, [])
                label = _HEADS.get(name, name) if place == 0 else None
                axes.plot(values, [y] * len(values), "o", color=colour, alpha=0.5, label=label)
                if values:
                    axes.plot([np.mean(values)], [y], "|", color=colour, markersize=14)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.invert_yaxis()
        axes.grid(visible=True, axis="x", alpha=0.3)
        axes.set_title(study.title, fontsize=10)
        axes.legend(fontsize=8)


def plot_curves(study: Study, done: Sequence[Done], path: Path) -> None:
    """Recall@1 of training mentions (dashed) and of held-out ones (solid) by step."""
    with figure(path, size=(8, 5)) as drawn:
        axes = drawn.add_subplot()
        colours = dict(zip(dict.fromkeys(d.row for d in done), _COLOURS * 3, strict=False))
        for d in done:
            for name, line in (("train", "--"), ("held_out", "-")):
                points = [(p["step"], p[name]["recall@1"]) for p in d.curve if name in p]
                label = f"{d.row}, {name.replace('_', '-')}" if d.seed == done[0].seed else None
                xs, ys = [x for x, _ in points], [y for _, y in points]
                axes.plot(xs, ys, line, color=colours[d.row], label=label)
                if not d.curve and name in d.report:
                    axes.axhline(d.report[name]["recall@1"], ls=line, color=colours[d.row])
        axes.set_xlabel("step")
        axes.set_ylabel("recall@1")
        axes.set_title(study.title, fontsize=10)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
