"""``entlink link``: texts in, links out."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import entlink
from entlink.cli.options import (
    backend_option,
    bundle_option,
    device_option,
    exact_option,
    quiet_option,
    threads_option,
)
from entlink.cli.progress import ProgressLine, counted, print_summary
from entlink.cli.table import print_plain, print_table
from entlink.corpus.items import Entry, Item, SetAside, batches, distinct, shard_chars
from entlink.corpus.job import Progress
from entlink.corpus.link import ENGINES, link_corpus
from entlink.corpus.readers import CorpusReader
from entlink.corpus.shards import Counts, link_batch
from entlink.corpus.sources import STDIN, check_readable, find_sources
from entlink.corpus.texts import MAX_CHARS, ReadOptions
from entlink.corpus.writers import check_out, link_line
from entlink.errors import InputError
from entlink.records import Document, LinkedDocument

if TYPE_CHECKING:
    from entlink.linker import Linker

TO_STDOUT = "-"
SOME_SET_ASIDE, NONE_USABLE = 1, 2  # exit codes

Show = Callable[[LinkedDocument, Item], None]


@click.command("link", short_help="Find and link the names in texts.")
@click.argument("sources", nargs=-1, metavar="[FILE|DIR ...|-]")
@click.option("--text", multiple=True, metavar="TEXT", help="A text to link; may be given again.")
@click.option(
    "--out",
    metavar="FILE",
    help="Write FILE.jsonl, .parquet, .spacy, .ttl (NIF) or .html (.jsonl and .ttl also with .gz "
    "or .zst) instead of a table; - is JSONL to stdout.",
)
@click.option("--text-column", metavar="NAME", help="Where the texts are.  [default: guessed]")
@click.option("--id-column", metavar="NAME", help="Where the ids are; '' for none.")
@click.option(
    "--candidates", type=click.IntRange(min=1), default=10, show_default=True, help="A mention."
)
@click.option("--no-reranker", is_flag=True, help="Leave out the slow model: faster, less good.")
@click.option("--types", default="", metavar="ID,...", help="Link only to entities of these types.")
@click.option(
    "--ids",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Link only to the entities listed, an id a line.",
)
@click.option("--processes", type=click.IntRange(min=0), metavar="N", help="With --out FILE.")
@click.option("--engine", type=click.Choice(ENGINES), default="local", show_default=True)
@click.option("--strict", is_flag=True, help="Stop at a document that cannot be read or linked.")
@click.option("--restart", is_flag=True, help="Forget what an unfinished run has done.")
@click.option(
    "--max-chars",
    type=click.IntRange(min=1),
    default=MAX_CHARS,
    show_default=True,
    help="Set longer texts aside.",
)
@bundle_option
@device_option
@threads_option
@backend_option
@exact_option
@quiet_option
def command(
    sources: tuple[str, ...],
    text: tuple[str, ...],
    out: str | None,
    bundle: str | None,
    device: str,
    threads: int | None,
    backend: str,
    exact: bool,
    quiet: bool,
    types: str,
    ids: Path | None,
    **options: Any,
) -> int:
    """Find the names in texts and link each to an entry of the knowledge base, or to none.

    A FILE is .jsonl with one document a line, as {"id", "text"} or, to link names that are already
    found, {"id", "text", "mentions": [{"start", "end"}]}; or .csv, .tsv, .parquet with one a row;
    or .spacy; each also with .gz or .zst. Any other FILE is one text in UTF-8, - is standard input,
    and of a folder all such files and .txt files are read.

    Without --out, a table is printed. With --out FILE an interrupted run goes on where it was when
    the same command is given again. What cannot be read or linked goes, with the reason, to
    FILE.quarantine.jsonl (without FILE: to stderr), and the exit code is 1.
    """
    if not (sources or text):
        if sys.stdin.isatty():
            raise click.UsageError("nothing to link; give a FILE, - for standard input, or --text")
        sources = (STDIN,)
    for source in sources:
        if source != STDIN:
            check_readable(source)
    logging.getLogger("entlink").setLevel(logging.WARNING if quiet else logging.INFO)
    models = {"bundle": bundle, "device": device, "threads": threads}
    models |= {"backend": backend, "exact": exact}
    options |= _part(types, ids)
    documents = [Document(f"text {n}", given) for n, given in enumerate(text, start=1)]
    if out not in (None, TO_STDOUT):
        return _to_file([*documents, *sources], Path(out), models, quiet=quiet, **options)
    if options["processes"] or options["engine"] != "local" or options["restart"]:
        raise click.UsageError("--processes, --engine and --restart need --out FILE")
    return _to_stdout(documents, sources, models, as_jsonl=out is not None, quiet=quiet, **options)


def _part(types: str, ids: Path | None) -> dict[str, tuple[str, ...]]:
    """The part of the KB that is linked to: types and ids, neither for all of it."""
    from entlink.kb.importers.jsonl import read_ids

    wanted = tuple(sorted(set(read_ids(ids)))) if ids else ()
    if ids and not wanted:
        raise InputError(f"{ids}: no ids; write one a line")
    return {"types": tuple(filter(None, map(str.strip, types.split(",")))), "ids": wanted}


# -- a file: a run that can be resumed ------------------------------------------------------------


def _to_file(
    source: list[Document | str],
    out: Path,
    models: dict[str, Any],
    *,
    quiet: bool,
    engine: str,
    processes: int | None,
    candidates: int,
    no_reranker: bool,
    **options: Any,
) -> int:
    check_out(out)
    linker = None
    if processes is None:
        processes = 1 if engine == "local" else 0
    if engine == "local" and processes == 1:
        linker = _loaded(models, reranker=True)  # link_corpus leaves it out
    progress = ProgressLine(shown=not quiet)
    try:
        summary = link_corpus(
            source,
            out,
            linker=linker,
            **models,
            engine=engine,
            processes=processes,
            n_candidates=candidates,
            reranker=not no_reranker,
            on_progress=progress,
            **options,
        )
    except KeyboardInterrupt:
        progress.close()
        click.echo("entlink: what was done is kept; the same command goes on", err=True)
        raise
    finally:
        progress.close()
    if not quiet:
        print_summary(summary)
    return SOME_SET_ASIDE if summary.n_set_aside else 0


def _loaded(models: dict[str, Any], *, reranker: bool) -> Linker:
    linker = entlink.load(**models)
    return linker if reranker else linker.without_reranker()


# -- the terminal, or a pipe ----------------------------------------------------------------------


def _to_stdout(
    documents: Iterable[Document],
    sources: Iterable[str],
    models: dict[str, Any],
    *,
    as_jsonl: bool,
    quiet: bool,
    text_column: str | None,
    id_column: str | None,
    max_chars: int,
    candidates: int,
    no_reranker: bool,
    types: tuple[str, ...],
    ids: tuple[str, ...],
    strict: bool,
    **_: Any,
) -> int:
    started = time.perf_counter()
    found = list(chain.from_iterable(find_sources(list(sources))))
    linker = _loaded(models, reranker=not no_reranker)
    if types or ids:
        linker = linker.within(types=types, ids=ids)
    reader = CorpusReader(found, ReadOptions(text_column, id_column, max_chars))
    given: Iterator[Entry] = (Item(document, document.id) for document in documents)
    show = _show_jsonl if as_jsonl else _show_table(linker)
    progress = ProgressLine(
        shown=sys.stderr.isatty() and not quiet and (as_jsonl or not sys.stdout.isatty())
    )
    counts, asides = Counts(), _Asides(strict=strict)
    at_a_time = shard_chars(reranker=not no_reranker)
    for batch in batches(distinct(chain(given, reader)), max_chars=at_a_time):
        for result in link_batch(linker, batch, n_candidates=candidates):
            if isinstance(result, SetAside):
                asides.add(result)
                continue
            show(result[1], result[0])
            counts.add_document(result[1])
        sys.stdout.flush()  # so that what reads a pipe has it
        progress(Progress(counts, reader.position, reader.n_bytes, 0))
    progress.close()
    if not quiet and counts.n_documents:
        click.echo(
            f"{counted(counts.n_documents, 'document')}, {counted(counts.n_mentions, 'mention')}, "
            f"{counts.n_linked} linked in {time.perf_counter() - started:.1f} s",
            err=True,
        )
    return asides.exit_code(any_linked=counts.n_documents > 0)


class _Asides:
    """Says on stderr what is set aside; the first only when it is not all there was."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._n = 0
        self._first = ""

    def add(self, aside: SetAside) -> None:
        """Report it; with ``strict``, InputError."""
        if self._strict:
            raise InputError(aside.reason)
        self._n += 1
        if self._n == 1:
            self._first = aside.reason
            return
        if self._n == 2:
            self._say(self._first)
        self._say(aside.reason)

    def exit_code(self, *, any_linked: bool) -> int:
        """The command's exit code; InputError if the only document was set aside."""
        if self._n == 1:
            if not any_linked:
                raise InputError(self._first)
            self._say(self._first)
        if not self._n:
            return 0
        return SOME_SET_ASIDE if any_linked else NONE_USABLE

    def _say(self, reason: str) -> None:
        click.echo(f"entlink: set aside: {' '.join(reason.split())}", err=True)


def _show_jsonl(document: LinkedDocument, item: Item) -> None:
    sys.stdout.buffer.write(link_line(document, item.extra))


def _show_table(linker: Linker) -> Show:
    @functools.cache
    def describe(entity_id: str) -> str:
        entity = linker.kb.by_id(entity_id)
        return (entity.description or "") if entity else ""

    show = print_table if sys.stdout.isatty() else print_plain
    return lambda document, _: show(document, describe)
