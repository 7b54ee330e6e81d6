"""`entlink evaluate`: how good is a bundle on gold mentions?"""

from __future__ import annotations

from pathlib import Path

import click

from entlink.cli.options import bundle_option, device_option, quiet_option, threads_option


@click.command("evaluate", short_help="Measure a bundle on texts with gold links.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE ..."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@bundle_option
@device_option
@threads_option
@quiet_option
def command(
    files: tuple[Path, ...],
    as_json: bool,
    bundle: str | None,
    device: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Link the gold mentions of FILEs (JSONL, may be gzipped) and compare with their entities.

    Accuracy and recall@k are over mentions whose entity is in the KB; accuracy_most_popular
    is the baseline "the most popular entity of that name" on the same mentions.
    """
    import sys

    import orjson

    from entlink.evaluate.run import evaluate
    from entlink.linker import Linker

    linker = Linker.load(bundle, device=device, threads=threads)
    figures = evaluate(linker, files, progress=sys.stderr.isatty() and not quiet)
    if as_json:
        click.echo(orjson.dumps(figures).decode())
        return
    for name, value in figures.items():
        click.echo(
            f"{name:24}{value:>12,}" if isinstance(value, int) else f"{name:24}{value:12.4f}"
        )
