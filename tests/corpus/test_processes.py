"""Several processes: the same bytes as one, and a worker that dies costs nothing."""

from __future__ import annotations

import json
import os
import signal
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
