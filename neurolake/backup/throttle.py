"""How fast a snapshot may be written: bytes per second over all of its threads and repositories."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Throttle"]

LOOK_S = 0.1


class Throttle:
    """Makes whoever writes wait until as much may be written. Thread-safe.

    Args:
        bytes_per_s: on average, over the life of the throttle; 0: no limit.
        check: called while somebody waits; raises when the work is to stop.
    """

    def __init__(self, bytes_per_s: int, check: Callable[[], None]) -> None:
        self._bytes_per_s = bytes_per_s
        self._check = check
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Wait until the bytes that others were allowed before have had their time, then allow so many more."""
        if self._bytes_per_s == 0:
            return
        with self._lock:
            begin = max(time.monotonic(), self._free_at)
            self._free_at = begin + size / self._bytes_per_s
        while (left := begin - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, LOOK_S))
