"""A server for other people's clients, and where what they did is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clients.results import Results
from clients.running import Address
from flight.service import Service
from neurolake.config import load
from neurolake.home import Home

PASSWORD = "a-password-for-clients"
collect_ignore = ["drivers", "suites"]  # run by other Pythons than this one


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server with an empty lake."""
    home = Home.open(tmp_path_factory.mktemp("clients") / "lake", create=True)
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0}
    service = Service(home, load(home.path, flags=flags))
    service.start()
    yield Address("127.0.0.1", service.port, "admin", PASSWORD)
    service.stop()


@pytest.fixture(scope="session")
def results() -> Results:
    """What was measured, kept for `report.py`."""
    return Results()
