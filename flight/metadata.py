"""What a client may ask about the catalog and the server, and the tables that answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from flight.protocol import commands, schemas
from flight.protocol.batches import BatchCutter
from flight.protocol.plain import plain_schema
from flight.protocol.sql_info import EngineFacts, sql_info_table
from flight.protocol.type_info import described_type, xdbc_type_info
from neurolake.catalog.browse import TEMPORARY, Browser, ColumnFacts
from neurolake.engine import Engine
from neurolake.query import Request
from neurolake.session import Session

CATALOG: Final = "lake"
TABLE_TYPES: Final = ("BASE TABLE", "LOCAL TEMPORARY", "SYSTEM TABLE", "VIEW", "EXTERNAL TABLE")

BYTES_PER_CHARACTER_MAX: Final = 4
"""Of UTF-8."""

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
    """Answer a question, in batches that fit into messages: the schemas of many tables are long."""
    table = _ANSWERS[type(command)](engine, session, command)
    cutter = BatchCutter(table.schema, batch_bytes=engine.settings.batch_bytes, message_bytes_max=None)
    pieces = [piece for batch in table.to_batches() for piece in cutter.cut(batch)]
    return pa.Table.from_batches(pieces, table.schema)


def _sql_info(engine: Engine, session: Session, command: commands.GetSqlInfo) -> pa.Table:
    return sql_info_table(_facts(engine, session, command.codes), command.codes)


def _facts(engine: Engine, session: Session, codes: Sequence[int]) -> EngineFacts:
    # Drivers ask for one plain code at every connect, and listing all functions takes longer than the rest of it.
    names = not codes or not _LISTS.isdisjoint(codes)
    version, keywords, functions = Browser(engine, session).facts(names=names)
    settings = engine.settings
    idle_ms = min(int(settings.session_idle_s * 1000), 2**31 - 1)
    return EngineFacts(
        server_version=f"duckdb v{version} (NeuroLake)",
        keywords=keywords,
        functions=functions,
        # Both live as long as their session, and any use of it counts.
        statement_timeout_ms=idle_ms,
        transaction_timeout_ms=idle_ms,
        statement_characters_max=commands.COMMAND_BYTES_MAX // BYTES_PER_CHARACTER_MAX,
        sessions_max=min(settings.sessions_max, settings.sessions_per_user_max),
    )


def _catalogs(engine: Engine, session: Session, command: commands.GetCatalogs) -> pa.Table:
    return schemas.catalogs([CATALOG])


def _db_schemas(engine: Engine, session: Session, command: commands.GetDbSchemas) -> pa.Table:
    if command.catalog not in (None, CATALOG):
        return schemas.db_schemas([])
    matches = like(command.schema_pattern)
    return schemas.db_schemas((CATALOG, name) for name in Browser(engine, session).schemas() if matches(name))


def _tables(engine: Engine, session: Session, command: commands.GetTables) -> pa.Table:
    browser = Browser(engine, session)
    found = list(_matching(browser, command))
    if not command.include_schema:
        return schemas.tables((*_place(schema), table, kind) for schema, table, kind in found)
    columns = browser.column_facts(found)
    types = _arrow_types(engine, session, {fact.type for facts in columns.values() for fact in facts.values()})
    return schemas.tables_with_schema(
        (*_place(schema), table, kind, schemas.serialise_schema(_described(schema, table, kind, facts, types)))
        for (schema, table, kind), facts in zip(found, columns.values(), strict=True)
    )


def _place(schema: str) -> tuple[str | None, str | None]:
    """The catalog and schema of a relation. What is temporary stands in none, and is found by its name alone."""
    return (None, None) if schema == TEMPORARY else (CATALOG, schema)


def _matching(browser: Browser, command: commands.GetTables) -> Iterator[tuple[str, str, str]]:
    in_schema, in_table = like(command.schema_pattern), like(command.table_pattern)
    kinds = _synonyms(command.table_types)
    for schema, table, kind in sorted(browser.relations()):
        catalog = _place(schema)[0] or ""
        if (
            command.catalog in (None, catalog)
            and in_schema(schema)
            and in_table(table)
            and (not kinds or kind in kinds)
        ):
            yield schema, table, kind


def _arrow_types(engine: Engine, session: Session, names: Iterable[str]) -> dict[str, pa.DataType]:
    """The Arrow types that columns of these types have in a result: the planner itself says so."""
    ordered = sorted(names)
    if not ordered:
        return {}
    nulls = ", ".join(f"CAST(NULL AS {name}) AS c{place}" for place, name in enumerate(ordered))
    plan = engine.plan(Request(f"SELECT {nulls}", session, client=session.client, translated=True))
    assert plan.schema is not None
    return dict(zip(ordered, plain_schema(plan.schema).types, strict=True))


def _described(
    schema: str, table: str, kind: str, facts: Mapping[str, ColumnFacts], types: Mapping[str, pa.DataType]
) -> pa.Schema:
    catalog, db_schema = _place(schema)
    fields = pa.schema([pa.field(name, types[f.type], f.nullable, dict(f.marks)) for name, f in facts.items()])
    read_only = kind not in ("BASE TABLE", "LOCAL TEMPORARY")
    columns = {name: _description(fact, read_only=read_only) for name, fact in facts.items()}
    return schemas.described(fields, catalog=catalog, db_schema=db_schema, table=table, columns=columns)


def _description(fact: ColumnFacts, *, read_only: bool) -> schemas.ColumnDescription:
    return described_type(fact.type)._replace(
        is_auto_increment=(fact.default or "").startswith("nextval("),
        is_read_only=read_only,
        is_searchable=True,
        remarks=fact.comment,
    )


def _synonyms(kinds: tuple[str, ...]) -> set[str]:
    """Drivers ask for TABLE where the standard says BASE TABLE; a source is a table to them as well."""
    wanted = set(kinds)
    return wanted | {"BASE TABLE", "EXTERNAL TABLE"} if "TABLE" in wanted else wanted


def _table_types(engine: Engine, session: Session, command: commands.GetTableTypes) -> pa.Table:
    return schemas.table_types(TABLE_TYPES)


def _primary_keys(engine: Engine, session: Session, command: commands.GetPrimaryKeys) -> pa.Table:
    here = command.catalog in (None, CATALOG)
    rows = Browser(engine, session).primary_keys(command.schema, command.table) if here else ()
    return schemas.primary_keys(
        schemas.PrimaryKeyColumn(
            catalog_name=CATALOG, db_schema_name=schema, table_name=table, column_name=column, key_sequence=place,
            key_name=name,
        )
        for schema, table, name, columns in rows
        for place, column in enumerate(columns, 1)
    )  # fmt: skip


def _exported(engine: Engine, session: Session, command: commands.GetExportedKeys) -> pa.Table:
    return schemas.exported_keys(_keys(engine, session, pk=(command.catalog, command.schema, command.table)))


def _imported(engine: Engine, session: Session, command: commands.GetImportedKeys) -> pa.Table:
    return schemas.imported_keys(_keys(engine, session, fk=(command.catalog, command.schema, command.table)))


def _cross(engine: Engine, session: Session, command: commands.GetCrossReference) -> pa.Table:
    pk = (command.pk_catalog, command.pk_schema, command.pk_table)
    fk = (command.fk_catalog, command.fk_schema, command.fk_table)
    return schemas.cross_reference(_keys(engine, session, pk=pk, fk=fk))


_Wanted = tuple[str | None, str | None, str]
"""Of a table: its catalog, its schema (None: whichever) and its name."""


def _keys(
    engine: Engine, session: Session, *, pk: _Wanted | None = None, fk: _Wanted | None = None
) -> Iterator[schemas.ForeignKeyColumn]:
    for name, key, (fk_schema, fk_table, fk_columns), (pk_schema, pk_table, pk_columns) in Browser(
        engine, session
    ).foreign_keys():
        if not (_is(pk, pk_schema, pk_table) and _is(fk, fk_schema, fk_table)):
            continue
        for place, (theirs, ours) in enumerate(zip(pk_columns, fk_columns, strict=True), 1):
            yield schemas.ForeignKeyColumn(
                pk_catalog_name=CATALOG, pk_db_schema_name=pk_schema, pk_table_name=pk_table, pk_column_name=theirs,
                fk_catalog_name=CATALOG, fk_db_schema_name=fk_schema, fk_table_name=fk_table, fk_column_name=ours,
                key_sequence=place, fk_key_name=name, pk_key_name=key,
                update_rule=schemas.UpdateDeleteRule.NO_ACTION, delete_rule=schemas.UpdateDeleteRule.NO_ACTION,
            )  # fmt: skip


def _is(wanted: _Wanted | None, schema: str, table: str) -> bool:
    if wanted is None:
        return True
    catalog, in_schema, name = wanted
    return catalog in (None, CATALOG) and in_schema in (None, schema) and name == table


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
