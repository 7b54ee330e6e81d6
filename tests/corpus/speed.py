"""How fast a corpus is linked: the obvious loop, in batches, and in several processes.

    python -m tests.corpus.speed --documents 300 [--bundle DIR] [FILE.jsonl ...]

Each way links the same documents, with one thread a process, after a few that warm it up. FILEs
are texts of your own; without any they are composed. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from entlink.corpus import link_corpus
from entlink.corpus.readers import read_documents
from tests.corpus.endurance import compose, names_of

_WARM_UP = 8


def loop(texts: Sequence[str], bundle: str | None) -> float:
    """Seconds of `for text in texts: nlp(text)`."""
    import spacy
    import torch

    torch.set_num_threads(1)
    nlp = spacy.blank("en")
    nlp.add_pipe("entlink", config={"bundle": bundle, "device": "cpu", "threads": 1})
    for text in texts[:_WARM_UP]:
        nlp(text)
    return _seconds(lambda: [nlp(text) for text in texts])


def corpus(source: Path, bundle: str | None, *, processes: int) -> tuple[float, bytes]:
    """Seconds from the first shard that is done to the last, scaled to all; and the output.

    What it takes to load models is left out, as it is of the loop.
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
        on_progress=lambda p: moments.append((time.perf_counter(), p.counts.n_documents)),
    )
    # of several processes, from when each of them has given one
    (begin, before), (end, total) = moments[processes - 1], moments[-processes]
    return (end - begin) * total / (total - before), out.read_bytes()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--bundle")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        if arguments.files:
            texts = [d.text for d in read_documents(arguments.files)][: arguments.documents]
            rows = [json.dumps({"id": n, "text": text}) for n, text in enumerate(texts)]
            source.write_text("\n".join(rows), encoding="utf-8")
        else:
            compose(source, arguments.documents, names_of(arguments.bundle))
            texts = [d.text for d in read_documents([str(source)])]
        one, bytes_of_one = corpus(source, arguments.bundle, processes=1)
        n = arguments.processes
        several, bytes_of_several = corpus(source, arguments.bundle, processes=n)
        alone = loop(texts[: max(_WARM_UP, len(texts) // 10)], arguments.bundle)
    alone_rate = max(_WARM_UP, len(texts) // 10) / alone
    report = {
        "n_documents": len(texts),
        "documents_per_second": {
            "loop": alone_rate,
            "1 process": len(texts) / one,
            f"{n} processes": len(texts) / several,
        },
        "batches_against_loop": len(texts) / one / alone_rate,
        f"{n} processes against 1": one / several,
        "same_bytes": bytes_of_one == bytes_of_several,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
