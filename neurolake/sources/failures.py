"""Errors of storage: what each says, and how it gets through DuckDB unharmed.

DuckDB turns an exception of a registered file system into text. So each of ours carries a random mark in its
message, and `Failures.recover` finds the error again by the mark in whatever exception comes out at the other end:
`duckdb.Error` where a statement is bound or run, `OSError` where its Arrow stream is read.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from urllib.parse import urlsplit, urlunsplit

from neurolake import errors, urls

KEPT = 1000
"""How many errors are remembered; an older one comes out as the engine's text."""

_MARK = re.compile(r"\[storage-([0-9a-f]{16})\]")


def shown(location: str) -> str:
    """A location as a message may name it: without a query string or a password, which may be secrets.

    >>> shown("https://me:pw@host/x.parquet?X-Amz-Signature=abc"), shown("s3://lake/50%.csv?")
    ('https://host/x.parquet', 's3://lake/50%.csv?')
    """
    if not location.lower().startswith(("http://", "https://")):
        return urls.hidden(location)
    parts = urlsplit(location)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def empty(pattern: str) -> errors.SourceFailed:
    """A pattern that no file matches."""
    return errors.SourceFailed(
        f"No file matches {shown(pattern)}.",
        code="source_empty",
        next_step="Check the pattern, or add the first file.",
    )


def missing(location: str) -> errors.SourceFailed:
    """A file that is not there."""
    return errors.SourceFailed(
        f"There is no file {shown(location)}.", code="source_missing", next_step="Check the path."
    )


def bucket_missing(location: str) -> errors.SourceFailed:
    """A bucket that is not there."""
    bucket = location.partition("://")[2].partition("/")[0]
    return errors.SourceFailed(
        f"There is no bucket {bucket}, which {shown(location)} names.",
        code="source_bucket_missing",
        next_step="Check the bucket's name, and the endpoint in its [storage] table.",
    )


CHECK_LOGIN = "Check the user and the secret that are configured for this prefix."


def bad_credentials(location: str, why: str, next_step: str) -> errors.SourceFailed:
    """Keys that the server does not take."""
    return errors.SourceFailed(
        f"The credentials for {shown(location)} were refused: {why}.",
        code="source_credentials",
        next_step=next_step,
    )


def denied(location: str, action: str = "read") -> errors.SourceFailed:
    """Keys that are good, but not for this."""
    return errors.SourceFailed(
        f"The server does not allow these credentials to {action} {shown(location)}.",
        code="source_denied",
        next_step="Grant them s3:ListBucket and s3:GetObject there, or configure others for this prefix."
        if location.startswith("s3")
        else "Configure credentials for this prefix, or ask whoever owns it.",
    )


def unreachable(location: str, why: str, next_step: str | None = None) -> errors.SourceFailed:
    """A server that does not answer, or answers only that it cannot now."""
    return errors.SourceFailed(
        f"{shown(location)} cannot be reached: {why}.",
        code="source_unreachable",
        next_step=next_step or "Check the endpoint and the network, then run the statement again.",
        retryable=True,
    )


def changed(location: str, how: str = "was replaced") -> errors.SourceFailed:
    """A file that is no longer the one the statement began to read."""
    return errors.SourceFailed(
        f"{shown(location)} {how} while it was read.",
        code="source_changed",
        next_step="Run the statement again.",
        retryable=True,
    )


def truncated(location: str, why: str) -> errors.SourceFailed:
    """An answer with fewer bytes than it must have."""
    return errors.SourceFailed(
        f"The server sent {shown(location)} incompletely: {why}.",
        code="source_truncated",
        next_step="Run the statement again; if it stays so, check the server and what stands before it.",
        retryable=True,
    )


def abandoned(location: str) -> errors.Cancelled:
    """A request whose statement was stopped."""
    return errors.Cancelled(f"Reading {shown(location)} was given up: its statement was stopped.")


def again(problem: errors.NeuroLakeError) -> errors.NeuroLakeError:
    """A copy to raise: what is raised belongs to one thread and one statement."""
    return type(problem)(problem.message, code=problem.code, next_step=problem.next_step, retryable=problem.retryable)


class StorageFault(Exception):
    """What our file systems raise into DuckDB: an error's message and its mark."""


class Failures:
    """The errors on their way through DuckDB."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, errors.NeuroLakeError] = OrderedDict()
        self._lock = threading.Lock()

    def carry(self, problem: errors.NeuroLakeError) -> StorageFault:
        """An exception to raise into DuckDB that `recover` knows again."""
        mark = secrets.token_hex(8)
        with self._lock:
            self._known[mark] = problem
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return StorageFault(f"{problem.message} [storage-{mark}]")

    def recover(self, error: BaseException) -> errors.NeuroLakeError | None:
        """The error of ours that an exception out of DuckDB stands for; None where it is none of ours.

        >>> failures = Failures()
        >>> text = str(failures.carry(missing("s3://lake/x")))
        >>> failures.recover(OSError(f"Invalid Error: Traceback … {text}")).code
        'source_missing'
        """
        for mark in _MARK.findall(str(error)):
            if (found := self._known.get(mark)) is not None:
                return again(found)
        return None
