"""What the server answers, as bytes: action results, put results, tickets.

Flight SQL's own answers are wrapped in `google.protobuf.Any`, but those of DoPut and of Flight's own actions are not.

>>> from flight.protocol.commands import decode
>>> decode(statement_ticket(b"handle"))
StatementTicket(handle=b'handle')
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from flight.protocol import messages
from flight.protocol.actions import RenewFlightEndpoint, SessionOption

__all__ = [
    "CancelStatus",
    "CloseSessionStatus",
    "OptionProblem",
    "begin_transaction_result",
    "cancel_flight_info_result",
    "cancel_query_result",
    "close_session_result",
    "get_session_options_result",
    "prepared_statement_result",
    "put_prepared_result",
    "put_update_result",
    "renewed_endpoint",
    "set_session_options_result",
    "statement_endpoint",
    "statement_ticket",
]

_ENDPOINT: Final = messages.message("FlightEndpoint")
_PREPARED: Final = messages.message("sql.ActionCreatePreparedStatementResult")
_PREPARED_PREFIX: Final = messages.any_prefix("ActionCreatePreparedStatementResult")
_TICKET: Final = messages.message("sql.TicketStatementQuery")
_TICKET_PREFIX: Final = messages.any_prefix("TicketStatementQuery")
_TRANSACTION: Final = messages.message("sql.ActionBeginTransactionResult")
_UPDATE: Final = messages.message("sql.DoPutUpdateResult")
_REBOUND: Final = messages.message("sql.DoPutPreparedStatementResult")


class CancelStatus(IntEnum):
    """How a cancel went; the older CancelQuery uses the same numbers."""

    UNSPECIFIED = 0
    CANCELLED = 1
    CANCELLING = 2
    NOT_CANCELLABLE = 3


class CloseSessionStatus(IntEnum):
    """How the end of a session went."""

    UNSPECIFIED = 0
    CLOSED = 1
    CLOSING = 2
    NOT_CLOSEABLE = 3


class OptionProblem(IntEnum):
    """Why one session option was not set."""

    UNSPECIFIED = 0
    INVALID_NAME = 1
    INVALID_VALUE = 2
    ERROR = 3


def prepared_statement_result(
    handle: bytes, *, dataset_schema: bytes = b"", parameter_schema: bytes = b"", is_update: bool | None = None
) -> bytes:
    """Answer CreatePreparedStatement.

    Args:
        handle: stands for the statement from now on.
        dataset_schema: of the rows it answers with, serialised; empty while unknown, or when there are none.
        parameter_schema: of its parameters, serialised; empty when there are none.
        is_update: whether it answers with a count; None leaves the client to guess from the schema.
    """
    result = _PREPARED(
        prepared_statement_handle=handle,
        dataset_schema=dataset_schema,
        parameter_schema=parameter_schema,
        is_update=is_update,
    )
    return messages.wrap(_PREPARED_PREFIX, result.SerializeToString())


def statement_ticket(handle: bytes) -> bytes:
    """A ticket for the result of a statement."""
    return messages.wrap(_TICKET_PREFIX, _TICKET(statement_handle=handle).SerializeToString())


def begin_transaction_result(transaction_id: bytes) -> bytes:
    """Answer BeginTransaction."""
    return messages.pack(_TRANSACTION(transaction_id=transaction_id))


def put_update_result(record_count: int) -> bytes:
    """Answer an update or an ingest: the rows it touched, or -1 when that is unknown."""
    return bytes(_UPDATE(record_count=record_count).SerializeToString())


def put_prepared_result(handle: bytes) -> bytes:
    """Answer the binding of parameters: the handle to use from now on."""
    return bytes(_REBOUND(prepared_statement_handle=handle).SerializeToString())


def cancel_flight_info_result(status: CancelStatus) -> bytes:
    """Answer CancelFlightInfo."""
    return _bare("CancelFlightInfoResult", status=int(status))


def cancel_query_result(status: CancelStatus) -> bytes:
    """Answer the older CancelQuery."""
    return messages.pack(messages.message("sql.ActionCancelQueryResult")(result=int(status)))


def statement_endpoint(handle: bytes, expires_s: float | None) -> bytes:
    """Where the result of a statement is: here, under a ticket, until a moment in seconds since 1970 if it has one."""
    return bytes(_endpoint(statement_ticket(handle), expires_s).SerializeToString())


def renewed_endpoint(request: RenewFlightEndpoint, expires_s: float) -> bytes:
    """Answer RenewFlightEndpoint: the endpoint as it came, with its new end in seconds since 1970."""
    endpoint = _endpoint(request.ticket, expires_s)
    endpoint.app_metadata = request.app_metadata
    for uri in request.locations:
        endpoint.location.add(uri=uri)
    return bytes(endpoint.SerializeToString())


def _endpoint(ticket: bytes, expires_s: float | None) -> Any:
    endpoint = _ENDPOINT()
    endpoint.ticket.ticket = ticket
    if expires_s is not None:
        seconds, microseconds = divmod(round(expires_s * 1_000_000), 1_000_000)
        endpoint.expiration_time.seconds = seconds
        endpoint.expiration_time.nanos = microseconds * 1_000
    return endpoint


def set_session_options_result(problems: Mapping[str, OptionProblem]) -> bytes:
    """Answer SetSessionOptions: the options that were not set; none when all were."""
    result = messages.message("SetSessionOptionsResult")()
    for name, problem in problems.items():
        result.errors[name].value = int(problem)
    return bytes(result.SerializeToString())


def get_session_options_result(options: Mapping[str, SessionOption]) -> bytes:
    """Answer GetSessionOptions."""
    result = messages.message("GetSessionOptionsResult")()
    for name, value in options.items():
        _set_option(result.session_options[name], value)
    return bytes(result.SerializeToString())


def close_session_result(status: CloseSessionStatus) -> bytes:
    """Answer CloseSession."""
    return _bare("CloseSessionResult", status=int(status))


def _bare(name: str, **fields: Any) -> bytes:
    return bytes(messages.message(name)(**fields).SerializeToString())


def _set_option(field: Any, value: SessionOption) -> None:
    match value:
        case None:
            pass
        case bool():  # before int, of which it is one
            field.bool_value = value
        case str():
            field.string_value = value
        case int():
            field.int64_value = value
        case float():
            field.double_value = value
        case tuple():
            field.string_list_value.SetInParent()  # an empty list is a value, too
            field.string_list_value.values.extend(value)
