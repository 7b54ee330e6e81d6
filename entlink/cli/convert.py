"""``entlink convert``: gold texts from one corpus format to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entlink.cli.options import quiet_option
from entlink.evaluate.formats import FORMATS

if TYPE_CHECKING:
    from entlink.evaluate.formats import GoldDocument

_file = click.Path(path_type=Path)
_format = click.Choice(list(FORMATS))


@click.command("convert", short_help="Rewrite texts with gold links in another format.")
@click.argument("source", type=_file, metavar="IN")
@click.argument("out", type=_file, metavar="OUT")
@click.option("--from", "from_", type=_format, help="Format of IN.  [default: told by the file]")
@click.option("--to", type=_format, help="Format of OUT.  [default: told by its suffix]")
@click.option(
    "--ids",
    type=_file,
    metavar="FILE",
    help="Give entities other ids: an old and a new one a line, with a tab between.",
)
@quiet_option
def command(
    source: Path, out: Path, from_: str | None, to: str | None, ids: Path | None, quiet: bool
) -> None:
    """Rewrite texts with gold links in another format; any file may be gzipped (.gz).

    OUT appears when it is whole. What its format cannot carry without a change of text or offsets
    is an error.
    """
    from entlink.evaluate.formats import read_corpus, write_corpus
    from entlink.evaluate.formats.ids import read_id_map, with_ids
    from entlink.records import NIL

    counts = dict.fromkeys(("documents", "mentions", "NIL", "without an answer"), 0)

    def counted(documents: Iterable[GoldDocument]) -> Iterator[GoldDocument]:
        for document in documents:
            counts["documents"] += 1
            counts["mentions"] += len(document.mentions)
            counts["NIL"] += sum(m.entity == NIL for m in document.mentions)
            counts["without an answer"] += sum(m.entity is None for m in document.mentions)
            yield document

    documents = read_corpus(source, from_)
    if ids is not None:
        documents = with_ids(documents, read_id_map(ids))
    write_corpus(counted(documents), out, to)
    if not quiet:
        told = ", ".join(f"{n:,} {what}" for what, n in counts.items())
        click.echo(f"entlink: {out}: {told}", err=True)
