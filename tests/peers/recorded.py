"""The recorded answers of other linkers, scored by our own code.

They had all of Wikipedia or Wikidata to choose from, so every gold entity counts as reachable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from entlink.bundle import file_digest
from entlink.errors import InputError
from entlink.evaluate.benchmark.peer import Answer, Kind
from entlink.evaluate.detection import count_spans
from entlink.evaluate.formats import GoldDocument, read_corpus
from entlink.evaluate.formats.files import read_objects
from entlink.evaluate.metrics import SpanCounts, span_ratios, tally
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL, Document
from tests.peers.base import NOTHING, Base

Answers = Mapping[str, Mapping[tuple[int, int], str]]  # document -> (start, end) -> id, or NIL

SETS = ("aida_testb", "msnbc_updated")
LINKERS = {  # as they are called in the recorded files
    "ReFinED (recorded)": "refined__aida_",
    "REL (recorded)": "rel__2014_",
    "GENRE (recorded)": "genre__yago_",
    "SpEL (recorded)": "spel__large_",
    "DBpedia Spotlight (recorded)": "dbpedia_spotlight",
}


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


class Recorded(Base):
    """A linker whose answers were recorded: with its own mentions, over all of Wikipedia."""

    kind = Kind.FINDS
    is_retriever = False
    is_timed = False
    sets = SETS

    def __init__(self, name: str, linker: str) -> None:
        self.name = name
        self.about = f"answers recorded by ELEVANT as {linker!r}, own mentions, own KB"
        self._linker = linker
        root = Path(__file__).resolve().parents[2]
        self._shared = Path(os.environ.get("ENTLINK_SHARED", root.parent / "shared"))

    def _files(self) -> list[Path]:
        return [self._shared / "data" / "peers" / f"{name}.jsonl.gz" for name in SETS]

    def settings(self) -> Mapping[str, object]:
        """The recorded files."""
        digests = [file_digest(path) for path in self._files() if path.is_file()]
        return {**super().settings(), "linker": self._linker, "files": digests}

    def prepare(self, kb: KnowledgeBase) -> None:
        """Read the answers. Raises InputError if there are none, or two sets share a document."""
        if missing := [path for path in self._files() if not path.is_file()]:
            raise InputError(f"{missing[0]}: no recorded answers here; set ENTLINK_SHARED")
        self._answers: dict[str, Mapping[tuple[int, int], str]] = {}
        for name in SETS:
            found = read_answers(self._shared, name)[self._linker]
            if both := self._answers.keys() & found.keys():
                raise InputError(f"document {min(both)!r} is in two of the recorded sets")
            self._answers.update(found)

    def answer(self, documents: Sequence[Document]) -> list[list[Answer]]:
        """What it said of spans with the very ends; NIL is no link."""
        answers = []
        for doc in documents:
            found = self._answers.get(doc.id, {})
            tops = [found.get((m.start, m.end), NIL) for m in doc.mentions or ()]
            answers.append([Answer(NOTHING, None if top == NIL else top) for top in tops])
        return answers


def recorded_peers() -> list[Base]:
    """The linkers that people use."""
    return [Recorded(name, linker) for name, linker in LINKERS.items()]
