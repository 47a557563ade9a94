"""TPC-H and TPC-DS: every query over Flight SQL gives what DuckDB gives in process, on the same files."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
import pyarrow as pa
import pytest

from clients import environments
from clients.results import Results, unexplained
from clients.running import SUITES, Address, clean_environment

TPCH = Path(__file__).parents[2] / "benchmarks" / "tpch"

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def connection(address: Address) -> Iterator[Any]:
    login = {"username": address.user, "password": address.password}
    uri = f"grpc://{address.host}:{address.port}"
    with flight_sql.connect(uri, db_kwargs=login, autocommit=True) as connection:
        yield connection


def near(one: Any, other: Any) -> bool:
    """Whether two values are the same, but for the last digits of a sum of doubles in another order."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two results are the same, in the order they came or, among rows that tie, in any."""
    if one.schema.types != other.schema.types or one.num_rows != other.num_rows:
        return False
    rows, others = ([list(row.values()) for row in renamed(table).to_pylist()] for table in (one, other))
    pairs = zip(sorted(rows, key=str), sorted(others, key=str), strict=True)
    return all(all(map(near, row, back)) for row, back in pairs)


def renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns([str(number) for number in range(table.num_columns)])


def compare(connection: Any, folder: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Run each query in process and over Flight SQL; what differs."""
    failed = {}
    inside = duckdb.connect()
    with connection.cursor() as cursor:
        for file in sorted(folder.glob("*.parquet")):
            inside.execute(f"CREATE VIEW {file.stem} AS FROM read_parquet('{file}')")
            cursor.execute(f"CALL neurolake.register('{file.stem}', '{file}')")
        for name, text in texts.items():
            wanted = inside.sql(text).to_arrow_table()
            try:
                cursor.execute(text)
                found = cursor.fetch_arrow_table()
            except flight_sql.Error as error:
                failed[name] = str(error)[:300]
                continue
            if not same(wanted, found):
                failed[name] = f"{found.num_rows} rows, {wanted.num_rows} wanted"
        for file in folder.glob("*.parquet"):
            cursor.execute(f"CALL neurolake.unregister('{file.stem}')")
    return failed


def judge(name: str, texts: Sequence[str], failed: Mapping[str, str], results: Results) -> None:
    results.keep("suites", name, {"passed": len(texts) - len(failed), "failed": failed, "skipped": {}})
    assert unexplained(name, failed) == {}


def test_tpch(connection: Any, results: Results, tmp_path: Path) -> None:
    generator = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([str(generator), "parquet", "-s", "0.05", "--output-dir", str(tmp_path)], check=True)
    texts = {file.stem: file.read_text() for file in sorted(TPCH.glob("*.sql"))}
    assert len(texts) == 22
    judge("tpch", list(texts), compare(connection, tmp_path, texts), results)


def test_tpcds(connection: Any, results: Results, tmp_path: Path) -> None:
    """DuckDB's generator stops at 1.5: it makes the files and the texts, and the present DuckDB runs them."""
    subprocess.run(
        [str(environments.python("tpcds")), str(SUITES / "make_tpcds.py"), str(tmp_path), "0.05"],
        check=True, env=clean_environment(),
    )  # fmt: skip
    texts = json.loads((tmp_path / "queries.json").read_text())
    assert len(texts) == 99
    judge("tpcds", list(texts), compare(connection, tmp_path, texts), results)
