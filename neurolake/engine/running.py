"""Executing: admit → run → account. Every kind of statement has one function here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors, procedures, urls
from neurolake._duckdb import Cursor
from neurolake.activity import Activity
from neurolake.catalog import Event
from neurolake.engine import accounting, own_functions, planning, result_checks, turns
from neurolake.governance import tables
from neurolake.governance.views import RESERVED
from neurolake.identifiers import fold
from neurolake.interrupts import hears_ctrl_c
from neurolake.query import Kind, Plan, evolve
from neurolake.result import ClearedStream, CursorStream, Finish, Limits, Result, Stream, TableStream
from neurolake.sql import statements
from neurolake.sql.text import without_comments

if TYPE_CHECKING:
    from neurolake.engine import Engine

ALONE = frozenset(("CHECKPOINT", "FORCE", "VACUUM", "ANALYZE", "ATTACH", "DETACH", "LOAD", "INSTALL", "EXPORT"))
"""Verbs that run without a transaction around them."""
_HOLD_NO_FUNCTIONS = frozenset(("TABLE", "VIEW", "INDEX", "SEQUENCE", "TYPE", "INSERT"))


def settled(engine: Engine, activity: Activity, plan: Callable[[], Plan]) -> Result:
    """Plan and run, under the policies that hold when the statement begins to run and not when it began to wait."""
    return turns.begun(lambda: execute(engine, plan(), activity, engine.account))


def execute(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    """Run a plan. The result must be closed, by reading it to its end or otherwise."""
    activity.phase = "running"
    accounting.note(activity, plan)
    if plan.storage:
        activity.sources = set(plan.storage)
    try:
        with engine.storage.since(plan.request.asked_at):
            return _RUN[plan.kind](engine, plan, activity, finish)
    except turns.PoliciesMoved:
        raise
    except errors.NeuroLakeError as problem:
        raise engine.files.explain(problem, plan) from None


def _select(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    session = plan.request.session
    governed = plan.ruling is not None
    if plan.home:
        with session.at_home(activity) as cursor:
            if governed:
                session.stand_apart(cursor)
            result = _stream(engine, plan, activity, finish, cursor, activity.leave)
            session.streams_at_home(result)
        return result
    version = session.settings_version
    cursor = session.acquire(governed=governed)

    def release() -> None:
        activity.leave()
        session.release(cursor, version, governed=governed)

    return _stream(engine, plan, activity, finish, cursor, release)


def _local(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    """PREPARE and DEALLOCATE answer with a count of none, an EXECUTE with its rows or how many it changed."""
    plan.request.session.columns_known.clear()  # what an EXECUTE does is not known here
    if plan.returns_rows:
        return _select(engine, plan, activity, finish)
    with planning.borrowed(plan, activity) as cursor, engine.admission.admitted(activity):
        count = cursor.run(plan.text, plan.request.values)
    return count_result(engine, plan, activity, finish, count)


def _stream(
    engine: Engine,
    plan: Plan,
    activity: Activity,
    finish: Finish,
    cursor: Cursor,
    release: Callable[[], None],
) -> Result:
    relations = tuple(plan.relations)

    def done() -> None:
        for name in relations:
            cursor.detach(name)
        release()

    try:
        for name, table in plan.relations.items():
            cursor.attach(name, table)
        activity.use(cursor, "running")
        with engine.admission.admitted(activity), hears_ctrl_c(partial(_ctrl_c, activity)):
            turns.check_policies(engine, plan)
            reader = cursor.stream(plan.text, plan.request.values, rows_per_batch=engine.rows_per_batch(plan.schema))
    except BaseException:
        done()
        raise
    activity.phase = "streaming"
    stream: Stream = CursorStream(reader, cursor, done, lambda problem: engine.files.explain(problem, plan))
    schema = reader.schema if plan.schema is None else plan.schema
    try:
        _check_schema(plan, reader.schema)
        _check_tables(engine, plan)
    except BaseException:
        stream.close()  # a cursor with an open reader takes no other statement
        raise
    if plan.ruling is not None:
        stream = ClearedStream(stream, schema)
    stream = result_checks.checked(engine, plan, stream, schema, activity)
    return Result(schema, stream, activity, finish, engine.limits(plan), plan.rules)


def _check_schema(plan: Plan, schema: pa.Schema) -> None:
    if plan.schema is not None and schema != plan.schema:
        raise errors.Unavailable(
            "What the statement reads has changed its columns since it was planned.",
            code="plan_stale",
            next_step="Run the statement again.",
        )


def _check_tables(engine: Engine, plan: Plan) -> None:
    """That a governed statement, which may have waited for its turn, has not met other tables under the names it reads.

    Asked when it has begun, and so sees no later change. In a transaction it sees what its plan was made for.
    """
    if plan.ruling is None or plan.request.session.in_transaction():
        return
    for name in plan.ruling.tables:
        if engine.outbox.in_doubt(name.fold()) or engine.outbox.changed_since(plan.versions.changes, name.fold()):
            raise errors.Unavailable(
                f"{name} was changed while the statement waited.", code="table_changing",
                next_step="Run the statement again.",
            )  # fmt: skip


def _ctrl_c(activity: Activity) -> None:
    activity.stop(errors.Cancelled("The statement was cancelled by Ctrl-C."))


def table_result(engine: Engine, plan: Plan, activity: Activity, finish: Finish, table: pa.Table) -> Result:
    """A result whose rows are there already."""
    limits: Limits = engine.limits(plan)
    return Result(table.schema, TableStream(table), activity, finish, limits)


def count_result(engine: Engine, plan: Plan, activity: Activity, finish: Finish, count: int) -> Result:
    """The answer of a statement that changes things."""
    return table_result(engine, plan, activity, finish, pa.table({"Count": [count]}, schema=planning.COUNT))


def _write(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    answer = engine.change(plan, activity, partial(_run_text, plan))
    if isinstance(answer, pa.Table):
        answer = result_checks.checked_answer(engine, plan, answer, activity)
        return table_result(engine, plan, activity, finish, answer)
    return count_result(engine, plan, activity, finish, answer)


def _run_text(plan: Plan, cursor: Cursor) -> int | pa.Table:
    with planning.attached(cursor, plan):
        if plan.returns_rows:
            return cursor.table(plan.text, plan.request.values)
        return cursor.run(plan.text, plan.request.values)


def change(engine: Engine, plan: Plan, activity: Activity, work: Callable[[Cursor], int | pa.Table]) -> int | pa.Table:
    """Do a write with its catalog event in one transaction: the session's open one, or one of its own."""
    session = plan.request.session
    session.columns_known.clear()
    if session.made_under and plan.ruling is None:
        session.made_under.clear()  # an administrator may put into a temporary table what the next role must not see
    with (
        engine.storage.since(plan.request.asked_at),
        planning.borrowed(evolve(plan, relations={}), activity) as cursor,
        engine.admission.admitted(activity),
        hears_ctrl_c(partial(_ctrl_c, activity)),
    ):
        activity.phase = "running"
        turns.check_policies(engine, plan)
        if session.in_transaction():
            answer = work(cursor)
            activity.look()
            if event_of := _event_of(plan):
                session.events.append(_appended(engine, cursor, activity, event_of))
            session.changed_elsewhere |= _changes_elsewhere(plan, event_of)
        elif plan.verb in ALONE:
            answer = work(cursor)
            engine.catalog.touch()
        else:
            answer = _own_transaction(engine, plan, activity, cursor, work)
        if plan.home and plan.kind is Kind.DDL:
            session.temporary = _temporary(cursor)
            if statements.made_of(plan.text) in ("MACRO", "FUNCTION"):
                session.temporary_functions = own_functions.asked(cursor, temporary=True)
            session.settings_version += 1
            if plan.ruling is not None and plan.detail is not None:
                session.made_under[plan.detail] = (plan.request.principal.role, plan.ruling.version)
    return answer


def _own_transaction(
    engine: Engine, plan: Plan, activity: Activity, cursor: Cursor, work: Callable[[Cursor], int | pa.Table]
) -> int | pa.Table:
    events = []
    try:
        cursor.run("BEGIN")  # inside, since an interrupt may end it after it has taken effect
        answer = work(cursor)
        _check_tables(engine, plan)
        if event_of := _event_of(plan):
            events.append(_appended(engine, cursor, activity, event_of))
        activity.look()
        with engine.outbox.settling(events):
            cursor.run("COMMIT")
        if _changes_elsewhere(plan, event_of):
            engine.catalog.touch()
    except BaseException:
        activity.leave()  # an interrupt meant for what failed must not hit the ROLLBACK and leave a dead cursor behind
        _roll_back(cursor)
        raise
    return answer


def _appended(engine: Engine, cursor: Cursor, activity: Activity, event_of: tuple[str, str, str]) -> Event:
    verb, target, detail = event_of
    return engine.outbox.append(cursor, activity.query_id, verb, target, activity.principal.name, detail)


def _roll_back(cursor: Cursor) -> None:
    try:
        cursor.run("ROLLBACK")
    except errors.NeuroLakeError:
        return  # the engine has rolled it back by itself


def _event_of(plan: Plan) -> tuple[str, str, str] | None:
    """The verb, object and detail of a write's catalog event; None for one that does not touch the lake's tables.

    Raises:
        NotSupported: what it changes cannot be read, so that what is known of it could not follow.
    """
    text, session = without_comments(plan.text), plan.request.session
    target = statements.target_of(text)
    if target is None and plan.verb in ("CREATE", "ALTER", "DROP"):
        raise errors.NotSupported(
            f"What this {plan.verb} changes cannot be read.", next_step="Write it without comments inside."
        )
    if target is None or (len(target) == 3 and fold(target[0]) != "lake"):
        return None
    if plan.verb == "COPY" and not statements.copies_in(text):
        return None
    if len(target) > 1 and fold(target[0]) == "lake":
        target = target[1:]
    if _is_temporary(plan, text, target):
        return None
    schema = target[-2] if len(target) > 1 else session.schema
    made = statements.made_of(text)
    principal = plan.request.principal
    role = None if principal.is_admin else principal.role
    anywhere = len(target) == 1 and "search_path" in session.settings
    detail = tables.detail_of(plan.verb, text, role, anywhere=anywhere)
    return plan.verb if made == plan.verb else f"{plan.verb} {made}", f"{schema}.{target[-1]}", detail


def _changes_elsewhere(plan: Plan, event_of: tuple[str, str, str] | None) -> bool:
    """Whether a write without an event may bring or drop functions: in an attached database, or by copying one."""
    return event_of is None and plan.kind is Kind.DDL and statements.made_of(plan.text) not in _HOLD_NO_FUNCTIONS


def _is_temporary(plan: Plan, text: str, target: tuple[str, ...]) -> bool:
    if len(target) > 1:
        return fold(target[0]) == "temp"
    if plan.verb == "CREATE":
        return tables.makes_temporary(text)
    return fold(target[0]) in plan.request.session.temporary


def _temporary(cursor: Cursor) -> frozenset[str]:
    rows = cursor.rows(
        "SELECT table_name FROM duckdb_tables() WHERE temporary "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal"
    )
    return frozenset(fold(row[0]) for row in rows if not row[0].startswith(RESERVED))


def _transaction(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    session = plan.request.session
    {Kind.BEGIN: begin, Kind.COMMIT: commit, Kind.ROLLBACK: rollback}[plan.kind](engine, session, activity)
    return count_result(engine, plan, activity, finish, 0)


def begin(engine: Engine, session: Any, activity: Activity | None = None) -> None:
    """Open a transaction on the session's home cursor; a driver does so without a statement, and so an activity."""
    if activity is not None and session.takes_up():
        return
    session.refuse_foreign_transaction()
    changes, writes, version = engine.outbox.changes, engine.outbox.writes, engine.catalog.version
    with session.at_home(activity) as cursor:
        try:
            cursor.run("BEGIN")
        except errors.NeuroLakeError:
            if activity is not None:
                activity.leave()
            _roll_back(cursor)
            raise
        session.began(changes, writes, version, by_driver=activity is None)


def commit(engine: Engine, session: Any, activity: Activity | None = None) -> None:
    """Commit the session's transaction, then apply what it changed to the catalog."""
    _refuse_outside(session)
    with session.at_home(activity) as cursor:
        try:
            _refuse_failed(cursor)
            with engine.outbox.settling(session.events):
                cursor.run("COMMIT")
            if session.changed_elsewhere:
                engine.catalog.touch()
        except errors.NeuroLakeError:
            _roll_back(cursor)
            session.undone()
            raise
        session.ended()
        session.temporary = _temporary(cursor) if session.temporary else session.temporary


def _refuse_failed(cursor: Cursor) -> None:
    """Ask before a COMMIT: where a statement has failed the engine takes it, says nothing, and keeps nothing."""
    try:
        cursor.rows("SELECT 1")
    except errors.InvalidRequest:
        raise errors.InvalidRequest(
            "A statement of this transaction had failed, so it is rolled back: nothing of it was written.",
            code="transaction_failed",
            next_step="Run the whole transaction again.",
        ) from None


def rollback(engine: Engine, session: Any, activity: Activity | None = None) -> None:
    """Undo the session's transaction."""
    _refuse_outside(session)
    with session.at_home(activity) as cursor:
        session.undone()
        _roll_back(cursor)
        session.settings_version += 1


def _refuse_outside(session: Any) -> None:
    if not session.in_transaction():
        raise errors.InvalidRequest("No transaction is open.", code="no_transaction", next_step="BEGIN one first.")


def _set(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    engine.change_setting(plan.request.session, plan.detail, plan.text, activity)
    return count_result(engine, plan, activity, finish, 0)


def _call(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    found, call, shown = plan.detail
    if any(value is statements.Unbound for value in (*call.positional, *call.named.values())):
        raise errors.InvalidRequest("A parameter of the call has no value.", code="parameter_missing")
    arguments = procedures.bind(found, call.positional, call.named)
    waits = arguments.pop(procedures.WAIT.name, True) or plan.request.is_job
    activity.text = urls.hidden(shown)  # not before: in a call that does not fit, a secret may stand anywhere
    if not waits:
        job = pa.table([[engine.jobs.start(plan.request)]], schema=procedures.JOB)
        return table_result(engine, plan, activity, finish, job)
    context = procedures.Context(engine, plan.request.session, activity.query_id)
    return table_result(engine, plan, activity, finish, found.function(context, **arguments))


def _explain(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    inner, analyze = plan.detail
    verb = "EXPLAIN ANALYZE" if analyze else "EXPLAIN"
    with planning.borrowed(plan, activity) as cursor, engine.admission.admitted(activity):
        rows = cursor.rows(f"{verb} {inner.text}", plan.request.values)
    rows += [
        ("neurolake_sql", inner.text),
        ("neurolake_rules", ", ".join(inner.rules) or "none"),
        ("neurolake_sources", ", ".join(inner.sources) or "none"),
    ]
    shown = [(key, urls.hidden(text)) for key, text in rows]
    table = pa.table(list(zip(*shown, strict=True)), schema=planning.EXPLANATION)
    return table_result(engine, plan, activity, finish, table)


def _script(engine: Engine, plan: Plan, activity: Activity, finish: Finish) -> Result:
    *first, last = plan.parts
    for text in first:
        activity.check()
        step = engine.plan_within(evolve(plan.request, text=text, values=None, translated=True), activity)
        with execute(engine, step, activity, partial(accounting.step, engine)) as result:
            for _ in result:
                activity.rows_out = activity.bytes_out = 0
    step = engine.plan_within(evolve(plan.request, text=last, translated=True), activity)
    return execute(engine, step, activity, finish)


_RUN: Mapping[Kind, Callable[[Any, Plan, Activity, Finish], Result]] = {
    Kind.SELECT: _select,
    Kind.LOCAL: _local,
    Kind.WRITE: _write,
    Kind.DDL: _write,
    Kind.BEGIN: _transaction,
    Kind.COMMIT: _transaction,
    Kind.ROLLBACK: _transaction,
    Kind.SET: _set,
    Kind.CALL: _call,
    Kind.EXPLAIN: _explain,
    Kind.SCRIPT: _script,
}
