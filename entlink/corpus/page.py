"""Links as a page to look at."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any, BinaryIO

from entlink.corpus.writers import Linked, without_overlaps
from entlink.records import NIL, Link, LinkedDocument

WIKIDATA_URL = "https://www.wikidata.org/wiki/"

_QID = re.compile(r"Q[1-9][0-9]*")
_LINKED_COLOUR = "#cfe8d5"
_NIL_COLOUR = "#e4e4e4"
_PAGE_START = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Links</title>
<style>
body { font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 0 0 3rem; }
figcaption { color: #666; font-size: 0.9rem; margin-bottom: 0.5rem; }
</style>
</head>
<body>
"""
_PAGE_END = "</body>\n</html>\n"


def write_html(documents: Iterable[Linked], stream: BinaryIO) -> None:
    """Write a page that shows each text with its links (displaCy).

    Everything from texts, ids and names is escaped. Only Wikidata's own ids (Q and a number) get
    an address, for only these are known to lead somewhere.
    """
    stream.write(_PAGE_START.encode())
    for document, _ in documents:
        stream.write(html_figure(document).encode("utf-8", "replace"))
    stream.write(_PAGE_END.encode())


def html_figure(document: LinkedDocument) -> str:
    """One document as a figure: its text with the links marked by displaCy."""
    from spacy import displacy

    parsed: dict[str, Any] = {
        "text": document.text.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        "ents": [_span(link) for link in without_overlaps(document.links)],
        "title": None,
    }
    marked = displacy.render(parsed, style="ent", manual=True, jupyter=False)
    caption = html.escape(document.id)
    return f'<figure dir="auto">\n<figcaption>{caption}</figcaption>{marked}</figure>\n'


def _span(link: Link) -> dict[str, Any]:
    """A link as displaCy's renderer wants it; it escapes the text, and nothing else."""
    span: dict[str, Any] = {"start": link.mention.start, "end": link.mention.end}
    if link.entity_id == NIL:
        return {**span, "label": "not in the knowledge base", "params": {"bg": _NIL_COLOUR}}
    label = f"{link.name} {link.probability:.2f} "
    if _QID.fullmatch(link.entity_id):
        span |= {"kb_id": link.entity_id, "kb_url": WIKIDATA_URL + link.entity_id}
    else:
        label += link.entity_id
    return {**span, "label": html.escape(label), "params": {"bg": _LINKED_COLOUR}}
