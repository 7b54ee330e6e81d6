"""Tables: CSV, TSV and whatever else a separator divides. The columns are guessed and shown.

MedCAT's table (`cui`, `name`, `name_status`, `type_ids`) is one of these: there an entity has
several rows, and its preferred name is the one with status P.
"""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import orjson

from entlink.errors import InputError
from entlink.kb.importers.columns import Columns, choose_columns
from entlink.kb.importers.files import encoding_of, read_lines, recoded
from entlink.kb.importers.records import Located, OnBad, PartOf, Records, bad
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.records import Entity

_DELIMITERS = ",;\t|"
_LONGEST_CELL = 1 << 30  # the csv module's own limit is 131,072 characters
_PEEKED = 20  # lines by which the separator is told
_LONGEST_ROW = 1000  # lines; a quote that is never closed would swallow the rest of the file
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

_LOOKED = 100_000  # rows in which a doubtful column of ids must not say the same twice

Row = tuple[str, list[str]]  # ("path:line", cells)


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """The entities of a table, a row each. Bad rows raise InputError or are told to `on_bad`."""
    yield from entities_of(path, partial(_rows, path, settings), settings, on_bad)


def entities_of(
    path: Path,
    rows_of: Callable[[OnBad | None], Iterator[Row]],
    settings: Settings,
    on_bad: OnBad | None,
) -> Records:
    """The entities of rows of cells, the first of which names the columns.

    `rows_of` gives them from the first on, and tells of bad ones.
    """
    rows = rows_of(on_bad)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: no rows in it; is it the right file?")
    where, cells = first
    header = cells if settings.header else [f"column {n}" for n in range(1, len(cells) + 1)]
    columns = choose_columns(where, header, settings.columns)
    several = _status_column(columns)
    if columns.doubtful_id and several is None:
        columns = _without_repeated_id(path, columns, rows_of, settings)
    settings.tell(f"{path}: columns: {columns}")
    if settings.row_ids is None and "id" not in columns.fields:
        raise InputError(f"{where}: no column of ids; say which, as in --columns id=COLUMN")
    if not settings.header:
        rows = _prepend(first, rows)
    for number, (where, cells) in enumerate(rows, start=1):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            entity = _entity(columns, cells, f"{settings.row_ids or ''}{number}")
        except ValueError as error:
            bad(f"{where}: {error}", on_bad)
            continue
        yield _located(where, entity, cells, several)


def _without_repeated_id(
    path: Path,
    columns: Columns,
    rows_of: Callable[[OnBad | None], Iterator[Row]],
    settings: Settings,
) -> Columns:
    """The columns as they are if the first rows all have ids of their own, else without the id."""
    (place,) = columns.fields["id"]
    seen: set[str] = set()
    for _, cells in islice(rows_of(lambda _: None), int(settings.header), _LOOKED):
        id = cells[place].strip() if place < len(cells) else ""
        if id in seen:
            settings.tell(
                f"{path}: column {columns.header[place]!r} says {id!r} twice, so the rows are "
                f"numbered; if it is the id, say --columns id={columns.header[place]}"
            )
            fields = {field: its for field, its in columns.fields.items() if field != "id"}
            return replace(columns, fields=fields, doubtful_id=False)
        seen.update([id] if id else ())
    return columns


def _located(where: str, entity: Entity, cells: Sequence[str], several: int | None) -> Located:
    if several is None:
        return where, entity
    status = cells[several].strip().upper() if several < len(cells) else ""
    return where, PartOf(entity, preferred=status == "P")


def _status_column(columns: Columns) -> int | None:
    """The place of MedCAT's `name_status`, where an entity may have several rows."""
    return columns.header.index("name_status") if "name_status" in columns.header else None


def _entity(columns: Columns, cells: Sequence[str], row_id: str) -> Entity:
    if len(cells) > len(columns.header) and any(c.strip() for c in cells[len(columns.header) :]):
        raise ValueError(
            f"{len(cells)} cells in a table of {len(columns.header)} columns; "
            "put a cell that holds the separator in quotes"
        )
    values = {
        field: [cells[place].strip() for place in places if place < len(cells)]
        for field, places in columns.fields.items()
    }
    names = split_cell(" ".join(values["name"])) if "name_status" in columns.header else ()
    name, *more = names or (" ".join(values["name"]),)
    id = " ".join(values.get("id", [row_id]))
    if not name or not id:
        raise ValueError(f"{'name' if not name else 'id'!r} is empty; fill the cell")
    types = tuple(item for cell in values.get("types", ()) for item in split_cell(cell))
    extra = {columns.header[p]: cells[p] for p in columns.rest if p < len(cells) and cells[p]}
    return Entity(
        id=id,
        name=name,
        aliases=(*more, *(a for cell in values.get("aliases", ()) for a in split_cell(cell))),
        description="; ".join(filter(None, values.get("description", ()))) or None,
        types=types,
        type_names=types,
        popularity=_popularity(values),
        extra=dict(sorted(extra.items())),
    )


def split_cell(cell: str) -> tuple[str, ...]:
    """The parts of a cell that holds several names: a JSON list, or divided by '|' or ';'."""
    if cell.startswith("["):
        try:
            items = orjson.loads(cell)
        except orjson.JSONDecodeError:
            items = None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(dict.fromkeys(item.strip() for item in items if item.strip()))
    divider = "|" if "|" in cell else ";" if ";" in cell else "\n"
    return tuple(dict.fromkeys(part.strip() for part in cell.split(divider) if part.strip()))


def _popularity(values: dict[str, list[str]]) -> float | None:
    for field in ("popularity", "uses"):
        for text in filter(None, values.get(field, ())):
            try:
                number = float(text.replace(",", "").replace(" ", ""))
            except ValueError:
                number = math.nan
            if not math.isfinite(number) or (field == "uses" and number < 0):
                raise ValueError(f"{field!r} is {text!r}; write a number or leave it empty")
            return number if field == "popularity" else round(math.log10(1 + number), 3)
    return None


def _prepend(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _rows(path: Path, settings: Settings, on_bad: OnBad | None) -> Iterator[Row]:
    lines = _Lines(path, settings.encoding)
    start = lines.peek()
    delimiter = settings.delimiter or _delimiter(path, start)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(f"--delimiter {delimiter!r}: not one character that can divide cells")
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begin = lines.number + 1
        lines.start_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.give_back()
            bad(f"{path}:{begin}: not a row ({error}); close or double its quotes", on_bad)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        where = f"{path}:{begin}"
        if lines.undecoded:
            bad(
                f"{where}: not {lines.encoding} ({lines.undecoded}); save the file as UTF-8, or "
                "say --encoding cp1252",
                on_bad,
            )
        else:
            yield where, cells


class _Lines:
    """Decoded lines for the csv module, with their number, and what could not be decoded."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._lines = read_lines(path)
        self._waiting: deque[bytes] = deque()
        self._record: list[bytes] = []  # the lines of the row that is being read
        self.number = 0
        self.undecoded = ""  # what is wrong with the record's bytes, "" if nothing
        named = encoding_of(encoding or "utf-8")
        self.encoding = self._told_by_mark() if named == "utf-8" else named
        lines = recoded(path, self.encoding)
        if lines is not None:
            self._waiting, self._lines = deque(), lines
            self.encoding = "utf-8"

    def _told_by_mark(self) -> str:
        first = next(self._lines, None)
        if first is None:
            return "utf-8"
        self._waiting.append(first[1])
        return next((name for mark, name in _BOMS if first[1].startswith(mark)), "utf-8")

    def peek(self) -> list[str]:
        """The first lines, to tell the separator by."""
        while len(self._waiting) < _PEEKED:
            following = next(self._lines, None)
            if following is None:
                break
            self._waiting.append(following[1])
        return [line.decode(self.encoding, "replace") for line in islice(self._waiting, _PEEKED)]

    def start_record(self) -> None:
        """A new row begins: forget the last."""
        self.undecoded, self._record = "", []

    def give_back(self) -> None:
        """Read all lines of this row but its first once more, each as a row of its own."""
        self.number -= len(self._record) - 1
        self._waiting.extendleft(reversed(self._record[1:]))

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._waiting:
            line = self._waiting.popleft()
        else:
            following = next(self._lines, None)
            if following is None:
                raise StopIteration
            line = following[1]
        self.number += 1
        self._record.append(line)
        if len(self._record) > _LONGEST_ROW:
            raise csv.Error(f"a quote is open for {_LONGEST_ROW:,} lines")
        try:
            return line.decode(self.encoding)
        except UnicodeDecodeError as error:
            self.undecoded = f"{error.reason} at byte {error.start + 1} of the line"
            return line.decode(self.encoding, "replace")


def _delimiter(path: Path, start: Sequence[str]) -> str:
    """The separator that divides the first lines into the same number of cells, the most."""
    if ".tsv" in path.suffixes:
        return "\t"
    best, most = ",", 1
    for delimiter in _DELIMITERS:
        try:
            counts = [len(row) for row in csv.reader(start, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if counts and counts[0] > most and counts.count(counts[0]) * 2 > len(counts):
            best, most = delimiter, counts[0]
    return best
