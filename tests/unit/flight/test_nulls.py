"""What hides under NULLs must not be in what is sent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from arrow_strategies import MARK, arrays, types
from hypothesis import given, settings

from neurolake.errors import NotSupported
from neurolake.nulls import zero_hidden

MARKED = MARK.encode()
NUMBER = 0x7B5A_4C3D_2E1F_1234


def masked(array: pa.Array, visible: list[bool]) -> pa.Array:
    """The array with other validity over the same buffers, as an engine masks it."""
    children = []
    if pa.types.is_nested(array.type):
        children = [array.values] if not pa.types.is_struct(array.type) else array.flatten()
        if pa.types.is_map(array.type):
            pairs = pa.struct([array.type.key_field, array.type.item_field])
            children = [array.view(pa.list_(pa.field("entries", pairs, nullable=False))).values]
    own = len(array.buffers()) if not children else (1 if pa.types.is_struct(array.type) else 2)
    own = 1 if pa.types.is_fixed_size_list(array.type) else own
    bitmap = pa.array(visible).buffers()[1]
    return pa.Array.from_buffers(array.type, len(array), [bitmap, *array.buffers()[1:own]], children=children)


def wire(*columns: pa.Array) -> bytes:
    batch = zero_hidden(pa.record_batch(list(columns), [f"c{number}" for number in range(len(columns))]))
    batch.validate(full=True)
    return bytes(batch.serialize().to_pybytes())


TEXTS = ["open", MARK, "open too"]
SECRET = [True, False, True]

HIDING = {
    "string": masked(pa.array(TEXTS), SECRET),
    "large_string": masked(pa.array(TEXTS, pa.large_string()), SECRET),
    "binary": masked(pa.array([text.encode() for text in TEXTS]), SECRET),
    "fixed_size_binary": masked(pa.array([b"." * 15, MARKED, b"." * 15], pa.binary(15)), SECRET),
    "list": masked(pa.array([[text] for text in TEXTS]), SECRET),
    "large_list": masked(pa.array([[text] for text in TEXTS], pa.large_list(pa.string())), SECRET),
    "fixed_size_list": masked(pa.array([[text] for text in TEXTS], pa.list_(pa.string(), 1)), SECRET),
    "struct": masked(pa.array([{"a": text} for text in TEXTS]), SECRET),
    "map": masked(pa.array([[("k", text)] for text in TEXTS], pa.map_(pa.string(), pa.string())), SECRET),
    "in a list": pa.ListArray.from_arrays([0, 3], masked(pa.array(TEXTS), SECRET)),
    "in a struct": pa.StructArray.from_arrays([masked(pa.array(TEXTS), SECRET)], ["a"]),
    "list in a struct": masked(pa.array([{"a": [{"b": text}]} for text in TEXTS]), SECRET),
    "struct in a list": masked(pa.array([[{"a": text, "b": [text]}] for text in TEXTS]), SECRET),
    "extension": pa.ExtensionArray.from_storage(pa.json_(), masked(pa.array(TEXTS), SECRET)),
}


@pytest.mark.parametrize("column", HIDING.values(), ids=HIDING.keys())
class TestText:
    def test_it_hides_before(self, column: pa.Array) -> None:
        assert MARKED in pa.record_batch([column], ["x"]).serialize().to_pybytes()

    def test_it_is_gone(self, column: pa.Array) -> None:
        assert MARKED not in wire(column)

    def test_it_is_gone_from_a_slice(self, column: pa.Array) -> None:
        assert MARKED not in wire(pa.concat_arrays([column, column]).slice(len(column) - 1))

    def test_what_shows_stays(self, column: pa.Array) -> None:
        batch = pa.record_batch([column], ["x"])
        assert zero_hidden(batch).to_pylist() == batch.to_pylist()


FIXED = [
    pa.int64(),
    pa.uint64(),
    pa.float64(),
    pa.timestamp("us", "UTC"),
    pa.duration("ns"),
    pa.time64("ns"),
]


@pytest.mark.parametrize("kind", FIXED, ids=str)
def test_fixed_widths(kind: pa.DataType) -> None:
    raw = pa.array([1, NUMBER, 2])
    column = masked(pa.Array.from_buffers(kind, 3, raw.buffers()), SECRET)
    assert NUMBER.to_bytes(8, "little") in pa.record_batch([column], ["x"]).serialize().to_pybytes()
    assert NUMBER.to_bytes(8, "little") not in wire(column)


@pytest.mark.parametrize("kind", [pa.decimal128(38), pa.month_day_nano_interval()], ids=str)
def test_wide_ones(kind: pa.DataType) -> None:
    raw = pa.array([b"." * 16, MARKED + b"!", b"." * 16], pa.binary(16))
    column = masked(pa.Array.from_buffers(kind, 3, raw.buffers()), SECRET)
    assert MARKED not in wire(column)


def test_sparse_unions_hide_what_was_not_chosen() -> None:
    union = pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array(["open", MARK, "open"]), pa.array([1, 2, 3])]
    )
    assert MARKED not in wire(union)
    assert MARKED not in wire(union.slice(1))
    batch = pa.record_batch([union], ["x"])
    assert zero_hidden(batch).to_pylist() == batch.to_pylist()


@settings(max_examples=40)
@given(array=arrays(types()))
def test_values_stay_whatever_the_type(array: pa.Array) -> None:
    batch = pa.record_batch([array], ["x"])
    cleared = zero_hidden(batch)
    cleared.validate(full=True)
    assert cleared.schema.equals(batch.schema)
    assert cleared.to_pylist() == batch.to_pylist()


def test_without_nulls_nothing_is_copied() -> None:
    batch = pa.record_batch({"a": [1, 2], "b": ["x", "y"], "c": [[1], [2]], "d": [{"e": 1}, {"e": 2}]})
    assert zero_hidden(batch) is batch


def test_columns_without_nulls_are_shared() -> None:
    batch = pa.record_batch({"a": [1, 2], "b": ["x", None]})
    assert zero_hidden(batch).column(0).buffers()[1].address == batch.column(0).buffers()[1].address


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None], pa.string_view()),
        pc.run_end_encode(pa.array([1, 1, None])),
        pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
    ],
    ids=lambda column: str(column.type)[:20],
)
def test_what_cannot_be_cleared_is_refused(column: pa.Array) -> None:
    with pytest.raises(NotSupported, match="cannot be cleared"):
        zero_hidden(pa.record_batch([column], ["x"]))


def test_what_a_hidden_slot_points_to_is_cleared() -> None:
    whole = pa.array(["a", "b", "c"]).dictionary_encode()
    indices = pa.Array.from_buffers(
        whole.indices.type, 3, [pa.array([True, False, True]).buffers()[1], whole.indices.buffers()[1]]
    )
    column = pa.DictionaryArray.from_arrays(indices, whole.dictionary)
    cleared = zero_hidden(pa.record_batch({"x": column})).column(0)
    assert cleared.to_pylist() == ["a", None, "c"]
    raw = pa.Array.from_buffers(cleared.indices.type, 3, [None, cleared.indices.buffers()[1]])
    assert raw.to_pylist() == [0, 0, 2]
