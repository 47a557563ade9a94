"""What becomes of decisions when tables are made, renamed or dropped.

What opens a table goes with it: grants on it and its columns, that it was scanned, that a finding was rejected, and
that a role's own policy or row filter replaces what the role inherits. What protects it stays with the name: policies,
row filters, tags and what people confirmed. So a new table of an old name is closed until somebody opens it, and never
less protected than the one before. A rename takes everything along.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neurolake.identifiers import fold
from neurolake.sql.text import Name, split_identifier

if TYPE_CHECKING:
    from sqlite3 import Connection

_NAME = r'(?:"(?:[^"]|"")+"|[^\s"().,;]+)'
_ALTER = re.compile(
    rf"\s*ALTER\s+(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?{_NAME}(?:\s*\.\s*{_NAME})*\s+(?:"
    rf"RENAME\s+TO\s+(?P<table>{_NAME})"
    rf"|RENAME\s+(?:COLUMN\s+)?(?P<before>{_NAME})\s+TO\s+(?P<after>{_NAME})"
    rf"|DROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?(?P<dropped>{_NAME})(?:\s+(?:CASCADE|RESTRICT))?"
    rf"|(?P<kept>ADD|ALTER|SET|RESET)\b.*"
    r")\s*;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_TEMPORARY = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:SECURE|LOCAL|GLOBAL)\s+)*TEMP(?:ORARY)?\b", re.IGNORECASE
)
_IF_NOT_EXISTS = re.compile(r"\s*CREATE\s[\w\s]*?\bIF\s+NOT\s+EXISTS\b", re.IGNORECASE)

_OTHERS = frozenset(("INDEX", "SEQUENCE", "MACRO", "FUNCTION", "TYPE"))
_OF_TABLES = ("grants", "policies", "row_filters", "tags", "descriptions", "scans", "findings")
_OF_COLUMNS = tuple(table for table in _OF_TABLES if table != "row_filters")
_HERE = "table_schema = ? AND table_name = ?"


def detail_of(verb: str, text: str, role: str | None, *, anywhere: bool = False) -> str:
    """What an event must say of a statement on a table beside its verb and object, as JSON; '' for nothing.

    Args:
        verb: CREATE, ALTER, DROP …
        text: the statement that runs.
        anywhere: the name has no schema, and more than one is looked through.
        role: the active one, whose a table is to be that the statement makes; None for an administrator's.

    >>> detail_of("ALTER", "ALTER TABLE t RENAME COLUMN a TO \\"B c\\"", None)
    '{"rename_column": ["a", "B c"]}'
    >>> detail_of("ALTER", "ALTER TABLE t ADD COLUMN a INT", None), detail_of("INSERT", "INSERT INTO t", None)
    ('', '')
    >>> detail_of("ALTER", "ALTER /* odd */ TABLE t RENAME TO u", None)
    '{"unread": true}'
    """
    detail: dict[str, Any] = {} if role is None else {"role": role}
    if anywhere and changes_tables(verb):
        detail["anywhere"] = True
    if verb == "CREATE" and _IF_NOT_EXISTS.match(text):
        detail["if_not_exists"] = True
    elif verb == "ALTER":
        match = _ALTER.match(text)
        if match is None:
            detail["unread"] = True
        elif match["table"]:
            detail["rename"] = _plain(match["table"])
        elif match["before"]:
            detail["rename_column"] = [_plain(match["before"]), _plain(match["after"])]
        elif match["dropped"]:
            detail["drop_column"] = _plain(match["dropped"])
    return json.dumps(detail) if detail else ""


def changes_tables(verb: str) -> bool:
    """Whether an event of this verb may change what decisions are about.

    >>> changes_tables("DROP TABLE"), changes_tables("CREATE INDEX"), changes_tables("INSERT")
    (True, False, False)
    """
    first, *rest = verb.split()
    return first in ("CREATE", "ALTER", "DROP", "UNREGISTER") and not {*rest} & _OTHERS


def names(shown: str) -> Iterator[Name]:
    """The tables that an event's object may be; one, but where a name holds a dot.

    >>> list(names("main.Orders")), len(list(names("a.b.c")))
    ([Name(schema='main', table='orders')], 2)
    """
    parts = fold(shown).split(".")
    for place in range(1, len(parts)):
        yield Name(".".join(parts[:place]), ".".join(parts[place:]))


def may_mean(verb: str, shown: str, detail: str, name: Name) -> bool:
    """Whether an event may be about a table, by its folded name."""
    return (
        verb.endswith("SCHEMA")
        or name in names(shown)
        or ("anywhere" in detail and fold(shown).endswith(f".{name.table}"))
    )


def brings(shown: str, detail: str, name: Name) -> bool:
    """Whether an event gives a table a folded name, and with it rows that were under another.

    >>> brings("main.a", '{"rename": "B"}', Name("main", "b")), brings("main.b", "", Name("main", "b"))
    (True, False)
    """
    new = json.loads(detail).get("rename") if detail else None
    return new is not None and any(Name(one.schema, new).fold() == name for one in names(shown))


def makes_temporary(text: str) -> bool:
    """Whether a CREATE, without comments, makes something temporary.

    >>> makes_temporary("CREATE OR REPLACE TEMP TABLE t (a INT)"), makes_temporary("CREATE TABLE t AS SELECT 1 AS temp")
    (True, False)
    """
    return _TEMPORARY.match(text) is not None


def follow(db: Connection, verb: str, shown: str, detail: Mapping[str, Any]) -> bool:
    """Do to the decisions what an event did to a table, in the open transaction; whether any were touched."""
    if verb.endswith("SCHEMA"):
        parts = fold(shown).split(".")
        return sum(_schema(db, ".".join(parts[place:]), detail) for place in range(len(parts))) > 0
    if detail.get("anywhere"):
        return sum(close(db, Name(schema, fold(shown).rpartition(".")[2])) for schema in _schemas(db)) > 0
    touched = False
    for name in names(shown):
        if verb.startswith("ALTER"):
            touched |= _altered(db, name, detail)
        elif not detail.get("if_not_exists"):
            touched |= close(db, name)
    if verb in ("CREATE TABLE", "CREATE VIEW") and detail.get("role"):
        touched |= _owned(db, next(names(shown)), str(detail["role"]), bool(detail.get("if_not_exists")))
    return touched


def close(db: Connection, name: Name) -> bool:
    """Take away what opens a table; whether there was anything."""
    removed = 0
    for sql in (
        f"DELETE FROM grants WHERE {_HERE}",
        f"DELETE FROM scans WHERE {_HERE}",
        f"DELETE FROM descriptions WHERE {_HERE}",
        f"DELETE FROM findings WHERE {_HERE} AND status <> 'confirmed'",
        f"UPDATE policies SET replaces = 0 WHERE {_HERE} AND replaces AND role <> '*'",
        f"UPDATE row_filters SET replaces = 0 WHERE {_HERE} AND replaces AND role <> '*'",
    ):
        removed += db.execute(sql, name).rowcount
    return removed > 0


def _schemas(db: Connection) -> set[str]:
    """Every schema of which anything is known."""
    return {schema for one in _OF_TABLES for (schema,) in db.execute(f"SELECT DISTINCT table_schema FROM {one}")}


def _schema(db: Connection, schema: str, detail: Mapping[str, Any]) -> bool:
    """A schema was made or dropped, with all that is in it."""
    if detail.get("if_not_exists"):
        return False
    removed = db.execute("DELETE FROM grants WHERE kind = 'schema' AND table_schema = ?", (schema,)).rowcount
    inside = {
        table
        for one in _OF_TABLES
        for (table,) in db.execute(f"SELECT DISTINCT table_name FROM {one} WHERE table_schema = ?", (schema,))
    }
    return any([removed > 0, *(close(db, Name(schema, table)) for table in inside if table)])


def _altered(db: Connection, name: Name, detail: Mapping[str, Any]) -> bool:
    if "rename" in detail:
        return _moved(db, name, Name(name.schema, fold(str(detail["rename"]))))
    if "rename_column" in detail:
        before, after = (fold(str(column)) for column in detail["rename_column"])
        return _moved_column(db, name, before, after)
    if "drop_column" in detail:
        return _closed_column(db, name, fold(str(detail["drop_column"])))
    return close(db, name) if detail.get("unread") else False


def _moved(db: Connection, before: Name, after: Name) -> bool:
    """A table has another name: everything goes along; what protects that name already stays there."""
    moved = 0
    for table in _OF_TABLES:
        sql = f"UPDATE OR IGNORE {table} SET table_schema = ?, table_name = ? WHERE {_HERE}"
        moved += db.execute(sql, (*after, *before)).rowcount
        db.execute(f"DELETE FROM {table} WHERE {_HERE}", before)
    return moved > 0


def _moved_column(db: Connection, name: Name, before: str, after: str) -> bool:
    moved = 0
    for table in _OF_COLUMNS:
        sql = f"UPDATE OR IGNORE {table} SET column_name = ? WHERE {_HERE} AND column_name = ?"
        moved += db.execute(sql, (after, *name, before)).rowcount
        db.execute(f"DELETE FROM {table} WHERE {_HERE} AND column_name = ?", (*name, before))
    return moved > 0


def _closed_column(db: Connection, name: Name, column: str) -> bool:
    removed = 0
    for table in ("grants", "scans", "descriptions"):
        removed += db.execute(f"DELETE FROM {table} WHERE {_HERE} AND column_name = ?", (*name, column)).rowcount
    sql = f"DELETE FROM findings WHERE {_HERE} AND column_name = ? AND status <> 'confirmed'"
    return removed + db.execute(sql, (*name, column)).rowcount > 0


def _owned(db: Connection, name: Name, role: str, there_maybe: bool) -> bool:
    """The role that has made a table may use it."""
    if there_maybe:
        return False  # it may be somebody else's
    db.executemany(
        "INSERT OR IGNORE INTO grants VALUES (?, ?, 'table', ?, ?, '', ?, ?)",
        [(role, privilege, *name, role, time.time()) for privilege in ("read", "write", "create")],
    )
    return True


def _plain(identifier: str) -> str:
    return split_identifier(identifier)[-1]
