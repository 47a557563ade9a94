"""Arrow data under the types every client reads: no views, no list views, no dictionaries.

A slice of one of those is sent with all its buffers, and pyarrow's GeneratorStream sends no dictionaries at all.

>>> import pyarrow as pa
>>> plain_schema(pa.schema([("a", pa.dictionary(pa.int8(), pa.string())), ("b", pa.list_view(pa.int8()))]))
a: string
b: list<item: int8>
  child 0, item: int8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from neurolake.arrays import as_list, holds_lists_of_nothing, list_from, validity

__all__ = ["plain_batch", "plain_schema"]


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with plain types throughout; names, nullability and metadata stay. It itself, if it is plain."""
    if all(_is_plain(kind) for kind in schema.types):
        return schema
    return pa.schema([_plain_field(field) for field in schema], metadata=schema.metadata)


def plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under `schema`, which is the `plain_schema` of its own; columns that are plain are not copied.

    Raises:
        pyarrow.ArrowInvalid: the text of a column exceeds the 2 GiB that one array of a plain type holds.
    """
    columns = [_plain(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


_ODD: Final = frozenset(kind.id for kind in (pa.string_view(), pa.binary_view(), pa.dictionary(pa.int8(), pa.null())))


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_type(field.type))


_PLAIN_TYPES: Final[tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType]], ...]] = (
    (pat.is_string_view, lambda _: pa.string()),
    (pat.is_binary_view, lambda _: pa.binary()),
    (pat.is_dictionary, lambda kind: _plain_type(kind.value_type)),
    (pat.is_list_view, lambda kind: pa.list_(_plain_field(kind.value_field))),
    (pat.is_large_list_view, lambda kind: pa.large_list(_plain_field(kind.value_field))),
    (pat.is_list, lambda kind: pa.list_(_plain_field(kind.value_field))),
    (pat.is_large_list, lambda kind: pa.large_list(_plain_field(kind.value_field))),
    (pat.is_fixed_size_list, lambda kind: pa.list_(_plain_field(kind.value_field), kind.list_size)),
    (pat.is_struct, lambda kind: pa.struct([_plain_field(field) for field in kind])),
    (
        pat.is_map,
        lambda kind: pa.map_(_plain_field(kind.key_field), _plain_field(kind.item_field), kind.keys_sorted),
    ),
)


def _is_plain(kind: pa.DataType) -> bool:
    """Told by the type's number alone where nothing is nested: a short answer asks this several times."""
    return kind.id not in _ODD if kind.num_fields == 0 else _plain_type(kind) == kind


def _plain_type(kind: pa.DataType) -> pa.DataType:
    for is_kind, plain in _PLAIN_TYPES:
        if is_kind(kind):
            return plain(kind)
    return kind


def _plain(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind and not holds_lists_of_nothing(kind):
        return array
    if pat.is_dictionary(array.type):
        # Under a NULL parent an index may point into a dictionary that is empty.
        if not len(array.dictionary):
            return pa.nulls(len(array), kind)
        return _plain(array.dictionary_decode(), kind)
    if pat.is_struct(kind):
        children = [_plain(array.field(index), field.type) for index, field in enumerate(kind)]
        return pa.Array.from_buffers(kind, len(array), [validity(array)], children=children)
    if pat.is_fixed_size_list(kind):
        size = kind.list_size
        values = array.values.slice(array.offset * size, len(array) * size)
        nulls = pat.is_null(kind.value_type)
        child = pa.nulls(len(array) * size) if nulls else _plain(values, kind.value_type)
        return pa.Array.from_buffers(kind, len(array), [validity(array)], children=[child])
    if pat.is_nested(kind):
        # By hand: pyarrow 26's own cast from a list view to a list gives arrays with broken offsets.
        lists = as_list(array)
        inner = pa.struct([kind.key_field, kind.item_field]) if pat.is_map(kind) else kind.value_type
        return list_from(kind, validity(array), pc.list_value_length(lists), _plain(lists.flatten(), inner))
    return _settled(array).cast(kind)


def _settled(views: pa.Array) -> pa.Array:
    """Views whose NULLs point nowhere: a cast follows them, and neither validation nor the format vouches for them."""
    if views.null_count == 0:
        return views
    raw = pa.Array.from_buffers(pa.binary(16), len(views), views.buffers()[:2], offset=views.offset)
    settled = pc.if_else(views.is_valid(), raw, pa.scalar(bytes(16), raw.type))
    buffers = [validity(views), settled.buffers()[1], *views.buffers()[2:]]
    return pa.Array.from_buffers(views.type, len(views), buffers)
