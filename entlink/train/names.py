"""Names of people, places and organisations, to vary training texts with."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from entlink.errors import InputError

if TYPE_CHECKING:
    from spacy.language import Language

# Wikidata classes; an entity counts when one of its types is, or descends from, one of these.
ROOTS: Final[Mapping[str, frozenset[str]]] = {
    "PER": frozenset({"Q5"}),
    "LOC": frozenset({"Q515", "Q6256", "Q3624078", "Q486972", "Q15642541", "Q4022", "Q82794"}),
    "ORG": frozenset({"Q43229", "Q4830453", "Q3918", "Q7278", "Q215380", "Q476028", "Q847017"}),
}
_MAX_WORDS = 6


def read_names(
    entities: Path, types: Path, nlp: Language, *, sources: Sequence[str]
) -> dict[str, list[tuple[str, ...]]]:
    """Tokenised names by label, of entities that one of ``sources`` knows, in file order.

    Raises InputError when a file cannot be read.
    """
    try:
        parents = _parents(types)
        wanted = frozenset(sources)
        found: dict[str, list[tuple[str, ...]]] = {label: [] for label in ROOTS}
        with gzip.open(entities, "rb") as lines:
            for line in lines:
                row = orjson.loads(line)
                if not wanted.intersection(row["source"]):
                    continue
                label = _label(row["types"], parents)
                words = tuple(token.text for token in nlp.make_doc(row["name"]))
                named = words and words[0][:1].isupper() and "(" not in words
                if label and named and len(words) <= _MAX_WORDS:
                    found[label].append(words)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{entities}: cannot be read as entities ({error})") from error
    return found


def _parents(types: Path) -> dict[str, list[str]]:
    with gzip.open(types, "rb") as lines:
        rows = [orjson.loads(line) for line in lines]
    return {row["id"]: row.get("parents") or [] for row in rows}


def _label(types: Sequence[str], parents: Mapping[str, Sequence[str]]) -> str:
    """The first label that the types lead up to; people only by a type of their own."""
    if "Q5" in types:
        return "PER"
    seen, todo = set(types), list(types)
    while todo:
        for parent in parents.get(todo.pop(), ()):
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    # places first: a city is an administrative body as well
    for label in ("LOC", "ORG"):
        if seen & ROOTS[label]:
            return label
    return ""
