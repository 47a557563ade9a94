"""A bounded buffer of record batches: in memory first, then in a file of the lake's `tmp/`."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa

from neurolake import errors


class SpillBuffer:
    """First in, first out. Written by one thread, then read by another.

    Args:
        schema: of every batch.
        path: the file to spill into; made only when needed, removed by `close`.
        memory_bytes_max: how much stays in memory.
        bytes_max: how much it holds in all.
    """

    def __init__(self, schema: pa.Schema, path: Path, memory_bytes_max: int, bytes_max: int) -> None:
        self._schema = schema
        self._path = path
        self._memory_bytes_max = memory_bytes_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._held: deque[pa.RecordBatch] = deque()
        self._writer: Any = None
        self._reader: Any = None

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep one more batch.

        Raises:
            LimitReached: it would hold more than `bytes_max`, or the disk is full.
        """
        self._bytes += batch.nbytes
        if self._bytes > self._bytes_max:
            raise errors.LimitReached(
                "An unread result ahead of this statement is larger than the session may keep.",
                code="home_buffer_full",
                next_step="Read or close the earlier result first, or raise home_buffer_bytes_max.",
            )
        if self._writer is None and self._bytes <= self._memory_bytes_max:
            self._held.append(batch)
            return
        try:
            if self._writer is None:
                self._writer = pa.ipc.new_stream(str(self._path), self._schema)
            self._writer.write_batch(batch)
        except OSError:
            raise errors.LimitReached(
                "The disk that holds the lake's tmp folder is full.",
                code="disk_full",
                next_step="Free space there, or read results before the next statement.",
            ) from None

    def finish(self) -> None:
        """No more batches come: get ready to be read."""
        if self._writer is not None:
            self._writer.close()
            self._reader = pa.ipc.open_stream(pa.memory_map(str(self._path)))

    def read(self) -> pa.RecordBatch | None:
        """The next batch, or None at the end."""
        if self._held:
            return self._held.popleft()
        return next(self._reader, None) if self._reader is not None else None

    def close(self) -> None:
        """Forget everything and remove the file."""
        self._held.clear()
        self._reader = None
        if self._writer is not None:
            self._writer.close()
            self._path.unlink(missing_ok=True)
