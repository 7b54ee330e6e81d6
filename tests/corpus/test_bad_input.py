"""Bad input and bad disks: a clear sentence, and nothing lost."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entlink.corpus import Summary, link_corpus
from entlink.errors import InputError
from tests.fake_linker import FakeLinker

MB = 1 << 20


def link(source: Path, tmp_path: Path, **options: Any) -> tuple[Summary, list[Any], list[Any]]:
    """Link a file; the summary, the lines that came out, and what was set aside."""
    out = tmp_path / "out" / "o.jsonl"
    out.parent.mkdir(exist_ok=True)
    summary = link_corpus(source, out, linker=FakeLinker(), **options)
    asides = summary.quarantine.read_bytes().splitlines() if summary.quarantine else []
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    return summary, lines, [json.loads(line) for line in asides]


def long_line(path: Path, n_bytes: int) -> None:
    """A good line, one of so many bytes (a hole, which takes no room on the disk), a good one."""
    with path.open("wb") as file:
        file.write(b'{"id": "a", "text": "Jordan"}\n{"text": "')
        file.seek(n_bytes, os.SEEK_CUR)
        file.write(b'"}\n{"id": "c", "text": "Odd"}\n')


def test_a_line_of_200_megabytes(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    long_line(source, 200 * MB)
    _, lines, (aside,) = link(source, tmp_path)
    assert [line["id"] for line in lines] == ["a", "c"]
    assert aside["where"] == f"{source}:2"
    assert f"{200 * MB + 13} bytes in one piece" in aside["reason"]
    assert aside["raw"].startswith('{"text": "')
    assert len(aside["raw"]) == 1000


def test_a_long_line_takes_no_more_memory_than_the_limit(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    long_line(source, 50 * MB)
    tracemalloc.start()
    link(source, tmp_path, max_chars=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MB


def test_a_text_that_is_too_long(tmp_path: Path) -> None:
    source = tmp_path / "d.txt"
    source.write_text("é" * 1001, encoding="utf-8")
    (tmp_path / "e.txt").write_text("é" * 1000, encoding="utf-8")
    out = tmp_path / "o.jsonl"
    summary = link_corpus([source, tmp_path / "e.txt"], out, linker=FakeLinker(), max_chars=1000)
    assert (summary.n_documents, summary.n_set_aside) == (1, 1)
    assert summary.quarantine is not None
    aside = json.loads(summary.quarantine.read_bytes())
    assert "a text of 1001 characters, and the limit is 1000; split it" in aside["reason"]


@pytest.mark.parametrize("name", ["d.txt", "d.jsonl", "d.csv", "d.parquet"])
def test_nul_bytes_are_characters(tmp_path: Path, name: str) -> None:
    text, path = "Jordan\0 and \0Odd", tmp_path / name
    if name == "d.parquet":
        pq.write_table(pa.table({"text": [text]}), path)
    else:
        data = {"d.txt": text, "d.jsonl": json.dumps({"text": text}), "d.csv": f"text\n{text}\n"}
        path.write_text(data[name], encoding="utf-8")
    _, (line,), asides = link(path, tmp_path)
    assert (line["text"], asides) == (text, [])
    assert [m["text"] for m in line["mentions"]] == ["Jordan", "Odd"]


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv"])
def test_latin_1_bytes(tmp_path: Path, name: str) -> None:
    rows = ['{"id": "%d", "text": "%s"}', "%d,%s"][name == "d.csv"]
    header = b"id,text\n" if name == "d.csv" else b"\n"
    bodies = [b"Odd", b"caf\xe9", "café".encode()]
    made = [rows.encode() % (n, body) for n, body in enumerate(bodies)]
    source = tmp_path / name
    source.write_bytes(header + b"\n".join(made) + b"\n")
    _, lines, (aside,) = link(source, tmp_path)
    assert [line["text"] for line in lines] == ["Odd", "café"]
    assert aside["where"] == f"{source}:3"
    assert "not valid UTF-8" in aside["reason"]
    assert "0xe9" in aside["reason"]
    assert "\\xe9" in aside["raw"]


def test_rows_of_other_lengths(tmp_path: Path) -> None:
    source = tmp_path / "d.csv"
    rows = ["id,text,x", "a,Jordan,1", "b,Odd", "c,Odd,1,2", "", 'd,"Jordan\nOdd",1', "e,Odd,2"]
    source.write_text("\n".join(rows), encoding="utf-8")
    _, lines, asides = link(source, tmp_path)
    assert [line["id"] for line in lines] == ["a", "d", "e"]
    assert [aside["where"] for aside in asides] == [f"{source}:3", f"{source}:4"]
    assert "2 cells in a table of 3 columns" in asides[0]["reason"]


def test_a_quotation_mark_that_is_never_closed(tmp_path: Path) -> None:
    source = tmp_path / "d.csv"
    rows = 'id,text\na,Jordan\nb,"Odd\nc,Odd\n\nd,Jordan\nx,"Odd" one\ne,"Jordan\nOdd"\nf\n'
    source.write_text(rows, encoding="utf-8")
    _, lines, asides = link(source, tmp_path)
    assert [line["id"] for line in lines] == ["a", "c", "d", "e"]
    assert lines[-1]["text"] == "Jordan\nOdd"
    assert [aside["where"] for aside in asides] == [f"{source}:{n}" for n in (3, 7, 10)]
    assert [aside["raw"] for aside in asides] == ['b,"Odd\n', 'x,"Odd" one\n', "f"]
    assert "mend its quotation marks" in asides[0]["reason"]


def test_a_quotation_mark_in_front_of_more_than_a_cell_may_hold(tmp_path: Path) -> None:
    source = tmp_path / "d.csv"
    rows = [f"c{n},Odd is here and there" for n in range(9000)]
    source.write_text("\n".join(["id,text", 'b,"Odd', *rows]), encoding="utf-8")
    before = csv.field_size_limit(131_072)
    try:
        _, lines, (aside,) = link(source, tmp_path, max_chars=1000)
    finally:
        csv.field_size_limit(before)
    assert [line["id"] for line in lines] == [f"c{n}" for n in range(9000)]
    assert aside["raw"] == 'b,"Odd\n'


@pytest.mark.parametrize("header", ["id,text", 'id,"text'])
def test_a_line_of_columns_that_is_too_long_or_breaks_off(tmp_path: Path, header: str) -> None:
    source = tmp_path / "d.csv"
    source.write_text(f"{header}{'x' * 500}\n1,Jordan\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"d\.csv:1: 5\d\d bytes in one piece"):
        link(source, tmp_path, max_chars=10)
    source.write_text(f'id,"{header}\n1,Jordan\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"d\.csv:1: .*; mend its quotation marks"):
        link(source, tmp_path)


def test_lines_that_end_in_a_carriage_return_alone(tmp_path: Path) -> None:
    source = tmp_path / "d.csv"
    source.write_bytes(b"id,text\r1,Jordan\r2,Odd\r")
    with pytest.raises(InputError, match=r"d\.csv:1: .*; save the file with Unix or Windows line"):
        link(source, tmp_path)
    source.write_bytes(b"id,text\n1,Jordan\rwas\n2,Odd\n")
    _, (line,), (aside,) = link(source, tmp_path)
    assert (line["id"], aside["raw"]) == ("2", "1,Jordan\rwas\n")
    assert "a carriage return stands alone" in aside["reason"]


def test_blank_lines_above_a_table(tmp_path: Path) -> None:
    source = tmp_path / "d.csv"
    source.write_bytes(b"\xef\xbb\xbf\n \nid,text\na,Jordan\nb\n")
    _, (line,), (aside,) = link(source, tmp_path)
    assert (line["id"], aside["where"]) == ("a", f"{source}:5")


def test_a_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    source = tmp_path / "d.parquet"
    places, letters = struct.pack("<4i", 0, 4, 7, 10), b"caf\xe9OddOne"
    texts = pa.StringArray.from_buffers(3, pa.py_buffer(places), pa.py_buffer(letters))
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": texts}), source)
    _, lines, (aside,) = link(source, tmp_path)
    assert [(line["id"], line["text"]) for line in lines] == [("b", "Odd"), ("c", "One")]
    assert aside["where"] == f"{source}: row 1"
    assert "column 'text' is not valid UTF-8 (0xe9 at byte 3)" in aside["reason"]
    assert "'id': 'a'" in aside["raw"]


def test_parquet_times_that_python_cannot_hold(tmp_path: Path) -> None:
    source = tmp_path / "d.parquet"
    times = pa.array([0, 10**18, 1], pa.timestamp("us"))
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": ["Odd"] * 3, "at": times}), source)
    _, lines, (aside,) = link(source, tmp_path)
    assert [line["id"] for line in lines] == ["a", "c"]
    assert "row 2: column 'at' holds what Python cannot" in aside["reason"]


def test_columns_called_as_those_of_the_quarantine_file(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    extra = {"where": "here", "reason": "mine", "raw": "r"}
    rows = [{"id": 1, "text": "Jordan"}, {"id": 1, "text": "Odd"} | extra]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    _, _, (aside,) = link(source, tmp_path)
    assert aside["where"] == f"{source}:2"
    assert [aside[f"{name}_"] for name in extra] == ["here", "mine", "r"]


def test_an_id_column_that_is_not_there(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    source.write_text('{"nr": 1, "text": "Jordan"}\n{"text": "Odd"}\n', encoding="utf-8")
    _, (line,), (aside,) = link(source, tmp_path, id_column="nr")
    assert (line["id"], aside["where"]) == ("1", f"{source}:2")
    with pytest.raises(InputError, match=r"d\.jsonl:1: no key 'typo' .* it has 'text', 'nr'"):
        link(source, tmp_path, id_column="typo")


@pytest.mark.parametrize("header", ["", "a,a\n1,2\n"])
def test_a_table_without_proper_columns(tmp_path: Path, header: str) -> None:
    source = tmp_path / "d.csv"
    source.write_text(header, encoding="utf-8")
    with pytest.raises(InputError, match=r"d\.csv: (is empty|two columns are called 'a')"):
        link(source, tmp_path)


def test_columns_that_json_cannot_hold(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    deep = "[" * 300 + "]" * 300
    source.write_text(f'{{"text": "Odd", "x": {deep}}}\n{{"text": "Odd"}}\n', encoding="utf-8")
    _, (line,), (aside,) = link(source, tmp_path)
    assert line["id"] == "d.jsonl:2"
    assert "its other columns cannot be carried through" in aside["reason"]


def test_a_header_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"text,caf\xe9\na,b\n")
    with pytest.raises(InputError, match=r"d\.csv:1: not valid UTF-8"):
        link(tmp_path / "d.csv", tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode there")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    source.write_text("Odd", encoding="utf-8")
    _, (line,), _ = link(source, tmp_path)
    assert line["id"] == "caf\\xe9.txt"


def test_ids_that_appear_twice(tmp_path: Path) -> None:
    source = tmp_path / "d.jsonl"
    rows = [{"id": "a", "text": "Jordan"}, {"id": "b", "text": "x"}, {"id": "a", "text": "Odd"}]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    _, lines, (aside,) = link(source, tmp_path)
    assert [line["text"] for line in lines] == ["Jordan", "x"]
    assert (aside["text"], aside["where"]) == ("Odd", f"{source}:3")
    assert "the id 'a' appeared before" in aside["reason"]


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="no files to link in this folder"):
        link(tmp_path / "in", tmp_path)


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_packed_file_that_ends_too_soon(tmp_path: Path, packed: str) -> None:
    noise = random.Random(0)
    rows = [{"id": n, "text": f"Odd {noise.randbytes(40).hex()}"} for n in range(5000)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    whole = (
        gzip.compress(data) if packed == ".gz" else pa.Codec("zstd").compress(data, asbytes=True)
    )
    source = tmp_path / f"d.jsonl{packed}"
    source.write_bytes(whole[: len(whole) // 2])
    _, lines, (aside,) = link(source, tmp_path)
    assert [line["id"] for line in lines] == [str(n) for n in range(len(lines))]
    assert len(lines) > 1000
    assert f"not a whole {'gzip' if packed == '.gz' else '.zst'} file" in aside["reason"]
    assert f"read as far as {source}:{len(lines)}" in aside["reason"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("d.parquet", "not a whole Parquet file"),
        ("d.spacy", "is no DocBin"),
        ("d.txt", "not valid UTF-8"),
        ("d.jsonl.gz", "not a whole gzip file"),
        ("d.jsonl.zst", "not a whole .zst file"),
    ],
)
def test_a_file_of_another_kind_than_its_name_says(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"\xff no such thing " * 9)
    (tmp_path / "good.txt").write_text("Odd", encoding="utf-8")
    with pytest.raises(InputError, match=said):  # nothing else is there: that is an error
        link(tmp_path / name, tmp_path)
    out = tmp_path / "o.jsonl"
    summary = link_corpus([tmp_path / name, tmp_path / "good.txt"], out, linker=FakeLinker())
    assert (summary.n_documents, summary.n_set_aside) == (1, 1)


# -- disks ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB; only where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a file may be open still


def noisy_corpus(path: Path) -> None:
    """Documents that no packing makes small."""
    noise = random.Random(0)
    rows = ({"id": n, "text": f"Odd {noise.randbytes(200).hex()}"} for n in range(1200))
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "d.jsonl", small_disk / "o.jsonl.gz"
    noisy_corpus(source)
    with pytest.raises(InputError, match=r"o\.jsonl\.gz: no room is left on its disk"):
        link_corpus(source, out, linker=FakeLinker())
    assert not out.exists()
    assert any((small_disk / "o.jsonl.gz.unfinished").glob("*.part"))
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    summary = link_corpus(source, out, linker=FakeLinker())
    assert summary.n_resumed >= 256
    assert len(gzip.decompress(out.read_bytes()).splitlines()) == summary.n_documents == 1200


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of this kind there")
def test_no_room_for_temporary_files() -> None:
    code = """
import resource, signal
from entlink.corpus.items import Item, distinct
from entlink.errors import InputError
from entlink.records import Document
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    for item in distinct(Item(Document(str(n), ""), f"d.jsonl:{n}") for n in range(600_000)):
        pass
except InputError as error:
    print(error)
"""
    root = str(Path(__file__).resolve().parents[2])
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("d.jsonl:")
    assert "the ids seen so far cannot be kept" in done.stdout
    assert "TMPDIR" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of this kind there")
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """What a full disk says, where none can be mounted: writing stops with an error."""
    noisy_corpus(tmp_path / "d.jsonl")
    code = """
import resource, signal, sys
from entlink.corpus import link_corpus
from entlink.errors import InputError
from tests.fake_linker import FakeLinker
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    link_corpus(sys.argv[1], sys.argv[2], linker=FakeLinker())
except InputError as error:
    print(error)
"""
    out = tmp_path / "o.jsonl"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "d.jsonl"), str(out)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"{out}: no room is left on its disk")
    assert not (tmp_path / "o.jsonl").exists()
    whole = link_corpus(tmp_path / "d.jsonl", tmp_path / "o.jsonl", linker=FakeLinker())
    assert whole.n_documents == 1200


@pytest.mark.skipif(sys.platform == "win32", reason="permissions differ there")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("Odd", encoding="utf-8")
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.geteuid() == 0:  # whom permissions do not stop
        folder = Path("/sys")
        if not folder.is_dir():
            pytest.skip("there is no folder that root cannot write")
    with pytest.raises(InputError, match=r"o\.jsonl: cannot be written \(.*\); name another place"):
        link_corpus(tmp_path / "d.txt", folder / "o.jsonl", linker=FakeLinker())
