"""``entlink kb``: build a knowledge base, look into one, and edit the one of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from entlink.cli.kb_build import build
from entlink.cli.kb_edit import add, compact, remove

if TYPE_CHECKING:  # numpy and SQLite wait until a command runs: --help reads this module
    from entlink.kb.store import KnowledgeBase
    from entlink.records import Entity

_BUILTIN = "the built-in one"
_file = click.Path(path_type=Path)
_kb_option = click.option(
    "--kb", "kb_path", type=_file, metavar="DIR", help=f"The knowledge base; default: {_BUILTIN}."
)


@click.group("kb", short_help="Build a knowledge base, look into one, or edit one.")
def command() -> None:
    """Build a knowledge base, look into one, or edit that of a bundle."""


for _command in (build, add, remove, compact):
    command.add_command(_command)


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


def _open(path: Path | None) -> KnowledgeBase:
    from entlink.bundle import builtin_path
    from entlink.kb.live import LiveKnowledgeBase

    if path is None:
        return LiveKnowledgeBase.open_with(builtin_path(), None)
    edits = path.resolve().with_name(f"{path.resolve().name}.edits")  # as Bundle.edits
    return LiveKnowledgeBase.open_with(path, edits)


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
