"""A bucket of a real S3 server behind a lake that is served: the stock driver reads it, and nothing shows its keys."""

from __future__ import annotations

import io
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.clients import PASSWORD, Flight
from contract.conftest import uri
from storage import ACCESS_KEY, SECRET_KEY, S3Server

from flight.service import Service
from neurolake.catalog.system import TABLES
from neurolake.cli import run
from neurolake.config import load
from neurolake.home import Home


@pytest.fixture
def served(tmp_path: Path, s3_server: S3Server) -> Iterator[Service]:
    home = Home.open(tmp_path / "lake", create=True)
    with (home.path / "neurolake.toml").open("a") as settings:
        for bucket, values in (
            ("tpch", s3_server.settings()),
            ("elsewhere", s3_server.settings("http://127.0.0.1:1")),
        ):
            settings.write(f'\n[storage."s3://{bucket}"]\n')
            settings.writelines(f'{key} = "{value}"\n' for key, value in values.items())
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0, "storage_retries": 1}
    service = Service(home, load(home.path, flags=flags))
    service.start()
    yield service
    service.stop()


@pytest.mark.usefixtures("lineitem")
def test_no_key_in_a_plan_a_table_an_error_a_figure_or_the_log(served: Service) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        texts = told(served)
    finally:
        logging.getLogger().removeHandler(handler)
    for what, text in {**texts, "log": log.getvalue()}.items():
        for secret in (ACCESS_KEY, SECRET_KEY, PASSWORD):
            assert secret not in text, what


def test_a_load_by_the_command_reaches_the_bucket_as_the_lake_does(
    served: Service, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3]}), rows)
    s3_server.put("tpch", "to-load/x.parquet", rows.getvalue())
    home = str(served.home.path)
    assert run(["load", "loaded", "s3://tpch/to-load/x.parquet", "--lake", home]) == 0, capsys.readouterr()
    with closing(Flight(uri(served), autocommit=True)) as flight:
        assert flight.rows("FROM loaded") == [(1,), (2,), (3,)]


def told(served: Service) -> dict[str, str]:
    """What a client can get to see, by how it asks."""
    with closing(Flight(uri(served), autocommit=True)) as flight:
        flight.execute("CALL neurolake.register('lines', 's3://tpch/lineitem.parquet')")
        assert flight.value("SELECT count(*) FROM lines") > 600_000
        asked = [
            *(f"FROM neurolake.{name}" for name in TABLES),
            "EXPLAIN SELECT count(*) FROM lines",
            "EXPLAIN ANALYZE SELECT max(l_tax) FROM lines",
            "FROM duckdb_settings()", "FROM duckdb_secrets()", "FROM duckdb_views()", "FROM duckdb_logs()",
        ]  # fmt: skip
        texts = {sql: str(flight.execute(sql).to_pylist()) for sql in asked}
        for sql in ("FROM 's3://elsewhere/x.parquet'", "FROM 's3://tpch/nothing.parquet'"):
            texts[sql] = flight.failure(sql).text
    with urllib.request.urlopen(f"http://127.0.0.1:{served.http_port}/metrics", timeout=10) as answer:
        return texts | {"metrics": answer.read().decode()}
