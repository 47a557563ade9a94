"""Fixtures of the protocol's tests."""

from __future__ import annotations

from collections.abc import Iterator

import adbc_driver_flightsql.dbapi as adbc
import pytest
from metadata_server import MetadataServer


@pytest.fixture
def connection() -> Iterator[adbc.Connection]:
    """A connection of the stock ADBC driver to a `MetadataServer`."""
    with MetadataServer() as server, adbc.connect(f"grpc://127.0.0.1:{server.port}", autocommit=True) as opened:
        yield opened
