"""Several processes: the same bytes as one, and a worker that dies costs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from entlink.bundle import Bundle
from entlink.corpus import Progress, link_corpus
from entlink.corpus.engines import Processes, Worker
from entlink.corpus.shards import LinkOptions, Setup
from entlink.errors import EntlinkError
from entlink.linker import Linker
from entlink.records import Document
from tests.corpus.endurance import children
from tests.tiny import make_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def worker_processes() -> list[int]:
    """The processes under this one that link shards, and no others that some test began."""
    return [
        process
        for process in children(os.getpid())
        if b"entlink.corpus.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "in.jsonl"
    names = ("Jordan", "Paris", "Georgia", "Amazon", "Prince", "Chicago Bulls", "Apple")
    rows = [
        {"id": n, "text": f"{names[n % 7]} met {names[n // 7 % 7]} on day {n}."} for n in range(700)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_two_processes_write_what_one_does(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    alone = link_corpus(corpus, one, bundle=bundle.path, device="cpu", threads=1)
    workers: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not workers and sys.platform == "linux":  # the first part is there: kill a worker
            workers.extend(worker_processes())
            os.kill(workers[0], signal.SIGKILL)

    both = link_corpus(
        corpus, two, bundle=bundle.path, device="cpu", threads=1, processes=2, on_progress=kill_one
    )
    assert one.read_bytes() == two.read_bytes() != b""
    assert (alone.n_documents, both.n_documents) == (700, 700)
    assert alone.most_linked == both.most_linked
    assert {"detect", "retrieve", "rerank"} <= both.seconds.keys()


def test_what_goes_wrong_in_a_worker_is_said(bundle: Bundle) -> None:
    setup = Setup(str(bundle.path), "another digest", "cpu", 1, LinkOptions())
    with pytest.raises(EntlinkError, match="not the bundle that this run began with"):
        list(Processes(setup, n_processes=2).run(iter([(0, b"[]")])))


def test_a_worker_without_a_parent_ends(bundle: Bundle) -> None:
    worker = Worker(Setup(str(bundle.path), bundle.digest, "cpu", 1, LinkOptions()))
    worker.start()
    process = worker._process
    assert process is not None and process.stdin is not None
    process.stdin.close()  # what the kernel does when the parent is killed
    assert process.wait(timeout=60) == 0
    worker.end()


def test_a_worker_that_was_ended_is_not_started_again(bundle: Bundle) -> None:
    worker = Worker(Setup(str(bundle.path), bundle.digest, "cpu", 1, LinkOptions()))
    worker.start()
    worker.end()
    for again in (worker.start, lambda: worker.link(b"[]")):
        with pytest.raises(EntlinkError, match="was ended"):
            again()
    assert not worker.running


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_worker_ends_with_its_parent_even_at_work() -> None:
    """Its stdin stays open here, as if it read nothing for long: it looks for its parent itself."""
    code = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "entlink.corpus.worker", str(os.getpid())])
print("started", flush=True)
time.sleep(600)
"""
    pipe = subprocess.PIPE
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdin=pipe, stdout=pipe
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        (worker,) = children(parent.pid)
        parent.kill()
        parent.wait()
        ended = time.monotonic() + 30
        while runs(worker) and time.monotonic() < ended:
            time.sleep(0.1)
        assert not runs(worker)


def runs(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_a_linker_takes_its_settings_to_other_processes(bundle: Bundle, tmp_path: Path) -> None:
    documents = [Document(str(n), "Prince met Michael Jordan in Paris") for n in range(3)]
    written = {}
    for n_processes in (1, 2):
        linker = Linker.load(bundle, device="cpu", threads=1)
        linker.exact = True
        out = tmp_path / f"{n_processes}.jsonl"
        link_corpus(documents, out, linker=linker, device="cpu", threads=1, processes=n_processes)
        written[n_processes] = out.read_bytes()
    assert written[1] == written[2]
    link_corpus(documents, tmp_path / "usual.jsonl", bundle=bundle.path, device="cpu", threads=1)
    assert written[1] != (tmp_path / "usual.jsonl").read_bytes()


def test_a_shard_that_kills_its_workers_ends_the_run(bundle: Bundle) -> None:
    worker = Worker(Setup(str(bundle.path), bundle.digest, "cpu", 1, LinkOptions()))
    worker.start()
    stop = threading.Event()

    def kill_all() -> None:
        while not stop.is_set():
            process = worker._process
            if process is not None:
                process.kill()
            time.sleep(0.01)

    process = worker._process
    assert process is not None
    process.kill()  # at once; those that replace it take a while to start, and the thread gets them
    killer = threading.Thread(target=kill_all, daemon=True)
    killer.start()
    try:
        with pytest.raises(EntlinkError, match="ended"):
            worker.link(b"[]")
    finally:
        stop.set()
        killer.join()
        worker.end()
