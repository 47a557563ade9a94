"""Running what is not ours: drivers of clients, and suites under a pytest of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clients import environments

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"
SUITES = HERE / "suites"
RUN_TIMEOUT_S = 900


class Address(NamedTuple):
    """Where the server is, and who logs in."""

    host: str
    port: int
    user: str
    password: str


class Client(NamedTuple):
    """A client, how it is called in the documentation, and what runs its driver.

    `environment` is a name of `environments.PYTHON` or `environments.NODE`; None is the Python of the tests.
    """

    title: str
    driver: str
    environment: str | None = None


CLIENTS: Mapping[str, Client] = {
    "adbc-dbapi": Client("ADBC for Python, dbapi", "adbc_dbapi.py"),
    "adbc-low-level": Client("ADBC for Python, low level", "adbc_low_level.py"),
    "pandas": Client("pandas over ADBC", "pandas_sql.py"),
    "polars": Client("polars over ADBC", "polars_sql.py"),
    "pyarrow-flight": Client("pyarrow.flight", "arrow_flight.py"),
    "neurolake": Client("neurolake.connect", "neurolake_remote.py"),
    "adbc-driver-gizmosql": Client("adbc-driver-gizmosql", "adbc_gizmosql.py", "dbapi"),
    "flightsql-dbapi": Client("flightsql-dbapi", "flightsql_dbapi.py", "dbapi"),
    "sqlalchemy-gizmosql": Client("SQLAlchemy: GizmoSQL dialect", "sqlalchemy_gizmosql.py", "sqlalchemy"),
    "sqlalchemy-adbc": Client("SQLAlchemy: sqlalchemy-adbc", "sqlalchemy_over_adbc.py", "sqlalchemy"),
    "sqlalchemy-flightsql": Client("SQLAlchemy: flightsql-dbapi", "sqlalchemy_flightsql.py", "dbapi"),
    "lancedb": Client("Node: @lancedb/arrow-flight-sql-client", "lancedb.mjs", "lancedb"),
    "gizmodata": Client("Node: @gizmodata/gizmosql-client", "gizmodata.mjs", "gizmodata"),
    "firetiger": Client("Node: @firetiger-oss/flight-sql-client", "firetiger.mjs", "firetiger"),
    "lakehouse-rs": Client("Node: @lakehouse-rs/flight-sql-client", "lakehouse-rs.mjs", "lakehouse-rs"),
}


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of a lake, and without what leads other Pythons to this one's packages."""
    ours = ("NEUROLAKE_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def try_client(client: Client, address: Address) -> dict[str, Any]:
    """Run a client's driver: its version and what came of each trial."""
    done = subprocess.run(
        [*command(client.environment, DRIVERS / client.driver), *map(str, address)],
        capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False,
        env=clean_environment(PYTHONPATH=str(HERE.parents[1])) if client.environment is None else clean_environment(),
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines and lines[-1].startswith("{"), f"{done.stdout}\n{done.stderr}"
    found: dict[str, Any] = json.loads(lines[-1])
    found["log"] = done.stderr
    return found


def command(environment: str | None, script: Path) -> list[str]:
    """How to run a script with the packages of an environment."""
    if environment is not None and environment in environments.NODE:
        project = environments.node(environment)
        for each in script.parent.glob("*.mjs"):  # Node looks for packages where the script is
            shutil.copy(each, project)
        return ["node", str(project / script.name)]
    python = Path(sys.executable) if environment is None else environments.python(environment)
    return [str(python), "-W", "ignore", str(script)]


class Outcome(NamedTuple):
    """How a suite went: the names of its tests by what came of them, and the first line of each failure."""

    passed: list[str]
    failed: dict[str, str]
    skipped: dict[str, str]


def run_suite(
    environment: str, address: Address, folder: Path, suite: str, arguments: Sequence[str] = (), **files: str
) -> Outcome:
    """Run a suite with the environment's own pytest, in a folder of its own.

    Args:
        environment: whose Python.
        folder: empty; the suite is copied there, and writes there.
        suite: a file or a folder of `suites`.
        arguments: for pytest, besides the usual ones.
        files: text to append to files of the suite. The server's address is in TEST_HOST, TEST_PORT, TEST_USER and
            TEST_PASSWORD.
    """
    source = SUITES / suite
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        shutil.copy(source, folder / f"test_{source.name}")
    for name, text in files.items():
        with (folder / name).open("a") as file:
            file.write(text)
    (folder / "setup.cfg").touch()
    done = subprocess.run(
        [str(environments.python(environment)), "-W", "ignore", "-m", "pytest", "-q", "-W", "ignore", "--tb=short",
         "-p", "no:cacheprovider", "-c", "setup.cfg", "--rootdir", ".", "--junitxml=report.xml", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False,
        env=clean_environment(**{f"TEST_{name.upper()}": str(value) for name, value in address._asdict().items()}),
    )  # fmt: skip
    report = folder / "report.xml"
    assert report.exists(), f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return read_report(report)


def read_report(report: Path) -> Outcome:
    """What a JUnit report says."""
    outcome = Outcome([], {}, {})
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        failure = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        if failure is not None:
            outcome.failed[name] = (failure.get("message") or "").partition("\n")[0][:300]
        elif skipped is not None:
            outcome.skipped[name] = (skipped.get("message") or "")[:200]
        else:
            outcome.passed.append(name)
    return outcome
