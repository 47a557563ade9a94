"""Arrow values as text: what a table shows, and JSON. Lossless where Python's own types are not.

Python has no nanoseconds, no year 10,000 and no exact decimals in JSON, so values go from Arrow to text without it.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_NS_PER_S = 1_000_000_000
_INFINITIES = tuple(
    (sign * (2**bits - 1), name) for bits in (31, 63) for sign, name in ((1, "infinity"), (-1, "-infinity"))
)
"""How DuckDB stores the ends of time in dates and timestamps."""


def text_array(array: pa.Array) -> pa.StringArray:
    """Each value as a reader expects it; NULL stays NULL.

    >>> text_array(pa.array([[1, 2], None])).to_pylist()
    ['[1, 2]', None]
    >>> import datetime
    >>> text_array(pa.array([datetime.datetime(2026, 3, 1, 12, 30)])).to_pylist()
    ['2026-03-01 12:30:00']
    """
    array = _simple(array)
    if pa.types.is_nested(array.type) and not pa.types.is_union(array.type):
        return pa.array([None if text == "null" else text for text in jsons(array)], pa.string())
    return _SHOW.get(array.type.id, _as_cast)(array)


def texts(array: pa.Array) -> list[str | None]:
    """`text_array` as a list."""
    return list(text_array(array).to_pylist())


def jsons(array: pa.Array) -> list[str]:
    """Each value as JSON text. Decimals and big integers are exact numbers; NaN and the infinities are null.

    >>> jsons(pa.array([{"a": 1, "b": ["x", None]}]))
    ['{"a": 1, "b": ["x", null]}']
    >>> from decimal import Decimal
    >>> jsons(pa.array([Decimal("12345678901234567890.10")]))
    ['12345678901234567890.10']
    """
    array = _simple(array)
    kind = array.type
    if pa.types.is_struct(kind):
        return _structs(array)
    if pa.types.is_map(kind):
        return _maps(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(array)
    if pa.types.is_floating(kind):
        return [json.dumps(v) if v is not None and math.isfinite(v) else "null" for v in array.to_pylist()]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return ["null" if text is None else text for text in texts(array)]
    return ["null" if text is None else json.dumps(text, ensure_ascii=False) for text in texts(array)]


def _simple(array: pa.Array) -> pa.Array:
    """Without what only changes how values are stored."""
    if isinstance(array, pa.ExtensionArray):
        if array.type.extension_name == "arrow.uuid":
            return pa.array([v and str(uuid.UUID(bytes=v)) for v in array.storage.to_pylist()], pa.string())
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array


def _as_cast(array: pa.Array) -> pa.StringArray:
    try:
        return pc.cast(array, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _each(array, str)


def _each(array: pa.Array, show: Callable[[Any], str]) -> pa.StringArray:
    return pa.array([None if value is None else show(value) for value in array.to_pylist()], pa.string())


def _floats(array: pa.Array) -> pa.StringArray:
    """Whole ones keep their point, so that a reader sees what they are."""
    return pc.replace_substring_regex(_as_cast(array), r"^(-?\d+)$", r"\1.0")


def _decimals(array: pa.Array) -> pa.StringArray:
    cast = _as_cast(array)
    if pc.any(pc.match_substring(cast, "E")).as_py():
        return _each(array, lambda value: format(value, "f"))
    return cast


def _moments(array: pa.Array) -> pa.StringArray:
    """Without a fraction of zeros, and with a colon in the zone."""
    shown = _as_cast(array)
    for pattern, replacement in ((r"(\.\d*?)0+([+\-Z]|$)", r"\1\2"), (r"\.([+\-Z]|$)", r"\1")):
        shown = pc.replace_substring_regex(shown, pattern, replacement)
    if getattr(array.type, "tz", None) is not None:
        shown = pc.replace_substring_regex(shown, r"([+\-]\d\d)(\d\d)$", r"\1:\2")
    for bound, name in _INFINITIES:
        shown = pc.replace_substring(shown, f"<value out of range: {bound}>", name)
    return shown


def _bytes(array: pa.Array) -> pa.StringArray:
    return _each(array, lambda value: f"\\x{value.hex()}")


def _intervals(array: pa.Array) -> pa.StringArray:
    return _each(array, lambda value: _interval(*value))


def _durations(array: pa.Array) -> pa.StringArray:
    per_unit = {"s": _NS_PER_S, "ms": 1_000_000, "us": 1000, "ns": 1}[array.type.unit]
    return _each(array.cast(pa.int64()), lambda count: _interval(0, 0, count * per_unit))


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """An interval as DuckDB writes it.

    >>> _interval(14, 2, 3_500_000_000)
    '1 year 2 months 2 days 00:00:03.5'
    """
    years, months = int(months / 12), int(math.fmod(months, 12))
    parts = [
        f"{count} {unit}{'' if abs(count) == 1 else 's'}"
        for count, unit in ((years, "year"), (months, "month"), (days, "day"))
        if count
    ]
    if nanoseconds or not parts:
        seconds, fraction = divmod(abs(nanoseconds), _NS_PER_S)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        shown = f"{clock}.{fraction:09}".rstrip("0") if fraction else clock
        parts.append(f"-{shown}" if nanoseconds < 0 else shown)
    return " ".join(parts)


def _structs(array: pa.StructArray) -> list[str]:
    names = [json.dumps(field.name, ensure_ascii=False) for field in array.type]
    columns = [jsons(column) for column in array.flatten()]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    built = ("{" + ", ".join(f"{n}: {v}" for n, v in zip(names, row, strict=True)) + "}" for row in rows)
    return _with_nulls(array, list(built))


def _maps(array: pa.MapArray) -> list[str]:
    keys, items = array.keys, array.items
    pairs = [
        f"{json.dumps(key, ensure_ascii=False)}: {value}" for key, value in zip(texts(keys), jsons(items), strict=True)
    ]
    return _with_nulls(array, _grouped(array.offsets.to_pylist(), pairs, "{}"))


def _lists(array: Any) -> list[str]:
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        offsets: Sequence[int] = range(0, (len(array) + 1) * size, size)
        values = array.values.slice(array.offset * size, len(array) * size)
    else:
        found = array.offsets.to_pylist()
        offsets = [offset - found[0] for offset in found]
        values = array.values.slice(found[0], found[-1] - found[0])
    return _with_nulls(array, _grouped(offsets, jsons(values), "[]"))


def _grouped(offsets: Sequence[int], parts: Sequence[str], brackets: str) -> list[str]:
    return [brackets[0] + ", ".join(parts[start:end]) + brackets[1] for start, end in pairwise(offsets)]


def _with_nulls(array: pa.Array, built: list[str]) -> list[str]:
    if not array.null_count:
        return built
    return [text if there else "null" for text, there in zip(built, array.is_valid().to_pylist(), strict=True)]


_SHOW: Mapping[int, Callable[[pa.Array], pa.StringArray]] = {
    pa.decimal32(5).id: _decimals,
    pa.decimal64(5).id: _decimals,
    pa.decimal128(5).id: _decimals,
    pa.decimal256(5).id: _decimals,
    pa.float16().id: _floats,
    pa.float32().id: _floats,
    pa.float64().id: _floats,
    pa.date32().id: _moments,
    pa.time32("s").id: _moments,
    pa.time64("us").id: _moments,
    pa.timestamp("us").id: _moments,
    pa.binary().id: _bytes,
    pa.binary_view().id: _bytes,
    pa.large_binary().id: _bytes,
    pa.binary(1).id: _bytes,
    pa.duration("us").id: _durations,
    pa.month_day_nano_interval().id: _intervals,
}
