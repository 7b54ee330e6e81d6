"""PubTator, the format of NCBI's biomedical corpora (Wei et al., 2013).

``id|t|title`` and ``id|a|abstract``, then a mention a line: id, start, end, surface, label, entity,
with tabs between. Offsets count one character between title and abstract, which is a line break in
the text here. The entity ``-1`` is NIL, an absent one is a mention without an answer. Where the
source names several ids (``D1|D2``, ``D1+D2``) they stay one string.

Lines of relations (``CID``) and further columns are not carried; nor are texts with more than one
line break.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as list_field
from pathlib import Path

from entlink.errors import InputError
from entlink.evaluate.formats.files import read_lines, write_lines
from entlink.evaluate.formats.gold import (
    GoldDocument,
    GoldMention,
    Located,
    gold_document,
    gold_mention,
    reader,
)
from entlink.evaluate.formats.tokens import field
from entlink.records import NIL

TITLE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_NIL = "-1"


@dataclass(slots=True)
class _Open:
    """A document whose lines are being read."""

    where: str
    id: str
    text: str
    has_abstract: bool = False
    mentions: list[GoldMention] = list_field(default_factory=list)


@reader
def read(path: Path) -> Iterator[Located]:
    """The documents of a file, plain or gzipped."""
    document: _Open | None = None
    for where, line in read_lines(path):
        if not line.strip():
            continue
        found = TITLE.fullmatch(line)
        if found and found[2] == "t":
            if document is not None:
                yield document.where, gold_document(document.id, document.text, document.mentions)
            document = _Open(where, found[1], found[3])
        elif document is None:
            raise InputError(f"{where}: comes before any title; begin each text with id|t|title")
        elif found:
            _read_abstract(document, found[1], found[3], where=where)
        else:
            _read_mention(document, line.split("\t"), where=where)
    if document is not None:
        yield document.where, gold_document(document.id, document.text, document.mentions)


def _read_abstract(document: _Open, id_: str, abstract: str, *, where: str) -> None:
    _same(document, id_, where=where)
    if document.has_abstract or document.mentions:
        raise InputError(
            f"{where}: an abstract that does not follow its title; write it on the next line"
        )
    document.text += f"\n{abstract}"
    document.has_abstract = True


def _read_mention(document: _Open, columns: list[str], *, where: str) -> None:
    _same(document, columns[0], where=where)
    if len(columns) in (4, 5) and columns[1].isalpha():
        return  # a relation: id, kind, entity, entity
    if len(columns) < 5 or not (columns[1].isdecimal() and columns[2].isdecimal()):
        raise InputError(
            f"{where}: is no mention ({len(columns)} columns); write id, start, end, surface, "
            "label and entity with tabs between"
        )
    entity = columns[5].strip() if len(columns) > 5 else ""
    mention = gold_mention(
        document.text,
        int(columns[1]),
        int(columns[2]),
        where=where,
        entity=NIL if entity == _NIL else entity or None,
        label=columns[4].strip(),
        surface=columns[3],
    )
    document.mentions.append(mention)


def _same(document: _Open, id_: str, *, where: str) -> None:
    if id_ != document.id:
        raise InputError(
            f"{where}: is of document {id_!r}, but stands below the title of {document.id!r}; "
            "keep the lines of each document together"
        )


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write title, abstract and mentions; InputError for what the lines cannot carry."""
    write_lines(documents, path, _lines)


def _lines(doc: GoldDocument, *, where: str) -> Iterator[str]:
    id_ = field(doc.id, where=where)
    title, *abstract = doc.text.split("\n")
    if len(abstract) > 1 or "\r" in doc.text or "|" in id_:
        raise InputError(
            f"{where}: PubTator carries one line of title, one of abstract, and ids without '|'; "
            "put blanks in place of the other line breaks, or choose the format jsonl"
        )
    yield f"{id_}|t|{title}\n"
    yield from (f"{id_}|a|{line}\n" for line in abstract)
    for m in doc.mentions:
        surface = doc.text[m.start : m.end]
        if "\n" in surface or "\t" in surface:
            raise InputError(
                f"{where}: the mention at {m.start} to {m.end} has a tab or line break, which "
                "PubTator cannot carry; shorten it, or choose the format jsonl"
            )
        label = field(m.label, where=where) if m.label else ""
        entity = _NIL if m.entity == NIL else m.entity
        columns = [id_, str(m.start), str(m.end), surface, label]
        yield (
            "\t".join(columns if entity is None else [*columns, field(entity, where=where)]) + "\n"
        )
    yield "\n"
