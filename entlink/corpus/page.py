"""Links as one page for a person: it needs no network, and its script none of the network's code.

Every text is written as markup that reads well without its script. Beside it lies what the script
shows on hover and filters by, as JSON. Texts after the first are kept as text until they are
looked at, so that a browser lays out a screenful of them however many there are.

Nothing from texts, ids or names can become markup or code: it is escaped, the script puts it in
place as text, and a content security policy lets run only the script that is ours.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import BinaryIO

from entlink.corpus.items import dumps
from entlink.corpus.writers import EntityOf, Linked, without_overlaps
from entlink.records import NIL, Candidate, Link, LinkedDocument

WIKIDATA_URL = "https://www.wikidata.org/wiki/"
N_AT_ONCE = 20  # texts on the screen; the script's PER_PAGE is the same

_QID = re.compile(r"Q[1-9][0-9]*")
_DIGITS = 4  # of probabilities and scores, which the page shows to three
_MAX_CARRIED = 200  # characters shown of a carried column
_SURE, _LIKELY = 0.9, 0.5  # probabilities from which a link is drawn as such


def write_html(
    documents: Iterable[Linked], stream: BinaryIO, *, entity_of: EntityOf | None = None
) -> None:
    """Write a page that shows each text with its links, and all entities in a table.

    ``entity_of`` tells of an id what the entity is, and of which types. Only Wikidata's own ids
    (Q and a number) get an address, for only these are known to lead somewhere. Memory holds one
    document at a time, and a number for each entity.
    """
    start, end = _skeleton()
    stream.write(start.encode())
    entities = _Entities(entity_of)
    for number, (document, carried) in enumerate(documents):
        article = html_article(document, number=number, carried=carried, about=entities.about)
        if number >= N_AT_ONCE:
            # our own tags and escaped text: nothing in it can end the script element
            article = f'<script type="text/html" data-doc>{article}</script>\n'
        stream.write(article.encode("utf-8", "replace"))
        stream.write(_data(document, entities))
    stream.write(end.encode())


def html_article(
    document: LinkedDocument,
    *,
    number: int = 0,
    carried: Mapping[str, object] | None = None,
    about: Callable[[str], str] = lambda _: "",
) -> str:
    """One document: its id, the columns that came with it, and its text with the links."""
    shown = list(without_overlaps(document.links))
    parts, end = [], 0
    for link in shown:
        parts += [_text(document.text[end : link.mention.start]), _mark(link, about)]
        end = link.mention.end
    parts.append(_text(document.text[end:]))
    notes = [
        f"<dt>{_text(name)}</dt><dd><bdi>{_text(_cut(value))}</bdi></dd>"
        for name, value in (carried or {}).items()
        if isinstance(value, str | int | float)
    ]
    n_hidden = len(document.links) - len(shown)
    if n_hidden:
        notes.append(f"<dt>inside or across others, not shown</dt><dd>{n_hidden}</dd>")
    return (
        f'<article data-doc id="d{number}" aria-labelledby="h{number}">'
        f'<h3 id="h{number}"><bdi>{_text(document.id)}</bdi></h3>'
        + (f"<dl>{''.join(notes)}</dl>" if notes else "")
        + f'<p dir="auto">{"".join(parts)}</p></article>\n'
    )


class _Entities:
    """Numbers entities as they appear, and tells of each what it is."""

    def __init__(self, entity_of: EntityOf | None) -> None:
        self._numbers: dict[str, int] = {}
        self._new: list[list[object]] = []
        self._entity_of = functools.lru_cache(maxsize=10_000)(entity_of or (lambda _: None))

    def about(self, entity_id: str) -> str:
        """What it is, in a phrase; "" if that is not known."""
        entity = self._entity_of(entity_id)
        return (entity.description or "") if entity else ""

    def number(self, entity_id: str, name: str) -> int:
        """The entity's number; -1 for NIL."""
        if entity_id == NIL:
            return -1
        if entity_id not in self._numbers:
            self._numbers[entity_id] = len(self._numbers)
            entity = self._entity_of(entity_id)
            types = list(entity.type_names or entity.types) if entity else []
            self._new.append([entity_id, name, self.about(entity_id), types])
        return self._numbers[entity_id]

    def take_new(self) -> list[list[object]]:
        """Id, name, description and types of those that were numbered since the last call."""
        new, self._new = self._new, []
        return new


def _data(document: LinkedDocument, entities: _Entities) -> bytes:
    """What the script needs of one document: its mentions in order, and entities not seen yet."""
    mentions = [
        [
            entities.number(link.entity_id, link.name),
            link.mention.label,
            round(link.probability, _DIGITS),
            [_candidate(candidate, entities) for candidate in link.candidates],
        ]
        for link in without_overlaps(document.links)
    ]
    record = dumps({"mentions": mentions, "entities": entities.take_new()})
    # JSON has "<" in strings alone, and reads this as the same; so no string can end the element
    record = record.replace(b"<", b"\\u003c")
    return b'<script type="application/json" class="data">' + record + b"</script>\n"


def _candidate(candidate: Candidate, entities: _Entities) -> list[float | None]:
    score = candidate.reranker_score
    return [
        entities.number(candidate.entity_id, candidate.name),
        round(candidate.probability, _DIGITS),
        round(candidate.retriever_score, _DIGITS),
        round(candidate.prior, _DIGITS),
        None if score is None else round(score, _DIGITS),
    ]


def _mark(link: Link, about: Callable[[str], str]) -> str:
    """A mention: a link where there is an address, else something that can have the focus."""
    text, chance = _text(link.mention.text), f"{link.probability:.0%}"
    if link.entity_id == NIL:
        title = f"not in the knowledge base, {chance}"
        return f'<span class="m nil" tabindex="0" title="{title}">{text}</span>'
    sure = link.probability
    level = "sure" if sure >= _SURE else "likely" if sure >= _LIKELY else "unsure"
    phrase = about(link.entity_id)
    title = f"{link.name}{', ' if phrase else ''}{phrase} ({link.entity_id}), {chance}"
    attributes = f'class="m {level}" title="{_text(title)}"'
    if link.name.casefold() != link.mention.text.casefold():
        attributes += f' data-name="{_text(link.name)}"'
    if _QID.fullmatch(link.entity_id):
        return f'<a {attributes} href="{WIKIDATA_URL}{link.entity_id}">{text}</a>'
    return f'<span {attributes} tabindex="0">{text}</span>'


def _text(text: str) -> str:
    """Escaped for elements and attributes; what HTML cannot hold is replaced."""
    shown = html.escape(text.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
    return shown.replace("\r", "&#13;")  # a bare one would be read as a line feed


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_CARRIED else f"{text[:_MAX_CARRIED]}…"


@functools.cache
def _skeleton() -> tuple[str, str]:
    """What comes before and after the texts."""
    page, style, script = (_file(f"page.{kind}") for kind in ("html", "css", "js"))
    page = page.replace("STYLE_HASH", _hash(style)).replace("SCRIPT_HASH", _hash(script))
    page = page.replace("/* STYLE */", style).replace("/* SCRIPT */", script)
    start, _, end = page.partition("<!-- TEXTS -->\n")
    return start, end


def _file(name: str) -> str:
    # read_text makes every line end "\n", whatever git made of it, so that the hashes hold
    return (files("entlink.corpus") / "page_files" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
