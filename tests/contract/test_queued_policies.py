"""A statement that waits for its turn runs under the policies that hold when the turn comes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import pytest

from contract.test_governed import ANN, FLAGS, Rows, code_of, driver, owner, prepared
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.home import Home

__all__ = ["prepared"]

BUSY = "CREATE OR REPLACE TEMP TABLE busy AS SELECT sum(sqrt(i)) AS s FROM range(200000000000) r(i)"
HIDE = "CALL neurolake.set_policy('hide', '*', 'column:people.name', 'constant', {'value': 'hidden'})"
SEEN = "SELECT name FROM people WHERE id = 3"


@pytest.fixture
def service(prepared: Path, tmp_path: Path) -> Iterator[Service]:
    """A server that runs one statement at a time."""
    shutil.copytree(prepared, tmp_path / "lake")
    service = Service(
        Home.open(tmp_path / "lake"), load(tmp_path / "lake", flags={**FLAGS, "concurrent_statements_max": 1})
    )
    service.start()
    yield service
    service.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def while_busy(service: Service, waiting: Callable[[], Any]) -> Iterator[Future[Any]]:
    """What is begun while another statement has the only slot: the block runs when it is queued there."""
    activities = service.engine.activities
    with ThreadPoolExecutor(2) as pool:
        busy = pool.submit(owner(service.engine), BUSY)
        until(lambda: any(one.phase == "running" and "busy" in one.text for one in activities.snapshot()))
        queued = pool.submit(waiting)
        until(lambda: any(one.phase == "queued" for one in activities.snapshot()))
        try:
            yield queued
        finally:
            for one in activities.snapshot():
                if "busy" in one.text:
                    one.stop(errors.Cancelled("enough"))
            assert busy.exception() is not None


def test_a_read_that_waits_for_a_slot_is_masked_by_a_policy_set_meanwhile(service: Service) -> None:
    with driver(service) as ann:
        assert ann(SEEN) == [("name3",)]
        with while_busy(service, lambda: ann(SEEN)) as queued:
            owner(service.engine)(HIDE)
        assert queued.result() == [("hidden",)]
        with while_busy(service, lambda: ann(SEEN)) as queued:
            owner(service.engine)("CALL neurolake.drop_policy('hide')")
        assert queued.result() == [("name3",)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("CALL neurolake.revoke('read', 'people', 'analyst')", "relation_denied"),
        ("CALL neurolake.set_policy('hide', '*', 'column:people.name', 'block')", "binding"),
        ("CALL neurolake.revoke_role('analyst', 'ann')", "relation_denied"),
    ],
)
def test_a_read_that_waits_is_denied_what_is_taken_away_meanwhile(service: Service, change: str, code: str) -> None:
    with driver(service) as ann:
        with while_busy(service, lambda: code_of(ann, SEEN)) as queued:
            owner(service.engine)(change)
        assert queued.result() == code


def test_a_write_that_waits_copies_what_its_role_may_see_when_it_runs(service: Service) -> None:
    with driver(service) as ann:
        ann("SET ROLE writer")
        with while_busy(
            service, lambda: ann("CREATE TABLE lab.copied AS SELECT name FROM people WHERE id = 3")
        ) as queued:
            owner(service.engine)(HIDE)
        queued.result()
        assert owner(service.engine)("SELECT * FROM lab.copied") == [("hidden",)]


def test_a_statement_that_waits_for_its_sessions_cursor_is_planned_for_its_turn(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "lake")
    service = Service(Home.open(tmp_path / "lake"), load(tmp_path / "lake", flags=FLAGS))
    service.start()
    uri = f"grpc://127.0.0.1:{service.port}"
    try:
        with flight_sql.connect(uri, {"username": "ann", "password": ANN}, autocommit=False) as connection:

            def run(sql: str) -> Rows:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    table = cursor.fetch_arrow_table()
                    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

            assert run(SEEN) == [("name3",)]
            with ThreadPoolExecutor(2) as pool:
                ahead = pool.submit(run, "SELECT sum(sqrt(i)) > 0 FROM range(400000000) r(i)")
                until(lambda: any(one.phase == "running" for one in service.engine.activities.snapshot()))
                behind = pool.submit(run, SEEN)
                until(lambda: len(service.engine.activities.snapshot()) == 2)
                assert not ahead.done()
                owner(service.engine)(HIDE)
                assert ahead.result() == [(True,)]
                assert behind.result() == [("hidden",)]
    finally:
        service.stop()
