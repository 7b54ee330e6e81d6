"""A bad file gives one sentence: where, what was found, how to mend it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from entlink.errors import InputError
from entlink.evaluate.formats import FORMATS, guess_format, read_corpus, write_corpus
from entlink.evaluate.formats.ids import read_id_map, with_ids
from tests.evaluate.formats.documents import SMALL, path_with, read

HEAD = "TOKEN\tNE-COARSE-LIT\tNEL-LIT\tMISC"
NIF = "@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> ."
CONTEXT = '<urn:x:d> nif:isString "Oslo" .'


@pytest.mark.parametrize(
    ("format", "lines", "line", "message"),
    [
        ("jsonl", ['{"id": "a", "text": "x"}', '{"id": "b"'], 2, "not valid JSON"),
        ("jsonl", ["[]"], 1, "a JSON list; write one object a line"),
        ("jsonl", ['{"id": "a"}'], 1, '"text" is None; give'),
        ("jsonl", ['{"id": true, "text": ""}'], 1, '"id" is True; write a string'),
        ("jsonl", ['{"id": "a", "text": "x", "mentions": {}}'], 1, '"mentions" are {}; write'),
        ("jsonl", ['{"text": "x", "mentions": [5]}'], 1, "number 1 .* is 5, not an object"),
        ("jsonl", ['{"text": "x", "mentions": [{"start": 0}]}'], 1, "are 0 and None; write whole"),
        (
            "jsonl",
            ['{"text": "Oslo", "mentions": [{"start": 0, "end": 5}]}'],
            1,
            "number 1 of mentions: spans 0 to 5 of a text of 4 characters; offsets count",
        ),
        (
            "jsonl",
            ['{"text": "Oslo", "mentions": [{"start": 0, "end": 3, "text": "slo"}]}'],
            1,
            "said to be 'slo', but characters 0 to 3 of the text are 'Osl'; offsets count",
        ),
        ("jsonl", ['{"text": "x", "mentions": [{"entity": 5}]}'], 1, '"entity" is 5; write'),
        ("jsonl", ['{"id": "a", "text": ""}'] * 2, 2, r"'a' appears twice \(first at .*:1\); give"),
        ("elevant", ['{"text": "Oslo", "labels": []}'], 1, 'has no "id"'),
        ("elevant", ['{"id": 1, "text": "x", "labels": [{"span": 0}]}'], 1, '"span" is 0; write'),
        ("elevant", ['{"id": 1, "text": "x", "labels": [{"span": [1, 2]}]}'], 1, "spans 1 to 2"),
        (
            "prodigy",
            ['{"text": "x", "spans": [], "accept": ["Q1"]}'],
            1,
            r'"accept" is \[.Q1.\] with 0 spans; write',
        ),
        (
            "prodigy",
            ['{"text": "x", "spans": [{"start": 0, "end": 1}], "accept": ["Q1", "Q2"]}'],
            1,
            "has 2 ids; keep",
        ),
        ("aida", ["Oslo"], 1, "before any -DOCSTART-"),
        ("aida", ["-DOCSTART- (1)", "Oslo\tX\tOslo\tQ585"], 2, "4 columns, the second 'X'; write"),
        ("aida", ["-DOCSTART- (1)", "Oslo\tI\tOslo\tQ585"], 2, "no line above begins; write B"),
        ("aida", ["-DOCSTART- (1)", "a", "Oslo\tB\tRome\tQ585"], 3, "'Rome', but .* are 'Oslo'"),
        ("aida", ["-DOCSTART- (1)", "a", "-DOCSTART- (1)"], 3, "'1' appears twice"),
        ("pubtator", ["1\t0\t1\tx\tD\tD1"], 1, "before any title"),
        ("pubtator", ["1|t|Oslo", "2\t0\t4\tOslo\tD\tD1"], 2, "of document '2', but stands below"),
        ("pubtator", ["1|t|Oslo", "1\t0\t4\tRome\tD\tD1"], 2, "'Rome', but .* are 'Oslo'"),
        ("pubtator", ["1|t|Oslo", "1 0 4 Oslo D D1"], 2, "of document '1 0 4 Oslo D D1'"),
        ("pubtator", ["1|t|Oslo", "1\t0\tOslo"], 2, r"no mention \(3 columns\); write"),
        ("pubtator", ["1|t|x", "1|a|y", "1|a|z"], 3, "an abstract that does not follow"),
        ("hipe", ["Oslo\tO"], 1, "TOKEN is not among them"),
        ("hipe", [HEAD, "Oslo\tO\t_\t_"], 2, "before any '# document_id"),
        ("hipe", [HEAD, "# document_id = d", "Oslo O _ _"], 3, "has 1 columns, .* names 4"),
        ("hipe", [HEAD, "# document_id = d", "Oslo\tQ\t_\t_"], 3, "the tag is 'Q'; write"),
        (
            "hipe",
            [HEAD, "# document_id = d", "Bad\tB-x\tQ1\t_", "Ems\tI-x\tQ2\t_"],
            4,
            "'Q2', but the mention began with 'Q1'",
        ),
        ("nif", [NIF, CONTEXT, "<urn:x:d> nif:isString ."], 3, "not valid Turtle"),
        ("nif", [NIF, CONTEXT, '<urn:x:d> nif:isString "Rome" .'], 2, "2 values of nif:isString"),
        (
            "nif",
            [NIF, CONTEXT, "<urn:x:m> a nif:Phrase; nif:referenceContext <urn:x:e> ."],
            3,
            "<urn:x:m>: belongs to <urn:x:e>, which has no nif:isString",
        ),
        (
            "nif",
            [
                NIF,
                CONTEXT,
                "<urn:x:m> a nif:Phrase; nif:referenceContext <urn:x:d>; nif:beginIndex 0;",
                '  nif:endIndex 3; nif:anchorOf "Oslo" .',
            ],
            3,
            "<urn:x:m>: is said to be 'Oslo', but characters 0 to 3 of the text are 'Osl'",
        ),
        (
            "nif",
            [NIF, CONTEXT, "<urn:x:m> a nif:Phrase; nif:referenceContext <urn:x:d> ."],
            3,
            "the offsets are None and None",
        ),
    ],
)
def test_the_line_is_named(
    format: str, lines: list[str], line: int, message: str, tmp_path: Path
) -> None:
    if format == "nif":
        pytest.importorskip("rdflib")
    path = path_with(tmp_path, "gold", *lines)
    with pytest.raises(InputError, match=message) as raised:
        read(path, format)
    assert str(raised.value).startswith(f"{path}:{line}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("mentions", "message"),
    [
        ('"start_index": 0, "end_index": 9, "text": "Oslo"', "spans words 0 to 9 of a text of 2"),
        ('"start_index": 0, "end_index": 0, "text": "Rome"', "'Rome', but words 0 to 0 .* 'Oslo'"),
        ('"start_index": 0, "end_index": 0', '"text" is None; write a string'),
    ],
)
def test_zeshel_mentions_are_checked(mentions: str, message: str, tmp_path: Path) -> None:
    for name in ("documents", "mentions"):
        (tmp_path / name).mkdir()
    path_with(tmp_path / "documents", "w.json", '{"document_id": "C", "text": "Oslo here"}')
    ids = '"context_document_id": "C", "label_document_id": "E"'
    path = path_with(tmp_path / "mentions", "test.json", f"{{{ids}, {mentions}}}")
    with pytest.raises(InputError, match=message) as raised:
        read(tmp_path)
    assert str(raised.value).startswith(f"{path}:1: ")


def test_zeshel_needs_its_parts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no documents/\*.json; give a folder"):
        read(tmp_path)
    for name in ("documents", "mentions"):
        (tmp_path / name).mkdir()
    path_with(tmp_path / "documents", "w.json", '{"document_id": "C", "text": "Oslo"}')
    path_with(
        tmp_path / "mentions",
        "test.json",
        '{"context_document_id": "D", "label_document_id": "E", "text": "x"}',
    )
    with pytest.raises(InputError, match=r"test.json:1: there is no document 'D' in .*documents"):
        read(tmp_path)


def test_zeshel_folder_is_never_overwritten(tmp_path: Path) -> None:
    path_with(tmp_path, "mine.txt", "keep")
    with pytest.raises(InputError, match="is there already; name a new folder"):
        write_corpus(SMALL[1:], tmp_path, "zeshel")
    assert (tmp_path / "mine.txt").is_file()


@pytest.mark.parametrize("format", FORMATS)
def test_empty_absent_and_damaged_files(format: str, tmp_path: Path) -> None:
    if format == "nif":
        pytest.importorskip("rdflib")
    if format == "zeshel":
        return  # a folder; its files are read as those of jsonl
    with pytest.raises(InputError, match=r"absent: no such file"):
        read(tmp_path / "absent", format)
    empty = path_with(tmp_path, "empty")
    with pytest.raises(InputError, match=r"empty: (has no documents|is no DocBin)"):
        read(empty, format)
    whole = tmp_path / "whole.gz"
    write_corpus(SMALL, whole, format)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole.read_bytes()[:-12])
    with pytest.raises(InputError, match=r"cut.gz: the gzip file is damaged or cut short"):
        read(cut, format)


def test_a_file_that_is_no_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "gold.txt"
    path.write_bytes(b"1|t|Oslo\n1|a|caf\xe9\n")
    with pytest.raises(InputError, match=r"gold.txt:2: byte 7 of the line is no UTF-8 \(0xe9\)"):
        read(path)


def test_a_docbin_that_is_none(tmp_path: Path) -> None:
    path = path_with(tmp_path, "gold.spacy", "not a DocBin")
    with pytest.raises(InputError, match="is no DocBin that spaCy can read"):
        read(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A plain text.", "tells no format"),
        ('{"name": "x"}', "has none of the keys"),
        ("", "has no documents"),
    ],
)
def test_what_no_format_is_like(line: str, message: str, tmp_path: Path) -> None:
    path = path_with(tmp_path, "gold.txt", line)
    with pytest.raises(InputError, match=message):
        guess_format(path)


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no corpus format is called 'conll'; name one of jsonl"):
        read_corpus(tmp_path / "x", "conll")
    with pytest.raises(InputError, match="its name does not tell the format"):
        write_corpus(SMALL, tmp_path / "gold.txt")


def test_nif_without_rdflib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rdflib", None)
    path = path_with(tmp_path, "gold.ttl", NIF)
    with pytest.raises(InputError, match=r"needs rdflib; install it with: pip .*\[formats\]"):
        read(path)


def test_ids_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "ids.tsv.gz"
    path.write_bytes(gzip.compress(b"Q90\tparis\n\nQ1\tone\n"))
    found = [m.entity for d in with_ids(SMALL, read_id_map(path)) for m in d.mentions]
    assert found == ["NIL", "one", "paris", "Q585"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Q1 one"], "ids.tsv:1: has 1 columns"),
        (["Q1\tone", "Q1\ttwo"], "ids.tsv:2: 'Q1' becomes 'two', but 'one' further up"),
        ([""], "ids.tsv: has no ids"),
    ],
)
def test_bad_ids(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_id_map(path_with(tmp_path, "ids.tsv", *lines))
