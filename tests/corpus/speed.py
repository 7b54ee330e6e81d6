"""How fast a corpus is linked: the obvious loop, in batches, and in several processes.

    python -m tests.corpus.speed --documents 3000 [--no-reranker] [--bundle DIR] [FILE.jsonl ...]
    python -m tests.corpus.speed --documents 2048 --one

FILEs are texts of your own; without any they are composed, with two or three names each (--one:
with one, which is quicker). The loop and the batches are compared by
the processor time of one thread, which other work on the machine slows alike, on a tenth of the
documents; the processes by the clock, so leave the machine alone. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entlink.corpus import link_corpus
from entlink.corpus.items import BATCH_DOCUMENTS, SHARD_BATCHES
from entlink.corpus.readers import read_documents
from entlink.records import Document
from tests.corpus.composed import ONE, SEVERAL, compose, names_of


def loop_and_batches(
    texts: Sequence[str], bundle: str | None, *, reranker: bool
) -> tuple[float, float]:
    """CPU seconds of `for text in texts: nlp(text)`, and of the same texts as a stream."""
    import spacy
    import torch

    torch.set_num_threads(1)
    nlp = spacy.blank("en")
    reads = {} if reranker else {"max_pairs": 0}
    nlp.add_pipe("entlink", config={"bundle": bundle, "device": "cpu", "threads": 1} | reads)
    pipe: Any = nlp.get_pipe("entlink")
    linker = pipe.linker if reranker else pipe.linker.without_reranker()
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    nlp(texts[0])  # loads what is loaded when first needed
    list(linker.stream(documents[:1]))
    started = time.process_time()
    for text in texts:
        nlp(text)
    between = time.process_time()
    list(linker.stream(documents))
    return between - started, time.process_time() - between


def corpus(
    source: Path, bundle: str | None, *, processes: int, reranker: bool
) -> tuple[float, bytes]:
    """Seconds from the first shard that is done to the last, scaled to all; and the output.

    What it takes to load models is left out.
    """
    moments: list[tuple[float, int]] = []
    out = source.with_name(f"{processes}.jsonl")
    link_corpus(
        source,
        out,
        bundle=bundle,
        device="cpu",
        threads=1,
        processes=processes,
        reranker=reranker,
        on_progress=lambda p: moments.append((time.perf_counter(), p.counts.n_documents)),
    )
    # of several processes, from when each has given one; that one may have none at the end counts
    (begin, before), (end, done) = moments[processes - 1], moments[-1]
    return (end - begin) * moments[-1][1] / (done - before), out.read_bytes()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--bundle")
    parser.add_argument("--no-reranker", action="store_true")
    parser.add_argument("--one", action="store_true", help="a composed document has one name")
    parser.add_argument("--processes", type=int, default=2, help="1: only loop and batches")
    arguments = parser.parse_args()
    n, reranker = arguments.processes, not arguments.no_reranker
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        if arguments.files:
            texts = [d.text for d in read_documents(arguments.files)][: arguments.documents]
            rows = [json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)]
            source.write_text("\n".join(rows), encoding="utf-8")
        else:
            names = names_of(arguments.bundle, n_names=5000)
            patterns = ONE if arguments.one else SEVERAL
            compose(source, arguments.documents, names, patterns=patterns)
            texts = [d.text for d in read_documents([str(source)])]
        some = texts[: max(40, len(texts) // 10)]
        loop, batches = loop_and_batches(some, arguments.bundle, reranker=reranker)
        report: dict[str, object] = {
            "reranker": reranker,
            "n_documents": len(some),
            "cpu_seconds": {"loop": loop, "batches": batches},
            "batches_against_loop": loop / batches,
        }
        if n > 1:
            if len(texts) < 3 * n * SHARD_BATCHES * BATCH_DOCUMENTS:
                parser.error("too few documents to compare processes; raise --documents")
            one = corpus(source, arguments.bundle, processes=1, reranker=reranker)
            several = corpus(source, arguments.bundle, processes=n, reranker=reranker)
            report |= {
                "documents_per_second": {1: len(texts) / one[0], n: len(texts) / several[0]},
                f"{n}_processes_against_1": one[0] / several[0],
                "same_bytes": one[1] == several[1],
            }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
