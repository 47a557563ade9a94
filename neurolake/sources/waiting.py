"""One thread that talks to storage, and waits for it that can be given up.

DuckDB's threads ask and wait; all requests run on one event loop in a thread of ours. So a server that has fallen
silent costs a socket and not a thread, and whoever waits looks around every `POLL_S` whether it still matters.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Protocol, TypeVar

from neurolake import errors

POLL_S = 0.1
BACKOFF_S = 0.1
BACKOFF_S_MAX = 5.0

T = TypeVar("T")


def backoff_s(attempt: int) -> float:
    """How long to pause before trying again: random, its bound doubling from one attempt to the next.

    >>> 0 <= backoff_s(0) <= 0.1, backoff_s(30) <= 5.0
    (True, True)
    """
    return secrets.SystemRandom().uniform(0, min(BACKOFF_S_MAX, BACKOFF_S * 2**attempt))


class Readers(Protocol):
    """Who knows the statements in flight, each as whatever it likes; an empty collection means that nobody knows."""

    def begin_reading(self, location: str, patterns: Collection[str]) -> Collection[Any]:
        """The calling thread's statement reads a location, that these patterns chose: that statement."""

    def readers(self, patterns: Collection[str]) -> Collection[Any]:
        """All statements that read any of these locations now."""

    def given_up(self, readers: Collection[Any]) -> bool:
        """Whether what the calling thread waits for, on behalf of one of these, is needed no more."""


class GivenUp(Exception):
    """Nobody needs the answer any more."""


def wait_for(future: Future[T], given_up: Callable[[], bool] | None = None) -> T:
    """Wait for what a future holds. Raises what it holds.

    Raises:
        GivenUp: `given_up` said so.
        Unavailable: the lake was closed meanwhile.
    """
    try:
        while True:
            try:
                return future.result(POLL_S)
            except TimeoutError:
                if future.done():
                    return future.result()
                if given_up is not None and given_up():
                    raise GivenUp from None
    except CancelledError:
        raise errors.Unavailable("The lake was closed.", code="closed") from None


class RequestLoop:
    """Runs coroutines for threads that wait. Its own thread starts with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin `work`; cancelling the future cancels it.

        Raises:
            Unavailable: the lake is closed.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise errors.Unavailable("The lake is closed.", code="closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="neurolake-storage", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T], given_up: Callable[[], bool] | None = None) -> T:
        """Run `work` to its end, or until it is given up, and then cancel it. As `start` and `wait_for`."""
        future = self.start(work)
        try:
            return wait_for(future, given_up)
        finally:
            future.cancel()

    def close(self) -> None:
        """Cancel what runs and end the thread. Idempotent."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def in_thread(function: Callable[[], T]) -> T:
    """Run what blocks in a thread of its own, one that no exit waits for: it may never come back."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(settle: Callable[[], None]) -> None:
        if not future.done():
            settle()

    def work() -> None:
        settle: Callable[[], None]
        try:
            settle = partial(future.set_result, function())
        except BaseException as problem:  # the thread's boundary: whoever waits gets it
            settle = partial(future.set_exception, problem)
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, settle)

    threading.Thread(target=work, name="neurolake-storage-blocking", daemon=True).start()
    return await future
