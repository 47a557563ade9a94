"""A result offered through several endpoints: every batch once, whoever reads what and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import adbc_driver_manager
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as paflight
import pytest

from contract.clients import Flight
from contract.conftest import uri
from contract.wire import Wire, command
from flight.service import Service

ROWS = 2_000_000
NUMBERS = f"SELECT i, i::VARCHAR AS s FROM range({ROWS}) r(i)"


@pytest.fixture
def parted(wire: Wire) -> Wire:
    assert wire.set_session_options(result_endpoints=4) == {}
    assert wire.session_options()["result_endpoints"] == 4
    return wire


@pytest.fixture
def driver(empty_service: Service) -> Iterator[Flight]:
    with closing(Flight(uri(empty_service), autocommit=True)) as driver:
        driver.execute("SET result_endpoints = 4")
        yield driver


def ask(wire: Wire, sql: str) -> paflight.FlightInfo:
    return wire.info(command("CommandStatementQuery", query=sql))


def whole(parts: list[pa.Table]) -> None:
    """Every row arrived, once."""
    numbers = pa.concat_tables(parts)["i"]
    assert len(numbers) == ROWS
    assert pc.count_distinct(numbers).as_py() == ROWS
    assert pc.sum(numbers).as_py() == ROWS * (ROWS - 1) // 2


def drain(stream: paflight.FlightStreamReader) -> str:
    """Read to the end, chunk by chunk; what ended it otherwise."""
    try:
        for _ in stream:
            pass
    except (paflight.FlightError, pa.ArrowException) as problem:
        return str(problem)
    return "ended well"


def until_idle(service: Service) -> None:
    end = time.monotonic() + 5
    while [one for one in service.engine.activities.snapshot() if "range" in one.text]:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_there_is_one_unless_more_are_wanted(wire: Wire) -> None:
    assert len(ask(wire, NUMBERS).endpoints) == 1


def test_side_by_side(parted: Wire) -> None:
    info = ask(parted, NUMBERS)
    assert len({endpoint.ticket.ticket for endpoint in info.endpoints}) == 4
    assert not info.ordered
    assert [endpoint.expiration_time for endpoint in info.endpoints] == [None] * 4
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda endpoint: parted.get(endpoint.ticket), info.endpoints))
    whole(parts)
    assert {part.schema for part in parts} == {info.schema}


@pytest.mark.parametrize("turn", [1, -1], ids=["first to last", "last to first"])
def test_one_after_the_other(parted: Wire, turn: int) -> None:
    whole([parted.get(endpoint.ticket) for endpoint in ask(parted, NUMBERS).endpoints[::turn]])


def test_a_stream_that_stands_still_holds_up_no_other(parted: Wire) -> None:
    first, *others = ask(parted, NUMBERS).endpoints
    idle = parted.stream(first.ticket)
    begun = idle.read_chunk().data
    rest = [parted.get(endpoint.ticket) for endpoint in others]
    whole([*rest, pa.Table.from_batches([begun, *(chunk.data for chunk in idle)])])


def test_one_statement_runs(parted: Wire) -> None:
    before = parted.value("SELECT count(*) FROM neurolake.queries")
    for endpoint in ask(parted, "SELECT 7 AS i").endpoints:
        parted.get(endpoint.ticket)
    assert parted.value("SELECT count(*) FROM neurolake.queries") == before + 2


@pytest.mark.parametrize("sql", ["SELECT i FROM range(9) r(i) ORDER BY i", "CREATE TABLE made (i INT)", "SHOW TABLES"])
def test_what_has_an_order_or_writes_has_one(parted: Wire, sql: str) -> None:
    assert len(ask(parted, sql).endpoints) == 1


def test_a_part_is_sent_once(parted: Wire) -> None:
    first, *_ = ask(parted, "SELECT 7 AS i").endpoints
    assert parted.get(first.ticket).to_pylist() == [{"i": 7}]
    with pytest.raises(pa.ArrowInvalid, match=r"\[ticket_redeemed"):
        parted.get(first.ticket)


def test_a_part_left_half_read_ends_the_others(parted: Wire, empty_service: Service) -> None:
    first, second, *_ = ask(parted, f"SELECT i FROM range({ROWS * 50}) r(i)").endpoints
    left, other = parted.stream(first.ticket), parted.stream(second.ticket)
    left.read_chunk()
    other.read_chunk()
    left.cancel()
    del left
    assert "[cancelled" in drain(other)
    until_idle(empty_service)


def test_a_client_that_leaves_ends_a_statement_without_rows_yet(parted: Wire, empty_service: Service) -> None:
    first, second, *_ = ask(parted, "SELECT count(*) AS i FROM range(3000000) a(i), range(3000000) b(j)").endpoints
    streams = [parted.stream(first.ticket), parted.stream(second.ticket)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(drain, streams[0])
        time.sleep(0.3)
        streams[1].cancel()
        until_idle(empty_service)
        assert "[cancelled" in waiting.result(5)


def test_what_fails_is_told_and_no_part_looks_whole(parted: Wire) -> None:
    sql = f"SELECT CASE WHEN i = {ROWS - 5} THEN error('it broke') ELSE i::VARCHAR END AS i FROM range({ROWS}) r(i)"
    problems = [drain(parted.stream(endpoint.ticket)) for endpoint in ask(parted, sql).endpoints]
    assert all("it broke" in problem for problem in problems)


def test_cancel_ends_all_parts(parted: Wire, empty_service: Service) -> None:
    info = ask(parted, f"SELECT i FROM range({ROWS * 50}) r(i)")
    stream = parted.stream(info.endpoints[2].ticket)
    stream.read_chunk()
    assert parted.cancel(info) == 1
    assert "[cancelled" in drain(stream)
    until_idle(empty_service)
    with pytest.raises(pa.ArrowKeyError, match=r"\[ticket_unknown"):
        parted.get(info.endpoints[0].ticket)


def test_another_session_cannot_take_a_part(parted: Wire, empty_service: Service) -> None:
    first, *_ = ask(parted, NUMBERS).endpoints
    with Wire(uri(empty_service)) as other, pytest.raises(pa.ArrowKeyError, match=r"\[ticket_unknown"):
        other.get(first.ticket)


def test_the_stock_driver_reads_them(driver: Flight) -> None:
    for _ in range(3):
        whole([driver.execute(NUMBERS)])
    assert driver.execute("SELECT 1 AS a WHERE false").num_rows == 0
    with pytest.raises(adbc_driver_manager.Error, match="it broke"):
        driver.execute(
            f"SELECT CASE WHEN i = {ROWS - 5} THEN error('it broke') ELSE i END AS i FROM range({ROWS}) r(i)"
        )
    assert driver.execute("SELECT 1 AS a").to_pylist() == [{"a": 1}]
