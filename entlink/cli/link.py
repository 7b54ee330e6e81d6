"""``entlink link``: texts in, links out."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

import entlink
from entlink.cli.options import bundle_option, device_option, quiet_option, threads_option
from entlink.cli.table import print_plain, print_table
from entlink.corpus.readers import STDIN, check_sources, read_documents
from entlink.corpus.writers import check_out, write_file, write_jsonl
from entlink.records import NIL, Document, LinkedDocument

if TYPE_CHECKING:
    from entlink.linker import Linker

TO_STDOUT = "-"


@click.command("link", short_help="Find and link the names in texts.")
@click.argument("sources", nargs=-1, metavar="[FILE ...|-]")
@click.option("--text", multiple=True, metavar="TEXT", help="A text to link; may be given again.")
@click.option(
    "--out",
    metavar="FILE",
    help="Write FILE.jsonl, FILE.jsonl.gz or FILE.html instead of a table; - is JSONL to stdout.",
)
@bundle_option
@device_option
@threads_option
@quiet_option
def command(
    sources: tuple[str, ...],
    text: tuple[str, ...],
    out: str | None,
    bundle: str | None,
    device: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Find the names in texts and link each to an entry of the knowledge base, or to none.

    A FILE that ends in .jsonl or .jsonl.gz holds one document a line, as {"id", "text"} or, to
    link names that are already found, {"id", "text", "mentions": [{"start", "end"}]}. Any other
    FILE is one text in UTF-8, and - is standard input.

    Without --out, a table is printed.
    """
    started = time.perf_counter()
    if not (sources or text):
        if sys.stdin.isatty():
            raise click.UsageError("nothing to link; give a FILE, - for standard input, or --text")
        sources = (STDIN,)
    check_sources(sources)
    if out not in (None, TO_STDOUT):
        check_out(Path(out))
    logging.getLogger("entlink").setLevel(logging.WARNING if quiet else logging.INFO)
    linker = entlink.load(bundle, device=device, threads=threads)
    documents = chain(_texts(text), read_documents(sources))
    counts = _Counts()
    on_terminal = out is None and sys.stdout.isatty()
    with_bar = sys.stderr.isatty() and not quiet and not on_terminal
    for linked in _written(linker, _with_progress(documents, shown=with_bar), out=out):
        counts.add(linked)
    if not quiet:
        click.echo(f"{counts} in {time.perf_counter() - started:.1f} s", err=True)


def _texts(texts: Iterable[str]) -> Iterator[Document]:
    for number, text in enumerate(texts, start=1):
        yield Document(id=f"text {number}", text=text)


def _written(
    linker: Linker, documents: Iterable[Document], *, out: str | None
) -> Iterator[LinkedDocument]:
    """Link the documents and write them where ``out`` says; passes on what is written."""
    linked = linker.stream(documents)
    if out is None:
        return _printed(linked, linker)
    if out == TO_STDOUT:
        return write_jsonl(linked, sys.stdout.buffer)
    return write_file(linked, Path(out))


def _printed(documents: Iterable[LinkedDocument], linker: Linker) -> Iterator[LinkedDocument]:
    @functools.cache
    def describe(entity_id: str) -> str:
        entity = linker.kb.by_id(entity_id)
        return (entity.description or "") if entity else ""

    show = print_table if sys.stdout.isatty() else print_plain
    for document in documents:
        show(document, describe)
        yield document


def _with_progress(documents: Iterable[Document], *, shown: bool) -> Iterable[Document]:
    if not shown:
        return documents
    from tqdm import tqdm

    bar: Iterable[Document] = tqdm(documents, unit=" documents", file=sys.stderr, leave=False)
    return bar


class _Counts:
    """How much was linked, for the last line."""

    def __init__(self) -> None:
        self.n_documents = self.n_mentions = self.n_linked = 0

    def add(self, document: LinkedDocument) -> None:
        self.n_documents += 1
        self.n_mentions += len(document.links)
        self.n_linked += sum(link.entity_id != NIL for link in document.links)

    def __str__(self) -> str:
        documents = "document" if self.n_documents == 1 else "documents"
        mentions = "mention" if self.n_mentions == 1 else "mentions"
        return (
            f"{self.n_documents} {documents}, {self.n_mentions} {mentions}, {self.n_linked} linked"
        )
