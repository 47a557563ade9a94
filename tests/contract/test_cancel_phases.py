"""Cancel in every phase: queued, planning, running, streaming, ingesting; by the client, by its death, by a deadline.

Each time the server shows the statement no more, and the engine is idle, within a second.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as paflight
import pytest

from contract.clients import Flight
from contract.conftest import serving
from contract.test_statuses import SLOW, STREAM, until
from contract.test_stopping import IDLE_CPU, cpu_share
from contract.wire import Wire, command
from flight.service import Service

WITHIN_S = 1.0
ENDED = (pa.ArrowException, OSError, KeyboardInterrupt)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that runs one statement at a time."""
    with serving(tmp_path_factory.mktemp("phases"), concurrent_statements_max=1) as service:
        yield service


@pytest.fixture
def uri(served: Service) -> str:
    return f"grpc://127.0.0.1:{served.port}"


def in_phase(served: Service, phase: str, mark: str) -> Any:
    """The statement whose text holds a mark, once it is in a phase."""

    def found() -> list[Any]:
        return [a for a in served.engine.activities.snapshot() if a.phase == phase and mark in a.text]

    return until(found)[0]


def assert_over(served: Service, mark: str) -> None:
    """Shown no more, and nothing works, within a second from now."""
    start = time.monotonic()
    until(lambda: not [a for a in served.engine.activities.snapshot() if mark in a.text], WITHIN_S)
    until(lambda: cpu_share(0.1) < IDLE_CPU, WITHIN_S)
    assert time.monotonic() - start < 2 * WITHIN_S


class Asking:
    """A statement that a thread of its own waits for, with a client of its own."""

    def __init__(self, uri: str, sql: str, timeout_s: float | None = None) -> None:
        self.wire = Wire(uri)
        self.problem: BaseException | None = None
        if timeout_s is not None:
            header = [(b"authorization", f"Bearer {self.wire.token}".encode())]
            self.wire.options = paflight.FlightCallOptions(timeout=timeout_s, headers=header)
        self._sql = sql
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.wire.query(self._sql)
        except ENDED as problem:
            self.problem = problem

    def ended(self) -> BaseException:
        """What it ended with."""
        self.thread.join(10)
        assert self.problem is not None
        return self.problem


CHILD = """
import sys
import pyarrow as pa
import pyarrow.flight as paflight
from contract.wire import Wire, command
uri, token, kind, sql = sys.argv[1:]
wire = Wire(uri, token=token)
if kind == "ingest":
    target = paflight.FlightDescriptor.for_command(
        command("CommandStatementIngest", table="sent", table_definition_options={"if_not_exist": 1, "if_exists": 1}))
    batch = pa.record_batch({"a": list(range(100_000))})
    writer, _ = wire.client.do_put(target, batch.schema, wire.options)
    while True:
        writer.write_batch(batch)
stream = wire.stream(wire.info(command("CommandStatementQuery", query=sql)).endpoints[0].ticket)
while True:
    stream.read_chunk()
"""


@pytest.fixture
def child(uri: str) -> Iterator[Callable[[str, str], subprocess.Popen[bytes]]]:
    """Starts clients in processes of their own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(kind: str, sql: str) -> subprocess.Popen[bytes]:
        with Wire(uri) as wire:
            arguments = [sys.executable, "-c", CHILD, uri, wire.token, kind, sql]
        started.append(subprocess.Popen(arguments, cwd=Path(__file__).parents[1], env={"PYTHONPATH": ".:.."}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


class TestByDeath:
    """The client's process is killed: it sends nothing more, not even an end."""

    @pytest.mark.parametrize(
        ("kind", "sql", "phase", "mark"),
        [("query", SLOW, "running", SLOW),
         pytest.param("query", STREAM, "streaming", STREAM, marks=pytest.mark.slow),
         pytest.param("query", f"CREATE TABLE made AS {SLOW}", "running", "CREATE TABLE made", marks=pytest.mark.slow),
         ("ingest", "-", "running", "LOAD")],
        ids=["running", "streaming", "writing", "ingesting"],
    )  # fmt: skip
    def test_it(self, served: Service, uri: str, child: Any, kind: str, sql: str, phase: str, mark: str) -> None:
        process = child(kind, sql)
        in_phase(served, phase, mark)
        until(lambda: cpu_share(0.1) > IDLE_CPU)
        process.send_signal(signal.SIGKILL)
        assert_over(served, mark)
        with Wire(uri) as wire:
            for name in ("made", "sent"):
                assert wire.query(f"FROM duckdb_tables() WHERE table_name = '{name}'").num_rows == 0


class TestByTheDriver:
    @pytest.mark.parametrize(("sql", "phase"), [(SLOW, "running"), (STREAM, "streaming")], ids=["work", "rows"])
    def test_its_cancel(self, served: Service, uri: str, sql: str, phase: str) -> None:
        with closing(Flight(uri, autocommit=True)) as flight, flight.connection.cursor() as cursor:
            failed = threading.Event()

            def run() -> None:
                try:
                    cursor.execute(sql)
                    cursor.fetch_arrow_table()
                except (adbc_driver_manager.Error, OSError):
                    failed.set()

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            in_phase(served, phase, sql)
            cursor.adbc_cancel()
            assert_over(served, sql)
            assert failed.wait(5)
            thread.join()
            assert flight.value("SELECT 1") == 1


class TestByADeadline:
    def test_the_clients_while_it_runs(self, served: Service, uri: str) -> None:
        asking = Asking(uri, f"CREATE TABLE made AS {SLOW}", timeout_s=0.5)
        in_phase(served, "running", "CREATE TABLE made")
        assert isinstance(asking.ended(), paflight.FlightTimedOutError)
        assert_over(served, "CREATE TABLE made")

    def test_the_clients_while_it_waits_in_the_queue(self, served: Service, uri: str) -> None:
        busy = Asking(uri, f"CREATE TABLE busy AS {SLOW}", timeout_s=3)
        in_phase(served, "running", "CREATE TABLE busy")
        queued = Asking(uri, "CREATE TABLE queued AS SELECT 1 AS a", timeout_s=0.4)
        in_phase(served, "queued", "CREATE TABLE queued")
        queued.ended()
        until(lambda: not [a for a in served.engine.activities.snapshot() if "queued" in a.text], WITHIN_S)
        busy.ended()
        assert_over(served, "busy")

    def test_the_clients_while_it_is_planned(self, served: Service, uri: str) -> None:
        """The binder waits for a file on a web server that takes the call and never answers."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            sql = f"SELECT * FROM read_parquet('http://127.0.0.1:{silent.getsockname()[1]}/never.parquet')"
            asking = Asking(uri, sql, timeout_s=0.5)
            in_phase(served, "planning", "read_parquet")  # the address in it is hidden
            asking.ended()
            assert_over(served, "read_parquet")

    def test_the_servers_in_every_phase(self, served: Service, uri: str) -> None:
        with Wire(uri) as wire:
            wire.update("SET statement_timeout_s = 0.3")
            for sql in (SLOW, f"CREATE TABLE made AS {SLOW}"):
                start = time.monotonic()
                with pytest.raises(paflight.FlightTimedOutError, match=r"\[timed_out, query"):
                    wire.query(sql)
                assert time.monotonic() - start < 0.3 + WITHIN_S
                assert_over(served, sql)


class TestByCancelFlightInfo:
    def test_while_it_streams(self, served: Service, uri: str) -> None:
        with Wire(uri) as wire:
            info = wire.info(command("CommandStatementQuery", query=STREAM))
            stream = wire.stream(info.endpoints[0].ticket)
            stream.read_chunk()
            assert wire.cancel(info) == 1
            with pytest.raises(ENDED, match="cancel"):
                while True:
                    stream.read_chunk()
            assert_over(served, STREAM)

    def test_while_it_works(self, served: Service, uri: str) -> None:
        with Wire(uri) as wire:
            info = wire.info(command("CommandStatementQuery", query=SLOW))
            problems: list[BaseException] = []

            def fetch() -> None:
                try:
                    wire.get(info.endpoints[0].ticket)
                except ENDED as problem:
                    problems.append(problem)

            thread = threading.Thread(target=fetch, daemon=True)
            thread.start()
            in_phase(served, "running", SLOW)
            assert wire.cancel(info) == 1
            assert_over(served, SLOW)
            thread.join(5)
            assert "cancel" in str(problems)

    def test_an_ingest_by_its_id(self, served: Service, uri: str) -> None:
        with Wire(uri) as wire, Wire(uri) as watcher:
            stop = threading.Event()

            def send() -> None:
                target = paflight.FlightDescriptor.for_command(
                    command("CommandStatementIngest", table="sent", table_definition_options={"if_exists": 1})
                )
                batch = pa.record_batch({"a": list(range(100_000))})
                writer, _ = wire.client.do_put(target, batch.schema, wire.options)
                with suppress(*ENDED):
                    while not stop.is_set():
                        writer.write_batch(batch)
                with suppress(*ENDED):
                    writer.close()

            thread = threading.Thread(target=send, daemon=True)
            thread.start()
            loading = in_phase(served, "running", "LOAD")
            until(lambda: cpu_share(0.1) > IDLE_CPU)
            watcher.query(f"CALL neurolake.cancel('{loading.query_id}')")
            assert_over(served, "LOAD")
            stop.set()
            thread.join(5)
            assert watcher.query("FROM duckdb_tables() WHERE table_name = 'sent'").num_rows == 0
