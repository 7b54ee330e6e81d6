"""The columns of AIDA-YAGO2: a token a line, tabs between columns (Hoffart et al., 2011).

Token; then for tokens of mentions ``B`` or ``I``, the whole mention, and the entity as a YAGO2
title or ``--NME--`` (NIL), its Wikipedia address, page id and Freebase id. ``-DOCSTART- (id)``
begins a document, an empty line ends a sentence.

A title with an address becomes the id ``enwiki:Title`` (blanks, not underscores); an entity
without an address is any id, kept as it is; a mention without the entity column has no answer.
The text is the tokens joined by a blank, so that is how a text must be to be written. Not carried:
labels, sentence ends, page and Freebase ids, mentions that overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as list_field
from pathlib import Path

from entlink.errors import InputError
from entlink.evaluate.formats.files import numbered, read_lines, write_lines
from entlink.evaluate.formats.gold import (
    GoldDocument,
    GoldMention,
    Located,
    gold_document,
    gold_mention,
    reader,
)
from entlink.evaluate.formats.tokens import covered, cut_at_blanks, field, join
from entlink.records import NIL

DOCSTART = "-DOCSTART-"
_START = re.compile(rf"{DOCSTART} \((.*)\)")
_NIL = "--NME--"
_PREFIX = "enwiki:"
_WIKIPEDIA = "http://en.wikipedia.org/wiki/"
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")  # the way YAGO2 writes letters beyond ASCII


@dataclass(slots=True)
class _Open:
    """A document whose lines are being read."""

    where: str
    id: str
    tokens: list[str] = list_field(default_factory=list)
    spans: list[tuple[int, int, tuple[str, ...], str]] = list_field(default_factory=list)
    # first token, token after the last, columns from the mention on, place

    def close(self) -> Located:
        text, places = join(self.tokens, [" "] * len(self.tokens))
        mentions = [
            gold_mention(
                text,
                places[first].start,
                places[after - 1].end,
                where=where,
                entity=_entity(columns),
                surface=columns[0],
            )
            for first, after, columns, where in self.spans
        ]
        return self.where, gold_document(self.id, text, mentions)


@reader
def read(path: Path) -> Iterator[Located]:
    """The documents of a file, plain or gzipped."""
    document: _Open | None = None
    for where, line in read_lines(path):
        if line.startswith(DOCSTART):
            if document is not None:
                yield document.close()
            start = _START.fullmatch(line.strip())
            document = _Open(where, start[1] if start else numbered(path, where))
        elif line.strip(" "):
            if document is None:
                raise InputError(f"{where}: a token before any {DOCSTART} line; add one above it")
            _read_token(document, line.split("\t"), where=where)
    if document is not None:
        yield document.close()


def _read_token(document: _Open, columns: Sequence[str], *, where: str) -> None:
    at = len(document.tokens)
    document.tokens.append(columns[0])
    if len(columns) == 1 or columns[1] in ("", "O"):
        return
    if columns[1] not in ("B", "I") or len(columns) < 3:
        raise InputError(
            f"{where}: has {len(columns)} columns, the second {columns[1]!r}; write B or I, the "
            "mention, and its entity, or the token alone"
        )
    rest = tuple(columns[2:])
    if columns[1] == "B":
        document.spans.append((at, at + 1, rest, where))
        return
    if not document.spans or document.spans[-1][1] != at or document.spans[-1][2] != rest:
        raise InputError(f"{where}: goes on with a mention (I) that no line above begins; write B")
    first, _, _, began = document.spans[-1]
    document.spans[-1] = (first, at + 1, rest, began)


def _entity(columns: Sequence[str]) -> str | None:
    if len(columns) < 2 or not columns[1]:
        return None
    if columns[1] == _NIL:
        return NIL
    if len(columns) == 2 or not columns[2]:
        return columns[1]
    title = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), columns[1])
    return _PREFIX + title.replace("_", " ")


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write the columns; InputError for a text or a mention that they cannot carry."""
    write_lines(documents, path, _lines, without_overlaps="AIDA TSV")


def _lines(doc: GoldDocument, *, where: str) -> Iterator[str]:
    yield f"{DOCSTART} ({field(doc.id, where=where)})\n"
    tokens = cut_at_blanks(doc.text, where=where)
    columns: dict[int, str] = {}
    for m in doc.mentions:
        first, last = covered(tokens, m, where=where)
        rest = "\t".join([doc.text[m.start : m.end], *_entity_columns(m, where=where)])
        columns[first] = f"\tB\t{rest}"
        columns |= dict.fromkeys(range(first + 1, last + 1), f"\tI\t{rest}")
    for i, token in enumerate(tokens):
        yield f"{doc.text[token.start : token.end]}{columns.get(i, '')}\n"
    yield "\n"


def _entity_columns(m: GoldMention, *, where: str) -> list[str]:
    if m.entity is None:
        return []
    if m.entity == NIL:
        return [_NIL]
    title = m.entity.removeprefix(_PREFIX)
    if title == m.entity:
        return [field(title, where=where)]
    title = field(title, where=where).replace(" ", "_")
    return [title, _WIKIPEDIA + title]
