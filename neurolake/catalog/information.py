"""`information_schema` with the registered sources in it, and without what is ours alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa

from neurolake.catalog import Source
from neurolake.identifiers import fold
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.sql.text import Name, literal, quote

SCHEMA = "information_schema"

_TABLES = pa.schema(
    [
        ("table_catalog", pa.string()),
        ("table_schema", pa.string()),
        ("table_name", pa.string()),
        ("table_type", pa.string()),
        ("is_insertable_into", pa.string()),
    ]
)
_COLUMNS = pa.schema(
    [
        ("table_catalog", pa.string()),
        ("table_schema", pa.string()),
        ("table_name", pa.string()),
        ("column_name", pa.string()),
        ("ordinal_position", pa.int32()),
        ("is_nullable", pa.string()),
        ("data_type", pa.string()),
    ]
)


def relation(name: Name, lend: Callable[[pa.Table], str], sources: Iterable[Source]) -> str | None:
    """The SQL of one of its views; None for those that sources have no place in.

    Args:
        name: the view.
        lend: makes an Arrow table readable and gives its name.
        sources: what is registered.
    """
    found = _VIEWS.get(fold(name.table))
    if found is None:
        return None
    catalog, schema, rows = found
    own = (
        f"SELECT * FROM {SCHEMA}.{quote(name.table)} WHERE {catalog} = 'lake' AND {schema} <> {literal(OUTBOX_SCHEMA)}"
    )
    return own_and(own, lend(rows(sources)))


def own_and(own: str, more: str) -> str:
    """The engine's rows and ours, by column name."""
    return f"({own} UNION ALL BY NAME SELECT * FROM {more})"


def _tables(sources: Iterable[Source]) -> pa.Table:
    rows = [
        {
            "table_catalog": "lake",
            "table_schema": source.name.schema,
            "table_name": source.name.table,
            "table_type": "EXTERNAL TABLE",
            "is_insertable_into": "NO",
        }
        for source in sources
    ]
    return pa.Table.from_pylist(rows, _TABLES)


def _columns(sources: Iterable[Source]) -> pa.Table:
    rows = [
        {
            "table_catalog": "lake",
            "table_schema": source.name.schema,
            "table_name": source.name.table,
            "column_name": column,
            "ordinal_position": place,
            "is_nullable": "YES",
            "data_type": kind,
        }
        for source in sources
        for place, (column, kind) in enumerate(source.columns.items(), 1)
    ]
    return pa.Table.from_pylist(rows, _COLUMNS)


_VIEWS: Mapping[str, tuple[str, str, Callable[[Iterable[Source]], pa.Table]]] = {
    "tables": ("table_catalog", "table_schema", _tables),
    "columns": ("table_catalog", "table_schema", _columns),
}
