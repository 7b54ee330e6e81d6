"""Gold corpora in the formats that people have them in: one module a format, all alike.

Each module has ``read(path) -> Iterator[GoldDocument]`` and ``write(documents, path)``; its
docstring says what the format cannot carry. Offsets are Python string indices for all of them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, cast

from entlink.errors import InputError
from entlink.evaluate.formats.files import read_lines, read_objects
from entlink.evaluate.formats.gold import GoldDocument, GoldMention

__all__ = [
    "FORMATS",
    "GoldDocument",
    "GoldMention",
    "guess_format",
    "read_corpus",
    "write_corpus",
]

FORMATS = {  # name: the module, imported when the format is used
    "jsonl": "entlink.evaluate.formats.jsonl",
    "elevant": "entlink.evaluate.formats.elevant",
    "nif": "entlink.evaluate.formats.nif",
    "aida": "entlink.evaluate.formats.aida",
    "pubtator": "entlink.evaluate.formats.pubtator",
    "hipe": "entlink.evaluate.formats.hipe",
    "zeshel": "entlink.evaluate.formats.zeshel",
    "docbin": "entlink.evaluate.formats.docbin",
    "prodigy": "entlink.evaluate.formats.prodigy",
}
_SUFFIXES = {".ttl": "nif", ".nif": "nif", ".spacy": "docbin"}
_OUT_SUFFIXES = {**_SUFFIXES, ".jsonl": "jsonl"}
_KEYS = {  # a key that tells which kind of JSON lines it is; looked for in this order
    "context_document_id": "zeshel",
    "labels": "elevant",
    "evaluation_span": "elevant",
    "mentions": "jsonl",
    "spans": "prodigy",
    "answer": "prodigy",
    "text": "jsonl",
}
_FIRST_LINES = (
    (re.compile(r"-DOCSTART-"), "aida"),
    (re.compile(r"[^|\t]+\|[ta]\|"), "pubtator"),
    (re.compile(r"TOKEN\t.*\bNEL-LIT\b"), "hipe"),
    (re.compile(r"@?(prefix|base)\b", re.IGNORECASE), "nif"),
)


class Format(Protocol):
    """What a module of this package has."""

    def read(self, path: Path) -> Iterator[GoldDocument]:
        """The documents of a file; InputError names the file and the line."""
        ...

    def write(self, documents: Iterable[GoldDocument], path: Path) -> None:
        """Write the documents; the file appears when it is whole."""
        ...


def read_corpus(path: Path, format: str | None = None) -> Iterator[GoldDocument]:
    """The documents of a file (or of a ZESHEL folder); without ``format`` it is guessed.

    Raises InputError, with file and line, for a line that is not of the format, an offset outside
    its text or that disagrees with the surface the file gives, a document id that appears twice,
    a file without documents, and a damaged gzip file.
    """
    return _module(guess_format(path) if format is None else format).read(path)


def write_corpus(documents: Iterable[GoldDocument], path: Path, format: str | None = None) -> None:
    """Write documents; without ``format`` it is told by the file's suffix.

    Raises InputError for what the format cannot carry, and leaves no file behind then.
    """
    if format is None:
        format = _OUT_SUFFIXES.get(_suffix(path))
    if format is None:
        raise InputError(
            f"{path}: its name does not tell the format; name one of {', '.join(FORMATS)}"
        )
    _module(format).write(documents, path)


def guess_format(path: Path) -> str:
    """The format of a file, by its suffix or else by its first line that is not empty.

    Raises InputError if neither tells.
    """
    if path.is_dir():
        return "zeshel"
    if found := _SUFFIXES.get(_suffix(path)):
        return found
    line = next((line for _, line in read_lines(path) if line.strip()), None)
    if line is None:
        raise InputError(f"{path}: has no documents; give a file with at least one")
    if line.lstrip().startswith("{"):
        return _guess_by_keys(path)
    for pattern, name in _FIRST_LINES:
        if pattern.match(line):
            return name
    raise InputError(
        f"{path}: its first line tells no format ({line[:40]!r}); name one of {', '.join(FORMATS)}"
    )


def _guess_by_keys(path: Path) -> str:
    where, value = next(read_objects(path))
    for key, name in _KEYS.items():
        if key in value:
            return name
    raise InputError(
        f"{where}: has none of the keys {', '.join(_KEYS)}; name the format of the file"
    )


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _module(name: str) -> Format:
    if name not in FORMATS:
        raise InputError(f"no corpus format is called {name!r}; name one of {', '.join(FORMATS)}")
    return cast(Format, importlib.import_module(FORMATS[name]))
