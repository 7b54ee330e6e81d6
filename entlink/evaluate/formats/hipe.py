"""HIPE TSV, as in HIPE-2020 and HIPE-2022: a token a line, columns named by the first line.

``TOKEN``, ``NE-COARSE-LIT`` (``B-LOC``: the label), ``NEL-LIT`` (the id, ``NIL``, or ``_``: no
answer) and ``MISC`` (``NoSpaceAfter``) are used. Lines ``# ...document_id = X`` begin a document.
A blank stands between tokens but after ``NoSpaceAfter``, so a text to be written must have no
other whitespace. As in conlleval, ``I-`` that goes on with nothing begins a mention (there is one
in HIPE's own files).

Not carried: metonymic, nested and fine labels, sentence and line ends, the other ``#`` lines,
mentions that overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as list_field
from pathlib import Path

from entlink.errors import InputError
from entlink.evaluate.formats.files import read_lines, write_lines
from entlink.evaluate.formats.gold import (
    GoldDocument,
    Located,
    gold_document,
    gold_mention,
    reader,
)
from entlink.evaluate.formats.tokens import covered, cut_at_blanks, field, join

COLUMNS = (
    "TOKEN",
    "NE-COARSE-LIT",
    "NE-COARSE-METO",
    "NE-FINE-LIT",
    "NE-FINE-METO",
    "NE-FINE-COMP",
    "NE-NESTED",
    "NEL-LIT",
    "NEL-METO",
    "MISC",
)
_USED = ("TOKEN", "NE-COARSE-LIT", "NEL-LIT", "MISC")
_NONE = "_"
_GLUED = "NoSpaceAfter"
_DOCUMENT = re.compile(r"#\s*(?:\S+:)?document_id\s*=\s*(.*\S)\s*")


@dataclass(slots=True)
class _Open:
    """A document whose lines are being read."""

    where: str
    id: str
    tokens: list[str] = list_field(default_factory=list)
    spaces: list[str] = list_field(default_factory=list)
    spans: list[tuple[int, int, str, str, str]] = list_field(default_factory=list)
    # first token, token after the last, label, id, place

    def close(self) -> Located:
        text, places = join(self.tokens, self.spaces)
        mentions = [
            gold_mention(
                text,
                places[first].start,
                places[after - 1].end,
                where=where,
                entity=None if entity == _NONE else entity,
                label=label,
            )
            for first, after, label, entity, where in self.spans
        ]
        return self.where, gold_document(self.id, text, mentions)


@reader
def read(path: Path) -> Iterator[Located]:
    """The documents of a file, plain or gzipped."""
    document: _Open | None = None
    header: list[str] = []
    for where, line in read_lines(path):
        columns = line.split("\t")
        if not line.strip() or columns == header:
            continue
        if not header:
            header = columns
            if missing := [name for name in _USED if name not in header]:
                raise InputError(
                    f"{where}: the first line must name the columns, and {missing[0]} is not "
                    "among them; add the line that HIPE's files begin with"
                )
        elif len(columns) == 1 and line.startswith("#"):
            if found := _DOCUMENT.fullmatch(line):
                if document is not None:
                    yield document.close()
                document = _Open(where, found[1])
        elif document is None:
            raise InputError(f"{where}: a token before any '# document_id = ' line; add one above")
        else:
            _read_token(document, _named(header, columns, where=where), where=where)
    if document is not None:
        yield document.close()


def _named(header: list[str], columns: list[str], *, where: str) -> Mapping[str, str]:
    if len(columns) != len(header):
        raise InputError(
            f"{where}: has {len(columns)} columns, the first line names {len(header)}; "
            "give each token all of them, with tabs between"
        )
    return dict(zip(header, columns, strict=True))


def _read_token(document: _Open, row: Mapping[str, str], *, where: str) -> None:
    at = len(document.tokens)
    document.tokens.append(row["TOKEN"])
    document.spaces.append("" if _GLUED in row["MISC"].split("|") else " ")
    tag, _, label = row["NE-COARSE-LIT"].partition("-")
    entity = row["NEL-LIT"] or _NONE
    if tag in ("O", _NONE, ""):
        return
    if tag not in ("B", "I"):
        raise InputError(
            f"{where}: the tag is {row['NE-COARSE-LIT']!r}; write O, B-label where a mention "
            "begins, or I-label where it goes on"
        )
    last = document.spans[-1] if document.spans else None
    if tag == "B" or last is None or (last[1], last[2]) != (at, label):
        document.spans.append((at, at + 1, label, entity, where))
        return
    if entity != last[3]:
        raise InputError(
            f"{where}: the entity is {entity!r}, but the mention began with {last[3]!r}; "
            "give all its tokens the same"
        )
    document.spans[-1] = (last[0], at + 1, *last[2:])


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write HIPE-2022's columns; InputError for a text or a mention that they cannot carry."""
    head = "\t".join(COLUMNS) + "\n"
    write_lines(documents, path, _lines, head=head, without_overlaps="HIPE TSV")


def _lines(doc: GoldDocument, *, where: str) -> Iterator[str]:
    yield f"# hipe2022:document_id = {field(doc.id, where=where)}\n"
    borders = [border for m in doc.mentions for border in (m.start, m.end)]
    tokens = cut_at_blanks(doc.text, where=where, borders=borders)
    marked: dict[int, tuple[str, str]] = {}
    for m in doc.mentions:
        first, last = covered(tokens, m, where=where)
        label = f"-{field(m.label, where=where)}" if m.label else ""
        entity = _NONE if m.entity is None else field(m.entity, where=where)
        marked |= {
            i: (f"{'B' if i == first else 'I'}{label}", entity) for i in range(first, last + 1)
        }
    for i, token in enumerate(tokens):
        tag, entity = marked.get(i, ("O", _NONE))
        row = dict.fromkeys(COLUMNS, _NONE)
        row |= {"TOKEN": doc.text[token.start : token.end], "NE-COARSE-LIT": tag, "NEL-LIT": entity}
        if i + 1 < len(tokens) and tokens[i + 1].start == token.end:
            row["MISC"] = _GLUED
        yield "\t".join(row.values()) + "\n"
    yield "\n"
