"""`entlink distill`: a cross-encoder teaches a dual encoder (kb/recipe/distil.toml)."""

from __future__ import annotations

import time
from pathlib import Path

import click

from entlink.cli.train import print_report, read_settings, training_options


@click.command("distill", short_help="Teach a retriever with a reranker's scores.")
@training_options
def command(config: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Teach a retriever with a reranker's scores; figures on dev are printed as JSON.

    The scores are computed once and kept, and both they and the training go on where a stopped run
    left off. See docs/distillation.md.
    """
    from entlink.train.distil import distil
    from entlink.train.distil_config import DistilTraining

    settings = read_settings(config, DistilTraining, changes, threads)
    started = time.perf_counter()
    report = distil(settings)
    print_report({"out": str(settings.out), **report, "seconds": time.perf_counter() - started})
