"""The page of links in a headless Chromium: by pointer, by keyboard, in light and dark."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entlink.corpus.page import write_html
from entlink.records import NIL, Candidate, Document, Entity, Link, LinkedDocument, Mention
from tests.browser import Browser, browsing, find_browser
from tests.fake_linker import JORDAN, ODD, PLAYER, FakeLinker, link_to

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here (set ENTLINK_BROWSER)"),
    pytest.mark.skipif(os.name == "nt", reason="the browser is spoken to through POSIX pipes"),
]

EVIL = "<img src=x onerror='document.title=1'></script><script>document.title=2</script>\u202e"
ENTITIES = {
    "Q810": replace(JORDAN, type_names=("country", "kingdom")),
    "Q41421": replace(PLAYER, type_names=("human",)),
    ODD.id: replace(ODD, description=EVIL, type_names=(EVIL,)),
}
N_MANY = 3000


def documents() -> Iterator[LinkedDocument]:
    yield next(FakeLinker().stream([Document("first", "Jordan met Odd and Nobody.")]))
    candidate = Candidate("Q41421", "Michael Jordan", 0.81, 0.25, 3.4, 0.4)
    link = Link(Mention(0, 6, "Jordan", "PER"), "Q41421", "Michael Jordan", 0.4, (candidate,))
    yield LinkedDocument("second", "Jordan scored.", (link,))
    evil = link_to(Mention(0, len(EVIL), EVIL, "LOC"), [(Entity(ODD.id, EVIL), 0.95)])
    nil = Link(Mention(0, 1, "x"), NIL, "", 0.9, ())
    yield LinkedDocument(EVIL, EVIL, (evil,))
    yield LinkedDocument("right to left", "שלום Jordan\r\n\x00", (replace_at(nil, 5, "Jordan"),))


def replace_at(link: Link, start: int, text: str) -> Link:
    return replace(link, mention=Mention(start, start + len(text), text))


def write(path: Path, some: Iterator[LinkedDocument]) -> Path:
    with path.open("wb") as stream:
        write_html(
            ((document, {"day": "Monday"}) for document in some), stream, entity_of=ENTITIES.get
        )
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page") / "page.html", documents())


@pytest.fixture
def page(browser: Browser, file: Path) -> Browser:
    """The page, just opened."""
    browser.requests.clear()
    browser.console.clear()
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    browser.show_as(scheme="light")
    browser.open(file)
    return browser


def text_of(page: Browser, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({selector!r}).innerText"))


def set_value(page: Browser, identifier: str, value: str | bool) -> None:
    name = "checked" if isinstance(value, bool) else "value"
    page.evaluate(
        f"(() => {{ const e = document.getElementById('{identifier}'); e.{name} = "
        f"{str(value).lower() if isinstance(value, bool) else repr(value)};"
        "e.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def marked(page: Browser) -> list[str]:
    return list(
        page.evaluate(
            "[...document.querySelectorAll('.m:not(.off)')].map(m => m.parentNode"
            ".closest('article') && m.textContent).filter(Boolean)"
        )
    )


def test_nothing_is_asked_of_the_network_and_nothing_hostile_runs(
    page: Browser, file: Path
) -> None:
    assert page.requests == [file.as_uri()]
    assert page.console == []
    assert page.evaluate("document.title") == "Linked texts"
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    texts = page.evaluate("[...document.querySelectorAll('article p')].map(p => p.textContent)")
    assert texts[2:] == [EVIL, "שלום Jordan\r\n\ufffd"]
    set_value(page, "type", EVIL)
    assert marked(page) == ["Odd", EVIL]
    assert (page.console, page.evaluate("document.title")) == ([], "Linked texts")


def test_a_card_on_hover_and_on_focus(page: Browser) -> None:
    page.hover("#d1 .m")
    page.wait("!document.getElementById('card').hidden")
    card = text_of(page, "#card")
    for told in ("Michael Jordan", "40.0%", "name of a person", "human", "0.81", "0.25", "3.4"):
        assert told in card
    assert page.evaluate("document.querySelector('#d1 .m').getAttribute('aria-describedby')")
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    page.wait("document.getElementById('card').hidden")
    page.evaluate("document.querySelector('#d0 .m').focus()")
    page.wait("!document.getElementById('card').hidden")
    card = text_of(page, "#card")
    assert "country in Western Asia" in card
    assert "20.0%" in card
    page.press("ArrowRight")
    page.wait("document.getElementById('card').innerText.includes('R&D')")
    page.press("Escape")
    assert page.evaluate("document.getElementById('card').hidden")
    page.evaluate("document.querySelector('#d0 .nil').focus()")
    page.wait("document.getElementById('card').innerText.includes('not in the knowledge base')")


def test_everything_can_be_reached_by_tab(page: Browser) -> None:
    seen: list[str] = []
    for _ in range(60):
        page.press("Tab")
        seen.append(
            page.evaluate("(e => e.id || e.textContent.slice(0, 20))(document.activeElement)")
        )
        if page.evaluate("document.activeElement.matches('#rows tr:last-child button')"):
            break
    for name in ("Skip to the texts", "type", "label", "from", "to", "nil", "names", "find"):
        assert name in seen, seen
    for name in ("Jordan", "Odd", "Nobody", "Entity", "Texts"):
        assert name in seen, seen


def test_filters_by_type_kind_and_probability(page: Browser) -> None:
    everything = ["Jordan", "Odd", "Nobody", "Jordan", EVIL, "Jordan"]
    assert marked(page) == everything
    set_value(page, "type", "kingdom")
    assert marked(page) == ["Jordan"]
    assert text_of(page, "#status") == "1 name in 1 text, of 4 texts with 6 names."
    page.evaluate("document.querySelector('[type=reset]').click()")
    page.wait("document.querySelectorAll('article').length === 4")
    set_value(page, "from", "50")
    set_value(page, "to", "92")
    assert marked(page) == ["Jordan", "Odd", "Jordan"]
    set_value(page, "nil", False)
    assert marked(page) == ["Jordan", "Odd"]
    assert page.evaluate("document.querySelector('#d0 .nil').tabIndex") == -1
    page.evaluate("document.querySelector('[type=reset]').click()")
    page.wait("document.querySelectorAll('article').length === 4")
    options = page.evaluate("[...document.getElementById('label').options].map(o => o.text)")
    assert options == ["anything", "kind not known (4)", "person (1)", "place (1)"]
    set_value(page, "label", "1")
    assert marked(page) == ["Jordan"]
    set_value(page, "from", "99")
    assert "Nothing here matches" in text_of(page, "#texts")


def test_the_table_counts_sorts_finds_and_picks(page: Browser) -> None:
    rows = "[...document.querySelectorAll('#rows tr')].map(r => [...r.cells].map(c => c.innerText))"
    table: list[Any] = page.evaluate(rows)
    assert [row[1:] for row in table] == [
        ["2", "2", "92.5%"],
        ["1", "1", "70.0%"],
        ["1", "1", "40.0%"],
    ]
    page.evaluate("document.querySelector('[data-sort=chance] button').click()")
    page.evaluate("document.querySelector('[data-sort=chance] button').click()")
    assert [row[3] for row in page.evaluate(rows)] == ["40.0%", "70.0%", "92.5%"]
    assert page.evaluate("document.querySelector('[data-sort=chance]').ariaSort") == "ascending"
    set_value(page, "find", "BASKET")
    (row,) = page.evaluate(rows)
    assert row[0].startswith("Michael Jordan")
    page.evaluate("document.querySelector('#rows button').focus()")
    page.press("Enter")
    assert marked(page) == ["Jordan"]
    assert page.evaluate("document.querySelectorAll('article').length") == 1
    assert page.evaluate("document.activeElement.ariaPressed") == "true"
    page.press("Escape")
    assert page.evaluate("document.querySelectorAll('article').length") == 4


_RATIO = """
(() => {
  const linear = (v) => (v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  const light = (c) => c.map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const numbers = (c) => c.match(/[\\d.]+/g).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = numbers(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
  } };
  const worst = {};
  const all = 'h1, h3, p, .m, button, select, input, td, th, .what, .id, label';
  for (const e of document.querySelectorAll(all)) {
    if (!e.checkVisibility() || e.disabled) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    worst[e.className || e.localName] = Math.min(ratio, worst[e.className || e.localName] || 99);
  }
  return worst;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark(page: Browser, scheme: str, tmp_path: Path) -> None:
    page.show_as(scheme=scheme)
    page.hover("#d0 .m")
    page.wait("!document.getElementById('card').hidden")
    ratios = page.evaluate(_RATIO)
    assert min(ratios.values()) >= 4.5, ratios  # of WCAG 2.2, level AA
    folder = Path(os.environ.get("ENTLINK_SCREENSHOTS", tmp_path))  # to look at them
    picture = page.screenshot(folder / f"page-{scheme}.png")
    assert picture.startswith(b"\x89PNG")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", paper))) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60


def test_a_narrow_window_needs_no_scrolling_sideways(page: Browser, tmp_path: Path) -> None:
    page.show_as(scheme="light", width=360, height=700)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.hover("#d1 .m")
    page.wait("!document.getElementById('card').hidden")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_many_texts_do_not_freeze_it(browser: Browser, tmp_path: Path) -> None:
    def many() -> Iterator[LinkedDocument]:
        text = "Jordan met Odd. " * 20
        (made,) = FakeLinker().stream([Document("d", text)])
        return (replace(made, id=f"text {n}") for n in range(N_MANY))

    file = write(tmp_path / "many.html", many())
    browser.show_as(scheme="light")
    started = time.monotonic()
    browser.open(file)
    assert time.monotonic() - started < 60
    assert browser.evaluate("document.querySelectorAll('article').length") == 20
    assert "3,000 texts with 120,000 names" in text_of(browser, "#status")
    # a filter over all names, a page to the end: each within what a busy machine still may take
    took = browser.evaluate(
        "(() => { const t = performance.now(); const f = document.getElementById('from');"
        "f.value = 80; f.dispatchEvent(new Event('input', {bubbles: true}));"
        "return performance.now() - t; })()"
    )
    assert took < 2000
    assert browser.evaluate("document.querySelectorAll('.m.off').length") == 20 * 20
    browser.evaluate("document.getElementById('forth').click()")
    assert text_of(browser, "#place") == "21 to 40 of 3,000"
    # on a busy machine the new page may be there before it is laid out, and has no text so long
    browser.wait("document.querySelector('article h3').innerText === 'text 20'")
    assert browser.evaluate("document.querySelectorAll('article').length") == 20
    browser.hover("#d20 .m:not(.off)")
    browser.wait("document.getElementById('card').innerText.includes('R&D')")
