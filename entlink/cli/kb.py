"""``entlink kb``: build a knowledge base, and look into one."""

from __future__ import annotations

import importlib
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entlink.cli.options import quiet_option
from entlink.errors import InputError

if TYPE_CHECKING:  # numpy and SQLite wait until a command runs: --help reads this module
    from entlink.kb.build import BuildReport
    from entlink.kb.store import KnowledgeBase
    from entlink.records import Entity

_BUILTIN = "the built-in one"
_SHOWN_BAD = 10  # bad lines reported one by one; the rest is counted

FORMATS = {"jsonl": "entlink.kb.importers.jsonl"}  # name: the module that has read_entities

_file = click.Path(path_type=Path)
_kb_option = click.option(
    "--kb", "kb_path", type=_file, metavar="DIR", help=f"The knowledge base; default: {_BUILTIN}."
)


@click.group("kb", short_help="Build a knowledge base, or look into one.")
def command() -> None:
    """Build a knowledge base, or look into one."""


@command.command("build", short_help="Make a knowledge base from files of entities.")
@click.argument("sources", nargs=-1, required=True, type=_file, metavar="SOURCE ...")
@click.option("--format", "format_", type=click.Choice(sorted(FORMATS)), default="jsonl")
@click.option("--relations", type=_file, metavar="FILE", help="JSON lines: head, property, tail.")
@click.option("--priors", type=_file, metavar="FILE", help="JSON lines: surface, counts.")
@click.option("--only", type=_file, metavar="FILE", help="Keep only the ids listed, one a line.")
@click.option("--out", required=True, type=_file, metavar="DIR", help="Folder for kb.sqlite.")
@quiet_option
def build(
    sources: tuple[Path, ...],
    format_: str,
    relations: Path | None,
    priors: Path | None,
    only: Path | None,
    out: Path,
    quiet: bool,
) -> int:
    """Make a knowledge base from files of entities; any FILE may be gzipped.

    Of entities with the same id the first is kept. Bad lines are set aside and reported, and
    then the exit code is 1.
    """
    from entlink.kb.build import build_kb

    started = time.perf_counter()
    for path in (*sources, relations, priors, only):
        if path is not None and not path.is_file():
            raise InputError(f"{path}: no such file; check the path")
    read_entities = importlib.import_module(FORMATS[format_]).read_entities
    bad = _BadLines()
    report = build_kb(
        chain.from_iterable(read_entities(path, on_bad=bad) for path in sources),
        out,
        relations=relations,
        priors=priors,
        only=only,
        progress=not quiet and sys.stderr.isatty(),
        on_bad=bad,
    )
    bad.tell_rest()
    if not quiet:
        click.echo(_summary(report, time.perf_counter() - started), err=True)
    return 1 if bad.n else 0


@command.command("show", short_help="Show the entity with this id.")
@click.argument("id")
@_kb_option
def show(id: str, kb_path: Path | None) -> int:
    """Show the entity with this id. Exit code 1 if there is none."""
    with _open(kb_path) as kb:
        entity = kb.by_id(id)
    if entity is None:
        click.echo(f"no entity {id!r} in {kb.path}", err=True)
        return 1
    for label, value in _fields(entity):
        if value:
            click.echo(f"{label:<12} {value}")
    return 0


@command.command("search", short_help="Find entities by name or its beginning.")
@click.argument("text")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@_kb_option
def search(text: str, limit: int, kb_path: Path | None) -> int:
    """Find entities by name, alias or their beginning. Exit code 1 if there is none."""
    with _open(kb_path) as kb:
        found = kb.search(text, limit=limit)
    for entity in found:
        click.echo("\t".join((entity.id, entity.name, entity.description or "")))
    if not found:
        click.echo(f"no entity named {text!r} in {kb.path}", err=True)
    return 0 if found else 1


class _BadLines:
    """Reports the first bad lines and counts the others."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, message: str) -> None:
        self.n += 1
        if self.n <= _SHOWN_BAD:
            click.echo(f"set aside: {message}", err=True)

    def tell_rest(self) -> None:
        """Say how many bad lines were not shown."""
        if self.n > _SHOWN_BAD:
            click.echo(f"set aside: {self.n - _SHOWN_BAD} more bad lines", err=True)


def _open(path: Path | None) -> KnowledgeBase:
    from entlink.bundle import builtin_path
    from entlink.kb.store import KnowledgeBase

    if path is None:
        path = builtin_path()
    return KnowledgeBase.open(path)


def _summary(report: BuildReport, seconds: float) -> str:
    lines = [
        f"{report.path}: {report.n_entities:,} entities, {report.n_aliases:,} names, "
        f"{report.n_relations_kept:,} relations in {seconds:.1f} s"
    ]
    for n, what in (
        (report.n_duplicates, "records left out: their id had come before"),
        (report.n_excluded, "records left out: not among the ids to keep"),
        (report.n_missing, "ids to keep that no record has"),
        (report.n_relations_unknown, "relations left out: no record for one of their ends"),
    ):
        if n:
            lines.append(f"{n:,} {what}")
    if report.duplicates:
        lines.append(f"came twice: {', '.join(report.duplicates[:5])}")
    return "\n".join(lines)


def _fields(entity: Entity) -> list[tuple[str, str]]:
    return [
        ("id", entity.id),
        ("name", entity.name),
        ("aliases", "; ".join(entity.aliases)),
        ("description", entity.description or ""),
        ("facts", entity.facts),
        ("types", "; ".join(entity.type_names or entity.types)),
        ("popularity", "" if entity.popularity is None else f"{entity.popularity:.2f}"),
        ("relations", str(entity.degree)),
    ]
