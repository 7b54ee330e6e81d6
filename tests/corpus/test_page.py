"""The page of links: what a browser would make of it, without one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entlink.corpus import link_corpus
from entlink.corpus.page import N_AT_ONCE, html_article, write_html
from entlink.corpus.writers import EntityOf
from entlink.records import Document, Entity, LinkedDocument, Mention
from tests.fake_linker import JORDAN, PLAYER, FakeLinker, link_to
from tests.tiny import make_bundle

NASTY = (
    "<script>alert('x')</script> & Odd met Jordan\n<img src=x onerror=y>"
    "</p></article></script><!--<script> \" ' `\r\n--> \x00 ]]> &amp; &#60;b>"
)


def linked(text: str, *, identifier: str = "d") -> LinkedDocument:
    return next(FakeLinker().stream([Document(identifier, text)]))


class Page(HTMLParser):
    """What a browser would make of markup: its words, its tags, their attributes."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}  # of each kind of element all text directly in it
        self.text = ""  # of the paragraph
        self._open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "base", "link", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inside[self._open[-1]] = self.inside.get(self._open[-1], "") + data
        if "p" in self._open:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def written(documents: Sequence[LinkedDocument], *, entity_of: EntityOf | None = None) -> str:
    stream = BytesIO()
    write_html(((document, {}) for document in documents), stream, entity_of=entity_of)
    return stream.getvalue().decode("utf-8")


def data_of(markup: str) -> list[Any]:
    found = re.findall(r'<script type="application/json" class="data">(.*?)</script>', markup)
    return [json.loads(one) for one in found]


def shown(text: str) -> str:
    return text.replace("\x00", "�")


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.lists(st.sampled_from(["<", "</script>", "<!--", "Jordan ", " Odd ", "&lt;", '"', "\r\n"]))
    .map("".join)
    .filter(bool)
)
def test_the_text_is_shown_as_it_is(text: str) -> None:
    page = Page(html_article(linked(text, identifier=text)))
    assert page.text == shown(text)
    assert page.inside.get("bdi", "") == shown(text)  # its id
    assert {tag for tag, _ in page.tags} <= {"article", "h3", "bdi", "p", "a", "span"}


def test_nothing_hostile_becomes_markup_or_ends_a_script() -> None:
    bad = Entity(NASTY, NASTY, (), NASTY, type_names=(NASTY,))
    link = link_to(Mention(0, 9, NASTY[:9], NASTY), [(bad, 0.9)])
    hostile = LinkedDocument(NASTY, NASTY, (link,))
    stream = BytesIO()
    carried = {NASTY: NASTY, "list": [NASTY]}
    pairs = [(hostile, carried)] * (N_AT_ONCE + 2)
    write_html(pairs, stream, entity_of=lambda _: bad)
    page = Page(stream.getvalue().decode("utf-8"))
    scripts = page.named("script")
    kinds = [script.get("type") for script in scripts]
    assert kinds.count(None) == 1  # ours
    assert kinds.count("application/json") == N_AT_ONCE + 2
    assert kinds.count("text/html") == 2
    assert len(page.named("article")) == N_AT_ONCE
    assert page.named("img") == []
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    first = data_of(stream.getvalue().decode("utf-8"))[0]
    assert first["entities"] == [[NASTY, NASTY, NASTY, [NASTY]]]


def test_the_policy_allows_our_script_and_style_and_no_address() -> None:
    markup = written([linked("Jordan met Odd")])
    page = Page(markup)
    (policy,) = (m["content"] for m in page.named("meta") if "http-equiv" in m)
    assert policy is not None
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    style = re.findall("<style>(.*?)</style>", markup, re.DOTALL)
    script = re.findall("<script>(.*?)</script>", markup, re.DOTALL)
    for rule, (content,) in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert re.findall(r"(?:src|url|@import|fetch|XMLHttp)\W", markup.replace(policy, "")) == []
    addresses = [a["href"] for a in page.named("a") if a.get("class")]
    assert addresses == ["https://www.wikidata.org/wiki/Q810"]


def test_what_the_script_gets_is_the_links() -> None:
    documents = [linked("Jordan met Nobody"), linked("Odd met Jordan", identifier="e")]
    entities = {"Q810": replace(JORDAN, type_names=("country",)), "Q41421": PLAYER}
    first, second = data_of(written(documents, entity_of=entities.get))
    assert first == {
        "mentions": [
            [0, "", 0.7, [[0, 0.7, 0.2333, 0.0, None], [1, 0.2, 0.0667, 0.0, None]]],
            [-1, "", 1.0, []],
        ],
        "entities": [
            ["Q810", "Jordan", "country in Western Asia", ["country"]],
            ["Q41421", "Michael Jordan", "American basketball player", []],
        ],
    }
    assert [mention[0] for mention in second["mentions"]] == [2, 0]
    assert second["entities"] == [["x:<1>", '<b>"R&D"</b>', "", []]]  # not in that KB any more


def test_without_its_script_the_page_can_be_read() -> None:
    page = Page(html_article(linked("Jordan met Nobody"), carried={"day": "Monday", "x": [1]}))
    assert [a["title"] for a in page.named("a")] == ["Jordan (Q810), 70%"]
    (nobody,) = page.named("span")
    assert (nobody["title"], nobody["tabindex"]) == ("not in the knowledge base, 100%", "0")
    assert (page.inside["dt"], page.inside["bdi"]) == ("day", "dMonday")


def test_long_columns_are_cut() -> None:
    markup = html_article(linked("a"), carried={"body": "x" * 300})
    assert "x" * 200 + "…" in markup
    assert "x" * 201 not in markup


def test_only_wikidata_ids_are_links() -> None:
    mention = Mention(0, 1, "a")
    ids = ["Q810", "Q0", "q810", "Q8 10", "javascript:alert(1)", "Q810\n", "https://x.example/Q1"]
    for identifier in ids:
        link = link_to(mention, [(Entity(id=identifier, name="n"), 1.0)])
        page = Page(html_article(LinkedDocument("d", "a", (link,))))
        good = ["https://www.wikidata.org/wiki/Q810"] if identifier == "Q810" else []
        assert [a.get("href") for a in page.named("a")] == good, identifier


def test_overlapping_mentions_never_repeat_text() -> None:
    spans = [(0, 9), (0, 4), (5, 9), (6, 12), (10, 12)]
    text = "Jordan Odd River"
    links = tuple(link_to(Mention(s, e, text[s:e]), [(JORDAN, 1.0)]) for s, e in spans)
    page = Page(html_article(LinkedDocument("d", text, links)))
    assert page.text == text
    assert len(page.named("a")) == 2  # the longest at 0, and the one at 10
    assert page.inside["dd"] + page.inside["bdi"] == "3d"  # it says that three are not shown


def test_html_page_is_utf8_and_says_so() -> None:
    markup = written([linked("北京 😀 Jordan שלום \x00")])
    assert '<meta charset="utf-8">' in markup
    assert "北京 😀" in markup
    assert "\x00" not in markup
    assert markup.endswith("</html>\n")


class Nowhere(BytesIO):
    """Counts what is written, and keeps nothing."""

    n_bytes = 0

    def write(self, data: Any) -> int:
        self.n_bytes += len(data)
        return len(data)


def test_memory_does_not_hold_the_documents() -> None:
    def documents() -> Iterator[tuple[LinkedDocument, dict[str, object]]]:
        for number in range(300):
            yield linked("Jordan met Odd. " * 20, identifier=str(number)), {}

    nowhere = Nowhere()
    tracemalloc.start()
    write_html(documents(), nowhere)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < nowhere.n_bytes / 4


def test_a_page_tells_what_the_linkers_kb_knows(tmp_path: Path) -> None:
    link_corpus([Document("d", "Jordan")], tmp_path / "o.html", linker=FakeLinker())
    assert "country in Western Asia" in (tmp_path / "o.html").read_text(encoding="utf-8")


class Breaking(FakeLinker):
    """Stops in its third batch."""

    n_batches = 0

    def stream(self, documents: Any, **options: Any) -> Iterator[LinkedDocument]:
        self.n_batches += 1
        if self.n_batches == 3:
            raise KeyboardInterrupt
        return super().stream(documents, **options)


def test_a_run_that_goes_on_writes_the_same_page(tmp_path: Path) -> None:
    texts = [Document(str(n), f"Jordan met Odd on day {n}") for n in range(300)]  # two shards
    out, again = tmp_path / "o.html", tmp_path / "again.html"
    with pytest.raises(KeyboardInterrupt):
        link_corpus(texts, again, linker=Breaking())
    for path in (out, again):
        link_corpus(texts, path, linker=FakeLinker())
    assert out.read_bytes() == again.read_bytes() != b""


@pytest.mark.slow
def test_two_processes_write_the_page_that_one_does(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    bundle = make_bundle(tmp_path / "bundle")
    texts = [Document(str(n), f"Jordan met Paris on day {n}") for n in range(3)]
    for n, name in ((1, "1.html"), (2, "2.html")):
        options: dict[str, Any] = {
            "bundle": bundle.path,
            "threads": 1,
            "processes": n,
            "n_candidates": 100,
        }
        link_corpus(texts, tmp_path / name, **options)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()
    assert "country in Asia" in (tmp_path / "2.html").read_text(encoding="utf-8")
