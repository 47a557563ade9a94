"""Fewer requests for the same bytes: ranges that touch are fetched together.

DuckDB reads a Parquet row group as several ranges, one a thread, that often touch one another. Where a file showed
that, the first, long range is fetched with as much beyond its end as its followers took before, and they are served
from it; a short range waits a moment for its long neighbour. What is fetched in vain is bounded by a share of what was
asked for, so a file that stops showing it costs little. Bytes are shared within one version of a file only.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from neurolake.sources.listing import Entry

GATHER_S = 0.001
"""How long a short range waits for a neighbour that covers it."""
AHEAD_BYTES_MAX = 1 << 20
WASTE_SHARE_MAX = 1 / 8
KEPT_BYTES_MAX = 64 << 20
"""Bytes fetched ahead and not asked for yet, over all files."""
FILES_MAX = 4096

Fetch = Callable[[Entry, int, int], Awaitable[Any]]


class _Piece:
    """One fetch, under way or done, that further ranges may be served from."""

    __slots__ = ("end", "served", "start", "task", "waiting")

    def __init__(self, start: int, end: int, task: asyncio.Task[Any]) -> None:
        self.start = start
        self.end = end
        self.task = task
        self.served = 0
        self.waiting = 0


class _File:
    """What is known of one version of one file."""

    __slots__ = ("ahead", "asked", "fetched_ahead", "heads", "pieces", "used_ahead")

    def __init__(self) -> None:
        self.ahead = 0
        self.asked = 0
        self.fetched_ahead = 0
        self.used_ahead = 0
        self.heads: OrderedDict[int, int] = OrderedDict()
        self.pieces: list[_Piece] = []

    def learn(self, start: int, end: int) -> None:
        """Note a range; one that begins where another ended tells how far beyond a range it pays to fetch."""
        self.asked += end - start
        head = self.heads.pop(start, end)
        if 0 < end - head <= AHEAD_BYTES_MAX:
            self.ahead = max(self.ahead, end - head)
        self.heads[end] = head
        if len(self.heads) > 64:
            self.heads.popitem(last=False)

    def covering(self, start: int, end: int) -> _Piece | None:
        """The piece that holds a range."""
        return next((piece for piece in self.pieces if piece.start <= start and end <= piece.end), None)

    def extended(self, start: int, end: int, size: int) -> int:
        """Where to end the fetch of a range."""
        wasted = self.fetched_ahead - self.used_ahead
        until = min(size, end + self.ahead)
        if end - start < self.ahead or wasted > self.asked * WASTE_SHARE_MAX:
            return end
        if any(piece.start < until and end < piece.end for piece in self.pieces):
            return end
        return until


class Ranges:
    """Reads ranges through a driver's `read`, touching ones together. Lives on the request loop."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._files: OrderedDict[Entry, _File] = OrderedDict()
        self._kept: OrderedDict[_Piece, _File] = OrderedDict()
        self._kept_bytes = 0

    async def read(self, entry: Entry, start: int, end: int) -> Any:
        """The bytes from `start` to before `end`. Raises what the driver raises."""
        file = self._file(entry)
        file.learn(start, end)
        piece = file.covering(start, end)
        if piece is None and end - start < file.ahead:
            await asyncio.sleep(GATHER_S)
            piece = file.covering(start, end)
        if piece is None:
            piece = self._begin(file, entry, start, end)
        else:
            file.used_ahead += end - start
        piece.waiting += 1
        try:
            data = await asyncio.shield(piece.task)
        finally:
            piece.waiting -= 1
            self._served(file, piece, end - start)
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
        file.fetched_ahead += until - end

        async def fetch() -> Any:
            return await self._fetch(entry, start, until)

        piece = _Piece(start, until, asyncio.create_task(fetch()))
        file.pieces.append(piece)
        self._kept[piece] = file
        self._kept_bytes += until - start
        return piece

    def _served(self, file: _File, piece: _Piece, count: int) -> None:
        """Keep a piece only while something of it is still to be asked for."""
        piece.served += count
        failed = not piece.task.done() or piece.task.cancelled() or piece.task.exception() is not None
        if piece.waiting == 0 and (failed or piece.served >= piece.end - piece.start):
            self._drop(piece)
        while self._kept_bytes > KEPT_BYTES_MAX and (old := next((p for p in self._kept if not p.waiting), None)):
            self._drop(old)

    def _drop(self, piece: _Piece) -> None:
        file = self._kept.pop(piece, None)
        if file is not None:
            piece.task.cancel()
            file.pieces.remove(piece)
            self._kept_bytes -= piece.end - piece.start
