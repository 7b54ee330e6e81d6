"""Each format, read from a small file as other programs write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from entlink.evaluate.formats import GoldDocument, GoldMention
from entlink.records import NIL
from tests.evaluate.formats.documents import path_with, read, surfaces


def test_jsonl(tmp_path: Path) -> None:
    path = path_with(
        tmp_path,
        "gold.jsonl",
        '{"id": 7, "text": "Oslo in \U0001f1f3\U0001f1f4 Norway", "page": "x", "mentions": ['
        '{"start": 11, "end": 17, "entity": "Q20", "text": "Norway", "label": "LOC"},'
        '{"start": 0, "end": 4, "entity": null}, {"start": 5, "end": 7}]}',
        "",
        '{"text": "no mentions"}',
    )
    assert read(path) == [
        GoldDocument(
            "7",
            "Oslo in \U0001f1f3\U0001f1f4 Norway",
            (
                GoldMention(0, 4, NIL),
                GoldMention(5, 7, None),
                GoldMention(11, 17, "Q20", "LOC"),
            ),
        ),
        GoldDocument("gold.jsonl:3", "no mentions"),
    ]


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv"
    path.write_bytes(b"\xef\xbb\xbf-DOCSTART- (1)\r\nOslo\tB\tOslo\tQ585\r\n\r\n")
    assert read(path) == [GoldDocument("1", "Oslo", (GoldMention(0, 4, "Q585"),))]


def test_elevant(tmp_path: Path) -> None:
    path = path_with(
        tmp_path,
        "gold.benchmark.jsonl",
        '{"id": 3, "title": "t", "text": "Oslo, Bob, it, Rome", "evaluation_span": [0, 4],'
        ' "labels": [{"id": 0, "span": [0, 4], "entity_id": "Q585", "type": "Q515"},'
        ' {"id": 1, "span": [6, 9], "entity_id": "<NIL>", "name": "Unknown", "type": "OTHER"},'
        ' {"id": 2, "span": [11, 13], "entity_id": "<NO_MAPPING>", "type": "OTHER"},'
        ' {"id": 3, "span": [15, 19], "entity_id": "Unknown3"}]}',
    )
    (document,) = read(path)
    assert surfaces(document) == [("Oslo", "Q585"), ("Bob", NIL), ("it", None), ("Rome", NIL)]
    assert (document.id, document.mentions[0].label) == ("3", "Q515")


def test_nif(tmp_path: Path) -> None:
    pytest.importorskip("rdflib")
    path = path_with(
        tmp_path,
        "gold.ttl",
        "@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> .",
        "@prefix itsrdf: <http://www.w3.org/2005/11/its/rdf#> .",
        "@prefix x: <http://x.org/> .",
        'x:d10 a nif:Context ; nif:isString "Paris"@en .',
        'x:d9 a nif:Context ; nif:isString """Bob\\u0020in "Ely".""" .',
        '<http://x.org/d9#char=8,11> a nif:Phrase ; nif:anchorOf "Ely" ; nif:beginIndex 8 ;',
        "  nif:endIndex 11 ; nif:referenceContext x:d9 ; itsrdf:taClassRef x:Place ;",
        "  itsrdf:taIdentRef <http://dbpedia.org/resource/Ely> .",
        '<http://x.org/d9#char=0,3> nif:beginIndex "0" ; nif:endIndex "3" ;',
        "  nif:referenceContext x:d9 ; itsrdf:taIdentRef <http://aksw.org/notInWiki/Bob> .",
        '<http://x.org/d9#char=4,6> a nif:Word ; nif:beginIndex "4" ; nif:endIndex "6" ;',
        "  nif:referenceContext x:d9 .",
        "<http://x.org/d10#a> a nif:Phrase ; nif:beginIndex 0 ; nif:endIndex 5 ;",
        "  nif:referenceContext x:d10 ; itsrdf:taIdentRef <https://www.wikidata.org/wiki/Q90> .",
    )
    first, second = read(path)
    assert (first.id, second.id) == ("http://x.org/d9", "http://x.org/d10")  # 9 before 10
    assert surfaces(first) == [("Bob", NIL), ("Ely", "http://dbpedia.org/resource/Ely")]
    assert first.mentions[1].label == "http://x.org/Place"
    assert surfaces(second) == [("Paris", "Q90")]


def test_aida(tmp_path: Path) -> None:
    path = path_with(
        tmp_path,
        "gold.tsv",
        "-DOCSTART- (1 CUP)",
        "In",
        "S\u00e3o\tB\tS\u00e3o Paulo\tS\\u00e3o_Paulo\thttp://en.wikipedia.org/wiki/S\u00e3o_Paulo\t1\t/m/x",
        "Paulo\tI\tS\u00e3o Paulo\tS\\u00e3o_Paulo\thttp://en.wikipedia.org/wiki/S\u00e3o_Paulo\t1\t/m/x",
        "",
        "Bob\tB\tBob\t--NME--",
        "Ann\tB\tAnn\tQ12",
        "Eve\tB\tEve",
        "",
        "-DOCSTART- (2 EMPTY)",
    )
    first, second = read(path)
    assert (first.id, first.text) == ("1 CUP", "In S\u00e3o Paulo Bob Ann Eve")
    assert surfaces(first) == [
        ("S\u00e3o Paulo", "enwiki:S\u00e3o Paulo"),
        ("Bob", NIL),
        ("Ann", "Q12"),
        ("Eve", None),
    ]
    assert second == GoldDocument("2 EMPTY", "")


def test_pubtator(tmp_path: Path) -> None:
    path = path_with(
        tmp_path,
        "gold.PubTator",
        "12|t|Gout | and flu",
        "12|a|Ague.",
        "12\t0\t4\tGout\tDisease\t D006073",
        "12\t11\t14\tflu\tDisease\t-1",
        "12\t15\t19\tAgue\tDisease\tD1|D2\tAgue",
        "12\tCID\tD006073\tD1",
        "",
        "13|t|Title alone",
        "13\t0\t5\tTitle\tSpecies",
    )
    first, second = read(path)
    assert first.text == "Gout | and flu\nAgue."
    assert surfaces(first) == [("Gout", "D006073"), ("flu", NIL), ("Ague", "D1|D2")]
    assert second == GoldDocument("13", "Title alone", (GoldMention(0, 5, None, "Species"),))


def test_hipe(tmp_path: Path) -> None:
    columns = ["TOKEN", "NE-COARSE-LIT", "NEL-LIT", "NEL-METO", "MISC"]
    path = path_with(
        tmp_path,
        "gold.tsv",
        "\t".join(columns),
        "# hipe2022:document_id = d 1",
        "# hipe2022:language = en",
        "New\tB-loc\tQ60\t_\t_",
        "York\tI-loc\tQ60\t_\tNoSpaceAfter|EndOfSentence",
        ",\tO\t_\t_\t_",
        "#\tO\t_\t_\tNoSpaceAfter",
        "Ely\tI-loc\tNIL\t_\t_",
        "Bob\tB-pers\t_\t_\tNoSpaceAfter",
        "",
        "# document_id = d2",
        "Oslo\tB\tQ585\t_\t_",
    )
    first, second = read(path)
    assert (first.id, first.text) == ("d 1", "New York, #Ely Bob")
    assert surfaces(first) == [("New York", "Q60"), ("Ely", NIL), ("Bob", None)]
    assert [m.label for m in first.mentions] == ["loc", "loc", "pers"]
    assert second == GoldDocument("d2", "Oslo", (GoldMention(0, 4, "Q585"),))


def test_zeshel(tmp_path: Path) -> None:
    for name in ("documents", "mentions"):
        (tmp_path / name).mkdir()
    path_with(
        tmp_path / "documents",
        "wiki.json",
        '{"document_id": "E1", "title": "Dagobah", "text": "Dagobah a swamp planet"}',
        '{"document_id": "C1", "title": "Yoda", "text": "Yoda  lived on\\nDagobah alone"}',
    )
    mention = '"context_document_id": "C1", "label_document_id": "E1", "corpus": "wiki"'
    one = path_with(
        tmp_path / "mentions",
        "train.json",
        f'{{{mention}, "start_index": 3, "end_index": 3, "text": "Dagobah", "category": "X"}}',
    )
    path_with(
        tmp_path / "mentions",
        "val.json",
        f'{{{mention}, "start_index": 0, "end_index": 1, "text": "Yoda lived"}}',
    )
    (document,) = read(tmp_path)
    assert document.text == "Yoda  lived on\nDagobah alone"
    assert surfaces(document) == [("Yoda  lived", "E1"), ("Dagobah", "E1")]
    (document,) = read(one)  # one file of mentions, its format told by its keys
    assert surfaces(document) == [("Dagobah", "E1")]


def test_docbin_as_spacy_users_write_it(tmp_path: Path) -> None:
    import spacy
    from spacy.tokens import DocBin, Span

    nlp = spacy.blank("de")
    doc = nlp("Bob wohnt in Bad Ems.")
    doc.ents = [
        Span(doc, 0, 1, label="PER", kb_id="NIL"),
        Span(doc, 3, 5, label="LOC", kb_id="Q570451"),
    ]
    other = nlp("Ann lacht.")
    other.ents = [Span(other, 0, 1, label="PER")]
    DocBin(docs=[doc, other]).to_disk(tmp_path / "gold.spacy")
    assert read(tmp_path / "gold.spacy") == [
        GoldDocument(
            "gold.spacy:1",
            "Bob wohnt in Bad Ems.",
            (GoldMention(0, 3, NIL, "PER"), GoldMention(13, 20, "Q570451", "LOC")),
        ),
        GoldDocument("gold.spacy:2", "Ann lacht.", (GoldMention(0, 3, None, "PER"),)),
    ]


def test_prodigy(tmp_path: Path) -> None:
    span = '"spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"'
    path = path_with(
        tmp_path,
        "annotations.jsonl",
        f'{{"text": "Bob", {span}, "kb_id": "Q1"}}], "meta": {{"id": "m1"}}, "answer": "accept"}}',
        f'{{"text": "Bob", {span}}}], "accept": ["Q2"], "answer": "accept", "_task_hash": 5}}',
        f'{{"text": "Bob", {span}}}], "accept": ["NIL_ambiguous"], "answer": "accept"}}',
        f'{{"text": "Bob", {span}}}], "answer": "ignore"}}',
        f'{{"text": "Bob", {span}}}], "accept": [], "answer": "accept"}}',
    )
    documents = read(path)
    assert [d.id for d in documents] == ["m1", *(f"annotations.jsonl:{n}" for n in (2, 3, 5))]
    assert [d.mentions[0].entity for d in documents] == ["Q1", "Q2", NIL, None]
