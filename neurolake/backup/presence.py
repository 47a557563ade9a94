"""Who works on a repository: the note that each process leaves there, and whether whoever left one has ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["AT_WORK", "STALE_S", "has_ended", "own_note"]

STALE_S = 86_400.0
"""A note of somebody whom nobody here can ask counts no longer when it was not renewed for so long."""
AT_WORK: set[str] = set()
"""The notes of this process whose work goes on: another one of its own was left where it could not be removed."""
_MACHINE = ("host", "machine")


def own_note(kind: str) -> dict[str, Any]:
    """What this process says of itself while it does that kind of work."""
    return {
        "kind": kind,
        "host": os.uname().nodename,
        "machine": _line("/etc/machine-id"),
        "boot": _line("/proc/sys/kernel/random/boot_id"),
        "processes": _namespace(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def has_ended(key: str, note: Mapping[str, Any], idle_s: float) -> bool:
    """Whether whoever left the note works no more.

    A process of this machine is looked up, with the moment it started, for its number may be another's by now. Others
    (another machine, another container) can only be judged by how long they have not renewed their note.

    >>> has_ended("using/0.json", own_note("create"), idle_s=60)  # that work has ended, and left its note
    True
    >>> has_ended("using/0.json", own_note("create") | {"host": "elsewhere"}, idle_s=60)
    False
    """
    mine = own_note("")
    if any(note.get(name) != mine[name] for name in _MACHINE):
        return idle_s > STALE_S
    if note.get("boot") != mine["boot"]:
        return True
    if note.get("processes") != mine["processes"]:
        return idle_s > STALE_S
    pid = int(note.get("pid", 0))
    if pid == mine["pid"]:
        return key not in AT_WORK
    return not _is_alive(pid) or _started(pid) != note.get("started")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """When a process started, as the kernel counts; empty where it does not say."""
    fields = _line(f"/proc/{pid}/stat").rpartition(") ")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _namespace() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _line(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""
