"""One study of distillation: trains and measures every row, writes OUT.md, OUT.json and OUT.svg.

    python -m tests.studies.distil kb/recipe/distil_losses.toml --out out/distil-losses

The command goes on where it was stopped. --set KEY=VALUE changes a setting of every row.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from entlink.config import load_config
from tests.studies.pages import table, write_page
from tests.studies.rows import Study, run_study


@click.command()
@click.argument("study", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE")
@click.option("--threads", type=click.IntRange(min=1))
def main(study: Path, out: Path, changes: tuple[str, ...], threads: int | None) -> None:
    """Run the study in STUDY.toml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    read = load_config(study, Study)
    done = run_study(read, out, changes=changes, told=lambda line: click.echo(line, err=True))
    write_page(read, done, out)
    click.echo(table(read, done))


if __name__ == "__main__":
    main()
