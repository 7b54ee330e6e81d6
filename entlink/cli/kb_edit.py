"""``entlink kb add|remove|compact``: edit the knowledge base of a bundle, in use or not."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entlink.cli.kb_build import (
    SHOWN,
    build,
    formats_of,
    refuse,
    source_of,
    summary,
    table_settings,
    tell,
    tell_rest,
)
from entlink.errors import InputError

if TYPE_CHECKING:
    from entlink.bundle import Bundle
    from entlink.kb.importers.records import Records
    from entlink.kb.importers.settings import Settings
    from entlink.kb.live import LiveKnowledgeBase
    from entlink.kb.scratch import Told
    from entlink.records import Entity

_READING = ("formats", "columns", "no_header", "delimiter", "encoding", "lang", "strict")
_as_build = [option for option in build.params if option.name in _READING]
_bundle_option = click.option(
    "--bundle", "bundle", required=True, metavar="DIR", help="The bundle to edit."
)


@click.command(
    "add", short_help="Add entities to a bundle's knowledge base, or update them.", params=_as_build
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE ...]")
@_bundle_option
@click.option("--id", "id_", help="Of one entity, in place of FILEs.")
@click.option("--name", help="The entity's name.")
@click.option("--alias", "aliases", multiple=True, help="A further name; may be repeated.")
@click.option("--description", help="What it is, in a phrase.")
@click.option("--type", "types", multiple=True, help="A type; may be repeated.")
@click.option("--update", is_flag=True, help="Entities that are there already are replaced.")
def add(
    files: tuple[Path, ...],
    bundle: str,
    id_: str | None,
    name: str | None,
    aliases: tuple[str, ...],
    description: str | None,
    types: tuple[str, ...],
    update: bool,
    formats: tuple[str, ...],
    columns: str,
    no_header: bool,
    delimiter: str | None,
    encoding: str | None,
    lang: str,
    strict: bool,
) -> int:
    """Add the entities of FILEs (as `entlink kb build` reads them), or one that is named here.

    They are linked to at once, also by processes that have the bundle open. Nothing is trained or
    built; the bundle's own files stay as they are. FILEs are read to their end before anything is
    added, and then all is added or nothing. Bad lines are set aside and reported with their place,
    and then the exit code is 1.
    """
    from entlink.bundle import open_bundle
    from entlink.kb.scratch import Told
    from entlink.records import Entity

    if bool(files) == bool(id_):
        raise click.UsageError("name FILEs or give --id and --name, not both")
    if id_ and not name:
        raise click.UsageError("--id needs --name")
    if files and (name or aliases or description or types):
        raise click.UsageError("--name, --alias, --description and --type go with --id, not FILEs")
    opened = open_bundle(bundle)
    bad = Told(lambda text: tell(f"set aside: {text}"), most=SHOWN)
    if id_ and name:
        found = [Entity(id_, name, aliases, description, types=types, type_names=types)]
    else:
        settings = replace(
            table_settings(
                columns, no_header=no_header, delimiter=delimiter, encoding=encoding, lang=lang
            ),
            row_ids=None,  # numbers of rows would meet those of another table added before
        )
        found = _read(files, formats, settings, bad, strict=strict)
        tell_rest("set aside", bad)
    kb = _editable(opened)
    (kb.put if update else kb.add)(*found)
    kb.close()
    click.echo(f"{bundle}: {len(found):,} entities {'put' if update else 'added'}", err=True)
    return 1 if bad.n else 0


@click.command("remove", short_help="Remove entities from a bundle's knowledge base.")
@click.argument("ids", nargs=-1, required=True, metavar="ID ...")
@_bundle_option
def remove(ids: tuple[str, ...], bundle: str) -> None:
    """Remove the entities with these IDs; all of them, or none if one is not there."""
    from entlink.bundle import open_bundle
    from entlink.kb.live import LiveKnowledgeBase

    opened = open_bundle(bundle)
    with LiveKnowledgeBase.open_with(opened.path, opened.edits) as kb:
        kb.remove(*ids)
    click.echo(f"{bundle}: {len(set(ids)):,} entities removed", err=True)


@click.command("compact", short_help="Make the edits part of the bundle.")
@_bundle_option
def compact(bundle: str) -> None:
    """Make the edits part of the bundle, whose files and checksums are written anew."""
    from entlink.compact import compact_bundle

    _, n_edits = compact_bundle(bundle)
    click.echo(f"{bundle}: {n_edits:,} edits are part of it now", err=True)


def _read(
    files: tuple[Path, ...],
    formats: tuple[str, ...],
    settings: Settings,
    bad: Told,
    *,
    strict: bool,
) -> list[Entity]:
    """The entities that a build of these files has; tells what it leaves out."""
    from entlink.kb.build import build_from
    from entlink.kb.importers import read_source
    from entlink.kb.store import KnowledgeBase

    others = Counter[str]()
    on_bad = refuse if strict else bad
    sources = [
        source_of(_counted(read_source(path, format, settings, on_bad=on_bad), others), format)
        for path, format in zip(files, formats_of(files, formats, called="files"), strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = build_from(
                sources,
                Path(folder),
                on_bad=on_bad,
                on_note=refuse if strict else lambda text: tell(f"mended: {text}"),
            )
        except InputError as error:
            raise InputError(str(error).replace(folder, ", ".join(map(str, files)))) from None
        with KnowledgeBase.open(Path(folder)) as kb:
            found = [entity for batch in kb.iterate() for entity in batch]
    for line in summary(report, 0.0, bad.n).splitlines()[1:]:
        tell(line)
    for what, n in sorted(others.items()):
        tell(f"{n:,} {what} left out: only 'entlink kb build' takes them")
    return found


def _counted(records: Records, others: Counter[str]) -> Records:
    """The records; counts those that are no part of any one entity."""
    from entlink.kb.importers.records import Parent, Uses

    for where, record in records:
        if isinstance(record, Uses):
            others["names with counted uses"] += 1
        elif isinstance(record, Parent):
            others["links between types"] += 1
        yield where, record


def _editable(bundle: Bundle) -> LiveKnowledgeBase:
    """The bundle's knowledge base with the model that reads entities, and nothing else."""
    from functools import partial

    from entlink.encode.dual import DualEncoder
    from entlink.kb.live import LiveKnowledgeBase
    from entlink.vectors import encode_each

    kb = LiveKnowledgeBase.open_with(bundle.path, bundle.edits)
    kb.encode = partial(encode_each, DualEncoder.load(bundle.path / "retriever"))
    return kb
