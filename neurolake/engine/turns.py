"""When a statement's turn comes: the slots that statements run in, and whether what it was planned for still holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from neurolake import errors
from neurolake.activity import Activity
from neurolake.query import Plan

if TYPE_CHECKING:
    from neurolake.engine import Engine

T = TypeVar("T")

QUEUE_POLL_S = 0.05
PLANNED_MAX = 10
"""How often a statement is planned whose policies move while it waits for its turn."""


class Slots:
    """How many statements of one kind run at once; the rest queue, and past the queue they are refused."""

    def __init__(self, running_max: int, queue_max: int, wait_s: float) -> None:
        self._free = threading.BoundedSemaphore(running_max)
        self._queue_max = queue_max
        self._wait_s = wait_s
        self._queued = 0

    def taken(self, activity: Activity) -> Slots:
        """Take a slot; leaving the `with` block that this opens gives it back.

        Raises:
            Unavailable: the queue is full, or the wait was too long.
        """
        if not self._free.acquire(blocking=False):
            self._queue(activity)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def _queue(self, activity: Activity) -> None:
        if self._queued >= self._queue_max:
            raise errors.Unavailable(
                "The server is busy and its queue is full.",
                code="overloaded",
                next_step="Try again in a moment.",
            )
        phase, activity.phase = activity.phase, "queued"
        self._queued += 1
        waited_s = 0.0
        try:
            while not self._free.acquire(timeout=QUEUE_POLL_S):
                activity.check()
                waited_s += QUEUE_POLL_S
                if waited_s > self._wait_s:
                    raise errors.Unavailable(
                        "The statement waited too long for its turn.", code="overloaded",
                        next_step="Try again, or raise queue_wait_s or concurrent_statements_max.",
                    )  # fmt: skip
        finally:
            self._queued -= 1
            activity.phase = phase


class Admission:
    """The slots of a lake: statements that read remote storage have as many of their own.

    So those that wait for a silent server hold up, at most, others that would wait for a server too.
    """

    def __init__(self, running_max: int, queue_max: int, wait_s: float) -> None:
        self._slots = Slots(running_max, queue_max, wait_s)
        self._remote = Slots(running_max, queue_max, wait_s)

    def admitted(self, activity: Activity) -> Slots:
        """A slot for a statement, as `Slots.taken`."""
        return (self._slots if activity.sources is None else self._remote).taken(activity)


class PoliciesMoved(errors.Unavailable):
    """The policies have moved while a statement waited for its turn: it is planned again."""


def begun(work: Callable[[], T]) -> T:
    """What the work gives, tried anew where the policies have moved before it began.

    Raises:
        Unavailable: `plan_stale`: they move faster than it gets its turn.
    """
    for _ in range(PLANNED_MAX - 1):
        with suppress(PoliciesMoved):
            return work()
    return work()


def check_policies(engine: Engine, plan: Plan) -> None:
    """Asked when a statement has its turn, right before it runs: that what it was planned for still holds."""
    if plan.versions.policy == engine.governance.version:
        return
    engine.governance.refresh(plan.request.session)
    if plan.ruling is None and plan.request.session.principal.is_admin:
        return
    raise PoliciesMoved(
        "The policies have changed while the statement waited.", code="plan_stale",
        next_step="Run the statement again.",
    )  # fmt: skip
