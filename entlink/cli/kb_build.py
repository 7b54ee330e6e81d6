"""``entlink kb build``: make a knowledge base from files of entities."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from entlink.cli.options import quiet_option
from entlink.errors import InputError

if TYPE_CHECKING:  # numpy and SQLite wait until a command runs: --help reads this module
    from entlink.kb.build import BuildReport
    from entlink.kb.importers.settings import Settings
    from entlink.kb.scratch import Source

_SHOWN_BAD = 10  # bad lines reported one by one; the rest is counted
_FORMATS = (  # as entlink.kb.importers.FORMATS; said here so that --help imports nothing
    "jsonl",
    "csv",
    "tsv",
    "excel",
    "spacy",
    "obo",
    "owl",
    "skos",
    "terms",
    "wikidata",
    "wikipedia",
)

_ANY_CASE = (
    "its names are found in texts in any case, as most of them are written without a capital; to "
    "find them only where a text writes them with one, build with --no-any-case"
)

_file = click.Path(path_type=Path)


@click.command("build", short_help="Make a knowledge base from files of entities.")
@click.argument("sources", nargs=-1, required=True, type=_file, metavar="SOURCE ...")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(_FORMATS),
    help="Of each SOURCE in turn, or one for all.  [default: told from the file's name]",
)
@click.option(
    "--columns",
    default="",
    metavar="FIELD=COLUMN,...",
    help="Of tables: id, name, aliases, description, types, popularity, uses.  [default: guessed]",
)
@click.option("--no-header", is_flag=True, help="The table's first row is an entity already.")
@click.option("--delimiter", metavar="CHAR", help="What divides a table's cells.")
@click.option("--encoding", metavar="NAME", help="Of tables and terms.  [default: UTF-8]")
@click.option("--lang", default="en", show_default=True, help="Of names, where there are several.")
@click.option("--types", default="", metavar="ID,...", help="Keep only these and what is below.")
@click.option(
    "--min-sitelinks",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Wikidata: keep only items with so many articles.",
)
@click.option(
    "--mentions",
    type=_file,
    metavar="FILE.jsonl[.gz]",
    help="Wikipedia: write its paragraphs with their links here.",
)
@click.option("--relations", type=_file, metavar="FILE", help="JSON lines: head, property, tail.")
@click.option("--priors", type=_file, metavar="FILE", help="JSON lines: surface, counts.")
@click.option("--only", type=_file, metavar="FILE", help="Keep only the ids listed, one a line.")
@click.option(
    "--any-case/--no-any-case",
    default=None,
    help="Find the names in any case (diseases, genes).  [default: if most have no capital]",
)
@click.option("--strict", is_flag=True, help="Stop at the first line that is not as it should be.")
@click.option("--out", required=True, type=_file, metavar="DIR", help="Folder for kb.sqlite.")
@quiet_option
def build(
    sources: tuple[Path, ...],
    formats: tuple[str, ...],
    columns: str,
    no_header: bool,
    delimiter: str | None,
    encoding: str | None,
    lang: str,
    types: str,
    min_sitelinks: int,
    mentions: Path | None,
    relations: Path | None,
    priors: Path | None,
    only: Path | None,
    any_case: bool | None,
    strict: bool,
    out: Path,
    quiet: bool,
) -> int:
    """Make a knowledge base from files of entities; any of them may be gzipped.

    Entities of the same id in several SOURCEs are merged: the first one's word counts, the others
    fill gaps and add names. Bad lines are set aside and reported with their place, and then the
    exit code is 1. A build that was killed goes on where it stood.
    """
    from entlink.kb.build import build_from
    from entlink.kb.importers.columns import parse_choice
    from entlink.kb.importers.settings import Settings

    started = time.perf_counter()
    for path in (relations, priors, only):
        if path is not None and not path.is_file():
            raise InputError(f"{path}: no such file; check the path")
    settings = Settings(
        columns=parse_choice(columns),
        header=not no_header,
        delimiter="\t" if delimiter in ("\\t", "tab") else delimiter,
        encoding=encoding,
        language=lang,
        min_sitelinks=min_sitelinks,
        mentions=mentions,
        tell=(lambda _: None) if quiet else _tell,
    )
    bad, notes = _Told("set aside"), _Told("mended", shown=not quiet)
    report = build_from(
        _sources(sources, formats, settings, _refuse if strict else bad),
        out,
        relations=relations,
        priors=priors,
        only=only,
        any_case=any_case,
        types=[name.strip() for name in types.split(",") if name.strip()],
        resume_key=_key(sources, formats, settings, only),
        progress=not quiet and sys.stderr.isatty(),
        on_bad=_refuse if strict else bad,
        on_note=_refuse if strict else notes,
        mentions=mentions,
    )
    bad.tell_rest()
    notes.tell_rest()
    if not quiet:
        click.echo(_summary(report, time.perf_counter() - started), err=True)
        if report.any_case and any_case is None:
            _tell(_ANY_CASE)
    return 1 if bad.n else 0


class _Told:
    """Reports the first remarks of one kind and counts the others."""

    def __init__(self, what: str, *, shown: bool = True) -> None:
        self.n = 0
        self._what = what
        self._shown = _SHOWN_BAD if shown else 0

    def __call__(self, message: str) -> None:
        self.n += 1
        if self.n <= self._shown:
            _tell(f"{self._what}: {message}")

    def tell_rest(self) -> None:
        """Say how many were not shown."""
        if self._shown and self.n > self._shown:
            _tell(f"{self._what}: {self.n - self._shown} more")


def _tell(message: str) -> None:
    click.echo(message, err=True)


def _refuse(message: str) -> NoReturn:
    raise InputError(message)


def _sources(
    paths: tuple[Path, ...],
    formats: tuple[str, ...],
    settings: Settings,
    bad: Callable[[str], None],
) -> list[Source]:
    """What is to be read, checked before anything is."""
    from entlink.kb.importers import guess_format, read_source
    from entlink.kb.scratch import Source

    if len(formats) not in (0, 1, len(paths)):
        raise InputError(f"--format is given {len(formats)} times for {len(paths)} sources")
    each = [guess_format(p) for p in paths] if not formats else list(formats) * len(paths)
    sources = []
    for path, format in zip(paths, each, strict=False):
        if not path.exists():
            raise InputError(f"{path}: no such file; check the path")
        sources.append(
            Source(
                read_source(path, format, settings, on_bad=bad),
                name_types=format == "wikidata",
                links_are_popularity=format == "wikipedia",
            )
        )
    return sources


def _key(
    paths: tuple[Path, ...], formats: tuple[str, ...], settings: Settings, only: Path | None
) -> str:
    """What a build must share with one that was killed, to be taken up behind it."""
    files = [(str(p.absolute()), *_stamp(p)) for p in (*paths, *((only,) if only else ()))]
    chosen = (formats, settings.columns, settings.header, settings.delimiter, settings.encoding)
    return repr((files, chosen, settings.language, settings.min_sitelinks))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_size, status.st_mtime_ns


def _summary(report: BuildReport, seconds: float) -> str:
    lines = [
        f"{report.path}: {report.n_entities:,} entities, {report.n_aliases:,} names, "
        f"{report.n_relations_kept:,} relations in {seconds:.1f} s"
    ]
    for n, what in (
        (report.n_merged, "records joined with one of the same id"),
        (report.n_duplicates, "records left out: their id had come before"),
        (report.n_refused, "records left out: they lack an id or a name"),
        (report.n_mended, "records mended: control characters, or texts far too long"),
        (report.n_other_types, "records left out: of none of the types to keep"),
        (report.n_excluded, "records left out: not among the ids to keep"),
        (report.n_missing, "ids to keep that no record has"),
        (report.n_relations_unknown, "relations left out: no record for one of their ends"),
        (report.n_redirects, "other ids lead to entities"),
        (report.n_redirects_lost, "other ids lead to no entity"),
        (report.n_cycles, "links left the hierarchy of types in a circle"),
        *((n, f"records left out: {why}") for why, n in sorted(report.skipped.items())),
    ):
        if n:
            lines.append(f"{n:,} {what}")
    if report.duplicates:
        lines.append(f"came twice: {', '.join(report.duplicates[:5])}")
    return "\n".join(lines)
