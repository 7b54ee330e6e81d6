"""Links to files: the JSONL contract, other formats, and files that appear whole or not at all."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin

from entlink.corpus.writers import (
    link_line,
    link_record,
    read_link_line,
    replacing,
    write_file,
)
from entlink.errors import InputError
from entlink.evaluate.formats import nif
from entlink.records import Candidate, Document, Link, LinkedDocument, Mention
from tests.fake_linker import JORDAN, ODD, FakeLinker, link_to

NASTY = "<script>alert('x')</script> & Odd met Jordan\n<img src=x onerror=y>"


def linked(text: str, *, identifier: str = "d") -> LinkedDocument:
    return next(FakeLinker().stream([Document(identifier, text)]))


def test_a_record_is_the_contract_to_the_letter() -> None:
    candidate = Candidate("Q1", "One", 0.123456789, 1 / 3, -2.00000049, 0.9999999)
    link = Link(Mention(2, 5, "one"), "Q1", "One", 0.9999999, (candidate,))
    assert link_record(LinkedDocument("d", "a one", (link,))) == {
        "id": "d",
        "text": "a one",
        "mentions": [
            {
                "start": 2,
                "end": 5,
                "text": "one",
                "entity": "Q1",
                "name": "One",
                "probability": 1.0,
                "candidates": [
                    {
                        "entity": "Q1",
                        "name": "One",
                        "probability": 1.0,
                        "retriever_score": 0.123457,
                        "prior": 0.333333,
                        "reranker_score": -2.0,
                    }
                ],
            }
        ],
    }


def test_nil_and_unread_pairs_are_written_as_such() -> None:
    record = json.loads(json.dumps(link_record(linked("Jordan Nobody"))))
    jordan, nobody = record["mentions"]
    assert jordan["candidates"][0]["reranker_score"] is None
    assert (nobody["entity"], nobody["name"], nobody["candidates"]) == ("NIL", "", [])


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=4))
def test_jsonl_lines_are_the_documents_in_order(texts: list[str]) -> None:
    documents = [linked(text, identifier=str(n)) for n, text in enumerate(texts)]
    lines = b"".join(map(link_line, documents)).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [link_record(d) for d in documents]


def test_write_file_picks_the_format_by_name(tmp_path: Path) -> None:
    lines = [link_line(linked("Jordan")), link_line(linked(""))]
    for name in ("l.jsonl", "l.jsonl.gz", "l.jsonl.zst", "l.html"):
        write_file(lines, tmp_path / name)
    plain = (tmp_path / "l.jsonl").read_bytes()
    assert plain == b"".join(lines)
    assert gzip.decompress((tmp_path / "l.jsonl.gz").read_bytes()) == plain
    with pa.input_stream(tmp_path / "l.jsonl.zst", compression="zstd") as packed:
        assert packed.read() == plain
    assert (tmp_path / "l.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "name",
    ["l.jsonl", "l.jsonl.gz", "l.jsonl.zst", "l.html", "l.parquet", "l.spacy", "l.ttl", "l.ttl.gz"],
)
def test_the_same_links_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / "1" / name, tmp_path / "2" / name
    for path in (first, second):
        path.parent.mkdir()
        write_file([link_line(linked(NASTY), labels=True)], path)
    assert first.read_bytes() == second.read_bytes()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text("old", encoding="utf-8")

    def failing() -> Iterator[bytes]:
        yield link_line(linked("Jordan"))
        raise InputError("bad line")

    with pytest.raises(InputError, match="bad line"):
        write_file(failing(), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    with replacing(tmp_path / "new") as stream:
        stream.write(b"x")
    assert (tmp_path / "new").stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize(
    ("name", "said"),
    [("l.pdf", "unknown kind"), ("no/l.jsonl", "no folder"), ("d.html", "a folder")],
)
def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "d.html").mkdir()
    with pytest.raises(InputError, match=said):
        write_file([], tmp_path / name)


def test_the_odd_entity_is_odd() -> None:
    assert ODD.id != "" and "<" in ODD.name  # the tests above rest on it


def labelled(text: str, *, identifier: str = "d") -> LinkedDocument:
    document = linked(text, identifier=identifier)
    links = tuple(replace(k, mention=replace(k.mention, label="LOC")) for k in document.links)
    return replace(document, links=links)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_line_is_read_as_it_was_written(text: str) -> None:
    document = labelled(f"{text} Jordan Odd {text} Nowhere")
    extra = {"n": 3, "id": "taken", "x": [text]}
    found, further = read_link_line(link_line(document, extra, labels=True))
    assert link_record(found) == link_record(document)
    assert found.links[0].mention.label == "LOC"
    assert further == {"n": 3, "id_": "taken", "x": [text]}


def test_parquet_has_one_row_a_mention(tmp_path: Path) -> None:
    lines = [
        link_line(labelled("Jordan met Odd", identifier="a"), {"n": 1, "v": 1, "text": "T"}),
        link_line(linked("none here", identifier="b"), {"n": 2, "v": "x"}),
        link_line(linked("Nowhere", identifier="c"), {"n": None, "v": None}),
    ]
    columns = {"n": ["int", "null"], "v": ["int", "null", "string"], "text_": ["string"]}
    write_file(lines, tmp_path / "l.parquet", columns=columns)
    rows = pq.read_table(tmp_path / "l.parquet").to_pylist()
    names = ("document_id", "start", "end", "text", "entity", "n", "v", "text_")
    assert [[row[name] for name in names] for row in rows] == [
        ["a", 0, 6, "Jordan", "Q810", 1, "1", "T"],
        ["a", 11, 14, "Odd", "x:<1>", 1, "1", "T"],
        ["c", 0, 7, "Nowhere", "NIL", None, None, None],
    ]
    assert [c["entity"] for c in rows[0]["candidates"]] == ["Q810", "Q41421"]


def test_nif_is_read_back_by_the_reader_of_gold(tmp_path: Path) -> None:
    write_file([link_line(labelled(NASTY, identifier="a b"), labels=True)], tmp_path / "l.ttl")
    (gold,) = nif.read(tmp_path / "l.ttl")
    assert (gold.id, gold.text) == ("a b", NASTY)
    expected = [(m.start, m.end, k.entity_id) for k in linked(NASTY).links for m in (k.mention,)]
    assert [(m.start, m.end, m.entity) for m in gold.mentions] == expected


def test_a_docbin_has_the_links_and_their_scores(tmp_path: Path) -> None:
    document = labelled("Jordan met an Odd one\nin Nowhere", identifier="a")
    write_file([link_line(document, {"n": 7}, labels=True)], tmp_path / "l.spacy")
    (doc,) = DocBin().from_disk(tmp_path / "l.spacy").get_docs(spacy.blank("en").vocab)
    assert doc.text == document.text
    assert [(e.start_char, e.end_char, e.label_, e.kb_id_) for e in doc.ents] == [
        (k.mention.start, k.mention.end, "LOC", k.entity_id) for k in document.links
    ]
    assert doc.user_data["id"] == "a"
    assert doc.user_data["n"] == 7
    user_data: dict[Any, Any] = doc.user_data
    stored = user_data[("._.", "entlink", 0, 6)]  # as the spaCy component keeps it
    assert list(stored[:4]) == ["LOC", "Q810", "Jordan", 0.7]  # msgpack gives tuples
    assert [c[0] for c in stored[4]] == ["Q810", "Q41421"]


def test_what_a_docbin_holds_is_seen_by_another_program(tmp_path: Path) -> None:
    document = labelled("Jordan met an Odd one", identifier="a")
    write_file([link_line(document, labels=True)], tmp_path / "l.spacy")
    code = """
import spacy, sys
from entlink.component import set_extensions
from spacy.tokens import DocBin
set_extensions()
(doc,) = DocBin().from_disk(sys.argv[1]).get_docs(spacy.blank("en").vocab)
print(doc.ents[0]._.kb_ents, doc.ents[0]._.entlink.name)
"""
    run = [sys.executable, "-c", code, str(tmp_path / "l.spacy")]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "[('Q810', 0.7), ('Q41421', 0.2)] Jordan\n"


def test_mentions_that_overlap_are_no_obstacle_to_a_docbin(tmp_path: Path) -> None:
    text = "Jordan Odd River"
    links = tuple(link_to(Mention(s, e, text[s:e]), [(JORDAN, 1.0)]) for s, e in [(0, 9), (5, 9)])
    write_file([link_line(LinkedDocument("d", text, links))], tmp_path / "l.spacy")
    (doc,) = DocBin().from_disk(tmp_path / "l.spacy").get_docs(spacy.blank("en").vocab)
    assert [ent.text for ent in doc.ents] == ["Jordan Odd"]  # whole tokens
