"""Taking Arrow arrays apart and putting them together again, buffer by buffer, without touching single values."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

__all__ = ["as_list", "holds_lists_of_nothing", "holds_text", "list_from", "validity", "with_texts"]


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


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are text, or bytes, which may be text."""
    tests = (pat.is_string, pat.is_large_string, pat.is_binary, pat.is_large_binary)
    return any(test(kind) for test in tests)


def holds_text(kind: pa.DataType) -> bool:
    """Whether a type is, or holds at any depth, text.

    >>> holds_text(pa.map_(pa.int32(), pa.list_(pa.string()))), holds_text(pa.struct([("a", pa.int32())]))
    (True, False)
    """
    if isinstance(kind, pa.BaseExtensionType):
        return holds_text(kind.storage_type)
    if pat.is_dictionary(kind):
        return is_text(kind.value_type)
    return is_text(kind) or any(holds_text(kind.field(index).type) for index in range(kind.num_fields))


def with_texts(array: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The array with each array of text in it, at every depth, as `change` makes it; itself where nothing changed.

    Args:
        array: of any type.
        change: gives an array of the same type and length, with NULL where there was NULL.

    >>> names = pa.array([{"who": ["ann", None]}, None])
    >>> with_texts(names, pc.utf8_upper).to_pylist()
    [{'who': ['ANN', None]}, None]
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        changed = with_texts(array.storage, change)
        return array if changed is array.storage else pa.ExtensionArray.from_storage(kind, changed)
    if is_text(kind):
        return change(array)
    if not holds_text(kind) or len(array) == 0:
        return array
    if pat.is_dictionary(kind):
        labels = change(array.dictionary)
        if labels is array.dictionary:
            return array
        return pa.DictionaryArray.from_arrays(array.indices, labels, ordered=kind.ordered)
    if pat.is_list(kind) or pat.is_large_list(kind) or pat.is_map(kind):
        lists = as_list(array)
        child = lists.flatten()
        changed = with_texts(child, change)
        lengths = pc.list_value_length(lists)
        return array if changed is child else list_from(kind, validity(array), lengths, changed)
    return _with_fields(array, change)


def _with_fields(array: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The same of an array whose children have a place for each of its entries, or a fixed number of them."""
    kind, rows = array.type, len(array)
    if pat.is_fixed_size_list(kind):
        children = [array.values.slice(array.offset * kind.list_size, rows * kind.list_size)]
    else:
        children = [array.field(index) for index in range(kind.num_fields)]
    changed = [with_texts(child, change) for child in children]
    if all(new is old for new, old in zip(changed, children, strict=True)):
        return array
    if pat.is_union(kind):
        codes = pa.Array.from_buffers(pa.int8(), rows, array.buffers()[:2], offset=array.offset)
        moved = pa.concat_arrays([codes, codes.slice(0, 0)]) if codes.offset else codes
        return pa.Array.from_buffers(kind, rows, [None, moved.buffers()[1]], children=changed)
    return pa.Array.from_buffers(kind, rows, [validity(array)], children=changed)
