"""What a ticket's stream sends: the batches of its results, one by one, cut for the wire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from flight.protocol.batches import BatchCutter
from flight.protocol.plain import plain_batch, plain_schema
from flight.sessions import FlightSession
from neurolake import errors
from neurolake.config import Settings
from neurolake.result import Result

__all__ = ["Share", "Shared", "Stream", "small", "wired"]


class Stream:
    """The batches of one DoGet, cut for the wire; ends its result when the client leaves, however it leaves.

    Args:
        session: whose statement it is; at work until the stream is gone.
        first, rest: the results, one for each row of parameters.
        schema: of the rows; None for that of the first result.
        settings: how large batches may be.
    """

    def __init__(
        self,
        session: FlightSession,
        first: Result,
        rest: Iterator[Result],
        schema: pa.Schema | None,
        settings: Settings,
    ) -> None:
        self._session = session
        self._result: Result | None = first
        self._rest = rest
        self._schema = schema or first.schema
        self._cutter = BatchCutter(
            self._schema, batch_bytes=settings.batch_bytes, message_bytes_max=settings.message_bytes_max
        )
        self._pieces: list[pa.RecordBatch] = []
        session.busy += 1

    @property
    def schema(self) -> pa.Schema:
        """Of the batches."""
        return self._cutter.schema

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> pa.RecordBatch:
        while not self._pieces:
            if self._result is None:
                raise StopIteration
            batch = self._result.read()
            if batch is None:
                self._result = next(self._rest, None)
            elif batch.num_rows:
                self._pieces = self._cut_up(batch)
        return self._pieces.pop()

    def _cut_up(self, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """The pieces of a batch, the last one first."""
        assert self._result is not None
        try:
            return list(self._cutter.cut(self._fitted(batch)))[::-1]
        except errors.LimitReached as problem:
            problem.query_id = self._result.query_id
            raise

    def _fitted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.schema.types == self._schema.types:
            return batch
        columns = [column.cast(field.type) for column, field in zip(batch.columns, self._schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def __del__(self) -> None:
        self._session.busy -= 1
        self._session.used = time.monotonic()
        if self._result is not None:
            self._result.close()


class Shared:
    """One running statement whose batches several tickets give out: each batch once, to whichever stream asks next.

    The lock is held while a batch is made and never while one is sent: a client may leave one stream unread until it
    has read another to its end, as the Go driver does.

    Args:
        start: runs the statement, given how to ask whether its clients are still there; called when the first ticket
            is redeemed.
    """

    def __init__(self, start: Callable[[Callable[[], bool]], Stream]) -> None:
        self._start: Callable[[Callable[[], bool]], Stream] | None = start
        self._making = threading.Lock()
        self._asking = threading.Lock()
        self._clients: list[Callable[[], bool]] = []
        self._stream: Stream | None = None
        self._problem: errors.NeuroLakeError | None = None

    def join(self, alive: Callable[[], bool]) -> None:
        """One more stream takes batches."""
        with self._asking:
            self._clients.append(alive)

    def leave(self, alive: Callable[[], bool]) -> None:
        """A stream ends: if before the statement's end then so do the others, which must not look whole."""
        with self._asking:
            self._clients.remove(alive)
        with self._making:
            if self._stream is not None:
                self._problem = self._problem or _left()
                self._stream = None

    def next(self) -> pa.RecordBatch | None:
        """The next batch; None after the last.

        Raises:
            NeuroLakeError: what ended the statement, to each of its streams.
        """
        with self._making:
            if self._problem is not None:
                raise self._problem
            self._problem = _left()  # until there is a batch
            try:
                batch = self._made()
            except errors.NeuroLakeError as problem:
                self._problem = problem
                raise
            self._problem = None
            if batch is None:
                self._stream = None
            return batch

    def _made(self) -> pa.RecordBatch | None:
        start, self._start = self._start, None
        if start is not None:
            self._stream = start(self._all_there)
        return None if self._stream is None else next(self._stream, None)

    def _all_there(self) -> bool:
        with self._asking:
            return all(alive() for alive in self._clients)


def _left() -> errors.Cancelled:
    return errors.Cancelled("Another part of this result was left before its end.")


class Share:
    """The batches that one ticket's stream takes from a shared statement."""

    def __init__(self, shared: Shared, alive: Callable[[], bool]) -> None:
        self._shared = shared
        self._alive = alive
        shared.join(alive)

    def __iter__(self) -> Share:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch = self._shared.next()
        if batch is None:
            raise StopIteration
        return batch

    def __del__(self) -> None:
        self._shared.leave(self._alive)


def small(result: Result, bytes_max: int) -> pa.Table | None:
    """The whole result where it is one small batch: most are, and a ready table costs no call back into Python.

    Otherwise nothing of it is lost: what was read is put back.
    """
    first = result.read()
    if first is None:
        return wired(pa.Table.from_batches([], result.schema))
    if first.nbytes > bytes_max // 2 or (second := result.read()) is not None:
        result.put_back(*([first] if first.nbytes > bytes_max // 2 else [first, second]))
        return None
    return wired(pa.Table.from_batches([first], result.schema))


def wired(table: pa.Table) -> pa.Table:
    """The table in types that every client reads."""
    sent = table.schema
    schema = plain_schema(sent)
    if schema is sent:
        return table
    return pa.Table.from_batches([plain_batch(batch, schema) for batch in table.to_batches()], schema)
