"""Decisions that an earlier release stored under names folded too far are brought to the names they were meant for.

Up to format 1 of a home, and 2 of a snapshot, a decision on `Straße` stood under `strasse`, where one on a table
`strasse` stood as well. What opens a table then goes to the one name that it can mean, and to none where there are two.
What protects goes to every name that it can mean. Where there is none yet, a table that is made later under a name that
it could mean is closed until a role is granted that very table: `facts.read` looks into `former_names`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from neurolake._duckdb import CATALOG, Cursor
from neurolake.identifiers import fold

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["Place", "places", "refold"]

_OPENING = ("grants", "scans", "descriptions")
_PROTECTING = ("policies", "row_filters", "tags", "findings")
_NAMED = frozenset(("policies", "row_filters"))
"""Those whose rows have a name of their own, which only one of them can keep."""
_ALL = (
    "SELECT schema_name, '', '' FROM duckdb_schemas() WHERE database_name = $1 "
    "UNION ALL SELECT schema_name, table_name, '' FROM duckdb_tables() WHERE database_name = $1 "
    "UNION ALL SELECT schema_name, view_name, '' FROM duckdb_views() WHERE database_name = $1 "
    "UNION ALL SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = $1"
)


class Place(NamedTuple):
    """What a decision is on: a column, a table or a schema; '' where it has no such part."""

    schema: str
    table: str = ""
    column: str = ""

    def above(self) -> Iterator[Place]:
        """Itself, then what it is in.

        >>> [tuple(one) for one in Place("s", "t").above()]
        [('s', 't', ''), ('s', '', '')]
        """
        yield self
        if self.column:
            yield Place(self.schema, self.table)
        if self.table:
            yield Place(self.schema)


def places(cursor: Cursor, db: Connection) -> set[Place]:
    """Everything of a lake that a decision can be on, as it is spelt."""
    found = {Place(*row) for row in cursor.rows(_ALL, [CATALOG])}
    for schema, table, columns in db.execute("SELECT table_schema, table_name, columns FROM sources"):
        found.update(Place(schema, table, column) for column in ("", *json.loads(columns)))
    return found


def refold(db: Connection, there: Iterable[Place]) -> None:
    """Bring the decisions to the names they were meant for, in the open transaction. It may be done again."""
    meant: dict[Place, set[Place]] = defaultdict(set)
    for place in there:
        for one in place.above():
            meant[_formerly(one)].add(_folded(one))
    for table in (*_OPENING, *_PROTECTING):
        for row_id, key in _rows(db, table):
            found = _meanings(meant, key)
            if table in _PROTECTING and key.table and Place(key.schema, key.table) not in meant:
                db.execute("INSERT OR IGNORE INTO former_names VALUES (?, ?)", key[:2])
            if found - {key}:
                opens = table in _OPENING or _is_rejected(db, table, row_id)
                _bring(db, table, row_id, _first(key, found), opens=opens)


def _formerly(place: Place) -> Place:
    return Place(*(part.casefold() for part in place))


def _folded(place: Place) -> Place:
    return Place(*map(fold, place))


def _rows(db: Connection, table: str) -> list[tuple[int, Place]]:
    column = "''" if table == "row_filters" else "column_name"
    sql = f"SELECT rowid, table_schema, table_name, {column} FROM {table} WHERE table_schema <> ''"
    kept = [(row[0], Place(*row[1:])) for row in db.execute(sql)]
    return [(row_id, key) for row_id, key in kept if _formerly(key) == key]  # any other is of this release


def _meanings(meant: Mapping[Place, set[Place]], key: Place) -> set[Place]:
    """The names that a key can mean: what is there, or what would be in that which is there."""
    for one in key.above():
        if one in meant:
            rest = [own if not kept else "" for own, kept in zip(key, one, strict=True)]
            return {Place(*(a or b for a, b in zip(found, rest, strict=True))) for found in meant[one]}
    return set()


def _first(key: Place, found: set[Place]) -> list[Place]:
    """The names in order, the key itself first: what has a name of its own keeps it there."""
    return sorted(found, key=lambda one: (one != key, one))


def _is_rejected(db: Connection, table: str, row_id: int) -> bool:
    """Whether a row is a finding that was rejected: that opens."""
    sql = "SELECT 1 FROM findings WHERE rowid = ? AND status = 'rejected'"
    return table == "findings" and db.execute(sql, (row_id,)).fetchone() is not None


def _bring(db: Connection, table: str, row_id: int, found: list[Place], *, opens: bool) -> None:
    if opens and len(found) > 1:
        db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row_id,))
        return
    names = [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    kept = db.execute(f"SELECT {', '.join(names)} FROM {table} WHERE rowid = ?", (row_id,)).fetchone()
    row = dict(zip(names, kept, strict=True))
    db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row_id,))
    for number, place in enumerate(found):
        parts = dict(zip(("table_schema", "table_name", "column_name"), place, strict=True))
        own = {"name": f"{row['name']}:{number + 1}"} if number and table in _NAMED else {}
        new = row | {name: value for name, value in parts.items() if name in row} | own
        marks = ", ".join("?" * len(new))
        db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(new)}) VALUES ({marks})", list(new.values()))
