"""Fewer requests for the same bytes: ranges that touch are fetched together.

DuckDB reads a Parquet row group as several ranges, one a thread, that often touch one another. Where a file showed
that, the first, long range is fetched with as much beyond its end as its followers took before, and they are served
from it; a short range waits a moment for its long neighbour. What is fetched in vain is bounded by a share of what was
asked for, so a file that stops showing it costs little. Bytes are shared within one version of a file only.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from neurolake.sources.listing import Entry
from neurolake.sources.waiting import wait_for

GATHER_S = 0.001
"""How long a short range waits for a neighbour that covers it."""
AHEAD_BYTES_MAX = 1 << 20
WASTE_SHARE_MAX = 1 / 8
KEPT_BYTES_MAX = 64 << 20
"""Bytes fetched ahead and not asked for yet, over all files."""
FILES_MAX = 4096
ENDS_MAX = 64

Start = Callable[[Entry, int, int], "Future[Any]"]


class _Piece:
    """One fetch, under way or done, that further ranges may be served from."""

    __slots__ = ("end", "fetch", "served", "start", "waiting")

    def __init__(self, start: int, end: int, fetch: Future[Any]) -> None:
        self.start = start
        self.end = end
        self.fetch = fetch
        self.served = 0
        self.waiting = 0

    @property
    def of_use(self) -> bool:
        """Whether it is awaited, or holds bytes that nobody has asked for yet."""
        if self.waiting:
            return True
        failed = not self.fetch.done() or self.fetch.cancelled() or self.fetch.exception() is not None
        return not failed and self.served < self.end - self.start


class _File:
    """What is known of one version of one file."""

    __slots__ = ("ahead", "asked", "ends", "in_vain", "pieces")

    def __init__(self) -> None:
        self.ahead = 0
        self.asked = 0
        self.in_vain = 0
        self.ends: OrderedDict[int, int] = OrderedDict()
        self.pieces: list[_Piece] = []

    def learn(self, start: int, end: int) -> None:
        """Note a range; one that begins where another ended tells how far beyond a range it pays to fetch."""
        self.asked += end - start
        first_end = self.ends.pop(start, end)
        if 0 < end - first_end <= AHEAD_BYTES_MAX:
            self.ahead = max(self.ahead, end - first_end)
        self.ends[end] = first_end
        if len(self.ends) > ENDS_MAX:
            self.ends.popitem(last=False)

    def covering(self, start: int, end: int) -> _Piece | None:
        """The piece that holds a range."""
        return next((piece for piece in self.pieces if piece.start <= start and end <= piece.end), None)

    def extended(self, start: int, end: int, size: int) -> int:
        """Where to end the fetch of a range."""
        until = min(size, end + self.ahead)
        if end - start < self.ahead or self.in_vain > self.asked * WASTE_SHARE_MAX:
            return end
        if any(piece.start < until and end < piece.end for piece in self.pieces):
            return end
        return until


class Ranges:
    """Reads ranges, touching ones together. Thread-safe.

    Args:
        start: begins the fetch of exactly one range.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._files: OrderedDict[Entry, _File] = OrderedDict()
        self._kept: OrderedDict[_Piece, _File] = OrderedDict()
        self._kept_bytes = 0

    def read(self, entry: Entry, start: int, end: int, given_up: Callable[[], bool] | None) -> Any:
        """The bytes from `start` to before `end`. Raises what their fetch raises, and `GivenUp`."""
        with self._lock:
            file = self._file(entry)
            file.learn(start, end)
            patient = end - start < file.ahead and file.covering(start, end) is None
        if patient:
            time.sleep(GATHER_S)
        with self._lock:
            piece = file.covering(start, end)
            if piece is None:
                piece = self._begin(file, entry, start, end)
            else:
                file.in_vain -= end - start
            piece.waiting += 1
        try:
            data = wait_for(piece.fetch, given_up)
        finally:
            self._served(piece, end - start)
        if len(data) == end - start:
            return data
        return memoryview(data)[start - piece.start : end - piece.start]

    def _file(self, entry: Entry) -> _File:
        file = self._files.pop(entry, None) or _File()
        self._files[entry] = file
        if len(self._files) > FILES_MAX:
            self._files.popitem(last=False)
        return file

    def _begin(self, file: _File, entry: Entry, start: int, end: int) -> _Piece:
        until = file.extended(start, end, entry.size)
        piece = _Piece(start, until, self._start(entry, start, until))
        file.in_vain += until - end
        file.pieces.append(piece)
        self._kept[piece] = file
        self._kept_bytes += until - start
        return piece

    def _served(self, piece: _Piece, count: int) -> None:
        with self._lock:
            piece.waiting -= 1
            piece.served += count
            if not piece.of_use:
                self._drop(piece)
            while self._kept_bytes > KEPT_BYTES_MAX and (old := next((p for p in self._kept if not p.waiting), None)):
                self._drop(old)

    def _drop(self, piece: _Piece) -> None:
        file = self._kept.pop(piece, None)
        if file is not None:
            piece.fetch.cancel()
            file.pieces.remove(piece)
            self._kept_bytes -= piece.end - piece.start
