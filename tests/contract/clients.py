"""One small interface over the embedded lake and the stock `adbc_driver_flightsql.dbapi`: a test runs on both."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa

from neurolake import Lake, connect, errors, loading
from neurolake.engine import Engine
from neurolake.query import OWNER, Request

PASSWORD = "a password for tests"
_CODE = re.compile(r"\[(?P<code>[a-z_0-9]+)(?:, query (?P<query>[0-9a-f]{20}))?\]")


class Failure(NamedTuple):
    """What a user sees of an error: its stable code, its query id, and the whole text."""

    code: str
    query_id: str | None
    text: str


class Client(ABC):
    """What a test asks of a client.

    `named_parameters`: whether its driver can bind by name. `autocommits`: whether it opens no transaction by itself.
    `executes_many_at_once`: whether it sends many rows of parameters in one statement.
    """

    named_parameters = False
    autocommits = True
    executes_many_at_once = False

    @abstractmethod
    def execute(self, sql: str, values: Sequence[object] | None = None) -> pa.Table:
        """Run a statement; its rows."""

    @abstractmethod
    def change(self, sql: str, values: Sequence[object] | None = None) -> int:
        """Run a write; how many rows it changed."""

    @abstractmethod
    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """Run a write for every row of parameters; how many rows they changed in all."""

    @abstractmethod
    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Run a statement and hand over its batches as they come."""

    @abstractmethod
    def load(self, name: str, data: pa.Table, mode: str) -> int:
        """Put a table into the lake; how many rows it brought."""

    @abstractmethod
    def begin(self) -> None:
        """Open a transaction, if the driver has not."""

    @abstractmethod
    def commit(self) -> None:
        """Commit what is open, if anything is."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo what is open."""

    @abstractmethod
    def undo_failed(self) -> None:
        """Leave a transaction that a statement has failed in, where the driver has opened one."""

    @abstractmethod
    def another(self) -> Client:
        """A second session of the same user."""

    @abstractmethod
    def close(self) -> None:
        """End the session."""

    def rows(self, sql: str, values: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement; its rows as tuples."""
        table = self.execute(sql, values)
        columns = [column.to_pylist() for column in table.columns]
        return list(zip(*columns, strict=True))

    def poll(self, sql: str, times: int) -> list[Any]:
        """Run one statement again and again, as a program that waits does; the value of each run."""
        return [self.value(sql) for _ in range(times)]

    def value(self, sql: str, values: Sequence[object] | None = None) -> Any:
        """Run a statement; its one value."""
        ((value,),) = self.rows(sql, values)
        return value

    def register(self, name: str, location: Path | str, format: str | None = None, **options: object) -> None:
        """Register a source."""
        self.execute(
            "CALL neurolake.register(?, ?, format => ?, options => ?)", [name, str(location), format, options or None]
        )

    def try_to(self, sql: str, values: Sequence[object] | None = None) -> Failure | None:
        """Run a statement that may fail."""
        try:
            self.execute(sql, values)
        except (errors.NeuroLakeError, adbc_driver_manager.Error) as error:
            return failure_of(error)
        return None

    def failure(self, sql: str, values: Sequence[object] | None = None) -> Failure:
        """Run a statement that must fail."""
        failure = self.try_to(sql, values)
        assert failure is not None, f"it did not fail: {sql}"
        return failure


def failure_of(error: BaseException) -> Failure:
    """The code and query id of an error, as the client was told them."""
    text = str(error)
    match = _CODE.search(text)
    assert match is not None, f"no code in: {text}"
    return Failure(match["code"], match["query"], text)


class OfLake(Client):
    """A lake of `neurolake.connect`, embedded or remote."""

    named_parameters = True

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def _run(self, sql: str, values: Sequence[object] | None = None) -> Any:
        return self.lake.sql(sql, values)

    def execute(self, sql: str, values: Sequence[object] | None = None) -> pa.Table:
        return self._run(sql, values).arrow()

    def change(self, sql: str, values: Sequence[object] | None = None) -> int:
        with self._run(sql, values) as result:
            return int(result.fetchall()[0][0])

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        return sum(self.change(sql, row) for row in rows)

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        return iter(self._run(sql))

    def load(self, name: str, data: pa.Table, mode: str) -> int:
        return self.lake.load(name, data, mode)

    def begin(self) -> None:
        self.execute("BEGIN")

    def commit(self) -> None:
        try:
            self.execute("COMMIT")
        except errors.InvalidRequest as problem:
            if problem.code != "no_transaction":
                raise

    def rollback(self) -> None:
        self.execute("ROLLBACK")

    def undo_failed(self) -> None:
        """None is open that the test has not opened."""


class Embedded(OfLake):
    """The lake in this process."""

    def __init__(self, lake: Lake, engine: Engine) -> None:
        super().__init__(lake)
        self.engine = engine

    def another(self) -> Client:
        return SecondSession(self.lake, self.engine)

    def close(self) -> None:
        """The fixture gives the next test a session of its own."""


class SecondSession(Embedded):
    """Another session on an embedded lake, as the server makes them."""

    def __init__(self, lake: Lake, engine: Engine) -> None:
        super().__init__(lake, engine)
        self._own = engine.session(OWNER)

    def _run(self, sql: str, values: Sequence[object] | None = None) -> Any:
        return self.engine.run(Request(sql, self._own, values))

    def load(self, name: str, data: pa.Table, mode: str) -> int:
        return loading.load(self.engine, self._own, name, data, mode)

    def close(self) -> None:
        self._own.close()


class Remote(OfLake):
    """The same interface on a server."""

    def __init__(self, uri: str) -> None:
        super().__init__(connect(uri, user="admin", password=PASSWORD))
        self._uri = uri

    def another(self) -> Client:
        return Remote(self._uri)

    def close(self) -> None:
        self.lake.close()


class Flight(Client):
    """The stock driver. The dbapi opens a transaction by itself unless `autocommit` is set."""

    executes_many_at_once = True

    def __init__(self, uri: str, *, autocommit: bool) -> None:
        self.uri = uri
        self.autocommits = autocommit
        self.connection = flight_sql.connect(
            uri, db_kwargs={"username": "admin", "password": PASSWORD}, autocommit=autocommit
        )

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self.connection.cursor() as cursor:
            yield cursor

    def execute(self, sql: str, values: Sequence[object] | None = None) -> pa.Table:
        with self._cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetch_arrow_table()

    def change(self, sql: str, values: Sequence[object] | None = None) -> int:
        with self._cursor() as cursor:
            cursor.execute(sql, values)
            return int(cursor.rowcount)

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        with self._cursor() as cursor:
            cursor.executemany(sql, rows)
            return int(cursor.rowcount)

    def poll(self, sql: str, times: int) -> list[Any]:
        seen = []
        with self._cursor() as cursor:
            for _ in range(times):
                cursor.execute(sql)
                seen.append(cursor.fetchone()[0])
        return seen

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._cursor() as cursor:
            cursor.execute(sql)
            yield from cursor.fetch_record_batch()

    def load(self, name: str, data: pa.Table, mode: str) -> int:
        # The driver sends nothing at all, not even a schema, for a table without batches.
        sent = data if data.num_rows else pa.RecordBatch.from_pylist([], data.schema)
        with self._cursor() as cursor:
            return int(cursor.adbc_ingest(name, sent, mode=mode))

    def begin(self) -> None:
        if self.autocommits:
            self.execute("BEGIN")

    def commit(self) -> None:
        if not self.autocommits:
            self.connection.commit()
        else:
            try:
                self.execute("COMMIT")
            except adbc_driver_manager.Error as error:
                if failure_of(error).code != "no_transaction":
                    raise

    def rollback(self) -> None:
        if self.autocommits:
            self.execute("ROLLBACK")
        else:
            self.connection.rollback()

    def undo_failed(self) -> None:
        if not self.autocommits:
            self.connection.rollback()

    def another(self) -> Client:
        return Flight(self.uri, autocommit=self.autocommits)

    def close(self) -> None:
        self.connection.close()
