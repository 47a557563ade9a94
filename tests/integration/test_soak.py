"""Many careless clients at once, for a minute: cancels, disconnects, half-read streams, failed uploads."""

from __future__ import annotations

import contextlib
import gc
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import adbc_driver_manager
import psutil
import pyarrow as pa
import pytest
from adbc_driver_flightsql import dbapi

from flight.service import Service
from neurolake.config import load
from neurolake.home import Home

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

CLIENTS = 6
SECONDS = 60.0
PASSWORD = "correct-horse-battery"
GROWTH_BYTES_MAX = 300 << 20
RAN_OUT = "the client's own data ran out"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    home = Home.open(tmp_path / "lake", create=True)
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "sessions_per_user_max": 3000, "sessions_max": 3000}
    service = Service(home, load(home.path, flags=flags))
    service.start()
    yield service
    service.stop()


def connect(service: Service, *, autocommit: bool = True) -> Any:
    login = {"username": "admin", "password": PASSWORD}
    return dbapi.connect(f"grpc://127.0.0.1:{service.port}", db_kwargs=login, autocommit=autocommit)


def stream(cursor: Any, table: str, chance: random.Random) -> None:
    cursor.execute("SELECT range AS i, range::VARCHAR AS s FROM range(3_000_000)")
    reader = cursor.fetch_record_batch()
    for _ in range(chance.randrange(3)):
        reader.read_next_batch()


def ingest(cursor: Any, table: str, chance: random.Random) -> None:
    rows = pa.table({"i": pa.array(range(chance.randrange(50_000)), pa.int64())})
    cursor.adbc_ingest(table, rows, mode=chance.choice(["append", "replace", "create_append"]))


def broken_ingest(cursor: Any, table: str, chance: random.Random) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(chance.randrange(3)):
            yield pa.record_batch({"i": pa.array(range(1000), pa.int64())})
        raise OSError(RAN_OUT)

    reader = pa.RecordBatchReader.from_batches(pa.schema([("i", pa.int64())]), batches())
    cursor.adbc_ingest(table, reader, mode="append")


def slow(cursor: Any, table: str, chance: random.Random) -> None:
    cursor.execute("SET statement_timeout_s = 0.3")
    cursor.execute("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b")
    cursor.fetchall()


def text(*statements: str) -> Callable[[Any, str, random.Random], None]:
    def run(cursor: Any, table: str, chance: random.Random) -> None:
        for statement in statements:
            cursor.execute(statement.format(table=table))
        cursor.fetchall()

    return run


OPERATIONS: Mapping[str, Callable[[Any, str, random.Random], None]] = {
    "stream": stream, "ingest": ingest, "broken ingest": broken_ingest, "slow": slow,
    "insert": text("INSERT INTO {table} SELECT range FROM range(100)"),
    "update": text("UPDATE {table} SET i = i + 1"),
    "create": text("CREATE OR REPLACE TABLE {table} AS SELECT range AS i FROM range(500)"),
    "temporary": text("CREATE OR REPLACE TEMP TABLE mine AS SELECT 1 AS a", "SELECT * FROM mine"),
    "wrong": text("SELECT * FROM nowhere"),
    "many": lambda cursor, table, chance: cursor.executemany(
        f"INSERT INTO {table} VALUES (?)", [(number,) for number in range(chance.randrange(50))]
    ),
    "question": lambda cursor, table, chance: cursor.connection.adbc_get_objects(depth="all").read_all(),
}  # fmt: skip


def careless(service: Service, number: int, until: float, found: list[str]) -> None:
    """One client after the other, each for a few statements; what no client should be told goes to `found`."""
    chance = random.Random(number)
    while time.monotonic() < until:
        connection = connect(service, autocommit=chance.random() < 0.6)
        for _ in range(chance.randrange(1, 12)):
            cursor = connection.cursor()
            cancel = threading.Timer(chance.random() * (0.05 if chance.random() < 0.3 else 60), cancelled, [cursor])
            cancel.start()
            try:
                OPERATIONS[chance.choice(list(OPERATIONS))](cursor, f"t{number}", chance)
            except (adbc_driver_manager.Error, pa.ArrowException, OSError, StopIteration) as problem:
                if "[internal" in str(problem) or ("Traceback" in str(problem) and RAN_OUT not in str(problem)):
                    found.append(str(problem))
            finally:
                cancel.cancel()
                cancel.join()
            if chance.random() < 0.8:
                cursor.close()
            if chance.random() < 0.3:
                with contextlib.suppress(adbc_driver_manager.Error):
                    connection.commit() if chance.random() < 0.6 else connection.rollback()
        if chance.random() < 0.7:
            connection.close()


def cancelled(cursor: Any) -> None:
    with contextlib.suppress(adbc_driver_manager.Error):
        cursor.adbc_cancel()


def crowd(service: Service, seconds: float) -> list[str]:
    found: list[str] = []
    until = time.monotonic() + seconds
    clients = [threading.Thread(target=careless, args=(service, n, until, found)) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(seconds + 120)
        assert not client.is_alive(), "a client hangs"
    gc.collect()
    return found


def until_it_holds(what: Callable[[], bool], message: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end, message()
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_careless_clients_leave_nothing_behind(service: Service) -> None:
    engine = service.engine
    with connect(service) as connection, connection.cursor() as cursor:
        for number in range(CLIENTS):
            cursor.execute(f"CREATE TABLE t{number} AS SELECT range AS i FROM range(10)")
        cursor.execute("CREATE TABLE kept AS SELECT range AS i FROM range(1000)")
        assert crowd(service, SECONDS / 4) == []
        before = psutil.Process().memory_info().rss
        assert crowd(service, SECONDS) == []
        until_it_holds(lambda: not engine.activities.snapshot(), lambda: "statements still run")
        until_it_holds(lambda: len(service.sessions) == 1, lambda: f"{len(service.sessions)} sessions are open")
        assert psutil.Process().memory_info().rss - before < GROWTH_BYTES_MAX
        for _ in range(100):  # on every cursor there is
            cursor.execute("INSERT INTO kept VALUES (1)")
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchall() == [(1100,)]
