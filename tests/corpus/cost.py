"""What linking very many documents costs: processor time and storage, from texts like them.

    python -m tests.corpus.cost FILE.jsonl.gz [--bundle DIR] [--documents 20] [--read 5]

CPU seconds are those of one thread, so that other work on the machine hardly changes them.
The first --read documents are also linked with the reranker. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import entlink
from entlink.corpus.readers import read_documents
from entlink.corpus.writers import link_line
from entlink.linker import Linker
from entlink.records import Document

MILLIONS = 100


def measure(linker: Linker, documents: Sequence[Document]) -> dict[str, float]:
    """CPU seconds and bytes a document."""
    started = time.process_time()
    linked = list(linker.stream(documents))
    seconds = time.process_time() - started
    one = [replace(d, links=tuple(replace(k, candidates=()) for k in d.links)) for d in linked]
    n = len(documents)
    return {
        "n_documents": n,
        "mentions_per_document": sum(len(d.links) for d in linked) / n,
        "characters_per_document": sum(len(d.text) for d in linked) / n,
        "cpu_seconds_per_document": seconds / n,
        f"cpu_hours_of_{MILLIONS}_million": seconds / n * MILLIONS * 1e6 / 3600,
        f"terabytes_of_{MILLIONS}_million": _packed(linked) / n * MILLIONS * 1e6 / 1e12,
        "terabytes_without_candidates": _packed(one) / n * MILLIONS * 1e6 / 1e12,
    }


def _packed(linked: Sequence[entlink.LinkedDocument]) -> int:
    return len(gzip.compress(b"".join(map(link_line, linked))))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--bundle")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--read", type=int, default=5)
    arguments = parser.parse_args()
    # the bare texts: names are found, as in a corpus
    read = itertools.islice(read_documents(arguments.files), arguments.documents)
    documents = [Document(str(n), document.text) for n, document in enumerate(read)]
    linker = Linker.load(arguments.bundle, device="cpu", threads=1)
    reranker, linker.reranker = linker.reranker, None
    list(linker.stream(documents[:2]))  # loads what is loaded when first needed
    report = {"without the reranker": measure(linker, documents)}
    if reranker is not None and arguments.read:
        linker.reranker = reranker
        report["with the reranker"] = measure(linker, documents[: arguments.read])
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
