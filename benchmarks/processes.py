"""The processes that take part: measuring processes, the server under test, bare servers."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measure

__all__ = [
    "JobFailed",
    "Server",
    "Worker",
    "bare_server",
    "filled",
    "free_port",
    "running",
    "serving",
    "until_listening",
]

_ROOT = Path(__file__).parent.parent
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_NOTED_LINES = 40
"""Of what a server has printed, shown with a failure."""
_SETTLE_S = 0.3
"""Longer than the interval at which a server puts its history on disk, so that this work is counted too."""


class JobFailed(Exception):
    """A job or a process failed; the message says why."""


class Worker:
    """A measuring process. See `benchmarks.jobs` for what it can do.

    >>> with Worker() as worker:
    ...     worker.run("open", name="plain", path=":memory:")
    ...     worker.run("drain", name="plain", sql="SELECT 42")["rows"]
    {}
    1
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.jobs"]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, job: str, **arguments: Any) -> None:
        """Start a job without waiting for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, "arguments": arguments}) + "\n")
        self._process.stdin.flush()

    def take(self) -> dict[str, Any]:
        """Wait for the answer of the job asked for.

        Raises:
            JobFailed: with the job's own error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise JobFailed(f"The measuring process ended with exit code {self._process.wait()}.")
        answer = json.loads(line)
        if "error" in answer:
            raise JobFailed(answer["error"])
        return dict(answer["answer"])

    def run(self, job: str, **arguments: Any) -> dict[str, Any]:
        """Run a job to its end."""
        self.ask(job, **arguments)
        return self.take()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A Flight SQL server in a process of its own, and how the stock driver reaches it."""

    pid: int
    uri: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    started_at_s: float = 0.0
    """When its process was started, as `time.monotonic` tells."""

    def settled_cpu_s(self) -> float:
        """The CPU it has used, once the work that follows an answer is done too."""
        time.sleep(_SETTLE_S)
        return measure.cpu_s(self.pid)

    def connect(self, worker: Worker, name: str, count: int = 1, autocommit: bool = False) -> None:
        """Connect a measuring process to it, under a name."""
        worker.run("connect", name=name, uri=self.uri, options=dict(self.options), count=count, autocommit=autocommit)


@contextmanager
def serving(command: str, home: Path, log: Path, password: str) -> Iterator[Server]:
    """Start a Flight SQL server over a home folder, wait until it listens, and end it with SIGTERM.

    Args:
        command: its command line, with {home}, {port} and {http_port} to be filled in.
        log: takes what it prints.
        password: of the user `admin`.
    """
    port = free_port()
    environ = os.environ | {"NEUROLAKE_ADMIN_PASSWORD": password}
    options = {"username": "admin", "password": password}
    started_at_s = time.monotonic()
    with running(filled(command, home=home, port=port, http_port=free_port()), log, environ) as process:
        until_listening(process, port, log)
        yield Server(process.pid, f"grpc://127.0.0.1:{port}", options, started_at_s)


@contextmanager
def bare_server(log: Path, *mode: str) -> Iterator[Server]:
    """Start a bare server: `constant`, or `stream` and a Parquet file."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.baselines", str(port), *mode]
    with running(command, log) as process:
        until_listening(process, port, log)
        yield Server(process.pid, f"grpc://127.0.0.1:{port}")


@contextmanager
def running(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the block runs; what it prints is appended to the log, and noted on a failure."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    except JobFailed as error:
        error.add_note("\n".join(_last_lines(log, _NOTED_LINES)))
        raise
    finally:
        _stop(process)


def _last_lines(log: Path, count: int) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-count:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a process takes connections on a port of loopback.

    Raises:
        JobFailed: it ended, or took too long; the message holds the last lines it printed.
    """
    end = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    what = "does not listen" if process.poll() is None else f"ended with exit code {process.returncode}"
    last = " | ".join(_last_lines(log, 3))
    raise JobFailed(f"The server on port {port} {what}: {last}")


def filled(command: str, **places: object) -> list[str]:
    """A command line as its parts, with the places in braces filled in.

    >>> filled("serve '{home}' --port {port}", home="/my lake", port=1)
    ['serve', '/my lake', '--port', '1']
    """
    return [part.format(**places) for part in shlex.split(command)]


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
