"""Bound parameters: Arrow rows as the plain values the engine binds, nothing lost on the way."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from neurolake import _duckdb, errors
from neurolake.query import Plan, Values
from neurolake.sql.text import quote


def rows(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    """The rows of a batch as lists of values, each of the type its column has.

    >>> list(rows(pa.record_batch({"a": [1.5, None], "b": ["x", "y"]})))
    [[1.5, 'x'], [None, 'y']]

    Raises:
        NotSupported: a value is beyond what Python, and so the engine's interface, can hold.
    """
    columns = [_held(field.name, column) for field, column in zip(batch.schema, batch.columns, strict=True)]
    return (list(row) for row in zip(*columns, strict=True)) if columns else iter([[]] * batch.num_rows)


def for_plan(plan: Plan, row: Sequence[Any]) -> Values:
    """One row in the form the plan's parameters take: by position, or by name where the text names them."""
    names = [name for name, _ in plan.parameters]
    if not names or all(name.isdigit() for name in names):
        return list(row)
    return dict(zip(names, row, strict=False))


def _held(name: str, column: pa.Array) -> list[Any]:
    try:
        return _values(column)
    except (ArithmeticError, LookupError, ValueError, pa.ArrowException) as error:
        raise errors.NotSupported(
            f"The parameter {name} has a value of type {column.type} that cannot be bound: {error}.",
            code="type",
            next_step="Send it as text, and cast it in the statement.",
        ) from None


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pat.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if (make := _exact(kind)) is not None:
        return [None if value is None else make(value) for value in column.cast(pa.int64()).to_pylist()]
    if (declared := _declared(kind)) is not None:
        values = map(_exact_text, column.to_pylist(maps_as_pydicts="strict"))
        return [None if value is None else _duckdb.typed(value, declared) for value in values]
    return list(column.to_pylist())


def _exact_text(value: Any) -> Any:
    """The value with decimals, intervals and moments as text: the engine takes a small decimal for a double."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, pa.MonthDayNano):
        return f"{value.months} months {value.days} days {_microseconds_of(value)} microseconds"
    if isinstance(value, datetime.timedelta):
        if getattr(value, "nanoseconds", 0):  # pandas' kind of it, where pandas is there
            raise _too_fine()
        return f"{value // datetime.timedelta(microseconds=1)} microseconds"
    if isinstance(value, datetime.datetime):  # where pandas is there it may be its kind, which the engine misreads
        return str(value)
    if isinstance(value, list):
        return [_exact_text(item) for item in value]
    if isinstance(value, dict):
        return {key: _exact_text(item) for key, item in value.items()}
    return value


_NUMBERS = {
    pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT", pa.uint16(): "USMALLINT", pa.uint32(): "UINTEGER", pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
}  # fmt: skip
_OTHERS = {
    pa.bool_(): "BOOLEAN", pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.large_string(): "VARCHAR",
    pa.string_view(): "VARCHAR", pa.binary(): "BLOB", pa.large_binary(): "BLOB", pa.date32(): "DATE",
    pa.timestamp("s"): "TIMESTAMP", pa.timestamp("ms"): "TIMESTAMP", pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("ns"): "TIMESTAMP_NS",
    pa.time32("s"): "TIME", pa.time32("ms"): "TIME", pa.time64("us"): "TIME", pa.date64(): "DATE",
    pa.binary_view(): "BLOB", pa.null(): "INTEGER",
}  # fmt: skip


def _declared(kind: pa.DataType) -> str | None:
    """The DuckDB type to declare, of what Python's own types tell less about; None where the value tells enough."""
    odd = pat.is_nested(kind) or pat.is_decimal(kind) or pat.is_interval(kind) or pat.is_duration(kind)
    return _NUMBERS.get(kind) or (_nested(kind) if odd else None)


def _nested(kind: pa.DataType) -> str | None:
    """A type as DuckDB writes it; None for one with a part that no declared value can hold."""
    parts = [_nested(kind.field(place).type) for place in range(kind.num_fields)] if pat.is_nested(kind) else []
    if any(part is None for part in parts):
        return None
    if pat.is_map(kind):
        key, value = _nested(kind.key_type), _nested(kind.item_type)
        return None if pat.is_nested(kind.key_type) else f"MAP({key}, {value})"
    if pat.is_struct(kind) and parts:
        named = (f"{quote(kind.field(place).name)} {part}" for place, part in enumerate(parts))
        return f"STRUCT({', '.join(named)})"
    if pat.is_fixed_size_list(kind):
        return f"{parts[0]}[{kind.list_size}]" if kind.list_size else None
    if pat.is_list(kind) or pat.is_large_list(kind) or pat.is_list_view(kind) or pat.is_large_list_view(kind):
        return f"{parts[0]}[]"
    if pat.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})" if kind.precision <= 38 and kind.scale >= 0 else None
    if pat.is_interval(kind) or pat.is_duration(kind):
        return "INTERVAL"
    if pat.is_fixed_size_binary(kind):
        return "BLOB"
    if pat.is_timestamp(kind) and kind.tz is not None:
        return "TIMESTAMPTZ_NS" if kind.unit == "ns" else "TIMESTAMP WITH TIME ZONE"
    return _NUMBERS.get(kind) or _OTHERS.get(kind)


def _exact(kind: pa.DataType) -> Callable[[int], Any] | None:
    """Types whose Python form would lose digits are bound by the number they are."""
    if pat.is_timestamp(kind) and kind.unit == "ns":
        return _duckdb.timestamp_ns if kind.tz is None else _duckdb.timestamptz_ns
    if pat.is_time64(kind) and kind.unit == "ns":
        return lambda value: _microseconds(value // 1000)
    return None


def _microseconds_of(value: pa.MonthDayNano) -> int:
    if value.nanoseconds % 1000:
        raise _too_fine()
    return int(value.nanoseconds // 1000)


def _too_fine() -> errors.NotSupported:
    return errors.NotSupported(
        "A parameter is an interval finer than a microsecond.", code="type", next_step="Round it to microseconds."
    )


def _microseconds(value: int) -> datetime.time:
    seconds, micros = divmod(value, 1_000_000)
    return datetime.time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros)
