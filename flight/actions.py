"""What DoAction does, one function for each action."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flight.protocol import actions, results
from flight.protocol.plain import plain_schema
from flight.sessions import FlightSession
from neurolake import errors
from neurolake.query import Plan
from neurolake.sql.text import literal, quote

if TYPE_CHECKING:
    from flight.server import FlightSqlServer

Alive = Callable[[], bool]

SESSION_OPTIONS: Mapping[str, str] = {
    "schema": "schema",
    "dialect": "dialect",
    "timezone": "timezone",
    "statement_timeout_s": "statement_timeout_s",
    "result_rows_max": "result_rows_max",
    "result_bytes_max": "result_bytes_max",
    "role": "role",
}
"""Session options and the settings they are."""


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
        for request in held.requests if held else ():
            found = True
            if (activity := server.engine.activities.get(request.query_id)) is not None:
                activity.stop(errors.Cancelled("The client cancelled the statement."))
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
    life = datetime.timedelta(seconds=server.settings.ticket_life_s)
    yield results.renewed_endpoint(wanted, datetime.datetime.now(datetime.UTC) + life)


def _set_options(
    server: FlightSqlServer, session: FlightSession, wanted: actions.SetSessionOptions, alive: Alive
) -> Iterator[bytes]:
    problems: dict[str, results.OptionProblem] = {}
    for name, value in wanted.options.items():
        if name == "catalog":
            if value not in ("lake", None):
                problems[name] = results.OptionProblem.INVALID_VALUE
        elif name not in SESSION_OPTIONS:
            problems[name] = results.OptionProblem.INVALID_NAME
        elif (problem := _set_option(server, session, SESSION_OPTIONS[name], value, alive)) is not None:
            problems[name] = problem
    yield results.set_session_options_result(problems)


def _set_option(
    server: FlightSqlServer, session: FlightSession, setting: str, value: Any, alive: Alive
) -> results.OptionProblem | None:
    if setting == "schema" and isinstance(value, str):
        text = f"USE {quote(value)}"
    else:
        text = f"RESET {setting}" if value is None else f"SET {setting} = {literal(value)}"
    try:
        server.engine.run(server.request(session, text), alive).close()
    except errors.NeuroLakeError:
        return results.OptionProblem.INVALID_VALUE
    return None


def _get_options(
    server: FlightSqlServer, session: FlightSession, wanted: actions.GetSessionOptions, alive: Alive
) -> Iterator[bytes]:
    own = server.engine.settings_of(session.session)
    yield results.get_session_options_result(
        {
            "catalog": "lake",
            "schema": session.session.schema,
            "dialect": session.session.dialect,
            "statement_timeout_s": own.statement_timeout_s,
            "result_rows_max": own.result_rows_max,
            "result_bytes_max": own.result_bytes_max,
            "role": session.principal.role,
        }
    )


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
