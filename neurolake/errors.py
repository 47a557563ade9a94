"""Every error NeuroLake raises, in one tree.

    NeuroLakeError
    ├── InvalidRequest          the caller can mend it: the text, a name, a value
    │   ├── SyntaxProblem       the SQL does not parse
    │   ├── NotFound            a relation, column, file, user, query … that is not there
    │   ├── AlreadyExists       a name that is taken
    │   ├── ConstraintViolated  a write that breaks a constraint
    │   ├── ConversionFailed    a value that does not fit its type
    │   └── NotSupported        valid, but nothing here can do it
    ├── AccessDenied            who you are, or what you may do
    │   └── LoginFailed
    ├── Stopped                 the statement was ended before its end
    │   ├── Cancelled
    │   └── TimedOut
    ├── LimitReached            a documented limit; the message names its setting
    ├── SourceFailed            data that cannot be read: storage, format, contents
    ├── Unavailable             try again: overload, shutdown, restart, a stale plan
    ├── HomeProblem             the home folder: in use, no lake, too new, damaged
    └── InternalProblem         ours to mend; details are in the server's log, not in the message

A message says what happened, its `code` is stable, and `next_step` says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar, Self

__all__ = [
    "AccessDenied",
    "AlreadyExists",
    "Cancelled",
    "ConstraintViolated",
    "ConversionFailed",
    "HomeProblem",
    "InternalProblem",
    "InvalidRequest",
    "LimitReached",
    "LoginFailed",
    "NeuroLakeError",
    "NotFound",
    "NotSupported",
    "SourceFailed",
    "Stopped",
    "SyntaxProblem",
    "TimedOut",
    "Unavailable",
    "from_code",
]


class NeuroLakeError(Exception):
    """The root of the tree.

    Args:
        message: what happened, in one sentence a user understands. Never holds a secret.
        code: the stable, lower-case identifier; by default the class's own.
        next_step: what the user can do about it.
        query_id: the statement it belongs to, when there is one.

    >>> error = NotFound("There is no table named 'order'.", next_step="Did you mean 'orders'?")
    >>> print(error)
    There is no table named 'order'. Did you mean 'orders'? [not_found]
    >>> error.retryable
    False
    """

    code: ClassVar[str] = "error"
    narrower: ClassVar[frozenset[str]] = frozenset()
    """Other codes of this class that no gRPC status tells from others': `from_code` finds the class by them."""
    retryable: ClassVar[bool] = False
    from_engine = False
    """Whether the message is the engine's, which quotes what it met: governed callers are not told it."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        next_step: str | None = None,
        query_id: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.query_id = query_id
        if code is not None:
            self.code = code  # type: ignore[misc]
        if retryable is not None:
            self.retryable = retryable  # type: ignore[misc]

    def __str__(self) -> str:
        marks = [self.code]
        if self.query_id:
            marks.append(f"query {self.query_id}")
        words = [self.message]
        if self.next_step:
            words.append(self.next_step)
        return f"{' '.join(words)} [{', '.join(marks)}]"


class InvalidRequest(NeuroLakeError):
    """The request itself must change before it can work."""

    code = "invalid_request"


class SyntaxProblem(InvalidRequest):
    """The SQL text does not parse."""

    code = "syntax"


class NotFound(InvalidRequest):
    """Something named in the request does not exist."""

    code = "not_found"


class AlreadyExists(InvalidRequest):
    """A name is taken."""

    code = "already_exists"


class ConstraintViolated(InvalidRequest):
    """A write would break a constraint; nothing was written."""

    code = "constraint"


class ConversionFailed(InvalidRequest):
    """A value does not fit the type it is used as."""

    code = "conversion"


class NotSupported(InvalidRequest):
    """Understood, but not something this engine does."""

    code = "not_supported"


class AccessDenied(NeuroLakeError):
    """The principal may not do this."""

    code = "access_denied"
    about: tuple[tuple[str, str], ...] = ()
    """What was closed, each a schema and a name: for the audit log alone, since a view may hide it from the caller."""

    def on(self, *names: tuple[str, str]) -> Self:
        """The same error, which knows what it is about."""
        self.about = names
        return self


class LoginFailed(AccessDenied):
    """The credentials do not identify anyone, or no longer do."""

    code = "login_failed"


class Stopped(NeuroLakeError):
    """A statement was ended before its end."""

    code = "stopped"


class Cancelled(Stopped):
    """Somebody cancelled the statement, or its client went away."""

    code = "cancelled"


class TimedOut(Stopped):
    """The statement ran into its time limit."""

    code = "timed_out"


class LimitReached(NeuroLakeError):
    """A limit was reached; the message names the setting that moves it."""

    code = "limit_reached"
    narrower = frozenset((
        "disk_full", "home_buffer_full", "memory_limit", "repository_full", "source_too_large", "statement_too_deep",
    ))  # fmt: skip


class SourceFailed(NeuroLakeError):
    """Data could not be read: the storage, the format or the contents are at fault."""

    code = "source_failed"
    narrower = frozenset(("host_key", "scan_incomplete")) | frozenset(
        f"source_{what}"
        for what in (
            "bucket_missing", "changed", "changed_columns", "credentials", "denied", "empty", "missing", "truncated",
            "unreachable",
        )
    ) | {"repository_failed", "repository_listing", "repository_missing", "snapshot_corrupt"}  # fmt: skip


class Unavailable(NeuroLakeError):
    """Not now: the same request may work later."""

    code = "unavailable"
    retryable = True


class HomeProblem(NeuroLakeError):
    """The home folder cannot be used as asked."""

    code = "home"


class InternalProblem(NeuroLakeError):
    """A fault of ours; the log has the details under the query id."""

    code = "internal"


def from_code(code: str, message: str) -> NeuroLakeError:
    """Rebuild an error that crossed the wire from its code and rendered message.

    >>> type(from_code("timed_out", "too slow")).__name__
    'TimedOut'
    >>> type(from_code("source_denied", "no")).__name__, from_code("source_denied", "no").code
    ('SourceFailed', 'source_denied')
    """
    pending: list[type[NeuroLakeError]] = [NeuroLakeError]
    while pending:
        kind = pending.pop()
        if kind.code == code or code in kind.narrower:
            return kind(message, code=code)
        pending.extend(kind.__subclasses__())
    return NeuroLakeError(message, code=code)
