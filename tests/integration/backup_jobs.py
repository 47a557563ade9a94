"""A served lake for tests of backup jobs: a process of its own, asked over Flight SQL and HTTP as its users do."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adbc_driver_flightsql import dbapi
from pages import ROOT, clean_environment, free_port, is_ready

PASSWORD = "only-for-this-test"
WITHIN_S = 60.0


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    http_port: int
    log: Path

    def rows(self, sql: str, user: str = "admin") -> list[dict[str, Any]]:
        """What the stock driver gets for a statement."""
        login = {"username": user, "password": PASSWORD}
        with (
            dbapi.connect(f"grpc://127.0.0.1:{self.port}", db_kwargs=login, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            found: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
        return found

    def metrics(self) -> dict[str, float]:
        """The samples of /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if x[0] != "#")}


def until(ready: Callable[[], Any]) -> Any:
    """What `ready` gives, as soon as that is something."""
    end = time.monotonic() + WITHIN_S
    while not (found := ready()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def environment(folder: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """Of a process that uses this tree, with settings."""
    given = {f"NEUROLAKE_{name.upper()}": str(value) for name, value in settings.items()}
    return {**clean_environment(folder), "PYTHONPATH": str(ROOT), **given}


def neurolake(folder: Path, *arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command; its exit code is the caller's to look at."""
    return subprocess.run(
        [sys.executable, "-m", "neurolake", *map(str, arguments)], env=environment(folder, settings),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def served(lake: Path, **settings: object) -> Iterator[Served]:
    """Serve a lake until the block ends; a server that was killed inside it is left at that."""
    if not lake.exists():
        assert neurolake(lake.parent, "init", lake).returncode == 0
    port, http_port, log = free_port(), free_port(), lake.parent / f"{lake.name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "neurolake", "serve", lake, "--port", str(port), "--http-port", str(http_port)],
            env=environment(lake.parent, {"admin_password": PASSWORD, **settings}), stdout=out, stderr=out,
        )  # fmt: skip
    try:
        until(lambda: is_ready(http_port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield Served(process, port, http_port, log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGKILL), log.read_text()
