"""The folder beside an output in which a run that is not finished keeps what it has done.

    links.jsonl.unfinished/
        run.json      what the run is of: bundle, options, inputs
        000000.part   a finished shard, and so on; written beside, synced, and renamed
        lock          held while a process works on it

``run.json`` is written first and removed first: a folder without it holds nothing that counts.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from entlink.corpus.shards import Head, read_head, read_part
from entlink.corpus.streams import sync_folder
from entlink.errors import InputError

RUN = "run.json"
_LOCK = "lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Unfinished:
    """What a run has done so far. Use as a context manager: one process at a time has it."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f"{out.name}.unfinished")
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Unfinished:
        with self.writing():
            self.folder.mkdir(exist_ok=True)
            self._lock = (self.folder / _LOCK).open("ab")
        if not _try_lock(self._lock):
            self._lock.close()
            raise InputError(f"{self.out}: another entlink is writing it; wait until that is done")
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.close()
        if not (self.folder / RUN).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what a disk can say into a sentence that says what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise InputError(
                    f"{self.out}: no room is left on its disk ({error.strerror}); what was done is "
                    "kept, so make room and run the same command again"
                ) from None
            raise InputError(
                f"{self.out}: cannot be written ({error.strerror or error}); name another place"
            ) from None

    def begin(self, run: Mapping[str, object], *, restart: bool = False) -> None:
        """Go on with a run that was the same, or begin; InputError if it was another."""
        path = self.folder / RUN
        if path.exists() and not restart:
            self._compare(_read_run(path), run)
            return
        with self.writing():
            path.unlink(missing_ok=True)
            sync_folder(self.folder)
            for file in self.folder.iterdir():
                if file.name != _LOCK:
                    file.unlink()
            self._write(RUN, orjson.dumps(run, option=orjson.OPT_INDENT_2))

    def _compare(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for key in sorted({*old, *new}):
            if old.get(key) == new.get(key):
                continue
            if key == "inputs":
                changed = f"its input has changed ({_changed_input(old[key], new[key])})"
            else:
                changed = f"its {key} was {_told(old.get(key))} and is now {_told(new.get(key))}"
            raise InputError(
                f"{self.out}: a run of it is not finished, and {changed}; run it as before to go "
                "on, or with --restart to begin again"
            )

    def head(self, number: int) -> Head | None:
        """The head of a finished shard, None if it is not finished."""
        path = self._part(number)
        return read_head(path) if path.exists() else None

    def add(self, number: int, part: bytes) -> None:
        """Keep a finished shard, so that a loss of power cannot take it."""
        with self.writing():
            self._write(self._part(number).name, part)

    def n_parts(self) -> int:
        """How many shards are kept."""
        return sum(file.name.endswith(".part") for file in self.folder.iterdir())

    def lines(self, n_parts: int) -> Iterator[bytes]:
        """The lines of links, in order."""
        for number in range(n_parts):
            yield from read_part(self._part(number))[0]

    def set_aside(self, n_parts: int) -> Iterator[bytes]:
        """The lines of what was set aside, in order."""
        for number in range(n_parts):
            if read_head(self._part(number)).counts.n_set_aside:
                yield from self.set_aside_of(number)

    def set_aside_of(self, number: int) -> list[bytes]:
        """The lines of what was set aside of one shard."""
        return read_part(self._part(number))[1]

    def finish(self) -> None:
        """The output is in place: nothing here counts any more."""
        with self.writing():
            (self.folder / RUN).unlink()
            sync_folder(self.folder)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:06d}.part"

    def _write(self, name: str, data: bytes) -> None:
        temporary = self.folder / f"{name}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(self.folder)


def _read_run(path: Path) -> dict[str, Any]:
    try:
        run = orjson.loads(path.read_bytes())
    except (orjson.JSONDecodeError, OSError):
        run = None
    if not isinstance(run, dict):
        raise InputError(f"{path}: damaged; begin again with --restart")
    return run


def _changed_input(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> str:
    names, now = ([str(source["name"]) for source in sources] for sources in (old, new))
    if names != now:
        return f"it was {', '.join(names)} and is now {', '.join(now)}"
    return ", ".join(b["name"] for a, b in zip(old, new, strict=True) if a != b)


def _told(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}..."


def _try_lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed or its process ends, in whatever way."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
