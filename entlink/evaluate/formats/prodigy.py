"""Annotations as Prodigy exports them (``db-out``), JSON lines with ``spans``.

``{"text": "...", "spans": [{"start": 0, "end": 5, "label": "LOC", "kb_id": "Q90"}], "answer":
"accept"}``. Where a task asks for the entity of its one span by multiple choice, as in spaCy's
entity linking tutorial, ``"accept": ["Q90"]`` is the answer. ``NIL`` and ids that begin with
``NIL_`` are NIL. The id is ``id``, else ``meta.id``, else file and line.

Tasks whose ``answer`` is ``reject`` or ``ignore`` are left out. Not carried: tokens, options,
hashes, other metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from entlink.errors import InputError
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

_NIL_KINDS = f"{NIL}_"  # "NIL_otherLink", "NIL_ambiguous"


@reader
def read(path: Path) -> Iterator[Located]:
    """The accepted tasks of a file, plain or gzipped."""
    for where, task in read_objects(path):
        if task.get("answer", "accept") != "accept":
            continue
        text = text_of(task, where=where)
        spans = list(objects_in(task, "spans", where=where))
        choice = _choice(task, n_spans=len(spans), where=where)
        mentions = [_mention(text, span, choice, where=at) for at, span in spans]
        yield where, gold_document(_id(task, path, where=where), text, mentions)


def _id(task: Mapping[str, object], path: Path, *, where: str) -> str:
    meta = task.get("meta")
    holder = meta if "id" not in task and isinstance(meta, dict) else task
    return id_of(holder, where=where, default=numbered(path, where))


def _choice(task: Mapping[str, object], *, n_spans: int, where: str) -> str | None:
    """The entity chosen for the task's only span, None if the task is no multiple choice."""
    accepted = task.get("accept")
    if not accepted:
        return None
    if n_spans != 1 or not isinstance(accepted, list) or not isinstance(accepted[0], str):
        raise InputError(
            f'{where}: "accept" is {accepted!r:.40} with {n_spans} spans; '
            "write one id for one span, or give each span its kb_id"
        )
    if len(accepted) > 1:
        raise InputError(f'{where}: "accept" has {len(accepted)} ids; keep the one that is meant')
    return accepted[0]


def _mention(
    text: str, span: Mapping[str, object], choice: str | None, *, where: str
) -> GoldMention:
    entity = choice or optional_string(span, "kb_id", where=where) or None
    return gold_mention(
        text,
        span.get("start"),
        span.get("end"),
        where=where,
        entity=NIL if entity and entity.startswith(_NIL_KINDS) else entity,
        label=optional_string(span, "label", where=where) or "",
        surface=optional_string(span, "text", where=where),
    )


def write(documents: Iterable[GoldDocument], path: Path) -> None:
    """Write one accepted task a line, with ``kb_id`` on the spans."""
    write_objects(documents, path, _task)


def _task(doc: GoldDocument) -> dict[str, object]:
    spans = [_span(m) for m in doc.mentions]
    return {"id": doc.id, "text": doc.text, "spans": spans, "answer": "accept"}


def _span(m: GoldMention) -> dict[str, object]:
    span: dict[str, object] = {"start": m.start, "end": m.end, "label": m.label}
    return span if m.entity is None else {**span, "kb_id": m.entity}
