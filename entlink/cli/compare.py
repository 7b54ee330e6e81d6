"""`entlink compare`: is B better than A, or is it chance?"""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("compare", short_help="Test the difference of two results of `evaluate`.")
@click.argument("a", type=_FILE, metavar="A.json")
@click.argument("b", type=_FILE, metavar="B.json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, not tables.")
def command(a: Path, b: Path, as_json: bool) -> None:
    """Compare two files that `entlink evaluate --outcomes --out` wrote for the same texts.

    Every difference is B - A, with its 95% interval from drawing documents again, the same for
    both; it is more than chance if that leaves out zero. McNemar's test counts single mentions.
    """
    import orjson

    from entlink.evaluate.compare import compare, read_result
    from entlink.evaluate.report import comparison_tables, print_tables

    result = compare(read_result(a), read_result(b))
    if as_json:
        click.echo(orjson.dumps(result).decode())
    else:
        print_tables(comparison_tables(result))
