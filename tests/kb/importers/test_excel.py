"""Excel workbooks against the cells that went in."""

from __future__ import annotations

import gzip
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from entlink.errors import InputError
from entlink.kb.importers import read_source
from entlink.kb.importers.settings import Settings
from entlink.records import Entity

openpyxl = pytest.importorskip("openpyxl")


def test_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "parts"
    rows: tuple[list[object], ...] = (
        [],
        ["ID", "Name", "Made", "Views"],
        [7, "Boat", date(2020, 5, 1), 9],
        [8.0, "Mast", None, None],
        [None, None, None, None],
        [9, None, None, None],
    )
    for row in rows:
        sheet.append(row)
    book.create_sheet("more").append(["something else"])
    path = tmp_path / "b.xlsx"
    book.save(path)
    told: list[str] = []
    bad: list[str] = []
    found = list(read_source(path, settings=Settings(tell=told.append), on_bad=bad.append))
    assert [record for _, record in found] == [
        Entity("7", "Boat", popularity=1.0, extra={"Made": "2020-05-01"}),
        Entity("8", "Mast"),
    ]
    assert told[0] == f"{path}: sheet 'parts' is read, and not 'more'"
    assert "id <- 'ID', name <- 'Name'" in told[1]
    assert bad == [f"{path}:parts:6: 'name' is empty; fill the cell"]


def test_packed_and_whatever_its_name(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("id", "name"), (1, "Boat")):
        book.active.append(row)
    book.save(tmp_path / "b.xlsx")
    data = (tmp_path / "b.xlsx").read_bytes()
    (tmp_path / "b.xlsx.gz").write_bytes(gzip.compress(data))
    (tmp_path / "export").write_bytes(data)
    for name, format in (("b.xlsx.gz", None), ("export", "excel")):
        found = [record for _, record in read_source(tmp_path / name, format)]
        assert found == [Entity("1", "Boat")]


def test_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    path.write_text("id,name\n1,a\n")
    with pytest.raises(InputError, match="not an Excel workbook"):
        list(read_source(path))
    with pytest.raises(InputError, match="no such file"):
        list(read_source(tmp_path / "absent.xlsx"))
    openpyxl.Workbook().save(path)
    with pytest.raises(InputError, match="no rows in it"):
        list(read_source(path))


def test_a_damaged_workbook(tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    book = openpyxl.Workbook()
    for row in (("id", "name"), *((f"P{n}", f"part {n}") for n in range(50))):
        book.active.append(row)
    book.save(path)
    with zipfile.ZipFile(path) as sound:
        parts = {name: sound.read(name) for name in sound.namelist()}
    for name in parts:  # each part cut in its middle
        with zipfile.ZipFile(path, "w") as damaged:
            for other, data in parts.items():
                damaged.writestr(other, data[: len(data) // 2] if other == name else data)
        with suppress(InputError):
            list(read_source(path, on_bad=lambda _: None))
    with pytest.raises(InputError, match="Excel workbook"):
        sheet = "xl/worksheets/sheet1.xml"
        with zipfile.ZipFile(path, "w") as damaged:
            for other, data in parts.items():
                damaged.writestr(other, data[: len(data) // 2] if other == sheet else data)
        list(read_source(path))
