"""JSONL: one document a line, ``{"id": "d1", "text": "...", "mentions": [{"start", "end"}]}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

import orjson

from entlink.corpus.items import Entry, Item, SetAside
from entlink.corpus.sources import Source
from entlink.corpus.streams import BOM, TooLong, read_lines
from entlink.corpus.texts import ReadOptions, decode, shown, text_key, too_long
from entlink.errors import InputError
from entlink.records import Document, Mention


def starts_jsonl(line: bytes, options: ReadOptions) -> bool:
    if not line.removeprefix(BOM).lstrip().startswith(b"{"):
        return False
    try:
        record = orjson.loads(line.removeprefix(BOM))
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and (options.text_column or text_key(record)) in record


def read_jsonl(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    offset = 0
    keys = _Keys(options)
    for number, line in enumerate(read_lines(stream, max_bytes=options.max_bytes), start=1):
        where = f"{source.name}:{number}"
        if isinstance(line, TooLong):
            offset += line.n_bytes
            yield too_long(where, line, options)
            continue
        try:
            text = decode(line, where=where, offset=offset).strip()
            if text:
                yield parse_line(text, where=where, keys=keys, default=f"{source.label}:{number}")
        except InputError as error:
            yield SetAside(where, str(error), raw=shown(line))
        offset += len(line)


class _Keys:
    """Which keys hold text and id: those asked for, or as the first object of a file has them."""

    def __init__(self, options: ReadOptions) -> None:
        self.text = options.text_column
        self.id = "id" if options.id_column is None else options.id_column
        self.needs_id = bool(options.id_column)

    def settle(self, record: Mapping[str, object]) -> str:
        if self.text is None:
            self.text = text_key(record)
        return self.text


def parse_document(line: str, *, where: str, default_id: str) -> Document:
    """One JSONL line as a document; ``where`` is what an error calls it ("docs.jsonl:3")."""
    return parse_line(
        line, where=where, keys=_Keys(ReadOptions("text")), default=default_id
    ).document


def parse_line(line: str, *, where: str, keys: _Keys, default: str) -> Item:
    """One JSONL line as a document with its further keys."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error.msg}, column {error.colno})") from None
    key = keys.settle(record) if isinstance(record, dict) else "text"
    if not isinstance(record, dict) or not isinstance(record.get(key), str):
        raise InputError(
            f'{where}: no text; each line must be an object with a string "{key}", or name another '
            "key with --text-column"
        )
    text = record.pop(key)
    if keys.needs_id and keys.id not in record:
        has = ", ".join(map(repr, [key, *record]))
        raise InputError(f"{where}: no key {keys.id!r} for the id; it has {has}; name another")
    identifier = record.pop(keys.id, default) if keys.id else default
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise InputError(
            f'{where}: "{keys.id}" is {identifier!r}; it must be a string or a whole number'
        )
    given = record.pop("mentions", None)
    if given is not None and not isinstance(given, list):
        raise InputError(f'{where}: "mentions" is not a list; leave it out to have them found')
    mentions = None
    if given is not None:
        found = [
            _parse_mention(item, text=text, where=f"{where}: mention {number}")
            for number, item in enumerate(given, start=1)
        ]
        mentions = tuple(sorted(found, key=lambda m: (m.start, m.end)))
    return Item(Document(str(identifier), text, mentions), where, record)


def _parse_mention(item: object, *, text: str, where: str) -> Mention:
    if not isinstance(item, dict):
        raise InputError(f'{where} is not an object with "start" and "end"')
    fields = cast("dict[str, object]", item)
    start, end = fields.get("start"), fields.get("end")
    # type() and not isinstance(): JSON's true would pass as the integer 1
    if type(start) is not int or type(end) is not int:
        raise InputError(f'{where} needs whole numbers as "start" and "end"')
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"{where} spans {start} to {end}, but its text has {len(text)} characters; "
            "offsets count characters from 0, end exclusive"
        )
    surface = text[start:end]
    if fields.get("text", surface) != surface:
        raise InputError(
            f"{where} says {fields['text']!r}, but characters {start} to {end} are {surface!r}; "
            "offsets count characters from 0, end exclusive"
        )
    label = fields.get("label", "")
    return Mention(start=start, end=end, text=surface, label=label if type(label) is str else "")
