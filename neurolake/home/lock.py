"""One process has a home open: an exclusive lock on `run/lock`, and who holds it in words.

The lock is the operating system's and belongs to the open file, so it ends when the process does, however.
The file is never removed: two processes would then hold locks on two files of one name. What is written in it
only serves the message to the next who comes.
"""

from __future__ import annotations

import json
import os
import sys
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from neurolake.errors import HomeProblem
from neurolake.home import server_file

if sys.platform != "win32":
    import fcntl

__all__ = ["HomeLock", "holder"]

# A process that only asks who holds the lock takes it for an instant, so one refusal proves nothing.
_WAIT_S = 0.25
_PAUSE_S = 0.01


class Holder(NamedTuple):
    """Who has a home open. `pid` is 0 when the file does not say."""

    pid: int
    machine: str
    since: str


class HomeLock:
    """A held lock. Made by `HomeLock.take`; ends with `release` or with the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _HELD.add(self)

    @classmethod
    def take(cls, home: Path) -> HomeLock:
        """Take the lock and write down who holds it.

        Raises:
            HomeProblem: `home_in_use`, or `home_unsupported` on Windows.
            OSError: the file cannot be made or locked.
        """
        if sys.platform == "win32":
            raise HomeProblem(
                "On Windows NeuroLake is a client; it does not open a home folder there.",
                code="home_unsupported",
                next_step="Connect to a server: neurolake.connect('grpc://host:31337', …).",
            )
        descriptor = os.open(_path(home), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _try_exclusive(descriptor):
                raise _in_use(home)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(Holder(os.getpid(), os.uname().nodename, since)).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let go. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _HELD.discard(self)


_HELD: weakref.WeakSet[HomeLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """Close a forked child's copies, or the parent's locks would last as long as its children do."""
    for lock in list(_HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def holder(home: Path) -> Holder | None:
    """Who has a home open; None when nobody has.

    Raises:
        OSError: the lock file is there and cannot be read.
    """
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(_path(home), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _path(home: Path) -> Path:
    return home / "run" / "lock"


def _read(descriptor: int) -> Holder:
    try:
        pid, machine, since = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(pid), str(machine), str(since))
    except (ValueError, TypeError):
        return Holder(0, "", "")


def _try_exclusive(descriptor: int) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_S)


def _in_use(home: Path) -> HomeProblem:
    """The error for a home that someone has open, with the way to use it all the same."""
    held = holder(home) or Holder(0, "", "")
    served = server_file.read(home)
    if served is not None and served.pid == held.pid:
        message = f"The lake at {home} is served by process {held.pid} at {served.uri}."
        next_step = (
            f"Connect with neurolake.connect('{served.uri}', …); a command such as"
            f" `neurolake sql … --lake {home}` goes through that server by itself."
        )
    elif held.pid == os.getpid() and held.machine == os.uname().nodename:
        message = f"This process (pid {held.pid}) has the lake at {home} open already."
        next_step = "Use the lake that is open from all your threads, or close it first."
    else:
        elsewhere = f" on {held.machine}" if held.machine not in ("", os.uname().nodename) else ""
        since = f", since {held.since}" if held.since else ""
        who = f"process {held.pid}{elsewhere}{since}" if held.pid else "another process"
        message = f"The lake at {home} is open in {who}."
        next_step = f"Close it there, or serve it to many with `neurolake serve {home}`."
    return HomeProblem(message, code="home_in_use", next_step=next_step)
