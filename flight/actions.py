"""What DoAction does, one function for each action."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flight.metadata import CATALOG
from flight.protocol import actions, results
from flight.protocol.plain import plain_schema
from flight.sessions import FlightSession
from neurolake import errors
from neurolake.config import SETTINGS
from neurolake.query import Plan, evolve
from neurolake.sql.text import literal, quote

if TYPE_CHECKING:
    from flight.server import FlightSqlServer

Alive = Callable[[], bool]

_OWN: Mapping[str, str] = {
    setting.name: setting.type for setting in SETTINGS if setting.per_session and setting.name != "default_schema"
}
"""The session's own settings, each an option of that name, and their types."""
SESSION_OPTIONS = frozenset(("catalog", "schema", "role", "timezone", *_OWN))


def _prepare(
    server: FlightSqlServer, session: FlightSession, wanted: actions.CreatePreparedStatement, alive: Alive
) -> Iterator[bytes]:
    session.check_transaction(wanted.transaction_id)
    plan = server.engine.plan(server.request(session, wanted.query), alive)
    handle = session.prepare(plan)
    schema = plain_schema(plan.schema) if plan.returns_rows and plan.schema is not None else None
    yield results.prepared_statement_result(
        handle,
        dataset_schema=b"" if schema is None else schema.serialize().to_pybytes(),
        parameter_schema=_parameters(plan),
        is_update=not plan.returns_rows,
    )


def _parameters(plan: Plan) -> bytes:
    if not plan.parameters:
        return b""
    fields = plan.parameter_schema or pa.schema([(name, pa.string()) for name, _ in plan.parameters])
    return bytes(fields.serialize().to_pybytes())


def _close_prepared(
    server: FlightSqlServer, session: FlightSession, wanted: actions.ClosePreparedStatement, alive: Alive
) -> Iterator[bytes]:
    session.prepared.pop(wanted.handle, None)
    return iter(())


def _begin(
    server: FlightSqlServer, session: FlightSession, wanted: actions.BeginTransaction, alive: Alive
) -> Iterator[bytes]:
    server.engine.begin(session.session)
    session.transaction_id = secrets.token_bytes(16)
    yield results.begin_transaction_result(session.transaction_id)


def _end(
    server: FlightSqlServer, session: FlightSession, wanted: actions.EndTransaction, alive: Alive
) -> Iterator[bytes]:
    session.check_transaction(wanted.transaction_id)
    session.transaction_id = None
    if not session.session.in_transaction():
        return iter(())  # a COMMIT or ROLLBACK in SQL has ended it already
    if wanted.end is actions.TransactionEnd.COMMIT:
        server.engine.commit(session.session)
    else:
        server.engine.rollback(session.session)
    return iter(())


def _cancel(server: FlightSqlServer, session: FlightSession, tickets: tuple[bytes, ...]) -> results.CancelStatus:
    from flight.protocol.commands import StatementTicket, decode

    found = False
    for ticket in tickets:
        command = decode(ticket)
        held = session.tickets.pop(command.handle, None) if isinstance(command, StatementTicket) else None
        if held is None:
            continue
        running = [
            activity
            for query_id in (*(request.query_id for request in held.requests), *held.again)
            if (activity := server.engine.activities.get(query_id)) is not None
        ]
        for activity in running:
            activity.stop(errors.Cancelled("The client cancelled the statement."))
        found |= bool(running) or not held.redeemed
    return results.CancelStatus.CANCELLED if found else results.CancelStatus.NOT_CANCELLABLE


def _cancel_info(
    server: FlightSqlServer, session: FlightSession, wanted: actions.CancelFlightInfo, alive: Alive
) -> Iterator[bytes]:
    yield results.cancel_flight_info_result(_cancel(server, session, wanted.tickets))


def _cancel_query(
    server: FlightSqlServer, session: FlightSession, wanted: actions.CancelQuery, alive: Alive
) -> Iterator[bytes]:
    yield results.cancel_query_result(_cancel(server, session, wanted.tickets))


def _renew(
    server: FlightSqlServer, session: FlightSession, wanted: actions.RenewFlightEndpoint, alive: Alive
) -> Iterator[bytes]:
    from flight.protocol.commands import StatementTicket, decode

    command = decode(wanted.ticket)
    if not isinstance(command, StatementTicket):
        raise errors.InvalidRequest("This is not a ticket of this server.", code="ticket_unknown")
    session.renew(command.handle)
    yield results.renewed_endpoint(wanted, time.time() + server.settings.ticket_life_s)


def _set_options(
    server: FlightSqlServer, session: FlightSession, wanted: actions.SetSessionOptions, alive: Alive
) -> Iterator[bytes]:
    problems: dict[str, results.OptionProblem] = {}
    for name, value in wanted.options.items():
        if name not in SESSION_OPTIONS:
            problems[name] = results.OptionProblem.INVALID_NAME
        elif not _fits(name, value) or not _set_option(server, session, name, value, alive):
            problems[name] = results.OptionProblem.INVALID_VALUE
    yield results.set_session_options_result(problems)


def _fits(name: str, value: actions.SessionOption) -> bool:
    """Whether an option may have a value of this type. A text may stand for anything: drivers send little else."""
    if value is None or isinstance(value, str):
        return value != ""
    match _OWN.get(name, "text"):
        case "flag":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, tuple)
        case "text":
            return False
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _set_option(
    server: FlightSqlServer, session: FlightSession, name: str, value: actions.SessionOption, alive: Alive
) -> bool:
    if name == "catalog":
        return value in (CATALOG, None)
    if value is None:
        text = f"RESET {name}"
    elif name == "schema":
        text = f"USE {quote(str(value))}"
    else:
        text = f"SET {name} = {literal(json.dumps(value) if isinstance(value, tuple) else value)}"
    try:
        server.engine.run(evolve(server.request(session, text), translated=True), alive).close()
    except errors.NeuroLakeError:
        return False
    return True


def _get_options(
    server: FlightSqlServer, session: FlightSession, wanted: actions.GetSessionOptions, alive: Alive
) -> Iterator[bytes]:
    own = server.engine.settings_of(session.session)
    yield results.get_session_options_result(
        {
            "catalog": CATALOG,
            "schema": session.session.schema,
            "role": session.principal.role,
            "timezone": _timezone(session),
            **{name: getattr(own, name) for name in _OWN},
        }
    )


def _timezone(session: FlightSession) -> str:
    version = session.session.settings_version
    cursor = session.session.acquire()
    try:
        return str(cursor.rows("SELECT current_setting('TimeZone')")[0][0])
    finally:
        session.session.release(cursor, version)


def _close_session(
    server: FlightSqlServer, session: FlightSession, wanted: actions.CloseSession, alive: Alive
) -> Iterator[bytes]:
    server.sessions.close(session)
    yield results.close_session_result(results.CloseSessionStatus.CLOSED)


ACTIONS: Mapping[type, Callable[[Any, FlightSession, Any, Alive], Iterator[bytes]]] = {
    actions.CreatePreparedStatement: _prepare,
    actions.ClosePreparedStatement: _close_prepared,
    actions.BeginTransaction: _begin,
    actions.EndTransaction: _end,
    actions.CancelFlightInfo: _cancel_info,
    actions.CancelQuery: _cancel_query,
    actions.RenewFlightEndpoint: _renew,
    actions.SetSessionOptions: _set_options,
    actions.GetSessionOptions: _get_options,
    actions.CloseSession: _close_session,
}
