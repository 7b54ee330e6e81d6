"""Documents from files and standard input, and what is said about files that cannot be read."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.corpus.jsonl import parse_document
from entlink.corpus.readers import read_documents
from entlink.corpus.sources import find_sources
from entlink.corpus.texts import decode
from entlink.errors import InputError
from entlink.records import Document, Mention

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    return str(path)


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    source = write(tmp_path / "news.txt", "Zürich", "", "北京 😀 שלום")
    assert list(read_documents([source])) == [Document("news.txt", "Zürich\n\n北京 😀 שלום")]


def test_line_ends_are_kept_and_the_byte_order_mark_is_not(tmp_path: Path) -> None:
    path = tmp_path / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert [d.text for d in read_documents([str(path)])] == ["one\r\ntwo\r\n"]


def test_jsonl_has_one_document_a_line(tmp_path: Path) -> None:
    source = write(
        tmp_path / "d.jsonl",
        '{"id": "a", "text": "A"}',
        "",
        '{"text": "B"}',
        '{"id": 7, "text": ""}',
    )
    assert list(read_documents([source])) == [
        Document("a", "A"),
        Document("d.jsonl:3", "B"),
        Document("7", ""),
    ]


def test_gzipped_jsonl_reads_as_plain(tmp_path: Path) -> None:
    lines = '{"id": "a", "text": "A"}\n{"id": "b", "text": "é"}\n'
    plain, zipped = tmp_path / "d.jsonl", tmp_path / "d.jsonl.gz"
    plain.write_text(lines, encoding="utf-8")
    zipped.write_bytes(gzip.compress(lines.encode()))
    assert list(read_documents([str(zipped)])) == list(read_documents([str(plain)]))


def test_given_mentions_are_sorted_and_carry_their_text(tmp_path: Path) -> None:
    line = {
        "id": "a",
        "text": "😀 Ada met Bob",
        "mentions": [{"start": 10, "end": 13}, {"start": 2, "end": 5, "entity": "Q1"}],
    }
    source = write(tmp_path / "d.jsonl", json.dumps(line))
    (document,) = read_documents([source])
    assert document.mentions == (Mention(2, 5, "Ada"), Mention(10, 13, "Bob"))


def test_no_mentions_and_absent_mentions_differ() -> None:
    given = parse_document('{"text": "A", "mentions": []}', where="w", default_id="d")
    absent = parse_document('{"text": "A"}', where="w", default_id="d")
    assert (given.mentions, absent.mentions) == ((), None)


@pytest.mark.parametrize(
    ("mention", "said"),
    [
        ({"start": 0, "end": 9}, "spans 0 to 9, but its text has 5 characters"),
        ({"start": -1, "end": 2}, "spans -1 to 2"),
        ({"start": 2, "end": 2}, "spans 2 to 2"),
        ({"start": 0, "end": 2, "text": "bc"}, "says 'bc', but characters 0 to 2 are 'ab'"),
        ({"start": "0", "end": 2}, "needs whole numbers"),
        ({"start": True, "end": 2}, "needs whole numbers"),
        ({"end": 2}, "needs whole numbers"),
        ([0, 2], "is not an object"),
    ],
)
def test_wrong_offsets_name_file_line_and_mention(
    tmp_path: Path, mention: object, said: str
) -> None:
    bad = json.dumps({"text": "abcde", "mentions": [{"start": 0, "end": 1}, mention]})
    source = write(tmp_path / "d.jsonl", '{"text": "fine"}', bad)
    with pytest.raises(InputError, match="mention 2") as caught:
        list(read_documents([source]))
    assert str(caught.value).startswith(f"{source}:2: mention 2 ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '"text"',
        "[]",
        '{"id": "a"}',
        '{"text": 3}',
        '{"text": "\\ud800"}',
        '{"text": "a", "id": null}',
        '{"text": "a", "id": true}',
        '{"text": "a", "mentions": {}}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    source = write(tmp_path / "d.jsonl", '{"text": "fine"}', line)
    with pytest.raises(InputError) as caught:
        list(read_documents([source]))
    assert str(caught.value).startswith(f"{source}:2: ")
    assert "\n" not in str(caught.value)


def test_invalid_utf8_in_a_text_names_file_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("café".encode() + b" caf\xe9")
    with pytest.raises(InputError, match=r"latin\.txt: not valid UTF-8 at byte 9 \(0xe9\)"):
        list(read_documents([str(path)]))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_invalid_utf8_in_jsonl_counts_from_the_start_of_the_file(
    tmp_path: Path, mark: bytes
) -> None:
    path = tmp_path / "d.jsonl"
    first = mark + b'{"text": "a"}\n'
    path.write_bytes(first + b'{"text": "\xff"}\n')
    with pytest.raises(InputError, match=rf"d\.jsonl:2: not valid UTF-8 at byte {len(first) + 10}"):
        list(read_documents([str(path)]))


@given(text=TEXTS, junk=st.sampled_from([b"\xff", b"\xc3", b"\x80"]), offset=st.integers(1, 99))
def test_the_first_bad_byte_is_the_one_reported(text: str, junk: bytes, offset: int) -> None:
    data = text.encode()
    with pytest.raises(InputError, match=f"at byte {offset + len(data)} "):
        decode(data + junk + b" ", where="w", offset=offset)


def test_a_missing_file_and_an_empty_folder_are_said_before_anything_is_read(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"nothing\.txt: no such file"):
        find_sources(["-", str(tmp_path / "nothing.txt")])
    with pytest.raises(InputError, match="no files to link in this folder"):
        find_sources([str(tmp_path)])
    with pytest.raises(InputError, match="cannot be read"):
        find_sources(["a\0b"])


@pytest.mark.parametrize("damage", [slice(None, -5), slice(5, None), slice(0, 0)])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: slice) -> None:
    path = tmp_path / "d.jsonl.gz"
    whole = gzip.compress(b'{"text": "a"}\n' * 99)
    path.write_bytes(whole[damage])
    if damage == slice(0, 0):  # gzip reads nothing from nothing
        assert list(read_documents([str(path)])) == []
        return
    with pytest.raises(InputError, match=r"d\.jsonl\.gz: not a whole gzip file"):
        list(read_documents([str(path)]))


def test_what_is_said_names_the_mend(tmp_path: Path) -> None:
    for line, said in [
        ('{"id": 1.5, "text": "a"}', '"id" is 1.5; it must be a string or a whole number'),
        ('{"story": "a"}', "name another key with --text-column"),
    ]:
        with pytest.raises(InputError, match=said):
            list(read_documents([write(tmp_path / "d.jsonl", line)]))


def test_endings_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "D.JSONL.GZ").write_bytes(gzip.compress(b'{"id": "a", "text": "A"}'))
    assert list(read_documents([str(tmp_path)])) == [Document("a", "A")]


def read_stdin(data: bytes) -> list[Document]:
    return list(read_documents(["-"], stdin=io.BytesIO(data)))


def test_standard_input_is_text_or_jsonl() -> None:
    assert read_stdin(b"") == [Document("stdin", "")]
    assert read_stdin(b"one\ntwo") == [Document("stdin", "one\ntwo")]
    assert read_stdin(b'{"a": 1} is JSON\n') == [Document("stdin", '{"a": 1} is JSON\n')]
    assert read_stdin(b'{"text": "a"}\n{"text": "b", "id": "x"}\n') == [
        Document("stdin:1", "a"),
        Document("x", "b"),
    ]
    with pytest.raises(InputError, match="standard input:2: not valid JSON"):
        read_stdin(b'{"text": "a"}\n{"text": \n')
    with pytest.raises(InputError, match="standard input: not valid UTF-8 at byte 4"):
        read_stdin(b"one\n\xff")


@pytest.mark.parametrize("pack", [gzip.compress, lambda d: pa.compress(d, "zstd", asbytes=True)])
def test_standard_input_may_be_packed(pack: Callable[[bytes], bytes]) -> None:
    assert read_stdin(pack(b"one\ntwo")) == [Document("stdin", "one\ntwo")]
    rows = [{"id": str(n), "text": f"text {n}"} for n in range(5000)]
    data = "\n".join(map(json.dumps, rows)).encode()
    assert [d.id for d in read_stdin(pack(data))] == [row["id"] for row in rows]
    with pytest.raises(InputError, match=r"standard input: not a whole (gzip|\.zst) file"):
        read_stdin(pack(data)[:1000])


def test_what_comes_through_a_pipe_is_read_while_the_writer_goes_on() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as writer:
        writer.write(b'{"text": "a"}\n{"text": "b"}\n')
        documents = read_documents(["-"], stdin=stream)
        assert [next(documents).text, next(documents).text] == ["a", "b"]
        writer.write(b'{"text": "c"}\n')
        assert next(documents).text == "c"


@given(texts=st.lists(TEXTS, max_size=4))
def test_what_json_writes_is_what_is_read(texts: list[str]) -> None:
    lines = [json.dumps({"id": "d", "text": text}) for text in texts]
    stream = io.BytesIO("\n".join(lines).encode())
    if texts:
        assert [d.text for d in read_documents(["-"], stdin=stream)] == texts
