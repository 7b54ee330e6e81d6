"""The folder of the ZESHEL release (Logeswaran et al., 2019): ``documents/`` and ``mentions/``.

A document a line in ``documents/*.json`` (``document_id``, ``title``, ``text``), a mention a line
in ``mentions/*.json``: ``context_document_id``, ``start_index`` and ``end_index`` (words of the
text, both inclusive), ``text`` (which is compared) and ``label_document_id``, the entity. Read is
the folder with all its mentions, or one file of its ``mentions/``.

Only documents with mentions are gold documents; the others are entities, and belong into a
knowledge base. Not carried: titles, the wiki (``corpus``) and ``category`` of a mention, labels,
NIL, mentions without an answer, documents without mentions.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import orjson

from entlink.errors import InputError
from entlink.evaluate.formats.files import read_objects, replacing, text_of
from entlink.evaluate.formats.gold import (
    GoldDocument,
    GoldMention,
    Located,
    gold_document,
    gold_mention,
    reader,
    writable,
)
from entlink.evaluate.formats.tokens import Token, covered, words
from entlink.records import NIL

_WIKI = "gold"  # the name of the one file of documents that is written


@reader
def read(path: Path) -> Iterator[Located]:
    """The documents that have mentions, in the order of their files."""
    root = path if path.is_dir() else path.parent.parent
    documents = _files(root, "documents")
    mentions = _mentions(_files(root, "mentions") if path.is_dir() else [path])
    for file in documents:
        for where, value in read_objects(file):
            id_ = _string(value, "document_id", where=where)
            found = mentions.get(id_)
            if found is not None:
                text = text_of(value, where=where)
                tokens = words(text)
                yield where, gold_document(id_, text, [_gold(text, tokens, m) for m in found])
                mentions[id_] = []  # found, and kept so that a second one is told
    for id_, rest in mentions.items():
        if rest:
            raise InputError(
                f"{rest[0][0]}: there is no document {id_!r} in {root / 'documents'}; "
                "add it, or take the mention out"
            )


def _files(root: Path, name: str) -> list[Path]:
    found = sorted((root / name).glob("*.json"))
    if not found:
        raise InputError(
            f"{root}: has no {name}/*.json; give a folder with documents and mentions in it"
        )
    return found


def _mentions(files: Iterable[Path]) -> dict[str, list[tuple[str, Mapping[str, object]]]]:
    """The mentions of each document with their places."""
    mentions: dict[str, list[tuple[str, Mapping[str, object]]]] = {}
    for file in files:
        for where, value in read_objects(file):
            id_ = _string(value, "context_document_id", where=where)
            mentions.setdefault(id_, []).append((where, value))
    return mentions


def _gold(text: str, tokens: list[Token], located: tuple[str, Mapping[str, object]]) -> GoldMention:
    where, m = located
    first, last = m.get("start_index"), m.get("end_index")
    if type(first) is not int or type(last) is not int or not 0 <= first <= last < len(tokens):
        raise InputError(
            f"{where}: spans words {first!r} to {last!r} of a text of {len(tokens)} words; "
            "indices count words from 0, end inclusive"
        )
    start, end = tokens[first].start, tokens[last].end
    surface = _string(m, "text", where=where)
    found = " ".join(text[start:end].split())
    if found != surface:
        raise InputError(
            f"{where}: is said to be {surface!r}, but words {first} to {last} of the text are "
            f"{found!r}; indices count words from 0, end inclusive"
        )
    entity = _string(m, "label_document_id", where=where)
    return gold_mention(text, start, end, where=where, entity=entity)


def _string(value: Mapping[str, object], key: str, *, where: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise InputError(f'{where}: its "{key}" is {found!r:.40}; write a string')
    return found


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write a new folder with one file of documents and one of mentions (``test.json``).

    Raises InputError if there is such a folder with files in it, or for what cannot be carried.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is there already; name a new folder")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {str(path.parent)!r}; make it first")
    made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        for name in ("documents", "mentions"):
            (made / name).mkdir()
        _write_files(documents, made, shown=path)
        made.chmod(0o755)  # mkdtemp's folders are for their owner alone
        os.replace(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write_files(documents: Iterable[GoldDocument], made: Path, *, shown: Path) -> None:
    number = 0
    with (
        replacing(made / "documents" / f"{_WIKI}.json") as texts,
        replacing(made / "mentions" / "test.json") as mentions,
    ):
        for doc in writable(documents, shown):
            where = f"{shown}: document {doc.id!r}"
            if not doc.mentions or not doc.id:
                raise InputError(
                    f"{where}: has no mentions or no id, and ZESHEL carries no such documents; "
                    "leave it out, or choose the format jsonl"
                )
            record = {"title": doc.id, "text": doc.text, "document_id": doc.id}
            texts.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            tokens = words(doc.text)
            for m in doc.mentions:
                value = _record(doc, m, tokens, number=number, where=where)
                mentions.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
                number += 1


def _record(
    doc: GoldDocument, m: GoldMention, tokens: list[Token], *, number: int, where: str
) -> dict[str, object]:
    if not m.entity or m.entity == NIL:
        raise InputError(
            f"{where}: the mention at {m.start} to {m.end} has no entity, and ZESHEL carries no "
            "such mentions; leave it out, or choose the format jsonl"
        )
    first, last = covered(tokens, m, where=where)
    return {
        "category": "",
        "text": " ".join(doc.text[m.start : m.end].split()),
        "end_index": last,
        "context_document_id": doc.id,
        "label_document_id": m.entity,
        "mention_id": f"{number:016X}",
        "corpus": _WIKI,
        "start_index": first,
    }
