"""Column sums: what the values of a column add up to, counted on the way into a file and again when it is verified.

They are counted on Arrow data by this module alone, from what the engine handed over, so they also tell whether the
Parquet writer kept what it was given. A sum is taken modulo 2**64: of whole numbers and times their value, of floats
their bits, of texts and binaries their length, of truths how many are true, of nested values the sums of their parts.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["column_sums"]

_MODULUS = 1 << 64


def column_sums(table: pa.Table) -> tuple[tuple[int, int], ...]:
    """(nulls, sum) of every column.

    >>> column_sums(pa.table({"a": [1, None, 3], "b": ["x", "yz", None]}))
    ((1, 4), (1, 3))
    """
    return tuple(
        (column.null_count, sum(_sum(chunk) for chunk in column.chunks) % _MODULUS) for column in table.columns
    )


def _sum(array: pa.Array) -> int:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _sum(array.storage)
    if pa.types.is_dictionary(kind):
        return _sum(array.dictionary_decode())
    if pa.types.is_boolean(kind):
        return int(array.true_count)
    if pa.types.is_floating(kind):
        return _total(array.view(pa.int64() if kind.bit_width == 64 else pa.int32()))
    if pa.types.is_integer(kind):
        return _total(array)
    if pa.types.is_temporal(kind):
        return _total(array.view(pa.int64() if kind.bit_width == 64 else pa.int32()))
    if pa.types.is_decimal(kind):
        return _decimal(array)
    return _nested(array)


def _nested(array: pa.Array) -> int:
    kind = array.type
    if pa.types.is_null(kind):
        return 0
    if pa.types.is_struct(kind):
        return sum(int(part.null_count) + _sum(part) for part in array.flatten())
    if pa.types.is_map(kind):
        return _sum(array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field]))))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        parts = array.flatten()
        return len(parts) + int(parts.null_count) + _sum(parts)
    return _total(pc.binary_length(array))


def _total(array: pa.Array) -> int:
    found = pc.sum(array.cast(pa.int64()) if array.type.bit_width < 64 else array).as_py()
    return int(found or 0) % _MODULUS


def _decimal(array: pa.Array) -> int:
    """The 64-bit words of the unscaled values, whose own sum would not fit the type."""
    width = array.type.bit_width // 64
    words = pa.Array.from_buffers(pa.int64(), width * (array.offset + len(array)), [None, array.buffers()[1]])
    if array.null_count == 0:
        return _total(words.slice(width * array.offset))
    values = pa.FixedSizeListArray.from_arrays(words, width).slice(array.offset).filter(array.is_valid())
    return _total(values.flatten())
