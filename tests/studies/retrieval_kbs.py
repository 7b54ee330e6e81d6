"""A knowledge base with fewer names: for what alias tables, and descriptions alone, are worth."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from entlink.kb.aliases import normalise
from entlink.kb.store import KnowledgeBase
from entlink.records import Entity
from entlink.train.retriever_config import is_hidden


def changed_kb(kb: KnowledgeBase, work: Path, *, aliases: int = -1, bare: int = 0) -> Path:
    """A copy in which an entity has at most so many aliases beside its name, the most used ones.

    With ``bare``, one entity in so many (those that ``is_hidden`` names) goes by its id alone. The
    copy is made once; returns its folder.
    """
    said = f"{kb.digest} {aliases} {bare}"
    digest = hashlib.sha256(said.encode()).hexdigest()
    folder = work / digest[:16]
    if folder.is_dir():
        return folder
    work.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".making.", dir=work))
    try:
        shutil.copyfile(kb.path, made / "kb.sqlite")
        connection = sqlite3.connect(made / "kb.sqlite")
        with connection:
            _change(connection, kb, aliases, bare)
            connection.execute("UPDATE meta SET value = ? WHERE key = 'digest'", [digest])
            connection.execute(
                "UPDATE meta SET value = (SELECT count(*) FROM aliases) WHERE key = 'n_aliases'"
            )
        connection.close()
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _change(connection: sqlite3.Connection, kb: KnowledgeBase, aliases: int, bare: int) -> None:
    uses = _uses(connection)
    row = 0
    for entities in kb.iterate():
        for entity in entities:
            name, kept = entity.name, list(entity.aliases)
            if aliases >= 0:
                kept = _most_used(entity, uses.get(row, {}))[:aliases]
            if bare and is_hidden(entity.id, bare):
                name, kept = entity.id, []
            folded = {normalise(text) for text in (name, *kept)}
            gone = [(text, row) for text in uses.get(row, {}) if text not in folded]
            connection.executemany("DELETE FROM aliases WHERE alias = ? AND row = ?", gone)
            if (name, kept) != (entity.name, list(entity.aliases)):
                value = json.dumps(kept, ensure_ascii=False) if kept else None
                connection.execute(
                    "UPDATE entities SET name = ?, aliases = ? WHERE row = ?", [name, value, row]
                )
            row += 1


def _uses(connection: sqlite3.Connection) -> dict[int, dict[str, int]]:
    """For each row its folded names, and how often each was seen to mean it."""
    uses: dict[int, dict[str, int]] = {}
    for alias, row, count in connection.execute("SELECT alias, row, count FROM aliases"):
        uses.setdefault(int(row), {})[str(alias)] = int(count)
    return uses


def _most_used(entity: Entity, uses: dict[str, int]) -> list[str]:
    """Its aliases, the most used first; of equals as they come."""
    return sorted(entity.aliases, key=lambda alias: -uses.get(normalise(alias), 0))
