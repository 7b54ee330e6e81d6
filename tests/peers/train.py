"""Trains the peers that need it: python -m tests.peers.train blink --kb DIR --minutes 8 FILE ..."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from entlink.kb.store import KnowledgeBase
from entlink.train.data import read_examples
from tests.peers import blink_train, spacy_linker
from tests.peers.base import base_model

_TRAINERS = {"blink": blink_train.train, "spacy": spacy_linker.train}


@click.command()
@click.argument("peer", type=click.Choice(list(_TRAINERS)))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--kb", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--minutes", default=8.0, show_default=True, type=click.FloatRange(min=0))
@click.option("--base", default=None, help="BERT to start from.  [default: ENTLINK_PEERS_BASE]")
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="[default: one a core]")
def main(
    peer: str,
    files: tuple[Path, ...],
    kb: Path,
    minutes: float,
    base: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Train PEER on the mentions of FILES (as entlink's own training reads them)."""
    import torch

    torch.set_num_threads(threads or os.cpu_count() or 1)
    opened = KnowledgeBase.open(kb)
    examples = read_examples(files)
    known = opened.rows_of(sorted({e.gold for e in examples}))
    inside = [e for e in examples if e.gold in known]
    click.echo(f"{len(inside):,} of {len(examples):,} mentions have an entity of the KB", err=True)
    told = _TRAINERS[peer](
        inside, opened, base=base or base_model(), minutes=minutes, device=device
    )
    click.echo(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
