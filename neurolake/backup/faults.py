"""Named points of a backup's work where a test may stop the process, to prove that what is left is whole."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["POINTS", "reached", "watch"]

POINTS = (
    "create.begun",
    "create.before_file",
    "create.after_file",
    "create.before_manifest",
    "create.after_manifest",
    "restore.begun",
    "restore.table",
    "restore.before_commit",
    "restore.before_rename",
    "restore.done",
    "prune.begun",
    "prune.manifest",
    "prune.file",
    "prune.done",
)
"""Every point, in the order of the work."""

_watching: list[Callable[[str], None]] = []


def reached(point: str) -> None:
    """Say that the work has come to a point."""
    assert point in POINTS, point
    for callback in _watching:
        callback(point)


def watch(callback: Callable[[str], None]) -> None:
    """Be told of every point from now on, for the life of the process."""
    _watching.append(callback)
