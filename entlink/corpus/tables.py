"""Tables with a document a row: CSV, TSV and Parquet. Which column holds the texts is guessed."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, BinaryIO, cast

from entlink.corpus.items import MAX_RAW, Entry, Item, SetAside
from entlink.corpus.sources import Kind, Source
from entlink.corpus.streams import BOM, TooLong, arrow, read_lines
from entlink.corpus.texts import ID_NAMES, TEXT_NAMES, ReadOptions, too_long
from entlink.errors import InputError, reason
from entlink.records import Document

log = logging.getLogger(__name__)

_DELIMITERS = ",;\t|"
_SAMPLE = 100  # rows that are looked at to guess the column of texts
_LEAST_MEAN = 20  # characters: a column with shorter values holds no texts
_ROWS_AT_A_TIME = 256
_BLOCK = 1 << 20

Row = tuple[str, Mapping[str, object]]  # where it stands, its cells by column


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold text and id ("" for none)."""

    text: str
    id: str


def guess_columns(
    where: str, names: Sequence[str], sample: Sequence[Mapping[str, object]], options: ReadOptions
) -> Columns:
    """The columns asked for; else by their names; else the one with the longest values.

    Raises InputError where a column asked for is not there, or none can hold texts.
    """
    lower = {name.lower(): name for name in reversed(names)}
    for asked in (options.text_column, options.id_column):
        if asked and asked not in names:
            raise InputError(f"{where}: no column {asked!r}; it has {', '.join(map(repr, names))}")
    id_ = options.id_column
    if id_ is None:
        id_ = next((lower[name] for name in ID_NAMES if name in lower), "")
    text = options.text_column or next((lower[n] for n in TEXT_NAMES if n in lower), None)
    if text is None:
        means = {name: _mean_length(name, sample) for name in names if name != id_}
        text = max(means, key=lambda name: means[name], default=None)
        if text is None or means[text] < _LEAST_MEAN:
            raise InputError(
                f"{where}: none of the columns {', '.join(map(repr, names))} looks like texts; "
                "name it with --text-column"
            )
    log.info("%s: texts are in column %r, ids in %s", where, text, repr(id_) if id_ else "none")
    return Columns(text, id_)


def _mean_length(name: str, sample: Sequence[Mapping[str, object]]) -> float:
    values = [row.get(name) for row in sample]
    lengths = [len(value) for value in values if isinstance(value, str)]
    return sum(lengths) / max(1, len(values))


def _entries(
    source: Source, names: Sequence[str], rows: Iterator[Row | SetAside], options: ReadOptions
) -> Iterator[Entry]:
    """The documents of a table's rows, once its columns are known."""
    first = list(islice(rows, _SAMPLE))
    sample = [cells for _, cells in (row for row in first if not isinstance(row, SetAside))]
    columns = guess_columns(source.name, names, sample, options)
    for number, row in enumerate(chain(first, rows), start=1):
        if isinstance(row, SetAside):
            yield row
        else:
            yield _entry(*row, columns=columns, default=f"{source.label}:{number}")


def _entry(where: str, cells: Mapping[str, object], *, columns: Columns, default: str) -> Entry:
    text, id_ = cells[columns.text], cells.get(columns.id) if columns.id else None
    if not isinstance(text, str):
        return SetAside(
            where,
            f"{where}: no text; column {columns.text!r} holds {type(text).__name__}",
            raw=repr(dict(cells))[:MAX_RAW],
        )
    extra = {k: v for k, v in cells.items() if k not in (columns.text, columns.id)}
    document = Document(default if id_ is None or id_ == "" else str(id_), text)
    return Item(document, where, extra)


# -- CSV and TSV ----------------------------------------------------------------------------------


def read_csv(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    """The rows below a line of column names. A row with more or fewer cells is set aside."""
    lines = _Lines(source, stream, options)
    header = lines.first()
    delimiter = "\t" if source.kind is Kind.TSV else max(_DELIMITERS, key=header.count)
    csv.field_size_limit(max(csv.field_size_limit(), options.max_bytes))
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not header.strip():
        raise InputError(f"{source.name}: is empty; its first line has to name the columns")
    if any("\udc80" <= character <= "\udcff" for character in header):
        raise InputError(f"{source.name}:1: not valid UTF-8; convert the file to UTF-8")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{source.name}: two columns are called {twice[0]!r}; rename one")
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    yield from _entries(source, names, _csv_rows(source, rows, names, lines), options)


class _Lines(Iterator[str]):
    """The lines of a file as text, counted; bytes that are not UTF-8 stay marked."""

    def __init__(self, source: Source, stream: BinaryIO, options: ReadOptions) -> None:
        self._lines = read_lines(stream, max_bytes=options.max_bytes)
        self._source = source
        self._options = options
        self.number = 0
        self.too_long: SetAside | None = None

    def first(self) -> str:
        """The first line, without a byte order mark."""
        return next(self, "").removeprefix(BOM.decode())

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if isinstance(line, TooLong):
            where = f"{self._source.name}:{self.number}"
            self.too_long = too_long(where, line, self._options)
            raise csv.Error("too long")
        return line.decode("utf-8", "surrogateescape")


def _csv_rows(
    source: Source, rows: Iterable[list[str]], names: Sequence[str], lines: _Lines
) -> Iterator[Row | SetAside]:
    waiting = iter(rows)
    while True:
        where = f"{source.name}:{lines.number + 1}"
        try:
            row = next(waiting)
        except StopIteration:
            return
        except csv.Error as error:
            why = f"{where}: not a row of a table ({error}); mend its quotation marks"
            yield lines.too_long or SetAside(where, why)
            lines.too_long = None
            continue
        if row:
            yield _csv_row(where, row, names)


def _csv_row(where: str, row: list[str], names: Sequence[str]) -> Row | SetAside:
    raw = "|".join(row)[:MAX_RAW].encode("utf-8", "surrogateescape")
    shown = raw.decode("utf-8", "backslashreplace")
    if len(row) != len(names):
        return SetAside(
            where,
            f"{where}: {len(row)} cells in a table of {len(names)} columns; quote cells that hold "
            "the delimiter",
            raw=shown,
        )
    for name, cell in zip(names, row, strict=True):
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            byte = ord(cell[error.start]) & 0xFF
            return SetAside(
                where,
                f"{where}: column {name!r} is not valid UTF-8 (0x{byte:02x} as its character "
                f"{error.start}); convert the file to UTF-8",
                raw=shown,
            )
    return where, dict(zip(names, row, strict=True))


# -- Parquet --------------------------------------------------------------------------------------


def read_parquet(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    """The rows of a Parquet file, a few at a time."""
    arrow(source.name)
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryFile() as unpacked:
        if source.packed:  # Parquet is read from its end
            while block := stream.read(_BLOCK):
                unpacked.write(block)
            unpacked.seek(0)
        try:
            file = pq.ParquetFile(unpacked if source.packed else stream)
            rows = _parquet_rows(source, file)
            yield from _entries(source, file.schema_arrow.names, rows, options)
        except pa.ArrowException as error:
            raise InputError(f"{source.name}: not a whole Parquet file ({reason(error)})") from None


def _parquet_rows(source: Source, file: Any) -> Iterator[Row]:
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME):
        for cells in batch.to_pylist():
            number += 1
            yield f"{source.name}: row {number}", cast("dict[str, object]", cells)
