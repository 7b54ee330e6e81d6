"""Wikitext and Wikipedia's dumps: pages of ours, and real ones where there are any."""

from __future__ import annotations

import bz2
import gzip
import json
import tracemalloc
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entlink.errors import InputError
from entlink.kb.importers import read_source
from entlink.kb.importers.records import OtherName, Redirect, Skipped, Uses
from entlink.kb.importers.settings import Settings
from entlink.kb.importers.wikipedia import read
from entlink.kb.importers.wikitext import Namespaces, clean, links, page_title, paragraphs, plain
from entlink.records import Entity

SPACES = Namespaces(["Talk", "Template"])


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("a{{b|{{c}}}}d", "ad"),
        ("a<!-- b {{ -->c", "ac"),
        ("a<!-- never closed", "a"),
        ("a<ref>b {{c}}</ref>d<ref name=x/>e", "ade"),
        ("a<ref>{{never closed</ref>b", "ab"),
        ("a {| b\n| c {{d}}\n|} e", "a  e"),
        ("a {{never closed b", "a never closed b"),
        ("a}} b", "a b"),
        ("a[[File:x.jpg|thumb|b [[c]] d]]e", "ae"),
        ("a[[Category:x]]b[[fr:y]]c", "abc"),
        ("a[[File:never closed\n\nb", "a\n\nb"),
        ("Köln ({{lang|x}}; ) is", "Köln is"),
    ],
)
def test_clean(wikitext: str, expected: str) -> None:
    assert clean(wikitext, SPACES) == expected


def test_plain_text_and_its_links() -> None:
    line = (
        "'''Java''' is&nbsp;an [[island]] of [[Indonesia|the  ''republic'']], of [[volcano]]es "
        "[http://x.example the web], [[Help:x|no]] [[:Category:y|link]] <br> [[#here|there]]  end"
    )
    found = plain(line, SPACES)
    assert found.text == (
        "Java is an island of the republic, of volcanoes the web, no link there end"
    )
    spans = [(found.text[a.start : a.end], a.title) for a in found.anchors]
    # a namespace that the dump does not name is taken for part of a title
    assert spans == [
        ("island", "Island"),
        ("the republic", "Indonesia"),
        ("volcanoes", "Volcano"),
        ("no", "Help:x"),
    ]


def test_links_and_titles() -> None:
    text = "[[a_b#c|x]] [[Talk:y]] [[ z ]]s [[:fr:w]] [[é]] [[q|]]"
    assert list(links(text, SPACES)) == [("x", "A b"), ("z s", "Z"), ("é", "É")]
    assert page_title("new_ York#History") == "New York"


def test_paragraphs() -> None:
    text = "* list\nOne [[a]].\n\n== Head ==\nTwo.\n;term\n'''Three'''\n&nbsp;\n"
    assert [p.text for p in paragraphs(text, SPACES)] == ["One a.", "Two.", "Three"]
    assert [p.text for p in paragraphs(text, SPACES, lead=True)] == ["One a."]


MARKS = ["[[", "]]", "{{", "}}", "{|", "|}", "|", "<ref>", "</ref>", "<ref/>", "<!--", "-->", "''",
         "[http://a b]", "\n", "\n\n", "File:", "x", "é ", "&amp;", "&nbsp;", "#", ":"]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(MARKS), max_size=30).map("".join))
def test_any_wikitext_is_read(text: str) -> None:
    cleaned = clean(text, SPACES)
    for paragraph in paragraphs(cleaned, SPACES):
        assert "  " not in paragraph.text
        for anchor in paragraph.anchors:
            assert 0 <= anchor.start < anchor.end <= len(paragraph.text)
            assert anchor.title
    assert all(surface and title for surface, title in links(cleaned, SPACES))


@pytest.mark.parametrize(
    "mark", ["{{", "[[", "<ref>", "<!--", "[[File:", "{|", "<ref", "[http://a"]
)
def test_marks_never_closed_take_linear_time(mark: str) -> None:
    text = mark * 50_000
    list(paragraphs(clean(text, SPACES), SPACES))
    list(links(clean(text, SPACES), SPACES))


def page(title: str, text: str, *, ns: int = 0, redirect: str = "") -> str:
    to = f'<redirect title="{escape(redirect)}" />' if redirect else ""
    return (
        f"<page>\n<title>{escape(title)}</title>\n<ns>{ns}</ns>\n<id>1</id>{to}\n"
        f"<revision><text>{escape(text)}</text></revision>\n</page>\n"
    )


HEAD = (
    "<mediawiki>\n<siteinfo><dbname>enwiki</dbname><namespaces>"
    '<namespace key="1">Talk</namespace></namespaces></siteinfo>\n'
)
JAVA = page(
    "Java (island)",
    "{{Infobox}}\n'''Java''' is an island of [[Indonesia]], south of [[Borneo]]; [[Indonesia]] is "
    "a republic.\n\n== History ==\nIts capital is [[Jakarta|the capital]] of the whole country.",
)
PAGES = (
    JAVA,
    page("Jawa", "#REDIRECT [[Java (island)]]", redirect="Java (island)"),
    page(
        "Java", '{{disambiguation}}\n* [[Java (island)]], an island\n* "[[Coffee]]"\n* a [[pun]]\n'
    ),
    page("Talk:Java", "I disagree with [[all]] of it.", ns=1),
)


def test_a_dump(tmp_path: Path) -> None:
    path = tmp_path / "d.xml.bz2"
    path.write_bytes(bz2.compress((HEAD + "".join(PAGES) + "</mediawiki>").encode()))
    texts = tmp_path / "texts.jsonl.gz"
    found = list(read_source(path, settings=Settings(mentions=texts)))
    java = "enwiki:Java (island)"
    assert [record for _, record in found] == [
        Entity(
            java,
            "Java",
            aliases=("Java (island)",),
            description="Java is an island of Indonesia, south of Borneo; Indonesia is a republic.",
        ),
        Uses("Indonesia", {"enwiki:Indonesia": 2}),
        Uses("Borneo", {"enwiki:Borneo": 1}),
        Uses("the capital", {"enwiki:Jakarta": 1}),
        Skipped("a redirect"),
        Redirect("enwiki:Jawa", java),
        OtherName(java, "Jawa"),
        Skipped("a disambiguation page"),
        OtherName(java, "Java"),
        OtherName("enwiki:Coffee", "Java"),
        Skipped("no article"),
    ]
    assert found[0][0] == f"{path}:3"
    rows = [json.loads(line) for line in gzip.decompress(texts.read_bytes()).splitlines()]
    assert [row["id"] for row in rows] == [f"{java}#1", f"{java}#2"]
    for row in rows:
        assert row["page"] == java
        for mention in row["mentions"]:
            surface = row["text"][mention["start"] : mention["end"]]
            assert mention["entity"].removeprefix("enwiki:") in (surface, "Jakarta")


def test_a_dump_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "d.xml"
    path.write_text(HEAD + JAVA + page("Rest", "x")[:30], encoding="utf-8")
    told: list[str] = []
    found = [r.id for _, r in read(path, on_bad=told.append) if isinstance(r, Entity)]
    assert found == ["enwiki:Java (island)"]
    (line,) = told
    assert line.startswith(f"{path}:") and "not XML from here on" in line
    with pytest.raises(InputError, match="not XML from here on"):
        list(read(path))
    packed = tmp_path / "d.xml.bz2"
    packed.write_bytes(bz2.compress((HEAD + JAVA * 500 + "</mediawiki>").encode())[:-40])
    with pytest.raises(InputError, match="damaged bzip2 file"):
        list(read(packed))


def test_entity_declarations_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.xml"
    path.write_text('<!DOCTYPE x [<!ENTITY a "aaaa">]>' + HEAD + "</mediawiki>", encoding="utf-8")
    with pytest.raises(InputError, match="declares entities of its own"):
        list(read(path))


def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    def most(n: int) -> int:
        path = tmp_path / f"{n}.xml"
        text = "''A boat'' is a [[Craft|small craft]] that floats. " + "More of it. " * 200
        pages = (
            f"<page><title>Boat {number}</title><ns>0</ns><revision><text>{text}</text></revision>"
            "</page>"
            for number in range(n)
        )
        path.write_text(HEAD + "".join(pages) + "</mediawiki>", encoding="utf-8")
        tracemalloc.start()
        assert sum(isinstance(record, Entity) for _, record in read(path)) == n
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # a dump of 15 MB, and one of 2.5: blocks have one; threads of earlier tests add a little
    assert most(6_000) < 1.6 * most(1_000)


def test_a_real_dump(shared: Path) -> None:
    path = shared / "data" / "raw" / "enwiki-shortened.xml.bz2"
    found = [record for _, record in read(path)]
    articles = {r.id: r for r in found if isinstance(r, Entity)}
    assert sum(isinstance(r, Redirect) for r in found) == 99  # one is no article
    skipped = sum(isinstance(r, Skipped) for r in found)
    assert len(articles) + skipped == 206
    described = [a for a in articles.values() if a.description]
    assert len(described) > 0.97 * len(articles)
    marks = ("[[", "]]", "{{", "}}", "<ref", "'''", "|", "&nbsp;")
    assert not [a.id for a in described for mark in marks if mark in (a.description or "")]
