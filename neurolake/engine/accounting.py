"""The end of a statement: its row in history, its metrics, its record in the audit log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from neurolake import errors, urls
from neurolake._duckdb import CATALOG
from neurolake.activity import Activity
from neurolake.catalog import system
from neurolake.engine import result_checks
from neurolake.governance.actions import ABSENT
from neurolake.governance.gate_errors import told
from neurolake.governance.objects import Object
from neurolake.governance.ruling import NOTHING, Decided
from neurolake.history import state_of
from neurolake.identifiers import fold
from neurolake.query import Kind, Plan
from neurolake.sql import statements
from neurolake.sql.text import Name, mentions

if TYPE_CHECKING:
    from neurolake.engine import Engine

logger = logging.getLogger("neurolake")

_MANAGED: Final = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = ?"
_CODES_OF_WRITES: Final = frozenset(("column_denied", "write_denied"))
"""Denials of a write that would need to see its target as it is."""


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


def note(activity: Activity, plan: Plan, verb: str = "") -> None:
    """Put down what was decided about a plan that runs now: it is what the record of its end will say."""
    activity.decided = Decided(
        plan.request.principal,
        plan.versions.policy,
        plan.request.text,
        verb or plan.verb,
        plan.detail[0].name if plan.kind is Kind.CALL else "",
        "" if plan.ruling is None or plan.kind not in (Kind.WRITE, Kind.DDL) else _target(plan.text),
        plan.ruling or NOTHING,
    )


def _target(text: str) -> str:
    """What a statement that the gate has composed is about: it stands there in full."""
    found = statements.target_of(text)
    if found is None or len(found) != len(("catalog", "schema", "table")):
        return ""
    catalog, schema, table = found
    return str(Name("temp" if catalog == "temp" else schema, table))


def step(engine: Engine, activity: Activity, problem: BaseException | None) -> None:
    """The end of a script's step: the script is one statement in history, but each step was decided by itself.

    One that has failed ends the script, whose record is then about it.
    """
    if problem is None:
        done = activity.decided
        _audit(engine, activity, None)
        activity.decided = Decided(done.principal, done.version, verb="SCRIPT")


def account(engine: Engine, activity: Activity, problem: BaseException | None) -> None:
    """The end of a statement, exactly once: history, metrics, and the audit of governed roles."""
    if isinstance(problem, errors.NeuroLakeError):
        if urls.HIDDEN in activity.text:
            # The engine quotes a stretch of the statement, which may begin within what is hidden.
            problem.message = problem.message.split("\n\nLINE ", 1)[0]
        problem.message = urls.hidden(problem.message)  # it may quote a value that was bound
        problem.args = (problem.message,)
    with engine.activities.ending(activity):
        _audit(engine, activity, problem, **_found(engine, activity))
        state = state_of(problem)
        engine.metrics.ended(state, activity.duration_ms / 1000, activity.rows_out, activity.bytes_out)
        try:
            engine.history.record(activity, problem)
        except errors.LimitReached as full:  # a full disk must not turn a write that is done into one that failed
            logger.error("a statement's record waits in memory: %s", full)


def _audit(engine: Engine, activity: Activity, problem: BaseException | None, **found: object) -> None:
    decided = activity.decided
    principal = decided.principal or activity.principal
    if principal.is_admin and not found:
        return
    details = {**_details(decided), "state": state_of(problem), "rows_out": activity.rows_out, **found}
    if isinstance(problem, errors.NeuroLakeError):
        details["error"] = problem.code
        if closed := [*_closed_tables(engine, problem), *_closed_columns(decided, problem)]:
            details["denied"] = closed
    event = "denied" if isinstance(problem, errors.AccessDenied) else "decision"
    under = decided.ruling.version or decided.version or None
    engine.governance.audit.record(event, principal, activity.query_id, under=under, **details)


def _found(engine: Engine, activity: Activity) -> dict[str, object]:
    """Personal data that its rows or its literals turned out to hold: of administrators' statements too."""
    found: dict[str, object] = {}
    if activity.personal:
        found["personal"] = result_checks.told(engine, activity)
    if activity.literals:
        engine.metrics.literals(activity.literals)
        found["literals"] = list(activity.literals)
    return found


def _details(decided: Decided) -> dict[str, object]:
    """What was decided, in names; what says nothing is left away."""
    ruling = decided.ruling
    told: dict[str, object] = {
        "verb": decided.verb,
        "procedure": decided.procedure,
        "target": decided.target,
        "tables": sorted(map(str, ruling.tables)),
        "columns": ruling.masked(),
        "policies": ruling.policies(),
        "filters": ruling.filters(),
    }
    return {key: value for key, value in told.items() if value}


def _closed_tables(engine: Engine, problem: errors.NeuroLakeError) -> list[str]:
    """The tables and views that a statement was refused. What is no name here may be a value in the wrong place."""
    names = [Name(*pair) for pair in problem.about] if isinstance(problem, errors.AccessDenied) else []
    return [str(Object.of(name)) for name in names if _is_there(engine, name)]


def _is_there(engine: Engine, name: Name) -> bool:
    """Asked in full each time, so that how long a denial takes does not say whether there is such a name."""
    managed = name.fold() in engine.managed_names.now(engine)
    return managed or name.fold() in engine.catalog.sources or system.lookup(name) is not None


class ManagedNames:
    """The folded names of all managed tables and views, known as long as the catalog stays as it is. Thread-safe."""

    def __init__(self) -> None:
        self._known: tuple[tuple[int, int], frozenset[Name]] | None = None

    def now(self, engine: Engine) -> frozenset[Name]:
        """Those that are there now."""
        state = (engine.catalog.version, engine.instance.generation)
        known = self._known
        if known is None or known[0] != state:
            rows = engine.instance.acquire_and(lambda cursor: cursor.rows(_MANAGED, [CATALOG]))
            known = self._known = (state, frozenset(Name(*row).fold() for row in rows))
        return known[1]


def _closed_columns(decided: Decided, problem: errors.NeuroLakeError) -> list[str]:
    """The columns that stand in what was asked and are closed to it: to a write that is refused, masked ones too."""
    if isinstance(problem, errors.ConstraintViolated | errors.ConversionFailed | errors.SyntaxProblem):
        return []
    if not isinstance(problem, errors.AccessDenied | errors.InvalidRequest):
        return []
    changes, text = problem.code in _CODES_OF_WRITES, decided.text
    return [
        str(Object.of(name, column.column))
        for name, decision in decided.ruling.tables.items()
        for column in decision.columns
        if (column.action == ABSENT or (changes and column.action != "allow"))
        and mentions(text, frozenset((fold(column.column),)))
    ]
