"""Wikipedia's XML dumps, streamed: titles, redirects, disambiguation pages, paragraphs, links.

Ids are "enwiki:Title". A link's text counts as a use of a name of the page that it leads to. Where
wanted, every paragraph is written with its links, as texts to train and to measure on.
"""

from __future__ import annotations

import re
import xml.parsers.expat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from entlink.errors import InputError
from entlink.kb.importers.files import read_blocks, replacing
from entlink.kb.importers.records import (
    Located,
    OnBad,
    OtherName,
    Records,
    Redirect,
    Skipped,
    Uses,
    bad,
)
from entlink.kb.importers.settings import DEFAULT, Settings
from entlink.kb.importers.wikitext import Namespaces, clean, links, page_title, paragraphs
from entlink.records import Entity

_MOST = 1000  # characters of a first paragraph that are kept
_LEAST = 40  # characters of a paragraph that says something
_DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:[\w ]{1,30}[ -])?(?:disambig(?:uation)?(?: page)?|dab|hndis|geodis|mountainindex"
    r"|roadindex|schooldis|shipindex|surname|given name|set index article|sia)\s*(?:\||\}\})",
    re.IGNORECASE,
)
_ENTRY = re.compile(r"^\*+\s*['\"“]*\[\[([^\[\]|\n]{1,300})", re.MULTILINE)
_QUALIFIER = re.compile(r"\s+\([^()]+\)$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“(])")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a dump."""

    where: str
    title: str
    namespace: int
    redirect: str  # the title that it redirects to, "" if it does not
    text: str


def read(path: Path, settings: Settings = DEFAULT, *, on_bad: OnBad | None = None) -> Records:
    """Articles as entities, redirects and entries of disambiguation pages as other names, links.

    A dump that breaks off raises InputError, or is told to `on_bad` when all before it is read.
    """
    dump = _Dump(path)
    with _texts(settings.mentions) as write:
        for page in dump.pages(on_bad):
            id = f"{dump.wiki}:{page.title}"
            if page.namespace != 0:
                yield page.where, Skipped("no article")
            elif page.redirect:
                yield from _redirect(page, id, f"{dump.wiki}:{page_title(page.redirect)}")
            elif _is_disambiguation(page):
                yield page.where, Skipped("a disambiguation page")
                name = _QUALIFIER.sub("", page.title)
                for target in dict.fromkeys(_ENTRY.findall(page.text)):
                    if not dump.namespaces.leads_away(target):
                        yield page.where, OtherName(f"{dump.wiki}:{page_title(target)}", name)
            else:
                yield from _article(page, id, dump, write)


def _redirect(page: Page, id: str, target: str) -> Iterator[Located]:
    yield page.where, Skipped("a redirect")
    yield page.where, Redirect(id, target)
    if not page.title.endswith("(disambiguation)"):
        yield page.where, OtherName(target, _QUALIFIER.sub("", page.title))


def _article(
    page: Page, id: str, dump: _Dump, write: Callable[[object], None] | None
) -> Iterator[Located]:
    cleaned = clean(page.text, dump.namespaces)
    name = _QUALIFIER.sub("", page.title)
    yield (
        page.where,
        Entity(
            id=id,
            name=name,
            aliases=(page.title,) if name != page.title else (),
            description=_first_paragraph(cleaned, dump.namespaces),
        ),
    )
    for (surface, title), n in Counter(links(cleaned, dump.namespaces)).items():
        yield page.where, Uses(surface, {f"{dump.wiki}:{title}": n})
    if write:
        for number, paragraph in enumerate(paragraphs(cleaned, dump.namespaces), start=1):
            if paragraph.anchors and len(paragraph.text) >= _LEAST:
                mentions = [
                    {"start": a.start, "end": a.end, "entity": f"{dump.wiki}:{a.title}"}
                    for a in paragraph.anchors
                ]
                row = {"id": f"{id}#{number}", "page": id, "text": paragraph.text}
                write(row | {"mentions": mentions})


def _first_paragraph(cleaned: str, namespaces: Namespaces) -> str | None:
    """The first paragraph before any heading that says something, cut after a sentence."""
    texts = (paragraph.text for paragraph in paragraphs(cleaned, namespaces, lead=True))
    text = next((text for text in texts if len(text) >= _LEAST), "")
    if len(text) > _MOST:
        ends = [m.start() for m in _SENTENCE_END.finditer(text[: _MOST + 1])]
        text = text[: ends[-1]] if ends else text[: text.rfind(" ", 0, _MOST)] + " ..."
    return text or None


def _is_disambiguation(page: Page) -> bool:
    if page.title.endswith("(disambiguation)"):
        return True
    return "{{" in page.text and bool(_DISAMBIGUATION.search(page.text))


class _Dump:
    """Pages of an XML dump, and what its head says: the wiki's name and its namespaces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wiki = "wiki"
        self.namespaces = Namespaces(())
        self._names: list[str] = []
        self._values: dict[str, str] = {}
        self._text: list[str] | None = None
        self._line = 0
        self._done: list[Page] = []
        self._parser = xml.parsers.expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._refuse

    def pages(self, on_bad: OnBad | None) -> Iterator[Page]:
        """The pages in order; whatever ends the file early is told after the last whole page."""
        try:
            for block in read_blocks(self.path):
                self._parser.Parse(block)
                yield from self._taken()
            self._parser.Parse(b"", True)
        except xml.parsers.expat.ExpatError as error:
            yield from self._taken()
            what = xml.parsers.expat.ErrorString(error.code)
            bad(
                f"{self.path}:{error.lineno}: not XML from here on ({what}); nothing behind it "
                "is read, so fetch the dump again",
                on_bad,
            )

    def _taken(self) -> list[Page]:
        done, self._done = self._done, []
        return done

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "page":
            self._values, self._line = {}, self._parser.CurrentLineNumber
        elif name == "redirect":
            self._values["redirect"] = attributes.get("title", "")
        elif name in ("title", "ns", "text", "dbname", "namespace"):
            self._text = []

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def _end(self, name: str) -> None:
        text, self._text = "".join(self._text or ()), None
        if name in ("title", "ns", "text"):
            self._values.setdefault(name, text)
        elif name == "dbname":
            self.wiki = text.strip() or self.wiki
        elif name == "namespace":
            self._names.append(text.strip())
        elif name == "siteinfo":
            self.namespaces = Namespaces(self._names)
        elif name == "page":
            values = self._values
            namespace = values.get("ns", "0").strip()
            self._done.append(
                Page(
                    where=f"{self.path}:{self._line}",
                    title=values.get("title", "").strip(),
                    namespace=int(namespace) if namespace.lstrip("-").isdigit() else 0,
                    redirect=values.get("redirect", ""),
                    text=values.get("text", ""),
                )
            )

    def _refuse(self, *_: object) -> None:
        raise InputError(f"{self.path}: declares entities of its own; no dump does, so not read")


def _texts(path: Path | None) -> AbstractContextManager[Callable[[object], None] | None]:
    return replacing(path) if path else nullcontext()
