"""A real terminal for tests: a command that believes to be used by a person."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from backup_jobs import environment

WITHIN_S = 30


def plain(data: bytes) -> str:
    """What is shown, without the codes that move and colour it."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]", "", data.decode(errors="replace"))


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let commands find what they need below a folder, and a terminal that can show a bar."""
    for name, value in {**environment(folder, {}), "COLUMNS": "160", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


class Terminal:
    """A command on a terminal of its own: type, and wait for what it shows."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execv(arguments[0], list(arguments))
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until the text is shown, and forget what came before it."""
        deadline = time.monotonic() + WITHIN_S
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} is not shown: {self.shown!r}"
            if select.select([self._descriptor], [], [], 0.1)[0]:
                data = os.read(self._descriptor, 65536)
                if b"\x1b[6n" in data:  # it asks where the cursor is
                    self.type("\x1b[1;1R")
                self.shown += plain(data)
        self.shown = self.shown.partition(text)[2]

    def ended(self) -> int:
        """The exit code, when it has left."""
        with contextlib.suppress(OSError):
            while data := os.read(self._descriptor, 65536):
                self.shown += plain(data)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
