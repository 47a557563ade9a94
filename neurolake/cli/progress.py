"""A sign of life on a terminal while something takes long; nothing anywhere else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurolake.lake import Lake

__all__ = ["Waiting"]

PATIENCE_S = 1.0
"""Shorter work shows nothing."""
REFRESH_S = 0.1


class Waiting:
    """While the block runs, show a spinner on standard error, and a bar where the engine knows how far it is.

    Args:
        what: what is being waited for.
        lake: whose running statement is followed.
    """

    def __init__(self, what: str, lake: Lake) -> None:
        self._what = what
        self._share = _share_of(lake)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Waiting:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._show, name="neurolake-progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the sign away, before other output begins. A second call does nothing."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        if self._over.wait(PATIENCE_S):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(self._what, total=None)
            while not self._over.wait(REFRESH_S):
                share = self._share()
                progress.update(task, total=None if share is None else 1.0, completed=share or 0.0)


def _share_of(lake: Lake) -> Callable[[], float | None]:
    from neurolake.lake import EmbeddedLake

    if not isinstance(lake, EmbeddedLake):
        return lambda: None
    activities = lake.engine.activities

    def share() -> float | None:
        for activity in activities.snapshot():
            with activity.lock:
                if activity.cursor is not None:
                    return activity.cursor.progress()
        return None

    return share
