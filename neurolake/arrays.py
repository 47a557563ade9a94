"""Taking Arrow arrays apart and putting them together again, buffer by buffer, without touching single values."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

__all__ = ["as_list", "holds_lists_of_nothing", "list_from", "validity"]


def validity(array: pa.Array) -> pa.Buffer | None:
    """The validity bitmap of an array, starting at bit 0; None when nothing is NULL."""
    if array.null_count == 0:
        return None
    if array.offset == 0:
        return array.buffers()[0]
    return array.is_valid().buffers()[1]


def as_list(array: pa.Array) -> pa.Array:
    """A map array seen as the list of structs it is; any other list as it is."""
    if not pat.is_map(array.type):
        return array
    pairs = pa.struct([array.type.key_field, array.type.item_field])
    return array.view(pa.list_(pa.field("entries", pairs, nullable=False)))


def list_from(kind: pa.DataType, bitmap: pa.Buffer | None, lengths: pa.Array, child: pa.Array) -> pa.Array:
    """Build a list, large list or map from how long each entry is, in order and without gaps.

    Args:
        kind: the type to build.
        bitmap: its validity, starting at bit 0.
        lengths: of each entry; NULL counts as 0.
        child: the elements.
    """
    width = pa.int64() if pat.is_large_list(kind) else pa.int32()
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0).cast(width))
    offsets = pa.concat_arrays([pa.array([0], width), ends])
    return pa.Array.from_buffers(kind, len(lengths), [bitmap, offsets.buffers()[1]], children=[child])


def holds_lists_of_nothing(kind: pa.DataType) -> bool:
    """Whether a type holds fixed-size lists of nothing but NULL.

    pyarrow 26 makes those with too few children and finds them valid; taking a slice of one ends the process.

    >>> holds_lists_of_nothing(pa.struct([("a", pa.list_(pa.null(), 2))])), holds_lists_of_nothing(pa.list_(pa.null()))
    (True, False)
    """
    if pat.is_fixed_size_list(kind) and pat.is_null(kind.value_type):
        return True
    return any(holds_lists_of_nothing(kind.field(index).type) for index in range(kind.num_fields))
