"""Lines from files, plain or gzipped, and files that appear only when they are whole."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import orjson

from entlink.errors import InputError
from entlink.evaluate.formats.gold import GoldDocument, writable

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


def read_bytes_of_lines(path: Path) -> Iterator[bytes]:
    """Each line with its end; the gzip signature decides, not the file's name."""
    try:
        with path.open("rb") as probe:
            gzipped = probe.read(len(_GZIP)) == _GZIP
        with gzip.open(path, "rb") if gzipped else path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; name a file in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: the gzip file is damaged or cut short ({error}); fetch it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from None


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line without its end, with "path:line" to be named in errors."""
    for number, line in enumerate(read_bytes_of_lines(path), start=1):
        where = f"{path}:{number}"
        if number == 1:
            line = line.removeprefix(_BOM)
        try:
            yield where, line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{where}: byte {error.start} of the line is no UTF-8 "
                f"(0x{line[error.start]:02x}); convert the file to UTF-8"
            ) from None


def read_objects(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Each line's JSON object with "path:line"; blank lines are skipped."""
    for where, line in read_lines(path):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(
                f"{where}: not valid JSON ({error.msg}, column {error.colno}); "
                "write one object a line"
            ) from None
        if not isinstance(value, dict):
            raise InputError(f"{where}: a JSON {type(value).__name__}; write one object a line")
        yield where, value


def text_of(value: Mapping[str, object], *, where: str) -> str:
    """The string ``text`` of a JSON object."""
    text = value.get("text")
    if not isinstance(text, str):
        raise InputError(f'{where}: its "text" is {text!r:.40}; give each document a string "text"')
    return text


def id_of(value: Mapping[str, object], *, where: str, default: str) -> str:
    """The ``id`` of a JSON object, a string or a number."""
    found = value.get("id", default)
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise InputError(f'{where}: its "id" is {found!r:.40}; write a string or a number')
    return str(found)


def objects_in(
    value: Mapping[str, object], key: str, *, where: str
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The objects of a list in a JSON object, each with "path:line: key 1" for errors."""
    found = value.get(key)
    if found is None:
        return
    if not isinstance(found, list):
        raise InputError(f'{where}: its "{key}" are {found!r:.40}; write a list of objects')
    for number, item in enumerate(found, start=1):
        if not isinstance(item, dict):
            raise InputError(f'{where}: number {number} of "{key}" is {item!r:.40}, not an object')
        yield f"{where}: number {number} of {key}", item


def optional_string(value: Mapping[str, object], key: str, *, where: str) -> str | None:
    """A string of a JSON object, or None where it is absent or null."""
    found = value.get(key)
    if found is not None and not isinstance(found, str):
        raise InputError(f'{where}: its "{key}" is {found!r:.40}; write a string or null')
    return found


class Lines(Protocol):
    """Writes one document as text; InputError, beginning with ``where``, for what does not fit."""

    def __call__(self, doc: GoldDocument, *, where: str) -> Iterable[str]: ...


def write_lines(
    documents: Iterable[GoldDocument],
    path: Path,
    lines: Lines,
    *,
    head: str = "",
    without_overlaps: str = "",
) -> None:
    """Write the lines of each document after ``head``; see ``writable`` for what is refused."""
    with replacing(path) as file:
        file.write(head.encode())
        for doc in writable(documents, path, without_overlaps=without_overlaps):
            file.write("".join(lines(doc, where=f"{path}: document {doc.id!r}")).encode())


def write_objects(
    documents: Iterable[GoldDocument],
    path: Path,
    record: Callable[[GoldDocument], Mapping[str, object]],
) -> None:
    """Write each document as one JSON object a line; see ``writable`` for what is refused."""
    with replacing(path) as file:
        for doc in writable(documents, path):
            file.write(orjson.dumps(record(doc), option=orjson.OPT_APPEND_NEWLINE))


def numbered(path: Path, where: str) -> str:
    """The id of a document that has none: the file's name and the line at which it stands."""
    return f"{path.name}:{where.rpartition(':')[2]}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the name ``path`` at the end, or vanishes on an error.

    It is gzipped, without the time, if the name ends in ``.gz``.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {str(path.parent)!r}; make it first")
    # the mode that open() would give; mkstemp alone makes files that only their owner can read
    umask = os.umask(0)
    os.umask(umask)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw:
            if path.name.endswith(".gz"):
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped:
                    yield cast(BinaryIO, zipped)
            else:
                yield raw
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
