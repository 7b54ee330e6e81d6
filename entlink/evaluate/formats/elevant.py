"""ELEVANT's benchmark format: JSON lines with ``labels`` (github.com/ad-freiburg/elevant).

``{"id": 0, "title": "...", "text": "...", "evaluation_span": [0, 90], "labels": [{"id": 0,
"span": [0, 5], "entity_id": "Q90", "name": "...", "type": "Q515"}]}``. ``<NIL>`` (and ids such as
``Unknown12``, ELEVANT's older way) is NIL; ``<NO_MAPPING>`` is a mention without an answer. The
type is the label.

Not carried: titles, entity names, alternative and optional labels. Labels outside
``evaluation_span`` are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from entlink.errors import InputError
from entlink.evaluate.formats.files import (
    id_of,
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

_NIL = "<NIL>"
_OLD_NIL = re.compile(r"Unknown[0-9]+")
_NO_ANSWER = "<NO_MAPPING>"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@reader
def read(path: Path) -> Iterator[Located]:
    """The articles of a benchmark file, plain or gzipped."""
    for where, value in read_objects(path):
        text = text_of(value, where=where)
        if "id" not in value:
            raise InputError(f'{where}: has no "id"; give each article its own')
        mentions = [
            _mention(text, label, where=at)
            for at, label in objects_in(value, "labels", where=where)
        ]
        yield where, gold_document(id_of(value, where=where, default=""), text, mentions)


def _mention(text: str, label: Mapping[str, object], *, where: str) -> GoldMention:
    span = label.get("span")
    if not isinstance(span, list) or len(span) != 2:
        raise InputError(f'{where}: its "span" is {span!r:.40}; write [start, end]')
    entity = optional_string(label, "entity_id", where=where)
    if entity == _NO_ANSWER:
        entity = None
    elif entity is not None and (entity == _NIL or _OLD_NIL.fullmatch(entity)):
        entity = NIL
    kind = optional_string(label, "type", where=where) or ""
    return gold_mention(text, span[0], span[1], where=where, entity=entity, label=kind)


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write one article a line; ids that are numbers become numbers again."""
    write_objects(documents, path, _article)


def _article(doc: GoldDocument) -> dict[str, object]:
    return {
        "id": int(doc.id) if _NUMBER.fullmatch(doc.id) else doc.id,
        "title": doc.id,
        "text": doc.text,
        "evaluation_span": [0, len(doc.text)],
        "labels": [_label(number, m) for number, m in enumerate(doc.mentions)],
    }


def _label(number: int, m: GoldMention) -> dict[str, object]:
    entity = {NIL: _NIL, None: _NO_ANSWER}.get(m.entity, m.entity)
    return {
        "id": number,
        "span": [m.start, m.end],
        "entity_id": entity,
        "name": "Unknown" if m.entity in (NIL, None) else m.entity,
        "type": m.label,
    }
