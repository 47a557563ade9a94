"""Errors over the wire: each kind arrives as its own, with our words and nothing of the server's."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as paflight
import pytest

from flight.errors import Guarded, boundary, schema_boundary
from flight.protocol import messages
from flight.protocol.actions import BeginTransaction, CreatePreparedStatement, decode_action
from neurolake import errors

Status = adbc_driver_manager.AdbcStatusCode
INVALID = (adbc.ProgrammingError, Status.INVALID_ARGUMENT)
FAILED = (adbc.OperationalError, Status.UNKNOWN)
CANCELLED = (adbc.OperationalError, Status.CANCELLED)

# error -> (dbapi's exception, ADBC's status)
EXPECTED: dict[type[errors.NeuroLakeError], tuple[type[Exception], Status]] = {
    errors.InvalidRequest: INVALID,
    errors.SyntaxProblem: INVALID,
    errors.AlreadyExists: INVALID,
    errors.ConstraintViolated: INVALID,
    errors.ConversionFailed: INVALID,
    errors.NotFound: (adbc.ProgrammingError, Status.NOT_FOUND),
    errors.NotSupported: (adbc.NotSupportedError, Status.NOT_IMPLEMENTED),
    errors.AccessDenied: (adbc.ProgrammingError, Status.UNAUTHORIZED),
    errors.LoginFailed: (adbc.ProgrammingError, Status.UNAUTHENTICATED),
    errors.Stopped: CANCELLED,
    errors.Cancelled: CANCELLED,
    errors.TimedOut: (adbc.OperationalError, Status.TIMEOUT),
    errors.LimitReached: FAILED,
    errors.SourceFailed: FAILED,
    errors.HomeProblem: FAILED,
    errors.NeuroLakeError: FAILED,
    errors.Unavailable: (adbc.OperationalError, Status.IO),
    errors.InternalProblem: (adbc.InternalError, Status.INTERNAL),
}

NO_ROWS = pa.schema([("a", pa.int32())])
INSIDE = ("Traceback", 'File "', ".py", ".pyx", "ZeroDivision", "in the way")


class Failing(paflight.FlightServerBase):  # type: ignore[misc]
    """Raises in every RPC what `fail` makes."""

    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.fail: Callable[[], Exception] = RuntimeError

    def _raise(self) -> Any:
        error = self.fail()
        error.__context__ = LookupError("in the way")
        raise error

    def _failing(self) -> Iterator[Any]:
        yield self._raise()

    @boundary
    def get_flight_info(self, context: Any, descriptor: paflight.FlightDescriptor) -> paflight.FlightInfo:
        return self._raise()

    @schema_boundary
    def get_schema(self, context: Any, descriptor: paflight.FlightDescriptor) -> paflight.SchemaResult:
        return self._raise()

    @boundary
    def do_get(self, context: Any, ticket: paflight.Ticket) -> paflight.FlightDataStream:
        if ticket.ticket == b"generator":
            return paflight.GeneratorStream(NO_ROWS, Guarded(self._failing()))
        if ticket.ticket == b"reader":
            reader = pa.RecordBatchReader.from_batches(NO_ROWS, Guarded(self._failing()))
            return paflight.RecordBatchStream(reader)
        return self._raise()

    @boundary
    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        self._raise()

    @boundary
    def do_action(self, context: Any, action: paflight.Action) -> Iterator[bytes]:
        if action.type == "late":
            return Guarded(self._failing())
        if isinstance(decode_action(action.type, action.body.to_pybytes()), BeginTransaction | CreatePreparedStatement):
            self._raise()
        return iter([])


@pytest.fixture
def server() -> Iterator[Failing]:
    with Failing() as started:
        yield started


@pytest.fixture
def client(server: Failing) -> Iterator[paflight.FlightClient]:
    with paflight.connect(f"grpc://127.0.0.1:{server.port}") as connected:
        yield connected


@pytest.fixture
def cursor(server: Failing) -> Iterator[adbc.Cursor]:
    with adbc.connect(f"grpc://127.0.0.1:{server.port}", autocommit=True) as connection, connection.cursor() as opened:
        yield opened


BEGIN = messages.pack(messages.message("sql.ActionBeginTransactionRequest")())
DESCRIPTOR = paflight.FlightDescriptor.for_command(b"")


def put(client: paflight.FlightClient) -> None:
    writer, metadata = client.do_put(DESCRIPTOR, NO_ROWS)
    writer.done_writing()
    metadata.read()
    writer.close()


CALLS: dict[str, Callable[[paflight.FlightClient], object]] = {
    "get_flight_info": lambda client: client.get_flight_info(DESCRIPTOR),
    "get_schema": lambda client: client.get_schema(DESCRIPTOR),
    "do_get": lambda client: client.do_get(paflight.Ticket(b"")).read_chunk(),
    "do_get, generator": lambda client: client.do_get(paflight.Ticket(b"generator")).read_chunk(),
    "do_get, reader": lambda client: client.do_get(paflight.Ticket(b"reader")).read_chunk(),
    "do_put": put,
    "do_action": lambda client: list(client.do_action(paflight.Action("BeginTransaction", BEGIN))),
    "do_action, late": lambda client: list(client.do_action(paflight.Action("late", b""))),
}


class TestWithTheStockDriver:
    @pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
    def test_each_kind_arrives_as_its_own(
        self, server: Failing, cursor: adbc.Cursor, kind: type[errors.NeuroLakeError]
    ) -> None:
        server.fail = lambda: kind("It went wrong.", next_step="Do better.", query_id="q42")
        with pytest.raises(adbc.Error) as caught:
            cursor.execute("select 1")
        assert (type(caught.value), caught.value.status_code) == EXPECTED[kind]
        assert f"It went wrong. Do better. [{kind.code}, query q42]" in str(caught.value)
        assert not [word for word in INSIDE if word in str(caught.value)]

    def test_no_kind_is_forgotten(self) -> None:
        kinds = {getattr(errors, name) for name in errors.__all__ if name[0].isupper()}
        assert kinds == set(EXPECTED)

    def test_the_details_hold_nothing_either(self, server: Failing, cursor: adbc.Cursor) -> None:
        server.fail = lambda: errors.SyntaxProblem("It went wrong.")
        with pytest.raises(adbc.Error) as caught:
            cursor.execute("select 1")
        details = [value if isinstance(value, str) else value.decode() for _, value in caught.value.details]
        assert not [word for word in INSIDE if word in " ".join(details)]

    def test_retryable_kinds_say_so(self, server: Failing, cursor: adbc.Cursor) -> None:
        server.fail = lambda: errors.LimitReached("The queue is full.", retryable=True)
        with pytest.raises(adbc.OperationalError) as caught:
            cursor.execute("select 1")
        assert caught.value.status_code == Status.IO

    def test_a_code_of_its_own(self, server: Failing, cursor: adbc.Cursor) -> None:
        server.fail = lambda: errors.NotFound("No such ticket.", code="ticket_unknown")
        with pytest.raises(adbc.Error, match=r"\[ticket_unknown\]"):
            cursor.execute("select 1")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
class TestEveryRpc:
    @pytest.mark.parametrize(
        "kind", [errors.SyntaxProblem, errors.NotSupported, errors.Unavailable, errors.LimitReached]
    )
    def test_an_error_of_ours(
        self, server: Failing, client: paflight.FlightClient, call: Any, kind: type[errors.NeuroLakeError]
    ) -> None:
        server.fail = lambda: kind("It went wrong.", next_step="Do better.")
        with pytest.raises((pa.ArrowException, OSError)) as caught:
            call(client)
        assert f"It went wrong. Do better. [{kind.code}]" in str(caught.value)
        assert not [word for word in INSIDE if word in str(caught.value)]

    def test_an_unexpected_one_is_logged_and_named_by_an_id_only(
        self, server: Failing, client: paflight.FlightClient, call: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.fail = lambda: ZeroDivisionError("in the way, too")
        with caplog.at_level(logging.ERROR, "neurolake"), pytest.raises((pa.ArrowException, OSError)) as caught:
            call(client)
        found = re.search(r"internal error, id ([0-9a-f]{12})\.", str(caught.value))
        assert found
        assert not [word for word in INSIDE if word in str(caught.value)]
        (record,) = caplog.records
        assert found[1] in record.getMessage()
        assert record.exc_info
        assert isinstance(record.exc_info[1], ZeroDivisionError)


class TestGetSchema:
    def test_a_refusal_goes_as_the_nearest_status_there_is(
        self, server: Failing, client: paflight.FlightClient
    ) -> None:
        server.fail = lambda: errors.AccessDenied("It is not yours.", query_id="q1")
        with pytest.raises(pa.ArrowInvalid, match=r"It is not yours\. \[access_denied, query q1\]"):
            client.get_schema(DESCRIPTOR)


MIDWAY = {
    errors.TimedOut: paflight.FlightTimedOutError,
    errors.Unavailable: paflight.FlightUnavailableError,
    errors.AccessDenied: paflight.FlightUnauthorizedError,
    errors.InternalProblem: paflight.FlightInternalError,
    errors.NotFound: pa.ArrowKeyError,
}


@pytest.mark.parametrize(("kind", "arrives"), MIDWAY.items(), ids=lambda kind: kind.__name__)
def test_an_error_in_a_stream_keeps_its_status(
    server: Failing, client: paflight.FlightClient, kind: type[errors.NeuroLakeError], arrives: type[Exception]
) -> None:
    server.fail = lambda: kind("It went wrong.")
    with pytest.raises(arrives, match=rf"It went wrong\. \[{kind.code}\]"):
        client.do_get(paflight.Ticket(b"generator")).read_chunk()


class TestLongMessages:
    """gRPC gives a status a few kilobytes; past that a client sees only that its limit was passed."""

    @pytest.mark.parametrize("filling", ["a", "%", "é", "🦆", "\n", "\x00", "\ud800"], ids=ascii)
    def test_they_are_shortened_and_keep_their_end(
        self, server: Failing, client: paflight.FlightClient, cursor: adbc.Cursor, filling: str
    ) -> None:
        server.fail = lambda: errors.SyntaxProblem("Begin " + filling * 50_000, next_step="The end.", query_id="q1")
        with pytest.raises(pa.ArrowInvalid) as caught:
            client.get_flight_info(DESCRIPTOR)
        assert str(caught.value).startswith("Begin")
        assert "The end. [syntax, query q1]" in str(caught.value)
        with pytest.raises(adbc.ProgrammingError, match=r"The end\. \[syntax, query q1\]"):
            cursor.execute("select 1")

    def test_short_ones_stay_as_they_are(self, server: Failing, client: paflight.FlightClient) -> None:
        server.fail = lambda: errors.SyntaxProblem("Größe 🦆\nLINE 1: 100%")
        with pytest.raises(pa.ArrowInvalid, match=re.escape("Größe 🦆\nLINE 1: 100% [syntax]")):
            client.get_flight_info(DESCRIPTOR)


class TestBoundary:
    def test_a_client_that_leaves_is_a_cancel(self) -> None:
        @boundary
        def handler() -> None:
            raise paflight.FlightCancelledError("grpc says something long")

        with pytest.raises(paflight.FlightCancelledError, match=r"The client ended the call\. \[cancelled\]"):
            handler()

    def test_what_it_returns_passes(self) -> None:
        assert boundary(lambda *parts, sep: sep.join(parts))("a", "b", sep="-") == "a-b"

    def test_the_end_of_an_iterator_is_no_error(self) -> None:
        guarded = Guarded(iter([1, 2]))
        assert list(guarded) == [1, 2]
        assert next(guarded, None) is None
