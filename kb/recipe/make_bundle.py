"""Puts trained parts together into a bundle folder.

    python kb/recipe/make_bundle.py --kb DIR --detector DIR --retriever DIR --reranker DIR \
        --decision FILE [--unread FILE] [--card FILE] --out DIR

Parts that lie in --out already stay as they are; the manifest is written last.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from entlink.bundle import DECISION, UNREAD, write_manifest

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--kb", type=_FOLDER, required=True)
@click.option("--detector", type=_FOLDER, required=True)
@click.option("--retriever", type=_FOLDER, required=True)
@click.option("--reranker", type=_FOLDER)
@click.option("--decision", type=_FILE, required=True)
@click.option("--unread", type=_FILE, help="The decision for linking without the reranker.")
@click.option("--card", type=_FILE)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(
    kb: Path,
    detector: Path,
    retriever: Path,
    reranker: Path | None,
    decision: Path,
    unread: Path | None,
    card: Path | None,
    out: Path,
) -> None:
    """Copy the parts into --out and write the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    parts = {
        "kb.sqlite": kb / "kb.sqlite",
        DECISION: decision,
        UNREAD: unread,
        "detector": detector,
        "retriever": retriever,
        "reranker": reranker,
        "MODEL_CARD.md": card,
    }
    for name, source in parts.items():
        if source is not None and source.resolve() != (out / name).resolve():
            _copy(source, out / name)
    bundle = write_manifest(out)
    size = sum((out / name).stat().st_size for name in bundle.files)
    click.echo(f"{out}: {len(bundle.files)} files, {size / 1e6:.1f} MB")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=shutil.copyfile)
        files = [file for file in target.rglob("*") if file.is_file()]
    else:
        shutil.copyfile(source, target)
        files = [target]
    for file in files:
        file.chmod(0o644)


if __name__ == "__main__":
    main()
