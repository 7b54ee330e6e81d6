"""The recorded answers of other linkers, scored by our own code.

They had all of Wikipedia or Wikidata to choose from, so every gold entity counts as reachable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from entlink.evaluate.detection import count_spans
from entlink.evaluate.formats import GoldDocument, read_corpus
from entlink.evaluate.formats.files import read_objects
from entlink.evaluate.metrics import SpanCounts, span_ratios, tally
from entlink.records import NIL

Answers = Mapping[str, Mapping[tuple[int, int], str]]  # document -> (start, end) -> id, or NIL

SETS = ("aida_testb", "msnbc_updated")


def read_gold(shared: Path, name: str) -> list[GoldDocument]:
    """The gold documents of a recorded set."""
    return list(read_corpus(shared / "data" / "mentions" / "test" / f"{name}.jsonl.gz"))


def read_answers(shared: Path, name: str) -> dict[str, Answers]:
    """Linker -> its answers; an answer that is absent or null is NIL."""
    found: dict[str, dict[str, dict[tuple[int, int], str]]] = {}
    for _, line in read_objects(shared / "data" / "peers" / f"{name}.jsonl.gz"):
        by_doc = found.setdefault(str(line["linker"]), {})
        span = int(str(line["start"])), int(str(line["end"]))
        by_doc.setdefault(str(line["doc"]), {})[span] = str(line.get("entity") or NIL)
    return dict(found)


def count(gold: Iterable[GoldDocument], answers: Answers) -> list[SpanCounts]:
    """The counts of every gold document; one that a linker says nothing about has no answers."""
    return [count_spans(doc, answers.get(doc.id, {}), in_kb=lambda _: True) for doc in gold]


def figures(counts: Iterable[SpanCounts]) -> dict[str, float]:
    """Precision, recall and F1 of spans and links over all documents."""
    return tally(["all"], (("all", span_ratios(c)) for c in counts)).figures()
