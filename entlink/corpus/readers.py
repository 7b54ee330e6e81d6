"""Documents from files: text, JSONL, CSV, Parquet and spaCy's DocBin, plain or packed.

A JSONL line is ``{"id": "d1", "text": "...", "mentions": [{"start": 0, "end": 5}]}``; ``id`` and
``mentions`` may be absent. Offsets are Python string indices into ``text``, end exclusive. What
cannot be read becomes a SetAside that says where and why, and reading goes on behind it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, cast

from entlink.corpus.items import Entry, SetAside
from entlink.corpus.jsonl import read_jsonl, starts_jsonl
from entlink.corpus.sources import STDIN_NAME, Kind, Source, find_sources
from entlink.corpus.streams import opened
from entlink.corpus.texts import ReadOptions, checked, read_text
from entlink.errors import InputError
from entlink.records import Document


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
            yield from _read_stdin(self._stdin or sys.stdin.buffer, self._options)
            return
        try:
            raw = source.path.open("rb")
        except OSError as error:
            said = f"{source.name}: cannot be read ({error.strerror})"
            yield SetAside(source.name, said)
            return
        last = source.name
        with raw:
            self._current = raw if source.n_bytes is not None else None
            try:
                with opened(source, raw) as stream:
                    for entry in _reader_of(source)(source, stream, self._options):
                        last = entry.where
                        yield entry
            except InputError as error:  # the rest of this file is lost, others are not
                after = f"; read as far as {last}" if last != source.name else ""
                yield SetAside(source.name, f"{error}{after}")
            self._current = None


Read = Callable[[Source, BinaryIO, ReadOptions], Iterator[Entry]]


def _reader_of(source: Source) -> Read:
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


def _read_stdin(stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    first = stream.readline(options.max_bytes)
    source = Source(STDIN_NAME, "stdin")
    read = read_jsonl if starts_jsonl(first, options) else read_text
    yield from read(source, cast(BinaryIO, _Rejoined(first, stream)), options)


class _Rejoined:
    """A stream of which the first line was read already."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first = first
        self._rest = rest

    def readline(self, size: int) -> bytes:
        if self._first:
            line, self._first = self._first[:size], self._first[size:]
            return line if line.endswith(b"\n") else line + self._rest.readline(size - len(line))
        return self._rest.readline(size)

    def read(self, size: int) -> bytes:
        data, self._first = self._first[:size], self._first[size:]
        return data + self._rest.read(size - len(data))
