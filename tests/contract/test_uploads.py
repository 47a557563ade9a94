"""Loads whose client stops half way, and goes on with something else, or with nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as paflight
import pytest

from contract.clients import Flight
from contract.conftest import serving, uri
from contract.test_stopping import until
from contract.wire import Wire, command
from flight.service import Service

ROWS = pa.schema([("i", pa.int64())])
SOON_S = 5.0


@pytest.fixture(params=[0, 1, 3, 20])
def batches(request: pytest.FixtureRequest) -> int:
    """How many are sent before the data runs out."""
    count: int = request.param
    return count


@pytest.fixture(params=["append", "create_append", "replace"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def manual(empty_service: Service) -> Iterator[Any]:
    """A connection whose transactions the client ends; with a table `t` of one row."""
    with closing(Flight(uri(empty_service), autocommit=False)) as flight:
        with flight.connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t AS SELECT 7::BIGINT AS i")
        flight.connection.commit()
        yield flight.connection


def fails_half_way(cursor: Any, batches: int, mode: str = "append") -> None:
    def sent() -> Iterator[pa.RecordBatch]:
        for _ in range(batches):
            yield pa.record_batch({"i": pa.array(range(1000), pa.int64())})
        raise OSError("the client's own data ran out")

    with pytest.raises(adbc_driver_manager.Error, match="ran out"):
        cursor.adbc_ingest("t", pa.RecordBatchReader.from_batches(ROWS, sent()), mode=mode)


def held(service: Service) -> list[int]:
    with Wire(uri(service)) as wire:
        rows: list[int] = wire.query("SELECT i FROM t ORDER BY i")["i"].to_pylist()
        return rows


class TestInATransaction:
    def test_a_rollback_does_not_wait_for_it(self, manual: Any, empty_service: Service, batches: int) -> None:
        cursor = manual.cursor()
        cursor.execute("INSERT INTO t VALUES (8)")
        fails_half_way(cursor, batches)
        start = time.monotonic()
        manual.rollback()
        assert time.monotonic() - start < SOON_S
        cursor.execute("INSERT INTO t VALUES (9)")
        manual.commit()
        cursor.close()
        assert held(empty_service) == [7, 9]

    def test_a_commit_does_not_take_half_of_it(self, manual: Any, empty_service: Service, batches: int) -> None:
        cursor = manual.cursor()
        cursor.execute("INSERT INTO t VALUES (8)")
        fails_half_way(cursor, batches)
        start = time.monotonic()
        try:
            manual.commit()
        except adbc_driver_manager.Error as problem:
            assert "[transaction_failed" in str(problem)
            kept = [7]
        else:
            kept = [7, 8]
        assert time.monotonic() - start < SOON_S
        cursor.close()
        assert held(empty_service) == kept

    def test_the_next_statement_does_not_wait_for_it(self, manual: Any, batches: int) -> None:
        cursor, other = manual.cursor(), manual.cursor()
        fails_half_way(cursor, batches)
        start = time.monotonic()
        try:
            other.execute("SELECT count(*) FROM t")
            assert other.fetchall() == [(1,)]
        except adbc_driver_manager.Error as problem:
            assert "[transaction," in str(problem)
        assert time.monotonic() - start < SOON_S
        cursor.close()
        other.close()


def test_the_next_load_into_the_same_table_does_not_meet_it(empty_service: Service, batches: int, mode: str) -> None:
    with closing(Flight(uri(empty_service), autocommit=True)) as flight:
        flight.execute("CREATE TABLE t AS SELECT 7::BIGINT AS i")
        with flight.connection.cursor() as cursor:
            fails_half_way(cursor, batches, mode)
            assert cursor.adbc_ingest("t", pa.table({"i": pa.array([8], pa.int64())}), mode=mode) == 1
        assert held(empty_service) == ([8] if mode == "replace" else [7, 8])


def begun(wire: Wire, rows: pa.RecordBatch) -> paflight.FlightStreamWriter:
    """A load that has sent some rows, and now stands still."""
    options = {"if_not_exist": 1, "if_exists": 1}
    target = paflight.FlightDescriptor.for_command(
        command("CommandStatementIngest", table="sent", table_definition_options=options)
    )
    writer, _ = wire.client.do_put(target, rows.schema, wire.options)
    writer.write_batch(rows)
    return writer


BATCH = pa.record_batch({"i": pa.array(range(10), pa.int64())})


def test_one_that_stands_still_can_be_cancelled(wire: Wire, empty_service: Service) -> None:
    writer = begun(wire, BATCH)
    with Wire(uri(empty_service)) as other:
        until(lambda: other.query("SELECT query_id FROM neurolake.running WHERE sql LIKE 'LOAD%'").num_rows == 1)
        query_id = other.value("SELECT query_id FROM neurolake.running WHERE sql LIKE 'LOAD%'")
        assert other.query(f"CALL neurolake.cancel('{query_id}')").num_rows == 1
        until(lambda: not [one for one in empty_service.engine.activities.snapshot() if one.query_id == query_id], 1.0)
        other.update("CREATE TABLE sent (i INT)")
    with pytest.raises(paflight.FlightCancelledError, match=r"\[cancelled"):
        writer.close()


def test_one_in_which_nothing_comes_ends(tmp_path: Path) -> None:
    with serving(tmp_path, upload_idle_s=0.5) as service, Wire(uri(service)) as wire:
        writer = begun(wire, BATCH)
        until(lambda: bool(service.engine.activities.snapshot()))
        until(lambda: not service.engine.activities.snapshot(), 3.0)
        with pytest.raises(
            paflight.FlightTimedOutError, match=r"\[upload_idle.*upload_idle_s|upload_idle_s.*\[upload_idle"
        ):
            writer.close()


def test_a_slow_one_arrives_whole(wire: Wire) -> None:
    writer = begun(wire, BATCH)
    for _ in range(4):
        time.sleep(0.4)
        writer.write_batch(BATCH)
    writer.close()
    assert wire.value("SELECT count(*) FROM sent") == 50
