"""Which files are read, and of what kind they are."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from entlink.errors import InputError

STDIN = "-"
STDIN_NAME = "standard input"
_BLOCK = 1 << 20


class Kind(Enum):
    """What a file holds."""

    TEXT = "text"  # one document
    JSONL = "jsonl"  # one document a line
    CSV = "csv"  # one document a row, below a line of names
    TSV = "tsv"
    PARQUET = "parquet"  # one document a row
    DOCBIN = "spacy"


_KINDS = {
    ".txt": Kind.TEXT,
    ".text": Kind.TEXT,
    ".md": Kind.TEXT,
    ".jsonl": Kind.JSONL,
    ".ndjson": Kind.JSONL,
    ".csv": Kind.CSV,
    ".tsv": Kind.TSV,
    ".parquet": Kind.PARQUET,
    ".spacy": Kind.DOCBIN,
}
_PACKED = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read, or standard input."""

    name: str  # what errors call it
    label: str  # what the ids of documents without one begin with; unlike that of other sources
    kind: Kind | None = None  # None: standard input, which its first line tells
    packed: str = ""  # "", ".gz" or ".zst"
    path: Path | None = None
    n_bytes: int | None = None  # None where that cannot be known (a pipe)


def find_sources(
    given: Sequence[str | Path], *, leave_out: Collection[Path] = ()
) -> list[list[Source]]:
    """For each name given the files to read: a folder's in order of their names, else itself.

    Of folders, files of kinds that entlink reads are taken, without hidden ones and ``leave_out``.
    Raises InputError for what is not there, cannot be opened, or is a folder without such files.
    """
    names = [str(name) for name in given]
    found = [list(_of(name, {path.resolve() for path in leave_out})) for name in names]
    labels = Counter(source.label for sources in found for source in sources)
    return [
        [s if labels[s.label] == 1 else replace(s, label=s.name) for s in sources]
        for sources in found
    ]


def _of(name: str, leave_out: Collection[Path]) -> Iterator[Source]:
    if name == STDIN:
        yield Source(STDIN_NAME, "stdin")
        return
    check_readable(name)
    path = Path(name)
    if not path.is_dir():
        yield _source(path, name=name, label=path.name)
        return
    n_others = 0
    n_found = 0
    for file in _files(path):
        if leave_out and file.resolve() in leave_out:
            continue
        if kind_of(file.name)[0] is None:
            n_others += 1
            continue
        n_found += 1
        relative = file.relative_to(path).as_posix()
        yield _source(file, name=str(file), label=relative)
    if not n_found:
        others = f", only {n_others} of other kinds" if n_others else ""
        raise InputError(
            f"{name}: no files to link in this folder{others}; their names have to end in "
            f"{', '.join(_KINDS)}, or one of these and .gz or .zst"
        )


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder in order; hidden ones and those of unfinished work left out."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not name.endswith(".unfinished")
        )
        yield from (Path(here) / name for name in sorted(files) if not name.startswith("."))


def _source(path: Path, *, name: str, label: str) -> Source:
    kind, packed = kind_of(path.name)
    n_bytes = path.stat().st_size if path.is_file() else None
    return Source(_shown(name), _shown(label), kind or Kind.TEXT, packed, path, n_bytes)


def _shown(name: str) -> str:
    """A file's name as Unicode: on some systems it is any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def kind_of(name: str) -> tuple[Kind | None, str]:
    """The kind that a file's name tells, None for no known one, and how it is packed."""
    name = name.lower()
    packed = next((suffix for suffix in _PACKED if name.endswith(suffix)), "")
    return _KINDS.get(Path(name.removesuffix(packed)).suffix), packed


def check_readable(name: str) -> None:
    """Raise InputError for a file or folder that is not there or cannot be opened."""
    path = Path(name)
    try:
        if path.is_dir():
            os.scandir(path).close()
        elif path.is_file() or not path.exists():  # opening and closing a pipe would end its writer
            path.open("rb").close()
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; check the name and the folder") from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{name}: cannot be read ({said})") from None


def fingerprint(name: str, sources: Sequence[Source]) -> dict[str, object]:
    """What tells whether an input is the same as before: names, sizes and contents of its files.

    A pipe has only its name.
    """
    name = _shown(name)
    if any(source.n_bytes is None for source in sources):
        return {"name": name}
    total = hashlib.sha256()
    for source in sources:
        assert source.path is not None
        digest = hashlib.sha256()
        try:
            with source.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        except OSError:  # it will be set aside when it is read
            digest.update(b"unreadable")
        total.update(f"{source.name}\0{digest.hexdigest()}\n".encode())
    n_bytes = sum(source.n_bytes or 0 for source in sources)
    return {"name": name, "files": len(sources), "bytes": n_bytes, "sha256": total.hexdigest()}
