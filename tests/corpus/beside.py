"""Is a run that has linked very many documents slower than one that has just begun?

    python -m tests.corpus.beside out/corpus-1m --documents 20000 --no-reranker --threads 1

While `tests.corpus.endurance` is at work on the first argument (its --out), another one is begun
that links so many documents, and both rates are taken over the same minutes: documents a second of
the processor. What else the machine does slows both, while the start and the end of a long run may
be hours of another load. Further options are those of the new run. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.corpus.endurance import Sample, rate, read_last

_WARM = 0.15  # the share of the new run's documents that warm it up
_POLL_S = 0.5


def begin(folder: Path, n_documents: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the new run."""
    command = [sys.executable, "-m", "tests.corpus.endurance", "--documents", str(n_documents)]
    return subprocess.Popen(
        [*command, "--out", str(folder / "new"), *options], stdout=subprocess.DEVNULL
    )


def watch(
    process: subprocess.Popen[bytes], old: Path, new: Path, *, n_warm: int
) -> tuple[list[Sample], list[Sample]]:
    """The last sample of the old run and of the new, from when it is warm to when it ends."""
    both: tuple[list[Sample], list[Sample]] = ([], [])
    while process.poll() is None:
        time.sleep(_POLL_S)
        last = read_last(old), read_last(new)
        if last[0] is None or last[1] is None or last[1].n_documents < n_warm:
            continue
        if not both[1] or last[1] != both[1][-1]:
            both[0].append(last[0])
            both[1].append(last[1])
    return both


def compare(old: Sequence[Sample], new: Sequence[Sample]) -> dict[str, float]:
    """Documents a second of the processor of both, and how they compare."""
    rates = rate([old[0], old[-1]]), rate([new[0], new[-1]])
    return {
        "seconds": new[-1].seconds - new[0].seconds,
        "old_run_at": old[-1].n_documents,
        "old_run": rates[0],
        "new_run": rates[1],
        "old_against_new": rates[0] / rates[1],
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="of the run that is at work")
    parser.add_argument("--documents", type=int, default=20_000)
    arguments, options = parser.parse_known_args()
    old = arguments.out.with_name(f"{arguments.out.name}.run") / "samples.jsonl"
    if read_last(old) is None:
        parser.error(f"{old}: no run is at work there")
    with tempfile.TemporaryDirectory() as folder:
        process = begin(Path(folder), arguments.documents, options)
        new = Path(folder) / "new.run" / "samples.jsonl"
        samples = watch(process, old, new, n_warm=int(_WARM * arguments.documents))
    if len(samples[1]) < 2:
        parser.error("the new run ended too soon to tell; raise --documents")
    sys.stdout.write(json.dumps(compare(*samples), indent=1) + "\n")


if __name__ == "__main__":
    main()
