"""What a client asks for through DoAction, as plain values.

Flight SQL's own actions come wrapped in `google.protobuf.Any`; those of Flight itself (cancel, renew, sessions) come
bare. `decode_action` knows which.

>>> from flight.protocol import messages
>>> request = messages.message("sql.ActionCreatePreparedStatementRequest")(query="select ?")
>>> decode_action("CreatePreparedStatement", messages.pack(request))
CreatePreparedStatement(query='select ?', transaction_id=None)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError

from flight.protocol import messages
from flight.protocol.commands import ITEMS_MAX, check_size, malformed, unknown
from neurolake.errors import InvalidRequest, LimitReached, NotSupported

__all__ = [
    "ACTION_TYPES",
    "Action",
    "BeginTransaction",
    "CancelFlightInfo",
    "CancelQuery",
    "ClosePreparedStatement",
    "CloseSession",
    "CreatePreparedStatement",
    "EndTransaction",
    "GetSessionOptions",
    "RenewFlightEndpoint",
    "SessionOption",
    "SetSessionOptions",
    "TransactionEnd",
    "decode_action",
]

SessionOption: TypeAlias = str | bool | int | float | tuple[str, ...] | None
"""A session option's value; None unsets it."""


@dataclass(frozen=True, slots=True)
class CreatePreparedStatement:
    """Prepare a statement."""

    query: str
    transaction_id: bytes | None


@dataclass(frozen=True, slots=True)
class ClosePreparedStatement:
    """Let a prepared statement go."""

    handle: bytes


@dataclass(frozen=True, slots=True)
class BeginTransaction:
    """Open a transaction."""


class TransactionEnd(Enum):
    """The two ways a transaction ends."""

    COMMIT = 1
    ROLLBACK = 2


@dataclass(frozen=True, slots=True)
class EndTransaction:
    """End a transaction."""

    transaction_id: bytes
    end: TransactionEnd


@dataclass(frozen=True, slots=True)
class CancelFlightInfo:
    """Cancel what the tickets of a FlightInfo stand for."""

    tickets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CancelQuery:
    """The older, Flight SQL form of `CancelFlightInfo`; its answer is another message."""

    tickets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RenewFlightEndpoint:
    """Give a ticket more time. All but `ticket` goes back to the client as it came."""

    ticket: bytes
    locations: tuple[str, ...]
    app_metadata: bytes


@dataclass(frozen=True, slots=True)
class SetSessionOptions:
    """Change options of the session."""

    options: Mapping[str, SessionOption]


@dataclass(frozen=True, slots=True)
class GetSessionOptions:
    """List the options of the session."""


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End the session."""


Action: TypeAlias = (
    CreatePreparedStatement
    | ClosePreparedStatement
    | BeginTransaction
    | EndTransaction
    | CancelFlightInfo
    | CancelQuery
    | RenewFlightEndpoint
    | SetSessionOptions
    | GetSessionOptions
    | CloseSession
)


def _end_transaction(sent: Any) -> EndTransaction:
    try:
        return EndTransaction(sent.transaction_id, TransactionEnd(sent.action))
    except ValueError:
        raise InvalidRequest(
            "The request does not say how the transaction ends.", next_step="Send commit or rollback."
        ) from None


def _tickets(info: Any) -> tuple[bytes, ...]:
    if len(info.endpoint) > ITEMS_MAX:
        raise LimitReached(
            f"The FlightInfo has {len(info.endpoint):,} endpoints; at most {ITEMS_MAX:,} are read.",
            next_step="Cancel with a FlightInfo as this server sent it.",
        )
    return tuple(endpoint.ticket.ticket for endpoint in info.endpoint)


_parse_flight_info: Final = messages.message("FlightInfo").FromString


def _renew(sent: Any) -> RenewFlightEndpoint:
    endpoint = sent.endpoint
    locations = tuple(location.uri for location in endpoint.location[:ITEMS_MAX])
    return RenewFlightEndpoint(endpoint.ticket.ticket, locations, endpoint.app_metadata)


def _option(sent: Any) -> SessionOption:
    kind = sent.WhichOneof("option_value")
    if kind is None:
        return None
    value = getattr(sent, kind)
    return tuple(value.values) if kind == "string_list_value" else value


def _set_session_options(sent: Any) -> SetSessionOptions:
    if len(sent.session_options) > ITEMS_MAX:
        raise LimitReached(
            f"The request sets {len(sent.session_options):,} options; at most {ITEMS_MAX:,} are read.",
            next_step="Set fewer options.",
        )
    options = {name: _option(value) for name, value in sorted(sent.session_options.items())}
    return SetSessionOptions(MappingProxyType(options))


def _savepoint(_: Any) -> Action:
    raise NotSupported("Savepoints do not exist here.", next_step="Use one transaction for each unit of work.")


def _substrait(_: Any) -> Action:
    raise NotSupported("Substrait plans are not run here.", next_step="Send the statement as SQL.")


_Reader: TypeAlias = Callable[[Any], Action]

_WRAPPED: Final[dict[str, tuple[str, _Reader]]] = {
    "CreatePreparedStatement": (
        "ActionCreatePreparedStatementRequest",
        lambda sent: CreatePreparedStatement(sent.query, sent.transaction_id or None),
    ),
    "ClosePreparedStatement": (
        "ActionClosePreparedStatementRequest",
        lambda sent: ClosePreparedStatement(sent.prepared_statement_handle),
    ),
    "BeginTransaction": ("ActionBeginTransactionRequest", lambda _: BeginTransaction()),
    "EndTransaction": ("ActionEndTransactionRequest", _end_transaction),
    "CancelQuery": (
        "ActionCancelQueryRequest",
        lambda sent: CancelQuery(_tickets(_parse_flight_info(sent.info))),
    ),
    "CreatePreparedSubstraitPlan": ("ActionCreatePreparedSubstraitPlanRequest", _substrait),
    "BeginSavepoint": ("ActionBeginSavepointRequest", _savepoint),
    "EndSavepoint": ("ActionEndSavepointRequest", _savepoint),
}

_BARE: Final[dict[str, tuple[str, _Reader]]] = {
    "CancelFlightInfo": ("CancelFlightInfoRequest", lambda sent: CancelFlightInfo(_tickets(sent.info))),
    "RenewFlightEndpoint": ("RenewFlightEndpointRequest", _renew),
    "SetSessionOptions": ("SetSessionOptionsRequest", _set_session_options),
    "GetSessionOptions": ("GetSessionOptionsRequest", lambda _: GetSessionOptions()),
    "CloseSession": ("CloseSessionRequest", lambda _: CloseSession()),
}

ACTION_TYPES: Final = (
    ("CreatePreparedStatement", "Prepare a statement: its handle, result schema and parameter schema."),
    ("ClosePreparedStatement", "Let a prepared statement go."),
    ("BeginTransaction", "Open a transaction: its id."),
    ("EndTransaction", "Commit a transaction or roll it back."),
    ("CancelFlightInfo", "Cancel the query behind a FlightInfo."),
    ("CancelQuery", "Cancel the query behind a FlightInfo (the older form)."),
    ("RenewFlightEndpoint", "Give a ticket more time."),
    ("SetSessionOptions", "Change options of the session."),
    ("GetSessionOptions", "List the options of the session."),
    ("CloseSession", "End the session."),
)
"""What ListActions answers: the actions served, each with what it does."""

# Which message an action's name asks for, the type URL it must be wrapped under ("" when it comes bare), its reader.
_DECODERS: Final = {
    action: (messages.TYPE_URL_PREFIX + name, messages.message(f"sql.{name}").FromString, read)
    for action, (name, read) in _WRAPPED.items()
} | {action: ("", messages.message(name).FromString, read) for action, (name, read) in _BARE.items()}


def decode_action(action: str, body: bytes) -> Action:
    """Decode an action by its name and body.

    Raises:
        InvalidRequest: the body is not the message that the action takes.
        NotSupported: an action we do not serve, savepoints among them.
        LimitReached: the body is larger, or holds more entries, than is read.
    """
    known = _DECODERS.get(action)
    if known is None:
        raise unknown("action", action)
    check_size(body)
    type_url, parse, read = known
    try:
        if type_url:
            sent_url, body = messages.unpack(body)
            if sent_url != type_url:
                raise malformed(f"body of the action {action}")
        return read(parse(body))
    except DecodeError:
        raise malformed(f"body of the action {action}") from None
