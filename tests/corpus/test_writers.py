"""Links to files: the JSONL contract, the HTML page, and files that appear whole or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.corpus.writers import (
    html_figure,
    link_record,
    replacing,
    write_file,
    write_html,
    write_jsonl,
)
from entlink.errors import InputError
from entlink.records import Candidate, Document, Entity, Link, LinkedDocument, Mention
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
    stream = BytesIO()
    assert list(write_jsonl(documents, stream)) == documents
    lines = stream.getvalue().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [link_record(d) for d in documents]


class Page(HTMLParser):
    """What a browser would make of a page: its words, its tags and where they point."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links.extend(value for name, value in attrs if name in ("href", "src"))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_shows_the_text_and_runs_none_of_it() -> None:
    page = Page(html_figure(linked(NASTY, identifier="<i>id</i>")))
    assert set(page.tags) <= {"figure", "figcaption", "div", "mark", "span", "br", "a"}
    text = " ".join(" ".join(page.words).split())
    for shown in ("<script>alert('x')</script> &", "<i>id</i>", '<b>"R&D"</b> 0.90', "Jordan 0.70"):
        assert shown in text


def test_only_wikidata_ids_are_links() -> None:
    mention = Mention(0, 1, "a")
    ids = ["Q810", "Q0", "q810", "Q8 10", "javascript:alert(1)", "Q810\n", "https://x.example/Q1"]
    for identifier in ids:
        link = link_to(mention, [(Entity(id=identifier, name="n"), 1.0)])
        page = Page(html_figure(LinkedDocument("d", "a", (link,))))
        good = ["https://www.wikidata.org/wiki/Q810"] if identifier == "Q810" else []
        assert page.links == good, identifier


def test_overlapping_mentions_never_repeat_text() -> None:
    spans = [(0, 9), (0, 4), (5, 9), (6, 12), (10, 12)]
    text = "Jordan Odd River"
    links = tuple(link_to(Mention(s, e, text[s:e]), [(JORDAN, 1.0)]) for s, e in spans)
    page = Page(html_figure(LinkedDocument("d", text, links)))
    assert page.tags.count("mark") == 2  # the longest at 0, and the one at 10
    assert "".join("".join(page.words).split()).count("Odd") == 0  # cut by the mark's end
    assert "".join("".join(page.words).split()).count("Jordan") == 3  # text and two labels


def test_html_page_is_utf8_and_says_so() -> None:
    stream = BytesIO()
    list(write_html([linked("北京 😀 Jordan שלום \x00")], stream))
    markup = stream.getvalue().decode("utf-8")
    assert '<meta charset="utf-8">' in markup
    assert "北京 😀" in markup
    assert "\x00" not in markup
    assert markup.endswith("</html>\n")


def test_write_file_picks_the_format_by_name(tmp_path: Path) -> None:
    documents = [linked("Jordan"), linked("")]
    for name in ("l.jsonl", "l.jsonl.gz", "l.html"):
        assert list(write_file(documents, tmp_path / name)) == documents
    plain = (tmp_path / "l.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "l.jsonl.gz").read_bytes()) == plain
    assert len(plain.splitlines()) == 2
    assert (tmp_path / "l.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("name", ["l.jsonl", "l.jsonl.gz", "l.html"])
def test_the_same_links_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / "1" / name, tmp_path / "2" / name
    for path in (first, second):
        path.parent.mkdir()
        list(write_file([linked(NASTY)], path))
    assert first.read_bytes() == second.read_bytes()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text("old", encoding="utf-8")

    def failing() -> Iterator[LinkedDocument]:
        yield linked("Jordan")
        raise InputError("bad line")

    with pytest.raises(InputError, match="bad line"):
        list(write_file(failing(), path))
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
        list(write_file([], tmp_path / name))


def test_the_odd_entity_is_odd() -> None:
    assert ODD.id != "" and "<" in ODD.name  # the tests above rest on it
