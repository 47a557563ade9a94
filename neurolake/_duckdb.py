"""The only module that imports duckdb: one instance, its cursors, Arrow streams, interrupts and errors.

It uses DuckDB 2.0's binder interface (`duckdb._seam`), which names a statement's columns and parameters without
running it, whatever the statement is; the public API can do that for a SELECT alone. The dependency is pinned to one
minor release for that reason, and `tests/unit/test_duckdb.py` fails when the interface moves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
from duckdb import _seam
from duckdb.sqltypes import DuckDBPyType

from neurolake import errors
from neurolake.engine_errors import Recover, pass_on_ctrl_c, restarted, translate, translate_stream
from neurolake.sql.text import quote

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger("neurolake")

CATALOG = "lake"
"""The one catalog a client sees."""

IO_THREADS = 256
"""Threads that wait for reads of Parquet and CSV files, local ones too. By default the engine has a few for each core:
reads that a silent server leaves unanswered, dozens for one statement, would take them all, and hold up every other."""

REOPEN_WAIT_S = 5.0
"""How long statements in flight get to notice that they are stopped before a broken database is closed."""

DUCKDB_VERSION: str = duckdb.__version__

_EPOCH = datetime(1970, 1, 1)
_INFINITE_NS = 2**63 - 1

Values = Sequence[object] | Mapping[str, object] | None


class Parsed(NamedTuple):
    """One statement of a text, as DuckDB's parser splits it."""

    kind: str
    text: str
    parameters: frozenset[str]


class Binding(NamedTuple):
    """What the binder says of one statement, without running it.

    `returns` is 'query_result', 'changed_rows' or 'nothing'; `deferred` means the columns are known only by running.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    parameter_schema: pa.Schema | None
    returns: str
    deferred: bool
    writes: bool
    schema: pa.Schema | None


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """How to open the instance. Sizes in bytes; `path` None keeps everything in memory, `temp_bytes_max` 0 leaves the
    limit to DuckDB."""

    path: str | None
    temp_directory: str
    memory_bytes_max: int
    temp_bytes_max: int
    threads: int
    io_threads: int = IO_THREADS
    allowed_locations: tuple[str, ...] = ()
    on_open: tuple[Callable[[Any], None], ...] = ()
    recover: Recover | None = None
    session_settings: tuple[str, ...] = field(
        default=(
            "TimeZone",
            "Calendar",
            "search_path",
            "schema",
            "integer_division",
            "ieee_floating_point_ops",
            "scalar_subquery_error_on_multiple_rows",
            "preserve_identifier_case",
            "errors_as_json",
            "enable_progress_bar",
            "enable_progress_bar_print",
        )
    )


class Instance:
    """One open DuckDB database and its idle cursors.

    `generation` counts how often it had to be opened again after a fatal engine error.
    """

    def __init__(self, options: InstanceOptions) -> None:
        self.options = options
        self.generation = 0
        self._lock = threading.Lock()
        self._idle: list[Cursor] = []
        self._live: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self._file: int | None = None
        self._connection = self._open()

    def _open(self) -> Any:
        options = self.options
        config = {
            "temp_directory": options.temp_directory,
            "memory_limit": f"{options.memory_bytes_max // 1000}KB",
            "threads": options.threads,
            "async_threads": options.io_threads,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
        try:
            connection = duckdb.connect(options.path or ":memory:", config=config)
            if options.temp_bytes_max:  # in the configuration above it would be shown and not obeyed
                connection.execute(f"SET max_temp_directory_size = '{options.temp_bytes_max // 1000}KB'")
            for prepare in options.on_open:
                prepare(connection)
            if options.path is None:
                connection.execute(f"ATTACH ':memory:' AS {CATALOG}")
            self._lock_down(connection)
        except duckdb.Error as error:
            raise _cannot_open(error, options) from None
        return connection

    def _lock_down(self, connection: Any) -> None:
        options = self.options
        if options.allowed_locations:
            connection.execute(f"SET allowed_directories = {list(options.allowed_locations)!r}")
            connection.execute("SET enable_external_access = false")
        connection.execute(f"SET allowed_configs = {list(options.session_settings)!r}")
        connection.execute("SET lock_configuration = true")

    def acquire(self) -> Cursor:
        """An idle cursor with default settings, or a new one. Give it back with `release`."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.cursor()

    def release(self, cursor: Cursor) -> None:
        """Take back a cursor that was acquired, if it can be used again."""
        if cursor.generation == self.generation and len(self._idle) < 64:
            self._idle.append(cursor)
        else:
            cursor.close()

    def cursor(self) -> Cursor:
        """A new cursor, with a transaction and temporary tables of its own."""
        with self._lock:  # a connection that is busy refuses to be closed
            if self._connection is None:
                raise errors.Unavailable("The lake is closed.", code="closed", retryable=False)
            return self._new_cursor()

    def _new_cursor(self) -> Cursor:
        try:
            raw = self._connection.cursor()
            raw.execute("SET enable_progress_bar_print = false; SET enable_progress_bar = true")  # for `share`
            if self.options.path is None:
                raw.execute(f"USE {CATALOG}")
        except duckdb.Error as error:
            raise translate(error, None) from None
        cursor = Cursor(raw, self)
        self._live.add(cursor)
        return cursor

    def reopen(self, generation: int) -> None:
        """Close and open the database after a fatal error, once however many threads ask for it.

        The broken database lives as long as anything holds it, and opening it again would wait for that: so every
        cursor is stopped and taken away first, open streams included.
        """
        with self._lock:
            if self.generation != generation:
                return
            logger.error("the database reported a fatal error and is opened again")
            self.generation += 1
            live = list(self._live)
            for cursor in live:
                cursor.interrupt()
            until = time.monotonic() + REOPEN_WAIT_S
            while any(cursor.busy for cursor in live) and time.monotonic() < until:
                time.sleep(0.01)
            for cursor in live:
                cursor.abandon()
            self._idle.clear()
            self._connection.close()
            self._connection = self._open()

    def file(self) -> int | None:
        """A descriptor of the database's file, to be read and never closed; None where it is in memory.

        It stays open as long as the database is: a process that closes any descriptor of a file gives up its locks on
        it, the engine's among them.
        """
        with self._lock, contextlib.suppress(OSError):
            if self._file is None and self.options.path is not None and hasattr(os, "pread"):
                self._file = os.open(self.options.path, os.O_RDONLY | os.O_CLOEXEC)
            return self._file
        return None

    def checkpoint(self) -> None:
        """Write the log into the database file."""
        self.acquire_and(lambda cursor: cursor.run(f"CHECKPOINT {CATALOG}"))

    def _is_closed(self, *, last: bool) -> bool:
        """Try to close; what runs must have ended first, and hears an interrupt in its own time."""
        try:
            self._connection.close()
        except duckdb.Error as error:
            if last:
                raise translate(error, None) from None
            return False
        return True

    def acquire_and(self, work: Callable[[Cursor], Any]) -> Any:
        """Run `work` with a borrowed cursor."""
        cursor = self.acquire()
        try:
            return work(cursor)
        finally:
            self.release(cursor)

    def close(self) -> None:
        """Close every idle cursor and the database. Idempotent."""
        with self._lock:
            if self._connection is not None:
                self._close()

    def _close(self) -> None:
        for cursor in self._idle:
            cursor.close()
        self._idle.clear()
        until = time.monotonic() + REOPEN_WAIT_S
        while not self._is_closed(last=time.monotonic() > until):
            for cursor in list(self._live):
                cursor.interrupt()
            time.sleep(0.01)
        self._connection = None  # a connection that outlives the interpreter's end is reported as leaked
        if self._file is not None:
            os.close(self._file)
            self._file = None


def parsing_instance(memory_bytes_max: int) -> Instance:
    """An instance for questions about texts: it holds nothing, reads nothing, and optimises nothing."""
    return Instance(InstanceOptions(None, "", memory_bytes_max, 0, 1, io_threads=0, on_open=(_optimise_nothing,)))


def _optimise_nothing(connection: Any) -> None:
    connection.execute("SET enable_external_access = false")
    names = [name for (name,) in connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
    connection.execute(f"SET disabled_optimizers = '{','.join(names)}'")


class Cursor:
    """One connection to the instance: one statement at a time, a transaction and temporary tables of its own."""

    __slots__ = ("__weakref__", "_instance", "_left", "_raw", "_stream", "_views", "busy", "generation")

    def __init__(self, raw: Any, instance: Instance) -> None:
        self._raw = raw
        self._instance = instance
        self._left: list[str] = []
        self._views: set[str] = set()
        self.generation = instance.generation
        self.busy = False
        self._stream: weakref.ref[pa.RecordBatchReader] | None = None

    def _open(self) -> Any:
        """The connection, unless a restart of the engine has taken it away."""
        if self._raw is None:
            raise restarted()
        return self._raw

    def parse(self, text: str) -> list[Parsed]:
        """Split a text into statements with DuckDB's own parser."""
        try:
            found = self._open().extract_statements(text)
        except duckdb.Error as error:
            raise self._problem(error) from None
        return [Parsed(s.type.name, s.query, frozenset(s.named_parameters)) for s in found]

    def bind(self, text: str, values: Values = None) -> Binding:
        """The columns and parameters of one statement; with `values`, typed from them. Runs nothing."""
        try:
            seen = _seam.bind(self._open(), text, values=_plain(values))
            unknown = seen.deferred or any(str(t) == "UNKNOWN" for t in seen.types)
            schema = None if unknown else self._arrow_schema(seen.names, seen.types)
            wanted = self._parameter_schema(seen.parameters) if seen.parameters else None
        except (duckdb.Error, RuntimeError) as error:
            raise self._problem(error) from None
        return Binding(
            tuple(seen.names),
            tuple(str(t) for t in seen.types),
            tuple((name, str(t)) for name, t in seen.parameters),
            wanted,
            seen.return_type,
            seen.deferred,
            seen.writes,
            schema,
        )

    def _arrow_schema(self, names: Sequence[str], types: Any) -> pa.Schema:
        """As the rows will have it: the interface renames columns that share a name, the engine's streams do not."""
        schema = _seam.arrow_schema(self._raw, names, types)
        if schema.names != list(names):
            for position, name in enumerate(names):
                schema = schema.set(position, schema.field(position).with_name(name))
        return schema

    def _parameter_schema(self, parameters: Any) -> pa.Schema:
        """A hint for clients: what the binder knows, text where it knows nothing; bound values bring their own type."""
        types = ["VARCHAR" if str(kind) in ("UNKNOWN", '"NULL"') else str(kind) for _, kind in parameters]
        return self._arrow_schema([name for name, _ in parameters], types)

    def stream(self, text: str, values: Values = None, *, rows_per_batch: int = 16_384) -> pa.RecordBatchReader:
        """Run one statement and stream its rows. The cursor is busy until the reader is drained or closed."""
        raw = self._open()
        self.busy = True
        try:
            reader = _seam.submit(raw, text, _plain(values), "stream", rows_per_batch).arrow_reader()
        except (duckdb.Error, RuntimeError) as error:
            self.busy = False  # a restart waits for cursors that are busy, and this one may ask for it
            raise self._problem(error) from None
        finally:
            self.busy = False
        self._stream = weakref.ref(reader)
        return reader

    def table(self, text: str, values: Values = None) -> pa.Table:
        """Run one statement to its end; its rows as one Arrow table."""
        try:
            return _seam.submit(self._open(), text, _plain(values), "arrow").arrow_table()
        except (duckdb.Error, RuntimeError) as error:
            raise self._problem(error) from None

    def rows(self, text: str, values: Values = None) -> list[tuple[Any, ...]]:
        """Run one statement to its end; its rows as Python tuples."""
        try:
            found = list(_seam.submit(self._open(), text, _plain(values)).fetchall())
        except (duckdb.Error, RuntimeError) as error:
            raise self._problem(error) from None
        if self._left:
            left, self._left = self._left, []
            for name in left:
                self.detach(name)
        return found

    def prepared(self, text: str) -> Any:
        """One statement parsed, for `answer`, on whatever connection."""
        (statement,) = self._open().extract_statements(text)
        return statement

    def answer(self, statement: Any, values: Values = None) -> list[tuple[Any, ...]]:
        """What `rows` gives, of a statement that was parsed before."""
        try:
            return list(self._open().execute(statement, _plain(values)).fetchall())
        except (duckdb.Error, RuntimeError) as error:
            raise self._problem(error) from None

    def run(self, text: str, values: Values = None) -> int:
        """Run one statement to its end; how many rows it changed, 0 where that means nothing."""
        rows = self.rows(text, values)
        return int(rows[0][0]) if rows and len(rows[0]) == 1 and isinstance(rows[0][0], int) else 0

    def attach(self, name: str, data: object) -> None:
        """Let statements on this cursor read an Arrow table or reader, or the SELECT of a view, under a name."""
        if isinstance(data, str):
            self.run(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS {data}")
            self._views.add(name)
            return
        try:
            self._open().register(name, data)
        except duckdb.Error as error:
            raise self._problem(error) from None

    def detach(self, name: str) -> None:
        """Take back what `attach` gave; where a transaction has failed, which takes only its ROLLBACK, after that."""
        if self._raw is None:
            return
        try:
            if name in self._views:
                self._raw.execute(f"DROP VIEW IF EXISTS temp.{quote(name)}")
                self._views.discard(name)
            else:
                self._raw.unregister(name)
        except duckdb.Error:
            self._left.append(name)

    @property
    def share(self) -> float | None:
        """How much of the running statement is done, 0 to 1, from any thread; None where the engine cannot tell."""
        try:
            percent: float = self._open().query_progress()
        except (duckdb.Error, errors.NeuroLakeError):  # it was closed just now
            return None
        return None if percent < 0 else min(1.0, percent / 100)

    def interrupt(self) -> None:
        """End the running statement, from any thread. A no-op on an idle cursor."""
        if (raw := self._raw) is not None:
            with contextlib.suppress(duckdb.Error):  # it was closed just now
                raw.interrupt()

    def close(self) -> None:
        """Close it; what its transaction did is rolled back."""
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def abandon(self) -> None:
        """Let go of the connection and of a stream that is still open; whoever reads it is told of the restart."""
        stream = None if self._stream is None else self._stream()
        if stream is not None:
            stream.close()
        self.close()

    def _problem(self, error: Exception) -> errors.NeuroLakeError:
        pass_on_ctrl_c(error)
        return self._noticed(translate(error, self._instance.options.recover))

    def stream_problem(self, error: BaseException) -> errors.NeuroLakeError:
        """The typed form of what a stream of this cursor raised (Arrow wraps DuckDB's exceptions in OSError)."""
        pass_on_ctrl_c(error)
        if self._raw is None or self.generation != self._instance.generation:
            return restarted()
        return self._noticed(translate_stream(error, self._instance.options.recover))

    def _noticed(self, problem: errors.NeuroLakeError) -> errors.NeuroLakeError:
        if problem.code == "engine_restarted":
            self._instance.reopen(self.generation)
        return problem


def typed(value: object, duckdb_type: str) -> Any:
    """A parameter of this type, whatever type the value would have by itself."""
    return duckdb.Value(value, DuckDBPyType(duckdb_type))


def untyped(value: object) -> object:
    """The value alone of what `typed` made."""
    return value.object if isinstance(value, duckdb.Value) else value


def timestamp_ns(value: int) -> Any:
    """A parameter of type TIMESTAMP_NS, from nanoseconds since the epoch; as text, since a number is not cast to it."""
    return typed(_moment(value), "TIMESTAMP_NS")


def timestamptz_ns(value: int) -> Any:
    """The same with time zone."""
    moment = _moment(value)
    return typed(moment if "inf" in moment else f"{moment}+00", "TIMESTAMPTZ_NS")


def _moment(value: int) -> str:
    if abs(value) == _INFINITE_NS:
        return "infinity" if value > 0 else "-infinity"
    seconds, nanoseconds = divmod(value, 1_000_000_000)
    return f"{_EPOCH + timedelta(seconds=seconds)}.{nanoseconds:09}"


def _cannot_open(error: duckdb.Error, options: InstanceOptions) -> errors.NeuroLakeError:
    problem = translate(error, options.recover)
    if options.path is None or isinstance(problem, errors.LimitReached):
        return problem
    return errors.HomeProblem(
        f"The lake's database file cannot be opened: {problem.message}",
        code="home_damaged",
        next_step="Keep a copy of the home folder, then see docs/runbooks.md.",
    )


def _plain(values: Values) -> Any:
    if values is None:
        return None
    return dict(values) if isinstance(values, Mapping) else list(values)
