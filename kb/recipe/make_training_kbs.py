"""The two knowledge bases from which the built-in models learn.

    python kb/recipe/make_training_kbs.py --shared ../shared --out work

Both hold the same entities in the same rows: kb_described with Wikidata's descriptions, and
kb_composed with descriptions that entlink/kb/describe.py composes from facts, as in the built-in
bundle. Models that learn from both serve knowledge bases of either kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from entlink.kb.build import build_kb
from entlink.kb.importers.jsonl import read_entities
from entlink.records import Entity


@click.command()
@click.option(
    "--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True
)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(shared: Path, out: Path) -> None:
    """Build both into --out."""
    facts = shared / "data" / "wikidata"
    for name, drop in (("kb_described", False), ("kb_composed", True)):
        entities: Iterable[Entity] = read_entities(facts / "entities.jsonl.gz")
        report = build_kb(
            _without_descriptions(entities) if drop else entities,
            out / name,
            relations=facts / "relations.jsonl.gz",
            priors=facts / "alias_priors.jsonl.gz",
            only=facts / "described.ids.gz",
        )
        click.echo(f"{out / name}: {report.n_entities} entities")


def _without_descriptions(entities: Iterable[Entity]) -> Iterator[Entity]:
    return (replace(entity, description=None) for entity in entities)


if __name__ == "__main__":
    main()
