"""A benchmark's figures as one Markdown page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from entlink.evaluate.benchmark.figures import by_kind, leads
from entlink.evaluate.benchmark.peer import Kind

_HOW = """\
Accuracy is over mentions whose entity is in the KB; those outside are counted above and count for
nobody. *Micro* pools all mentions, *macro* is the mean of the sets. Brackets are 95% intervals from
drawing documents again. "ahead" is entlink's accuracy less the system's on the same mentions, with
the paired interval; bold where it leaves out zero. Mentions a second are over all gold mentions
(NIL and out-of-KB ones too), models loaded and the KB indexed before; "ready in" says how long that
took, where what was kept from an earlier run is not made again."""
_SAMPLED = """\
{n:,} in-KB mentions, the same number of each set where it has so many, always the same ones. It is
for systems that read every candidate, which takes a second or more a mention; the others' figures
here are over those mentions only."""
_RETRIEVAL = """\
Retrieval alone, over in-KB mentions. Most entities of the larger KB have only a name, and gold ones
are described more often than their rivals, so this is about scale and not about accuracy."""
_FINDS = """\
These found the mentions themselves; counted are gold mentions (strict spans) whose entity is in the
KB of {n:,} entities. "linked" is the share of them that got any link. The recorded answers are of
linkers that had all of Wikipedia or Wikidata to choose from and ran elsewhere, so they have no
speed here; entlink had the KB named above."""


def page(figures: Mapping[str, Any], *, plot: str | None) -> str:
    """The whole page; ``plot`` is the file of the picture, if there is one."""
    parts = [_head(figures), "## Mentions", _mentions(figures), "## Given the mentions"]
    parts.append(_where(figures, Kind.GIVEN))
    parts.append(_given(by_kind(figures["rows"], Kind.GIVEN), figures))
    parts.append(_HOW)
    if plot is not None:
        parts.append(f"![accuracy against mentions per second]({plot})")
    if sampled := by_kind(figures["rows"], Kind.SAMPLED):
        parts += ["## The sample", _where(figures, Kind.SAMPLED), _sampled(sampled, figures)]
        n = sum(s["n_sampled"] for s in figures["sets"].values())
        parts.append(_SAMPLED.format(n=n))
    if figures["retrieval_rows"]:
        larger = figures["retrieval_kb"]
        parts += [f"## Retrieval over {larger['name']}, {larger['n_entities']:,} entities"]
        parts += [_retrieval(figures), _RETRIEVAL]
    if finds := by_kind(figures["rows"], Kind.FINDS):
        parts += ["## Finding the mentions too", _finds(finds)]
        parts.append(_FINDS.format(n=figures["kb"]["n_entities"]))
    parts += ["## The systems", _systems(figures)]
    return "\n\n".join(parts) + "\n"


def _head(figures: Mapping[str, Any]) -> str:
    kb, machine = figures["kb"], figures["machine"]
    memory = f", {machine['memory_gb']} GB" if "memory_gb" in machine else ""
    limit = figures["limit"]
    lines = [
        "# Benchmark",
        "",
        f"- KB: {kb['name']}, {kb['n_entities']:,} entities (digest {kb['digest'][:12]})",
        f"- Date: {figures['date']}; commit: {figures['commit'] or 'not a checkout'}",
        f"- Machine: {machine['processor']}, {machine['cores']} cores{memory}, "
        f"{machine['system']}; {figures['threads']} threads, device {figures['device']}",
        "- Versions: " + ", ".join(f"{name} {v}" for name, v in figures["versions"].items()),
    ]
    if limit is not None:
        lines.append(f"- **Not the whole sets**: whole documents until {limit:,} mentions of each")
    older = sorted({c for r in figures["rows"] for c in r["commits"]} - {figures["commit"]})
    if older:
        lines.append("- Some results were kept from commits " + ", ".join(c or "?" for c in older))
    return "\n".join(lines)


def _mentions(figures: Mapping[str, Any]) -> str:
    kbs = [k["name"] for k in (figures["kb"], figures["retrieval_kb"]) if k]
    head = ["set", "split", "documents", "gold mentions", "NIL"]
    for kb in kbs:
        head += [f"in {kb}", f"outside {kb}"]
    rows = []
    for name, s in figures["sets"].items():
        cells = [name, s["split"], s["n_documents"], s["n_mentions"], s["n_nil"]]
        for kb in kbs:
            cells += [s["in_kb"][kb], s["out_of_kb"][kb]]
        rows.append(cells)
    totals: list[object] = ["all", ""]
    totals += [sum(int(str(r[i])) for r in rows) for i in range(2, len(head))]
    return table(head, [*rows, totals])


def _where(figures: Mapping[str, Any], kind: Kind) -> str:
    kb, sets = figures["kb"], figures["sets"]
    key = "n_sampled" if kind is Kind.SAMPLED else "in_kb"
    counts = {n: s[key] if kind is Kind.SAMPLED else s[key][kb["name"]] for n, s in sets.items()}
    listed = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    return (
        f"KB {kb['name']} ({kb['n_entities']:,} entities); in-KB mentions: {listed}; "
        f"{sum(counts.values()):,} in all."
    )


def _given(rows: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    sets = list(figures["sets"])
    head = ["system", "micro", "macro", "ahead, micro", "ahead, macro", *sets]
    head += ["recall@100, macro", "pairs read a mention", "mentions a second", "ready in s"]
    return table(head, [[*_accuracy(r, sets), *_speed(r)] for r in rows])


def _accuracy(r: Mapping[str, Any], sets: Sequence[str]) -> list[object]:
    low, high = r["micro"]["interval"]
    micro = f"{share(r['micro']['accuracy'])} ({share(low)} to {share(high)})"
    cells: list[object] = [r["name"], micro, share(r["macro"]["accuracy"])]
    cells += [_ahead(r, average) for average in ("micro", "macro")]
    return cells + [share(r["sets"].get(name)) for name in sets]


def _speed(r: Mapping[str, Any]) -> list[object]:
    rate = r["mentions_per_second"]
    ready = r["preparing_s"]
    return [
        share(r["macro"]["recall@100"]),
        f"{r['pairs_per_mention']:.1f}",
        "" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}",
        "" if ready is None else f"{ready:,.0f}",
    ]


def _ahead(r: Mapping[str, Any], average: str) -> str:
    if r["ahead"] is None:
        return ""
    found = r["ahead"][average]
    low, high = found["interval"]
    text = f"{found['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"**{text}**" if leads(r, average) else text


def _sampled(rows: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    sets = list(figures["sets"])
    head = ["system", "macro", "entlink on the same, macro", "ahead, macro", *sets]
    head += ["pairs read a mention", "mentions a second", "ready in s"]
    cells = []
    for r in rows:
        ours = None if r["ahead"] is None else r["ahead"]["macro"]["b"]
        one = [r["name"], share(r["macro"]["accuracy"]), share(ours), _ahead(r, "macro")]
        cells.append([*one, *(share(r["sets"].get(name)) for name in sets), *_speed(r)[1:]])
    return table(head, cells)


def _retrieval(figures: Mapping[str, Any]) -> str:
    measures = ("recall@1", "recall@10", "recall@100")
    head = ["system", *(f"{m}, {a}" for m in measures for a in ("micro", "macro"))]
    head += ["mentions a second", "ready in s"]
    rows = sorted(figures["retrieval_rows"], key=lambda r: (-r["macro"]["recall@100"], r["name"]))
    cells = [
        [r["name"], *(share(r[a][m]) for m in measures for a in ("micro", "macro")), *_speed(r)[2:]]
        for r in rows
    ]
    return table(head, cells)


def _finds(rows: Sequence[Mapping[str, Any]]) -> str:
    sets = list(dict.fromkeys(name for r in rows for name in r["sets"]))
    head = ["system", *(f"right of all, {name}" for name in sets), "right of all, macro"]
    head += ["linked", "right of linked", "mentions a second"]
    cells = []
    for r in rows:
        right = r["micro"]["accuracy"] * r["n_in_kb"]
        linked = r["n_linked"] / r["n_in_kb"] if r["n_in_kb"] else math.nan
        of_linked = right / r["n_linked"] if r["n_linked"] else math.nan
        whole = share(r["macro"]["accuracy"]) if len(r["sets"]) == len(sets) else ""
        one = [r["name"], *(share(r["sets"].get(name)) for name in sets), whole]
        cells.append([*one, share(linked), share(of_linked), _speed(r)[2]])
    return table(head, cells)


def _systems(figures: Mapping[str, Any]) -> str:
    lines = [f"- **{r['name']}**: {r['about']}" for r in figures["rows"]]
    for name, why in figures["set_aside"].items():
        lines.append(f"- **{name}** was not run: {why}")
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, names to the left, figures to the right."""
    return "\n".join(_table_lines(head, rows))


def _table_lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for cells in rows:
        shown = (f"{c:,}" if isinstance(c, int) else str(c).replace("|", "\\|") for c in cells)
        yield f"| {' | '.join(shown)} |"


def share(value: float | None) -> str:
    """Three digits; empty where there is nothing to count."""
    return "" if value is None or math.isnan(value) else f"{value:.3f}"
