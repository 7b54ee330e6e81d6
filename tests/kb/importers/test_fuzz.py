"""Whatever bytes a file holds, an importer reads them, sets them aside, or says why it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.errors import InputError
from entlink.kb.build import build_from
from entlink.kb.importers import read_source
from entlink.kb.importers.settings import Settings
from entlink.kb.scratch import Source

SOUND = {
    "jsonl": b'{"id": "a", "name": "A", "aliases": ["x"]}\n{"cui": "b", "name": "B"}\n',
    "csv": b'id,name,description\na,A,"one, two"\nb,B,\n',
    "obo": b'[Term]\nid: a\nname: A\ndef: "x" []\nis_a: b ! B\n\n[Term]\nid: b\nname: B\n',
    "terms": b"a|c||A|x\nb||B\n",
    "wikidata": b'[\n{"id": "Q1", "labels": {"en": {"value": "A"}}, "claims": {"P31": []}},\n]\n',
    "wikipedia": b"<mediawiki><page><title>A</title><ns>0</ns><revision><text>'''A''' is [[B|b]], "
    b"a thing of some length.</text></revision></page></mediawiki>",
    "skos": b'@prefix s: <http://www.w3.org/2004/02/skos/core#> .\n<x:a> s:prefLabel "A"@en .\n',
}


@st.composite
def broken(draw: st.DrawFn, sound: bytes) -> bytes:
    """Sound bytes with some cut out, put in or changed."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 6))
        data[at : at + cut] = draw(st.binary(max_size=6))
    return bytes(data)


@pytest.mark.parametrize("format", SOUND)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_broken_files(
    tmp_path_factory: pytest.TempPathFactory, format: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "file"
    path.write_bytes(data.draw(broken(SOUND[format])))
    bad: list[str] = []
    source = Source(read_source(path, format, on_bad=bad.append))
    try:
        report = build_from([source], folder / "kb", on_bad=bad.append)
    except InputError as error:
        assert "\n" not in str(error) and str(path.parent) in str(error)
        return
    assert report.n_records == (
        report.n_entities + report.n_duplicates + report.n_merged + report.n_refused
    )
    for line in bad:
        assert line.startswith(str(path))


@pytest.mark.parametrize("format", ["jsonl", "terms", "csv"])
@given(lines=st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b" ")), max_size=6))
@settings(max_examples=40, deadline=None)
def test_lines_in_are_lines_kept_or_told(
    tmp_path_factory: pytest.TempPathFactory, format: str, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "file"
    sound = {"jsonl": b'{"id": "a", "name": "A"}', "terms": b"a||A", "csv": b"a,A"}[format]
    first = b"id,name\n" if format == "csv" else b""
    path.write_bytes(first + b"\n".join([sound, *lines, sound]) + b"\n")
    bad: list[str] = []
    comma = Settings(delimiter=",")
    found = list(read_source(path, format, comma, on_bad=bad.append))
    named = {int(line.removeprefix(str(path)).split(":")[1]) for line in bad}
    kept = {int(where.removeprefix(str(path)).split(":")[1]) for where, _ in found}
    n_head = 1 if format == "csv" else 0
    numbers = range(1 + n_head, len(lines) + 3 + n_head)
    filled = {
        n
        for n, line in zip(numbers, [sound, *lines, sound], strict=True)
        if line.decode("utf-8", "replace").strip(
            " ,\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\ufeff"
        )
    }
    if format != "csv":  # a row of a table may have several lines
        assert filled <= named | kept


def test_mixed_encodings_in_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    rows = [json.dumps({"id": str(n), "name": name}, ensure_ascii=False) for n, name in
            enumerate(("Zürich", "Genève", "Bern"))]  # fmt: skip
    path.write_bytes(b"\n".join([rows[0].encode(), rows[1].encode("cp1252"), rows[2].encode()]))
    bad: list[str] = []
    assert len(list(read_source(path, on_bad=bad.append))) == 2
    assert [line.split(": ")[0] for line in bad] == [f"{path}:2"]
