"""The one map from NeuroLake's errors to what Flight sends, and the boundary every handler stands behind.

| raised inside                                    | gRPC status       | as ADBC's dbapi shows it |
|--------------------------------------------------|-------------------|--------------------------|
| `LoginFailed`                                    | UNAUTHENTICATED   | ProgrammingError         |
| `AccessDenied`                                   | PERMISSION_DENIED | ProgrammingError         |
| `NotFound`                                       | NOT_FOUND         | ProgrammingError         |
| `NotSupported`                                   | UNIMPLEMENTED     | NotSupportedError        |
| `InvalidRequest` and the rest of its kinds       | INVALID_ARGUMENT  | ProgrammingError         |
| `Cancelled`, `Stopped`                           | CANCELLED         | OperationalError         |
| `TimedOut`                                       | DEADLINE_EXCEEDED | OperationalError         |
| anything `retryable`, such as `Unavailable`      | UNAVAILABLE       | OperationalError         |
| `LimitReached`, `SourceFailed`, `HomeProblem`    | UNKNOWN           | OperationalError         |
| `InternalProblem`, and whatever is not ours      | INTERNAL          | InternalError            |

pyarrow offers a Python server no ALREADY_EXISTS and no RESOURCE_EXHAUSTED, so the first goes as INVALID_ARGUMENT and
the second as UNKNOWN: the stable code in the message tells them apart.
"""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NoReturn, ParamSpec, TypeVar

import pyarrow as pa
import pyarrow.flight as paflight

from neurolake.errors import (
    AccessDenied,
    Cancelled,
    InternalProblem,
    InvalidRequest,
    LoginFailed,
    NeuroLakeError,
    NotFound,
    NotSupported,
    Stopped,
    TimedOut,
    Unavailable,
)

__all__ = ["Guarded", "boundary", "schema_boundary", "to_flight"]

P = ParamSpec("P")
T = TypeVar("T")

_log: Final = logging.getLogger("neurolake.flight")

# gRPC's C core starts to refuse trailers at 8 KiB in all, and the client then sees only that it did.
_TRAILER_BYTES_MAX: Final = 6_000
_MESSAGE_END_CHARS: Final = 200


def _refuse_traceback(_: BaseException) -> NoReturn:
    raise LookupError


def _traceless(name: str, base: type[Exception]) -> type[Exception]:
    """Derive an exception whose traceback pyarrow cannot send.

    pyarrow appends `traceback.format_exception` of every exception but a FlightError to the status a client reads,
    server paths and source lines included, and of a FlightError too where it is raised in GetSchema or under a
    RecordBatchReader; `raise … from None` drops only the chain. Formatting asks for `__cause__` first; where that
    fails, pyarrow sends the class's name instead, so that is a name a user can read.
    """
    return type(name, (base,), {"__cause__": property(_refuse_traceback), "__module__": __name__})


_Unauthenticated: Final = _traceless("Unauthenticated", paflight.FlightUnauthenticatedError)
_Unauthorized: Final = _traceless("Unauthorized", paflight.FlightUnauthorizedError)
_InvalidArgument: Final = _traceless("InvalidArgument", pa.ArrowInvalid)
_NotFound: Final = _traceless("NotFound", pa.ArrowKeyError)
_Unimplemented: Final = _traceless("Unimplemented", pa.ArrowNotImplementedError)
_Cancelled: Final = _traceless("Cancelled", paflight.FlightCancelledError)
_TimedOut: Final = _traceless("TimedOut", paflight.FlightTimedOutError)
_Unavailable: Final = _traceless("Unavailable", paflight.FlightUnavailableError)
_Failed: Final = _traceless("Failed", paflight.FlightServerError)
_Internal: Final = _traceless("Internal", paflight.FlightInternalError)

# Looked up along an error's classes, nearest first.
_KINDS: Final[dict[type, type[Exception]]] = {
    LoginFailed: _Unauthenticated,
    AccessDenied: _Unauthorized,
    NotFound: _NotFound,
    NotSupported: _Unimplemented,
    InvalidRequest: _InvalidArgument,
    TimedOut: _TimedOut,
    Stopped: _Cancelled,
    Unavailable: _Unavailable,
    InternalProblem: _Internal,
    NeuroLakeError: _Failed,
}


def to_flight(error: Exception) -> Exception:
    """The exception to raise inside pyarrow so that a client gets `error` as it should, and nothing of the server's.

    What is no `NeuroLakeError` is logged in full under a new id, and the client is told the id alone.

    >>> from neurolake.errors import SyntaxProblem
    >>> to_flight(SyntaxProblem("There is a comma too many.", query_id="q7"))
    InvalidArgument('There is a comma too many. [syntax, query q7]')
    """
    if isinstance(error, NeuroLakeError):
        ours = error
    elif isinstance(error, paflight.FlightCancelledError):
        ours = Cancelled("The client ended the call.")
    elif isinstance(error, paflight.FlightTimedOutError):
        ours = TimedOut("The client's deadline for the call has passed.")
    else:
        ours = _unexpected(error)
    return _kind(ours)(_fit(str(ours)))


def _kind(error: NeuroLakeError) -> type[Exception]:
    if error.retryable:
        return _Unavailable
    return next(_KINDS[kind] for kind in type(error).__mro__ if kind in _KINDS)


def _fit(text: str) -> str:
    """Shorten a message to what a client's gRPC takes as trailers, keeping its end: the next step, code and query."""
    # A NUL would end the text in drivers written in C.
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if sum(map(_trailer_bytes, text)) <= _TRAILER_BYTES_MAX:
        return text
    end = f" … {text[-_MESSAGE_END_CHARS:]}"
    room = _TRAILER_BYTES_MAX - sum(map(_trailer_bytes, end))
    for kept, character in enumerate(text):
        room -= _trailer_bytes(character)
        if room < 0:
            return text[:kept] + end
    return text


def _trailer_bytes(character: str) -> int:
    # Sent percent-encoded in one trailer and as base64 in a second.
    return 3 if " " <= character <= "~" and character != "%" else 5 * len(character.encode())


def _unexpected(error: Exception) -> InternalProblem:
    incident = secrets.token_hex(6)
    _log.error("internal error, id %s", incident, exc_info=error)
    return InternalProblem(
        f"internal error, id {incident}.", next_step="The server's log has the details under that id."
    )


def boundary(handler: Callable[P, T]) -> Callable[P, T]:
    """Decorate an RPC handler: whatever it raises reaches the client as the table above says.

    >>> @boundary
    ... def get_flight_info() -> None:
    ...     raise Unavailable("The server is shutting down.")
    >>> try:
    ...     get_flight_info()
    ... except paflight.FlightUnavailableError as error:
    ...     print(error)
    The server is shutting down. [unavailable]
    """

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return handler(*args, **kwargs)
        except Exception as error:
            raise to_flight(error) from None

    return guarded


def schema_boundary(handler: Callable[P, T]) -> Callable[P, T]:
    """The boundary of GetSchema, in which pyarrow knows three statuses and sends any other as UNKNOWN.

    A refusal goes as INVALID_ARGUMENT, so that drivers show it as the same kind of exception as elsewhere.
    """

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return handler(*args, **kwargs)
        except AccessDenied as error:
            raise _InvalidArgument(_fit(str(error))) from None
        except Exception as error:
            raise to_flight(error) from None

    return guarded


class Guarded(Iterator[T]):
    """An iterator behind the boundary: for the batches of a stream and the results of an action.

    A generator handed to pyarrow runs outside the handler that made it, so its errors pass the handler's boundary by.

    >>> list(Guarded([1, 2]))
    [1, 2]
    """

    __slots__ = ("__weakref__", "_items")

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return next(self._items)
        except StopIteration:
            raise
        except Exception as error:
            raise to_flight(error) from None
