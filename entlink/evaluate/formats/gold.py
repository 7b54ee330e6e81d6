"""Texts with gold mentions, and the checks that every corpus format shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

from entlink.errors import InputError


@dataclass(frozen=True, slots=True)
class GoldMention:
    """A stretch of text and the entity that it means."""

    start: int  # character offset, inclusive
    end: int  # character offset, exclusive
    entity: str | None  # an id, or NIL; None where the source marks the name but gives no answer
    label: str = ""  # the source's own word for the kind of mention, "" if it has none


@dataclass(frozen=True, slots=True)
class GoldDocument:
    """A text and its gold mentions, by start and end."""

    id: str
    text: str
    mentions: tuple[GoldMention, ...] = ()


Located = tuple[str, GoldDocument]  # where it stands ("gold.tsv:12"), and the document
Reader = Callable[[Path], Iterator[GoldDocument]]


def gold_mention(
    text: str,
    start: object,
    end: object,
    *,
    where: str,
    entity: str | None,
    label: str = "",
    surface: str | None = None,
) -> GoldMention:
    """A mention whose offsets were checked against its text, and against ``surface`` if given.

    Raises InputError that starts with ``where``.
    """
    # type() and not isinstance(): JSON's true would pass as the integer 1
    if type(start) is not int or type(end) is not int:
        raise InputError(
            f"{where}: the offsets are {start!r} and {end!r}; write whole numbers of characters"
        )
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"{where}: spans {start} to {end} of a text of {len(text)} characters; "
            "offsets count characters from 0, end exclusive"
        )
    found = text[start:end]
    if surface is not None and found != surface:
        raise InputError(
            f"{where}: is said to be {surface!r}, but characters {start} to {end} of the text "
            f"are {found!r}; offsets count characters from 0, end exclusive"
        )
    return GoldMention(start, end, entity, label)


def gold_document(id_: str, text: str, mentions: Iterable[GoldMention]) -> GoldDocument:
    """A document with its mentions in order."""
    return GoldDocument(id_, text, tuple(sorted(mentions, key=_order)))


def _order(m: GoldMention) -> tuple[int, int, str, str]:
    return m.start, m.end, m.entity or "", m.label


def checked(path: Path, documents: Iterable[Located]) -> Iterator[GoldDocument]:
    """The documents of a file; InputError if there is none, or two have the same id."""
    seen: dict[str, str] = {}
    for where, document in documents:
        if document.id in seen:
            raise InputError(
                f"{where}: document id {document.id!r} appears twice (first at "
                f"{seen[document.id]}); give each document its own id"
            )
        seen[document.id] = where
        yield document
    if not seen:
        raise InputError(f"{path}: has no documents; give a file with at least one")


def reader(read: Callable[[Path], Iterable[Located]]) -> Reader:
    """Makes the ``read`` of a format of a function that yields documents and where they stand."""

    @wraps(read)
    def read_checked(path: Path) -> Iterator[GoldDocument]:
        return checked(path, read(path))

    return read_checked


def writable(
    documents: Iterable[GoldDocument], path: Path, *, without_overlaps: str = ""
) -> Iterator[GoldDocument]:
    """The documents to be written to ``path``, each after a check that it could be read again.

    ``without_overlaps`` names a format that cannot carry mentions that share characters.
    Raises InputError for a wrong offset, an id that appears twice, or no documents at all.
    """

    def located() -> Iterator[Located]:
        for number, document in enumerate(documents, start=1):
            where = f"{path}: document {document.id!r}"
            for m in document.mentions:
                gold_mention(document.text, m.start, m.end, where=where, entity=m.entity)
            if without_overlaps:
                _refuse_overlaps(document, where=where, name=without_overlaps)
            yield f"document {number}", document

    yield from checked(path, located())


def _refuse_overlaps(document: GoldDocument, *, where: str, name: str) -> None:
    end = 0
    for m in sorted(document.mentions, key=_order):
        if m.start < end:
            raise InputError(
                f"{where}: the mention at {m.start} to {m.end} overlaps another, which {name} "
                "cannot carry; keep one of them, or choose the format jsonl"
            )
        end = m.end
