"""One text: its bytes decoded, its length within the limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from entlink.corpus.items import MAX_RAW, Entry, Item, SetAside, dumps
from entlink.corpus.sources import Source
from entlink.corpus.streams import BOM, TooLong, read_all
from entlink.errors import InputError, reason
from entlink.records import Document

MAX_CHARS = 10_000_000  # of one text; longer ones are set aside
_BYTES_A_CHAR = 8  # a line may hold so many: UTF-8 takes 4, JSON's escapes 6, and there is more

# What a column of texts and one of ids tend to be called, the first found is taken
TEXT_NAMES = ("text", "body", "content", "article", "document", "abstract", "sentence", "message")
ID_NAMES = ("id", "doc_id", "docid", "document_id", "uid", "uuid", "guid", "key", "url")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How files are read. A column that is None is guessed; an id column "" means: none."""

    text_column: str | None = None
    id_column: str | None = None
    max_chars: int = MAX_CHARS

    @property
    def max_bytes(self) -> int:
        """The length of a line or text file beyond which it is not even read."""
        return _BYTES_A_CHAR * self.max_chars


def text_key(names: Iterable[str]) -> str:
    """Which of these keys holds the text, going by their names."""
    lower = {str(name).lower(): str(name) for name in reversed(list(names))}
    return next((lower[name] for name in TEXT_NAMES if name in lower), TEXT_NAMES[0])


def checked(entry: Entry, options: ReadOptions) -> Entry:
    """The entry, or that its text is too long or its columns cannot be written again."""
    if isinstance(entry, SetAside):
        return entry
    document = entry.document
    if len(document.text) > options.max_chars:
        return SetAside(
            entry.where,
            f"{entry.where}: a text of {len(document.text)} characters, and the limit is "
            f"{options.max_chars}; split it, or raise the limit (--max-chars)",
            raw=document.text[:MAX_RAW],
        )
    try:
        dumps(entry.extra)
    except TypeError as error:  # numbers or nesting beyond what JSON libraries take
        why = f"{entry.where}: its other columns cannot be carried through ({reason(error)})"
        return SetAside(entry.where, why, raw=document.text[:MAX_RAW])
    return entry


def too_long(where: str, found: TooLong, options: ReadOptions) -> SetAside:
    """What is said of a line or file that is not read because of its length."""
    return SetAside(
        where,
        f"{where}: {found.n_bytes} bytes in one piece, more than a text of {options.max_chars} "
        "characters takes; split it, or raise the limit (--max-chars)",
        raw=shown(found.start),
    )


def shown(data: bytes) -> str:
    """The start of some bytes, those that are not UTF-8 escaped."""
    return data[: 4 * MAX_RAW].decode("utf-8", "backslashreplace")[:MAX_RAW]


def decode(data: bytes, *, where: str, offset: int = 0) -> str:
    """UTF-8 bytes as text, without a byte order mark; ``offset`` is where data starts in its file.

    Raises InputError with the offset of the first byte that is not UTF-8. Line ends are kept as
    they are, so that offsets into the text are those of the file's characters.
    """
    if offset == 0 and data.startswith(BOM):
        data, offset = data[len(BOM) :], len(BOM)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not valid UTF-8 at byte {offset + error.start} "
            f"(0x{data[error.start]:02x}); convert the file to UTF-8"
        ) from None


def read_text(source: Source, stream: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    data = read_all(stream, max_bytes=options.max_bytes)
    if isinstance(data, TooLong):
        yield too_long(source.name, data, options)
        return
    try:
        yield Item(Document(source.label, decode(data, where=source.name)), source.name)
    except InputError as error:
        yield SetAside(source.name, str(error), raw=shown(data))
