"""Bare texts in, links out: entlink beside the recorded answers of other linkers.

    python -m tests.peers.end_to_end --bundle DIR [--set aida_testb] [--limit 20] [--out FILE.md]

Texts and answers are found as ENTLINK_SHARED says. Spans are strict. Gold entities that the KB of
the bundle does not have count for nobody: links on such gold spans are left out for all systems
alike. The others had all of Wikipedia or Wikidata to choose from. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from entlink.evaluate.detection import Spans, count_spans
from entlink.evaluate.formats import GoldDocument
from entlink.kb.store import KnowledgeBase
from entlink.linker import Linker
from entlink.records import Document
from tests.peers.recorded import LINKERS, SETS, figures, read_answers, read_gold

OWN = "entlink"
COLUMNS = {
    "detect_precision": "found: precision",
    "detect_recall": "recall",
    "detect_recall_in_kb": "recall, in KB",
    "link_precision": "linked: precision",
    "link_recall": "recall",
    "link_f1": "F1",
    "link_accuracy_where_linked": "right where linked",
}
Found = Mapping[str, Spans]  # document -> (start, end) -> id, or NIL


def measured(
    gold: Sequence[GoldDocument], found: Found, known: Mapping[str, object]
) -> dict[str, float]:
    """The figures of one system; ``known`` are the ids that the KB has."""
    counts = [count_spans(d, found.get(d.id, {}), in_kb=known.__contains__) for d in gold]
    within = [replace(d, mentions=tuple(m for m in d.mentions if m.entity in known)) for d in gold]
    only = [count_spans(d, found.get(d.id, {}), in_kb=known.__contains__) for d in within]
    return figures(counts) | {"detect_recall_in_kb": figures(only)["detect_recall"]}


def links(linker: Linker, gold: Iterable[GoldDocument]) -> Found:
    """What entlink finds in the bare texts."""
    bare = (Document(doc.id, doc.text) for doc in gold)
    return {
        doc.id: {(k.mention.start, k.mention.end): k.entity_id for k in doc.links}
        for doc in linker.stream(bare, n_candidates=1)
    }


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Systems and their figures as a Markdown table."""
    lines = [
        f"| | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---|' * len(COLUMNS)}",
        *(
            f"| {name} | {' | '.join(f'{row[column]:.3f}' for column in COLUMNS)} |"
            for name, row in rows.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def compare(shared: Path, name: str, linker: Linker, *, limit: int | None = None) -> str:
    """One set as a piece of a page: how many mentions, and the table."""
    gold = read_gold(shared, name)[:limit]
    known = known_ids(linker.kb, gold)
    answers = read_answers(shared, name)
    rows = {OWN: measured(gold, links(linker, gold), known)}
    rows |= {system: measured(gold, answers[key], known) for system, key in LINKERS.items()}
    mentions = [m for doc in gold for m in doc.mentions]
    n_known = sum(m.entity in known for m in mentions)
    return (
        f"**{name}**: {len(gold):,} documents, {len(mentions):,} gold mentions, {n_known:,} of "
        f"them in the KB of {len(linker.kb):,} entities\n\n{table(rows)}"
    )


def known_ids(kb: KnowledgeBase, gold: Iterable[GoldDocument]) -> dict[str, int]:
    """The gold entities that the KB has."""
    return kb.rows_of(sorted({m.entity for doc in gold for m in doc.mentions if m.entity}))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--no-reranker", action="store_true")
    parser.add_argument("--set", action="append", choices=SETS, help="default: all")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N documents of each")
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get("ENTLINK_SHARED", root.parent / "shared"))
    linker = Linker.load(arguments.bundle, backend=arguments.backend)
    if arguments.no_reranker:
        linker = linker.without_reranker()
    sets = arguments.set or SETS
    page = "\n".join(compare(shared, name, linker, limit=arguments.limit) for name in sets)
    sys.stdout.write(page)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
