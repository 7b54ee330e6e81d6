"""Results as tables for people."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 200  # of output that goes to a file
_COUNTS = {
    "n_documents": "documents",
    "n_mentions": "gold mentions",
    "n_in_kb": "  entity in the KB",
    "n_out_of_kb": "  entity outside the KB",
    "n_nil": "  NIL",
    "n_with_candidates": "  with given candidates",
}
_SHARES = (
    *("recall@1", "recall@10", "recall@64", "recall@100"),
    *("accuracy", "accuracy_nil", "accuracy_all", "accuracy_most_popular", "ece"),
    *("nil_precision", "nil_recall", "nil_f1"),
    *("detect_precision", "detect_recall", "detect_f1"),
    *("link_precision", "link_recall", "link_f1", "link_accuracy_where_linked"),
)
_RATES = ("mentions_per_second", "documents_per_second", "pairs_per_mention", "peak_rss_mb")


def tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of a result: counts first, then figures, calibration, breakdowns."""
    columns = dict(result["sets"])
    if len(columns) > 1:
        columns |= {"micro": result, "macro": result["macro"]}
    else:
        columns = dict.fromkeys(columns, result)
    made = [_counts(result, columns), _figures(columns), _reliability(result["reliability"])]
    made += [_breakdown(name, groups) for name, groups in result["breakdowns"].items()]
    return made


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(columns[0])
    for name in columns[1:]:
        table.add_column(name, justify="right")
    return table


def _counts(result: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> Table:
    kb, bundle = result["kb"], result["bundle"]
    title = f"{bundle['name']}: KB of {kb['n_entities']:,} entities ({kb['digest'][:12]})"
    shown = {name: figures for name, figures in columns.items() if name != "macro"}
    table = _table(title, "", *("all" if name == "micro" else name for name in shown))
    splits = [figures.get("split", "") for figures in result["sets"].values()]
    if any(splits):
        table.add_row("split", *splits, *[""] * (len(shown) - len(splits)))
    for key, label in _COUNTS.items():
        if key in result:
            table.add_row(label, *(f"{figures[key]:,}" for figures in shown.values()))
    return table


def _figures(columns: Mapping[str, Mapping[str, Any]]) -> Table:
    last = list(columns.values())[0 if len(columns) == 1 else -2]  # one set, or micro
    table = _table("figures", "", *columns, "95%" if len(columns) == 1 else "95% of micro")
    for name in _SHARES:
        if name in last:
            values = [share(figures.get(name)) for figures in columns.values()]
            table.add_row(name, *values, span(last["intervals"].get(name)))
    for name in _RATES:
        if name in last:
            values = [f"{f[name]:,.1f}" if name in f else "" for f in columns.values()]
            table.add_row(name, *values, "")
    return table


def _reliability(bins: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("reliability of the best candidate", "probability", "n", "mean", "right")
    for b in bins:
        row = f"{b['n']:,}", share(b["confidence"]), share(b["accuracy"])
        table.add_row(f"{b['low']:.2f} to {b['high']:.2f}", *row)
    return table


def _breakdown(name: str, groups: Mapping[str, Mapping[str, float]]) -> Table:
    measures = ("recall@1", "recall@100", "accuracy", "accuracy_nil", "accuracy_most_popular")
    table = _table(f"by {name} (entity in the KB)", name, "n", *measures)
    ordered = groups if name == "type" else dict(sorted(groups.items()))
    for group, figures in ordered.items():
        n = f"{figures['n_mentions']:,}"
        table.add_row(_plain(group), n, *(share(figures[m]) for m in measures))
    return table


def comparison_tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of `entlink compare`."""
    title = (
        f"A = {result['a']}, B = {result['b']}: {result['n_mentions']:,} mentions of "
        f"{result['n_documents']:,} documents, {result['n_in_kb']:,} in the KB of "
        f"{result['kb']['n_entities']:,} entities"
    )
    averages = {"micro": result["measures"]} | (
        {"macro": result["macro"]} if "macro" in result else {}
    )
    made = []
    for average, measures in averages.items():
        table = _table(f"{average}: {title}", "", "A", "B", "B - A", "95%", "p")
        for name, m in measures.items():
            difference = "" if m["difference"] is None else f"{m['difference']:+.4f}"
            p = f"{m['p']:.4f}"
            table.add_row(
                name, share(m["a"]), share(m["b"]), difference, span(m["interval"], "+"), p
            )
        made.append(table)
    signs = _table("mentions that one of them got right (McNemar)", "", "only A", "only B", "p")
    for name, s in result["sign_test"].items():
        signs.add_row(name, f"{s['only_a_right']:,}", f"{s['only_b_right']:,}", f"{s['p']:.4f}")
    return [*made, signs]


def print_tables(tables: Iterable[Table]) -> None:
    """Write tables to stdout; where that is no terminal, as wide as they need."""
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    for table in tables:
        console.print(table)


def share(value: float | None) -> str:
    """Four digits, - where there was nothing to count."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def span(values: Sequence[float] | None, sign: str = "") -> str:
    """An interval in brackets."""
    if values is None or any(math.isnan(v) for v in values):
        return ""
    return f"{values[0]:{sign}.4f} to {values[1]:{sign}.4f}"


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
