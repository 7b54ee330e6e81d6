"""The verdict of a long run: which samples are compared, what is kept, and what the plot shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from entlink.corpus.job import Progress
from entlink.corpus.shards import Counts
from tests.corpus.composed import ONE, compose
from tests.corpus.endurance import (
    Sample,
    Watch,
    children,
    cpu_s,
    ends,
    plot,
    rate,
    read_samples,
    rss_mb,
    tenths,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")


def samples(n: int, *, slower: float = 1.0, n_runs: int = 1) -> list[Sample]:
    """A shard of 256 documents a second; from the middle on slower; each run loads for a minute."""
    found: list[Sample] = []
    seconds = 0.0
    for i in range(n):
        run = i * n_runs // n
        if not found or run != found[-1].run:
            seconds = 60.0
        seconds += 1.0 if i < n // 2 else slower
        found.append(Sample(run, seconds, 2 * seconds, 256 * (i + 1), 500.0))
    return found


@pytest.mark.parametrize("n", [10, 19, 390])
@pytest.mark.parametrize("n_runs", [1, 2])
def test_the_early_and_the_last_documents(n: int, n_runs: int) -> None:
    total = 256 * n
    found = samples(n, slower=2.0, n_runs=n_runs)
    early, last = ends(found)
    assert 0.1 * total <= early[0].n_documents < 0.1 * total + 256
    assert 0.4 * total - 256 < early[-1].n_documents <= 0.4 * total
    assert 0.7 * total <= last[0].n_documents < 0.7 * total + 256
    assert last[-1].n_documents == total
    assert rate(early) == pytest.approx(128)
    assert rate(last) == pytest.approx(64)
    assert rate(last, by="seconds") == pytest.approx(128)
    each = tenths(found)
    assert len(each) == 10 and each[2:4] == [128.0, 128.0] and each[-2:] == [64.0, 64.0]


def test_what_lies_between_two_runs_does_not_count() -> None:
    found = samples(40, n_runs=4)
    assert rate(found, by="seconds") == pytest.approx(256)
    assert len(plot(found, "in four runs")) > 100


def test_the_plot_is_a_picture() -> None:
    root = ElementTree.fromstring(plot(samples(50), "50 shards"))
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert [len(line.get("points", "").split()) for line in lines] == [49, 49]


@linux
def test_samples_of_an_interrupted_run_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    watch = Watch(path)
    for n in (1, 2):
        watch(Progress(Counts(n_documents=256 * n), 0, None, n_resumed=0))
    path.write_text(path.read_text() + "[0, 1.5", encoding="utf-8")  # killed while it wrote
    again = Watch(path)
    again(Progress(Counts(n_documents=256), 0, None, n_resumed=256))
    again(Progress(Counts(n_documents=512), 0, None, n_resumed=512))
    again(Progress(Counts(n_documents=768), 0, None, n_resumed=512))
    assert [(s.run, s.n_documents) for s in again.samples] == [(0, 256), (0, 512), (1, 768)]
    assert read_samples(path) == again.samples


@linux
def test_memory_and_time_are_those_of_this_process_at_least() -> None:
    assert rss_mb() > 10
    own = sum(os.times()[:2])
    assert cpu_s() > own - 1.0  # the other tests' processes that have ended count as well


@linux
def test_children_are_counted_and_one_that_ended_does_no_harm() -> None:
    code = "import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline()
        assert process.pid in children(os.getpid())
    finally:
        process.kill()
    deadline = time.monotonic() + 30
    while process.pid in children(os.getpid()) and time.monotonic() < deadline:
        rss_mb()  # it has no memory any more
        process.poll()
    assert process.wait() == -9


@linux
def test_the_time_of_a_child_counts_while_it_runs_and_afterwards() -> None:
    code = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    before = cpu_s()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline()
        running = cpu_s()
        process.communicate(b"\n")
    assert running - before >= 0.45
    assert cpu_s() >= running


def test_composed_documents_are_always_the_same(tmp_path: Path) -> None:
    names = [f"Name {n}" for n in range(50)]
    for file in ("a", "b"):
        compose(tmp_path / file, 200, names, patterns=ONE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "a").read_text().splitlines()]
    assert [row["id"] for row in rows] == list(range(200))
    assert all(row["text"].count("Name ") == 1 for row in rows)
    assert len({row["text"] for row in rows}) == 200
