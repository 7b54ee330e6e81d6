"""Other ids for the entities of a corpus: Wikipedia titles to QIDs, MeSH to one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from entlink.errors import InputError
from entlink.evaluate.formats.files import read_lines
from entlink.evaluate.formats.gold import GoldDocument


def read_id_map(path: Path) -> dict[str, str]:
    """Old and new ids from a file, plain or gzipped, with one tab between the two of each line.

    Raises InputError for any other line, and for an id that is given two others.
    """
    ids: dict[str, str] = {}
    for where, line in read_lines(path):
        if not line.strip():
            continue
        old, *new = (part.strip() for part in line.split("\t"))
        if len(new) != 1 or not old or not new[0]:
            raise InputError(
                f"{where}: has {len(new) + 1} columns; write an old and a new id, a tab between"
            )
        if ids.setdefault(old, new[0]) != new[0]:
            raise InputError(
                f"{where}: {old!r} becomes {new[0]!r}, but {ids[old]!r} further up; keep one"
            )
    if not ids:
        raise InputError(f"{path}: has no ids; write an old and a new id, with a tab between")
    return ids


def with_ids(documents: Iterable[GoldDocument], ids: Mapping[str, str]) -> Iterator[GoldDocument]:
    """The documents with the new ids; entities that the map does not know keep theirs."""
    for document in documents:
        mentions = (
            replace(m, entity=ids.get(m.entity, m.entity)) if m.entity else m
            for m in document.mentions
        )
        yield replace(document, mentions=tuple(mentions))
