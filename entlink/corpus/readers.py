"""Documents from files: plain text (one document a file) and JSONL (one document a line).

A JSONL line is ``{"id": "d1", "text": "...", "mentions": [{"start": 0, "end": 5}]}``; ``id`` and
``mentions`` may be absent. Offsets are Python string indices into ``text``, end exclusive.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from entlink.errors import InputError
from entlink.records import Document, Mention

STDIN = "-"
_STDIN_NAME = "standard input"
_BOM = b"\xef\xbb\xbf"


def check_sources(sources: Sequence[str]) -> None:
    """Raise InputError for the first source that cannot be read; cheap, so done before loading."""
    for source in sources:
        if source == STDIN:
            continue
        path = Path(source)
        if path.is_dir():
            raise InputError(f"{source}: is a folder; name the files in it")
        try:
            path.open("rb").close()
        except FileNotFoundError:
            raise InputError(f"{source}: no such file; check the name and the folder") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{source}: cannot be read ({_reason(error)})") from None


def read_documents(sources: Iterable[str], *, stdin: BinaryIO | None = None) -> Iterator[Document]:
    """The documents of all sources, in order; ``-`` is standard input.

    Names that end in ``.jsonl`` or ``.jsonl.gz`` hold one document a line, every other file is one
    document of plain text. Standard input is JSONL if its first line is a JSON object with "text".
    Raises InputError that names the file and the line or byte.
    """
    for source in sources:
        if source == STDIN:
            yield from _read_stdin(stdin or sys.stdin.buffer)
        elif source.endswith((".jsonl", ".jsonl.gz")):
            check_sources([source])
            yield from _read_jsonl_file(source)
        else:
            check_sources([source])
            yield Document(id=Path(source).name, text=decode(_read_file(source), where=source))


def decode(data: bytes, *, where: str, offset: int = 0) -> str:
    """UTF-8 bytes as text, without a byte order mark; ``offset`` is where data starts in its file.

    Raises InputError with the offset of the first byte that is not UTF-8. Line ends are kept as
    they are, so that offsets into the text are those of the file's characters.
    """
    if offset == 0 and data.startswith(_BOM):
        data, offset = data[len(_BOM) :], len(_BOM)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not valid UTF-8 at byte {offset + error.start} "
            f"(0x{data[error.start]:02x}); convert the file to UTF-8"
        ) from None


def parse_document(line: str, *, where: str, default_id: str) -> Document:
    """One JSONL line as a document; ``where`` is what an error calls it ("docs.jsonl:3")."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error.msg}, column {error.colno})") from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise InputError(f'{where}: no text; each line must be an object with a string "text"')
    identifier = record.get("id", default_id)
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise InputError(f'{where}: "id" is {identifier!r}; it must be a string or a number')
    given = record.get("mentions")
    if given is None:
        return Document(id=str(identifier), text=record["text"])
    if not isinstance(given, list):
        raise InputError(f'{where}: "mentions" is not a list; leave it out to have them found')
    mentions = [
        _parse_mention(item, text=record["text"], where=f"{where}: mention {number}")
        for number, item in enumerate(given, start=1)
    ]
    mentions.sort(key=lambda m: (m.start, m.end))
    return Document(id=str(identifier), text=record["text"], mentions=tuple(mentions))


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


def _read_jsonl(lines: Iterable[bytes], *, name: str, id_prefix: str) -> Iterator[Document]:
    offset = 0
    for number, line in enumerate(lines, start=1):
        where = f"{name}:{number}"
        text = decode(line, where=where, offset=offset).strip()
        offset += len(line)
        if text:
            yield parse_document(text, where=where, default_id=f"{id_prefix}:{number}")


def _read_jsonl_file(source: str) -> Iterator[Document]:
    path = Path(source)
    try:
        with path.open("rb") as raw:
            if source.endswith(".gz"):
                with gzip.open(raw) as unzipped:
                    yield from _read_jsonl(unzipped, name=source, id_prefix=path.name)
            else:
                yield from _read_jsonl(raw, name=source, id_prefix=path.name)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{source}: not a whole gzip file ({_reason(error)})") from None


def _read_stdin(stream: BinaryIO) -> Iterator[Document]:
    first = stream.readline()
    if _starts_jsonl(first):
        yield from _read_jsonl(chain([first], stream), name=_STDIN_NAME, id_prefix="stdin")
    else:
        yield Document(id="stdin", text=decode(first + stream.read(), where=_STDIN_NAME))


def _starts_jsonl(line: bytes) -> bool:
    if not line.removeprefix(_BOM).lstrip().startswith(b"{"):
        return False
    try:
        record = orjson.loads(line.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and "text" in record


def _read_file(source: str) -> bytes:
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason or type(error).__name__
