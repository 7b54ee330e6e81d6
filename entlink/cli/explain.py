"""`entlink explain`: why a mention was linked as it was."""

from __future__ import annotations

import re
import sys
from itertools import islice
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
    from entlink.records import Document

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
    "again.  [default: every mention of the document, given or found]",
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

    FILE is one text in UTF-8, or any file that `entlink link` reads with one document in it, whose
    mentions are then taken as they are given; - is standard input.

    For each: the candidates with every score and what they were won or lost by; how the answer's
    odds change with a part of the input, a sentence or a word left out; the tokens that the
    reranker's logits hang on; and the vectors read as words.
    """
    import orjson

    from entlink.errors import InputError

    if (text is None) == (source is None):
        raise click.UsageError("give a FILE, - for standard input, or --text, and only one of them")
    document = _document(source, text)
    from entlink.linker import Linker

    linker = Linker.load(bundle, **options)
    explanations = linker.explain_all(
        document,
        [_place(m, document.text) for m in mentions] or None,
        against=against,
        n_candidates=candidates,
        words=not fast,
        vectors=not fast,
        head=head,
    )
    n = 0
    for n, explanation in enumerate(explanations, start=1):
        if as_json:
            click.echo(orjson.dumps(explanation.to_dict()).decode())
        else:
            click.echo(("\n" if n > 1 else "") + str(explanation))
        sys.stdout.flush()
    if not n:
        raise InputError(f"{source or 'the text'}: no mention was found; name one with --mention")


def _document(source: str | None, text: str | None) -> Document:
    """The text given, or the one document of the source."""
    from entlink.corpus.readers import read_documents
    from entlink.errors import InputError
    from entlink.records import Document

    if source is None:
        return Document("the text", text or "")
    found = list(islice(read_documents([source]), 2))
    if not found:
        raise InputError(f"{source}: no text; give a file with one")
    if len(found) > 1:
        raise InputError(f"{source}: more than one text; give one of them, as a file or by --text")
    return found[0]


def _place(mention: str, text: str) -> tuple[int, int] | str:
    """Offsets, if it looks like them and does not stand in the text as words."""
    from entlink.explain import find_words

    place = _PLACE.fullmatch(mention)
    return (int(place[1]), int(place[2])) if place and find_words(text, mention) < 0 else mention
