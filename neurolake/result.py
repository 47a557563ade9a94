"""A Result owns one stream of Arrow batches, from the engine to whoever reads it."""

from __future__ import annotations

import html
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from neurolake import errors
from neurolake.activity import Activity
from neurolake.interrupts import hears_ctrl_c
from neurolake.nulls import zero_hidden
from neurolake.pii import literals
from neurolake.pii.results import described
from neurolake.spill import SpillBuffer

if TYPE_CHECKING:
    import pandas
    import polars

    from neurolake._duckdb import Cursor

REPR_ROWS = 20
REPR_COLUMNS = 30
REPR_CELL_CHARACTERS = 80

Finish = Callable[[Activity, BaseException | None], None]
Explain = Callable[[errors.NeuroLakeError], errors.NeuroLakeError]


class Stream(Protocol):
    """Where a Result's batches come from."""

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end; raises a NeuroLakeError."""

    def close(self) -> None:
        """Free what it holds; idempotent."""


class CursorStream:
    """The rows of a statement as the engine makes them.

    Args:
        reader: the engine's stream.
        cursor: what it runs on.
        release: gives the cursor back when the stream ends.
        explain: says more of an error that a source has caused.
    """

    def __init__(
        self, reader: pa.RecordBatchReader, cursor: Cursor, release: Callable[[], None], explain: Explain
    ) -> None:
        self._reader: pa.RecordBatchReader | None = reader
        self._cursor = cursor
        self._release = release
        self._explain = explain

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end."""
        if self._reader is None:
            return None
        self._cursor.busy = True
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            return None
        except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
            self._cursor.busy = False
            raise self._explain(self._cursor.stream_problem(error)) from None
        finally:
            self._cursor.busy = False

    def close(self) -> None:
        """End the statement and give the cursor back."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
            self._release()


class ClearedStream:
    """The batches of another stream, without what hides under their NULLs: a mask may clear a validity bit alone.

    Args:
        stream: where the batches come from.
        schema: of the batches that go out; it may say more about the fields than theirs.
    """

    def __init__(self, stream: Stream, schema: pa.Schema) -> None:
        self._stream = stream
        self._schema = schema

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end."""
        batch = self._stream.read()
        if batch is None:
            return None
        return pa.RecordBatch.from_arrays(zero_hidden(batch).columns, schema=self._schema)

    def close(self) -> None:
        """End the other stream."""
        self._stream.close()


class TableStream:
    """Rows that are there already."""

    def __init__(self, table: pa.Table) -> None:
        self._batches = iter(table.to_batches())

    def read(self) -> pa.RecordBatch | None:
        """The next batch, None at the end."""
        return next(self._batches, None)

    def close(self) -> None:
        """Forget the rest."""
        self._batches = iter(())


@dataclass(frozen=True, slots=True)
class Limits:
    """What one result may deliver, 0 for no limit, and where and how much of it may be set aside."""

    rows_max: int = 0
    bytes_max: int = 0
    buffer_path: Path = Path()
    buffer_memory_bytes_max: int = 64_000_000
    buffer_bytes_max: int = 2_000_000_000


class Result:
    """The rows of one statement, read once: iterate it for Arrow batches, or take it whole.

    Args:
        schema: the Arrow schema of every batch.
        stream: where the batches come from.
        activity: the statement, for its id, its counters and its stop.
        finish: called exactly once, when the result is closed, however that happens.
    """

    def __init__(
        self,
        schema: pa.Schema,
        stream: Stream,
        activity: Activity,
        finish: Finish,
        limits: Limits | None = None,
        rules: tuple[str, ...] = (),
    ) -> None:
        self.schema = schema
        self.rules = rules
        self._stream: Stream = stream
        self._activity = activity
        self._limits = limits or Limits()
        self._lock = threading.RLock()
        self._ahead: deque[pa.RecordBatch] = deque()
        self._open = True
        self._broken_off: errors.NeuroLakeError | None = None
        self._end = weakref.finalize(self, _end_stream, stream, activity, finish, None)

    @property
    def query_id(self) -> str:
        """The statement's id, as history, logs and error messages show it."""
        return self._activity.query_id

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the statement holds as literals, and what the rows read so far turned out to hold, where that is
        checked; all of it once they are read.
        """
        return (*literals.described(self._activity.literals), *described(self._activity.personal))

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.schema.names)

    def read(self) -> pa.RecordBatch | None:
        """The next batch, or None after the last.

        Raises:
            InvalidRequest: `result_closed`: it was closed before its last row; no answer looks shorter than it is.
            NeuroLakeError: the statement failed, was cancelled, or ran into a limit; also when it is read once more.
        """
        with self._lock:
            if self._ahead:
                return self._ahead.popleft()
            if self._open:
                return self._pull()
            if self._broken_off is not None:
                raise self._broken_off
            return None

    def put_back(self, *batches: pa.RecordBatch) -> None:
        """Give back batches that were read, so that the next `read` returns them again, in this order."""
        with self._lock:
            self._ahead.extendleft(reversed(batches))

    def _pull(self) -> pa.RecordBatch | None:
        activity = self._activity
        if activity.sources is not None:
            activity.thread = threading.get_ident()  # whichever asks: what it waits for, it waits for as this one
        try:
            activity.check()
            with hears_ctrl_c(self._interrupted):
                batch = self._stream.read()
            if batch is None:
                activity.check()
                self._close(None)
                return None
            activity.rows_out += batch.num_rows
            activity.bytes_out += batch.nbytes
            self._check_limits()
        except BaseException as error:
            raise self._broken(error) from None
        return batch

    def _interrupted(self) -> None:
        self._activity.stop(errors.Cancelled("The statement was cancelled by Ctrl-C."))

    def _check_limits(self) -> None:
        for count, most, name in (
            (self._activity.rows_out, self._limits.rows_max, "result_rows_max"),
            (self._activity.bytes_out, self._limits.bytes_max, "result_bytes_max"),
        ):
            if most and count > most:
                raise errors.LimitReached(
                    f"The result is larger than {most:,}.", next_step=f"Add a LIMIT, or raise {name}."
                )

    def set_aside(self) -> None:
        """Read the rest of the stream into a bounded, spillable buffer, so that the engine's cursor is free."""
        with self._lock:
            if not self._open or isinstance(self._stream, SpillBuffer | TableStream):
                return
            limits = self._limits
            buffer = SpillBuffer(
                self.schema,
                limits.buffer_path / f"{self.query_id}.arrow",
                limits.buffer_memory_bytes_max,
                limits.buffer_bytes_max,
            )
            try:
                while (batch := self._stream.read()) is not None:
                    buffer.append(batch)
                buffer.finish()
            except errors.NeuroLakeError as problem:
                buffer.close()
                self._broken(problem)
                return
            self._stream.close()
            self._stream = buffer
            finish = self._end.detach()
            assert finish is not None
            _, _, (_, activity, account, _), _ = finish
            self._end = weakref.finalize(self, _end_stream, buffer, activity, account, None)

    def close(self) -> None:
        """End the statement and free what it holds. Idempotent; leaving a `with` block does the same."""
        with self._lock:
            if self._open or self._ahead:
                self._broken_off = errors.InvalidRequest(
                    "The result was closed before its last row was read.", code="result_closed",
                    next_step="Read it before it is closed, or run the statement again.",
                )  # fmt: skip
            self._ahead.clear()
            self._close(None)

    def _broken(self, error: BaseException) -> BaseException:
        """End it before its last row; why, as whoever reads it is told, now and later."""
        problem = self._activity.cause(error)
        if isinstance(problem, errors.NeuroLakeError):
            problem.query_id = self.query_id
            self._broken_off = problem
        else:
            self._broken_off = errors.Cancelled("The statement was cancelled.")
        self._close(problem)
        return problem

    def _close(self, problem: BaseException | None) -> None:
        self._open = False
        finish = self._end.detach()
        if finish is not None:
            _, _, (_, activity, account, _), _ = finish
            _end_stream(self._stream, activity, account, problem)

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while (batch := self.read()) is not None:
            yield batch

    def reader(self) -> pa.RecordBatchReader:
        """The rows as a pyarrow reader, streamed."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def arrow(self) -> pa.Table:
        """All rows as one Arrow table."""
        return pa.Table.from_batches(list(self), self.schema)

    def df(self) -> pandas.DataFrame:
        """All rows as a pandas data frame.

        Raises:
            NotSupported: `library_missing`: pandas is not installed. No row has been read.
        """
        _library("pandas")
        return self.arrow().to_pandas()

    def pl(self) -> polars.DataFrame:
        """All rows as a polars data frame.

        Raises:
            NotSupported: `library_missing`: polars is not installed. No row has been read.
        """
        frame: polars.DataFrame = _library("polars").from_arrow(self.arrow())
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as Python tuples."""
        return [row for batch in self for row in _tuples(batch)]

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row as a Python tuple, or None after the last."""
        with self._lock:
            while (batch := self.read()) is not None:
                if batch.num_rows:
                    if batch.num_rows > 1:
                        self.put_back(batch.slice(1))
                    return next(_tuples(batch.slice(0, 1)))
        return None

    def _head(self, rows: int) -> pa.RecordBatch | None:
        with self._lock:
            first = self.read()
            if first is None:
                return None
            self.put_back(first)
            return first.slice(0, rows)

    def __repr__(self) -> str:
        state = "open" if self._open or self._ahead else "closed" if self._broken_off else "read"
        return f"<Result {self.query_id} ({state}): {', '.join(self.columns[:REPR_COLUMNS])}>"

    def _repr_html_(self) -> str:
        names = self.columns[:REPR_COLUMNS]
        head = self._head(REPR_ROWS + 1)
        rows = [] if head is None else list(zip(*map(_texts, head.columns[: len(names)]), strict=True))
        cells = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows[:REPR_ROWS]
        )
        more = "<p>… more rows; read the result for all of them.</p>" if len(rows) > REPR_ROWS else ""
        if head is None and self._activity.rows_out:
            more = "<p>Its rows have been read; run it again to see them.</p>"
        noted = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.warnings)
        return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>{more}{noted}"


def _end_stream(stream: Stream, activity: Activity, finish: Finish, problem: BaseException | None) -> None:
    try:
        stream.close()
    finally:
        finish(activity, problem)


def _library(name: str) -> Any:
    """A library that is installed on demand, asked for before a row is read: a result is read once."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise errors.NotSupported(
            f"{name} is not installed here; the result can still be read.", code="library_missing",
            next_step=f"pip install 'neurolake[{name}]', or take it as .arrow() or .fetchall().",
        ) from None  # fmt: skip


def _tuples(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    try:
        columns = [column.to_pylist() for column in batch.columns]
    except (OverflowError, ValueError) as error:
        raise errors.ConversionFailed(
            f"The result holds a date or time that Python's own types cannot: {error}.",
            next_step="Read it with arrow(), or cast the column to VARCHAR.",
        ) from None
    return zip(*columns, strict=True) if columns else iter([()] * batch.num_rows)


def _texts(column: pa.Array) -> list[str]:
    """Values to be looked at, also those that Python's own types cannot hold."""
    try:
        return [_shown(value) for value in column.to_pylist()]
    except (OverflowError, ValueError):
        return [_shown(scalar.value if hasattr(scalar, "value") else scalar) for scalar in column]


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= REPR_CELL_CHARACTERS else text[: REPR_CELL_CHARACTERS - 1] + "…"
