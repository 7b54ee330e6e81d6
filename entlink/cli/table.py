"""Links as a table for people: boxes and colours on a terminal, aligned plain text elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from entlink.records import NIL, Link, LinkedDocument

if TYPE_CHECKING:
    from rich.text import Text

Describe = Callable[[str], str]  # an entity's id -> what it is, in a phrase

NOT_IN_KB = "(not in the knowledge base)"
NO_MENTIONS = "(no mentions)"
CONTEXT_CHARS = 24  # shown on each side of a mention
MAX_CELL = 60  # longer descriptions are cut in plain text


def print_table(document: LinkedDocument, describe: Describe) -> None:
    """Draw one document's links on the terminal, each mention with the words around it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(visible(document.id)),
        title_justify="left",
        caption=None if document.links else NO_MENTIONS,
    )
    table.add_column("in the text", ratio=4)
    table.add_column("links to", ratio=2, style="bold")
    table.add_column("what it is", ratio=4)
    table.add_column("id", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    for link in document.links:
        name, entity_id, description = _answer(link, describe)
        table.add_row(
            _in_context(document.text, link),
            Text(name, style="dim" if entity_id == "-" else ""),
            Text(description),
            Text(entity_id),
            Text(f"{link.probability:.2f}"),
        )
    Console().print(table)


def print_plain(document: LinkedDocument, describe: Describe) -> None:
    """Write one document's links as aligned lines, without colours or boxes."""
    click.echo(visible(document.id))
    rows = []
    for link in document.links:
        name, entity_id, description = _answer(link, describe)
        cells = [
            visible(link.mention.text),
            name,
            entity_id,
            f"{link.probability:.2f}",
            description,
        ]
        rows.append([_cut(cell) for cell in cells])
    if not rows:
        click.echo(f"  {NO_MENTIONS}")
        return
    widths = [max(_width(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=False)]
        click.echo("  " + "  ".join([*cells, row[-1]]).rstrip())


def visible(text: str) -> str:
    """Text as one line that cannot steer a terminal: blanks joined, unprintable characters gone."""
    kept = (c if c.isprintable() else " " if c.isspace() else "" for c in text)
    return " ".join("".join(kept).split())


def _answer(link: Link, describe: Describe) -> tuple[str, str, str]:
    if link.entity_id == NIL:
        return NOT_IN_KB, "-", ""
    description = visible(describe(link.entity_id))
    return visible(link.name), visible(link.entity_id), description


def _in_context(text: str, link: Link) -> Text:
    from rich.text import Text

    start, end = link.mention.start, link.mention.end
    left = text[max(0, start - CONTEXT_CHARS) : start]
    right = text[end : end + CONTEXT_CHARS]
    shown = Text()
    shown.append(("…" if start > CONTEXT_CHARS else "") + visible(left), style="dim")
    shown.append(" " if left[-1:].isspace() else "")
    shown.append(visible(link.mention.text), style="bold cyan")
    shown.append(" " if right[:1].isspace() else "")
    shown.append(visible(right) + ("…" if end + CONTEXT_CHARS < len(text) else ""), style="dim")
    return shown


def _cut(cell: str) -> str:
    return cell if len(cell) <= MAX_CELL else cell[: MAX_CELL - 1] + "…"


def _width(cell: str) -> int:
    from rich.cells import cell_len

    return cell_len(cell)
