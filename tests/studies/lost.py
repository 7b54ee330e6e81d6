"""Which entities were not even among the candidates, by how the mention names them.

    entlink evaluate FILE ... --bundle DIR --no-reranker --errors wrong.jsonl
    python -m tests.studies.lost wrong.jsonl

Reads what ``--errors`` wrote and prints a table: a kind of name, how many were lost, and some of
them. A mention is of the first kind that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import click
import orjson

from entlink.kb.aliases import normalise
from entlink.kb.demonyms import countries_of

_ALIKE = 0.8  # difflib's ratio of two names of which one is misspelt
_SHOWN = 4
_SMALL = frozenset(("and", "de", "for", "of", "the"))  # may have no initial

Lost = Mapping[str, Any]


def names_of(lost: Lost) -> list[list[str]]:
    """The words of each name of the true entity."""
    gold = lost["gold"]
    return [normalise(name).split() for name in (gold["name"], *gold["aliases"])]


def is_misspelt(lost: Lost) -> bool:
    """Nearly a name, and none."""
    own = normalise(lost["text"])
    ratios = [SequenceMatcher(None, own, " ".join(words)).ratio() for words in names_of(lost)]
    return _ALIKE <= max(ratios) < 1.0


def is_part(lost: Lost) -> bool:
    """Some words of a name, or all and more."""
    own = set(normalise(lost["text"]).split())
    return any(own <= set(words) or own >= set(words) for words in names_of(lost))


def is_initials(lost: Lost) -> bool:
    """The first letters of a name's words, small ones in or out."""
    own = "".join(c for c in normalise(lost["text"]) if c.isalpha())
    names = names_of(lost)
    names += [[word for word in words if word not in _SMALL] for words in names]
    return own in {"".join(word[0] for word in words) for words in names}


def is_adjective(lost: Lost) -> bool:
    """Of a country, or its people."""
    return bool(countries_of(lost["text"]))


def shares_a_word(lost: Lost) -> bool:
    """Another form of a name."""
    own = set(normalise(lost["text"]).split())
    return any(own & set(words) for words in names_of(lost))


KINDS: Mapping[str, Callable[[Lost], bool]] = {
    "misspelt, or spelt otherwise": is_misspelt,
    "part of its name, or more than it": is_part,
    "initials": is_initials,
    "adjective of a country, or its people": is_adjective,
    "another form, with a word of its name": shares_a_word,
    "no word of its name: nickname, capital for government, former name": lambda _: True,
}


def kind_of(lost: Lost) -> str:
    """The first kind that fits."""
    return next(name for name, fits in KINDS.items() if fits(lost))


def read_lost(path: Path) -> Iterator[Lost]:
    """The mistakes whose true entity is in the KB and was not retrieved."""
    with path.open("rb") as file:
        for line in file:
            mistake = orjson.loads(line)
            if mistake["gold"]["in_kb"] and mistake["gold_rank"] is None:
                yield mistake


def table(lost: Sequence[Lost]) -> str:
    """Kinds by number, each with how many entities are nothing but a name, and examples."""
    kinds: dict[str, list[Lost]] = {}
    for item in lost:
        kinds.setdefault(kind_of(item), []).append(item)
    lines = ["| how the mention names it | lost | only a name | such as |", "|---|---:|---:|---|"]
    for kind, some in sorted(kinds.items(), key=lambda pair: -len(pair[1])):
        bare = sum(not item["gold"]["text"] for item in some)
        pairs = dict.fromkeys(f"{item['text']} ({item['gold']['name']})" for item in some)
        shown = ", ".join(list(pairs)[:_SHOWN])
        lines.append(f"| {kind} | {len(some)} | {bare} | {shown} |")
    bare = sum(not item["gold"]["text"] for item in lost)
    lines.append(f"| all | {len(lost)} | {bare} | |")
    return "\n".join(lines)


@click.command()
@click.argument("errors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(errors: Path) -> None:
    """Table of the entities that were lost in ERRORS.jsonl."""
    click.echo(table(list(read_lost(errors))))


if __name__ == "__main__":
    main()
