"""Tables: the guess of the columns, the cells, and what becomes of rows that are no rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.errors import InputError
from entlink.kb.importers import read_source
from entlink.kb.importers.columns import choose_columns, parse_choice
from entlink.kb.importers.records import PartOf
from entlink.kb.importers.settings import Settings
from entlink.kb.importers.table import read, split_cell
from entlink.records import Entity


def entities(path: Path, settings: Settings | None = None) -> list[Entity]:
    found = [record for _, record in read(path, settings or Settings())]
    assert all(isinstance(record, Entity) for record in found)
    return [record for record in found if isinstance(record, Entity)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("sku,title,text", "id <- 'sku', name <- 'title', description <- 'text'"),
        ("Product ID;Product Name", "id <- 'Product ID', name <- 'Product Name'"),
        ("name,id", "id <- 'id', name <- 'name'"),
        ("QID\tLabel\tAlso known as\tDescription", "id <- 'QID', name <- 'Label', aliases <- "
         "'Also known as', description <- 'Description'"),
        ("name,price", "id <- the number of the row, name <- 'name'; kept as they are: 'price'"),
        ("code,name,synonyms,alias,views", "id <- 'code', name <- 'name', aliases <- 'synonyms' "
         "and 'alias', uses <- 'views'"),
        ("customer_id,customer_name", "id <- 'customer_id', name <- 'customer_name'"),
    ],
)  # fmt: skip
def test_guess_is_shown(tmp_path: Path, header: str, expected: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(header + "\n", encoding="utf-8")
    told: list[str] = []
    assert entities(path, Settings(tell=told.append)) == []
    assert told == [f"{path}: columns: {expected}"]


def test_cells_become_an_entity(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "sku,name,aliases,description,category,price,views\n"
        'A1,"Anvil, small",ambos|the anvil,"iron, ""heavy""",tools;iron,9.50,99\n'
        "\n"
        "A2,Rope\n",
        encoding="utf-8",
    )
    assert entities(path) == [
        Entity(
            "A1",
            "Anvil, small",
            aliases=("ambos", "the anvil"),
            description='iron, "heavy"',
            types=("tools", "iron"),
            type_names=("tools", "iron"),
            popularity=2.0,
            extra={"price": "9.50"},
        ),
        Entity("A2", "Rope"),
    ]


def test_columns_may_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,name\n1,x,y\n", encoding="utf-8")
    chosen = Settings(columns=parse_choice("name=b, id=1,aliases=name"))
    assert entities(path, chosen) == [Entity("1", "x", aliases=("y",))]
    bare = Settings(columns=parse_choice("name=2,id=1"), header=False)
    assert [e.id for e in entities(path, bare)] == ["a", "1"]
    with pytest.raises(InputError, match="no column 'c'; there are 'a', 'b', 'name'"):
        entities(path, Settings(columns=parse_choice("name=c")))
    with pytest.raises(InputError, match="'nme=b' is not FIELD=COLUMN"):
        parse_choice("nme=b")
    with pytest.raises(InputError, match="'name' is given two columns"):
        choose_columns("t", ["a", "b"], parse_choice("name=a,name=b"))


def test_no_column_like_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"t.csv:1: no column looks like a name among 'x', 'y'"):
        entities(path)


@pytest.mark.parametrize(
    ("delimiter", "suffix"), [(",", "csv"), (";", "csv"), ("\t", "tsv"), ("|", "csv")]
)
def test_separator_is_told(tmp_path: Path, delimiter: str, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    rows = [["id", "name", "description"], ["1", "a", "b; c, d"], ["2", "e", "f"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert [(e.id, e.name, e.description) for e in entities(path)] == [tuple(r) for r in rows[1:]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    text = "id,name\n1,Zürich\n2,北京\n"
    if encoding == "utf-16-le-bom":
        path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    else:
        path.write_text(text, encoding=encoding)
    assert [e.name for e in entities(path)] == ["Zürich", "北京"]


def test_mixed_encodings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("id,name\n1,Zürich\n".encode() + "2,Genève\n".encode("cp1252") + b"3,Bern\n")
    told: list[str] = []
    found = [r.name for _, r in read(path, on_bad=told.append) if isinstance(r, Entity)]
    assert found == ["Zürich", "Bern"]
    (line,) = told
    assert line.startswith(f"{path}:3: not utf-8 (")
    assert "--encoding cp1252" in line
    path.write_bytes("id,name\n2,Genève\n".encode("cp1252"))
    assert [e.name for e in entities(path, Settings(encoding="cp1252"))] == ["Genève"]
    with pytest.raises(InputError, match="no such encoding"):
        entities(path, Settings(encoding="klingon"))


def test_a_quote_that_is_not_closed_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,name\n1,a\n2,"b\n3,c\n4,"d\nd"\n5,e"e\n6,f\n', encoding="utf-8")
    told: list[str] = []
    found = [r.id for _, r in read(path, on_bad=told.append) if isinstance(r, Entity)]
    # the quote of row 2 is closed by that of row 4, and what follows is then no row
    assert "1" in found and "6" in found
    assert told and all(line.startswith(f"{path}:") for line in told)
    with pytest.raises(InputError, match=r"t.csv:\d: not a row"):
        entities(path)


def test_rows_that_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "id,name,uses\n1,a,1\n2,,1\n,b,1\n3,c,1,too,many\n4,d,often\n", encoding="utf-8"
    )
    told: list[str] = []
    found = [r.id for _, r in read(path, on_bad=told.append) if isinstance(r, Entity)]
    assert found == ["1"]
    assert [line.split(": ")[0] for line in told] == [f"{path}:{n}" for n in (3, 4, 5, 6)]


def test_a_megabyte_in_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,name,description\n1,a," + "x" * (1 << 20) + "\n", encoding="utf-8")
    (entity,) = entities(path)
    assert len(entity.description or "") == 1 << 20


def test_medcat_has_several_rows_an_entity(tmp_path: Path) -> None:
    path = tmp_path / "cdb.csv"
    path.write_text(
        "cui,name,ontologies,name_status,type_ids,description\n"
        "C1,sugar disease,OURS,A,T1|T2,\nC1,diabetes mellitus|diabetes,OURS,P,T1,too much sugar\n",
        encoding="utf-8",
    )
    parts = [record for _, record in read(path)]
    assert [(p.entity.name, p.preferred) for p in parts if isinstance(p, PartOf)] == [
        ("sugar disease", False),
        ("diabetes mellitus", True),
    ]
    assert isinstance(parts[1], PartOf) and parts[1].entity.aliases == ("diabetes",)


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("", ()),
        ("one, two", ("one, two",)),
        ("a|b |a", ("a", "b")),
        ("a; b", ("a", "b")),
        ('["a; b", "c"]', ("a; b", "c")),
        ("[a", ("[a",)),
    ],
)
def test_split_cell(cell: str, parts: tuple[str, ...]) -> None:
    assert split_cell(cell) == parts


def test_empty_and_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no rows in it"):
        entities(path)
    with pytest.raises(InputError, match="no such file"):
        entities(tmp_path / "absent.csv")


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(
    lambda text: bool(text.strip())
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL), max_size=8))
def test_whatever_csv_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("id", "name"), *rows])
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    found = entities(path, Settings(delimiter=","))
    assert [(e.id, e.name) for e in found] == [(a.strip(), b.strip()) for a, b in rows]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(b"id,name\n" + data)
    told: list[str] = []
    try:
        for where, record in read(path, Settings(delimiter=","), on_bad=told.append):
            assert where.startswith(f"{path}:") and isinstance(record, Entity)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("column", ["country_code", "postcode", "paid", "PostCode", "Zip Code"])
def test_not_every_code_is_an_id(column: str) -> None:
    assert "id" not in choose_columns("t.csv:1", ["name", column], {}).fields


@pytest.mark.parametrize("column", ["article_id", "Article ID", "articleId", "partCode"])
def test_the_last_word_tells_an_id(column: str) -> None:
    assert choose_columns("t.csv:1", ["name", column], {}).fields["id"] == (1,)


def test_an_id_that_is_guessed_and_repeated(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,maker_id\nA,7\nB,8\nC,7\n", encoding="utf-8")
    told: list[str] = []
    found = entities(path, Settings(tell=told.append))
    assert [(e.id, e.extra) for e in found] == [
        ("1", {"maker_id": "7"}), ("2", {"maker_id": "8"}), ("3", {"maker_id": "7"})
    ]  # fmt: skip
    assert "column 'maker_id' says '7' twice, so the rows are numbered" in told[0]
    assert "id <- the number of the row" in told[1]
    chosen = Settings(columns={"id": ("maker_id",)})
    assert [e.id for e in entities(path, chosen)] == ["7", "8", "7"]


def test_rows_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name\nA\nB\n", encoding="utf-8")
    assert [e.id for e in entities(path)] == ["1", "2"]
    assert [e.id for e in entities(path, Settings(row_ids="t.csv:"))] == ["t.csv:1", "t.csv:2"]
    with pytest.raises(InputError, match=r"t.csv:1: no column of ids; say which"):
        entities(path, Settings(row_ids=None))


@pytest.mark.parametrize("encoding", ["rot13", "hex", "idna", "klingon", "undefined"])
@pytest.mark.parametrize("format", ["csv", "terms"])
def test_no_encoding_of_texts(tmp_path: Path, encoding: str, format: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,name\na||A\n", encoding="utf-8")
    with pytest.raises(InputError, match="no such encoding of texts"):
        list(read_source(path, format, Settings(encoding=encoding)))


@pytest.mark.parametrize("delimiter", ["||", '"', "\n"])
def test_no_delimiter(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,name\na,A\n", encoding="utf-8")
    with pytest.raises(InputError, match="not one character that can divide cells"):
        entities(path, Settings(delimiter=delimiter))


@pytest.mark.parametrize("name", ["UTF-16", "utf16", "utf-16", "U16", "UTF-16LE", "utf-32", "UTF8"])
def test_names_of_encodings(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.csv"
    text = "id,name\na,Ärmel\u2028und Saum\n"
    for mark in ("", "\ufeff"):
        path.write_text(mark + text, encoding=name)
        assert entities(path, Settings(encoding=name)) == [Entity("a", "Ärmel\u2028und Saum")]


def test_utf_16_that_breaks_off_says_behind_which_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    text = "id,name\n" + "".join(f"{n},name {n}\n" for n in range(5_000))
    path.write_bytes(text.encode("utf-16") + b"\x00")
    bad: list[str] = []
    with pytest.raises(InputError, match=r"not utf-16 behind line 5001 .*save it as UTF-8"):
        list(read_source(path, on_bad=bad.append))
    assert bad == []
