"""A result as a text table: columns as wide as the first rows need, the rest streamed under them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import pyarrow as pa

from neurolake.formats.cells import texts
from neurolake.formats.writer import Writer

__all__ = ["TableWriter", "render"]

MEASURED_ROWS = 1000
"""Rows that are held back to learn the columns' widths."""
CELL_WIDTH_MAX = 60
"""On a terminal, a longer value ends in an ellipsis."""
NULL = "NULL"

Row = list[str]


class TableWriter(Writer):
    """Writes a table to a byte stream.

    Args:
        sink: where it goes.
        schema: the columns.
        encoding: of the text; where it lacks the rule's character, hyphens are drawn.
        cell_width_max: cut longer values; None writes them whole.
        rows_max: stop showing rows after so many, and say so; None shows all.
    """

    def __init__(
        self,
        sink: BinaryIO,
        schema: pa.Schema,
        *,
        encoding: str = "utf-8",
        cell_width_max: int | None = None,
        rows_max: int | None = None,
    ) -> None:
        self._sink = sink
        self._schema = schema
        self._encoding = encoding
        self._cell_width_max = cell_width_max
        self._rows_max = rows_max
        self._right = [_is_number(field.type) for field in schema]
        self._widths: list[int] | None = None
        self._held: list[Row] = []
        self.rows = 0

    @property
    def is_full(self) -> bool:
        """Whether more rows would not be shown."""
        return self._rows_max is not None and self.rows > self._rows_max

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        first = self.rows
        self.rows += batch.num_rows
        if self._rows_max is not None:
            batch = batch.slice(0, max(0, self._rows_max - first))
        rows = self._rows(batch)
        if self._widths is not None:
            self._print(rows)
            return
        self._held += rows
        if len(self._held) >= MEASURED_ROWS:
            self._begin()

    def close(self) -> None:
        """Write what was held back, and how many rows there were."""
        if self._widths is None:
            self._begin()
        if self.is_full:
            self._line(f"(the first {self._rows_max:,} rows)")
        else:
            self._line(f"({self.rows:,} row{'' if self.rows == 1 else 's'})")

    def _rows(self, batch: pa.RecordBatch) -> list[Row]:
        columns = [[self._cell(text) for text in texts(column)] for column in batch.columns]
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[]] * batch.num_rows

    def _cell(self, text: str | None) -> str:
        shown = NULL if text is None else _visible(text)
        most = self._cell_width_max
        if most is None or len(shown) <= most // 2 or _width(shown) <= most:
            return shown
        while _width(shown) >= most:
            shown = shown[: most - 1] if len(shown) >= most else shown[:-1]
        return f"{shown}…"

    def _begin(self) -> None:
        names = [_visible(name) for name in self._schema.names]
        self._widths = [
            max(map(_width, chain([name], column)))
            for name, column in zip(names, _columns(self._held, len(names)), strict=True)
        ]
        self._print([names])
        self._line("  ".join(self._rule() * width for width in self._widths))
        self._print(self._held)
        self._held = []

    def _rule(self) -> str:
        try:
            "─".encode(self._encoding)
        except UnicodeEncodeError:
            return "-"
        return "─"

    def _print(self, rows: Iterable[Row]) -> None:
        assert self._widths is not None
        for row in rows:
            padded = map(_pad, row, self._widths, self._right)
            self._line("  ".join(padded).rstrip())

    def _line(self, text: str) -> None:
        self._sink.write(text.encode(self._encoding, "backslashreplace") + b"\n")


def render(schema: pa.Schema, batches: Iterable[pa.RecordBatch], rows_max: int | None = None) -> str:
    """A table as one text.

    >>> print(render(*_example()))
    id  name
    ──  ────
     7  Ann
     8  NULL
    (2 rows)
    """
    from io import BytesIO

    sink = BytesIO()
    writer = TableWriter(sink, schema, rows_max=rows_max, cell_width_max=CELL_WIDTH_MAX)
    for batch in batches:
        writer.write(batch)
    writer.close()
    return sink.getvalue().decode().removesuffix("\n")


def _example() -> tuple[pa.Schema, list[pa.RecordBatch]]:
    batch = pa.record_batch({"id": [7, 8], "name": ["Ann", None]})
    return batch.schema, [batch]


def _columns(rows: list[Row], count: int) -> Iterator[Iterable[str]]:
    return (iter(column) for column in zip(*rows, strict=True)) if rows else iter([()] * count)


def _visible(text: str) -> str:
    """Control characters as escapes: a value can neither break the table nor steer the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
