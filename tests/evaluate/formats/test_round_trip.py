"""write(read(x)), read again, is x: for texts that nobody would think of."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entlink.errors import InputError
from entlink.evaluate.formats import FORMATS, GoldDocument, GoldMention, read_corpus, write_corpus
from entlink.records import NIL
from tests.evaluate.formats.documents import SMALL, any_document, read, worded_document

few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def again(documents: list[GoldDocument], format: str) -> list[GoldDocument]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gold"
        write_corpus(documents, path, format)
        first = path.read_bytes() if path.is_file() else b""
        found = list(read_corpus(path, format))
        if path.is_file() and found == documents:
            write_corpus(found, path, format)
            assert path.read_bytes() == first  # the same documents are the same bytes
    return found


def several(document: st.SearchStrategy[GoldDocument]) -> st.SearchStrategy[list[GoldDocument]]:
    return st.lists(document, min_size=1, max_size=3, unique_by=lambda d: d.id)


@pytest.mark.parametrize("format", ["jsonl", "elevant", "prodigy"])
@few
@given(documents=several(any_document()))
def test_json_lines_carry_everything(format: str, documents: list[GoldDocument]) -> None:
    assert again(documents, format) == documents


@few
@given(documents=several(any_document()))
def test_nif_carries_all_but_the_order(documents: list[GoldDocument]) -> None:
    pytest.importorskip("rdflib")
    found = again(documents, "nif")
    assert sorted(found, key=lambda d: d.id) == sorted(documents, key=lambda d: d.id)


@few
@given(documents=several(worded_document(with_labels=False)))
def test_aida_carries_words(documents: list[GoldDocument]) -> None:
    assert again(documents, "aida") == documents


@few
@given(documents=several(worded_document(with_labels=True, within_words=True)))
def test_hipe_carries_parts_of_words_too(documents: list[GoldDocument]) -> None:
    assert again(documents, "hipe") == documents


@settings(few, max_examples=8)  # making spaCy's pipeline takes a while
@given(documents=several(worded_document(with_labels=True, within_words=True, space="  \n")))
def test_docbin_carries_what_does_not_overlap(documents: list[GoldDocument]) -> None:
    assert again(documents, "docbin") == documents


@few
@given(documents=several(any_document(breaks=" \u2028\x00")), data=st.data())
def test_pubtator_carries_a_title_and_an_abstract(
    documents: list[GoldDocument], data: st.DataObject
) -> None:
    with_abstract = [
        replace(d, text=f"{d.text}\n{data.draw(st.text('ab |t', max_size=5))}") for d in documents
    ]
    assert again(with_abstract, "pubtator") == with_abstract
    assert again(documents, "pubtator") == documents


@few
@given(documents=several(worded_document(with_labels=False, space=" \n")))
def test_zeshel_carries_words_that_have_an_entity(documents: list[GoldDocument]) -> None:
    linked = [
        replace(d, mentions=tuple(m for m in d.mentions if m.entity not in (None, NIL)))
        for d in documents
    ]
    linked = [d for d in linked if d.mentions]
    if linked:
        assert again(linked, "zeshel") == linked


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"zeshel"}))
def test_small_corpus_in_every_format(format: str, tmp_path: Path) -> None:
    if format == "nif":
        pytest.importorskip("rdflib")
    path = tmp_path / "gold"
    write_corpus(SMALL, path, format)
    labelled = format != "aida"
    expected = [
        d if labelled else replace(d, mentions=tuple(replace(m, label="") for m in d.mentions))
        for d in SMALL
    ]
    assert read(path, format) == expected
    if format != "docbin":  # binary: known by its suffix alone
        assert read(path) == expected  # guessed
    zipped = tmp_path / "gold.gz"
    write_corpus(SMALL, zipped, format)
    assert zipped.read_bytes()[:2] == b"\x1f\x8b"
    assert read(zipped, format) == expected


@pytest.mark.parametrize("format", FORMATS)
def test_what_cannot_be_read_again_is_not_written(format: str, tmp_path: Path) -> None:
    document = GoldDocument("d", "a b", (GoldMention(0, 1, "Q1"),))
    bad = {
        "appears twice": [document, document],
        "spans 2 to 9": [replace(document, mentions=(GoldMention(2, 9, "Q1"),))],
        "no documents": [],
    }
    for message, documents in bad.items():
        with pytest.raises(InputError, match=message):
            write_corpus(documents, tmp_path / "out", format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["aida", "hipe", "docbin"])
def test_overlaps_are_refused_where_they_cannot_be_carried(format: str, tmp_path: Path) -> None:
    document = GoldDocument("d", "a b c", (GoldMention(0, 3, "Q1"), GoldMention(2, 5, "Q2")))
    with pytest.raises(InputError, match=r"document 'd': the mention at 2 to 5 overlaps another"):
        write_corpus([document], tmp_path / "out", format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "text", "span", "message"),
    [
        ("aida", "a\nb", (0, 1), "single blanks"),
        ("aida", "a  b", (0, 1), "single blanks"),
        ("aida", "ab c", (0, 1), "within a word"),
        ("hipe", "a\tb", (0, 1), "single blanks"),
        ("hipe", " ab", (1, 3), "single blanks"),
        ("pubtator", "a\nb\nc", (0, 1), "one line of title"),
        ("pubtator", "a\nb", (0, 3), "tab or line break"),
        ("zeshel", "ab c", (0, 1), "within a word"),
        ("docbin", "a b ", (2, 4), "a blank"),
    ],
)
def test_texts_are_never_changed_silently(
    format: str, text: str, span: tuple[int, int], message: str, tmp_path: Path
) -> None:
    document = GoldDocument("d", text, (GoldMention(*span, "Q1"),))
    with pytest.raises(InputError, match=message):
        write_corpus([document], tmp_path / "out", format)
    assert list(tmp_path.iterdir()) == []
