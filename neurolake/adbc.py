"""The stock ADBC driver for Flight SQL, at its low level: connections, statements, and its errors as ours."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa

from neurolake import errors
from neurolake.query import Values

__all__ = ["Connection", "Statement", "translated"]

_RENDERED = re.compile(
    r"\[FlightSQL\] (?P<message>.*) \[(?P<code>[a-z][a-z0-9_]*)(?:, query (?P<query>[0-9a-z]+))?\]", re.DOTALL
)
"""An error of our server, as `str` wrote it there and the driver wrapped it."""
_WRAPPED = re.compile(
    r"^[A-Z_]+: (?:\[[^]]*\] )*(?P<message>.*?)(?: \(\w+; \w+.*\))?(?:\. Vendor code: \d+)?$", re.DOTALL
)

_BY_STATUS: Mapping[str, type[errors.NeuroLakeError]] = {
    "UNAUTHENTICATED": errors.LoginFailed,
    "UNAUTHORIZED": errors.AccessDenied,
    "NOT_FOUND": errors.NotFound,
    "INVALID_ARGUMENT": errors.InvalidRequest,
    "NOT_IMPLEMENTED": errors.NotSupported,
    "CANCELLED": errors.Cancelled,
    "TIMEOUT": errors.TimedOut,
    "IO": errors.Unavailable,
    "INTERNAL": errors.InternalProblem,
}


class Connection:
    """One connection, which is one session on the server.

    Raises:
        LoginFailed: the server does not know these credentials.
        Unavailable: there is no server, or it does not speak with us.
    """

    def __init__(self, uri: str, options: Mapping[str, str]) -> None:
        import adbc_driver_flightsql as driver
        import adbc_driver_manager as manager

        self.uri = uri
        with translated(uri):
            self._database = driver.connect(uri, db_kwargs=dict(options))
            try:
                self._connection = manager.AdbcConnection(self._database)
            except BaseException:
                self._database.close()
                raise

    def statement(self, timeout_s: float | None = None) -> Statement:
        """A new statement; `timeout_s` bounds each of its calls."""
        return Statement(self._connection, self.uri, timeout_s)

    def close(self) -> None:
        """End the session. Its statements must be closed."""
        with translated(self.uri):
            self._connection.close()
            self._database.close()


class Statement:
    """One statement of a connection."""

    def __init__(self, connection: Any, uri: str, timeout_s: float | None) -> None:
        import adbc_driver_manager as manager

        self._uri = uri
        self._closing = threading.Lock()
        self._open = True
        with translated(uri):
            self._raw = manager.AdbcStatement(connection)
            if timeout_s is not None:
                for call in ("query", "update", "fetch"):
                    self._raw.set_options(**{f"adbc.flight.sql.rpc.timeout_seconds.{call}": str(timeout_s)})

    def query(self, text: str, values: Values) -> pa.RecordBatchReader:
        """Run it and stream its rows."""
        from adbc_driver_manager._reader import AdbcRecordBatchReader

        with translated(self._uri):
            self._raw.set_sql_query(text)
            if values is not None:
                self._raw.prepare()
                self._raw.bind(_row(self._ordered(values)))
            handle, changed = self._raw.execute_query()
            reader = AdbcRecordBatchReader._import_from_c(handle.address)
            return reader if len(reader.schema) else _count(changed)

    def ingest(self, options: Mapping[str, str], data: pa.RecordBatchReader) -> int:
        """Send rows into a table; how many arrived."""
        with translated(self._uri):
            self._raw.set_options(**options)
            self._raw.bind_stream(data)
            return int(self._raw.execute_update())

    def read(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        """The next batch of this statement's rows, None after the last."""
        try:
            with translated(self._uri):
                return reader.read_next_batch()
        except StopIteration:
            return None

    def interrupt(self) -> None:
        """End what it does now, from any thread."""
        with self._closing:
            if self._open:
                self._raw.cancel()

    def close(self) -> None:
        """Free it. A second call does nothing."""
        with self._closing:
            if self._open:
                self._open = False
                with translated(self._uri):
                    self._raw.close()

    def _ordered(self, values: Sequence[object] | Mapping[str, object]) -> list[object]:
        """The values in the order the server counts parameters in."""
        if not isinstance(values, Mapping):
            return list(values)
        names = pa.schema(self._raw.get_parameter_schema()).names
        missing = [name for name in names if name not in values]
        if missing:
            raise errors.InvalidRequest(f"The parameter {missing[0]} has no value.", code="parameter_missing")
        return [values[name] for name in names]


def _count(changed: int) -> pa.RecordBatchReader:
    """A write's answer as the engine gives it: of one with parameters the driver tells the number alone."""
    return pa.table({"Count": pa.array([max(changed, 0)], pa.int64())}).to_reader()


def _row(values: Sequence[object]) -> pa.RecordBatch:
    arrays = [_array(value) for value in values]
    return pa.record_batch(arrays, names=[str(position) for position in range(1, len(arrays) + 1)])


def _array(value: object) -> pa.Array:
    """One value in the type the engine gives it when it is bound in process.

    >>> [str(_array(value).type) for value in (7, 2**40, 2**80, "x", None)]
    ['int32', 'int64', 'decimal128(38, 0)', 'string', 'null']
    """
    kind = None
    if isinstance(value, int) and not isinstance(value, bool):
        if -(2**31) <= value < 2**31:
            kind = pa.int32()
        elif not -(2**63) <= value < 2**63:
            value, kind = Decimal(value), pa.decimal128(38, 0)
    try:
        return pa.array([value], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        raise errors.InvalidRequest(
            f"A {type(value).__name__} cannot be bound to a parameter.", code="parameter_type"
        ) from None


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn the driver's errors inside the block into ours."""
    import adbc_driver_manager as manager

    try:
        yield
    except manager.Error as error:
        raise _ours(error, uri) from None


def _ours(error: Any, uri: str) -> errors.NeuroLakeError:
    """The driver's error as ours: with the server's own code and words where it sent them."""
    status = error.status_code.name
    kind = _BY_STATUS.get(status, errors.NeuroLakeError)
    if (sent := _RENDERED.search(str(error))) is not None:
        found = errors.from_code(sent["code"], sent["message"])
        if type(found) is errors.NeuroLakeError:
            found = kind(sent["message"], code=sent["code"])
        found.query_id = sent["query"]
        return found
    if kind is errors.Unavailable:
        return errors.Unavailable(
            f"The server at {uri} cannot be reached: {_words(error)}.",
            code="unreachable",
            next_step="Check that it runs there, and that the address and TLS are as it says.",
        )
    if kind is errors.Cancelled:
        return errors.Cancelled("The statement was cancelled.")
    if kind is errors.TimedOut:
        return errors.TimedOut("The statement ran into its time limit.", next_step="Raise timeout_s.")
    return kind(f"{_words(error)}.", code=None if kind is not errors.NeuroLakeError else "driver")


def _words(error: Exception) -> str:
    """What the driver says, without its wrapping."""
    match = _WRAPPED.match(str(error))
    return (match["message"] if match else str(error)).rstrip(". ")
