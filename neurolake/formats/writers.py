"""One writer a format. Each takes batches as they come and holds no more than the one it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from neurolake import errors
from neurolake.formats.cells import jsons, text_array
from neurolake.formats.table import TableWriter
from neurolake.formats.writer import Writer

__all__ = ["BINARY", "FORMATS", "format_of", "open_writer"]


class CsvWriter(Writer):
    """RFC 4180 with a header, quoted only where needed. NULL is an empty field, empty text a pair of quotes;
    nested values are JSON."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._sink = sink
        self._line(pa.record_batch([[name] for name in schema.names], schema.names) if schema.names else None)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next rows."""
        self._line(batch)

    def _line(self, batch: pa.RecordBatch | None) -> None:
        if batch is not None and batch.num_rows:
            fields = [_csv_field(text_array(column)) for column in batch.columns]
            lines = pc.binary_join_element_wise(*fields, ",")
            self._sink.write(("\n".join(lines.to_pylist()) + "\n").encode())


def _csv_field(column: pa.StringArray) -> pa.StringArray:
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    needed = pc.or_(pc.match_substring_regex(column, '[",\r\n]'), pc.equal(column, ""))
    return pc.fill_null(pc.if_else(needed, quoted, column), "")


class JsonWriter(Writer):
    """One JSON array with one object a row, each on a line of its own."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._sink = sink
        self._names = [json.dumps(name, ensure_ascii=False) for name in schema.names]
        self._before = "[\n  "

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next rows."""
        columns = [
            [f"{name}: {value}" for value in jsons(c)] for name, c in zip(self._names, batch.columns, strict=True)
        ]
        rows = zip(*columns, strict=True) if columns else iter([()] * batch.num_rows)
        for row in rows:
            self._sink.write(f"{self._before}{{{', '.join(row)}}}".encode())
            self._before = ",\n  "

    def close(self) -> None:
        """Close the array."""
        self._sink.write(b"[]\n" if self._before.startswith("[") else b"\n]\n")


class ArrowWriter(Writer):
    """An Arrow IPC stream."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pa.ipc.new_stream(sink, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next rows."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write the end of the stream."""
        self._writer.close()


class ParquetWriter(Writer):
    """A Parquet file, compressed with Zstandard, in row groups of a good size however small the batches are."""

    ROW_GROUP_ROWS = 131_072

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        import pyarrow.parquet as papq

        self._sink = _Counted(sink)
        try:
            self._writer = papq.ParquetWriter(self._sink, schema, compression="zstd")
        except pa.ArrowNotImplementedError as error:
            raise errors.NotSupported(
                f"Parquet cannot hold this result: {error}.",
                code="format_type",
                next_step="Cast the column, for example to VARCHAR, or use --format arrow.",
            ) from None
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows; written when they fill a row group."""
        self._held.append(batch)
        self._rows += batch.num_rows
        if self._rows >= self.ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Keep pyarrow from writing a footer when it frees the writer."""
        self._sink.abandoned = True

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
        self._held, self._rows = [], 0


class _Counted:
    """A sink that cannot say where it is, such as a pipe, for a writer that wants to know."""

    closed = False

    def __init__(self, sink: BinaryIO) -> None:
        self.abandoned = False
        self._sink = sink
        self._at = 0

    def write(self, data: bytes) -> int:
        if not self.abandoned:
            self._sink.write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        if not self.abandoned:
            self._sink.flush()

    def close(self) -> None:
        self.flush()


FORMATS: Mapping[str, Callable[..., Writer]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
    "arrow": ArrowWriter,
    "parquet": ParquetWriter,
}
BINARY = frozenset(("arrow", "parquet"))
"""Formats that are not for a terminal."""
_ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".parquet": "parquet",
    ".txt": "table",
}


def format_of(path: Path) -> str | None:
    """The format a file's name asks for.

    >>> format_of(Path("out/orders.parquet")), format_of(Path("orders"))
    ('parquet', None)
    """
    return _ENDINGS.get(path.suffix.casefold())


def open_writer(format: str, sink: BinaryIO, schema: pa.Schema, **options: Any) -> Writer:
    """A writer of one of `FORMATS`. `options` are TableWriter's, and are nothing to the others."""
    return FORMATS[format](sink, schema, **(options if format == "table" else {}))
