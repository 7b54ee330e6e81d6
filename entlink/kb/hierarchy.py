"""The hierarchy of types in the scratch file: what is below, what is above, what goes in circles.

Wikidata's has millions of links, and one file may hold as many in a single circle, so that all of
it stays on disk: of a walk, too, only the step that is being taken is in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

import orjson

from entlink.kb.importers.records import OnBad
from entlink.kb.scratch import KEPT, OF_OTHER_TYPE

_SHOWN = 20  # types of a circle that are named


def keep_types(connection: sqlite3.Connection, wanted: Iterable[str]) -> int:
    """Leave out entities none of whose types is wanted or below one; returns how many.

    A type is wanted by its id or by its name. Cycles in the hierarchy do no harm.
    """
    connection.executescript(
        "CREATE INDEX IF NOT EXISTS below ON parents (parent);"
        "DROP TABLE IF EXISTS wanted_types;"
        "CREATE TABLE wanted_types (id TEXT PRIMARY KEY) WITHOUT ROWID;"
    )
    names = orjson.dumps(sorted(wanted)).decode()
    connection.execute(
        "WITH RECURSIVE found(id) AS (SELECT value FROM json_each(?1) UNION "
        "SELECT id FROM entities WHERE name IN (SELECT value FROM json_each(?1)) UNION "
        "SELECT p.child FROM found AS f JOIN parents AS p ON p.parent = f.id) "
        "INSERT INTO wanted_types SELECT id FROM found",
        [names],
    )
    done = connection.execute(
        f"UPDATE entities SET state = {OF_OTHER_TYPE} WHERE state = {KEPT} AND NOT EXISTS ("
        "SELECT 1 FROM json_each(CAST(record AS TEXT), '$[5]') AS t JOIN wanted_types AS w "
        "ON w.id = t.value) AND NOT EXISTS ("
        "SELECT 1 FROM json_each(CAST(record AS TEXT), '$[6]') AS t JOIN wanted_types AS w "
        "ON w.id = t.value)"
    )
    return done.rowcount


def types_above(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each type of a kept entity, and each above it, with those right above: (child, parent)."""
    if connection.execute("SELECT 1 FROM parents").fetchone() is None:
        return
    connection.execute("CREATE INDEX IF NOT EXISTS above ON parents (child)")
    yield from connection.execute(
        "WITH RECURSIVE found(id) AS (SELECT t.value FROM entities AS e, "
        f"json_each(CAST(e.record AS TEXT), '$[5]') AS t WHERE e.state = {KEPT} UNION "
        "SELECT p.parent FROM found AS f JOIN parents AS p ON p.child = f.id) "
        "SELECT DISTINCT p.child, p.parent FROM found AS f JOIN parents AS p ON p.child = f.id "
        "ORDER BY p.parent, p.child"
    )


def tell_cycles(connection: sqlite3.Connection, on_note: OnBad | None) -> int:
    """Name the links of the hierarchy that lead back to a type below; returns how many."""
    _set_knots_apart(connection)
    n_cycles = 0
    starts = connection.execute("SELECT DISTINCT child FROM knots ORDER BY child")
    for (start,) in starts:
        for place, loop in _links_back(connection, start):
            n_cycles += 1
            if on_note:
                on_note(f"{place}: the types go round in a circle: {' -> '.join(loop)}")
    return n_cycles


def _set_knots_apart(connection: sqlite3.Connection) -> None:
    """Table `knots`: the links that may be in a circle.

    A type that nothing is below, or above which there is nothing, is in none. Without these, and
    then without those that have become such, nearly nothing of a real hierarchy is left. What still
    is when that goes slowly (a long chain loses its two ends a round) is for the walk.
    """
    connection.executescript(
        "DROP TABLE IF EXISTS knots; DROP TABLE IF EXISTS walk; DROP TABLE IF EXISTS walked;"
        "CREATE TABLE knots (child TEXT, parent TEXT, place TEXT, PRIMARY KEY (child, parent))"
        " WITHOUT ROWID;"  # SQLite would note in memory what it deletes from another table
        "CREATE TABLE walk (depth INTEGER PRIMARY KEY, id TEXT, upto TEXT);"
        "CREATE TABLE walked (id TEXT PRIMARY KEY, depth INTEGER) WITHOUT ROWID;"
        "INSERT OR IGNORE INTO knots SELECT child, parent, place FROM parents"
        " WHERE child IN (SELECT parent FROM parents) AND parent IN (SELECT child FROM parents);"
        "CREATE INDEX knots_below ON knots (parent);"
    )
    left = connection.execute("SELECT count(*) FROM knots").fetchone()[0]
    while left:
        loose = connection.execute(
            "DELETE FROM knots WHERE child NOT IN (SELECT parent FROM knots) "
            "OR parent NOT IN (SELECT child FROM knots)"
        ).rowcount
        left -= loose
        if loose * 10 < left:
            return


def _links_back(connection: sqlite3.Connection, start: str) -> Iterator[tuple[str, list[str]]]:
    """Walk up from a type, once over each link: (place, circle) of those that lead back.

    `walk` has the types between the start and here, each with the last one above it that was
    looked at; `walked` has all that were met, those that are not on the way with depth -1.
    """
    if _met(connection, start) is not None:
        return
    execute = connection.execute
    depth, id, upto = 0, start, ""
    execute("INSERT INTO walked VALUES (?, 0)", [start])
    above = "SELECT parent, place FROM knots WHERE child = ? AND parent > ? ORDER BY parent LIMIT 1"
    while depth >= 0:
        link = execute(above, [id, upto]).fetchone()
        if link is None:
            execute("UPDATE walked SET depth = -1 WHERE id = ?", [id])
            depth -= 1
            if depth >= 0:
                id, upto = execute("SELECT id, upto FROM walk WHERE depth = ?", [depth]).fetchone()
            continue
        upto, place = link
        met = _met(connection, upto)
        if met is None:
            execute("INSERT OR REPLACE INTO walk VALUES (?, ?, ?)", [depth, id, upto])
            depth, id, upto = depth + 1, upto, ""
            execute("INSERT INTO walked VALUES (?, ?)", [id, depth])
        elif met >= 0:
            yield place, _circle(connection, met, depth, id, upto)


def _met(connection: sqlite3.Connection, id: str) -> int | None:
    found = connection.execute("SELECT depth FROM walked WHERE id = ?", [id]).fetchone()
    return None if found is None else int(found[0])


def _circle(
    connection: sqlite3.Connection, first: int, depth: int, id: str, back: str
) -> list[str]:
    """The types from `back`, at this depth of the walk, to `id` and to `back` again."""
    sql = "SELECT id FROM walk WHERE depth >= ? AND depth < ? ORDER BY depth LIMIT ?"
    way = [str(row[0]) for row in connection.execute(sql, [first, depth, _SHOWN])]
    more = depth - first - len(way)
    return [*way, *([f"({more:,} more)"] if more else ()), id, back]
