"""The knowledge bases from which the built-in models learn.

    python kb/recipe/make_training_kbs.py --shared ../shared --out work

All hold the same entities in the same rows: kb_described with Wikidata's descriptions, kb_composed
with descriptions that entlink/kb/describe.py composes from facts, as in the built-in bundle, and
kb_bare with names alone, as many a list has them. Models that learn from all serve knowledge bases
of every kind.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from entlink.kb.build import build_kb
from entlink.kb.importers.jsonl import read_entities

WITHOUT: dict[str, dict[str, Any]] = {
    "kb_described": {},
    "kb_composed": {"description": None},
    "kb_bare": {"description": None, "types": ()},
}


@click.command()
@click.option(
    "--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True
)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(shared: Path, out: Path) -> None:
    """Build all into --out."""
    facts = shared / "data" / "wikidata"
    for name, without in WITHOUT.items():
        entities = read_entities(facts / "entities.jsonl.gz")
        report = build_kb(
            (replace(entity, **without) for entity in entities),
            out / name,
            relations=None if "types" in without else facts / "relations.jsonl.gz",
            priors=facts / "alias_priors.jsonl.gz",
            only=facts / "described.ids.gz",
        )
        click.echo(f"{out / name}: {report.n_entities} entities")


if __name__ == "__main__":
    main()
