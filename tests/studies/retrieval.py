"""One study of the retriever: trains and measures every row, writes OUT/study.md, .json and .svg.

    python -m tests.studies.retrieval kb/recipe/retriever_ablation.toml --out out/retriever-ablation

The command goes on where it was stopped. --set KEY=VALUE changes a setting of every training.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import click

from entlink.config import load_config
from tests.studies.retrieval_page import page, write_page
from tests.studies.retrieval_rows import Study, run_study


@click.command()
@click.argument("study", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE")
@click.option("--kb", "kbs", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--row", "rows", multiple=True, metavar="NAME", help="Only these, and what they need."
)
@click.option("--limit", type=click.IntRange(min=1), help="Mentions of each set.")
@click.option("--threads", type=click.IntRange(min=1))
def main(
    study: Path,
    out: Path,
    changes: tuple[str, ...],
    kbs: tuple[Path, ...],
    rows: tuple[str, ...],
    limit: int | None,
    threads: int | None,
) -> None:
    """Run the study in STUDY.toml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells which of its builds it tries
    if threads is not None:
        import torch

        from entlink.retrieve.index import use_threads

        torch.set_num_threads(threads)
        use_threads(threads)
    read = load_config(study, Study)
    if kbs:
        read = replace(read, kbs=kbs)
    if limit:
        read = replace(read, limit=limit)
    if rows:
        known = {row.name: row for row in read.row}
        if unknown := sorted(set(rows) - known.keys()):
            raise click.UsageError(f"no row {unknown[0]!r}; there are {', '.join(known)}")
        needed = {*rows, *(other for name in rows for other in known[name].needed)}
        read = replace(read, row=tuple(row for row in read.row if row.name in needed))
    done = run_study(read, out, changes=changes, told=lambda line: click.echo(line, err=True))
    write_page(read, done, out)
    click.echo(page(read, done))


if __name__ == "__main__":
    main()
