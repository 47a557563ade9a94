"""The end of a statement: its row in history, its metrics, its record in the audit log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from neurolake import errors, urls
from neurolake.activity import Activity
from neurolake.engine import result_checks
from neurolake.governance.gate_errors import told
from neurolake.history import state_of

if TYPE_CHECKING:
    from neurolake.engine import Engine

logger = logging.getLogger("neurolake")


def failed(engine: Engine, activity: Activity, error: BaseException) -> None:
    """The end of a statement that has failed. Raises what its caller may be told, where that is another error."""
    problem = activity.cause(error)
    if isinstance(problem, errors.NeuroLakeError):
        if not activity.principal.is_admin:
            problem = told(problem, activity.text)
        problem.query_id = activity.query_id
    account(engine, activity, problem)
    if problem is not error:
        raise problem from None


def account(engine: Engine, activity: Activity, problem: BaseException | None) -> None:
    """The end of a statement, exactly once: history, metrics, and the audit of governed roles."""
    if isinstance(problem, errors.NeuroLakeError) and urls.HIDDEN in activity.text:
        # The engine quotes a stretch of the statement, which may begin within what is hidden.
        problem.message = urls.hidden(problem.message.split("\n\nLINE ", 1)[0])
    with engine.activities.ending(activity):
        if activity.personal or activity.literals or not activity.principal.is_admin:
            _audit(engine, activity, problem)
        state = state_of(problem)
        engine.metrics.ended(state, activity.duration_ms / 1000, activity.rows_out, activity.bytes_out)
        try:
            engine.history.record(activity, problem)
        except errors.LimitReached as full:  # a full disk must not turn a write that is done into one that failed
            logger.error("a statement's record waits in memory: %s", full)


def _audit(engine: Engine, activity: Activity, problem: BaseException | None) -> None:
    denied = isinstance(problem, errors.AccessDenied)
    details: dict[str, object] = {"state": state_of(problem), "rows_out": activity.rows_out}
    if isinstance(problem, errors.NeuroLakeError):
        details["error"] = problem.code
    if activity.ruling is not None:
        details["tables"] = sorted(map(str, activity.ruling.tables))
        details["columns"] = activity.ruling.masked()
    if activity.personal:
        details["personal"] = result_checks.told(engine, activity)
    if activity.literals:
        engine.metrics.literals(activity.literals)
        details["literals"] = list(activity.literals)
    event = "denied" if denied else "decision"
    engine.governance.audit.record(event, activity.principal, activity.query_id, **details)
