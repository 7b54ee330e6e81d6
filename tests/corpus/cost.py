"""What linking very many documents costs: processor and GPU time and storage, from texts like them.

    python -m tests.corpus.cost FILE.jsonl.gz [--bundle DIR] [--documents 20] [--read 5]
        [--pairs-per-second N]

CPU seconds are those of one thread, which other work on the machine has changed by up to a quarter.
The first --read documents are also linked with the reranker. --pairs-per-second is what a GPU
reads, measured with `python -m tests.corpus.pairs`; from it and the pairs of a document follow the
GPU hours. All else is then the processor's, as without the reranker. Prints one JSON object.
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
_ALL = MILLIONS * 1e6
_MANY = 1000  # candidates: more than the retriever gives, so that every pair that was read is seen


def measure(linker: Linker, documents: Sequence[Document]) -> dict[str, float]:
    """CPU seconds, pairs and bytes a document."""
    started = time.process_time()
    found = list(linker.stream(documents, n_candidates=_MANY))
    seconds = time.process_time() - started
    linked = [_with_candidates(document, 10) for document in found]
    n = len(documents)
    return {
        "n_documents": n,
        "mentions_per_document": sum(len(d.links) for d in linked) / n,
        "characters_per_document": sum(len(d.text) for d in linked) / n,
        "pairs_per_document": sum(map(_n_read, found)) / n,
        "cpu_seconds_per_document": seconds / n,
        f"cpu_hours_of_{MILLIONS}_million": seconds / n * _ALL / 3600,
        f"terabytes_of_{MILLIONS}_million": _packed(linked) / n * _ALL / 1e12,
        "terabytes_without_candidates": _packed([_with_candidates(d, 0) for d in linked])
        / n
        * _ALL
        / 1e12,
    }


def gpu_hours(pairs_per_document: float, pairs_per_second: float) -> float:
    """GPU hours that reading takes, of all documents."""
    return pairs_per_document * _ALL / pairs_per_second / 3600


def _n_read(document: entlink.LinkedDocument) -> int:
    return sum(c.reranker_score is not None for k in document.links for c in k.candidates)


def _with_candidates(document: entlink.LinkedDocument, n: int) -> entlink.LinkedDocument:
    links = (replace(link, candidates=link.candidates[:n]) for link in document.links)
    return replace(document, links=tuple(links))


def _packed(linked: Sequence[entlink.LinkedDocument]) -> int:
    return len(gzip.compress(b"".join(map(link_line, linked))))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--bundle")
    parser.add_argument("--backend", default="auto", help="of the reranker")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--read", type=int, default=5)
    parser.add_argument("--pairs-per-second", type=float, metavar="N", help="that a GPU reads")
    arguments = parser.parse_args()
    # the bare texts: names are found, as in a corpus
    read = itertools.islice(read_documents(arguments.files), arguments.documents)
    documents = [Document(str(n), document.text) for n, document in enumerate(read)]
    linker = Linker.load(arguments.bundle, device="cpu", threads=1, backend=arguments.backend)
    list(linker.stream(documents[:2]))  # loads what is loaded when first needed
    quick = linker.without_reranker()
    report: dict[str, object] = {"without the reranker": measure(quick, documents)}
    if (reranker := linker.reranker) is not None and arguments.read:
        with_it = measure(linker, documents[: arguments.read])
        report["with the reranker"] = {"backend": reranker.backend} | with_it
        if rate := arguments.pairs_per_second:
            hours = gpu_hours(with_it["pairs_per_document"], rate)
            report[f"gpu_hours_of_{MILLIONS}_million"] = hours
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
