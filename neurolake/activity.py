"""What is running now, and how it is stopped: by id, by deadline, or because nobody waits for it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from neurolake import errors
from neurolake._duckdb import Cursor
from neurolake.governance.ruling import Decided
from neurolake.query import Principal

POLL_S = 0.05


class Feed(Protocol):
    """A client that a load has its rows from, and may have to wait for."""

    def idle_s(self) -> float:
        """For how long, in seconds, it has been waiting."""

    def stop(self) -> None:
        """Wait no longer."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far one step of a long piece of work is.

    Attributes:
        name: what is being done.
        bytes_done: of files that were written, read or copied.
        bytes_total: of all of them; None where that is known only at the end.
        rows_done, rows_total: rows that were gone through; 0 of 0 where bytes say how far it is.
        part: how much of it is done, 0 to 1, where neither says so.
    """

    name: str
    bytes_done: int = 0
    bytes_total: int | None = None
    rows_done: int = 0
    rows_total: int = 0
    part: float | None = None

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1; None where nobody can tell."""
        if self.part is not None:
            return self.part
        done, total = (self.rows_done, self.rows_total) if self.rows_total else (self.bytes_done, self.bytes_total)
        return min(1.0, done / total) if total else None

    @property
    def told(self) -> tuple[str | None, int | None, int | None, float | None]:
        """Its name, the bytes done and in all, and the share: what is shown. The engine tells only the share."""
        if not self.name:
            return None, None, None, self.share
        return self.name, self.bytes_done, self.bytes_total, self.share


class Steps:
    """What a long piece of work says of itself while it goes on, and whoever shows it looks at. Thread-safe.

    >>> steps = Steps()
    >>> steps.begin("reading files", bytes_total=200)
    >>> steps.add(bytes=50)
    >>> steps.now().share
    0.25
    """

    def __init__(self) -> None:
        self._step: Step | None = None
        self._lock = threading.Lock()

    def begin(self, name: str, *, bytes_total: int | None = None, rows_total: int = 0) -> None:
        """The next step begins."""
        with self._lock:
            self._step = Step(name, bytes_total=bytes_total, rows_total=rows_total)

    def add(self, *, bytes: int = 0, rows: int = 0, part: float | None = None) -> None:
        """So much more of the step is done, and `part` of it in all."""
        with self._lock:
            if (step := self._step) is not None:
                done, gone = step.bytes_done + bytes, step.rows_done + rows
                self._step = replace(step, bytes_done=done, rows_done=gone, part=part)

    def now(self) -> Step | None:
        """The step that is being done; None before the first."""
        return self._step


@dataclass(slots=True, eq=False)
class Activity:
    """One statement from its arrival to its end. `phase`: planning, queued, running, streaming."""

    query_id: str
    principal: Principal
    client: str
    text: str
    deadline: float | None = None
    alive: Callable[[], bool] | None = None
    phase: str = "planning"
    started_at: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)
    rows_out: int = 0
    bytes_out: int = 0
    sources: set[str] | None = None
    """The locations in remote storage that it reads; None as long as none is known."""
    thread: int = field(default_factory=threading.get_ident)
    """Which thread works for it, by the last that is known."""
    problem: errors.Stopped | None = None
    cursor: Cursor | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    session: object = None
    feed: Feed | None = None
    """Whose statement it is; the session may end before it."""
    decided: Decided = field(default_factory=Decided)
    """What was decided about it, or about the step of it that is under way."""
    personal: dict[str, set[str]] = field(default_factory=dict)
    """The kinds of personal data that its rows turned out to hold, by column."""
    literals: tuple[str, ...] = ()
    """The kinds of personal data that it was found to hold as literals, where that is told."""
    literals_refused: tuple[str, ...] = ()
    """Those of them for which it is not run."""
    steps: Steps | None = None
    """How far it is, where it is one that knows."""

    def use(self, cursor: Cursor, phase: str) -> None:
        """Note the cursor that works for this statement now, so that stopping reaches it.

        Raises:
            Stopped: it was stopped before it got here.
        """
        self.cursor = cursor
        self.phase = phase
        self.check()

    def leave(self) -> None:
        """The cursor works for this statement no more; an interrupt can no longer hit whoever has it next."""
        with self.lock:
            self.cursor = None

    def check(self) -> None:
        """Raise what it was stopped with, if it was."""
        if self.problem is not None:
            raise self.problem

    def cause(self, error: BaseException) -> BaseException:
        """Why it failed: what it was stopped with, where the error is only what its cursor made of that."""
        return self.problem if isinstance(error, errors.NeuroLakeError) and self.problem is not None else error

    def stop(self, problem: errors.Stopped) -> None:
        """End it: at once where it runs in the engine, at the next step elsewhere."""
        if self.problem is None:
            problem.query_id = self.query_id
            self.problem = problem
        self.press()

    def press(self) -> None:
        """Interrupt the cursor (again: an interrupt that comes before the engine starts is lost)."""
        with self.lock:
            if self.cursor is not None:
                self.cursor.interrupt()
        if self.feed is not None:
            self.feed.stop()

    def look(self) -> None:
        """Watch once, now, and raise what came of it: the last thing before a commit.

        Raises:
            Stopped: it was stopped, is too late, or its client has gone: a broken upload ends like a whole one.
        """
        self.watch(time.perf_counter())
        self.check()

    def watch(self, now: float) -> None:
        """One look: is it stopped, too late, or forgotten by its client?"""
        if self.problem is not None:
            self.press()
        elif self.deadline is not None and now > self.deadline:
            self.stop(errors.TimedOut("The statement ran into its time limit.", next_step="Raise statement_timeout_s."))
        elif self._forgotten():
            self.stop(errors.Cancelled("The client went away."))

    def _forgotten(self) -> bool:
        with self.lock:  # `alive` asks a call that may be ending: `finish` takes it away first
            return self.alive is not None and not self.alive()

    def finish(self) -> None:
        """It is over: nobody may be asked, and nothing interrupted, on its behalf any more."""
        with self.lock:
            self.alive = None
            self.cursor = None

    def step(self) -> Step | None:
        """How far it is: as it says itself, else as the engine says of what it works on; None where nobody can tell."""
        if self.steps is not None:
            return self.steps.now()
        with self.lock:  # whose cursor it is next has a share of its own
            share = None if self.cursor is None else self.cursor.share
        return None if share is None else Step("", part=share)

    @property
    def at_work(self) -> bool:
        """Whether something is done for it now; not while its rows wait for its client."""
        cursor = self.cursor
        return self.phase != "streaming" or (cursor is not None and cursor.busy)

    @property
    def duration_ms(self) -> float:
        """How long it has taken so far."""
        return (time.perf_counter() - self.clock) * 1000


class Activities:
    """Every statement in flight, and the one thread that watches them."""

    def __init__(self) -> None:
        self._by_id: dict[str, Activity] = {}
        self._some = threading.Event()
        self._over: Callable[[], errors.Stopped] | None = None
        self._closed = False
        self._watcher = threading.Thread(target=self._watch, name="neurolake-watcher", daemon=True)
        self._watcher.start()

    def __len__(self) -> int:
        return len(self._by_id)

    def begin(self, activity: Activity) -> None:
        """Show a statement as running; stopped from the start once everything was."""
        self._by_id[activity.query_id] = activity
        if self._over is not None:
            activity.stop(self._over())
        if not self._some.is_set():
            self._some.set()

    def end(self, activity: Activity) -> None:
        """Take it off; idempotent."""
        with self.ending(activity):
            pass

    @contextmanager
    def ending(self, activity: Activity) -> Iterator[None]:
        """It is over, and shows as running until the block has kept its record: at no time is it nowhere."""
        activity.finish()
        try:
            yield
        finally:
            self._by_id.pop(activity.query_id, None)

    def get(self, query_id: str) -> Activity | None:
        """The running statement of that id."""
        return self._by_id.get(query_id)

    def snapshot(self) -> list[Activity]:
        """All of them, as of now."""
        return list(self._by_id.values())

    def step_of(self, session: object) -> Step | None:
        """How far the oldest statement of a session is that anybody can tell it of."""
        steps = (activity.step() for activity in self.snapshot() if activity.session is session)
        return next((step for step in steps if step is not None), None)

    def begin_reading(self, location: str, patterns: Collection[str]) -> tuple[Activity, ...]:
        """The calling thread's statement reads a location, that these patterns chose: it; none where none is known."""
        own = self._here()
        if own is None:
            return ()
        if own.sources is None:
            own.sources = {location}
        elif own.sources.isdisjoint(patterns):
            own.sources.add(location)
        return (own,)

    def readers(self, patterns: Collection[str]) -> tuple[Activity, ...]:
        """The statements that read any of these locations now; a stopped one is among them until it has ended."""
        return tuple(
            activity
            for activity in self.snapshot()
            if activity.sources is not None and not activity.sources.isdisjoint(patterns)
        )

    def given_up(self, readers: Collection[Activity]) -> bool:
        """Whether what the calling thread waits for is needed no more, of what was begun for one of these statements.

        The engine's own threads do not say which statement they read for: then it is needed until all have ended.
        """
        own = self._here()
        if own is not None and own in readers:
            return own.problem is not None
        stopped = [reader.problem is not None for reader in readers]
        return any(stopped) and all(
            over or reader.query_id not in self._by_id for over, reader in zip(stopped, readers, strict=True)
        )

    def _here(self) -> Activity | None:
        """The statement that the calling thread works for; one inside another comes first."""
        thread = threading.get_ident()
        for activity in reversed(self.snapshot()):
            if activity.thread == thread and activity.at_work:
                return activity
        return None

    def stop_all(self, problem: Callable[[], errors.Stopped]) -> None:
        """Stop everything that runs."""
        for activity in self.snapshot():
            activity.stop(problem())

    def stop_of(self, session: object, because: str) -> None:
        """Stop what one session runs."""
        for activity in self.snapshot():
            if activity.session is session:
                activity.stop(errors.Cancelled(because))

    def end_all(self, problem: Callable[[], errors.Stopped]) -> None:
        """Stop everything that runs, and whatever begins from now on."""
        self._over = problem
        self.stop_all(problem)

    def close(self) -> None:
        """End the watching."""
        self._closed = True
        self._some.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._closed:
            if not self._by_id:
                self._some.clear()
                if not self._by_id:
                    self._some.wait()
            now = time.perf_counter()
            for activity in self.snapshot():
                activity.watch(now)
            time.sleep(POLL_S)
