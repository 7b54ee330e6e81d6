"""What links shards on this machine: this process, or several that share the mapped files."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO, cast

from entlink.corpus.shards import LinkOptions, LinksTexts, Setup, link_shard
from entlink.errors import EntlinkError

log = logging.getLogger(__name__)

DONE, FAILED = b"\0", b"\1"  # the first byte of what a worker answers
_LENGTH = struct.Struct("<Q")
_ATTEMPTS = 2  # workers that may die on a shard


class InProcess:
    """Links in this process."""

    def __init__(self, linker: LinksTexts, options: LinkOptions) -> None:
        self._linker = linker
        self._options = options

    def run(self, shards: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The part of each shard, in order."""
        for number, shard in shards:
            yield number, link_shard(self._linker, shard, self._options)


def n_cores() -> int:
    """The cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Processes:
    """Links in several processes of this machine, each with a linker of its own.

    They are `python -m entlink.corpus.worker`, so that nothing is forked and a caller's script
    needs no guard. KB and vectors are mapped files, which they share. A worker whose parent is
    gone ends by itself.
    """

    def __init__(self, setup: Setup, *, n_processes: int) -> None:
        self._setup = setup
        self._n = n_processes

    def run(self, shards: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The part of each shard, as they are done."""
        pool = _Pool(self._setup, shards)
        try:
            yield from pool.run(self._n)
        finally:
            pool.close()


class _Pool:
    """One thread a worker hands it a shard after another; all share the iterator of shards."""

    def __init__(self, setup: Setup, shards: Iterator[tuple[int, bytes]]) -> None:
        self._setup = setup
        self._shards = shards
        self._taking = threading.Lock()
        self._results: queue.Queue[tuple[int, bytes] | BaseException | None] = queue.Queue()
        self._room = threading.Semaphore(0)  # results may wait for the caller, but not many
        self._closed = threading.Event()
        self._workers: list[Worker] = []

    def run(self, n_workers: int) -> Iterator[tuple[int, bytes]]:
        self._workers = [Worker(self._setup) for _ in range(n_workers)]
        self._room = threading.Semaphore(2 * n_workers)
        first_ready = threading.Event()
        # the first one makes vectors, if they have to be made, before the others look for them
        for worker in self._workers:
            wait_for = None if worker is self._workers[0] else first_ready
            arguments = (worker, first_ready, wait_for)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()
        n_running = n_workers
        while n_running:
            result = self._results.get()
            if result is None:
                n_running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
                self._room.release()

    def close(self) -> None:
        self._closed.set()
        for worker in self._workers:
            worker.end()
            self._room.release()

    def _serve(
        self, worker: Worker, first_ready: threading.Event, wait_for: threading.Event | None
    ) -> None:
        try:
            if wait_for:
                wait_for.wait()
            while (taken := self._take()) is not None:
                if not worker.running:
                    worker.start()
                    first_ready.set()
                number, shard = taken
                self._results.put((number, worker.link(shard)))
            self._results.put(None)
        except BaseException as error:  # the caller's thread raises it
            self._results.put(error)
        finally:
            first_ready.set()
            worker.end()

    def _take(self) -> tuple[int, bytes] | None:
        self._room.acquire()
        with self._taking:
            return None if self._closed.is_set() else next(self._shards, None)


class Worker:
    """A process that links shards. Once it was ended it is not started again."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()  # it may be ended by another thread than it works for
        self._closed = False

    @property
    def running(self) -> bool:
        """Was it started?"""
        return self._process is not None

    def start(self) -> None:
        """Start the process and wait until its linker is loaded; one that is killed is replaced."""
        for _ in range(_ATTEMPTS):
            self._open()
            if self._ask(self._setup.dump()) is not None:
                return
            why = self._ended()
            self._check_open()
            log.warning("a worker process ended at its start (%s)", why)
        raise EntlinkError(
            f"{_ATTEMPTS} worker processes ended at their start ({why}); if memory is short, use "
            "fewer --processes"
        )

    def link(self, shard: bytes) -> bytes:
        """The part of a shard. A worker that dies is replaced once."""
        for _ in range(_ATTEMPTS):
            if not self.running:
                self.start()
            part = self._ask(shard)
            if part is not None:
                return part
            why = self._ended()
            self._check_open()
            log.warning("a worker process ended (%s); starting another", why)
        raise EntlinkError(
            f"{_ATTEMPTS} worker processes ended on the same documents ({why}); if memory is "
            "short, use fewer --processes; what was done is kept"
        )

    def end(self) -> None:
        """Kill the process, if there is one, for good."""
        with self._starting:
            self._closed = True
        self._ended()

    def _open(self) -> None:
        threads = str(self._setup.threads or 1)
        with self._starting:
            self._check_open()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "entlink.corpus.worker", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"},
            )

    def _check_open(self) -> None:
        if self._closed:
            raise EntlinkError("this worker process was ended; begin a new run")

    def _ask(self, message: bytes) -> bytes | None:
        """The answer; None if the process is gone, EntlinkError if it says what went wrong."""
        process = self._process
        if process is None:  # ended by another thread
            return None
        try:
            write_frame(cast(BinaryIO, process.stdin), message)
            answer = read_frame(cast(BinaryIO, process.stdout))
        except (OSError, ValueError):
            return None
        if answer is not None and answer[:1] == FAILED:
            raise EntlinkError(answer[1:].decode())
        return None if answer is None else answer[1:]

    def _ended(self) -> str:
        with self._starting:
            process, self._process = self._process, None
        if process is None:
            return "killed"
        process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                with contextlib.suppress(OSError):  # what is still to be written has no reader
                    stream.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def write_frame(stream: BinaryIO, data: bytes) -> None:
    """Send bytes with their length before them."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """What was sent, None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None
