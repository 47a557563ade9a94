"""Record batches on their way out and in: cut by the bytes that will be sent, and checked before anything reads them.

>>> import pyarrow as pa
>>> cutter = BatchCutter(pa.schema([("name", pa.string_view())]), batch_bytes=100)
>>> cutter.schema.field("name").type
DataType(string)
>>> batch = pa.record_batch({"name": pa.array(["x" * 30] * 10, pa.string_view())})
>>> [piece.num_rows for piece in cutter.cut(batch)]
[2, 2, 2, 2, 2]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as paflight

from flight.protocol.plain import plain_batch, plain_schema
from neurolake.errors import InvalidRequest, LimitReached
from neurolake.incoming import check_schema

__all__ = ["BATCH_BYTES", "MESSAGE_BYTES_MAX", "BatchCutter", "uploaded", "uploaded_schema", "validate_upload"]

BATCH_BYTES: Final = 6 * 1024 * 1024
"""How large a batch is aimed to be, in bytes."""

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest message stock drivers take by default, in bytes: the most that one row may have."""

_ENVELOPE_BYTES: Final = 64 * 1024


class BatchCutter:
    """Cuts the batches of one result.

    Args:
        schema: of the batches that come in.
        batch_bytes: how large a batch is aimed to be.
        message_bytes_max: what one row may have at most; None for no limit.

    Attributes:
        schema: of the batches that go out, of plain types only; the one to announce in FlightInfo.
    """

    def __init__(
        self,
        schema: pa.Schema,
        *,
        batch_bytes: int = BATCH_BYTES,
        message_bytes_max: int | None = MESSAGE_BYTES_MAX,
    ) -> None:
        self.schema = plain_schema(schema)
        self._casts = self.schema is not schema
        self._batch_bytes = batch_bytes
        self._row_bytes_max = None if message_bytes_max is None else message_bytes_max - _ENVELOPE_BYTES
        widths = [_row_bits(field.type) for field in self.schema]
        self._row_bits = sum(width for width in widths if width is not None)
        self._varying = [index for index, width in enumerate(widths) if width is None]

    def cut(self, batch: pa.RecordBatch) -> Sequence[pa.RecordBatch]:
        """The batch in pieces of at most `batch_bytes`, in order, without copying; a single row may be larger.

        A batch small enough comes back as it is.

        Raises:
            LimitReached: one row is larger than a message may be.
        """
        if self._casts:
            batch = self._cast(batch)
        # Most batches are small, and a bound from above costs a tenth of what `nbytes` does. It is taken column by
        # column: for a whole batch Arrow counts a buffer that two columns share once, but it is sent twice.
        bound = (self._row_bits * batch.num_rows >> 3) + sum(
            batch.column(index).get_total_buffer_size() for index in self._varying
        )
        if bound <= self._batch_bytes:
            return (batch,)
        if not self._varying:
            return self._even(batch)
        return list(self._pieces(batch, batch.nbytes))

    def _even(self, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Pieces of rows that are all of one size: nothing is measured, which counts where columns are thousands."""
        step = (self._batch_bytes << 3) // self._row_bits
        if step == 0:
            self._check_row(self._row_bits >> 3)
        return [batch.slice(start, max(1, step)) for start in range(0, batch.num_rows, max(1, step))]

    def _pieces(self, batch: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
        rows = batch.num_rows
        if size <= self._batch_bytes or rows == 1:
            self._check_row(size)
            yield batch
            return
        # Even pieces first; where rows differ much in size, a piece still too large is cut again.
        step = max(1, rows // -(-size // self._batch_bytes))
        for start in range(0, rows, step):
            piece = batch.slice(start, step)
            yield from self._pieces(piece, piece.nbytes)

    def _check_row(self, size: int) -> None:
        if self._row_bytes_max is not None and size > max(self._row_bytes_max, self._batch_bytes):
            raise LimitReached(
                f"One row of the result has {size:,} bytes; a message takes at most {self._row_bytes_max:,}.",
                next_step="Select fewer or shorter columns, or raise message_bytes_max and the client's limit.",
            )

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            return plain_batch(batch, self.schema)
        except pa.ArrowInvalid as error:
            raise LimitReached(
                f"A batch of {batch.num_rows:,} rows holds more text than one Arrow array takes: {error}",
                next_step="Read the result in smaller batches.",
            ) from None


def _row_bits(kind: pa.DataType) -> int | None:
    """What a row of this type takes, its validity included, where that does not depend on the value."""
    try:
        return int(kind.bit_width) + 1
    except ValueError:
        return None


def validate_upload(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Check every buffer of a batch that came from outside; broken offsets would crash the process later.

    Raises:
        InvalidRequest: the batch is malformed.
    """
    check_schema(batch.schema)
    try:
        batch.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _malformed(error) from None
    return batch


def uploaded(chunks: Iterable[object]) -> Iterator[pa.RecordBatch]:
    """The checked batches of a DoPut reader, leaving out messages that carry metadata only.

    Args:
        chunks: a `MetadataRecordBatchReader`.

    Raises:
        InvalidRequest: a message or a batch is malformed.
    """
    reading = iter(chunks)
    while True:
        with _reading():
            chunk = next(reading, None)
        if chunk is None:
            return
        batch = getattr(chunk, "data", None)
        if batch is not None:
            yield validate_upload(batch)


def uploaded_schema(reader: Any) -> pa.Schema:
    """The schema that an upload begins with; asking for it reads the upload's first message.

    Args:
        reader: a `MetadataRecordBatchReader`.

    Raises:
        InvalidRequest: the message is malformed, or there is none.
    """
    with _reading():
        return reader.schema


@contextmanager
def _reading() -> Iterator[None]:
    """Arrow refuses a broken message with any of these, and Flight tells with its own errors how a call has ended."""
    try:
        yield
    except paflight.FlightError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise _malformed(error) from None


def _malformed(error: Exception) -> InvalidRequest:
    return InvalidRequest(
        f"The rows sent are not valid Arrow data: {error}", next_step="Check the client's Arrow library."
    )
