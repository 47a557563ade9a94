"""The rows a client sends for a load, read so that the load can be stopped while it waits for them.

A message that does not come holds up whoever reads it, and nothing but the client can end that: pyarrow cannot cancel
a call from the server's side. So a thread of its own reads, when it is asked, and the load waits for the thread or for
its own end, whichever is first. The handler stays until the client has said something, or gone; the load does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow.flight as paflight

from neurolake import errors
from neurolake.session import LEFT_S, QUEUE_POLL_S

__all__ = ["Upload"]


class Upload(Iterator[paflight.FlightStreamChunk]):
    """The messages of one upload, and a context that ends with their reading.

    Args:
        reader: what pyarrow gives the handler of DoPut.
        mode: of the load.
        idle_s_max: an upload in which nothing comes for so many seconds ends.

    >>> with Upload(iter([1, 2]), "append", 60) as upload:
    ...     list(upload)
    [1, 2]
    """

    def __init__(self, reader: paflight.MetadataRecordBatchReader, mode: str, idle_s_max: float) -> None:
        self.mode = mode
        self._chunks = iter(reader)
        self._idle_s_max = idle_s_max
        self._thread = ThreadPoolExecutor(1, "neurolake-upload")
        self._news = threading.Event()
        self._loaded = threading.Event()
        self._stopped = False
        self._asked: float | None = None

    def idle_s(self) -> float:
        """For how long it has been waiting for its client."""
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def stop(self) -> None:
        """End it, from any thread: who waits for its next message waits no longer."""
        self._stopped = True
        self._news.set()

    def give_way(self, alive: Callable[[], bool]) -> None:
        """Wait for the end of its load, since another one is to follow; stop it where its client has left it half way.

        Args:
            alive: whether the other one's client is still there.
        """
        while not self._loaded.wait(QUEUE_POLL_S) and alive():
            if self.idle_s() > LEFT_S:
                self.stop()

    def loaded(self) -> None:
        """The load is over, however it went."""
        self._loaded.set()

    def __next__(self) -> paflight.FlightStreamChunk:
        self._news.clear()
        self._asked = time.monotonic()
        coming = self._thread.submit(next, self._chunks, None)
        coming.add_done_callback(lambda _: self._news.set())
        self._news.wait(self._idle_s_max)
        self._asked = None
        if self._stopped:
            raise errors.Cancelled("The upload was stopped.")
        if not coming.done():
            raise errors.TimedOut(
                f"No rows came for {self._idle_s_max:g} s.",
                code="upload_idle",
                next_step="Load again; a source that is slower than that needs a higher upload_idle_s.",
            )
        chunk = coming.result()
        if chunk is None:
            raise StopIteration
        return chunk

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()  # pyarrow's reader must not be left to a thread when the handler returns
