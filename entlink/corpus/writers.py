"""Links to files: JSONL (the format scripts rely on) and an HTML page to look at.

A file appears under its name only when it is whole: it is written beside it and then renamed.
"""

from __future__ import annotations

import gzip
import html
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from entlink.errors import InputError
from entlink.records import NIL, Candidate, Link, LinkedDocument

DIGITS = 6  # of every float written; more would differ between machines and mean nothing
WIKIDATA_URL = "https://www.wikidata.org/wiki/"
OUT_SUFFIXES = (".jsonl", ".jsonl.gz", ".html")

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


def link_record(document: LinkedDocument) -> dict[str, object]:
    """A linked document as the JSON object of the links format, floats rounded to six digits."""
    return {
        "id": document.id,
        "text": document.text,
        "mentions": [_mention_record(link) for link in document.links],
    }


def write_jsonl(documents: Iterable[LinkedDocument], stream: BinaryIO) -> Iterator[LinkedDocument]:
    """Write one line a document, and pass each document on once it is written."""
    for document in documents:
        stream.write(orjson.dumps(link_record(document), option=orjson.OPT_APPEND_NEWLINE))
        yield document


def write_html(documents: Iterable[LinkedDocument], stream: BinaryIO) -> Iterator[LinkedDocument]:
    """Write a page that shows each text with its links (displaCy), and pass each document on.

    Everything from texts, ids and names is escaped. Only Wikidata's own ids (Q and a number) get
    an address, for only these are known to lead somewhere.
    """
    stream.write(_PAGE_START.encode())
    for document in documents:
        stream.write(html_figure(document).encode("utf-8", "replace"))
        yield document
    stream.write(_PAGE_END.encode())


def write_file(documents: Iterable[LinkedDocument], path: Path) -> Iterator[LinkedDocument]:
    """Write ``path`` in the format that its name asks for, and pass each document on.

    The file is in place when the iterator is exhausted; if it is not, nothing is left behind.
    Raises InputError for a name that is not one of OUT_SUFFIXES, or a folder that does not exist.
    """
    check_out(path)
    with replacing(path) as raw:
        if path.name.endswith(".html"):
            yield from write_html(documents, raw)
        elif path.name.endswith(".gz"):
            # without name and time, so that the same links are the same bytes
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped:
                yield from write_jsonl(documents, cast(BinaryIO, zipped))
        else:
            yield from write_jsonl(documents, raw)


def check_out(path: Path) -> None:
    """Raise InputError if links cannot be written under this name."""
    if not path.name.endswith(OUT_SUFFIXES):
        raise InputError(f"{path}: unknown kind of output; end the name in one of {OUT_SUFFIXES}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {str(path.parent)!r}; make it first")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside ``path`` that takes its name at the end, or vanishes on an error."""
    # the mode that open() would give; mkstemp alone makes files that only their owner can read
    umask = os.umask(0)
    os.umask(umask)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def html_figure(document: LinkedDocument) -> str:
    """One document as a figure: its text with the links marked by displaCy."""
    from spacy import displacy

    parsed: dict[str, Any] = {
        "text": document.text.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        "ents": [_span(link) for link in _without_overlaps(document.links)],
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


def _without_overlaps(links: Iterable[Link]) -> Iterator[Link]:
    """The links that can be shown side by side: of two that overlap, the first, then longer."""
    end = 0
    for link in sorted(links, key=lambda k: (k.mention.start, -k.mention.end)):
        if link.mention.start >= end:
            yield link
            end = link.mention.end


def _mention_record(link: Link) -> dict[str, object]:
    return {
        "start": link.mention.start,
        "end": link.mention.end,
        "text": link.mention.text,
        "entity": link.entity_id,
        "name": link.name,
        "probability": round(link.probability, DIGITS),
        "candidates": [_candidate_record(candidate) for candidate in link.candidates],
    }


def _candidate_record(candidate: Candidate) -> dict[str, object]:
    score = candidate.reranker_score
    return {
        "entity": candidate.entity_id,
        "name": candidate.name,
        "probability": round(candidate.probability, DIGITS),
        "retriever_score": round(candidate.retriever_score, DIGITS),
        "prior": round(candidate.prior, DIGITS),
        "reranker_score": None if score is None else round(score, DIGITS),
    }
