"""``entlink kb build``: make a knowledge base from files of entities."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from entlink.cli.options import quiet_option
from entlink.errors import InputError

if TYPE_CHECKING:  # numpy and SQLite wait until a command runs: --help reads this module
    from entlink.kb.build import BuildReport
    from entlink.kb.importers.records import Records
    from entlink.kb.importers.settings import Settings
    from entlink.kb.scratch import Source, Told

SHOWN = 10  # bad lines reported one by one; the rest is counted
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
    from entlink.kb.importers.files import must_be_file
    from entlink.kb.scratch import Told

    started = time.perf_counter()
    for path in (*sources, *filter(None, (relations, priors, only))):
        must_be_file(path)
    settings = replace(
        table_settings(
            columns, no_header=no_header, delimiter=delimiter, encoding=encoding, lang=lang
        ),
        min_sitelinks=min_sitelinks,
        mentions=mentions,
        tell=(lambda _: None) if quiet else tell,
    )
    bad = Told(lambda text: tell(f"set aside: {text}"), most=SHOWN)
    notes = Told(lambda text: tell(f"mended: {text}"), most=0 if quiet else SHOWN)
    kept = [name.strip() for name in types.split(",") if name.strip()]
    report = build_from(
        _sources(sources, formats, settings, refuse if strict else bad),
        out,
        relations=relations,
        priors=priors,
        only=only,
        any_case=any_case,
        types=kept,
        resume_key=_key(sources, formats, settings, only, strict, kept),
        progress=not quiet and sys.stderr.isatty(),
        on_bad=refuse if strict else bad,
        on_note=refuse if strict else notes,
        mentions=mentions,
    )
    tell_rest("set aside", bad)
    if not quiet:
        tell_rest("mended", notes)
        click.echo(summary(report, time.perf_counter() - started, bad.n), err=True)
        if report.any_case and any_case is None:
            tell(_ANY_CASE)
    return 1 if bad.n else 0


def tell(message: str) -> None:
    """A line on stderr."""
    click.echo(message, err=True)


def tell_rest(what: str, told: Told) -> None:
    """How many remarks there were beyond those that were shown."""
    if told.n > SHOWN:
        tell(f"{what}: {told.n - SHOWN} more")


def refuse(message: str) -> NoReturn:
    """What `--strict` does with a remark."""
    raise InputError(message)


def table_settings(
    columns: str, *, no_header: bool, delimiter: str | None, encoding: str | None, lang: str
) -> Settings:
    """Settings of the importers from the options that building and adding share."""
    from entlink.kb.importers.columns import parse_choice
    from entlink.kb.importers.settings import Settings

    return Settings(
        columns=parse_choice(columns),
        header=not no_header,
        delimiter="\t" if delimiter in ("\\t", "tab") else delimiter,
        encoding=encoding,
        language=lang,
        tell=tell,
    )


def formats_of(
    paths: Sequence[Path], formats: Sequence[str], *, called: str = "sources"
) -> list[str]:
    """The format of each file: guessed, one for all, or each its own."""
    from entlink.kb.importers import guess_format

    if len(formats) not in (0, 1, len(paths)):
        raise InputError(f"--format is given {len(formats)} times for {len(paths)} {called}")
    if not formats:
        return [guess_format(path) for path in paths]
    return list(formats) * len(paths) if len(formats) == 1 else list(formats)


def source_of(records: Records, format: str) -> Source:
    """Records as a build takes them."""
    from entlink.kb.scratch import Source

    return Source(
        records, name_types=format == "wikidata", links_are_popularity=format == "wikipedia"
    )


def _sources(
    paths: tuple[Path, ...],
    formats: tuple[str, ...],
    settings: Settings,
    bad: Callable[[str], None],
) -> list[Source]:
    """What is to be read, checked before anything is."""
    from entlink.kb.importers import read_source

    each = formats_of(paths, formats)
    if settings.mentions:
        if each.count("wikipedia") != 1:
            raise InputError(
                f"--mentions writes the paragraphs of one Wikipedia dump, and the sources hold "
                f"{each.count('wikipedia')}; name one in a build"
            )
        if not settings.mentions.absolute().parent.is_dir():
            raise InputError(f"{settings.mentions}: no such folder to write into; make it first")
    sources = []
    for path, format in zip(paths, each, strict=True):
        its = replace(settings, row_ids=_row_ids(path, paths))
        sources.append(source_of(read_source(path, format, its, on_bad=bad), format))
    return sources


def _row_ids(path: Path, paths: tuple[Path, ...]) -> str:
    """What stands before a row's number where there are several sources, that none share it."""
    if len(paths) == 1:
        return ""
    alike = sum(other.name == path.name for other in paths) > 1
    return f"{path if alike else path.name}:"


def _key(
    paths: tuple[Path, ...],
    formats: tuple[str, ...],
    settings: Settings,
    only: Path | None,
    strict: bool,
    types: list[str],
) -> str:
    """What a build must share with one that was killed, to be taken up behind it."""
    files = [(str(p.absolute()), *_stamp(p)) for p in (*paths, *((only,) if only else ()))]
    chosen = (formats, settings.columns, settings.header, settings.delimiter, settings.encoding)
    mentions = settings.mentions and str(settings.mentions.absolute())
    limits = (settings.language, settings.min_sitelinks, types, strict)
    return repr((files, chosen, limits, mentions))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_size, status.st_mtime_ns


def summary(report: BuildReport, seconds: float, n_set_aside: int) -> str:
    """What a build did, a line each; of all that was set aside the build knows its own part."""
    n_unread = n_set_aside - report.n_duplicates - report.n_refused
    lines = [
        f"{report.path}: {report.n_entities:,} entities, {report.n_aliases:,} names, "
        f"{report.n_relations_kept:,} relations in {seconds:.1f} s"
    ]
    for n, what in (
        (n_unread, "lines set aside: they cannot be read"),
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
