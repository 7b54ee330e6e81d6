"""Links as Parquet: one row a mention, with the id of its document and its offsets there.

The columns are those of SCHEMA, then the carried ones. A carried column has the type of its values
where they are of one kind, else it holds them as JSON. Texts of documents are not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from entlink.corpus.items import carried, dumps
from entlink.corpus.writers import ColumnKinds, Linked

_ROWS_AT_A_TIME = 8192
_OWN = (
    "document_id",
    "start",
    "end",
    "text",
    "label",
    "entity",
    "name",
    "probability",
    "candidates",
)


def kind_of_value(value: object) -> str:
    """The kind of a carried value: null, bool, int, float, string or json."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "float"
    return "string" if isinstance(value, str) else "json"


def write_parquet(documents: Iterable[Linked], stream: BinaryIO, *, columns: ColumnKinds) -> None:
    """Write a Parquet file; ``columns`` are the kinds of values that each carried column has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: _kind(found) for name, found in columns.items()}
    schema = _schema(kinds)
    rows: list[dict[str, object]] = []
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for linked in documents:
            rows += _rows(linked, kinds)
            if len(rows) >= _ROWS_AT_A_TIME:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _kind(found: Iterable[str]) -> str:
    kinds = set(found) - {"null"}
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else ("json" if kinds else "string")


def candidates_type() -> Any:
    """The Arrow type of a mention's candidates."""
    import pyarrow as pa

    scores = ("probability", "retriever_score", "prior", "reranker_score")
    names = [("entity", pa.string()), ("name", pa.string())]
    return pa.list_(pa.struct([*names, *((score, pa.float64()) for score in scores)]))


def _schema(kinds: Mapping[str, str]) -> Any:
    import pyarrow as pa

    types: dict[str, Any] = dict.fromkeys(_OWN, pa.string())
    types |= {"start": pa.int64(), "end": pa.int64(), "probability": pa.float64()}
    types["candidates"] = candidates_type()
    of_kind = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    names = carried({name: name for name in sorted(kinds)}, taken=_OWN)
    types |= {free: of_kind.get(kinds[str(name)], pa.string()) for free, name in names.items()}
    return pa.schema(list(types.items()))


def _rows(linked: Linked, kinds: Mapping[str, str]) -> list[dict[str, object]]:
    document, extra = linked
    further = carried(
        {name: _value(extra.get(name), kinds[name]) for name in sorted(kinds)}, taken=_OWN
    )
    return [
        {
            "document_id": document.id,
            "start": link.mention.start,
            "end": link.mention.end,
            "text": link.mention.text,
            "label": link.mention.label,
            "entity": link.entity_id,
            "name": link.name,
            "probability": link.probability,
            "candidates": [
                {
                    "entity": c.entity_id,
                    "name": c.name,
                    "probability": c.probability,
                    "retriever_score": c.retriever_score,
                    "prior": c.prior,
                    "reranker_score": c.reranker_score,
                }
                for c in link.candidates
            ],
        }
        | further
        for link in document.links
    ]


def _value(value: object, kind: str) -> object:
    if value is None:
        return None
    if kind == "json":
        return dumps(value).decode()
    return float(str(value)) if kind == "float" else value
