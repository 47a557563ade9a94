"""Other people's suites on a server of ours: each test passes, or its failure is named in known.toml."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from clients import environments
from clients.results import Results, unexplained
from clients.running import Address, Outcome, run_suite

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1800)]


def judge(name: str, outcome: Outcome, results: Results) -> None:
    results.keep("suites", name, {
        "passed": len(outcome.passed),
        "failed": dict(sorted(outcome.failed.items())),
        "skipped": dict(Counter(outcome.skipped.values()).most_common()),
    })  # fmt: skip
    assert unexplained(name, outcome.failed) == {}


def test_dbapi_compliance(address: Address, results: Results, tmp_path: Path) -> None:
    judge("dbapi-compliance", run_suite("dbapi", address, tmp_path, "dbapi20_adbc.py"), results)


def test_adbc_projects_own(address: Address, results: Results, tmp_path: Path) -> None:
    """Those of its tests that need no server of the project's own making."""
    for name in ("test_dbapi.py", "test_lowlevel.py", "test_bulk_ingest.py"):
        shutil.copy(environments.source("adbc") / "tests" / name, tmp_path)
    judge("adbc", run_suite("adbc", address, tmp_path, "adbc_suite"), results)


def test_pandas(address: Address, results: Results, tmp_path: Path) -> None:
    chosen = ["-p", "pandas.conftest", "-k", "postgresql_adbc"]
    judge("pandas-suite", run_suite("pandas", address, tmp_path, "pandas_on_adbc.py", chosen), results)


def test_sqlalchemy_dialect(address: Address, results: Results, tmp_path: Path) -> None:
    url = f"gizmosql://{address.user}:{address.password}@{address.host}:{address.port}"
    files = {"setup.cfg": f"\n[db]\ndefault = {url}\n"}
    outcome = run_suite("sqlalchemy", address, tmp_path, "sqlalchemy_suite", ["--maxfail=5000"], **files)
    judge("sqlalchemy", outcome, results)


def test_dbt_adapter(address: Address, results: Results, tmp_path: Path) -> None:
    judge("dbt", run_suite("dbt", address, tmp_path, "dbt_suite"), results)
