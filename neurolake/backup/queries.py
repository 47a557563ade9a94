"""The query history in a snapshot, where it is asked for: a Parquet file in the columns of `neurolake.queries`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake.backup.manifest import Column, Manifest, TableEntry
from neurolake.backup.select import ROW_HASH, ROW_NUMBERS
from neurolake.backup.writing import PartWriter
from neurolake.sql.text import Name

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.backup.repository import Repository
    from neurolake.catalog.store import Store

__all__ = ["bring_history", "with_history"]

NAME = Name("neurolake", "queries")
_TYPES = {
    "double": "DOUBLE",
    "int64": "BIGINT",
    "string": "VARCHAR",
    "timestamp[us, tz=UTC]": "TIMESTAMP WITH TIME ZONE",
}


def with_history(
    rows: pa.Table, repository: Repository, manifest: Manifest, check: Callable[[], None], *, reuse: bool
) -> Manifest:
    """Write the rows of `neurolake.queries`, oldest first, and name them in the manifest."""
    import pyarrow as pa

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
            _bring(parquet.read_table(paths[part.file]), store)


def _bring(rows: pa.Table, store: Store) -> None:
    import pyarrow as pa

    at = rows.schema.get_field_index("started_at")
    seconds = [moment.timestamp() for moment in rows["started_at"].to_pylist()]
    stored = rows.set_column(at, "started_at", pa.array(seconds, pa.float64()))
    marks = ", ".join("?" * len(stored.column_names))
    with store.durable() as db:
        db.executemany(
            f"INSERT INTO history ({', '.join(stored.column_names)}) VALUES ({marks})",
            zip(*stored.to_pydict().values(), strict=True),
        )
