"""Where other people's clients are installed: one environment for each set of them, kept in the user's cache.

python -m clients.environments      (in tests/) makes all of them
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

INSTALL_TIMEOUT_S = 900


class Wanted(NamedTuple):
    """What an environment holds; `alone` are installed without what they say they need, `sources` are unpacked only."""

    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


PYTHON: Mapping[str, Wanted] = {
    "dbapi": Wanted(
        (
            "dbapi-compliance==1.15.0",
            "adbc-driver-flightsql==1.13.0",
            "adbc-driver-manager==1.13.0",
            "adbc-driver-gizmosql==2.0.15",
            "flightsql-dbapi==0.2.2",
            "pandas==2.3.3",
            "pyarrow==26.0.1",
            "pytest==9.2.0",
        )
    ),
    "pandas": Wanted(
        (
            "pandas==3.1.1",
            "pyarrow==26.0.1",
            "adbc-driver-flightsql==1.13.0",
            "adbc-driver-manager==1.13.0",
            "SQLAlchemy==2.0.*",
            "pytest==9.2.0",
            "hypothesis>=6.150",
        )
    ),
    "sqlalchemy": Wanted(
        (
            "SQLAlchemy==2.0.*",
            "sqlalchemy-adbc==0.3.0",
            "importlib-metadata==8.7.*",
            "adbc-driver-flightsql==1.13.0",
            "adbc-driver-manager==1.13.0",
            "pyarrow==26.0.1",
            "pytest==8.4.*",
        ),
        # It pins all of Superset, of which the dialect itself uses nothing.
        alone=("superset-sqlalchemy-gizmosql-adbc-dialect==0.0.10",),
    ),
    "dbt": Wanted(("dbt-gizmosql==1.10.3", "dbt-tests-adapter==1.18.0", "pytest==8.4.*")),
    "adbc": Wanted(
        ("adbc-driver-flightsql==1.13.0", "adbc-driver-manager==1.13.0", "pyarrow==26.0.1", "pytest==9.2.0"),
        sources=("adbc-driver-flightsql==1.13.0",),
    ),
    "tpcds": Wanted(("duckdb==1.5.5", "duckdb-extension-tpcds==1.5.5")),
}

NODE: Mapping[str, tuple[str, ...]] = {
    "lancedb": ("@lancedb/arrow-flight-sql-client@0.3.0",),
    "gizmodata": ("@gizmodata/gizmosql-client@1.4.3",),
    "firetiger": ("@firetiger-oss/flight-sql-client@1.1.1",),
    "lakehouse-rs": ("@lakehouse-rs/flight-sql-client@0.0.10",),
}


def python(name: str) -> Path:
    """The interpreter of an environment, made if it is not there."""
    folder = _made(f"python-{name}", PYTHON[name], _make_python)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def source(name: str) -> Path:
    """The unpacked sources of an environment that has them."""
    (folder,) = (python(name).parents[1] / "sources").iterdir()
    return folder


def node(name: str) -> Path:
    """The folder of a Node project that has the packages, made if it is not there."""
    return _made(f"node-{name}", Wanted(NODE[name]), _make_node)


def cache() -> Path:
    """The folder that the environments are in."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurolake-clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _made(name: str, wanted: Wanted, make: Callable[[Path, Wanted], None]) -> Path:
    mark = hashlib.sha256(repr((wanted, sys.version_info[:2])).encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{mark}"
    done = folder / ".complete"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder, wanted)
        done.touch()
    return folder


def _make_python(folder: Path, wanted: Wanted) -> None:
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(folder, *pip, *wanted.packages)
    if wanted.alone:
        _run(folder, *pip, "--no-deps", *wanted.alone)
    for each in wanted.sources:
        _unpack(folder, pip[0], each)


def _unpack(folder: Path, python: str, package: str) -> None:
    """Bring what only the source has: a project's tests. To describe itself, the driver asks for its library."""
    library = next(folder.glob("lib/*/site-packages/adbc_driver_flightsql/*.so"))
    command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package.partition("=")[0]]
    _run(folder, "env", f"ADBC_FLIGHTSQL_LIBRARY={library}", *command, "--dest", "downloaded", package)
    for archive in (folder / "downloaded").glob("*.tar.gz"):
        shutil.unpack_archive(archive, folder / "sources")


def _make_node(folder: Path, wanted: Wanted) -> None:
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    _run(folder, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *wanted.packages)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=INSTALL_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"


if __name__ == "__main__":
    for each in PYTHON:
        print(python(each))
    for each in NODE:
        print(node(each))
