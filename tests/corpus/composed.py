"""Short documents about entities of a knowledge base, as many as one likes."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path

from entlink.bundle import open_bundle
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL

SEVERAL = (
    "{a} and {b} were in the news on day {n}.",
    "On day {n} a man from {a} wrote about {b}, and nobody in {c} replied.",
    "{a} lost to {b}; the next match is in {c} on day {n}.",
    "The trade between {a} and {b} grew by {n} percent, says {c}.",
)
ONE = (
    "Nobody talked about {a} on day {n}.",
    "On day {n} they wrote a long letter about {a}, and nobody replied.",
    "That is what the news of day {n} said of {a} when it was late.",
    "It is said that {a} was never as well known as on day {n}, and it may be true.",
)
_PLAIN = re.compile(r"[A-Z][\w.' ]*\w")


def compose(
    path: Path,
    n_documents: int,
    names: Sequence[str],
    *,
    patterns: Sequence[str] = SEVERAL,
    seed: int = 0,
) -> None:
    """Write so many documents, one a line; the file is whole or absent."""
    chance = random.Random(seed)
    made = path.with_name(f".{path.name}")
    with made.open("w", encoding="utf-8") as file:
        for n in range(n_documents):
            a, b, c = chance.sample(names, 3)
            text = chance.choice(patterns).format(a=a, b=b, c=c, n=n)
            file.write(json.dumps({"id": n, "text": text}) + "\n")
    os.replace(made, path)


def names_of(bundle: str | None, *, n_names: int | None = None) -> list[str]:
    """Names of entities of the KB, the first ``n_names`` or all.

    Only such as are found in one piece: with a capital, and without commas, brackets and dashes.
    """
    kb = KnowledgeBase.open(open_bundle(bundle).path)
    found: list[str] = []
    for entities in kb.iterate():
        found += [e.name for e in entities if e.id != NIL and _PLAIN.fullmatch(e.name)]
        if n_names is not None and len(found) >= n_names:
            break
    return found[:n_names]
