"""``entlink kb add|remove|compact``: edit the knowledge base of a bundle, in use or not."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entlink.errors import InputError

if TYPE_CHECKING:
    from entlink.bundle import Bundle
    from entlink.kb.live import LiveKnowledgeBase

_AT_ONCE = 1000  # entities of a file that are added in one step

_bundle_option = click.option(
    "--bundle", "bundle", required=True, metavar="DIR", help="The bundle to edit."
)


@click.command("add", short_help="Add entities to a bundle's knowledge base, or update them.")
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
) -> None:
    """Add the entities of FILEs (as `entlink kb build` reads them), or one that is named here.

    They are linked to at once, also by processes that have the bundle open. Nothing is trained or
    built; the bundle's own files stay as they are.
    """
    from entlink.bundle import open_bundle
    from entlink.kb.importers import read_source
    from entlink.records import Entity

    if bool(files) == bool(id_):
        raise click.UsageError("name FILEs or give --id and --name, not both")
    if id_ and not name:
        raise click.UsageError("--id needs --name")
    for path in files:
        if not path.exists():
            raise InputError(f"{path}: no such file; check the path")
    kb = _opened(open_bundle(bundle))
    write = kb.put if update else kb.add
    one = (
        [Entity(id_, name, aliases, description, types=types, type_names=types)]
        if id_ and name
        else []
    )
    found = (record for path in files for _, record in read_source(path))
    entities = iter(one) if one else (record for record in found if isinstance(record, Entity))
    n_done = 0
    while some := list(islice(entities, _AT_ONCE)):
        write(*some)
        n_done += len(some)
    click.echo(f"{bundle}: {n_done:,} entities {'put' if update else 'added'}", err=True)


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
    click.echo(f"{bundle}: {len(ids):,} entities removed", err=True)


@click.command("compact", short_help="Make the edits part of the bundle.")
@_bundle_option
def compact(bundle: str) -> None:
    """Make the edits part of the bundle, whose files and checksums are written anew."""
    from entlink.compact import compact_bundle

    _, n_edits = compact_bundle(bundle)
    click.echo(f"{bundle}: {n_edits:,} edits are part of it now", err=True)


def _opened(bundle: Bundle) -> LiveKnowledgeBase:
    """The bundle's knowledge base with the model that reads entities, and nothing else."""
    from functools import partial

    from entlink.encode.dual import DualEncoder
    from entlink.kb.live import LiveKnowledgeBase
    from entlink.vectors import encode_each

    kb = LiveKnowledgeBase.open_with(bundle.path, bundle.edits)
    kb.encode = partial(encode_each, DualEncoder.load(bundle.path / "retriever"))
    return kb
