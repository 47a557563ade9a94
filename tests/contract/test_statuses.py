"""Errors as the stock driver shows them: the exception, the status, our code, the statement's id, nothing inside."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from adbc_driver_flightsql import dbapi as adbc
from adbc_driver_manager import AdbcStatusCode as Status
from adbc_driver_manager._reader import AdbcRecordBatchReader

from contract.clients import PASSWORD, Flight
from contract.conftest import serving
from contract.wire import Wire
from flight.service import Service

SLOW = "SELECT count(*) AS n FROM range(400_000) a, range(400_000) b WHERE (a.range * b.range) % 7 = 8"
STREAM = "SELECT range AS n FROM range(10_000_000_000)"
INSIDE = ("Traceback", 'File "', ".py", "Stack Trace", "_duckdb", "0x7f", "Detail: Python exception: Traceback")

KINDS = {
    "syntax": ("SELEC 1", "syntax", adbc.ProgrammingError, Status.INVALID_ARGUMENT),
    "a missing table": ("SELECT * FROM nowhere", "not_found", adbc.ProgrammingError, Status.NOT_FOUND),
    "a missing column": ("SELECT nothing FROM t", "binding", adbc.ProgrammingError, Status.INVALID_ARGUMENT),
    "a name that is taken": ("CREATE TABLE t (a INT)", "already_exists", adbc.ProgrammingError,
                             Status.INVALID_ARGUMENT),
    "a constraint": ("INSERT INTO t VALUES (1)", "constraint", adbc.ProgrammingError, Status.INVALID_ARGUMENT),
    "a conversion": ("SELECT 'x'::INT", "conversion", adbc.ProgrammingError, Status.INVALID_ARGUMENT),
    "a permission": ("SET ROLE = 'nobody'", "role_denied", adbc.ProgrammingError, Status.UNAUTHORIZED),
    "a setting of the lake": ("SET threads = 1", "setting_locked", adbc.ProgrammingError, Status.INVALID_ARGUMENT),
    "not supported": ("EXPLAIN ANALYZE INSERT INTO t VALUES (2)", "not_supported", adbc.NotSupportedError,
                      Status.NOT_IMPLEMENTED),
    "a limit": ("FROM range(100)", "limit_reached", adbc.OperationalError, Status.UNKNOWN),
    "a file": ("FROM read_parquet('/nowhere/at/all.parquet')", "source_empty", adbc.OperationalError, Status.UNKNOWN),
    "time": (SLOW, "timed_out", adbc.OperationalError, Status.TIMEOUT),
}  # fmt: skip


@pytest.fixture
def flight(empty_service: Service) -> Iterator[Flight]:
    flight = Flight(f"grpc://127.0.0.1:{empty_service.port}", autocommit=True)
    flight.execute("CREATE TABLE t (a INT PRIMARY KEY)")
    flight.execute("INSERT INTO t VALUES (1)")
    flight.execute("SET result_rows_max = 50")
    yield flight
    flight.close()


def refused(call: Callable[[], Any]) -> adbc_driver_manager.Error:
    """The error that a call must end with."""
    with pytest.raises(adbc_driver_manager.Error) as caught:
        call()
    return caught.value


def check(error: adbc_driver_manager.Error, code: str, kind: type[Exception], status: Status) -> str:
    """What every error has: its kind, its status, its code, the id of its statement, which is returned."""
    text = str(error)
    assert (type(error), error.status_code) == (kind, status), text
    found = re.search(rf"\[{code}, query ([0-9a-f]{{20}})\]", text)
    assert found, text
    details = [value if isinstance(value, str) else value.decode() for _, value in error.details]
    assert not [word for word in INSIDE if word in f"{text} {details}"]
    return found[1]


def prepared(cursor: Any, sql: str) -> None:
    """As the dbapi does it: CreatePreparedStatement, GetFlightInfo, DoGet."""
    cursor.execute(sql)
    cursor.fetch_arrow_table()


def unprepared(cursor: Any, sql: str) -> None:
    """GetFlightInfo and DoGet."""
    stream(cursor, sql).read_all()


def stream(cursor: Any, sql: str) -> Any:
    """A result, batch by batch, whose errors are the driver's own."""
    cursor.adbc_statement.set_sql_query(sql)
    handle, _ = cursor.adbc_statement.execute_query()
    return AdbcRecordBatchReader._import_from_c(handle.address)


def update(cursor: Any, sql: str) -> None:
    """One DoPut."""
    cursor.adbc_statement.set_sql_query(sql)
    cursor.adbc_statement.execute_update()


WAYS = {"prepared": prepared, "unprepared": unprepared, "update": update}


class TestEveryKind:
    @pytest.mark.parametrize(("sql", "code", "kind", "status"), KINDS.values(), ids=KINDS.keys())
    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
    def test_its_exception_and_status(
        self,
        flight: Flight,
        way: Callable[[Any, str], None],
        sql: str,
        code: str,
        kind: type[Exception],
        status: Status,
    ) -> None:
        if code == "timed_out":
            flight.execute("SET statement_timeout_s = 0.2")
        with flight.connection.cursor() as cursor:
            if (way, code) == (update, "limit_reached"):
                way(cursor, sql)  # an update hands over no rows, so that there is none too many
                return
            query_id = check(refused(lambda: way(cursor, sql)), code, kind, status)
        flight.execute("RESET statement_timeout_s")
        shown = flight.rows("SELECT error_code FROM neurolake.queries WHERE query_id = ?", [query_id])
        assert shown == [(code,)]

    def test_cancelled(self, flight: Flight) -> None:
        with Wire.of(flight) as watcher, flight.connection.cursor() as cursor:
            cancelling = Cancelling(watcher, "cancelled_by_name")
            error = refused(lambda: prepared(cursor, SLOW.replace("AS n", "AS cancelled_by_name")))
            query_id = check(error, "cancelled", adbc.OperationalError, Status.CANCELLED)
            assert cancelling.cancelled() == query_id

    def test_overloaded(self, tmp_path: Path) -> None:
        with serving(tmp_path, concurrent_statements_max=1, queue_length_max=1, queue_wait_s=0.2) as service:
            uri = f"grpc://127.0.0.1:{service.port}"
            with Wire(uri) as wire, closing(Flight(uri, autocommit=True)) as flight:
                busy = threading.Thread(target=lambda: refused_update(wire, f"CREATE TABLE busy AS {SLOW}"))
                busy.start()
                (running,) = until(lambda: [a for a in service.engine.activities.snapshot() if a.phase == "running"])
                with flight.connection.cursor() as cursor:
                    error = refused(lambda: prepared(cursor, "SELECT 1"))
                check(error, "overloaded", adbc.OperationalError, Status.IO)
                flight.execute(f"CALL neurolake.cancel('{running.query_id}')")
                busy.join()
                assert flight.value("SELECT 1") == 1


def refused_update(wire: Wire, sql: str) -> None:
    """An update that is cancelled."""
    with pytest.raises(paflight.FlightCancelledError):
        wire.update(sql)


class TestLoads:
    """Errors of what a client sends, in rows of parameters and in bulk."""

    def test_a_value_that_does_not_fit(self, flight: Flight) -> None:
        with flight.connection.cursor() as cursor:
            error = refused(lambda: cursor.adbc_ingest("t", pa.table({"a": ["2", "two"]}), mode="append"))
            check(error, "conversion", adbc.ProgrammingError, Status.INVALID_ARGUMENT)
            error = refused(lambda: cursor.executemany("INSERT INTO t VALUES (?)", [["2"], ["two"]]))
            check(error, "conversion", adbc.ProgrammingError, Status.INVALID_ARGUMENT)
        assert flight.rows("FROM t") == [(1,)]

    def test_a_constraint(self, flight: Flight) -> None:
        with flight.connection.cursor() as cursor:
            error = refused(lambda: cursor.adbc_ingest("t", pa.table({"a": [7, 1]}), mode="append"))
            check(error, "constraint", adbc.ProgrammingError, Status.INVALID_ARGUMENT)
            error = refused(lambda: cursor.executemany("INSERT INTO t VALUES (?)", [[7], [1]]))
            check(error, "constraint", adbc.ProgrammingError, Status.INVALID_ARGUMENT)
        assert flight.rows("FROM t") == [(1,)]

    @pytest.mark.parametrize(
        ("mode", "name", "code", "status"),
        [("create", "t", "already_exists", Status.INVALID_ARGUMENT), ("append", "none", "not_found", Status.NOT_FOUND)],
    )
    def test_a_mode_that_does_not_fit(self, flight: Flight, mode: Any, name: str, code: str, status: Status) -> None:
        with flight.connection.cursor() as cursor:
            error = refused(lambda: cursor.adbc_ingest(name, pa.table({"a": [7]}), mode=mode))
            check(error, code, adbc.ProgrammingError, status)


MIDWAY = "SELECT CASE WHEN range = 9_000_000 THEN {} ELSE range END AS n FROM range(10_000_000)"


class TestMidway:
    """Errors after the first rows are out."""

    def test_an_error_of_the_engine(self, flight: Flight) -> None:
        flight.execute("RESET result_rows_max")
        with flight.connection.cursor() as cursor:
            error = refused(lambda: prepared(cursor, MIDWAY.format("error('late')")))
            assert "late" in str(error)
            check(error, "invalid_request", adbc.ProgrammingError, Status.INVALID_ARGUMENT)

    def test_a_limit(self, flight: Flight) -> None:
        flight.execute("RESET result_rows_max")
        flight.execute("SET result_rows_max = 5000000")
        with flight.connection.cursor() as cursor:
            error = refused(lambda: prepared(cursor, "FROM range(10_000_000)"))
            check(error, "limit_reached", adbc.OperationalError, Status.UNKNOWN)

    def test_time(self, flight: Flight) -> None:
        flight.execute("RESET result_rows_max")
        flight.execute("SET statement_timeout_s = 0.5")
        with flight.connection.cursor() as cursor:
            reader = stream(cursor, STREAM)
            error = refused(lambda: slowly(reader))
            check(error, "timed_out", adbc.OperationalError, Status.TIMEOUT)

    def test_cancelled(self, flight: Flight) -> None:
        flight.execute("RESET result_rows_max")
        with Wire.of(flight) as watcher, flight.connection.cursor() as cursor:
            reader = stream(cursor, STREAM.replace("AS n", "AS cancelled_midway"))
            cancelling = Cancelling(watcher, "cancelled_midway")
            query_id = check(refused(lambda: slowly(reader)), "cancelled", adbc.OperationalError, Status.CANCELLED)
            assert cancelling.cancelled() == query_id


SCHEMA_KINDS = {
    name: kind for name, kind in KINDS.items()
    if kind[1] in ("syntax", "not_found", "binding", "role_denied", "setting_locked", "not_supported", "source_empty")
}  # fmt: skip


class TestGetSchema:
    """pyarrow lets a server choose three statuses here, and UNKNOWN; the exception's class is right all the same."""

    @pytest.mark.parametrize(("sql", "code", "kind", "status"), SCHEMA_KINDS.values(), ids=SCHEMA_KINDS.keys())
    def test_its_exception(self, flight: Flight, sql: str, code: str, kind: type[Exception], status: Status) -> None:
        with flight.connection.cursor() as cursor:
            cursor.adbc_statement.set_sql_query(sql)
            error = refused(lambda: cursor.adbc_statement.execute_schema())
        expected = Status.INVALID_ARGUMENT if status is Status.UNAUTHORIZED else status
        check(error, code, kind, expected)


class TestLogins:
    @pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("nobody", PASSWORD)])
    def test_refused(self, empty_service: Service, user: str, password: str) -> None:
        error = refused(
            lambda: adbc.connect(
                f"grpc://127.0.0.1:{empty_service.port}", db_kwargs={"username": user, "password": password}
            )
        )
        assert isinstance(error, adbc.ProgrammingError)
        assert error.status_code == Status.UNAUTHENTICATED
        assert not [word for word in (*INSIDE, PASSWORD) if word in str(error)]

    def test_a_session_that_has_ended(self, flight: Flight, empty_service: Service) -> None:
        for session in list(empty_service.sessions._by_token.values()):
            empty_service.sessions.close(session)
        error = refused(lambda: flight.execute("SELECT 1"))
        assert (type(error), error.status_code) == (adbc.ProgrammingError, Status.UNAUTHENTICATED)
        assert "session_unknown" in str(error)


def slowly(reader: Any) -> None:
    """Read a result with pauses."""
    while reader.read_next_batch():
        time.sleep(0.02)


class Cancelling:
    """Cancels, from a session of its own, the statement whose text holds a name, as soon as it runs."""

    def __init__(self, watcher: Wire, name: str) -> None:
        self._watcher = watcher
        self._sql = (
            "SELECT query_id FROM neurolake.running WHERE state IN ('running', 'streaming') "
            f"AND sql LIKE '%{name}%' AND sql NOT LIKE '%neurolake%'"
        )
        self._found = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        (row,) = until(lambda: self._watcher.query(self._sql).to_pylist())
        self._watcher.query(f"CALL neurolake.cancel('{row['query_id']}')")
        self._found = row["query_id"]

    def cancelled(self) -> str:
        """The id of what was cancelled."""
        self._thread.join(10)
        return self._found


def until(happens: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for something; what it gave."""
    end = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


class TestWhatIsNotServed:
    def test_polling(self, flight: Flight) -> None:
        """pyarrow's server has no PollFlightInfo; a driver that asks for it is told so, and goes on without."""
        with flight.connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.statement.exec.incremental": "true"})
            error = refused(lambda: cursor.adbc_execute_partitions("SELECT 1"))
            assert (type(error), error.status_code) == (adbc.NotSupportedError, Status.NOT_IMPLEMENTED)
        assert flight.value("SELECT 1") == 1

    def test_a_result_is_one_partition(self, flight: Flight) -> None:
        with flight.connection.cursor() as cursor:
            partitions, schema = cursor.adbc_execute_partitions("SELECT range AS n FROM range(10)")
            assert (len(partitions), schema.names) == (1, ["n"])
            cursor.adbc_read_partition(partitions[0])
            assert cursor.fetch_arrow_table().num_rows == 10

    def test_substrait(self, flight: Flight) -> None:
        with flight.connection.cursor() as cursor:
            cursor.adbc_statement.set_substrait_plan(b"plan")
            error = refused(cursor.adbc_statement.execute_query)
            assert (type(error), error.status_code) == (adbc.NotSupportedError, Status.NOT_IMPLEMENTED)
