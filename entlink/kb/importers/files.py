"""Files of any size as bytes, lines or blocks; compression is told by its signature, not by name.

Bzip2 is slow to unpack, so that blocks of it are unpacked in a thread beside the reader.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import queue
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, BinaryIO, cast

import orjson

from entlink.errors import InputError, reason

_BLOCK = 1 << 20
_QUEUED = 8  # blocks unpacked ahead
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))


def read_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line of a plain or packed file with "path:line"; InputError if it cannot be read."""
    with _errors(path), open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            yield f"{path}:{number}", line


def read_blocks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes of a file, about a megabyte at a time."""
    with _errors(path), open_bytes(path) as file:
        if isinstance(file, bz2.BZ2File):
            yield from _ahead(file)
        else:
            while block := file.read(_BLOCK):
                yield block


def open_bytes(path: Path) -> IO[bytes]:
    """The unpacked bytes of a plain, gzip, bzip2 or xz file."""
    kind = packing(path)
    if kind == "gzip":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if kind == "bzip2":
        return bz2.open(path, "rb")
    if kind == "xz":
        return lzma.open(path, "rb")
    return path.open("rb", buffering=_BLOCK)


def packing(path: Path) -> str:
    """How a file is packed, by its first bytes: "gzip", "bzip2", "xz" or ""."""
    must_be_file(path)
    with path.open("rb") as probe:
        start = probe.read(6)
    return next((kind for signature, kind in _PACKED if start.startswith(signature)), "")


def must_be_file(path: Path) -> None:
    """Refuse what is not there, and pipes and devices, whose first bytes can be read only once."""
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: a pipe or device; write it to a file first and name that")


def encoding_of(name: str) -> str:
    """Python's own name of an encoding of texts; InputError if there is none of this name."""
    try:
        found = codecs.lookup(name).name
        if found not in ("idna", "punycode") and "a".encode(found).decode(found) == "a":
            return found
    except (LookupError, ValueError):
        pass
    raise InputError(f"--encoding {name}: no such encoding of texts; try utf-8 or cp1252")


def recoded(path: Path, encoding: str) -> Iterator[tuple[str, bytes]] | None:
    """`read_lines` as UTF-8 of a UTF-16 or UTF-32 file, whose line ends show once it is decoded.

    None for other encodings.
    """
    if not encoding.startswith(("utf-16", "utf-32")):
        return None
    return _decoded_lines(path, encoding)


def _decoded_lines(path: Path, encoding: str) -> Iterator[tuple[str, bytes]]:
    number = 0
    with _errors(path), io.TextIOWrapper(open_bytes(path), encoding, newline="") as text:
        try:
            for number, line in enumerate(text, start=1):
                mark = "\ufeff" if number == 1 else ""
                yield f"{path}:{number}", line.removeprefix(mark).encode()
        except UnicodeError as error:
            raise InputError(
                f"{path}: not {encoding} behind line {number} ({error}); save it as UTF-8"
            ) from None


@contextmanager
def replacing(path: Path) -> Iterator[Callable[[object], None]]:
    """Write JSON lines to a file that appears whole, gzipped if its name ends in ".gz"."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with (
            scratch.open("wb") as under,
            gzip.GzipFile("", "wb", fileobj=under, mtime=0)
            if path.suffix == ".gz"
            else nullcontext(under) as file,
        ):
            yield lambda row: _write_line(file, row)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _write_line(file: BinaryIO | gzip.GzipFile, row: object) -> None:
    file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.strerror is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None
        raise InputError(
            f"{path}: damaged {packing(path)} file ({reason(error)}); fetch it again"
        ) from None


def _ahead(file: IO[bytes]) -> Iterator[bytes]:
    """Blocks of a file that another thread reads ahead; its errors are raised here."""
    blocks: queue.Queue[bytes | BaseException] = queue.Queue(_QUEUED)
    stopped = threading.Event()

    def put(item: bytes | BaseException) -> None:
        while not stopped.is_set():
            try:
                return blocks.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            while not stopped.is_set():
                block = file.read(_BLOCK)
                put(block)
                if not block:
                    return
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="entlink-unpack", daemon=True)
    thread.start()
    try:
        while True:
            item = blocks.get()
            if isinstance(item, BaseException):
                raise item
            if not item:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
