"""The query history in a snapshot, where it is asked for: a Parquet file in the columns of `neurolake.queries`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake.backup.manifest import Column, Manifest, TableEntry
from neurolake.backup.writing import ROW_HASH, ROW_NUMBERS, PartWriter
from neurolake.history import bring
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository
    from neurolake.catalog.store import Store
    from neurolake.history import History

__all__ = ["bring_history", "with_history"]

NAME = Name("neurolake", "queries")
_TYPES = {
    "double": "DOUBLE",
    "int64": "BIGINT",
    "string": "VARCHAR",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}


def with_history(
    history: History, repository: Repository, manifest: Manifest, check: Callable[[], None], *, reuse: bool
) -> Manifest:
    """Write the history as it is now, and name it in the manifest."""
    import pyarrow as pa

    rows = history.table()
    numbered = rows.append_column(ROW_NUMBERS, pa.array(range(rows.num_rows), pa.int64()))
    numbered = numbered.append_column(ROW_HASH, pa.repeat(pa.scalar(0, pa.uint64()), rows.num_rows))
    repository.steps.begin("writing the query history", rows_total=rows.num_rows)
    writer = PartWriter(repository, 1, check, reuse=reuse)
    try:
        parts = writer.parts([(0, numbered.to_batches())] if rows.num_rows else [])
    finally:
        writer.close()
    columns = tuple(Column(field.name, _TYPES[str(field.type)], _TYPES[str(field.type)]) for field in rows.schema)
    entry = TableEntry(NAME.schema, NAME.table, "", (), columns, max(rows.num_rows, 1), tuple(parts.values()))
    return replace(manifest, history=(entry,), bytes_new=manifest.bytes_new + writer.bytes_new)


def bring_history(manifest: Manifest, paths: Mapping[str, Path], store: Store) -> None:
    """Put it into a new lake's metadata."""
    import pyarrow.parquet as parquet

    for entry in manifest.history:
        for part in entry.parts:
            bring(store, parquet.read_table(paths[part.file]))
