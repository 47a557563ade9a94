"""A sign of life on a terminal while something takes long; nothing anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from neurolake import errors
from neurolake.cli.output import size_text

if TYPE_CHECKING:
    from neurolake.lake import Lake

__all__ = ["Waiting"]

PATIENCE_S = 1.0
"""Shorter work shows nothing."""
REFRESH_S = 0.1
ASK_S_MIN, ASK_S_MAX, ASK_SHARE = 0.5, 30.0, 0.02
"""How long a server is left alone between two questions: a share of the time that has passed, within limits."""
WINDOW_S = 15.0
"""Speed and the time left are those of the last so many seconds."""
_STEPS = """SELECT step, bytes_done, bytes_total, progress FROM neurolake.running
    WHERE own_session ORDER BY query_id LIMIT 1"""
"""The oldest is the statement that is waited for; the latest is this one."""


class Seen(NamedTuple):
    """How far the work is: of one step, in bytes and as a share, each None where it is not known."""

    step: str | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    share: float | None = None

    def compares(self, later: Seen) -> bool:
        """Whether what was done between the two can be told: they are of one step, and say the same of it."""
        return self.step == later.step and (self.share is None) == (later.share is None)


class Waiting:
    """While the block runs, show a spinner on standard error, and how far it is where the work knows that.

    Args:
        what: what is being waited for.
        lake: whose running statement is followed.
        asking: whether a server is asked, too: where the statement says how many bytes it has done.
    """

    def __init__(self, what: str, lake: Lake, *, asking: bool = False) -> None:
        self._what = what
        self._look = _look_of(lake, asking=asking)
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

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
        )  # fmt: skip
        pace = Pace()
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(self._what, total=None, said="")
            while not self._over.wait(REFRESH_S):
                seen = self._look()
                share = seen.share
                progress.update(
                    task, total=None if share is None else 1.0, completed=share or 0.0,
                    said=pace.said(seen, time.monotonic()),
                    description=f"{self._what}: {seen.step}" if seen.step else self._what,
                )  # fmt: skip


class Pace:
    """Speed and the time left, from what was seen during the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Seen]] = deque()

    def said(self, seen: Seen, at: float) -> str:
        """Bytes, speed and the time left in words, as far as they are known; a new step begins anew.

        >>> pace = Pace()
        >>> pace.said(Seen("reading files", 1_000_000, 4_000_000, 0.25), 0.0)
        '1.0 MB of 4.0 MB'
        >>> pace.said(Seen("reading files", 2_000_000, 4_000_000, 0.5), 2.0)
        '2.0 MB of 4.0 MB, 500.0 kB/s, 0:00:04 left'
        >>> pace.said(Seen(share=0.3), 4.0)
        '30 %'
        """
        if self._seen and not self._seen[0][1].compares(seen):
            self._seen.clear()
        if not self._seen or self._seen[-1][1] != seen:
            self._seen.append((at, seen))
        while len(self._seen) > 2 and self._seen[1][0] < at - WINDOW_S:
            self._seen.popleft()
        return ", ".join([*_done(seen), *self._rates(seen, at)])

    def _rates(self, seen: Seen, at: float) -> list[str]:
        begin, first = self._seen[0]
        rates: list[str] = []
        if at <= begin:
            return rates
        if first.bytes_done is not None and seen.bytes_done is not None and seen.bytes_done > first.bytes_done:
            rates.append(f"{size_text(round((seen.bytes_done - first.bytes_done) / (at - begin)))}/s")
        if seen.share is not None and first.share is not None and seen.share > first.share:
            left = round((1 - seen.share) / (seen.share - first.share) * (at - begin))
            rates.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
        return rates


def _done(seen: Seen) -> list[str]:
    if seen.bytes_done is None:
        return [] if seen.share is None else [f"{seen.share:.0%}".replace("%", " %")]
    of = "" if seen.bytes_total is None else f" of {size_text(seen.bytes_total)}"
    return [f"{size_text(seen.bytes_done)}{of}"]


def _look_of(lake: Lake, *, asking: bool) -> Callable[[], Seen]:
    from neurolake.remote import RemoteLake

    if asking and isinstance(lake, RemoteLake):
        return _Asking(lake).look

    def look() -> Seen:
        step = lake.progress()
        return Seen() if step is None else Seen(*step.told)

    return look


class _Asking:
    """Asks a server, in the same session, how far its statement is: seldom, and the more so the longer it takes."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._begin = time.monotonic()
        self._next = 0.0
        self._seen = Seen()

    def look(self) -> Seen:
        """What the server said last."""
        now = time.monotonic()
        if now >= self._next:
            try:
                rows = self._lake.sql(_STEPS).fetchall()
            except errors.NeuroLakeError:
                rows = []  # the statement itself says what is wrong
            self._seen = Seen(*rows[0]) if rows else Seen()
            self._next = now + min(ASK_S_MAX, max(ASK_S_MIN, (now - self._begin) * ASK_SHARE))
        return self._seen
