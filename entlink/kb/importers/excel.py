"""Excel workbooks (.xlsx), read as tables: each sheet with a name column, one after the other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from entlink.errors import InputError, reason
from entlink.kb.importers import needs
from entlink.kb.importers.files import open_bytes
from entlink.kb.importers.records import OnBad, Records
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.kb.importers.table import Row, entities_of


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """The entities of the first sheet that has rows; the other sheets are named, not read."""
    try:
        import openpyxl
    except ImportError:
        raise needs("openpyxl", "Excel files") from None
    try:
        with open_bytes(path) as file:  # which it would open only if the name ends as it likes
            data = io.BytesIO(file.read())
        book = openpyxl.load_workbook(data, read_only=True, data_only=True)
    except InputError:
        raise
    except Exception as error:  # whatever its parsers meet
        raise InputError(
            f"{path}: not an Excel workbook ({reason(error)}); save it as .xlsx or .csv"
        ) from None
    try:
        sheets = [sheet for sheet in book.worksheets if any(True for _ in _rows(path, sheet))]
        if not sheets:
            raise InputError(f"{path}: no rows in it; is it the right file?")
        if len(sheets) > 1:
            others = ", ".join(repr(sheet.title) for sheet in sheets[1:])
            settings.tell(f"{path}: sheet {sheets[0].title!r} is read, and not {others}")
        yield from entities_of(path, partial(_rows, path, sheets[0]), settings, on_bad)
    finally:
        book.close()


def _rows(path: Path, sheet: Any, _: OnBad | None = None) -> Iterator[Row]:
    where = f"{path}:{sheet.title}"
    try:
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            texts = [_text(cell) for cell in cells]
            if any(texts):
                yield f"{where}:{number}", texts
    except Exception as error:  # whatever its parsers meet
        raise InputError(
            f"{where}: a damaged Excel workbook ({reason(error)}); save it anew as .xlsx or .csv"
        ) from None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # Excel knows no whole numbers: an id of 7 is 7.0
    if isinstance(value, datetime) and not (value.hour or value.minute or value.second):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()
