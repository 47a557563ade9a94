"""What became of each run of a backup job: written when it begins and when it ends, whoever started it.

A run has a row for each repository it works on. One that is still marked as running when the lake is opened was ended
by a crash: no other process can hold the lake.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from neurolake import errors
from neurolake.backup.gauges import gauges
from neurolake.notification import Delivery, Message, Notifier

if TYPE_CHECKING:
    from neurolake.catalog.store import Store
    from neurolake.config import Settings
    from neurolake.observe import Gauges, Metrics

__all__ = ["Expected", "Outcome", "Run", "Runs", "shown", "state_of"]

logger = logging.getLogger("neurolake.backup")

DONE, FAILED, INTERRUPTED, NOTHING, RUNNING = "done", "failed", "interrupted", "nothing_to_do", "running"
PENDING, UNSENT = "pending", "failed (the process ended)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended in one repository. `state`: done, failed or nothing_to_do; bytes as the snapshot counts them."""

    state: str = DONE
    error_code: str | None = None
    snapshot_id: str | None = None
    tables: int | None = None
    rows: int | None = None
    bytes: int | None = None
    bytes_new: int | None = None
    detail: str | None = None

    @classmethod
    def of(cls, problem: BaseException) -> Outcome:
        """The outcome of what was raised. Only its code: a message may quote values."""
        if isinstance(problem, errors.NeuroLakeError):
            return cls(NOTHING if problem.code == NOTHING else FAILED, problem.code)
        return cls(FAILED, "cancelled" if isinstance(problem, KeyboardInterrupt) else errors.InternalProblem.code)


class Run(NamedTuple):
    """One row of the record; times in seconds since the epoch."""

    query_id: str
    job: str
    mode: str
    repository: str
    started_by: str
    due_at: float | None
    started_at: float
    ended_at: float | None
    duration_ms: float | None
    state: str
    error_code: str | None
    snapshot_id: str | None
    tables: int | None
    rows: int | None
    bytes: int | None
    bytes_new: int | None
    detail: str | None
    notified: str | None


_COLUMNS = ", ".join(Run._fields)


class Expected(NamedTuple):
    """What a scheduler is about to start, and when it was due."""

    job: str
    mode: str
    repositories: Sequence[str]
    due_at: float


class Runs:
    """The record of a lake's backup jobs. Thread-safe.

    A record that cannot be written is logged, and never fails the run that it is about.

    Args:
        settings: how many rows are kept (of each job and mode in each repository the last success stays as well), and
            who is told what.
        folder: the name of the lake's folder.
    """

    def __init__(self, store: Store, settings: Settings, folder: str, metrics: Metrics) -> None:
        self._store = store
        self._settings = settings
        self._name = settings.notify_name or folder
        self._notifier = Notifier(settings, metrics, self._notified)
        self._expected: dict[str, Expected] = {}
        self._lock = threading.Lock()
        self.scheduled: Mapping[str, float] = {}
        """When each job is due next, where a scheduler runs in this process."""
        self._clear_up()
        metrics.ask(self._gauges)

    def expect(self, query_id: str, run: Expected) -> None:
        """The statement of that id is a scheduler's."""
        with self._lock:
            self._expected[query_id] = run

    def refused(self, query_id: str, problem: errors.NeuroLakeError) -> None:
        """A scheduler's statement failed: record it, if it failed before its run began."""
        with self._lock:
            run = self._expected.get(query_id)
        if run is not None:
            with suppress(errors.NeuroLakeError), self.record(query_id, run.job, run.mode, run.repositories):
                raise problem

    @contextmanager
    def record(self, query_id: str, job: str, mode: str, repositories: Sequence[str]) -> Iterator[dict[str, Outcome]]:
        """Record the block as a run: the outcomes it puts under its repositories, or what it raises.

        A repository without an outcome was not worked on, unless the block raises: then that is its outcome.
        """
        places = list(dict.fromkeys(map(shown, repositories)))
        begun, clock = time.time(), time.perf_counter()
        self._begin(query_id, job, mode, places, begun)
        outcomes: dict[str, Outcome] = {}
        fallback = None
        try:
            yield outcomes
        except BaseException as problem:
            fallback = Outcome.of(problem)
            raise
        finally:
            ended = {shown(place): outcome for place, outcome in outcomes.items()}
            if fallback is not None:
                ended = {place: ended.get(place, fallback) for place in places}
            for place, outcome in ended.items():
                if outcome.state == FAILED:
                    logger.error("%s of the backup in %s failed: %s", job, place, outcome.error_code)
            self._end(query_id, ended, (time.perf_counter() - clock) * 1000)

    def test(self, query_id: str, user_name: str) -> list[Delivery]:
        """Send a message that is only a try by every channel, now."""
        now = time.time()
        return self._notifier.deliver(Message(self._name, "test", "none", "test", query_id, user_name, now, now))

    def close(self) -> None:
        """Deliver what waits to be told, within bounds."""
        self._notifier.close()

    def rows(self) -> list[Run]:
        """The runs, oldest first."""
        return [Run(*row) for row in self._store.rows(f"SELECT {_COLUMNS} FROM backup_runs ORDER BY position")]

    def of(self, query_id: str) -> list[Run]:
        """One run's rows."""
        rows = self._store.rows(f"SELECT {_COLUMNS} FROM backup_runs WHERE query_id = ? ORDER BY position", (query_id,))
        return [Run(*row) for row in rows]

    def last(self, job: str) -> list[Run]:
        """The latest run of a job that has begun, in every repository it worked on."""
        newest = self._store.rows(
            "SELECT query_id, due_at FROM backup_runs WHERE job = ? ORDER BY position DESC LIMIT 1", (job,)
        )
        sql = f"SELECT {_COLUMNS} FROM backup_runs WHERE job = ? AND (query_id = ? OR due_at = ?)"
        return [Run(*row) for query_id, due in newest for row in self._store.rows(sql, (job, query_id, due))]

    def _gauges(self) -> list[Gauges]:
        try:
            ended, succeeded = self._latest(DONE, FAILED, INTERRUPTED), self._latest(DONE)
        except errors.NeuroLakeError as problem:  # the other metrics are wanted all the more
            logger.error("the record of backup runs could not be read: %s", problem)
            return []
        return list(gauges(ended, succeeded, self.scheduled, time.time()))

    def _latest(self, *states: str) -> list[Run]:
        """The last run of each job and mode in each repository that is in one of these states."""
        marks = ", ".join("?" * len(states))
        sql = (
            f"SELECT {_COLUMNS} FROM backup_runs WHERE position IN (SELECT max(position) FROM backup_runs"
            f" WHERE state IN ({marks}) GROUP BY job, mode, repository) ORDER BY position"
        )
        return [Run(*row) for row in self._store.rows(sql, states)]

    def _begin(self, query_id: str, job: str, mode: str, places: Sequence[str], begun: float) -> None:
        with self._lock:
            expected = self._expected.pop(query_id, None)
        by, due = ("call", None) if expected is None else ("schedule", expected.due_at)
        rows = [(query_id, job, mode, place, by, due, begun, RUNNING) for place in places]
        self._write(
            "INSERT INTO backup_runs (query_id, job, mode, repository, started_by, due_at, started_at, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _end(self, query_id: str, ended: Mapping[str, Outcome], duration_ms: float) -> None:
        now = time.time()
        rows = [
            (now, duration_ms, o.state, o.error_code, o.snapshot_id, o.tables, o.rows, o.bytes, o.bytes_new, o.detail,
             query_id, place)
            for place, o in ended.items()
        ]  # fmt: skip
        self._write(
            "UPDATE backup_runs SET ended_at = ?, duration_ms = ?, state = ?, error_code = ?, snapshot_id = ?,"
            " tables = ?, rows = ?, bytes = ?, bytes_new = ?, detail = ? WHERE query_id = ? AND repository = ?",
            rows,
        )
        self._write("DELETE FROM backup_runs WHERE query_id = ? AND state = ?", [(query_id, RUNNING)])
        self._write(
            "DELETE FROM backup_runs WHERE position <= (SELECT max(position) FROM backup_runs) - ? AND position NOT IN"
            " (SELECT max(position) FROM backup_runs WHERE state = 'done' GROUP BY job, mode, repository)",
            [(self._settings.snapshot_runs_max,)],
        )
        self._tell(query_id)

    def _clear_up(self) -> None:
        """What a process that ended early has left: runs that never ended, and messages that were never sent."""
        cut_off = self._store.rows("SELECT DISTINCT query_id FROM backup_runs WHERE state = ?", (RUNNING,))
        if self._store.rows("SELECT 1 FROM backup_runs WHERE notified = ? LIMIT 1", (PENDING,)):
            self._write(
                "UPDATE backup_runs SET notified = 'failed (the process ended)' WHERE notified = ?", [(PENDING,)]
            )
        if cut_off:
            self._write("UPDATE backup_runs SET state = ? WHERE state = ?", [(INTERRUPTED, RUNNING)])
        for (query_id,) in cut_off:
            self._tell(query_id)

    def _tell(self, query_id: str) -> None:
        """Send a message about a run, if somebody wants to be told of it."""
        runs = self.of(query_id) if self._notifier.is_set else []
        before = {run.repository: self._state_before(run) for run in runs}
        if not any(is_wanted(self._settings.notify_on, run.state, before[run.repository]) for run in runs):
            return
        self._notified(query_id, PENDING)
        first = runs[0]
        self._notifier.offer(
            Message(
                self._name, first.job, first.mode, state_of(runs), query_id, first.started_by, first.started_at,
                first.ended_at, [_told(run, before[run.repository]) for run in runs],
            )
        )  # fmt: skip

    def _state_before(self, run: Run) -> str | None:
        """How the run before ended: the same job in the same repository."""
        found = self._store.rows(
            "SELECT state FROM backup_runs WHERE job = ? AND mode = ? AND repository = ? AND state IN (?, ?, ?)"
            " AND query_id <> ? ORDER BY position DESC LIMIT 1",
            (run.job, run.mode, run.repository, DONE, FAILED, INTERRUPTED, run.query_id),
        )
        return str(found[0][0]) if found else None

    def _notified(self, query_id: str, what: str) -> None:
        self._write("UPDATE backup_runs SET notified = ? WHERE query_id = ?", [(what, query_id)])

    def _write(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        try:
            with self._store.durable() as db:
                db.executemany(sql, rows)
        except (errors.LimitReached, errors.HomeProblem) as problem:
            logger.error("the record of a backup run could not be written: %s", problem)


def state_of(runs: Sequence[Run]) -> str:
    """How a run ended in all its repositories: partial where that differs."""
    states = {run.state for run in runs}
    return states.pop() if len(states) == 1 else "partial"


def is_wanted(notify_on: str, state: str, before: str | None) -> bool:
    """Whether a run that ended so is to be told.

    >>> [is_wanted("change", "failed", before) for before in (None, "done", "interrupted")]
    [True, True, False]
    >>> is_wanted("change", "done", None), is_wanted("change", "done", "failed")
    (False, True)
    """
    if notify_on == "always" or state == NOTHING:
        return notify_on == "always"
    failed = state != DONE
    if notify_on == "change":
        return failed != (before not in (None, DONE))
    return failed == (notify_on == "failure")


def _told(run: Run, before: str | None) -> dict[str, Any]:
    fields = ("error_code", "snapshot_id", "tables", "rows", "bytes", "bytes_new", "detail")
    told = {"repository": run.repository, "state": run.state, "previous_state": before}
    return told | {field: getattr(run, field) for field in fields}


def shown(location: str) -> str:
    """A repository as records, metrics and messages name it: an address without what may be secret in it.

    >>> shown("s3://key:word@bucket/lake/?token=1")
    's3://bucket/lake'
    """
    if "://" not in location:
        return str(Path(location).expanduser().absolute())
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
