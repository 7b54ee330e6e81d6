"""Texts with gold mentions over the entities of tests/tiny.py, written to files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def line(id: str, text: str, golds: Sequence[tuple[str, str]]) -> dict[str, object]:
    """A document; each gold (surface, entity) is the next occurrence of the surface."""
    mentions, at = [], 0
    for surface, entity in golds:
        start = text.index(surface, at)
        at = start + len(surface)
        mentions.append({"start": start, "end": at, "entity": entity})
    return {"id": id, "text": text, "mentions": mentions}


NEWS = (
    line(
        "n1",
        "Jordan met Paris Hilton in Paris, the City of Light of France.",
        [("Jordan", "Q2"), ("Paris Hilton", "Q5"), ("Paris", "Q4"), ("City of Light", "Q4")],
    ),
    line(
        "n2",
        "Apple hired Nobody in Georgia, and the Amazon flows.",
        [("Apple", "Q10"), ("Nobody", "Q999"), ("Georgia", "NIL"), ("Amazon", "Q13")],
    ),
    line("n3", "Nothing is named here.", []),
    line("n4", "The Bulls of Chicago lost.", [("Bulls", "Q14"), ("Chicago", "Q15")]),
)
WEB = (
    line("w1", "Georgia and Jordan are countries.", [("Georgia", "Q8"), ("Jordan", "Q1")]),
    line("w2", "I write C++ in Munich.", [("C++", "Q19"), ("Munich", "Q17")]),
)


def write(path: Path, lines: Iterable[Mapping[str, object]]) -> Path:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(value) + "\n" for value in lines), encoding="utf-8")
    return path
