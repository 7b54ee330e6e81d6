"""Tables with a document a row: CSV, TSV and Parquet. Which column holds the texts is guessed."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, BinaryIO, cast

from entlink.corpus.items import MAX_RAW, Entry, Item, SetAside
from entlink.corpus.sources import Kind, Source
from entlink.corpus.streams import BOM, TooLong, arrow, read_lines
from entlink.corpus.texts import ID_NAMES, TEXT_NAMES, ReadOptions, shown, too_long
from entlink.errors import InputError, reason
from entlink.records import Document

log = logging.getLogger(__name__)

_DELIMITERS = ",;\t|"
_SAMPLE = 100  # rows that are looked at to guess the column of texts
_LEAST_MEAN = 20  # characters: a column with shorter values holds no texts
_ROWS_AT_A_TIME = 256
_BLOCK = 1 << 20
_BAD_CELL = (ValueError, OverflowError)  # of Arrow: no UTF-8, a date beyond Python's

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
            f"{where}: no text; column {columns.text!r} holds {type(text).__name__}; name "
            "another with --text-column",
            raw=repr(dict(cells))[:MAX_RAW],
        )
    extra = {k: v for k, v in cells.items() if k not in (columns.text, columns.id)}
    document = Document(default if id_ is None or id_ == "" else str(id_), text)
    return Item(document, where, extra)


# -- CSV and TSV ----------------------------------------------------------------------------------


def read_csv(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    """The rows below a line of column names. A row with more or fewer cells is set aside."""
    csv.field_size_limit(max(csv.field_size_limit(), options.max_bytes))
    lines = _Lines(source, stream, options)
    first = lines.skip_blank()
    if isinstance(first, TooLong):
        raise InputError(too_long(f"{source.name}:{lines.number + 1}", first, options).reason)
    if not first:
        raise InputError(f"{source.name}: is empty; its first line has to name the columns")
    delimiter = "\t" if source.kind is Kind.TSV else max(_DELIMITERS, key=first.count)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    where = f"{source.name}:{lines.number + 1}"
    try:
        names = next(rows)
    except csv.Error as error:
        raise InputError(f"{where}: does not name the columns: {_wrong(error)}") from None
    if any("\udc80" <= character <= "\udcff" for character in "".join(names)):
        raise InputError(f"{where}: not valid UTF-8; convert the file to UTF-8")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{source.name}: two columns are called {twice[0]!r}; rename one")
    yield from _entries(source, names, _csv_rows(rows, names, lines), options)


def _wrong(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return stands alone; save the file with Unix or Windows line ends"
    return f"{error}; mend its quotation marks"


class _Lines(Iterator[str]):
    """The lines of a file as text, counted; bytes that are not UTF-8 stay marked.

    Those of a row are kept until the next row, for where a row breaks off, what follows its first
    line is read again.
    """

    def __init__(self, source: Source, stream: BinaryIO, options: ReadOptions) -> None:
        self._source = source
        self._options = options
        found = read_lines(stream, max_bytes=options.max_bytes)
        self._lines = (line if isinstance(line, TooLong) else _text(line) for line in found)
        self._again: deque[str | TooLong] = deque()
        self._row: list[str | TooLong] = []  # its lines so far
        self.number = 0  # of the last line that was given

    def skip_blank(self) -> str | TooLong:
        """Go to the first line that is not blank; "" if there is none. It is still to be given."""
        for line in self._lines:
            if not self.number and isinstance(line, str):
                line = line.removeprefix(BOM.decode())
            if isinstance(line, TooLong) or line.strip():
                self._again.append(line)
                return line
            self.number += 1
        return ""

    @property
    def next_place(self) -> str:
        """Where the next row begins."""
        return f"{self._source.name}:{self.number + 1}"

    def end_row(self) -> None:
        """A row is whole: what it was made of is not needed any more."""
        self._row = []

    def give_up_row(self, where: str, error: csv.Error) -> SetAside:
        """Set the first line of a row aside; those after it are given again."""
        first, *others = self._row
        self._again.extendleft(reversed(others))
        self.number -= len(others)
        self._row = []
        if isinstance(first, TooLong):
            return too_long(where, first, self._options)
        why = f"{where}: not a row of a table: {_wrong(error)}"
        return SetAside(where, why, raw=shown(first.encode("utf-8", "surrogateescape")))

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self._row.append(line)
        if isinstance(line, TooLong):
            raise csv.Error("a line is too long")
        return line


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _csv_rows(
    rows: Iterator[list[str]], names: Sequence[str], lines: _Lines
) -> Iterator[Row | SetAside]:
    while True:
        where = lines.next_place
        lines.end_row()
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield lines.give_up_row(where, error)
            continue
        if row:
            yield _csv_row(where, row, names)


def _csv_row(where: str, row: list[str], names: Sequence[str]) -> Row | SetAside:
    raw = "|".join(row)[:MAX_RAW].encode("utf-8", "surrogateescape")
    shown = raw.decode("utf-8", "backslashreplace")
    if len(row) != len(names):
        return SetAside(
            where,
            f"{where}: {len(row)} {'cell' if len(row) == 1 else 'cells'} in a table of "
            f"{len(names)} columns; quote cells that hold the delimiter",
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


def _parquet_rows(source: Source, file: Any) -> Iterator[Row | SetAside]:
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME):
        try:
            rows = batch.to_pylist()
        except _BAD_CELL:
            rows = [None] * batch.num_rows
        for place, cells in enumerate(rows):
            number += 1
            where = f"{source.name}: row {number}"
            if cells is None:
                yield _parquet_row(where, batch.slice(place, 1))
            else:
                yield where, cast("dict[str, object]", cells)


def _parquet_row(where: str, row: Any) -> Row | SetAside:
    """A row cell by cell; set aside if one of them cannot be read."""
    cells: dict[str, object] = {}
    bad = ""
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            cells[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            cells[name] = error.object.decode("utf-8", "backslashreplace")
            bad = bad or (
                f"{where}: column {name!r} is not valid UTF-8 (0x{error.object[error.start]:02x} "
                f"at byte {error.start}); write it as UTF-8, or as binary"
            )
        except _BAD_CELL as error:
            cells[name] = None
            bad = bad or (
                f"{where}: column {name!r} holds what Python cannot ({reason(error)}); mend the "
                "value, or leave the column out"
            )
    return SetAside(where, bad, raw=repr(cells)[:MAX_RAW]) if bad else (where, cells)
