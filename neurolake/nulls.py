"""Clearing what hides under NULLs.

An engine may mask a value by clearing its validity bit alone: the value itself stays in the buffer, and whoever gets
the buffer can read it. `zero_hidden` overwrites such values before they leave.

>>> import pyarrow as pa
>>> masked = pa.Array.from_buffers(
...     pa.int32(), 2, [pa.py_buffer(b"\\x01"), pa.array([7, 4711], pa.int32()).buffers()[1]]
... )
>>> masked.to_pylist()
[7, None]
>>> (4711).to_bytes(4, "little") in masked.buffers()[1].to_pybytes()
True
>>> cleared = zero_hidden(pa.record_batch({"x": masked})).column(0)
>>> cleared.to_pylist(), cleared.buffers()[1].to_pybytes()[:8]
([7, None], b'\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00')
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from neurolake.arrays import as_list, holds_lists_of_nothing, list_from, validity
from neurolake.errors import NotSupported

__all__ = ["zero_hidden"]

_RAW: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}


def zero_hidden(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with zeroes, or empty text, wherever it says NULL, at every depth; columns without NULLs are shared.

    The types are those that `plain.plain_schema` leaves.

    Raises:
        NotSupported: a type whose hidden values cannot be cleared here, such as a dense union or a dictionary.
    """
    columns = batch.columns
    cleared = [_clear(column, None) for column in columns]
    if all(new is old for new, old in zip(cleared, columns, strict=True)):
        return batch
    return pa.RecordBatch.from_arrays(cleared, schema=batch.schema)


def _clear(array: pa.Array, live: pa.Array | None) -> pa.Array:
    """Clear an array's slots that are NULL or not `live`, the parents' validity; None when all of them are."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = array.storage
        cleared = _clear(storage, live)
        return array if cleared is storage else pa.ExtensionArray.from_storage(kind, cleared)
    if pat.is_nested(kind) and holds_lists_of_nothing(kind):
        raise _unsupported(kind)
    seen = _seen(array, live)
    if pat.is_nested(kind) or pat.is_dictionary(kind):
        return _clear_nested(array, seen)
    if seen is None or pat.is_null(kind):
        return array
    return _clear_flat(array, seen)


def _seen(array: pa.Array, live: pa.Array | None) -> pa.Array | None:
    if array.null_count == 0:
        return live
    valid = array.is_valid()
    return valid if live is None else pc.and_(valid, live)


def _clear_flat(array: pa.Array, seen: pa.Array) -> pa.Array:
    # A NULL in place of the zero would do nothing: if_else then only clears validity bits, as the engine did.
    kind = array.type
    if pat.is_boolean(kind):
        zero = pa.scalar(False)
    elif pat.is_string(kind) or pat.is_large_string(kind):
        zero = pa.scalar("", kind)
    elif pat.is_binary(kind) or pat.is_large_binary(kind):
        zero = pa.scalar(b"", kind)
    elif pat.is_string_view(kind) or pat.is_binary_view(kind):
        raise _unsupported(kind)
    else:
        width = kind.bit_width
        raw = _RAW.get(width) or pa.binary(width // 8)
        array_raw = pa.Array.from_buffers(raw, len(array), array.buffers(), offset=array.offset)
        zero = pa.scalar(0 if width in _RAW else bytes(width // 8), raw)
        cleared = pc.if_else(seen, array_raw, zero)
        return pa.Array.from_buffers(kind, len(array), [validity(array), cleared.buffers()[1]])
    cleared = pc.if_else(seen, array, zero)
    return pa.Array.from_buffers(kind, len(array), [validity(array), *cleared.buffers()[1:]])


def _clear_nested(array: pa.Array, seen: pa.Array | None) -> pa.Array:
    kind = array.type
    if pat.is_struct(kind):
        fields = [array.field(index) for index in range(kind.num_fields)]
        return _rebuilt(array, [validity(array)], fields, [_clear(field, seen) for field in fields])
    if pat.is_fixed_size_list(kind):
        return _clear_fixed_size_list(array, seen)
    if pat.is_list(kind) or pat.is_large_list(kind) or pat.is_map(kind):
        return _clear_list(array, seen)
    if pat.is_union(kind) and kind.mode == "sparse":
        return _clear_sparse_union(array, seen)
    if pat.is_dictionary(kind):
        return array if seen is None else _clear_dictionary(array, seen)
    raise _unsupported(kind)


def _rebuilt(
    array: pa.Array, buffers: list[pa.Buffer | None], children: list[pa.Array], cleared: list[pa.Array]
) -> pa.Array:
    if all(new is old for new, old in zip(cleared, children, strict=True)):
        return array
    return pa.Array.from_buffers(array.type, len(array), buffers, children=cleared)


def _clear_fixed_size_list(array: pa.Array, seen: pa.Array | None) -> pa.Array:
    size, rows = array.type.list_size, len(array)
    if size == 0 or rows == 0:
        return array
    child = array.values.slice(array.offset * size, rows * size)
    if seen is not None:
        parents = pc.list_parent_indices(pa.FixedSizeListArray.from_arrays(pa.nulls(rows * size), size))
        seen = pc.take(seen, parents)
    return _rebuilt(array, [validity(array)], [child], [_clear(child, seen)])


def _clear_list(array: pa.Array, seen: pa.Array | None) -> pa.Array:
    lists = as_list(array)
    lengths = pc.list_value_length(lists)
    if seen is None:
        child = lists.flatten()
        cleared = _clear(child, None)
        return array if cleared is child else list_from(array.type, None, lengths, cleared)
    # Entries nobody may see keep no elements at all.
    child = pc.filter(lists, seen).flatten()
    return list_from(array.type, validity(array), pc.if_else(seen, lengths, 0), _clear(child, None))


def _clear_sparse_union(array: pa.Array, seen: pa.Array | None) -> pa.Array:
    # Not `array.type_codes`, which in pyarrow 26 leaves a slice's offset out.
    codes = pa.Array.from_buffers(pa.int8(), len(array), array.buffers()[:2], offset=array.offset)
    if codes.offset:
        codes = pa.concat_arrays([codes, codes.slice(0, 0)])
    children = [array.field(index) for index in range(array.type.num_fields)]
    cleared = []
    for code, child in zip(array.type.type_codes, children, strict=True):
        chosen = pc.equal(codes, pa.scalar(code, pa.int8()))
        cleared.append(_clear(child, chosen if seen is None else pc.and_(chosen, seen)))
    return _rebuilt(array, [None, codes.buffers()[1]], children, cleared)


def _clear_dictionary(array: pa.DictionaryArray, seen: pa.Array) -> pa.Array:
    """Which entry a hidden slot points to is cleared; the dictionary itself belongs to the column's type."""
    indices = array.indices
    cleared = pc.if_else(seen, pc.fill_null(indices, 0), pa.scalar(0, indices.type))
    bare = pa.Array.from_buffers(indices.type, len(array), [validity(array), cleared.buffers()[1]])
    return pa.DictionaryArray.from_arrays(bare, array.dictionary, ordered=array.type.ordered)


def _unsupported(kind: pa.DataType) -> NotSupported:
    return NotSupported(
        f"Hidden values of the type {kind} cannot be cleared.", next_step="Cast the column to another type."
    )
