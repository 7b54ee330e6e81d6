"""Every wrong link with both entities' texts, to be read by people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from entlink.evaluate.formats.files import replacing
from entlink.evaluate.metrics import Outcome
from entlink.evaluate.run import Measured
from entlink.inputs import entity_description
from entlink.kb.store import KnowledgeBase
from entlink.records import NIL, Entity

CONTEXT_CHARS = 150  # shown on each side of a mention


def write_mistakes(measured: Sequence[Measured], kb: KnowledgeBase, path: Path) -> int:
    """Write one JSON object a line for each wrong answer; returns how many there are.

    A line says what went wrong: "other entity", "answered NIL" (the entity is in the KB), or
    "linked" (it is not). ``top`` is the best candidate, whether or not it became the answer.
    """
    wrong = [(m, o) for m in measured for o in m.outcomes if not o.is_right]
    entities = _entities(kb, (o for _, o in wrong))
    with replacing(path) as file:
        for record in _records(wrong, entities):
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return len(wrong)


def _entities(kb: KnowledgeBase, outcomes: Iterable[Outcome]) -> dict[str, Entity]:
    ids = {id for o in outcomes for id in (o.gold, o.top) if id is not None}
    rows = kb.rows_of(sorted(ids))
    return dict(zip(rows, kb.by_rows(list(rows.values())), strict=True))


def _records(
    wrong: Sequence[tuple[Measured, Outcome]], entities: Mapping[str, Entity]
) -> Iterator[dict[str, Any]]:
    texts: dict[str, dict[str, str]] = {}
    for m, o in wrong:
        if m.gold.name not in texts:
            texts[m.gold.name] = {doc.id: doc.text for doc in m.gold.documents}
        text = texts[m.gold.name][o.doc]
        yield {
            "set": m.gold.name,
            "doc": o.doc,
            "start": o.start,
            "end": o.end,
            "text": text[o.start : o.end],
            "left": text[max(0, o.start - CONTEXT_CHARS) : o.start],
            "right": text[o.end : o.end + CONTEXT_CHARS],
            "wrong": _kind(o),
            "answer": o.answer,
            "probability": round(o.top_probability, 6),
            "gold_rank": o.rank,
            "gold": _entity(o.gold, entities),
            "top": None if o.top is None else _entity(o.top, entities),
        }


def _kind(o: Outcome) -> str:
    if not o.in_kb:
        return "linked"
    return "answered NIL" if o.answer == NIL else "other entity"


def _entity(id: str, entities: Mapping[str, Entity]) -> dict[str, Any]:
    entity = entities.get(id)
    if entity is None:
        return {"id": id, "in_kb": False}
    return {
        "id": id,
        "in_kb": True,
        "name": entity.name,
        "aliases": entity.aliases,
        "text": entity_description(entity),
        "popularity": entity.popularity,
    }
