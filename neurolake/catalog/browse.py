"""What the lake holds, asked of DuckDB and of the registered sources: schemas, relations, columns, keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors
from neurolake._duckdb import CATALOG, DUCKDB_VERSION
from neurolake.catalog import system
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.sources import relation
from neurolake.sql.text import RESERVED_SCHEMA, Name

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

Key = tuple[str, str, tuple[str, ...]]
"""A table's schema, its name, and columns of it."""


class Browser:
    """Answers questions about the catalog, as one session sees it."""

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session = session

    def _rows(self, sql: str, values: Sequence[object] = (CATALOG, OUTBOX_SCHEMA)) -> list[tuple[Any, ...]]:
        if self._session.in_transaction():
            with self._session.at_home() as cursor:
                return cursor.rows(sql, values)
        rows: list[tuple[Any, ...]] = self._engine.instance.acquire_and(lambda cursor: cursor.rows(sql, values))
        return rows

    def columns(self) -> list[tuple[Any, ...]]:
        """(schema, table, column, type, nullable) of every managed table and view."""
        return self._rows(
            "SELECT schema_name, table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name <> ? AND NOT internal ORDER BY 1, 2, column_index"
        )

    def schemas(self) -> list[str]:
        """The schemas, ours among them."""
        sql = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND schema_name <> ? AND NOT internal"
        names = {row[0] for row in self._rows(sql)} | {"main", RESERVED_SCHEMA}
        return sorted(names | {source.name.schema for source in self._engine.catalog.sources.values()})

    def relations(self) -> list[tuple[str, str, str]]:
        """(schema, table, kind); kind is BASE TABLE, VIEW, EXTERNAL TABLE, LOCAL TEMPORARY or SYSTEM TABLE."""
        managed = self._rows(
            "SELECT schema_name, table_name, 'BASE TABLE' FROM duckdb_tables() "
            "WHERE database_name = $1 AND schema_name <> $2 UNION ALL "
            "SELECT schema_name, view_name, 'VIEW' FROM duckdb_views() "
            "WHERE database_name = $1 AND schema_name <> $2 AND NOT internal ORDER BY ALL"
        )
        return [
            *((schema, table, kind) for schema, table, kind in managed),
            *((s.name.schema, s.name.table, "EXTERNAL TABLE") for s in self._engine.catalog.sources.values()),
            *((RESERVED_SCHEMA, name, "SYSTEM TABLE") for name in system.TABLES),
            *(("temp", name, "LOCAL TEMPORARY") for name in sorted(self._session.temporary)),
        ]

    def arrow_schemas(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], pa.Schema]:
        """The Arrow schema of each relation; an empty one where a source cannot be reached now."""
        return {(schema, table): self._arrow_schema(schema, table) for schema, table in names}

    def _arrow_schema(self, schema: str, table: str) -> pa.Schema:
        if schema == RESERVED_SCHEMA:
            return system.SCHEMAS[table]
        source = self._engine.catalog.sources.get(Name(schema, table).fold())
        text = f"SELECT * FROM {Name(schema, table).sql()}"
        if schema == "temp":
            text = f"SELECT * FROM temp.main.{Name('', table).quoted()}"
        elif source is not None:
            text = f"SELECT * FROM {relation.reader(source.location, source.format, source.options)}"
        try:
            if schema == "temp" or self._session.in_transaction():
                with self._session.at_home() as cursor:
                    found = cursor.bind(text).schema
            else:
                found = self._engine.instance.acquire_and(lambda cursor: cursor.bind(text)).schema
        except errors.NeuroLakeError:
            return pa.schema([])
        return found if found is not None else pa.schema([])

    def primary_keys(self, schema: str | None, table: str) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
        """(schema, table, constraint, columns) of the primary keys of a table."""
        sql = (
            "SELECT schema_name, table_name, constraint_name, constraint_column_names FROM duckdb_constraints() "
            "WHERE database_name = ? AND constraint_type = 'PRIMARY KEY' AND table_name = ?"
        )
        rows = self._rows(sql, [CATALOG, table])
        return [(s, t, name, tuple(columns)) for s, t, name, columns in rows if schema in (None, "", s)]

    def foreign_keys(self) -> list[tuple[str | None, Key, Key]]:
        """(constraint, the table that refers, the table referred to) of every foreign key."""
        sql = (
            "SELECT constraint_name, schema_name, table_name, constraint_column_names, referenced_table, "
            "referenced_column_names FROM duckdb_constraints() "
            "WHERE database_name = ? AND schema_name <> ? AND constraint_type = 'FOREIGN KEY'"
        )
        return [
            (name, (schema, table, tuple(columns)), (schema, referred, tuple(theirs)))
            for name, schema, table, columns, referred, theirs in self._rows(sql)
        ]

    def facts(self, *, names: bool = True) -> tuple[str, tuple[str, ...], frozenset[str]]:
        """The engine's version and, with `names`, its keywords and the names of its scalar functions."""
        if not names:
            return DUCKDB_VERSION, (), frozenset()
        words = self._rows("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'", ())
        functions = self._rows(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro')",
            (),
        )
        return DUCKDB_VERSION, tuple(sorted(w for (w,) in words)), frozenset(f for (f,) in functions)
