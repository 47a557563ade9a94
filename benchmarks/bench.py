"""What a case is given: the data, the server's command, a folder to work in; and what it gives back: figures."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks import processes
from benchmarks.jobs import POINT_ROWS
from benchmarks.processes import Server, Worker
from benchmarks.workload import TABLES, Workload

__all__ = ["Bench", "Case", "Figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Args:
        name: what is measured; unique in a run.
        against: the baseline that the value is relative to, or how it was taken.
        value: the ratio, or a time or megabytes where `unit` says so.
        unit: × | s | ms | MB.
        target: what the value has to reach; None where it is only published.
        at_least: the target is a lower bound, not an upper one.
        raw: the figures it was made of, by names that end in their unit.
    """

    name: str
    against: str
    value: float
    unit: str = "×"
    target: float | None = None
    at_least: bool = False
    raw: Mapping[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one.

        >>> Figure(name="a", against="b", value=1.1, target=1.2).met
        True
        >>> Figure(name="a", against="b", value=0.9, target=0.95, at_least=True).met
        False
        """
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass(frozen=True)
class Bench:
    """What every case needs.

    Args:
        cache: where generated data is kept.
        scale: the scale factor of the data.
        server: the command line of the server under test, with {home}, {port} and {http_port}.
        init: the command line that makes its {home}; where there is none, it gets an empty folder.
        scratch: a folder on the data's disk; what a case leaves there is removed at the end.
        rounds: how often each side of a comparison runs.
        queries: short queries in one round.
        load_s: seconds of load in one round.
    """

    cache: Path
    scale: float
    server: str
    init: str | None
    scratch: Path
    rounds: int
    queries: int
    load_s: float
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)

    @cached_property
    def workload(self) -> Workload:
        """The data, generated first where the cache lacks it."""
        return Workload.make(self.cache, self.scale)

    def home(self) -> Path:
        """A new lake's folder, with nothing in it yet."""
        home = self.folder("home")
        if self.init:
            command = processes.filled(self.init, home=home)
            subprocess.run(command, check=True, capture_output=True)
        else:
            home.mkdir()
        return home

    def folder(self, prefix: str) -> Path:
        """A new path below the scratch folder, where nothing is yet."""
        return Path(tempfile.mkdtemp(dir=self.scratch, prefix=f"{prefix}-")) / prefix

    @contextmanager
    def serving(self, home: Path) -> Iterator[Server]:
        """The server under test over a home folder, in a process of its own."""
        with processes.serving(self.server, home, self.folder("log"), self.password) as server:
            yield server

    @contextmanager
    def bare(self, *mode: str) -> Iterator[Server]:
        """A bare server; see `benchmarks.baselines`."""
        with processes.bare_server(self.folder("log"), *mode) as server:
            yield server

    @contextmanager
    def workers(self, count: int) -> Iterator[list[Worker]]:
        """Measuring processes."""
        with ExitStack() as stack:
            yield [stack.enter_context(Worker()) for _ in range(count)]

    @cached_property
    def loaded_home(self) -> Path:
        """A home with the TPC-H tables and `points`, loaded through the stock driver by the server under test."""
        home = self.home()
        with self.serving(home) as server, Worker() as loader:
            server.connect(loader, "server", autocommit=True)
            for table, file in self._files().items():
                loader.run("read", name=table, file=str(file))
                loader.run("ingest", name="server", source=table, target=table)
        return home

    @cached_property
    def plain_database(self) -> Path:
        """A plain DuckDB database with the same tables, their rows in the same order."""
        path = self.folder("plain.duckdb")
        with Worker() as loader:
            loader.run("create", path=str(path), files={table: str(file) for table, file in self._files().items()})
        return path

    def _files(self) -> dict[str, Path]:
        return {table: self.workload.file(table) for table in TABLES} | {"points": self._points}

    @cached_property
    def _points(self) -> Path:
        import duckdb

        path = self.folder("points.parquet")
        row = "range AS id, 'point ' || range AS name, range / 7 AS value"
        with duckdb.connect() as connection:
            connection.sql(f"SELECT {row} FROM range({POINT_ROWS})").write_parquet(str(path))
        return path

    def remove(self, path: Path) -> None:
        """Remove what a case made."""
        shutil.rmtree(path, ignore_errors=True)


Case = Callable[[Bench], list[Figure]]
