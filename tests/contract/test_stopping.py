"""Stopping statements: cancel by id, time limits, clients that leave; and limits on what a result may hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import adbc_driver_manager
import psutil
import pyarrow.flight as paflight
import pytest

from contract.clients import Client, Failure, Flight, failure_of
from contract.conftest import Opened, serving, uri
from contract.wire import Wire, command
from neurolake import errors

# Seconds of work for the engine, and hardly a row to deliver.
LONG = "SELECT count(*) AS {name} FROM range(400_000) a, range(400_000) b WHERE (a.range * b.range) % 7 = 8"
STREAM = "SELECT range AS {name} FROM range(10_000_000_000)"
IDLE_CPU = 0.25
"""Of one core: a process that does nothing but watch."""


def until(happens: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def cpu_share(seconds: float = 0.3) -> float:
    """How much of one core this process uses now; client, server and engine are all in it."""
    process = psutil.Process()
    before, start = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, end = process.cpu_times(), time.monotonic()
    return (after.user + after.system - before.user - before.system) / (end - start)


class Running:
    """A statement in a thread of its own."""

    def __init__(self, client: Client, sql: str) -> None:
        self.failure: Failure | None = None
        self.ended = 0.0
        self._client = client
        self._sql = sql
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._client.execute(self._sql)
        except (errors.NeuroLakeError, adbc_driver_manager.Error) as error:
            self.failure = failure_of(error)
        self.ended = time.monotonic()

    def join(self, seconds: float = 10.0) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the statement still runs"


def query_id(watcher: Client, name: str) -> str:
    """The id of the running statement whose text holds a name."""
    sql = "SELECT query_id FROM neurolake.running WHERE contains(sql, ?) AND NOT contains(sql, 'contains')"
    until(lambda: watcher.rows(sql, [name]))
    return str(watcher.rows(sql, [name])[0][0])


@pytest.fixture
def watcher(other: Client) -> Client:
    """The session that looks on."""
    return other


class TestCancel:
    @pytest.mark.parametrize("sql", [LONG, STREAM, f"CREATE TABLE made AS {LONG}"], ids=["work", "stream", "write"])
    def test_by_id(self, client: Client, watcher: Client, sql: str) -> None:
        running = Running(client, sql.format(name="to_cancel"))
        identifier = query_id(watcher, "to_cancel")
        until(lambda: cpu_share(0.1) > IDLE_CPU)
        cancelled = time.monotonic()
        assert watcher.rows("CALL neurolake.cancel(?)", [identifier]) == [(identifier, True)]
        running.join()
        assert running.ended - cancelled < 1
        assert running.failure is not None
        assert (running.failure.code, running.failure.query_id) == ("cancelled", identifier)
        assert min(cpu_share() for _ in range(3)) < IDLE_CPU
        assert time.monotonic() - cancelled < 3
        (row,) = watcher.rows("SELECT state, error_code FROM neurolake.queries WHERE query_id = ?", [identifier])
        assert row == ("cancelled", "cancelled")
        assert watcher.rows("SELECT 1 FROM neurolake.running WHERE query_id = ?", [identifier]) == []

    def test_while_it_is_read(self, client: Client, watcher: Client) -> None:
        ahead = client.stream(STREAM.format(name="half_read"))
        next(ahead)
        watcher.execute("CALL neurolake.cancel(?)", [query_id(watcher, "half_read")])
        with pytest.raises((errors.NeuroLakeError, adbc_driver_manager.Error, OSError), match="cancel"):
            for _ in ahead:
                pass
        client.undo_failed()
        assert client.value("SELECT 1") == 1

    def test_what_does_not_run(self, client: Client) -> None:
        assert client.failure("CALL neurolake.cancel('no such id')").code == "query_not_running"

    def test_its_session_goes_on(self, client: Client, watcher: Client) -> None:
        client.execute("CREATE TEMP TABLE kept AS SELECT 1 AS a")
        client.commit()
        running = Running(client, LONG.format(name="one_of_many"))
        watcher.execute("CALL neurolake.cancel(?)", [query_id(watcher, "one_of_many")])
        running.join()
        client.undo_failed()
        assert client.rows("FROM kept") == [(1,)]

    def test_a_cancelled_write_leaves_nothing(self, client: Client, watcher: Client) -> None:
        client.execute("CREATE TABLE t (n BIGINT)")
        client.commit()
        sql = "INSERT INTO t SELECT a.range AS half_written FROM range(100_000) a, range(20_000) b"
        running = Running(client, sql)
        watcher.execute("CALL neurolake.cancel(?)", [query_id(watcher, "half_written")])
        running.join()
        client.undo_failed()
        assert client.value("SELECT count(*) FROM t") == 0

    def test_it_hits_no_other_statement(self, client: Client, watcher: Client) -> None:
        """Each is cancelled as it ends, so that some interrupts come late; the next statement must not feel them."""
        for turn in range(15):
            running = Running(client, f"SELECT count(*) AS turn_{turn} FROM range({turn * 1_000_000})")
            sql = "SELECT query_id FROM neurolake.running WHERE contains(sql, ?) AND NOT contains(sql, 'contains')"
            for (identifier,) in watcher.rows(sql, [f"turn_{turn}"]):
                watcher.try_to("CALL neurolake.cancel(?)", [identifier])
            running.join()
            client.undo_failed()
            assert client.value("SELECT sum(range)::BIGINT FROM range(100_000)") == 4_999_950_000


class TestTime:
    def test_a_statement_that_takes_too_long(self, client: Client) -> None:
        client.execute("SET statement_timeout_s = 0.3")
        start = time.monotonic()
        failure = client.failure(LONG.format(name="too_long"))
        assert time.monotonic() - start < 2
        assert failure.code == "timed_out"
        assert "statement_timeout_s" in failure.text
        client.undo_failed()
        assert min(cpu_share() for _ in range(3)) < IDLE_CPU
        assert client.value("SELECT 1") == 1

    def test_it_covers_the_fetching_too(self, client: Client) -> None:
        client.execute("SET statement_timeout_s = 0.5")
        ahead = client.stream(STREAM.format(name="slow_reader"))
        with pytest.raises((errors.NeuroLakeError, adbc_driver_manager.Error, OSError), match="timed_out"):
            for _ in ahead:
                time.sleep(0.05)

    def test_it_is_the_sessions_own(self, client: Client, other: Client) -> None:
        client.execute("SET statement_timeout_s = 0.2")
        assert other.value("SELECT count(*) FROM range(30_000_000)") == 30_000_000
        client.execute("RESET statement_timeout_s")
        assert client.value("SELECT count(*) FROM range(30_000_000)") == 30_000_000

    @pytest.mark.parametrize("value", ["'never'", "-1", "99999999"])
    def test_a_value_it_cannot_have(self, client: Client, value: str) -> None:
        assert client.failure(f"SET statement_timeout_s = {value}").code in ("setting_invalid", "setting_fixed")


class TestLeaving:
    """A client that stops reading sends nothing: the server must notice."""

    def test_the_cursor_is_closed(self, client: Client, watcher: Client) -> None:
        ahead = client.stream(STREAM.format(name="left_behind"))
        next(ahead)
        query_id(watcher, "left_behind")
        ahead.close()  # type: ignore[attr-defined]
        sql = "SELECT 1 FROM neurolake.running WHERE contains(sql, 'left_' || 'behind') AND sql LIKE 'SELECT range%'"
        until(lambda: not watcher.rows(sql), 2)
        assert min(cpu_share() for _ in range(3)) < IDLE_CPU

    @pytest.mark.parametrize("opened", ["flight", "flight_transaction"], indirect=True)
    def test_the_driver_cancels(self, client: Client, watcher: Client) -> None:
        assert isinstance(client, Flight)
        failed = threading.Event()
        with client.connection.cursor() as cursor:

            def run() -> None:
                try:
                    cursor.execute(LONG.format(name="by_the_driver"))
                    cursor.fetchall()
                except adbc_driver_manager.Error:
                    failed.set()

            thread = threading.Thread(target=run)
            thread.start()
            identifier = query_id(watcher, "by_the_driver")
            cursor.adbc_cancel()
            assert failed.wait(2)
            thread.join()
        until(lambda: not watcher.rows("SELECT 1 FROM neurolake.running WHERE query_id = ?", [identifier]), 2)
        assert min(cpu_share() for _ in range(3)) < IDLE_CPU
        assert watcher.value("SELECT state FROM neurolake.queries WHERE query_id = ?", [identifier]) == "cancelled"


class TestLimits:
    def test_rows(self, client: Client) -> None:
        client.execute("SET result_rows_max = 1000")
        assert client.execute("FROM range(1000)").num_rows == 1000
        failure = client.failure("FROM range(1001)")
        assert (failure.code, "result_rows_max" in failure.text) == ("limit_reached", True)
        assert client.value("SELECT count(*) FROM range(100_000)") == 100_000

    def test_bytes(self, client: Client) -> None:
        client.execute("SET result_bytes_max = 1000000")
        assert client.execute("FROM range(10_000)").num_rows == 10_000
        failure = client.failure("FROM range(1_000_000)")
        assert (failure.code, "result_bytes_max" in failure.text) == ("limit_reached", True)
        client.undo_failed()
        assert client.value("SELECT 1") == 1

    def test_a_session_lowers_them_for_itself_alone(self, client: Client, other: Client) -> None:
        client.execute("SET result_rows_max = 10")
        assert other.execute("FROM range(1000)").num_rows == 1000
        client.execute("RESET result_rows_max")
        assert client.execute("FROM range(1000)").num_rows == 1000


def test_writes_go_on_after_many_were_stopped_at_every_step(opened: Opened) -> None:
    with closing(opened.connect()) as client:
        client.change("CREATE TABLE t (i INT)")
        client.commit()
        done, stopped = threading.Event(), 0

        def stop_all() -> None:
            while not done.is_set():
                opened.engine.activities.stop_all(lambda: errors.Cancelled("Stopped by the test."))
                time.sleep(0.0003)

        stopping = threading.Thread(target=stop_all)
        stopping.start()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                client.change("INSERT INTO t VALUES (1)")
            except (errors.NeuroLakeError, adbc_driver_manager.Error) as error:
                stopped += 1
                assert failure_of(error).code == "cancelled"
                client.undo_failed()
        done.set()
        stopping.join()
        assert stopped
        before = client.execute("SELECT count(*) AS n FROM t")["n"][0].as_py()
        for _ in range(20):
            assert client.change("INSERT INTO t VALUES (2)") == 1
        assert client.execute("SELECT count(*) AS n FROM t")["n"].to_pylist() == [before + 20]


class TestTheServersEnd:
    def test_a_client_that_does_not_read_is_not_waited_for(self, tmp_path: Path) -> None:
        with (
            serving(tmp_path) as service,
            closing(Flight(uri(service), autocommit=True)) as stalled,
            stalled.connection.cursor() as cursor,
        ):
            cursor.execute("SELECT range AS i, repeat('x', 100) AS x FROM range(100_000_000)")
            until(lambda: "streaming" in [a.phase for a in service.engine.activities.snapshot()])
            until(lambda: cpu_share() < IDLE_CPU)
            start = time.monotonic()
            service.engine.drain(0)
            assert time.monotonic() - start < 2
            assert len(service.engine.activities) == 1
            with pytest.raises((adbc_driver_manager.Error, OSError), match="shutting down"):
                cursor.fetch_arrow_table()

    @pytest.mark.parametrize("sql", ["SELECT 1 AS late", LONG.format(name="late")], ids=["short", "long"])
    def test_a_ticket_that_is_redeemed_too_late_runs_nothing(self, tmp_path: Path, sql: str) -> None:
        with serving(tmp_path) as service, Wire(uri(service)) as late:
            info = late.info(command("CommandStatementQuery", query=sql))
            service.engine.drain(0)
            start = time.monotonic()
            with pytest.raises(paflight.FlightUnavailableError, match="shutting down"):
                late.stream(info.endpoints[0].ticket).read_chunk()
            assert time.monotonic() - start < 2
            assert not len(service.engine.activities)
