"""The `neurolake` command for pages with many of them: each still a process of its own, but not one that begins cold.

A process that has imported the package, and done nothing else, forks for every command. A command has its own
arguments, environment, folder and streams; it starts, ends and exits as ever. That it also starts from nothing is what
`test_cli_process.py` and all other pages show.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLD = ("serve", "quickstart", "shell")
"""They are signalled, or begin others."""
STARTS_WITHIN_S = 60
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Only a process of one thread may fork: no threads of numpy's and Arrow's libraries."""

_COMMAND = """#!{python} -IS
import array, json, os, socket, sys
if sys.argv[1:2] and sys.argv[1] in {cold}:
    os.execv({python!r}, [{python!r}, "-m", "neurolake", *sys.argv[1:]])
asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    socket.send_fds(link, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    link.sendall(asked)
    code = link.recv(1)
sys.exit(code[0] if code else 137)
"""


class Warm:
    """A folder with the command, to stand first on a PATH, until `close`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._socket = tempfile.TemporaryDirectory(prefix="warm")  # an address is at most 107 bytes long
        address = Path(self._socket.name) / "s"
        command = folder / "neurolake"
        command.write_text(_COMMAND.format(python=sys.executable, cold=COLD, address=str(address)))
        command.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(address)], env={**os.environ, **ONE_THREAD}, stdin=subprocess.DEVNULL
        )
        until = time.monotonic() + STARTS_WITHIN_S
        while not address.exists():
            assert self._process.poll() is None, "it did not start"
            assert time.monotonic() < until, "it did not start in time"
            time.sleep(0.02)

    def close(self) -> None:
        """Take it away; commands that still run go on."""
        self._process.terminate()
        self._process.wait()
        self._socket.cleanup()


def _import_everything() -> None:
    import importlib
    import pkgutil

    import neurolake.cli

    for name in ("duckdb", "pyarrow.compute", "pyarrow.parquet", "sqlglot.optimizer", "argon2"):
        importlib.import_module(name)
    without = ("neurolake.adbc", "neurolake.remote", "neurolake.__main__")  # a driver with threads of its own
    for found in pkgutil.walk_packages(neurolake.__path__, "neurolake."):
        if found.name not in without and not found.name.startswith("neurolake.cli.shell"):
            importlib.import_module(found.name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a library has begun a thread"
    assert "pandas" not in sys.modules, "a command does without"


def _serve(address: str) -> None:
    import signal

    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that have ended
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(8)
        Path(f"{address}.new").rename(address)
        while True:
            link, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _command(link)
            link.close()


def _command(link: socket.socket) -> None:
    """Be one command, from its first line to its exit code."""
    import atexit
    import threading

    from neurolake.cli import main

    head, streams, _, _ = socket.recv_fds(link, 8, 3)
    arguments, environment, folder = json.loads(_exactly(link, int.from_bytes(head, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[:] = ["neurolake", *arguments]
    try:
        main()
    except SystemExit as end:
        code = end.code
    assert isinstance(code, int), "main ends with an exit code"
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    link.sendall(bytes([code]))
    os._exit(code)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += link.recv(size - len(data))
    return data


if __name__ == "__main__":
    _serve(sys.argv[1])
