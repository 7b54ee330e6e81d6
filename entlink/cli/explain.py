"""`entlink explain`: why a mention was linked as it was."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entlink.cli.options import (
    backend_option,
    bundle_option,
    device_option,
    exact_option,
    threads_option,
)

if TYPE_CHECKING:
    from entlink.linker import Linker
    from entlink.records import Mention

STDIN = "-"
_PLACE = re.compile(r"(\d+):(\d+)")


@click.command("explain", short_help="Tell why a mention was linked as it was.")
@click.argument("source", required=False, metavar="[FILE|-]")
@click.option("--text", metavar="TEXT", help="The text itself, in place of a FILE.")
@click.option(
    "--mention",
    "mentions",
    multiple=True,
    metavar="WORDS|START:END",
    help="What to explain: words, where they first stand, or offsets in characters; may be given "
    "again.  [default: every mention that is found]",
)
@click.option("--against", metavar="ID", help="Compare the answer with this entity, or with NIL.")
@click.option(
    "--candidates", type=click.IntRange(min=1), default=10, show_default=True, help="Shown."
)
@click.option("--fast", is_flag=True, help="Leave out single words and the vectors' words.")
@click.option(
    "--head",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Read the reranker's vectors with this masked-language head (see: entlink train head).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for a mention.")
@bundle_option
@device_option
@threads_option
@backend_option
@exact_option
def command(
    source: str | None,
    text: str | None,
    mentions: tuple[str, ...],
    against: str | None,
    candidates: int,
    fast: bool,
    head: Path | None,
    as_json: bool,
    bundle: str | None,
    **options: Any,
) -> None:
    """Tell why the mentions of one text were linked as they were.

    For each: the candidates with every score and what they were won or lost by; how the answer's
    odds change with a part of the input, a sentence or a word left out; the tokens that the
    reranker's logits hang on; and the vectors read as words.
    """
    import orjson

    if (text is None) == (source is None):
        raise click.UsageError("give a FILE, - for standard input, or --text, and only one of them")
    text = _read(source) if text is None else text
    from entlink.linker import Linker

    linker = Linker.load(bundle, **options)
    chosen: Sequence[Mention | tuple[int, int] | str] = [_place(m) for m in mentions]
    for n, mention in enumerate(chosen or _found(linker, text)):
        explanation = linker.explain(
            text,
            mention,
            against=against,
            n_candidates=candidates,
            words=not fast,
            vectors=not fast,
            head=head,
        )
        if as_json:
            click.echo(orjson.dumps(explanation.to_dict()).decode())
        else:
            click.echo(("\n" if n else "") + str(explanation))
        sys.stdout.flush()


def _read(source: str | None) -> str:
    from entlink.errors import InputError

    try:
        if source == STDIN or source is None:
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(source).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source}: not UTF-8 (byte {error.start}); give one text in UTF-8"
        ) from None


def _place(mention: str) -> tuple[int, int] | str:
    place = _PLACE.fullmatch(mention)
    return (int(place[1]), int(place[2])) if place else mention


def _found(linker: Linker, text: str) -> list[Mention]:
    from entlink.errors import InputError

    (document,) = linker.link(text, n_candidates=1)
    if not document.links:
        raise InputError("no mention was found in the text; name one with --mention")
    return [link.mention for link in document.links]
