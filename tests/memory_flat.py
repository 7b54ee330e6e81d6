"""Does memory stay flat over very many short documents through `nlp.pipe`?

    python -m tests.memory_flat [--documents 100000] [--bundle DIR] [--max-pairs 0]

Prints the resident memory at each tenth; exit status 1 if it grew by more than 5 % (and 20 MB)
between the second tenth and the end. The first two are for caches to fill. The texts are made of
a thousand names of the knowledge base, as spaCy's vocabulary keeps each new word.
"""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import spacy

from entlink.bundle import open_bundle
from entlink.kb.store import KnowledgeBase

FRAMES = (
    "They flew from {} to {} in spring.",
    "{} is not {}.",
    "Nobody at {} had heard of {}, they said.",
    "no name at all here",
    "",
)
N_NAMES = 1000


def texts(names: list[str], n: int) -> Iterator[str]:
    """So many short texts."""
    random_ = random.Random(0)
    for _ in range(n):
        yield random_.choice(FRAMES).format(random_.choice(names), random_.choice(names))


def resident_mb() -> float:
    """Memory in use now; where the platform does not tell, the most there has been."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


@click.command()
@click.option("--documents", default=100_000, show_default=True)
@click.option("--bundle", default=None, help="Name or folder; the built-in one by default.")
@click.option("--max-pairs", default=0, show_default=True, help="0: without the reranker.")
def main(documents: int, bundle: str | None, max_pairs: int) -> None:
    """Print the memory at each tenth; fail if it grows."""
    kb = KnowledgeBase.open(open_bundle(bundle).path)
    step = max(1, len(kb) // N_NAMES)
    names = [entity.name for entity in kb.by_rows(range(0, len(kb), step))]
    nlp = spacy.blank("en")
    config = {"bundle": bundle, "mentions": "detect", "max_pairs": max_pairs, "threads": 1}
    nlp.add_pipe("entlink", config=config)
    tenth = max(1, documents // 10)
    seen: list[float] = []
    n_linked = 0
    for number, doc in enumerate(nlp.pipe(texts(names, documents), batch_size=256), start=1):
        n_linked += len(doc.ents)
        if number % tenth == 0:
            seen.append(resident_mb())
            click.echo(f"{number:9,} documents {seen[-1]:8.1f} MB")
    grown = seen[-1] - seen[1]
    click.echo(f"{n_linked:,} mentions; from the second tenth on {grown:+.1f} MB")
    if grown > max(20.0, 0.05 * seen[1]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
