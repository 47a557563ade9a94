"""Bound parameters: Arrow rows as the plain values the engine binds, nothing lost on the way."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from neurolake import _duckdb
from neurolake.query import Plan, Values


def rows(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    """The rows of a batch as lists of plain values.

    >>> list(rows(pa.record_batch({"a": [1, None], "b": ["x", "y"]})))
    [[1, 'x'], [None, 'y']]
    """
    columns = [_values(column) for column in batch.columns]
    return (list(row) for row in zip(*columns, strict=True)) if columns else iter([[]] * batch.num_rows)


def for_plan(plan: Plan, row: Sequence[Any]) -> Values:
    """One row in the form the plan's parameters take: by position, or by name where the text names them."""
    names = [name for name, _ in plan.parameters]
    if not names or all(name.isdigit() for name in names):
        return list(row)
    return dict(zip(names, row, strict=False))


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pat.is_dictionary(kind):
        return _values(column.dictionary_decode())
    make = _exact(kind)
    if make is None:
        return list(column.to_pylist())
    return [None if value is None else make(value) for value in column.cast(pa.int64()).to_pylist()]


def _exact(kind: pa.DataType) -> Callable[[int], Any] | None:
    """Types whose Python form would lose digits are bound by the number they are."""
    if pat.is_timestamp(kind) and kind.unit == "ns":
        return _duckdb.timestamp_ns
    if pat.is_time64(kind) and kind.unit == "ns":
        return lambda value: _microseconds(value // 1000)
    return None


def _microseconds(value: int) -> datetime.time:
    seconds, micros = divmod(value, 1_000_000)
    return datetime.time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros)
