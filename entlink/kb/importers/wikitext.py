"""Wikitext to plain text with its links. Only what articles need: nothing is expanded.

Every step is linear in the length of the text, whatever is left open or nested wrongly in it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_TAGS = "ref|math|chem|nowiki|gallery|timeline|score|syntaxhighlight|source|pre|code|imagemap|table"
_NOISE = re.compile(  # the flag is local: with it for all, the search would try every character
    rf"\{{\{{|\}}\}}|\{{\||\|\}}(?!\}})|<(/?)((?i:{_TAGS}))\b[^<>]{{0,400}}?(/?)>"
)
_CLOSES = {"}}": "{{", "|}": "{|"}
_EMPTY_BRACKETS = re.compile(r" ?\([\s;,:–—-]*\)")
_BRACKETS = re.compile(r"\[\[|\]\]|\n\n")
_LINK = re.compile(r"\[\[([^\[\]|\n]{1,300})(?:\|([^\[\]\n]{0,500}))?\]\]([a-z]{0,30})")
_MARKUP = re.compile(
    _LINK.pattern + r"|\[(?:https?:|ftp:)?//[^\s\[\]]{1,2000}+([^\[\]\n]{0,500}+)\]|'{2,5}"
    r"|<[^<>\n]{1,300}>|__[A-Z]{3,30}__"
)
_SPACES = re.compile(r"[\s\u00a0]+")
_ODD_SPACES = re.compile(r"[^\S ]|  ")
_MARKED = re.compile(r"''|[<\[_]")
_PREFIX = re.compile(r":?\s*([^:\[\]|#]{1,40}):")
_OTHER_WIKI = re.compile(r"[a-z]{2,3}(-[a-z-]+)?$|simple$|wikt$|wiktionary$|[a-z]:?$|s$|d$")
_NO_TEXT = tuple("*#:;=|!{}")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A link in plain text: ``text[start:end]`` leads to the page ``title``."""

    start: int
    end: int
    title: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text and its links, in order."""

    text: str
    anchors: tuple[Anchor, ...]


class Namespaces:
    """Which prefixes of a link name another namespace or another wiki."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.casefold() for name in (*names, "File", "Image", "Category") if name}

    def leads_away(self, target: str) -> bool:
        """Whether a link's target is no article of this wiki."""
        if ":" not in target:
            return False
        found = _PREFIX.match(target)
        if not found:
            return target.startswith(":")
        prefix = found.group(1).strip().replace("_", " ")
        return prefix.casefold() in self._names or bool(_OTHER_WIKI.match(prefix))

    def is_media(self, target: str) -> bool:
        """Whether the link shows a picture or files the page, rather than leading anywhere."""
        found = _PREFIX.match(target)
        return bool(found) and not target.startswith(":") and self.leads_away(target)


def page_title(target: str) -> str:
    """A link's target as the title of the page: no section, blanks for _, a capital first."""
    title = _tidy(target.partition("#")[0].replace("_", " ")).strip()
    return title[:1].upper() + title[1:]


def clean(text: str, namespaces: Namespaces) -> str:
    """The text without comments, templates, tables, references, formulas and pictures."""
    text = _without_media(_without_noise(_without_comments(text)), namespaces)
    return _EMPTY_BRACKETS.sub("", text)


def links(cleaned: str, namespaces: Namespaces) -> Iterator[tuple[str, str]]:
    """(surface, title) of every link of cleaned wikitext that leads to an article."""
    for match in _LINK.finditer(cleaned):
        target, shown, tail = match.groups()
        if not namespaces.leads_away(target):
            title = page_title(target)
            surface = (shown if shown is not None else target) + tail
            if _MARKED.search(surface):
                surface = plain(surface, namespaces).text
            surface = _tidy(surface).strip()
            if title and surface:
                yield surface, title


def paragraphs(cleaned: str, namespaces: Namespaces, *, lead: bool = False) -> Iterator[Paragraph]:
    """The running text of cleaned wikitext, a paragraph each; ``lead``: up to the first heading."""
    for line in cleaned.split("\n"):
        line = line.strip()
        if lead and line.startswith("=="):
            return
        if line and not line.startswith(_NO_TEXT):
            paragraph = plain(line, namespaces)
            if any(char.isalpha() for char in paragraph.text):
                yield paragraph


def plain(line: str, namespaces: Namespaces) -> Paragraph:
    """One line of cleaned wikitext as plain text, and its links."""
    pieces: list[str] = []
    anchors: list[Anchor] = []
    length = last = 0

    def add(text: str) -> int:
        nonlocal length
        text = _tidy(text)
        if text[:1] == " " and (not pieces or pieces[-1][-1:] == " "):
            text = text[1:]
        if text:
            pieces.append(text)
            length += len(text)
        return length

    for match in _MARKUP.finditer(line):
        add(line[last : match.start()])
        last = match.end()
        target, shown, tail, label = match.groups()
        if target is not None:
            surface = (shown if shown is not None else target).rsplit("|", 1)[-1].replace("''", "")
            begin = length
            end = add(surface.strip() + tail)
            if end > begin and not namespaces.leads_away(target) and page_title(target):
                anchors.append(Anchor(begin, end, page_title(target)))
        elif label is not None:
            add(label.strip())
    add(line[last:])
    text = "".join(pieces).rstrip()
    return Paragraph(text, tuple(a for a in anchors if a.end <= len(text)))


def _tidy(text: str) -> str:
    """Character references resolved, and every run of white space one blank."""
    if "&" in text:
        text = html.unescape(text)
    return _SPACES.sub(" ", text) if _ODD_SPACES.search(text) else text


def _without_comments(text: str) -> str:
    if "<!--" not in text:
        return text
    kept, last = [], 0
    while (start := text.find("<!--", last)) >= 0:
        kept.append(text[last:start])
        end = text.find("-->", start)
        if end < 0:
            return "".join(kept)
        last = end + 3
    return "".join((*kept, text[last:]))


def _without_noise(text: str) -> str:
    kept: list[str] = []
    stack: list[str] = []
    last = opened = 0
    for match in _NOISE.finditer(text):
        token = match.group()
        closes, tag, empty = match.groups()
        if empty:
            if not stack:
                kept.append(text[last : match.start()])
                last = match.end()
            continue
        opener = tag.lower() if closes and tag else _CLOSES.get(token)
        if opener is None:
            if not stack:
                kept.append(text[last : match.start()])
                opened = match.end()
            stack.append(tag.lower() if tag else token)
        elif opener in stack:
            while stack.pop() != opener:
                pass
            if not stack:
                last = match.end()
        elif not stack:  # closes what was never opened
            kept.append(text[last : match.start()])
            last = match.end()
    if stack:  # never closed: only the mark itself goes, and the other marks behind it
        kept.append(_NOISE.sub(" ", text[opened:]))
    else:
        kept.append(text[last:])
    return "".join(kept)


def _without_media(text: str, namespaces: Namespaces) -> str:
    kept: list[str] = []
    depth, last = 0, 0
    for match in _BRACKETS.finditer(text):
        token = match.group()
        if depth:
            if token == "\n\n":  # never closed: it ends with its paragraph
                depth, last = 0, match.start()
            else:
                depth += 1 if token == "[[" else -1
                last = match.end()
        elif token == "[[" and namespaces.is_media(text[match.end() : match.end() + 60]):
            kept.append(text[last : match.start()])
            depth, last = 1, match.end()
    return "".join((*kept, "" if depth else text[last:]))
