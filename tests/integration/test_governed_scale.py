"""Ten thousand tables, fifty roles and their policies cost a governed session nothing that it does not name."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pytest

from flight.service import Service
from neurolake._duckdb import Cursor
from neurolake.config import load
from neurolake.home import Home
from neurolake.query import OWNER, Request

FEW, MANY, ROLES, ROUNDS = 10, 10_000, 50, 9
PASSWORD, ANN = "a password of the admin", "a password for ann"
METADATA_CPU_S_MAX = 20.0


def opened(folder: Path, tables: int) -> Service:
    """A server over a lake where every role reads some tables and `r0` all, each with a masked column."""
    folder.mkdir()
    home = Home.open(folder, create=True)
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0}
    service = Service(home, load(home.path, flags=flags))
    engine = service.engine
    names = [f"t{number}" for number in range(tables)]
    engine.instance.acquire_and(lambda cursor: fill(cursor, names))
    session = engine.session(OWNER)
    for number in range(ROLES):
        engine.run(Request(f"CALL neurolake.create_role('r{number}')", session)).close()
    engine.run(Request("CALL neurolake.create_user('ann', ?, ['r0'])", session, [ANN])).close()
    with engine.store.durable() as db:
        db.executemany(
            "INSERT INTO grants VALUES (?, 'read', 'table', 'main', ?, '', 'x', 0)",
            {*((f"r{place % ROLES}", name) for place, name in enumerate(names)), *(("r0", name) for name in names)},
        )
        db.executemany(
            "INSERT INTO scans VALUES ('main', ?, ?, ?, 'scanned', 0)",
            [(name, f"c{column}", "VARCHAR" if column else "INTEGER") for name in names for column in range(3)],
        )
        db.executemany(
            "INSERT INTO policies VALUES (?, '*', 'column', 'main', ?, 'c1', '', 'null', '{}', 'x', 0, 1)",
            [(f"p_{name}", name) for name in names],
        )
    engine.governance.moved()
    service.start()
    return service


def fill(cursor: Cursor, names: list[str]) -> None:
    cursor.run("BEGIN")
    for place, name in enumerate(names):
        cursor.run(f"CREATE TABLE {name} AS SELECT {place} AS c0, 'hidden' AS c1, 'seen' AS c2")
    cursor.run("COMMIT")


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Service]]:
    folder = tmp_path_factory.mktemp("scale")
    services = opened(folder / "few", FEW), opened(folder / "many", MANY)
    yield services
    for service in services:
        service.stop()


def connection(service: Service) -> flight_sql.Connection:
    return flight_sql.connect(f"grpc://127.0.0.1:{service.port}", {"username": "ann", "password": ANN})


def first_query(service: Service, number: int) -> float:
    """The CPU, of the client's side too, from the login to the end of a query on a table that nobody has named yet."""
    start = time.process_time()
    with connection(service) as ann, ann.cursor() as cursor:
        cursor.execute(f"SELECT c0, c1, c2 FROM t{number}")
        assert cursor.fetchall() == [(number, None, "seen")]
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_start_and_first_query_are_flat(lakes: tuple[Service, Service]) -> None:
    few, many = lakes
    for service in lakes:
        first_query(service, 0)
    ratios = [first_query(many, 777 * place) / first_query(few, place) for place in range(1, ROUNDS)]
    assert statistics.median(ratios) < 1.5, ratios


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_is_flat(lakes: tuple[Service, Service]) -> None:
    peaks = []
    for service, number in zip(lakes, (3, 5_003), strict=True):
        first_query(service, number)
        gc.collect()
        tracemalloc.start()
        first_query(service, number + 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 100_000, peaks


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_catalog_can_be_listed(lakes: tuple[Service, Service]) -> None:
    start = time.process_time()
    with connection(lakes[1]) as ann, ann.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.tables")
        assert cursor.fetchone() == (MANY,)
        cursor.execute("SELECT count(*) FROM information_schema.columns")
        assert cursor.fetchone() == (3 * MANY,)
        objects = ann.adbc_get_objects(depth="tables").read_all().to_pylist()
        tables = [t for c in objects for s in c["catalog_db_schemas"] or () for t in s["db_schema_tables"] or ()]
        assert sum(table["table_name"].startswith("t") for table in tables) >= MANY
    assert time.process_time() - start < METADATA_CPU_S_MAX


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_unreachable_source_denies_only_what_names_it(lakes: tuple[Service, Service], tmp_path: Path) -> None:
    service = lakes[1]
    file = tmp_path / "gone.csv"
    file.write_text("a,b\n1,2\n")
    session = service.engine.session(OWNER)
    service.engine.run(Request("CALL neurolake.register('gone', ?)", session, [str(file)])).close()
    service.engine.run(Request("CALL neurolake.set_pii('gone', null, 'confirmed')", session)).close()
    service.engine.run(Request("CALL neurolake.grant('read', 'gone', 'r0')", session)).close()
    with connection(service) as ann, ann.cursor() as cursor:
        cursor.execute("SELECT a FROM gone")
        assert cursor.fetchall() == [(1,)]
        file.unlink()
        ann.rollback()
        with pytest.raises(adbc_driver_manager.Error):
            cursor.execute("SELECT b FROM gone WHERE a > 0")
            cursor.fetchall()
        ann.rollback()
        cursor.execute("SELECT c1, c2 FROM t42")
        assert cursor.fetchall() == [(None, "seen")]
        cursor.execute("SELECT count(*) FROM information_schema.tables")
        assert cursor.fetchone() == (MANY + 1,)
