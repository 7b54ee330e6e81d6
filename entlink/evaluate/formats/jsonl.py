"""Our own JSON lines, one document a line (docs/formats.md).

``{"id": "d1", "text": "...", "mentions": [{"start": 0, "end": 5, "entity": "Q90"}]}``; a mention
may have ``label``, and ``text``, which is compared with the offsets. An ``entity`` of null is NIL,
as everywhere in entlink; a mention without the key has no answer. Carries everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from entlink.evaluate.formats.files import (
    id_of,
    numbered,
    objects_in,
    optional_string,
    read_objects,
    text_of,
    write_objects,
)
from entlink.evaluate.formats.gold import (
    GoldDocument,
    GoldMention,
    Located,
    gold_document,
    gold_mention,
    reader,
)
from entlink.records import NIL


@reader
def read(path: Path) -> Iterator[Located]:
    """The documents of a file, plain or gzipped; without ``id`` they are named by file and line."""
    for where, value in read_objects(path):
        text = text_of(value, where=where)
        default = numbered(path, where)
        mentions = [
            _mention(text, m, where=at) for at, m in objects_in(value, "mentions", where=where)
        ]
        yield where, gold_document(id_of(value, where=where, default=default), text, mentions)


def _mention(text: str, m: Mapping[str, object], *, where: str) -> GoldMention:
    entity = optional_string(m, "entity", where=where)
    return gold_mention(
        text,
        m.get("start"),
        m.get("end"),
        where=where,
        entity=(entity or NIL) if "entity" in m else None,
        label=optional_string(m, "label", where=where) or "",
        surface=optional_string(m, "text", where=where),
    )


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write one document a line; gzipped if the name ends in ``.gz``."""
    write_objects(documents, path, _document)


def _document(doc: GoldDocument) -> dict[str, object]:
    return {"id": doc.id, "text": doc.text, "mentions": [_record(m) for m in doc.mentions]}


def _record(m: GoldMention) -> dict[str, object]:
    record: dict[str, object] = {"start": m.start, "end": m.end}
    if m.entity is not None:
        record["entity"] = m.entity
    if m.label:
        record["label"] = m.label
    return record
