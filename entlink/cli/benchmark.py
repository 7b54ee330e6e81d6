"""`entlink benchmark`: entlink and others on the same mentions, accuracy and speed side by side."""

from __future__ import annotations

import os
from pathlib import Path

import click

from entlink.cli.options import (
    backend_option,
    bundle_option,
    device_option,
    quiet_option,
    threads_option,
)


@click.command("benchmark", short_help="Measure entlink and other systems side by side.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE ..."
)
@click.option("--peers", metavar="MODULE", help="Python module whose peers() gives other systems.")
@click.option("--only", multiple=True, metavar="NAME", help="Of them only this; may be repeated.")
@click.option(
    "--retrieval-kb",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Measure retrieval over this larger KB as well.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Mentions of each FILE.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    metavar="N",
    help="Mentions in all for systems that read every candidate.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("benchmark"),
    show_default=True,
    metavar="DIR",
    help="For benchmark.md, .svg, .json, and the results to go on from.",
)
@click.option("--again", is_flag=True, help="Run all, even what has a result in DIR.")
@bundle_option
@device_option
@backend_option
@threads_option
@quiet_option
def command(
    files: tuple[Path, ...],
    peers: str | None,
    only: tuple[str, ...],
    retrieval_kb: Path | None,
    limit: int | None,
    sample: int,
    out: Path,
    again: bool,
    bundle: str | None,
    device: str,
    backend: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Give the gold mentions of FILEs to entlink and to other systems, over the bundle's KB.

    Each system's answers on each FILE are kept in DIR/results; a run that was interrupted goes on
    from there, and what has changed (bundle, code, weights, mentions) is done again. A system that
    cannot run is named in the page, and the exit code is then 1.
    """
    from entlink.evaluate.benchmark.run import Options, benchmark

    options = Options(
        bundle=bundle,
        peers=peers,
        only=only,
        retrieval_kb=retrieval_kb,
        limit=limit,
        n_sample=sample,
        out=out,
        again=again,
        device=device,
        threads=threads or os.cpu_count() or 1,
        backend=backend,
    )
    result = benchmark(
        files, options, told=lambda line: None if quiet else click.echo(line, err=True)
    )
    click.echo(result.page, nl=False)
    return 1 if result.set_aside else 0
