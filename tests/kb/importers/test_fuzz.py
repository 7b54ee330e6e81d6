"""Whatever bytes a file holds, an importer reads them, sets them aside, or says why it cannot."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.kb import InMemoryLookupKB
from spacy.vocab import Vocab

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
    "owl": b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    b'xmlns:o="http://www.w3.org/2002/07/owl#" xmlns:s="http://www.w3.org/2000/01/rdf-schema#">\n'
    b'<o:Class r:about="x:a"><s:label>A</s:label><s:subClassOf r:resource="x:b"/></o:Class>\n'
    b'<o:Class r:about="x:b"><s:label>B</s:label></o:Class></r:RDF>',
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
    read_or_refuse(path, format)


TIMES = re.compile(rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z")  # when it was saved


def read_or_refuse(path: Path, format: str) -> None:
    """Build from it: that is an error in one line which names it, or all is accounted for."""
    bad: list[str] = []
    source = Source(read_source(path, format, on_bad=bad.append))
    try:
        report = build_from([source], path.parent / "kb", on_bad=bad.append)
    except InputError as error:
        assert "\n" not in str(error) and str(path.parent) in str(error)
        return
    assert report.n_records == (
        report.n_entities + report.n_duplicates + report.n_merged + report.n_refused
    )
    for line in bad:
        assert line.startswith(str(path))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_broken_workbooks(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes are changed within one of the files that a workbook packs, or in the packed whole."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("id", "name", "views"), ("a", "A", 3), ("b", "B", 2.5)):
        book.active.append(row)
    path = tmp_path_factory.mktemp("fuzz") / "file"
    book.save(path)
    with zipfile.ZipFile(path) as sound:
        parts = {
            name: TIMES.sub(b"2020-01-01T00:00:00Z", sound.read(name)) for name in sound.namelist()
        }
    part = data.draw(st.sampled_from(["", *sorted(parts)]))
    if part:
        parts[part] = data.draw(broken(parts[part]))
    with zipfile.ZipFile(path, "w") as written:
        for name, content in parts.items():
            written.writestr(zipfile.ZipInfo(name), content)
    if not part:
        path.write_bytes(data.draw(broken(path.read_bytes())))
    read_or_refuse(path, "excel")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_broken_kbs_of_spacy(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kb = InMemoryLookupKB(Vocab(), entity_vector_length=2)
    for id in ("Q1", "Q2"):
        kb.add_entity(entity=id, freq=9, entity_vector=[1, 2])
    kb.add_alias(alias="Adams", entities=["Q1", "Q2"], probabilities=[0.5, 0.25])
    path = tmp_path_factory.mktemp("fuzz") / "file"
    kb.to_disk(path)
    part = data.draw(st.sampled_from(sorted(file.name for file in path.iterdir())))
    (path / part).write_bytes(data.draw(broken((path / part).read_bytes())))
    read_or_refuse(path, "spacy")


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
