"""What the lake holds, asked of DuckDB and of the registered sources: schemas, relations, columns, keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.types as pat

from neurolake import errors
from neurolake._duckdb import CATALOG, DUCKDB_VERSION
from neurolake.catalog import system, visible
from neurolake.governance.gate_functions import SCALARS
from neurolake.governance.gate_marks import of_finding
from neurolake.governance.objects import Object
from neurolake.governance.views import RESERVED
from neurolake.identifiers import fold, folded_sql
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.sql.text import RESERVED_SCHEMA, Name, quote

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

Key = tuple[str, str, tuple[str, ...]]
"""A table's schema, its name, and columns of it."""

TEMPORARY = ""
"""Stands for the schema of temporary tables and views, which are named by themselves alone."""

_TEMPORARY_NAMES = (
    "SELECT table_name FROM duckdb_tables() WHERE temporary "
    "UNION ALL SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal ORDER BY 1"
)
_COLUMN_FACTS = (
    "SELECT schema_name, table_name, column_name, data_type, is_nullable, column_default, comment "
    "FROM duckdb_columns() WHERE database_name = ? AND schema_name <> ? AND NOT internal ORDER BY column_index"
)


class ColumnFacts(NamedTuple):
    """What is known of a column: its type as DuckDB writes it, whether it may be NULL, its default's SQL, a comment.

    `marks` say what was found in it, as they stand in the metadata of Arrow fields.
    """

    type: str
    nullable: bool = True
    default: str | None = None
    comment: str | None = None
    marks: Mapping[bytes, bytes] = MappingProxyType({})


class Browser:
    """Answers questions about the catalog, as one session sees it."""

    def __init__(self, engine: Engine, session: Session) -> None:
        self._engine = engine
        self._session = session
        self._governed = not session.principal.is_admin

    def _rows(self, sql: str, values: Sequence[object] = (CATALOG, OUTBOX_SCHEMA)) -> list[tuple[Any, ...]]:
        if self._session.in_transaction():
            with self._session.at_home() as cursor:
                return cursor.rows(sql, values)
        rows: list[tuple[Any, ...]] = self._engine.instance.acquire_and(lambda cursor: cursor.rows(sql, values))
        return rows

    def columns(self) -> list[tuple[Any, ...]]:
        """(schema, table, column, type, nullable) of every managed table and view."""
        found = self._rows(
            "SELECT schema_name, table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE database_name = ? AND schema_name <> ? AND NOT internal ORDER BY 1, 2, column_index"
        )
        return list(self._with_views(found)) if self._engine.catalog.views else found

    def _with_views(self, found: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """The same, with the columns that views of governed roles have for this session."""
        for (schema, table), rows in groupby(found, lambda row: (row[0], row[1])):
            name = Name(schema, table)
            if name.fold() not in self._engine.catalog.views:
                yield from rows
            elif not self._governed or self._engine.access.sees(self._session.principal, name):
                for column, kind in self._engine.view_columns(self._session, name).items():
                    yield schema, table, column, kind, True

    def visible_columns(self) -> list[tuple[Any, ...]]:
        """Those of `columns` that the session may see, under the types that it sees."""
        return visible.columns(self._engine, self._session, self.columns())

    def _seen(self) -> dict[tuple[str, str], set[str]]:
        """By relation, the columns that a governed session may see."""
        seen: dict[tuple[str, str], set[str]] = {}
        for schema, table, column, *_ in self.visible_columns():
            seen.setdefault((schema, table), set()).add(column)
        for source in visible.sources(self._engine, self._session):
            seen[source.name.schema, source.name.table] = set(source.columns)
        return seen

    def schemas(self) -> list[str]:
        """The schemas, ours among them."""
        sql = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND schema_name <> ? AND NOT internal"
        names = {row[0] for row in self._rows(sql)} | {"main", RESERVED_SCHEMA}
        if self._governed:
            may = self._engine.access.may
            made = {name for name in names if may(self._session.principal, "create", Object("schema", fold(name)))}
            return sorted({"main", RESERVED_SCHEMA} | made | {schema for schema, _ in self._seen()})
        return sorted(names | {source.name.schema for source in self._engine.catalog.sources.values()})

    def relations(self) -> list[tuple[str, str, str]]:
        """(schema, table, kind); kind is BASE TABLE, VIEW, EXTERNAL TABLE, LOCAL TEMPORARY or SYSTEM TABLE."""
        managed = self._rows(
            "SELECT schema_name, table_name, 'BASE TABLE' FROM duckdb_tables() "
            "WHERE database_name = $1 AND schema_name <> $2 UNION ALL "
            "SELECT schema_name, view_name, 'VIEW' FROM duckdb_views() "
            "WHERE database_name = $1 AND schema_name <> $2 AND NOT internal ORDER BY ALL"
        )
        if self._governed:
            seen = self._seen()
            managed = [row for row in managed if (row[0], row[1]) in seen]
        return [
            *((schema, table, kind) for schema, table, kind in managed),
            *((s.name.schema, s.name.table, "EXTERNAL TABLE") for s in visible.sources(self._engine, self._session)),
            *((RESERVED_SCHEMA, name, "SYSTEM TABLE") for name in system.TABLES),
            *(
                (TEMPORARY, name, "LOCAL TEMPORARY")
                for (name,) in self._temporary(_TEMPORARY_NAMES, ())
                if not name.startswith(RESERVED)
            ),
        ]

    def _temporary(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        if not self._session.temporary:
            return []
        with self._session.at_home() as cursor:
            return cursor.rows(sql, values)

    def column_facts(self, relations: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], dict[str, ColumnFacts]]:
        """The columns of these relations (as `relations` lists them), by schema and name, in their order."""
        found: dict[tuple[str, str], dict[str, ColumnFacts]] = {
            (RESERVED_SCHEMA, table): {field.name: ColumnFacts(_type_name(field.type)) for field in schema}
            for table, schema in system.SCHEMAS.items()
        }
        for source in self._engine.catalog.sources.values():
            columns = {name: ColumnFacts(kind) for name, kind in source.columns.items()}
            found[source.name.schema, source.name.table] = columns
        for schema, table, column, *facts in self._rows(_COLUMN_FACTS):
            found.setdefault((schema, table), {})[column] = ColumnFacts(*facts)
        for _, table, column, *facts in self._temporary(_COLUMN_FACTS, ("temp", OUTBOX_SCHEMA)):
            found.setdefault((TEMPORARY, table), {})[column] = ColumnFacts(*facts)
        wanted = list(relations)
        for schema, table, kind in wanted:
            if kind in ("VIEW", "LOCAL TEMPORARY"):
                found[schema, table] = self._as_bound(schema, table, found.get((schema, table), {}))
        if self._governed:
            self._hide(found)
        listed = {(schema, table): found.get((schema, table), {}) for schema, table, _ in wanted}
        if self._engine.access.words_found:
            self._mark(listed)
        return listed

    def _mark(self, listed: Mapping[tuple[str, str], dict[str, ColumnFacts]]) -> None:
        """Add what was found in columns, to each as much as the session may know."""
        access = self._engine.access
        access.read_all()
        for (schema, table), facts in listed.items():
            known = access.facts(Name(schema, table))
            for column in facts if known.findings else ():
                marks = of_finding(known.finding(column), measured=not self._governed)
                facts[column] = facts[column]._replace(marks=marks)

    def _hide(self, found: dict[tuple[str, str], dict[str, ColumnFacts]]) -> None:
        """Leave out what a governed session may not see: columns, types with values in them, defaults."""
        for (schema, table), facts in found.items():
            if schema in (RESERVED_SCHEMA, TEMPORARY):
                continue
            rows = [(schema, table, column, fact.type) for column, fact in facts.items()]
            seen = visible.columns(self._engine, self._session, rows)
            found[schema, table] = {
                column: facts[column]._replace(type=kind, default=None) for _, _, column, kind in seen
            }

    def _as_bound(self, schema: str, table: str, stored: Mapping[str, ColumnFacts]) -> dict[str, ColumnFacts]:
        """The columns a view has now; what the engine keeps of them is from when it was made."""
        if schema != TEMPORARY and Name(schema, table).fold() in self._engine.catalog.views:
            columns = self._engine.view_columns(self._session, Name(schema, table))
            return {column: ColumnFacts(kind) for column, kind in columns.items()}
        name = f"temp.main.{quote(table)}" if schema == TEMPORARY else Name(schema, table).sql()
        text = f"SELECT * FROM {name}"
        try:
            if schema == TEMPORARY or self._session.in_transaction():
                with self._session.at_home() as cursor:
                    seen = cursor.bind(text)
            else:
                seen = self._engine.instance.acquire_and(lambda cursor: cursor.bind(text))
        except errors.NeuroLakeError:
            return dict(stored)
        return {
            column: stored.get(column, ColumnFacts(kind))._replace(type=kind)
            for column, kind in zip(seen.names, seen.types, strict=True)
        }

    def primary_keys(self, schema: str | None, table: str) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
        """(schema, table, constraint, columns) of the primary keys of a table; of one in every schema for None."""
        sql = (
            "SELECT schema_name, table_name, constraint_name, constraint_column_names FROM duckdb_constraints() "
            "WHERE database_name = ? AND constraint_type = 'PRIMARY KEY' AND table_name = ?"
        )
        rows = self._rows(sql, [CATALOG, table])
        found = [(s, t, name, tuple(columns)) for s, t, name, columns in rows if schema in (None, s)]
        if not self._governed:
            return found
        seen = self._seen()
        return [key for key in found if seen.get(key[:2], set()).issuperset(key[3])]

    def foreign_keys(self) -> list[tuple[str | None, str | None, Key, Key]]:
        """(constraint, the key it refers to, the table that refers, the table referred to) of every foreign key."""
        sql = (
            "SELECT f.constraint_name, k.constraint_name, f.schema_name, f.table_name, f.constraint_column_names, "
            "f.referenced_table, f.referenced_column_names FROM duckdb_constraints() f "
            "LEFT JOIN duckdb_constraints() k ON k.constraint_type IN ('PRIMARY KEY', 'UNIQUE') "
            "AND k.database_name = f.database_name "
            "AND k.schema_name = f.schema_name AND k.table_name = f.referenced_table "
            "AND k.constraint_column_names = f.referenced_column_names "
            "WHERE f.database_name = ? AND f.schema_name <> ? AND f.constraint_type = 'FOREIGN KEY'"
        )
        found = [
            (name, key, (schema, table, tuple(columns)), (schema, referred, tuple(theirs)))
            for name, key, schema, table, columns, referred, theirs in self._rows(sql)
        ]
        if not self._governed:
            return found
        seen = self._seen()
        return [row for row in found if all(seen.get(side[:2], set()).issuperset(side[2]) for side in (row[2], row[3]))]

    def facts(self, *, names: bool = True) -> tuple[str, tuple[str, ...], frozenset[str]]:
        """The engine's version and, with `names`, its keywords and the names of its scalar functions."""
        if not names:
            return DUCKDB_VERSION, (), frozenset()
        words = self._rows("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'", ())
        functions = self._rows(
            f"SELECT DISTINCT {folded_sql('function_name')} FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'macro')",
            (),
        )
        if self._governed:
            functions = [row for row in functions if row[0] in SCALARS]
        return DUCKDB_VERSION, tuple(sorted(w for (w,) in words)), frozenset(f for (f,) in functions)


def _type_name(kind: pa.DataType) -> str:
    """DuckDB's name of the type that an Arrow column has."""
    if pat.is_list(kind):
        return f"{_type_name(kind.value_type)}[]"
    names = {pa.int64(): "BIGINT", pa.int32(): "INTEGER", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}
    return "TIMESTAMP WITH TIME ZONE" if pat.is_timestamp(kind) else names.get(kind, "VARCHAR")
