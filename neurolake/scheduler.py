"""Runs the backup jobs of the settings when they are due: one at a time, in the process that serves the lake.

Each run is a statement of the owner's like any other: it stands in `running` and in the history, and can be cancelled.
What is remembered is up to when a job's times have been seen to, in the metadata: so a job whose time came while no
server ran, or while another job did, runs once as soon as it can.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.backup.drill import drill_mode
from neurolake.backup.runs import DONE, Expected
from neurolake.backup.schedule import Schedule, schedules
from neurolake.backup.service import locations
from neurolake.query import OWNER, Request, Values, new_query_id

if TYPE_CHECKING:
    from neurolake.engine import Engine

__all__ = ["Scheduler"]

logger = logging.getLogger("neurolake.backup")

LOOK_S = 30.0
"""The clock is looked at this often, whenever the next job is due: it may jump, or the machine may sleep."""
BACKWARDS_S = 3600.0
"""A clock that was put back further than this makes all jobs start counting anew."""
ATTEMPTS_MAX = 3
"""A run that the server did not survive, or that was told to try again later, is tried so often."""


class Scheduler:
    """The jobs of one lake. `start` it, `stop` it before statements are drained, `close` it before the engine.

    Args:
        clock: seconds since the epoch.

    Raises:
        InvalidRequest: `setting_invalid`: a schedule cannot be read.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._schedules = schedules(engine.settings)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; where nothing is scheduled there is nothing to begin."""
        if self._schedules:
            self._thread = threading.Thread(target=self._work, name="neurolake-scheduler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Begin no other run. One that is under way is a statement, and ends as those do."""
        self._over.set()

    def close(self) -> None:
        """Stop, and wait for the run that is under way."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        self._engine.backup_runs.scheduled = {}

    def look(self) -> float:
        """Run what is due, and say when something is due next, in seconds since the epoch."""
        for schedule in self._schedules:
            now = self._clock()
            since, attempts = self._seen(schedule, now)
            due = schedule.after(since)
            if due > now or self._over.is_set():
                continue
            if attempts >= ATTEMPTS_MAX:
                logger.error("the scheduled %s is given up until its next time: it never came to an end", schedule.job)
                self._note(schedule, now)
                continue
            self._note(schedule, since, attempts + 1)
            if self._run(schedule, due) and not self._over.is_set():
                self._note(schedule, now)
        now = self._clock()
        coming = {schedule.job: schedule.after(max(now, self._seen(schedule, now)[0])) for schedule in self._schedules}
        self._engine.backup_runs.scheduled = coming
        return min(coming.values())

    def _work(self) -> None:
        try:
            while not self._over.is_set():
                self._over.wait(min(LOOK_S, max(0.0, self._look_or_wait() - self._clock())))
        finally:
            self._engine.backup_runs.scheduled = {}  # nobody is told of a next time that nobody sees to

    def _look_or_wait(self) -> float:
        try:
            return self.look()
        except errors.NeuroLakeError as problem:  # the metadata cannot be written now
            logger.error("the schedule of backups waits: %s", problem)
            return self._clock() + LOOK_S

    # What was seen to

    def _seen(self, schedule: Schedule, now: float) -> tuple[float, int]:
        """Up to when the job's times have been seen to, and how often the one after that was tried."""
        expression, zone, since, attempts = json.loads(self._engine.store.fact(_fact(schedule), '["", "", 0, 0]'))
        if (expression, zone) == (schedule.expression, schedule.zone) and since <= now + BACKWARDS_S:
            return since, attempts
        if expression and since > now + BACKWARDS_S:
            logger.warning("the clock was put back: the schedule of %s counts anew", schedule.job)
        self._note(schedule, now)
        return now, 0

    def _note(self, schedule: Schedule, since: float, attempts: int = 0) -> None:
        content = json.dumps([schedule.expression, schedule.zone, since, attempts])
        self._engine.store.set_fact(_fact(schedule), content)

    # A run

    def _run(self, schedule: Schedule, due: float) -> bool:
        """Run one job; whether its time has been seen to, rather than that it is to be tried again."""
        if schedule.job == "create":
            return self._create(due)
        run = self._verify if schedule.job == "verify" else self._drill
        seen_to = [run(place, due) for place in locations(self._engine)]
        return all(seen_to)

    def _create(self, due: float) -> bool:
        query_id = new_query_id()
        seen_to = self._call(query_id, "create_snapshot()", Expected("create", "full", locations(self._engine), due))
        if self._engine.settings.snapshot_prune:
            for run in self._engine.backup_runs.of(query_id):
                if run.state == DONE:
                    self._prune(run.repository, due)
        return seen_to

    def _prune(self, place: str, due: float) -> None:
        call = "prune_snapshots(dry_run => false, repository => ?)"
        self._call(new_query_id(), call, Expected("prune", "snapshots", [place], due), [place])

    def _verify(self, place: str, due: float) -> bool:
        mode = self._engine.settings.snapshot_verify_mode
        call = "verify_snapshot('latest', full => ?, quick => ?, repository => ?)"
        values = [mode == "full", mode == "quick", place]
        return self._call(new_query_id(), call, Expected("verify", mode, [place], due), values)

    def _drill(self, place: str, due: float) -> bool:
        mode = drill_mode(self._engine.settings.snapshot_drill_bytes_max)
        call = "drill_snapshot('latest', repository => ?)"
        return self._call(new_query_id(), call, Expected("drill", mode, [place], due), [place])

    def _call(self, query_id: str, call: str, expected: Expected, values: Values = None) -> bool:
        """Run one call; whether it need not be tried again."""
        self._engine.backup_runs.expect(query_id, expected)
        timeout_s = self._engine.settings.snapshot_run_timeout_s or float("inf")
        session = self._engine.session(OWNER, client="schedule")
        try:
            request = Request(f"CALL neurolake.{call}", session, values, query_id, "schedule", timeout_s)
            self._engine.run(request).arrow()
        except errors.NeuroLakeError as problem:
            self._engine.backup_runs.refused(query_id, problem)
            return not problem.retryable
        except Exception as fault:  # a fault in one run must not end all that follow; the run's record has it
            logger.error("the scheduled %s failed: a fault (%s)", expected.job, type(fault).__name__)
        finally:
            session.close()
        return True


def _fact(schedule: Schedule) -> str:
    return f"schedule {schedule.job}"
