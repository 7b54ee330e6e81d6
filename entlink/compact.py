"""Merging the edits of a bundle's knowledge base into it: the bundle is replaced as a whole.

The new bundle is made beside the old one and takes its place in one step of the file system, while
nobody can write edits. The new knowledge base records whose edits it holds, so that a process that
is killed between that step and the clearing of the log leaves nothing that counts twice.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from entlink.bundle import Bundle, open_bundle, write_manifest
from entlink.errors import BundleError
from entlink.kb.aliases import normalise
from entlink.kb.live import LiveKnowledgeBase
from entlink.kb.overlay import Overlay
from entlink.kb.store import FILE_NAME
from entlink.kb.write import AliasRow, write_kb

log = logging.getLogger(__name__)

_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2(2)


def compact_bundle(name_or_path: str | Path) -> tuple[Bundle, int]:
    """Make the edits part of the bundle; returns it and how many edits there were.

    Rows are given anew, so the vectors are made again at the next use. Facts that other entities
    tell of one that was edited stay as they are. Processes that have the bundle open go on with
    what they know and are told to load it again when they edit.
    """
    bundle = open_bundle(name_or_path)
    if bundle.edits is None:
        raise BundleError(f"{bundle.path}: the built-in bundle is not edited; nothing to compact")
    with LiveKnowledgeBase.open_with(bundle.path, bundle.edits) as kb:
        assert isinstance(kb, LiveKnowledgeBase)
        n_edits = kb.refresh().n_edits
        if not n_edits:
            return bundle, 0
        overlay = Overlay(bundle.edits, kb.base.digest)
        with overlay.writing() as connection:
            kb.refresh()
            made = _make(bundle, kb, overlay.meta()["id"])
            _swap(bundle.path.resolve(), made)
            with LiveKnowledgeBase.open_with(bundle.path, None) as new:
                overlay.begin_anew(connection, new.digest)
        overlay.close()
    return open_bundle(bundle.path), n_edits


def _make(bundle: Bundle, kb: LiveKnowledgeBase, merged: str) -> Path:
    """A bundle of the knowledge base as it is now, beside the old one.

    Nobody else makes one, since edits are locked: what is there is of a process that was killed.
    """
    path = bundle.path.resolve()
    made = path.with_name(f".{path.name}.compacted")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    try:
        for name in bundle.files:
            if name != FILE_NAME:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / name, made / name)
        entities = (entity for batch in kb.iterate() for entity in batch)
        write_kb(
            made / FILE_NAME,
            entities,
            lambda: _aliases(kb),
            kb.base.parent_rows,
            any_case=kb.any_case,
            merged=merged,
        )
        made.chmod(path.stat().st_mode & 0o777)
        write_manifest(made)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return made


def _aliases(kb: LiveKnowledgeBase) -> Iterator[AliasRow]:
    """The alias table as it is now, sorted: counted uses stay with their entities."""
    rows = kb.present_rows()  # present row: new row, ascending in the order of `iterate`
    edits = kb.refresh()
    new = sorted(
        (alias, rows[row], 0, 0.0)
        for row in rows
        if row >= len(kb.base)
        for alias in {normalise(n) for n in _names(kb, row)} - {""}
    )
    has = {(alias, row) for alias, row, _, _ in new}

    def before() -> Iterator[AliasRow]:
        for alias, row, count, prior in kb.base.alias_rows():
            now = edits.now(row)
            if now is None:
                continue
            if now == row or count or (alias, rows[now]) in has:
                yield alias, rows[now], count, prior

    both = merge(before(), new, key=itemgetter(0, 1))
    for _, group in groupby(both, key=itemgetter(0, 1)):
        yield max(group, key=itemgetter(2))


def _names(kb: LiveKnowledgeBase, row: int) -> tuple[str, ...]:
    (entity,) = kb.by_rows([row])
    return (entity.name, *entity.aliases)


def _swap(path: Path, made: Path) -> None:
    """Put the new folder in the old one's place, and remove the old one."""
    if _exchange(path, made):
        shutil.rmtree(made, ignore_errors=True)
        return
    before = path.with_name(f".{path.name}.before")  # two steps, where there is no single one
    shutil.rmtree(before, ignore_errors=True)
    os.replace(path, before)
    try:
        os.replace(made, path)
    except BaseException:
        os.replace(before, path)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    done = exchange(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), ctypes.c_uint(_EXCHANGE))
    return bool(done == 0)
