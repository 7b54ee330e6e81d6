"""Documents from files: text, JSONL, CSV, Parquet and spaCy's DocBin, plain or packed.

A JSONL line is ``{"id": "d1", "text": "...", "mentions": [{"start": 0, "end": 5}]}``; ``id`` and
``mentions`` may be absent. Offsets are Python string indices into ``text``, end exclusive. What
cannot be read becomes a SetAside that says where and why, and reading goes on behind it.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, BinaryIO, cast

from entlink.corpus.items import Entry, SetAside
from entlink.corpus.jsonl import read_jsonl, starts_jsonl
from entlink.corpus.sources import Kind, Source, find_sources
from entlink.corpus.streams import opened
from entlink.corpus.texts import ReadOptions, checked, read_text
from entlink.errors import InputError
from entlink.records import Document

_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}  # how packed files begin


class CorpusReader:
    """The entries of many sources, in order, and how far reading has come."""

    def __init__(
        self,
        sources: Sequence[Source],
        options: ReadOptions | None = None,
        *,
        stdin: BinaryIO | None = None,
    ) -> None:
        self._sources = sources
        self._options = options or ReadOptions()
        self._stdin = stdin
        self._n_done = 0
        self._current: BinaryIO | None = None

    @property
    def n_bytes(self) -> int | None:
        """Size of all files together; None if one is a pipe."""
        sizes = [source.n_bytes for source in self._sources]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def position(self) -> int:
        """Bytes read so far, packed as they are."""
        return self._n_done + (self._current.tell() if self._current else 0)

    def __iter__(self) -> Iterator[Entry]:
        for source in self._sources:
            for entry in self._read(source):
                yield checked(entry, self._options)
            self._n_done += source.n_bytes or 0

    def _read(self, source: Source) -> Iterator[Entry]:
        if source.path is None:
            yield from _entries_of(*_unpacked(source, self._stdin), self._options)
            return
        try:
            raw = source.path.open("rb")
        except OSError as error:
            said = f"{source.name}: cannot be read ({error.strerror})"
            yield SetAside(source.name, said)
            return
        with raw:
            self._current = raw if source.n_bytes is not None else None
            yield from _entries_of(source, raw, self._options)
            self._current = None


def _entries_of(source: Source, raw: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    last = source.name
    try:
        with opened(source, raw) as stream:
            for entry in _reader_of(source)(source, stream, options):
                last = entry.where
                yield entry
    except InputError as error:  # the rest of this file is lost, others are not
        after = f"; read as far as {last}" if last != source.name else ""
        yield SetAside(source.name, f"{error}{after}")


Read = Callable[[Source, BinaryIO, ReadOptions], Iterator[Entry]]


def _reader_of(source: Source) -> Read:
    if source.kind is None:
        return _read_stdin
    if source.kind is Kind.JSONL:
        return read_jsonl
    if source.kind in (Kind.CSV, Kind.TSV):
        from entlink.corpus.tables import read_csv

        return read_csv
    if source.kind is Kind.PARQUET:
        from entlink.corpus.tables import read_parquet

        return read_parquet
    if source.kind is Kind.DOCBIN:
        from entlink.corpus.docbin import read_docbin

        return read_docbin
    return read_text


def read_documents(
    sources: Sequence[str], *, options: ReadOptions | None = None, stdin: BinaryIO | None = None
) -> Iterator[Document]:
    """The documents of all sources, in order; ``-`` is standard input.

    The name of a file tells its kind, and one that no kind is known for is one text. Standard
    input is JSONL if its first line is a JSON object with a text, else one text.
    Raises InputError that names file and line for the first that cannot be read.
    """
    found = list(chain.from_iterable(find_sources(sources)))
    for entry in CorpusReader(found, options, stdin=stdin):
        if isinstance(entry, SetAside):
            raise InputError(entry.reason)
        yield entry.document


def _unpacked(source: Source, stream: BinaryIO | None) -> tuple[Source, BinaryIO]:
    """Standard input, and whether its first bytes are those of a packed file."""
    stream = stream or sys.stdin.buffer
    start = stream.read(max(map(len, _MAGIC)))
    packed = next((suffix for magic, suffix in _MAGIC.items() if start.startswith(magic)), "")
    return replace(source, packed=packed), _rejoined(start, stream)


def _read_stdin(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    first = stream.readline(options.max_bytes)
    read = read_jsonl if starts_jsonl(first, options) else read_text
    yield from read(source, _rejoined(first, stream), options)


def _rejoined(start: bytes, rest: BinaryIO) -> BinaryIO:
    """A stream of which the start was read already."""
    return io.BufferedReader(_Rejoined(start, cast(io.BufferedIOBase, rest)))


class _Rejoined(io.RawIOBase):
    """Gives what there is and does not wait for more: what comes through a pipe is linked soon."""

    def __init__(self, start: bytes, rest: io.BufferedIOBase) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        data = self._start[:size] or self._rest.read1(size)
        self._start = self._start[size:]
        buffer[: len(data)] = data
        return len(data)
