"""The tables that answer Flight SQL's metadata commands: their reference schemas, filled from plain rows.

Stock drivers compare these schemas with their own, nullability included, before they read a row. Every builder sorts
its rows as the specification says.

>>> rows = [("lake", "main", "orders", "TABLE"), ("lake", "main", "customers", "TABLE")]
>>> tables(rows).column("table_name").to_pylist()
['customers', 'orders']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import pyarrow as pa

__all__ = [
    "CATALOGS",
    "DB_SCHEMAS",
    "FOREIGN_KEYS",
    "PRIMARY_KEYS",
    "SQL_INFO",
    "TABLES",
    "TABLES_WITH_SCHEMA",
    "TABLE_TYPES",
    "XDBC_TYPE_INFO",
    "ColumnDescription",
    "ForeignKeyColumn",
    "PrimaryKeyColumn",
    "UpdateDeleteRule",
    "catalogs",
    "cross_reference",
    "db_schemas",
    "described",
    "exported_keys",
    "imported_keys",
    "primary_keys",
    "serialise_schema",
    "table_types",
    "tables",
    "tables_with_schema",
]


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """Columns as (name, type) where NULL is not allowed, (name, type, True) where it is."""
    return pa.schema([pa.field(name, kind, bool(nullable)) for name, kind, *nullable in fields])


_TEXT: Final = pa.string()

CATALOGS: Final = _schema(("catalog_name", _TEXT))
DB_SCHEMAS: Final = _schema(("catalog_name", _TEXT, True), ("db_schema_name", _TEXT))
TABLES: Final = _schema(
    ("catalog_name", _TEXT, True),
    ("db_schema_name", _TEXT, True),
    ("table_name", _TEXT),
    ("table_type", _TEXT),
)
TABLES_WITH_SCHEMA: Final = TABLES.append(pa.field("table_schema", pa.binary(), nullable=False))
TABLE_TYPES: Final = _schema(("table_type", _TEXT))
PRIMARY_KEYS: Final = _schema(
    ("catalog_name", _TEXT, True),
    ("db_schema_name", _TEXT, True),
    ("table_name", _TEXT),
    ("column_name", _TEXT),
    ("key_sequence", pa.int32()),
    ("key_name", _TEXT, True),
)
FOREIGN_KEYS: Final = _schema(
    ("pk_catalog_name", _TEXT, True),
    ("pk_db_schema_name", _TEXT, True),
    ("pk_table_name", _TEXT),
    ("pk_column_name", _TEXT),
    ("fk_catalog_name", _TEXT, True),
    ("fk_db_schema_name", _TEXT, True),
    ("fk_table_name", _TEXT),
    ("fk_column_name", _TEXT),
    ("key_sequence", pa.int32()),
    ("fk_key_name", _TEXT, True),
    ("pk_key_name", _TEXT, True),
    ("update_rule", pa.uint8()),
    ("delete_rule", pa.uint8()),
)
"""Of GetExportedKeys, GetImportedKeys and GetCrossReference alike."""

SQL_INFO: Final = _schema(
    ("info_name", pa.uint32()),
    (
        "value",
        pa.dense_union(
            [
                pa.field("string_value", _TEXT, nullable=False),
                pa.field("bool_value", pa.bool_(), nullable=False),
                pa.field("bigint_value", pa.int64(), nullable=False),
                pa.field("int32_bitmask", pa.int32(), nullable=False),
                pa.field("string_list", pa.list_(_TEXT), nullable=False),
                pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32())), nullable=False),
            ],
            type_codes=[0, 1, 2, 3, 4, 5],
        ),
    ),
)
XDBC_TYPE_INFO: Final = _schema(
    ("type_name", _TEXT),
    ("data_type", pa.int32()),
    ("column_size", pa.int32(), True),
    ("literal_prefix", _TEXT, True),
    ("literal_suffix", _TEXT, True),
    ("create_params", pa.list_(pa.field("item", _TEXT, nullable=False)), True),
    ("nullable", pa.int32()),
    ("case_sensitive", pa.bool_()),
    ("searchable", pa.int32()),
    ("unsigned_attribute", pa.bool_(), True),
    ("fixed_prec_scale", pa.bool_()),
    ("auto_increment", pa.bool_(), True),
    ("local_type_name", _TEXT, True),
    ("minimum_scale", pa.int32(), True),
    ("maximum_scale", pa.int32(), True),
    ("sql_data_type", pa.int32()),
    ("datetime_subcode", pa.int32(), True),
    ("num_prec_radix", pa.int32(), True),
    ("interval_precision", pa.int32(), True),
)


class UpdateDeleteRule(IntEnum):
    """What happens to a foreign key's rows when the row they point at changes."""

    CASCADE = 0
    RESTRICT = 1
    SET_NULL = 2
    NO_ACTION = 3
    SET_DEFAULT = 4


class PrimaryKeyColumn(NamedTuple):
    """One column of a primary key; `key_sequence` counts from 1."""

    catalog_name: str | None
    db_schema_name: str | None
    table_name: str
    column_name: str
    key_sequence: int
    key_name: str | None = None


class ForeignKeyColumn(NamedTuple):
    """One pair of columns of a foreign key; `key_sequence` counts from 1."""

    pk_catalog_name: str | None
    pk_db_schema_name: str | None
    pk_table_name: str
    pk_column_name: str
    fk_catalog_name: str | None
    fk_db_schema_name: str | None
    fk_table_name: str
    fk_column_name: str
    key_sequence: int
    fk_key_name: str | None = None
    pk_key_name: str | None = None
    update_rule: UpdateDeleteRule = UpdateDeleteRule.NO_ACTION
    delete_rule: UpdateDeleteRule = UpdateDeleteRule.NO_ACTION


class ColumnDescription(NamedTuple):
    """What GetTables says of a column beyond its Arrow type; None is left out.

    `type_name` is the engine's name of the type, `precision` its size and `scale` its decimal places, as
    GetXdbcTypeInfo counts them.
    """

    type_name: str | None = None
    precision: int | None = None
    scale: int | None = None
    is_auto_increment: bool | None = None
    is_case_sensitive: bool | None = None
    is_read_only: bool | None = None
    is_searchable: bool | None = None
    remarks: str | None = None


def catalogs(names: Iterable[str]) -> pa.Table:
    """Answer GetCatalogs."""
    return _table(CATALOGS, [(name,) for name in names], (0,))


def db_schemas(rows: Iterable[tuple[str | None, str]]) -> pa.Table:
    """Answer GetDbSchemas from (catalog, schema)."""
    return _table(DB_SCHEMAS, rows, (0, 1))


def tables(rows: Iterable[tuple[str | None, str | None, str, str]]) -> pa.Table:
    """Answer GetTables from (catalog, schema, table, type)."""
    return _table(TABLES, rows, (0, 1, 2, 3))


def tables_with_schema(rows: Iterable[tuple[str | None, str | None, str, str, bytes]]) -> pa.Table:
    """Answer GetTables with `include_schema`, from (catalog, schema, table, type, serialised schema)."""
    return _table(TABLES_WITH_SCHEMA, rows, (0, 1, 2, 3, 4))


def table_types(names: Iterable[str]) -> pa.Table:
    """Answer GetTableTypes."""
    return _table(TABLE_TYPES, [(name,) for name in names], (0,))


def primary_keys(rows: Iterable[PrimaryKeyColumn]) -> pa.Table:
    """Answer GetPrimaryKeys."""
    return _table(PRIMARY_KEYS, rows, (0, 1, 2, 5, 4))


def exported_keys(rows: Iterable[ForeignKeyColumn]) -> pa.Table:
    """Answer GetExportedKeys."""
    return _table(FOREIGN_KEYS, rows, (4, 5, 6, 9, 8))


def imported_keys(rows: Iterable[ForeignKeyColumn]) -> pa.Table:
    """Answer GetImportedKeys."""
    return _table(FOREIGN_KEYS, rows, (0, 1, 2, 10, 8))


def cross_reference(rows: Iterable[ForeignKeyColumn]) -> pa.Table:
    """Answer GetCrossReference."""
    return imported_keys(rows)


def serialise_schema(schema: pa.Schema) -> bytes:
    """A schema as one encapsulated IPC message, as it stands in `table_schema` and in prepared statements' results."""
    return schema.serialize().to_pybytes()  # type: ignore[no-any-return]


def described(
    schema: pa.Schema,
    *,
    catalog: str | None,
    db_schema: str | None,
    table: str,
    columns: Mapping[str, ColumnDescription] | None = None,
) -> pa.Schema:
    """The schema with Flight SQL's column metadata on every field, which is where JDBC and ODBC read type names.

    >>> schema = described(pa.schema([("id", pa.int32())]), catalog="lake", db_schema="main", table="t",
    ...                    columns={"id": ColumnDescription("INTEGER", is_searchable=True)})
    >>> schema.field("id").metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"]
    b'INTEGER'
    """
    where = {"CATALOG_NAME": catalog, "SCHEMA_NAME": db_schema, "TABLE_NAME": table}
    fields = []
    for field in schema:
        facts = where | (columns or {}).get(field.name, ColumnDescription())._asdict()
        known = {name.upper(): fact for name, fact in facts.items() if fact is not None}
        metadata = {f"ARROW:FLIGHT:SQL:{name}": _metadata_text(fact) for name, fact in known.items()}
        fields.append(field.with_metadata({**_text_keys(field.metadata), **metadata}))
    return pa.schema(fields, metadata=schema.metadata)


def _metadata_text(fact: Any) -> str:
    return str(int(fact)) if isinstance(fact, bool) else str(fact)


def _text_keys(metadata: Mapping[bytes, bytes] | None) -> dict[str, bytes]:
    return {key.decode(): value for key, value in (metadata or {}).items()}


def _table(schema: pa.Schema, rows: Iterable[Sequence[Any]], order: tuple[int, ...]) -> pa.Table:
    """Fill a schema; rows are sorted by the columns in `order`, NULL first."""
    ordered = sorted(rows, key=lambda row: tuple((row[index] is not None, row[index]) for index in order))
    columns = list(zip(*ordered, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
