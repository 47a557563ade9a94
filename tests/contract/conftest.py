"""The lake that the contract is asked of: embedded, remote, and served to the dbapi with and without transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import neurolake
from contract.clients import PASSWORD, Client, Embedded, Flight, Remote
from contract.wire import Wire
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.engine import Engine
from neurolake.home import Home
from neurolake.lake import EmbeddedLake
from neurolake.query import OWNER
from neurolake.sql.text import Name, quote


class Opened(NamedTuple):
    """An open lake, and how to get a client of it."""

    engine: Engine
    connect: Callable[[], Client]


@pytest.fixture(scope="session")
def embedded_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLake]:
    lake = neurolake.connect(tmp_path_factory.mktemp("embedded") / "lake")
    assert isinstance(lake, EmbeddedLake)
    with lake:
        yield lake


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Service]:
    """A new lake, served."""
    home = Home.open(folder / "lake", create=True)
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0, **settings}
    service = Service(home, load(home.path, flags=flags))
    service.start()
    try:
        yield service
    finally:
        service.stop()


def uri(service: Service) -> str:
    """Where it listens."""
    return f"grpc://127.0.0.1:{service.port}"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # Hundreds of tests connect to it within a minute, and some leave without a word.
    many = {"sessions_max": 100_000, "sessions_per_user_max": 100_000}
    with serving(tmp_path_factory.mktemp("served"), **many) as service:
        yield service


@pytest.fixture
def empty_service(service: Service) -> Iterator[Service]:
    """The served lake, empty at first and left so."""
    yield service
    _empty(service.engine)


@pytest.fixture
def wire(empty_service: Service) -> Iterator[Wire]:
    """A session of the administrator's, message by message, on the empty lake."""
    with Wire(uri(empty_service)) as wire:
        yield wire


@pytest.fixture(params=["embedded", "remote", "flight", "flight_transaction"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """An empty lake of each kind."""
    if request.param == "embedded":
        lake: EmbeddedLake = request.getfixturevalue("embedded_lake")
        yield Opened(lake.engine, lambda: Embedded(lake, lake.engine))
        lake.session.close()
        lake.session = lake.engine.session(OWNER, per_thread=True)
        _empty(lake.engine)
        return
    service: Service = request.getfixturevalue("service")
    address = uri(service)
    if request.param == "remote":
        yield Opened(service.engine, lambda: Remote(address))
    else:
        yield Opened(service.engine, lambda: Flight(address, autocommit=request.param == "flight"))
    _empty(service.engine)


@pytest.fixture
def client(opened: Opened) -> Iterator[Client]:
    """A client of each kind, on an empty lake."""
    client = opened.connect()
    yield client
    client.close()


@pytest.fixture
def other(client: Client) -> Iterator[Client]:
    """A second session of the same user."""
    other = client.another()
    yield other
    other.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for a test's files."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def _empty(engine: Engine) -> None:
    for name in list(engine.catalog.sources):
        engine.catalog.remove(name)
    cursor = engine.instance.acquire()
    made = cursor.rows(
        "SELECT schema_name, view_name, 'VIEW' FROM duckdb_views() WHERE database_name = 'lake' AND NOT internal "
        "UNION ALL SELECT schema_name, table_name, 'TABLE' FROM duckdb_tables() "
        "WHERE database_name = 'lake' AND schema_name <> '__neurolake'"
    )
    while made:  # a table that another one refers to goes after it
        schema, name, kind = made.pop(0)
        try:
            cursor.run(f"DROP {kind} IF EXISTS {Name(schema, name).sql()}")
        except errors.NeuroLakeError:
            assert made
            made.append((schema, name, kind))
    for schema, name in cursor.rows("SELECT schema_name, sequence_name FROM duckdb_sequences()"):
        cursor.run(f"DROP SEQUENCE {Name(schema, name).sql()}")
    schemas = cursor.rows(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake' AND NOT internal "
        "AND schema_name NOT IN ('main', '__neurolake')"
    )
    for (schema,) in schemas:
        cursor.run(f"DROP SCHEMA lake.{quote(schema)} CASCADE")
    engine.instance.release(cursor)
    engine.catalog.touch()
