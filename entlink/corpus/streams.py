"""Bytes of files, plain, gzipped or Zstandard, and their lines, none of them without bound."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from entlink.corpus.sources import Source
from entlink.errors import InputError, reason

BOM = b"\xef\xbb\xbf"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands for a line that is longer than the limit, of which only the start was kept."""

    n_bytes: int
    start: bytes


@contextmanager
def opened(source: Source, raw: BinaryIO) -> Iterator[BinaryIO]:
    """What a file holds, unpacked. Raises InputError where it is damaged, ends too soon or fails.

    ``raw`` is the open file; its position tells how far reading has come.
    """
    try:
        if source.packed == ".gz":
            with gzip.open(raw) as unpacked:
                yield cast(BinaryIO, unpacked)
        elif source.packed == ".zst":
            with _zstandard(source, raw) as stream:
                yield stream
        else:
            yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{source.name}: not a whole gzip file ({reason(error)})") from None
    except OSError as error:
        if source.packed == ".zst" and error.errno is None:  # Arrow's
            raise InputError(f"{source.name}: not a whole .zst file ({reason(error)})") from None
        said = error.strerror or reason(error)
        raise InputError(f"{source.name}: cannot be read ({said})") from None


def arrow(where: str) -> None:
    """Raise InputError if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(
            f"{where}: needs pyarrow; install it with: pip install 'entlink[corpus]'"
        ) from None


@contextmanager
def _zstandard(source: Source, raw: BinaryIO) -> Iterator[BinaryIO]:
    arrow(source.name)
    import pyarrow as pa

    file: Any = raw
    unpacked: Any = pa.CompressedInputStream(file, "zstd")
    with io.BufferedReader(unpacked) as stream:
        yield stream


def read_lines(stream: BinaryIO, *, max_bytes: int) -> Iterator[bytes | TooLong]:
    """The lines of a stream with their ends; of a longer one than max_bytes, that there is one."""
    while line := stream.readline(max_bytes + 1):
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield line
            continue
        n_bytes, start = len(line), line[:_PIECE]
        del line
        while piece := stream.readline(_PIECE):
            n_bytes += len(piece)
            if piece.endswith(b"\n"):
                break
        yield TooLong(n_bytes, start)


def read_all(stream: BinaryIO, *, max_bytes: int) -> bytes | TooLong:
    """All of a stream, unless it is longer than max_bytes."""
    data = stream.read(max_bytes + 1)
    if len(data) <= max_bytes:
        return data
    n_bytes, start = len(data), data[:_PIECE]
    del data
    while piece := stream.read(_PIECE):
        n_bytes += len(piece)
    return TooLong(n_bytes, start)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder last through a loss of power, where the platform can."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
