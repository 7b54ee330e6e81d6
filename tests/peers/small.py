"""A small set of gold mentions written by us: the ambiguous names of tests/data/contexts.toml.

    python -m tests.peers.small OUT.jsonl

Their entities are in the built-in KB.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from entlink.evaluate.formats import GoldDocument, GoldMention, write_corpus

CONTEXTS = Path(__file__).resolve().parents[1] / "data" / "contexts.toml"


def documents() -> list[GoldDocument]:
    """Each reading of each name as one document with one mention."""
    pairs = tomllib.loads(CONTEXTS.read_text(encoding="utf-8"))["pair"]
    made = []
    for pair in pairs:
        for number, reading in enumerate(pair["readings"], start=1):
            name, text = pair["name"], reading["text"]
            start = text.index(name)
            mention = GoldMention(start, start + len(name), reading["entity"])
            made.append(GoldDocument(f"{name} {number}", text, (mention,)))
    return made


if __name__ == "__main__":
    write_corpus(documents(), Path(sys.argv[1]), "jsonl")
