"""Kill a run at random moments, let it go on, and compare with a run that was left alone.

    python -m tests.corpus.kill --times 200

The processes are really killed (SIGKILL). After each kill the output is absent or whole; when a
run gets to its end, its bytes are those of the run that was left alone, and nothing else is left.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
N_DOCUMENTS = 1500
PACE_S = 0.001  # a document
_LATER = 1.2  # the latest kill, in times that a run takes


@dataclass
class Report:
    """What happened."""

    n_killed: int = 0
    n_finished: int = 0
    n_with_parts: int = 0  # kills that left finished shards to go on from


def compose(path: Path, n_documents: int) -> None:
    """A corpus with a line in between that cannot be read, now and then."""
    with path.open("w", encoding="utf-8") as file:
        for n in range(n_documents):
            text = f"Jordan met Odd on day {n}, and {'so ' * (n % 50)}Nowhere was far."
            file.write(
                "{\n" if n % 400 == 399 else json.dumps({"id": f"d{n}", "text": text}) + "\n"
            )


def kill_often(folder: Path, *, times: int, seed: int = 0, suffix: str = ".jsonl") -> Report:
    """Kill so often, or until a fifth as many kills have come in the middle of the work.

    AssertionError if anything is lost, doubled or half.
    """
    source, whole, out = folder / "in.jsonl", folder / f"whole{suffix}", folder / f"out{suffix}"
    compose(source, N_DOCUMENTS)
    started = time.monotonic()
    subprocess.run(_command(source, whole), cwd=ROOT, check=True)
    longest = _LATER * (time.monotonic() - started)
    expected = (whole.read_bytes(), _quarantine(whole).read_bytes())
    chance, report = random.Random(seed), Report()
    while report.n_killed < times or report.n_with_parts < times / 5:
        started = time.monotonic()
        if _killed(_command(source, out), after_s=chance.uniform(0, longest)):
            longest *= _LATER  # until runs get through: the machine may have become slower
            report.n_killed += 1
            report.n_with_parts += any((folder / f"{out.name}.unfinished").glob("*.part"))
            assert not out.exists() or out.read_bytes() == expected[0], "a half output"
        else:
            longest = min(longest, _LATER * (time.monotonic() - started))  # or quicker
            _check_finished(out, expected)
            report.n_finished += 1
    subprocess.run(_command(source, out), cwd=ROOT, check=True)
    _check_finished(out, expected)
    report.n_finished += 1
    return report


def _check_finished(out: Path, expected: tuple[bytes, bytes]) -> None:
    assert (out.read_bytes(), _quarantine(out).read_bytes()) == expected
    left = {path.name for path in out.parent.iterdir() if path.name.startswith((".", "out"))}
    assert left == {out.name, _quarantine(out).name}, left
    out.unlink()
    _quarantine(out).unlink()


def _quarantine(out: Path) -> Path:
    return out.with_name(f"{out.name}.quarantine.jsonl")


def _command(source: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "tests.corpus.kill", "--child", str(source), str(out)]


def _killed(command: list[str], *, after_s: float) -> bool:
    """Start a command and kill it after a while; False if it was quicker, and without fault."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            code = process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    assert code == 0, f"exit code {code}"
    return False


def _child(source: str, out: str) -> None:
    from entlink.corpus import link_corpus
    from tests.fake_linker import FakeLinker

    class Unhurried(FakeLinker):
        """Takes its time, so that most kills come in the middle."""

        def stream(self, documents: Any, **options: Any) -> Iterator[Any]:
            time.sleep(PACE_S * len(documents))
            return super().stream(documents, **options)

    link_corpus(source, out, linker=Unhurried())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("SOURCE", "OUT"))
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        report = kill_often(Path(folder), times=arguments.times, seed=arguments.seed)
    sys.stdout.write(
        f"killed {report.n_killed} times ({report.n_with_parts} with finished shards), "
        f"{report.n_finished} runs got to their end: nothing lost, doubled or half\n"
    )


if __name__ == "__main__":
    main()
