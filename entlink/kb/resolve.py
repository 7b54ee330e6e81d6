"""What staged records say of each other: redirects, facts, priors.

All of it is joins in the scratch file, so that memory does not grow with the knowledge base.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

from entlink.kb.aliases import normalise
from entlink.kb.describe import Fact
from entlink.kb.importers.files import replacing
from entlink.kb.importers.jsonl import read_objects
from entlink.kb.scratch import KEPT
from entlink.records import Entity

_MOST_FACTS = 200_000  # of one entity that are looked at; of a hub's millions the first must do
_LONGEST_CHAIN = 8  # redirects to redirects that are followed


def resolve_redirects(connection: sqlite3.Connection) -> tuple[int, int]:
    """Table `aka`: ids that lead to an entity. Returns (those that do, those that do not)."""
    for _ in range(_LONGEST_CHAIN):
        done = connection.execute(
            "UPDATE redirects SET target = (SELECT r.target FROM redirects AS r "
            "WHERE r.source = redirects.target) WHERE target IN (SELECT source FROM redirects) "
            "AND target NOT IN (SELECT id FROM entities)"
        )
        if done.rowcount == 0:
            break
    connection.executescript(
        "DROP TABLE IF EXISTS aka; CREATE TABLE aka (id TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;"
        "INSERT INTO aka SELECT r.source, e.n FROM redirects AS r "
        "JOIN entities AS e ON e.id = r.target WHERE r.source NOT IN (SELECT id FROM entities)"
    )
    total = _number(connection, "SELECT count(*) FROM redirects")
    led = _number(connection, "SELECT count(*) FROM aka")
    return led, total - led


def relate(connection: sqlite3.Connection) -> tuple[int, int]:
    """Tables `ends` (relations whose ends are known) and `degrees`.

    Returns how many relations have an end that is kept, and how many one that nobody knows.
    """
    connection.executescript(
        f"""
        DROP TABLE IF EXISTS ends; DROP TABLE IF EXISTS degrees;
        CREATE TABLE ends AS
          SELECT coalesce(h.n, ha.n) AS head, coalesce(t.n, ta.n) AS tail, r.property AS property,
            CASE WHEN r.name = r.property THEN coalesce(p.name, r.name) ELSE r.name END AS name
          FROM relations AS r
          LEFT JOIN entities AS h ON h.id = r.head LEFT JOIN aka AS ha ON ha.id = r.head
          LEFT JOIN entities AS t ON t.id = r.tail LEFT JOIN aka AS ta ON ta.id = r.tail
          LEFT JOIN properties AS p ON p.id = r.property
          WHERE coalesce(h.n, ha.n) IS NOT NULL AND coalesce(t.n, ta.n) IS NOT NULL;
        CREATE TABLE degrees (n INTEGER PRIMARY KEY, degree INTEGER NOT NULL);
        INSERT INTO degrees SELECT n, count(*) FROM (
          SELECT head AS n FROM ends UNION ALL SELECT tail FROM ends WHERE tail != head)
          GROUP BY n ORDER BY n;
        DROP TABLE IF EXISTS kept_ends;
        CREATE TABLE kept_ends AS SELECT head, tail, property, name FROM ends
          WHERE head != tail AND (
            (SELECT state FROM entities WHERE n = head) = {KEPT}
            OR (SELECT state FROM entities WHERE n = tail) = {KEPT});
        """
    )
    n_read = _number(connection, "SELECT count(*) FROM relations")
    n_known = _number(connection, "SELECT count(*) FROM ends")
    return _number(connection, "SELECT count(*) FROM kept_ends"), n_read - n_known


def read_facts(connection: sqlite3.Connection) -> Iterator[tuple[int, list[Fact]]]:
    """The facts of each kept entity that has any, by its number in the scratch file."""
    rows = connection.execute(
        f"""
        SELECT s.n, f.property, f.name, o.name, f.forward, d.degree FROM (
          SELECT head AS n, tail AS other, property, name, 1 AS forward FROM kept_ends
          UNION ALL SELECT tail, head, property, name, 0 FROM kept_ends) AS f
        JOIN entities AS s ON s.n = f.n JOIN entities AS o ON o.n = f.other
        JOIN degrees AS d ON d.n = f.other WHERE s.state = {KEPT} ORDER BY s.n
        """
    )
    for n, group in groupby(rows, key=itemgetter(0)):
        yield (
            n,
            [Fact(p, name, o, bool(f), w) for _, p, name, o, f, w in islice(group, _MOST_FACTS)],
        )


def read_other_names(connection: sqlite3.Connection) -> Iterator[tuple[int, list[str]]]:
    """Names of kept entities that stand elsewhere than with them, by number."""
    rows = connection.execute(
        f"""
        SELECT DISTINCT e.n, o.name FROM other_names AS o LEFT JOIN aka AS a ON a.id = o.id
        JOIN entities AS e ON e.id = o.id OR e.n = a.n WHERE e.state = {KEPT} ORDER BY e.n, o.name
        """
        if _number(connection, "SELECT count(*) FROM aka")
        else f"""
        SELECT DISTINCT e.n, o.name FROM other_names AS o JOIN entities AS e ON e.id = o.id
        WHERE e.state = {KEPT} ORDER BY e.n, o.name
        """
    )
    for n, group in groupby(rows, key=itemgetter(0)):
        yield n, [name for _, name in group]


def read_links(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """How often anything links to each entity, by number."""
    rows = connection.execute(
        "SELECT coalesce(e.n, a.n) AS n, sum(u.count) FROM uses AS u "
        "LEFT JOIN entities AS e ON e.id = u.id LEFT JOIN aka AS a ON a.id = u.id "
        "WHERE coalesce(e.n, a.n) IS NOT NULL GROUP BY coalesce(e.n, a.n) ORDER BY 1"
    )
    yield from rows


class Names:
    """The names that end up in the alias table, with the uses counted of each."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(
            "DROP TABLE IF EXISTS names; DROP TABLE IF EXISTS rows;"
            "CREATE TABLE names (alias TEXT, row INTEGER, count INTEGER);"
            "CREATE TABLE rows (n INTEGER PRIMARY KEY, row INTEGER);"
        )

    def add(self, n: int, row: int, entity: Entity) -> None:
        """Note the row of an entity in the knowledge base, and its names."""
        self._connection.execute("INSERT INTO rows VALUES (?, ?)", [n, row])
        folded = {normalise(name) for name in (entity.name, *entity.aliases)} - {""}
        self._connection.executemany(
            "INSERT INTO names VALUES (?, ?, 0)", ((alias, row) for alias in folded)
        )

    def rows(self) -> Iterator[tuple[str, int, int, float]]:
        """(folded name, row, uses, share of the name's uses), sorted.

        Uses that mean an entity left out count against those that are kept.
        """
        self._connection.execute(
            "INSERT INTO names SELECT u.alias, coalesce(r.row, -1), u.count FROM uses AS u "
            "LEFT JOIN entities AS e ON e.id = u.id LEFT JOIN aka AS a ON a.id = u.id "
            "LEFT JOIN rows AS r ON r.n = coalesce(e.n, a.n)"
        )
        found = self._connection.execute(
            "SELECT alias, row, sum(count) FROM names GROUP BY alias, row ORDER BY alias, row"
        )
        for _, group in groupby(found, key=itemgetter(0)):
            yield from _shares(list(group))


def _shares(rows: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, int, int, float]]:
    total = sum(n for _, _, n in rows)
    for alias, row, n in rows:
        if row >= 0:
            yield alias, row, n, round(n / total, 6) if n else 0.0


def type_names(connection: sqlite3.Connection, types: Sequence[str]) -> tuple[str, ...]:
    """The names of those types that are entities themselves."""
    sql = "SELECT name FROM entities WHERE id = ?"
    found = (connection.execute(sql, [id]).fetchone() for id in types)
    return tuple(str(row[0]) for row in found if row)


def redirect_mentions(connection: sqlite3.Connection, path: Path) -> None:
    """Make the links of a JSON-lines file of texts name the entities that their ids lead to."""
    sql = "SELECT e.id FROM aka AS a JOIN entities AS e ON e.n = a.n WHERE a.id = ?"
    with replacing(path) as write:
        for _, row in read_objects(path):
            mentions = row["mentions"]
            assert isinstance(mentions, list)
            for mention in mentions:
                found = connection.execute(sql, [mention["entity"]]).fetchone()
                mention["entity"] = found[0] if found else mention["entity"]
            write(row)


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
