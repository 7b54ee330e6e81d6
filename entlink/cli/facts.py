"""`entlink facts`: does a year or a place in the context decide between two entities?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entlink.cli.options import (
    backend_option,
    bundle_option,
    device_option,
    exact_option,
    threads_option,
)

if TYPE_CHECKING:
    from entlink.evaluate.facts import FactCase
    from entlink.kb.store import KnowledgeBase


@click.command("facts", short_help="Measure whether a year or a place in the context decides.")
@click.option(
    "--pairs", type=click.IntRange(min=1), default=200, show_default=True, help="At most so many."
)
@click.option(
    "--cases",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the texts that name a fact, as gold for `entlink evaluate` (JSONL).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, not a table.")
@bundle_option
@device_option
@threads_option
@backend_option
@exact_option
def command(
    pairs: int, cases: Path | None, as_json: bool, bundle: str | None, **options: Any
) -> None:
    """Compose pairs of entities from the bundle's KB that differ in a year or a place, and link.

    Each pair stands in short texts that name the year, the place, or neither. Accuracy is over all
    candidates; with neither fact, a linker should not be sure.
    """
    import orjson

    from entlink.errors import InputError
    from entlink.evaluate.facts import fact_cases, fact_pairs, measure_facts
    from entlink.linker import Linker

    linker = Linker.load(bundle, **options)
    found = fact_pairs(linker.kb, n=pairs)
    if not found:
        raise InputError(
            f"{linker.bundle.path}: no two of its entities differ in a year or a place"
        )
    composed = fact_cases(found)
    if cases is not None:
        _write(composed, linker.kb, cases)
    figures = measure_facts(linker, composed)
    if as_json:
        result = {"n_pairs": len(found), "bundle": linker.bundle.digest, **figures}
        click.echo(orjson.dumps(result).decode())
    else:
        click.echo(f"{len(found)} pairs")
        click.echo(_table(figures))


def _table(figures: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    lines = [f"{'context names':18}" + "".join(f"{kind:>10}" for kind in figures)]
    for name in names:
        values = (row.get(name) for row in figures.values())
        lines.append(f"{name:18}" + "".join(f"{_number(value):>10}" for value in values))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value > 1 else f"{value:.3f}"


def _write(cases: Sequence[FactCase], kb: KnowledgeBase, path: Path) -> None:
    import orjson

    from entlink.evaluate.facts import NEITHER
    from entlink.evaluate.formats.files import replacing

    decided = [case for case in cases if case.kind != NEITHER]
    golds = kb.by_rows([case.gold for case in decided])
    with replacing(path) as file:
        for case, gold in zip(decided, golds, strict=True):
            document = case.document
            spans = [
                {"start": m.start, "end": m.end, "entity": gold.id} for m in document.mentions or ()
            ]
            row = {"id": document.id, "text": document.text, "mentions": spans}
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
