"""What the managed tables of a lake are made by: read from the engine's own catalog inside the snapshot's transaction.

The engine prints tables, views, sequences and indexes as statements. Types and macros it prints whole only when it
exports a database, so an empty copy of the catalog is exported for those.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurolake import errors
from neurolake._duckdb import CATALOG, Cursor
from neurolake.backup.encodings import encoded_type
from neurolake.backup.manifest import Column, Statement
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.sql.text import Name, literal, quote
from neurolake.sql.types import parse_type

__all__ = ["MOUNT_PREFIX", "Definitions", "TableDefinition", "is_ours", "read_definitions"]

MOUNT_PREFIX = "snapshot_"
"""How the schema of a mounted snapshot begins: it is no part of the lake's own data."""


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """How one table is made."""

    schema: str
    name: str
    sql: str
    after: tuple[str, ...]
    columns: tuple[Column, ...]
    needs: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def full_name(self) -> Name:
        """Its name with its schema."""
        return Name(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Definitions:
    """All tables, those that others refer to first; all other objects in the order they are made."""

    tables: tuple[TableDefinition, ...]
    objects: tuple[Statement, ...]
    left_out: tuple[str, ...]


def read_definitions(cursor: Cursor, scratch: Path) -> Definitions:
    """Read the catalog as the cursor's transaction sees it.

    Args:
        cursor: with an open transaction that has written nothing.
        scratch: a folder that the engine may write to.
    """
    schemas = [
        Statement("schema", name, name, f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{quote(name)}")
        for (name,) in cursor.rows(
            "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND NOT internal ORDER BY 1", [CATALOG]
        )
        if is_ours(name) and name != "main"
    ]
    views, left_out = _views(cursor)
    objects = [*schemas, *_sequences(cursor), *_exported(cursor, scratch), *views]
    return Definitions(_in_order(_tables(cursor)), tuple(objects), left_out)


def is_ours(schema: str) -> bool:
    """Whether a schema holds the lake's own data: not the outbox's, and no mounted snapshot's."""
    return schema != OUTBOX_SCHEMA and not schema.startswith(MOUNT_PREFIX)


def _rows(cursor: Cursor, columns: str, function: str) -> list[tuple[Any, ...]]:
    """Rows of a catalog function about the lake's own schemas; the schema comes first."""
    own = "" if function in ("duckdb_sequences", "duckdb_indexes", "duckdb_constraints") else "AND NOT internal"
    sql = f"SELECT schema_name, {columns} FROM {function}() WHERE database_name = ? {own}"
    return [row for row in cursor.rows(sql, [CATALOG]) if is_ours(row[0])]


def _comment(kind: str, of: str, text: str | None) -> list[str]:
    return [] if text is None else [f"COMMENT ON {kind} {of} IS {literal(text)}"]


def _tables(cursor: Cursor) -> list[TableDefinition]:
    columns: dict[Name, list[tuple[Any, ...]]] = {}
    for schema, table, *rest in sorted(
        _rows(cursor, "table_name, column_index, column_name, data_type, comment, is_generated", "duckdb_columns")
    ):
        columns.setdefault(Name(schema, table), []).append(tuple(rest))
    indexes: dict[Name, list[str]] = {}
    for schema, table, index, sql, comment in _rows(cursor, "table_name, index_name, sql, comment", "duckdb_indexes"):
        made = [_statement(sql), *_comment("INDEX", Name(schema, index).sql(), comment)]
        indexes.setdefault(Name(schema, table), []).extend(made)
    referred: dict[Name, set[str]] = {}
    for schema, table, other in _rows(cursor, "table_name, referenced_table", "duckdb_constraints"):
        if other and other != table:
            referred.setdefault(Name(schema, table), set()).add(other)
    keys = {
        Name(schema, table): tuple(key)
        for schema, table, kind, key in _rows(
            cursor, "table_name, constraint_type, constraint_column_names", "duckdb_constraints"
        )
        if kind == "PRIMARY KEY"
    }
    return [
        _table(Name(schema, table), sql, comment, columns, indexes, referred, keys)
        for schema, table, sql, comment in sorted(
            _rows(cursor, "table_name, sql, comment", "duckdb_tables"), key=lambda row: row[:2]
        )
    ]


def _table(
    name: Name,
    sql: str,
    comment: str | None,
    columns: dict[Name, list[tuple[Any, ...]]],
    indexes: dict[Name, list[str]],
    referred: dict[Name, set[str]],
    keys: dict[Name, tuple[str, ...]],
) -> TableDefinition:
    own = columns[name]
    after = [*indexes.get(name, ()), *_comment("TABLE", name.sql(), comment)]
    for _, column, _, said, _ in own:
        after += _comment("COLUMN", f"{name.sql()}.{quote(column)}", said)
    kept = tuple(
        Column(column, kind, encoded_type(parse_type(kind))) for _, column, kind, _, generated in own if not generated
    )
    needs = tuple(sorted(referred.get(name, ())))
    return TableDefinition(name.schema, name.table, _statement(sql), tuple(after), kept, needs, keys.get(name, ()))


def _statement(sql: str) -> str:
    return sql.rstrip().rstrip(";")


def _in_order(tables: Sequence[TableDefinition]) -> tuple[TableDefinition, ...]:
    """The tables that others refer to before those others."""
    ordered: list[TableDefinition] = []
    waiting = list(tables)
    while waiting:
        made = {(table.schema, table.name) for table in ordered}
        there = {(table.schema, table.name) for table in tables}
        ready = [
            t for t in waiting if all((t.schema, n) in made or (t.schema, n) not in there for n in t.needs)
        ] or waiting
        ordered += ready
        waiting = [table for table in waiting if table not in ready]
    return tuple(ordered)


def _sequences(cursor: Cursor) -> list[Statement]:
    return [
        Statement(
            "sequence", schema, name, _statement(sql), tuple(_comment("SEQUENCE", Name(schema, name).sql(), comment))
        )
        for schema, name, sql, comment in sorted(_rows(cursor, "sequence_name, sql, comment", "duckdb_sequences"))
    ]


def _views(cursor: Cursor) -> tuple[list[Statement], tuple[str, ...]]:
    """Views, and those left out because they cannot be bound even now."""
    said: dict[Name, list[tuple[str, str]]] = {}
    for schema, table, column, comment in _rows(cursor, "table_name, column_name, comment", "duckdb_columns"):
        if comment is not None:
            said.setdefault(Name(schema, table), []).append((column, comment))
    found, left_out = [], []
    for schema, view, sql, comment in sorted(
        _rows(cursor, "view_name, sql, comment", "duckdb_views"), key=lambda row: row[:2]
    ):
        name = Name(schema, view)
        try:
            cursor.bind(f"SELECT * FROM {name.sql()}")
        except errors.NeuroLakeError as problem:
            left_out.append(f"view {name}: {problem.message}")
            continue
        after = _comment("VIEW", name.sql(), comment)
        for column, text in said.get(name, ()):
            after += _comment("COLUMN", f"{name.sql()}.{quote(column)}", text)
        found.append(Statement("view", schema, view, _statement(sql), tuple(after)))
    return found, tuple(left_out)


def _exported(cursor: Cursor, scratch: Path) -> list[Statement]:
    """Types and macros, as the engine exports them."""
    macros = _rows(cursor, "function_name, function_type, comment", "duckdb_functions")
    types = _rows(cursor, "type_name, comment", "duckdb_types")
    own = {(schema, name): (kind, comment) for schema, name, kind, comment in macros}
    if not macros and not types:
        return []
    copy = f"_neurolake_{secrets.token_hex(6)}"
    folder = scratch / copy
    cursor.run(f"ATTACH ':memory:' AS {copy}")
    try:
        cursor.run(f"COPY FROM DATABASE {CATALOG} TO {copy} (SCHEMA)")
        cursor.run(f"EXPORT DATABASE {copy} TO {literal(str(folder))} (FORMAT csv)")
        text = (folder / "schema.sql").read_text(encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return list(_made_by(cursor, text, own))


def _made_by(cursor: Cursor, text: str, own: dict[tuple[str, str], tuple[str, str | None]]) -> Iterable[Statement]:
    for parsed in cursor.parse(text):
        words = parsed.text.split(maxsplit=2)
        kind = words[1].upper() if len(words) == 3 else ""
        if kind not in ("TYPE", "MACRO"):
            continue
        name = _leading_name(words[2])
        if not is_ours(name.schema):
            continue
        after: list[str] = []
        if kind == "MACRO":
            function_type, comment = own.get((name.schema, name.table), ("macro", None))
            verb = "MACRO TABLE" if function_type == "table_macro" else "MACRO"
            after = _comment(verb, name.sql(), comment)
        yield Statement(kind.lower(), name.schema, name.table, _statement(parsed.text), tuple(after))


def _leading_name(text: str) -> Name:
    """The name that a text begins with."""
    parts, rest = [], text
    while True:
        part, rest = _identifier(rest)
        parts.append(part)
        if not rest.startswith("."):
            break
        rest = rest[1:]
    return Name(parts[-2] if len(parts) > 1 else "main", parts[-1])


def _identifier(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        end = next((at for at, letter in enumerate(text) if letter in ' ."('), len(text))
        return text[:end], text[end:]
    end = 1
    with contextlib.suppress(ValueError):
        while True:
            end = text.index('"', end) + 1
            if not text.startswith('"', end):
                break
            end += 1
    return text[1 : end - 1].replace('""', '"'), text[end:]
