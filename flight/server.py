"""The Flight SQL server. Each RPC is decode, call, encode: the work is the engine's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as paflight

from flight import metadata, puts
from flight.actions import ACTIONS
from flight.auth import session_of
from flight.errors import Guarded, boundary, schema_boundary
from flight.protocol.actions import ACTION_TYPES, decode_action
from flight.protocol.commands import (
    Command,
    PreparedQuery,
    StatementQuery,
    StatementTicket,
    StatementUpdate,
    decode,
)
from flight.protocol.plain import plain_schema
from flight.protocol.results import statement_endpoint
from flight.sessions import FlightSession, Prepared, Sessions, Ticket
from flight.streams import Share, Shared, Stream, small, wired
from neurolake import errors, parameters
from neurolake.config import Settings
from neurolake.engine import Engine
from neurolake.query import Kind, Plan, Request, asked_again, evolve, new_query_id

__all__ = ["FlightSqlServer", "serve"]

QUERY_ID: Final = b"neurolake.query_id"
"""Where the schema of a stream tells the statement's id."""
REDEEMED_AT_ONCE_MAX: Final = 1000
"""How many later runs of one ticket a cancel reaches."""


class FlightSqlServer(paflight.FlightServerBase):  # type: ignore[misc]
    """Flight SQL over one engine.

    Args:
        engine: the open lake.
        sessions: who is connected.
        settings: limits and sizes.
        options: what pyarrow's server takes: location, certificates, middleware.
    """

    def __init__(self, engine: Engine, sessions: Sessions, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self.engine = engine
        self.sessions = sessions
        self.settings = settings
        self.stopping = False

    # RPCs

    @boundary
    def get_flight_info(
        self, context: paflight.ServerCallContext, descriptor: paflight.FlightDescriptor
    ) -> paflight.FlightInfo:
        """Plan a SELECT, run anything else, or take a question about the catalog; the ticket fetches the answer."""
        session = self._session(context)
        command = decode(descriptor.command)
        schema, ticket = self._planned(session, command, _alive(context))
        tickets = self._tickets(session, ticket)
        # An end tells a client that it may redeem the ticket again.
        expires_s = time.time() + self.settings.ticket_life_s if len(tickets) == 1 else None
        # Read from bytes: pyarrow casts a moment it is given, which costs as much as a small RPC.
        endpoints = [paflight.FlightEndpoint.deserialize(statement_endpoint(one, expires_s)) for one in tickets]
        return paflight.FlightInfo(schema, descriptor, endpoints, -1, -1)

    @schema_boundary
    def get_schema(
        self, context: paflight.ServerCallContext, descriptor: paflight.FlightDescriptor
    ) -> paflight.SchemaResult:
        """The schema a statement's rows will have."""
        session = self._session(context)
        command = decode(descriptor.command)
        if (known := metadata.schema_of(command)) is not None:
            return paflight.SchemaResult(known)
        plan, _ = self._plan(session, command, _alive(context))
        if plan.schema is None:
            raise errors.NotSupported("The columns of this statement are known only by running it.")
        return paflight.SchemaResult(plain_schema(plan.schema))

    @boundary
    def do_get(self, context: paflight.ServerCallContext, ticket: paflight.Ticket) -> paflight.FlightDataStream:
        """Execute what a ticket stands for and stream it."""
        session = session_of(context)
        command = decode(ticket.ticket)
        if not isinstance(command, StatementTicket):
            raise errors.InvalidRequest("This is not a ticket of this server.", code="ticket_unknown")
        held = session.ticket(command.handle)
        if held.command is not None:
            return paflight.RecordBatchStream(metadata.answer(self.engine, session.session, held.command))
        if held.shared is not None:
            return self._share(held, held.shared, _alive(context))
        return self._execute(session, held, _requests(held), _alive(context))

    @boundary
    def do_put(
        self,
        context: paflight.ServerCallContext,
        descriptor: paflight.FlightDescriptor,
        reader: paflight.MetadataRecordBatchReader,
        writer: paflight.FlightMetadataWriter,
    ) -> None:
        """Bind parameters, run an update, or load rows."""
        session = self._session(context)
        command = decode(descriptor.command)
        session.busy += 1
        try:
            puts.put(self, session, command, reader, writer, _alive(context))
        finally:
            session.busy -= 1

    @boundary
    def do_action(self, context: paflight.ServerCallContext, action: paflight.Action) -> Iterator[bytes]:
        """Carry out one action of the session."""
        session = self._session(context)
        wanted = decode_action(action.type, action.body.to_pybytes())
        return Guarded(iter(ACTIONS[type(wanted)](self, session, wanted, _alive(context))))

    @boundary
    def do_exchange(self, context: paflight.ServerCallContext, descriptor: paflight.FlightDescriptor, *_: Any) -> None:
        """Flight SQL has no use for it; what pyarrow would answer holds a traceback."""
        raise errors.NotSupported("DoExchange is not served.", next_step="Use DoPut and DoGet.")

    def list_actions(self, context: paflight.ServerCallContext) -> list[tuple[str, str]]:
        """The actions there are."""
        return list(ACTION_TYPES)

    def list_flights(self, context: paflight.ServerCallContext, criteria: bytes) -> Iterator[paflight.FlightInfo]:
        """Flight SQL lists through its catalog commands; nothing is listed here."""
        return iter(())

    # What they share

    def _session(self, context: paflight.ServerCallContext) -> FlightSession:
        if self.stopping:
            raise errors.Unavailable(
                "The server is shutting down.", code="shutting_down", next_step="Connect again later."
            )
        return session_of(context)

    def request(self, session: FlightSession, text: str) -> Request:
        """A request of this session under a new query id."""
        return Request(text, session.session, query_id=new_query_id(), client=session.session.client)

    def _planned(
        self, session: FlightSession, command: Command, alive: Callable[[], bool]
    ) -> tuple[pa.Schema | None, bytes]:
        if (known := metadata.schema_of(command)) is not None:
            handle, _ = session.issue(command=command)
            return known, handle
        plan, requests = self._plan(session, command, alive)
        bound = session.statement(command.handle).bound if isinstance(command, PreparedQuery) else None
        schema = self._common_schema(plan, requests, alive)
        handle, held = session.issue(plan=plan, requests=requests, bound=bound, schema=schema)
        if plan.kind is not Kind.SELECT:
            # A write runs now, and not when its answer is fetched: older drivers return before they fetch, so the next
            # statement would come first, and fetch nothing at all when the cursor is closed unread, as dbt's are.
            try:
                self._execute(session, held, _requests(held), alive)
            except errors.NeuroLakeError:
                session.tickets.pop(handle, None)
                raise
            schema = schema if held.answer is None else held.answer.schema  # of a script, known only now
            session.ticket(handle)  # it may go when others need its place, though its answer was never fetched
        return None if schema is None else _named(plain_schema(schema), requests), handle

    def _common_schema(self, plan: Plan, requests: tuple[Request, ...], alive: Callable[[], bool]) -> pa.Schema | None:
        """One schema for the rows of every set of parameters: a NULL in the first must not decide for all."""
        if plan.kind is not Kind.SELECT or len(requests) < 2:
            return plan.schema
        schemas = [self.engine.plan(request, alive).schema for request in requests]
        try:
            return pa.unify_schemas([schema for schema in schemas if schema is not None], promote_options="permissive")
        except pa.ArrowException:
            raise errors.InvalidRequest(
                "The rows of parameters lead to columns of different types.",
                code="parameters",
                next_step="Cast the parameters in the statement, such as ?::DOUBLE.",
            ) from None

    def _plan(
        self, session: FlightSession, command: Command, alive: Callable[[], bool]
    ) -> tuple[Plan, tuple[Request, ...]]:
        match command:
            case StatementQuery() | StatementUpdate():
                session.check_transaction(command.transaction_id)
                plan = self.engine.plan(self.request(session, command.query), alive)
                return plan, (plan.request,)
            case PreparedQuery():
                return self._plan_prepared(session, session.statement(command.handle), alive)
        raise errors.InvalidRequest(f"{type(command).__name__} does not answer with rows.", code="command")

    def _plan_prepared(
        self, session: FlightSession, prepared: Prepared, alive: Callable[[], bool]
    ) -> tuple[Plan, tuple[Request, ...]]:
        plan = prepared.plan
        if prepared.bound is None or not plan.returns_rows:
            request = asked_again(plan.request)
            # What a plan lends, such as the rows of a system table, is of the moment it was made.
            over = plan.relations or plan.versions != self.engine.versions(session.session)
            plan = self.engine.plan(request, alive) if over else evolve(plan, request=request)
            return plan, (request,)
        requests = tuple(
            asked_again(plan.request, values=parameters.for_plan(plan, row))
            for batch in prepared.bound
            for row in parameters.rows(batch)
        )
        if plan.kind is Kind.SELECT and requests:
            plan = self.engine.plan(requests[0], alive)
        return plan, requests

    def _execute(
        self, session: FlightSession, held: Ticket, requests: tuple[Request, ...], alive: Callable[[], bool]
    ) -> paflight.FlightDataStream:
        plan = held.plan
        assert plan is not None
        if not requests:  # no row of parameters, no row of results
            return paflight.RecordBatchStream(wired(pa.Table.from_batches([], plan.schema or pa.schema([]))))
        if plan.kind is not Kind.SELECT:
            with held.lock:
                if held.answer is None:
                    held.answer = self._answer(plan, held, requests, alive)
            return paflight.RecordBatchStream(held.answer)
        results = (self.engine.execute(plan, request, alive) for request in requests)
        first = next(results)
        if len(requests) == 1 and (table := small(first, self.settings.batch_bytes)) is not None:
            return paflight.RecordBatchStream(table.replace_schema_metadata(_named(table.schema, requests).metadata))
        stream = Stream(session, first, results, held.schema, self.settings)
        # Not a reader: what fails in one reaches the client as UNKNOWN, whatever it is.
        return paflight.GeneratorStream(_named(stream.schema, requests), Guarded(stream))

    def _tickets(self, session: FlightSession, handle: bytes) -> list[bytes]:
        """The tickets of one result: several where the session wants that, and its rows have no order to lose."""
        count = self.engine.settings_of(session.session).result_endpoints
        held = session.tickets[handle]
        plan, requests, schema = held.plan, held.requests, held.schema
        if count < 2 or plan is None or schema is None or len(requests) != 1 or not _unordered(plan):
            return [handle]

        def start(alive: Callable[[], bool]) -> Stream:
            return Stream(session, self.engine.execute(plan, requests[0], alive), iter(()), schema, self.settings)

        held.shared = Shared(start)
        again = [
            session.issue(plan=plan, requests=requests, schema=schema, shared=held.shared) for _ in range(count - 1)
        ]
        return [handle, *(other for other, _ in again)]

    def _share(self, held: Ticket, shared: Shared, alive: Callable[[], bool]) -> paflight.FlightDataStream:
        with held.lock:
            if held.redeemed:
                raise errors.InvalidRequest(
                    "This ticket is for one part of a result, and was redeemed before.",
                    code="ticket_redeemed",
                    next_step="Run the statement again.",
                )
            held.redeemed = True
        schema = plain_schema(held.schema)
        return paflight.GeneratorStream(_named(schema, held.requests), Guarded(Share(shared, alive)))

    def _answer(self, plan: Plan, held: Ticket, requests: tuple[Request, ...], alive: Callable[[], bool]) -> pa.Table:
        if held.bound and not plan.returns_rows:
            rows = pa.RecordBatchReader.from_batches(held.bound[0].schema, held.bound)
            return pa.table({"Count": [self.engine.run_many(plan, rows, requests[0], alive)]})
        if held.bound is not None and plan.parameters and not plan.returns_rows:  # parameters for no run at all
            return pa.table({"Count": pa.array([0], pa.int64())})
        tables = [self.engine.execute(plan, request, alive).arrow() for request in requests]
        return wired(pa.concat_tables(tables))


def _unordered(plan: Plan) -> bool:
    """Whether a result may come in parts: the word is looked for, since a needless single part does no harm."""
    return plan.kind is Kind.SELECT and "order" not in plan.text.lower()


def _requests(held: Ticket) -> tuple[Request, ...]:
    """What a ticket asks for this time: each time it is redeemed is a statement of its own, with an id of its own."""
    first, held.redeemed = not held.redeemed, True
    if first:
        return held.requests
    again = tuple(asked_again(request) for request in held.requests)
    held.again = (*held.again, *(request.query_id for request in again))[-REDEEMED_AT_ONCE_MAX:]
    return again


def _named(schema: pa.Schema, requests: tuple[Request, ...]) -> pa.Schema:
    """The schema with the statement's id, under which history, logs and errors know it."""
    if not requests:
        return schema
    return schema.with_metadata({**(schema.metadata or {}), QUERY_ID: requests[0].query_id.encode()})


def _alive(context: paflight.ServerCallContext) -> Callable[[], bool]:
    return lambda: not context.is_cancelled()


def serve(path: Any, **flags: object) -> int:
    """Serve a home folder until SIGTERM or SIGINT; the exit code. See `flight.service`."""
    from flight.service import run

    return run(path, flags)
