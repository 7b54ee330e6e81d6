"""Links to files: JSONL (the format scripts rely on), Parquet, DocBin, NIF, and an HTML page.

A file appears under its name only when it is whole: it is written beside it and then renamed.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from entlink.corpus.items import OWN_KEYS, carried, dumps
from entlink.corpus.streams import arrow, sync_folder
from entlink.errors import InputError
from entlink.records import Candidate, Entity, Link, LinkedDocument, Mention

DIGITS = 6  # of every float written; more would differ between machines and mean nothing
OUT_SUFFIXES = (".jsonl", ".parquet", ".spacy", ".ttl", ".nif", ".html")
PACKED_SUFFIXES = tuple(
    f"{name}{packed}" for name in (".jsonl", ".ttl") for packed in (".gz", ".zst")
)
_BLOCK = 1 << 22

Linked = tuple[LinkedDocument, Mapping[str, object]]  # with the columns that are carried through
ColumnKinds = Mapping[str, Iterable[str]]  # of each carried column the kinds of its values
Write = Callable[[Iterable[Linked], BinaryIO], None]
EntityOf = Callable[[str], Entity | None]  # by its id


def link_record(
    document: LinkedDocument, extra: Mapping[str, object] | None = None, *, labels: bool = False
) -> dict[str, object]:
    """A linked document as the JSON object of the links format, floats rounded to six digits.

    ``extra`` comes after it, a name that the format uses with "_" behind it.
    """
    record: dict[str, object] = {
        "id": document.id,
        "text": document.text,
        "mentions": [_mention_record(link, labels=labels) for link in document.links],
    }
    return record | carried(extra, taken=OWN_KEYS) if extra else record


def link_line(
    document: LinkedDocument, extra: Mapping[str, object] | None = None, *, labels: bool = False
) -> bytes:
    """A line of the links format; with the mentions' labels where another format needs them."""
    return dumps(link_record(document, extra, labels=labels)) + b"\n"


def read_link_line(line: bytes) -> Linked:
    """What `link_line` wrote."""
    record = orjson.loads(line)
    links = tuple(_link(mention) for mention in record.pop("mentions"))
    return LinkedDocument(record.pop("id"), record.pop("text"), links), record


def is_jsonl(path: Path) -> bool:
    """Do the lines of the links format go into this file as they are?"""
    return path.name.removesuffix(".gz").removesuffix(".zst").endswith(".jsonl")


def write_file(
    lines: Iterable[bytes],
    path: Path,
    *,
    columns: ColumnKinds | None = None,
    folder: Path | None = None,
    entity_of: EntityOf | None = None,
) -> None:
    """Write lines of the links format to ``path``, in the format that its name asks for.

    Formats other than JSONL want lines with labels, Parquet to know the carried ``columns``, and
    HTML shows what ``entity_of`` tells of an entity.
    Until it is whole the file lies in ``folder``, without one beside ``path``.
    Raises InputError for a name that no format is known for, or a folder that does not exist.
    """
    check_out(path)
    with replacing(path, folder=folder) as raw, _packing(path, raw) as stream:
        if is_jsonl(path):
            stream.writelines(lines)
        else:
            _writer_of(path, columns or {}, entity_of)(map(read_link_line, lines), stream)


def check_out(path: Path) -> None:
    """Raise InputError if links cannot be written under this name."""
    if not path.name.endswith(OUT_SUFFIXES + PACKED_SUFFIXES):
        raise InputError(
            f"{path}: unknown kind of output; end the name in one of {', '.join(OUT_SUFFIXES)}, "
            "or .gz or .zst after .jsonl or .ttl"
        )
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {str(path.parent)!r}; make it first")
    if path.name.endswith((".zst", ".parquet")):
        arrow(str(path))


def _writer_of(path: Path, columns: ColumnKinds, entity_of: EntityOf | None) -> Write:
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".html"):
        from entlink.corpus.page import write_html

        return lambda documents, stream: write_html(documents, stream, entity_of=entity_of)
    if name.endswith(".parquet"):
        from entlink.corpus.parquet import write_parquet

        return lambda documents, stream: write_parquet(documents, stream, columns=columns)
    if name.endswith(".spacy"):
        from entlink.corpus.docbin import write_docbin

        return write_docbin
    from entlink.corpus.nif import write_nif

    return write_nif


@contextmanager
def _packing(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    if path.name.endswith(".gz"):
        # without name and time, so that the same links are the same bytes
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif path.name.endswith(".zst"):
        zstandard = _Zstandard(raw)
        yield cast(BinaryIO, zstandard)
        zstandard.flush()
    else:
        yield raw


class _Zstandard:
    """Packs what is written, a frame a block; frames one after another are one .zst file."""

    def __init__(self, raw: BinaryIO) -> None:
        import pyarrow as pa

        self._codec: Any = pa.Codec("zstd")
        self._raw = raw
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        if len(self._waiting) >= _BLOCK:
            self.flush()
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._waiting:
            self._raw.write(self._codec.compress(bytes(self._waiting), asbytes=True))
            self._waiting.clear()


@contextmanager
def replacing(path: Path, *, folder: Path | None = None) -> Iterator[BinaryIO]:
    """A new file that takes this name once it is whole and on the disk, or else vanishes.

    It is written beside ``path``, or in another ``folder`` of the same file system.
    """
    # the mode that open() would give; mkstemp alone makes files that only their owner can read
    umask = os.umask(0)
    os.umask(umask)
    handle, name = tempfile.mkstemp(dir=folder or path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def without_overlaps(links: Iterable[Link]) -> Iterator[Link]:
    """The links that can be shown side by side: of two that overlap, the first, then longer."""
    end = 0
    for link in sorted(links, key=lambda k: (k.mention.start, -k.mention.end)):
        if link.mention.start >= end:
            yield link
            end = link.mention.end


def _mention_record(link: Link, *, labels: bool) -> dict[str, object]:
    record: dict[str, object] = {
        "start": link.mention.start,
        "end": link.mention.end,
        "text": link.mention.text,
        "entity": link.entity_id,
        "name": link.name,
        "probability": round(link.probability, DIGITS),
        "candidates": [_candidate_record(candidate) for candidate in link.candidates],
    }
    return record | {"label": link.mention.label} if labels else record


def _candidate_record(candidate: Candidate) -> dict[str, object]:
    score = candidate.reranker_score
    return {
        "entity": candidate.entity_id,
        "name": candidate.name,
        "probability": round(candidate.probability, DIGITS),
        "retriever_score": round(candidate.retriever_score, DIGITS),
        "prior": round(candidate.prior, DIGITS),
        "reranker_score": None if score is None else round(score, DIGITS),
    }


def _link(record: dict[str, Any]) -> Link:
    mention = Mention(record["start"], record["end"], record["text"], record.get("label", ""))
    candidates = tuple(
        Candidate(
            c["entity"],
            c["name"],
            c["retriever_score"],
            c["prior"],
            c["reranker_score"],
            c["probability"],
        )
        for c in record["candidates"]
    )
    return Link(mention, record["entity"], record["name"], record["probability"], candidates)
