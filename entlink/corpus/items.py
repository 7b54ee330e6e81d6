"""What a corpus is made of on its way to the links: documents, and what had to be set aside.

Entries are cut into batches, the texts that go through the models together, and batches into
shards, the unit of work that is resumed or sent to another process. Both cuts depend on the input
and on whether the reranker reads, so that every engine, and a run that was interrupted, gives the
same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

import orjson

from entlink.errors import InputError, reason
from entlink.records import Document, Mention

BATCH_DOCUMENTS = 64  # linked together
BATCH_CHARS = 500_000  # a batch is closed when its texts are longer than this together
SHARD_BATCHES = 4
# what one core does in about a minute or less: so much is lost with a kill, and so often it is told
# how far a run has come; smaller ones would be many files
SHARD_CHARS_READ = 32_000  # with the reranker
SHARD_CHARS = 1_000_000  # without it
MAX_RAW = 1000  # characters of what could not be read that go to the quarantine file

OWN_KEYS = frozenset(["id", "text", "mentions"])
_ASIDE_KEYS = frozenset(["where", "reason", "raw"])  # of the quarantine file, beside those


@dataclass(frozen=True, slots=True)
class Item:
    """A document, where it was read, and the columns that are carried through."""

    document: Document
    where: str = ""  # "docs.jsonl:3"
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A document, or a stretch of a file, that could not be read or linked."""

    where: str
    reason: str  # one sentence
    item: Item | None = None  # the document, where it could be read
    raw: str | None = None  # the start of what could not be read


Entry = Item | SetAside


def batches(entries: Iterable[Entry], *, max_chars: int = BATCH_CHARS) -> Iterator[list[Entry]]:
    """Cut into runs of at most BATCH_DOCUMENTS entries and, but for one long text, BATCH_CHARS.

    ``max_chars``: fewer, where there is to be something to see earlier.
    """
    max_chars = min(BATCH_CHARS, max_chars)
    return _runs(entries, _length, most=BATCH_DOCUMENTS, max_chars=max_chars)


def shards(entries: Iterable[Entry], *, max_chars: int) -> Iterator[list[list[Entry]]]:
    """Cut into runs of at most SHARD_BATCHES batches and, but for one long text, ``max_chars``."""
    some = batches(entries, max_chars=max_chars)
    return _runs(some, lambda b: sum(map(_length, b)), most=SHARD_BATCHES, max_chars=max_chars)


def shard_chars(*, reranker: bool) -> int:
    """The characters of a shard, with the reranker or without it."""
    return SHARD_CHARS_READ if reranker else SHARD_CHARS


def _length(entry: Entry) -> int:
    return len(entry.document.text) if isinstance(entry, Item) else 0


_T = TypeVar("_T")


def _runs(
    things: Iterable[_T], length_of: Callable[[_T], int], *, most: int, max_chars: int
) -> Iterator[list[_T]]:
    """Runs of at most so many things and, but for one long thing, so many characters."""
    run: list[_T] = []
    n_chars = 0
    for thing in things:
        length = length_of(thing)
        if run and (len(run) == most or n_chars + length > max_chars):
            yield run
            run, n_chars = [], 0
        run.append(thing)
        n_chars += length
    if run:
        yield run


def distinct(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Set aside each document whose id was there before; what was seen is kept on disk."""
    seen = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": a nameless file
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000"):
            seen.execute(f"PRAGMA {pragma}")
        seen.execute("CREATE TABLE ids (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        seen.execute("BEGIN")
        for entry in entries:
            if isinstance(entry, Item):
                key = entry.document.id.encode("utf-8", "surrogatepass")
                digest = hashlib.blake2b(key, digest_size=16).digest()
                try:
                    added = seen.execute("INSERT OR IGNORE INTO ids VALUES (?)", (digest,))
                except sqlite3.OperationalError as error:
                    raise InputError(
                        f"{entry.where}: the ids seen so far cannot be kept ({reason(error)}); "
                        "make room for temporary files, or name another folder for them with TMPDIR"
                    ) from None
                if not added.rowcount:
                    yield _again(entry)
                    continue
            yield entry
    finally:
        seen.close()


def _again(item: Item) -> SetAside:
    return SetAside(
        item.where,
        f"{item.where}: the id {item.document.id!r} appeared before; give each document its own",
        item=item,
    )


def dumps(value: object) -> bytes:
    """JSON, also of what tables hold: dates, numbers of any kind, bytes (as base64)."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _document_record(item: Item, *, taken: frozenset[str]) -> dict[str, object]:
    """A document as a line of the texts format, with its further columns."""
    document = item.document
    record: dict[str, object] = {"id": document.id, "text": document.text}
    if document.mentions is not None:
        record["mentions"] = [
            {"start": m.start, "end": m.end, **({"label": m.label} if m.label else {})}
            for m in document.mentions
        ]
    return record | carried(item.extra, taken=taken)


def carried(extra: Mapping[str, object], *, taken: Iterable[str]) -> dict[str, object]:
    """The further columns, none under a name that is taken."""
    names = set(taken) | set(extra)
    result = {}
    for name, value in extra.items():
        free = name
        while free in taken or (free != name and free in names):
            free += "_"
        names.add(free)
        result[free] = value
    return result


def set_aside_line(entry: SetAside) -> bytes:
    """A line of the quarantine file: the document if it could be read, where it was, and why."""
    record = _document_record(entry.item, taken=OWN_KEYS | _ASIDE_KEYS) if entry.item else {}
    if entry.raw is not None:
        record["raw"] = entry.raw
    return dumps(record | {"where": entry.where, "reason": entry.reason}) + b"\n"


def encode_shard(shard: Iterable[Iterable[Entry]]) -> bytes:
    """A shard for another process."""
    return dumps([[_encode(entry) for entry in batch] for batch in shard])


def decode_shard(data: bytes) -> list[list[Entry]]:
    """What `encode_shard` was given."""
    return [[_decode(fields) for fields in batch] for batch in orjson.loads(data)]


def _encode(entry: Entry) -> list[object]:
    if isinstance(entry, SetAside):
        item = _encode(entry.item) if entry.item else None
        return [entry.where, entry.reason, item, entry.raw]
    document = entry.document
    mentions = document.mentions
    places = None if mentions is None else [[m.start, m.end, m.text, m.label] for m in mentions]
    return [entry.where, document.id, document.text, places, dict(entry.extra)]


def _decode(fields: list[object]) -> Entry:
    if len(fields) == 4:
        where, reason, item, raw = cast("tuple[str, str, list[object] | None, str | None]", fields)
        return SetAside(where, reason, cast("Item", _decode(item)) if item else None, raw)
    where, id_, text, places, extra = cast(
        "tuple[str, str, str, list[tuple[int, int, str, str]] | None, dict[str, object]]", fields
    )
    mentions = None if places is None else tuple(Mention(*place) for place in places)
    return Item(Document(id_, text, mentions), where, extra)
