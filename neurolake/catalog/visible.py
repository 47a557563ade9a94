"""What of the catalog a session may see: everything for an administrator, and what its role may read for the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors
from neurolake.catalog import Source
from neurolake.governance.actions import ABSENT
from neurolake.governance.masks import kept_type
from neurolake.identifiers import fold
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

ColumnRow = tuple[Any, ...]
"""(schema, table, column, type, …)."""


def columns(engine: Engine, session: Session, rows: Iterable[ColumnRow]) -> list[ColumnRow]:
    """Those of these columns that the session may see, with the types it sees them under."""
    if session.principal.is_admin:
        return list(rows)
    by_table: dict[tuple[str, str], list[ColumnRow]] = {}
    for row in rows:
        by_table.setdefault((row[0], row[1]), []).append(row)
    engine.access.read_all()
    return [row for (schema, table), found in by_table.items() for row in _seen(engine, session, schema, table, found)]


def _seen(engine: Engine, session: Session, schema: str, table: str, rows: Sequence[ColumnRow]) -> list[ColumnRow]:
    types = {row[2]: row[3] for row in rows}
    decision = engine.access.decide(session.principal, Name(schema, table), types)
    actions = {column.column: column.action for column in decision.columns}
    return [
        row if actions[row[2]] == "allow" else (*row[:3], kept_type(row[3]), *row[4:])
        for row in rows
        if actions[row[2]] != ABSENT
    ]


def sources(engine: Engine, session: Session) -> list[Source]:
    """The registered sources that the session may see; where their files are is for administrators."""
    found = list(engine.catalog.sources.values())
    if session.principal.is_admin:
        return found
    rows = [(s.name.schema, s.name.table, column, kind) for s in found for column, kind in s.columns.items()]
    seen: dict[Name, dict[str, str]] = {}
    for schema, table, column, kind in columns(engine, session, rows):
        seen.setdefault(Name(schema, table), {})[column] = kind
    return [
        dataclasses.replace(source, location="", options={}, registered_by="", columns=seen[source.name])
        for source in found
        if source.name in seen
    ]


# information_schema, as a governed session sees it


def information(engine: Engine, session: Session, view: str) -> pa.Table:
    """One of the views of `information_schema`.

    Raises:
        AccessDenied: governed roles have no such view.
    """
    make = _VIEWS.get(fold(view))
    if make is None:
        raise errors.AccessDenied(
            f"A governed role has no information_schema.{view}.",
            code="relation_denied",
            next_step=f"There are: {', '.join(_VIEWS)}.",
        )
    return make(engine, session)


def _tables(engine: Engine, session: Session) -> pa.Table:
    from neurolake.catalog.browse import TEMPORARY, Browser

    return pa.Table.from_pylist(
        [
            {
                "table_catalog": "lake" if schema != TEMPORARY else "temp", "table_schema": schema or "main",
                "table_name": table, "table_type": kind, "is_insertable_into": "YES" if kind == "BASE TABLE" else "NO",
                "is_typed": "NO",
            }
            for schema, table, kind in Browser(engine, session).relations()
            if kind != "SYSTEM TABLE"
        ],
        _schema("table_catalog table_schema table_name table_type self_referencing_column_name reference_generation "
                "user_defined_type_catalog user_defined_type_schema user_defined_type_name is_insertable_into is_typed "
                "commit_action TABLE_COMMENT"),
    )  # fmt: skip


def _columns(engine: Engine, session: Session) -> pa.Table:
    from neurolake.catalog.browse import Browser

    registered = [
        (s.name.schema, s.name.table, column, kind, True)
        for s in sources(engine, session)
        for column, kind in s.columns.items()
    ]
    rows, places = [], dict[tuple[str, str], int]()
    for schema, table, column, kind, nullable in [*Browser(engine, session).visible_columns(), *registered]:
        place = places[schema, table] = places.get((schema, table), 0) + 1
        rows.append({
            "table_catalog": "lake", "table_schema": schema, "table_name": table, "column_name": column,
            "ordinal_position": place, "is_nullable": "YES" if nullable else "NO", "data_type": kind,
        })  # fmt: skip
    return pa.Table.from_pylist(
        rows,
        _schema("table_catalog table_schema table_name column_name ordinal_position column_default is_nullable "
                "data_type character_maximum_length numeric_precision numeric_scale COLUMN_COMMENT"),
    )  # fmt: skip


def _schemata(engine: Engine, session: Session) -> pa.Table:
    from neurolake.catalog.browse import Browser

    return pa.Table.from_pylist(
        [{"catalog_name": "lake", "schema_name": schema} for schema in Browser(engine, session).schemas()],
        _schema("catalog_name schema_name schema_owner sql_path"),
    )


_NUMBERS = frozenset(("ordinal_position", "character_maximum_length", "numeric_precision", "numeric_scale"))


def _schema(names: str) -> pa.Schema:
    return pa.schema([(name, pa.int32() if name in _NUMBERS else pa.string()) for name in names.split()])


_VIEWS: Mapping[str, Callable[[Engine, Session], pa.Table]] = {
    "tables": _tables,
    "columns": _columns,
    "schemata": _schemata,
}
