"""Batches: cut by what is sent, of plain types only, and checked when they come from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from arrow_strategies import arrays, types
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.errors import boundary
from flight.protocol.batches import BatchCutter, uploaded, validate_upload
from flight.protocol.plain import plain_batch, plain_schema
from neurolake.errors import InvalidRequest, LimitReached


def sent_bytes(batch: pa.RecordBatch) -> int:
    """What the batch weighs as a message."""
    return int(batch.serialize().size)


def rejoined(pieces: Any, schema: pa.Schema) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.Table.from_batches(pieces, schema).to_pylist()
    return rows


class TestPlain:
    @settings(max_examples=40)
    @given(array=arrays(types(views=True)))
    def test_the_values_stay_and_the_types_become_plain(self, array: pa.Array) -> None:
        batch = pa.record_batch([array], ["x"])
        schema = plain_schema(batch.schema)
        plain = plain_batch(batch, schema)
        plain.validate(full=True)
        assert plain.schema.equals(schema)
        assert plain.to_pylist() == batch.to_pylist()
        assert "view" not in str(schema)
        assert "dictionary" not in str(schema)

    def test_fixed_size_lists_of_nothing_keep_their_children(self) -> None:
        item = pa.struct([("text", pa.string_view()), ("nothing", pa.list_(pa.null(), 2))])
        batch = pa.record_batch([pa.array([[("a", None)]], pa.map_(pa.string(), item))], ["x"])
        plain = plain_batch(batch, plain_schema(batch.schema))
        plain.validate(full=True)
        assert plain.to_pylist() == batch.to_pylist()

    @given(kind=types())
    def test_a_plain_schema_is_itself(self, kind: pa.DataType) -> None:
        field = pa.field("x", kind, nullable=pa.types.is_null(kind), metadata={"k": "v"})
        schema = pa.schema([field], metadata={"a": "b"})
        assert plain_schema(schema) is schema

    def test_names_nullability_and_metadata_stay(self) -> None:
        inner = pa.field("i", pa.string_view(), nullable=False, metadata={"k": "v"})
        schema = pa.schema([pa.field("x", pa.struct([inner]), nullable=False)], metadata={"a": "b"})
        plain = plain_schema(schema)
        assert plain.equals(
            pa.schema(
                [pa.field("x", pa.struct([pa.field("i", pa.string(), False, {"k": "v"})]), nullable=False)],
                metadata={"a": "b"},
            ),
            check_metadata=True,
        )

    def test_a_view_under_a_null_is_never_followed(self) -> None:
        """Validation does not look there, and a cast that does ends the process."""
        views = pa.array(["a text longer than twelve bytes", None], pa.string_view())
        wild = views.buffers()[1].to_pybytes()[:16] + (-(2**24)).to_bytes(4, "little", signed=True) + bytes(12)
        buffers = [views.buffers()[0], pa.py_buffer(wild), *views.buffers()[2:]]
        array = pa.Array.from_buffers(pa.string_view(), 2, buffers)
        array.validate(full=True)
        batch = pa.record_batch([array], ["x"])
        assert plain_batch(batch, plain_schema(batch.schema)).to_pylist() == [
            {"x": "a text longer than twelve bytes"},
            {"x": None},
        ]

    def test_gaps_and_disorder_in_a_list_view(self) -> None:
        array = pa.ListViewArray.from_arrays(
            pa.array([4, 0, 1], pa.int32()), pa.array([2, 1, 3], pa.int32()), pa.array([*"abcdefgh"])
        )
        batch = pa.record_batch([array], ["x"])
        assert plain_batch(batch, plain_schema(batch.schema)).to_pylist() == batch.to_pylist()


class TestCut:
    @settings(max_examples=40)
    @given(array=arrays(types(views=True)), target=st.integers(1, 200))
    def test_nothing_is_lost_or_doubled(self, array: pa.Array, target: int) -> None:
        batch = pa.record_batch([array, array], ["x", "y"])
        cutter = BatchCutter(batch.schema, batch_bytes=target)
        pieces = cutter.cut(batch)
        assert all(piece.schema.equals(cutter.schema) for piece in pieces)
        assert rejoined(pieces, cutter.schema) == batch.to_pylist()

    @given(lengths=st.lists(st.integers(0, 3_000), min_size=1, max_size=60), target=st.integers(500, 4_000))
    def test_a_piece_weighs_what_was_asked_or_is_one_row(self, lengths: list[int], target: int) -> None:
        batch = pa.record_batch({"text": ["x" * length for length in lengths], "n": lengths})
        pieces = BatchCutter(batch.schema, batch_bytes=target).cut(batch)
        envelope = sent_bytes(batch.slice(0, 0)) + 64
        assert all(piece.num_rows == 1 or sent_bytes(piece) <= target + envelope for piece in pieces)

    def test_a_small_batch_is_not_touched(self) -> None:
        batch = pa.record_batch({"n": pa.array(range(1_000)), "s": ["abc"] * 1_000})
        (piece,) = BatchCutter(batch.schema).cut(batch)
        assert piece is batch

    def test_a_slice_of_a_large_table_is_small(self) -> None:
        large = pa.record_batch({"s": ["x" * 1_000] * 10_000})
        piece = large.slice(5, 10)
        assert BatchCutter(large.schema, batch_bytes=20_000).cut(piece)[0] is piece

    def test_a_column_named_twice_is_sent_twice(self) -> None:
        column = pa.array(["x" * 100] * 1_000)
        batch = pa.record_batch([column] * 40, [f"c{number}" for number in range(40)])
        pieces = BatchCutter(batch.schema, batch_bytes=1_000_000).cut(batch)
        assert max(map(sent_bytes, pieces)) < 1_100_000

    def test_a_slice_of_views_is_sent_without_the_rest(self) -> None:
        views = pa.array(["x" * 1_000] * 10_000, pa.string_view())
        batch = pa.record_batch({"s": views}).slice(17, 3)
        (piece,) = BatchCutter(batch.schema).cut(batch)
        assert sent_bytes(piece) < 4_000
        assert piece.column(0).to_pylist() == ["x" * 1_000] * 3

    def test_a_slice_of_a_dictionary_is_sent_without_the_rest(self) -> None:
        encoded = pa.array([f"{number:0100}" for number in range(10_000)]).dictionary_encode()
        batch = pa.record_batch({"s": encoded}).slice(17, 3)
        (piece,) = BatchCutter(batch.schema).cut(batch)
        assert sent_bytes(piece) < 1_000

    def test_no_copy(self) -> None:
        batch = pa.record_batch({"s": ["x" * 1_000] * 10_000})
        pieces = BatchCutter(batch.schema, batch_bytes=1_000_000).cut(batch)
        assert len(pieces) > 5
        data = batch.column(0).buffers()[2].address
        assert {piece.column(0).buffers()[2].address for piece in pieces} == {data}

    def test_one_row_of_ten_megabytes_passes(self) -> None:
        batch = pa.record_batch({"s": ["a", "x" * 10_000_000, "b"]})
        assert [piece.num_rows for piece in BatchCutter(batch.schema).cut(batch)] == [1, 1, 1]

    def test_a_row_no_message_takes(self) -> None:
        batch = pa.record_batch({"s": ["x" * 17_000_000]})
        with pytest.raises(LimitReached, match="message_bytes_max"):
            BatchCutter(batch.schema).cut(batch)
        assert len(BatchCutter(batch.schema, message_bytes_max=None).cut(batch)) == 1

    def test_ten_thousand_columns(self) -> None:
        batch = pa.record_batch([pa.array(range(100))] * 10_000, [f"c{number}" for number in range(10_000)])
        pieces = BatchCutter(batch.schema).cut(batch)
        assert sum(piece.num_rows for piece in pieces) == 100
        assert max(map(sent_bytes, pieces)) < 8 * 1024 * 1024

    @pytest.mark.parametrize("rows", [0, 5])
    def test_no_columns_or_no_rows(self, rows: int) -> None:
        batch = pa.record_batch({"a": pa.array([None] * rows, pa.null())})
        assert BatchCutter(batch.schema).cut(batch)[0].num_rows == rows


def broken_offsets() -> pa.RecordBatch:
    offsets = pa.array([0, 2**30, 5], pa.int32()).buffers()[1]
    array = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"hello")])
    return pa.record_batch([array], ["s"])


def broken_text() -> pa.RecordBatch:
    offsets = pa.array([0, 2], pa.int32()).buffers()[1]
    return pa.record_batch([pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])], ["s"])


def broken_indices() -> pa.RecordBatch:
    indices = pa.array([0, 99], pa.int8())
    return pa.record_batch([pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False)], ["s"])


BROKEN = [broken_offsets, broken_text, broken_indices]


class _Uploads(paflight.FlightServerBase):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.rows = 0

    @boundary
    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        self.rows = sum(batch.num_rows for batch in uploaded(reader))


@pytest.fixture
def uploads() -> Iterator[_Uploads]:
    with _Uploads() as server:
        yield server


class TestUploads:
    def test_a_sound_batch_passes(self) -> None:
        batch = pa.record_batch({"a": [1, None], "b": ["x", None]})
        assert validate_upload(batch) is batch

    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_broken_batch_is_refused(self, broken: Any) -> None:
        with pytest.raises(InvalidRequest, match="not valid Arrow data"):
            validate_upload(broken())

    def test_over_the_wire(self, uploads: _Uploads) -> None:
        batch = pa.record_batch({"a": [1, 2, 3]})
        with paflight.connect(f"grpc://127.0.0.1:{uploads.port}") as client:
            writer, _ = client.do_put(paflight.FlightDescriptor.for_command(b""), batch.schema)
            writer.write_batch(batch)
            writer.write_metadata(b"only metadata")
            writer.write_batch(batch)
            writer.close()
        assert uploads.rows == 6

    @pytest.mark.parametrize("broken", [broken_offsets, broken_text])
    def test_broken_over_the_wire(self, uploads: _Uploads, broken: Any) -> None:
        batch = broken()
        with paflight.connect(f"grpc://127.0.0.1:{uploads.port}") as client:
            writer, _ = client.do_put(paflight.FlightDescriptor.for_command(b""), batch.schema)
            with pytest.raises(pa.ArrowInvalid, match="not valid Arrow data") as caught:
                writer.write_batch(batch)
                writer.close()
            assert "Traceback" not in str(caught.value)
        assert uploads.rows == 0
