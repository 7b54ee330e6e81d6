"""`entlink evaluate`: how good is a bundle on gold mentions?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import entlink
from entlink.cli.options import (
    backend_option,
    bundle_option,
    device_option,
    exact_option,
    quiet_option,
    threads_option,
)
from entlink.errors import InputError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("evaluate", short_help="Measure a bundle on texts with gold links.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE ..."
)
@click.option("--format", metavar="NAME", help="Of the FILEs.  [default: as their names say]")
@click.option("--candidates", type=_FILE, metavar="FILE", help="Rank these, do not retrieve.")
@click.option("--seen", type=_FILE, metavar="FILE", help="Ids trained on, one a line.")
@click.option("--end-to-end", is_flag=True, help="Find the mentions too, and count strict spans.")
@click.option("--errors", type=_FILE, metavar="FILE", help="Write every wrong link (JSONL).")
@click.option("--out", type=_FILE, metavar="FILE", help="Write the figures to FILE (JSON).")
@click.option("--outcomes", is_flag=True, help="With every mention, for `entlink compare`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, not tables.")
@bundle_option
@device_option
@threads_option
@backend_option
@exact_option
@quiet_option
def command(
    files: tuple[Path, ...],
    format: str | None,
    candidates: Path | None,
    seen: Path | None,
    end_to_end: bool,
    errors: Path | None,
    out: Path | None,
    outcomes: bool,
    as_json: bool,
    bundle: str | None,
    device: str,
    threads: int | None,
    backend: str,
    exact: bool,
    quiet: bool,
) -> None:
    """Link the gold mentions of FILEs and compare with their entities.

    Each FILE is one set; figures are given for each, pooled (micro) and as mean of the sets
    (macro), with 95% intervals over documents. Accuracy and recall@k are over mentions whose
    entity is in the KB; those outside are counted first. docs/evaluation.md explains each figure.
    """
    from entlink.evaluate.mistakes import write_mistakes
    from entlink.evaluate.result import result_of
    from entlink.evaluate.run import measure
    from entlink.evaluate.sets import read_candidates, read_sets
    from entlink.kb.importers.jsonl import read_ids
    from entlink.linker import Linker

    for path in (out, errors):  # all that can be wrong is said before anything is loaded
        _check_folder(path)
    sets = read_sets(files, format=format)
    lists = None if candidates is None else read_candidates(candidates, sets)
    ids = None if seen is None else frozenset(read_ids(seen))
    linker = Linker.load(bundle, device=device, threads=threads, backend=backend, exact=exact)
    progress = sys.stderr.isatty() and not quiet
    measured = [
        measure(linker, gold, candidates=lists, seen=ids, end_to_end=end_to_end, progress=progress)
        for gold in sets
    ]
    if errors is not None:
        n_wrong = write_mistakes(measured, linker.kb, errors)
        if not quiet:
            click.echo(f"{n_wrong:,} wrong links in {errors}", err=True)
    result = result_of(linker, measured, outcomes=outcomes) | {
        "entlink": entlink.__version__,
        "backend": None if linker.reranker is None else linker.reranker.backend,
        "exact": exact,
    }
    write_result(result, out=out, as_json=as_json)


def _check_folder(path: Path | None) -> None:
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {str(path.parent)!r}; make it first")


def write_result(result: Mapping[str, Any], *, out: Path | None, as_json: bool) -> None:
    """To the file and to stdout, there as JSON or as tables."""
    import orjson

    from entlink.evaluate.formats.files import replacing
    from entlink.evaluate.report import print_tables, tables

    line = orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE)
    if out is not None:
        with replacing(out) as file:
            file.write(line)
    if as_json:
        click.echo(line, nl=False)
    else:
        print_tables(tables(result))
