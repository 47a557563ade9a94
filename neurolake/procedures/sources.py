"""Procedures on registered sources."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from neurolake import urls
from neurolake.catalog import Source
from neurolake.procedures import Context, procedure
from neurolake.sources import relation
from neurolake.sql.text import Name

REGISTERED = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("format", pa.string()),
        pa.field("location", pa.string()),
        pa.field("columns", pa.int64()),
    ]
)
UNREGISTERED = pa.schema([pa.field("name", pa.string())])


@procedure(REGISTERED)
def register(
    context: Context,
    name: str,
    location: str,
    format: str | None = None,
    options: dict[str, Any] | None = None,
) -> pa.Table:
    """Give files a name: one file, a glob, a folder, or a hive-partitioned tree, local or remote.

    The files stay where they are. `format` is parquet, csv or json, by default told from the names; `options` are
    those of DuckDB's reader, such as {'header': true, 'delim': ';'}. New files under the location are seen by the
    next statement.
    """
    engine = context.engine
    full = Name.parse(name, context.session.schema)
    engine.refuse_taken(full)
    located = relation.locate(location, format, engine.storage.refresh, engine.settings.allowed_locations)
    source = Source(
        full, located.location, located.format, _plain(options or {}), {}, time.time(), context.principal.name
    )
    columns = engine.files.columns(source)
    engine.catalog.add(Source(
        full, source.location, source.format, source.options, columns, source.registered_at, source.registered_by
    ))  # fmt: skip
    if engine.settings.pii_scan != "off":
        from neurolake.pii.watch import look

        look(engine, full, context.principal.name, context.query_id)
    return pa.table(
        {
            "name": [str(full)],
            "format": [source.format],
            "location": [urls.hidden(source.location)],
            "columns": [len(columns)],
        },
        schema=REGISTERED,
    )


@procedure(UNREGISTERED)
def unregister(context: Context, name: str) -> pa.Table:
    """Forget a registered source. Its files stay."""
    full = Name.parse(name, context.session.schema)
    context.engine.catalog.remove(full)
    return pa.table({"name": [str(full)]}, schema=UNREGISTERED)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in options.items()}
