"""What a client may ask about the catalog and the server, and the tables that answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from flight.protocol import commands, schemas
from flight.protocol.plain import plain_schema
from flight.protocol.sql_info import EngineFacts, sql_info_table
from flight.protocol.type_info import xdbc_type_info
from neurolake.catalog.browse import Browser
from neurolake.engine import Engine
from neurolake.session import Session

CATALOG: Final = "lake"
TABLE_TYPES: Final = ("BASE TABLE", "LOCAL TEMPORARY", "SYSTEM TABLE", "VIEW", "EXTERNAL TABLE")

_LISTS: Final = frozenset(range(508, 513))
"""The SqlInfo codes whose answers list keywords and functions."""

_SCHEMAS: Final[Mapping[type, pa.Schema]] = {
    commands.GetSqlInfo: schemas.SQL_INFO,
    commands.GetXdbcTypeInfo: schemas.XDBC_TYPE_INFO,
    commands.GetCatalogs: schemas.CATALOGS,
    commands.GetDbSchemas: schemas.DB_SCHEMAS,
    commands.GetTableTypes: schemas.TABLE_TYPES,
    commands.GetPrimaryKeys: schemas.PRIMARY_KEYS,
    commands.GetExportedKeys: schemas.FOREIGN_KEYS,
    commands.GetImportedKeys: schemas.FOREIGN_KEYS,
    commands.GetCrossReference: schemas.FOREIGN_KEYS,
}


def schema_of(command: commands.Command) -> pa.Schema | None:
    """The schema of a question's answer; None where the command is a statement."""
    if isinstance(command, commands.GetTables):
        return schemas.TABLES_WITH_SCHEMA if command.include_schema else schemas.TABLES
    return _SCHEMAS.get(type(command))


def answer(engine: Engine, session: Session, command: commands.Command) -> pa.Table:
    """Answer a question."""
    return _ANSWERS[type(command)](engine, session, command)


def _sql_info(engine: Engine, session: Session, command: commands.GetSqlInfo) -> pa.Table:
    return sql_info_table(_facts(engine, session, command.codes), command.codes)


def _facts(engine: Engine, session: Session, codes: Sequence[int]) -> EngineFacts:
    # Drivers ask for one plain code at every connect, and listing all functions takes longer than the rest of it.
    names = not codes or not _LISTS.isdisjoint(codes)
    version, keywords, functions = Browser(engine, session).facts(names=names)
    return EngineFacts(
        server_version=f"duckdb v{version} (NeuroLake)",
        keywords=keywords,
        functions=functions,
        sessions_max=engine.settings.sessions_max,
    )


def _catalogs(engine: Engine, session: Session, command: commands.GetCatalogs) -> pa.Table:
    return schemas.catalogs([CATALOG])


def _db_schemas(engine: Engine, session: Session, command: commands.GetDbSchemas) -> pa.Table:
    if command.catalog not in (None, CATALOG):
        return schemas.db_schemas([])
    matches = like(command.schema_pattern)
    return schemas.db_schemas((CATALOG, name) for name in Browser(engine, session).schemas() if matches(name))


def _tables(engine: Engine, session: Session, command: commands.GetTables) -> pa.Table:
    rows = list(_matching(engine, session, command))
    if not command.include_schema:
        return schemas.tables((CATALOG, *row) for row in rows)
    described = Browser(engine, session).arrow_schemas([(schema, table) for schema, table, _ in rows])
    return schemas.tables_with_schema(
        (CATALOG, schema, table, kind, schemas.serialise_schema(plain_schema(described[schema, table])))
        for schema, table, kind in rows
    )


def _matching(engine: Engine, session: Session, command: commands.GetTables) -> Iterator[tuple[str, str, str]]:
    if command.catalog not in (None, CATALOG):
        return
    in_schema, in_table = like(command.schema_pattern), like(command.table_pattern)
    for schema, table, kind in Browser(engine, session).relations():
        if (
            in_schema(schema)
            and in_table(table)
            and (not command.table_types or kind in _synonyms(command.table_types))
        ):
            yield schema, table, kind


def _synonyms(kinds: tuple[str, ...]) -> set[str]:
    """Drivers ask for TABLE where the standard says BASE TABLE; a source is a table to them as well."""
    wanted = set(kinds)
    return wanted | {"BASE TABLE", "EXTERNAL TABLE"} if "TABLE" in wanted else wanted


def _table_types(engine: Engine, session: Session, command: commands.GetTableTypes) -> pa.Table:
    return schemas.table_types(TABLE_TYPES)


def _primary_keys(engine: Engine, session: Session, command: commands.GetPrimaryKeys) -> pa.Table:
    rows = Browser(engine, session).primary_keys(command.schema, command.table)
    return schemas.primary_keys(
        schemas.PrimaryKeyColumn(
            catalog_name=CATALOG, db_schema_name=schema, table_name=table, column_name=column, key_sequence=place,
            key_name=name,
        )
        for schema, table, name, columns in rows
        for place, column in enumerate(columns, 1)
    )  # fmt: skip


def _exported(engine: Engine, session: Session, command: commands.GetExportedKeys) -> pa.Table:
    return schemas.exported_keys(_keys(engine, session, pk=(command.schema, command.table)))


def _imported(engine: Engine, session: Session, command: commands.GetImportedKeys) -> pa.Table:
    return schemas.imported_keys(_keys(engine, session, fk=(command.schema, command.table)))


def _cross(engine: Engine, session: Session, command: commands.GetCrossReference) -> pa.Table:
    return schemas.cross_reference(
        _keys(engine, session, pk=(command.pk_schema, command.pk_table), fk=(command.fk_schema, command.fk_table))
    )


def _keys(
    engine: Engine,
    session: Session,
    *,
    pk: tuple[str | None, str] | None = None,
    fk: tuple[str | None, str] | None = None,
) -> Iterator[schemas.ForeignKeyColumn]:
    for name, (fk_schema, fk_table, fk_columns), (pk_schema, pk_table, pk_columns) in Browser(
        engine, session
    ).foreign_keys():
        if not (_is(pk, pk_schema, pk_table) and _is(fk, fk_schema, fk_table)):
            continue
        for place, (theirs, ours) in enumerate(zip(pk_columns, fk_columns, strict=True), 1):
            yield schemas.ForeignKeyColumn(
                pk_catalog_name=CATALOG, pk_db_schema_name=pk_schema, pk_table_name=pk_table, pk_column_name=theirs,
                fk_catalog_name=CATALOG, fk_db_schema_name=fk_schema, fk_table_name=fk_table, fk_column_name=ours,
                key_sequence=place, fk_key_name=name, pk_key_name=None,
                update_rule=schemas.UpdateDeleteRule.NO_ACTION, delete_rule=schemas.UpdateDeleteRule.NO_ACTION,
            )  # fmt: skip


def _is(wanted: tuple[str | None, str] | None, schema: str, table: str) -> bool:
    return wanted is None or (wanted[0] in (None, "", schema) and wanted[1] == table)


def _types(engine: Engine, session: Session, command: commands.GetXdbcTypeInfo) -> pa.Table:
    return xdbc_type_info(command.data_type)


def like(pattern: str | None) -> Callable[[str], bool]:
    r"""A matcher for a LIKE pattern: % any text, _ any character, \ before either means itself.

    >>> like("ord%")("orders"), like("a\\_b")("axb"), like(None)("anything")
    (True, False, True)
    """
    if pattern is None or pattern == "%":
        return lambda _: True
    parts = re.findall(r"\\.|%|_|[^\\%_]+|\\", pattern, re.DOTALL)
    expression = re.compile("".join(_PARTS.get(part) or re.escape(_plain(part)) for part in parts), re.DOTALL)
    return lambda name: expression.fullmatch(name) is not None


_PARTS: Final = {"%": ".*", "_": "."}


def _plain(part: str) -> str:
    return part[1:] if len(part) == 2 and part[0] == "\\" else part


_ANSWERS: Final[Mapping[type, Callable[[Engine, Session, Any], pa.Table]]] = {
    commands.GetSqlInfo: _sql_info,
    commands.GetXdbcTypeInfo: _types,
    commands.GetCatalogs: _catalogs,
    commands.GetDbSchemas: _db_schemas,
    commands.GetTables: _tables,
    commands.GetTableTypes: _table_types,
    commands.GetPrimaryKeys: _primary_keys,
    commands.GetExportedKeys: _exported,
    commands.GetImportedKeys: _imported,
    commands.GetCrossReference: _cross,
}
