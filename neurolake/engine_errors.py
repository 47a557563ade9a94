"""The one map from the engine's exceptions to ours, by the names DuckDB gives them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from neurolake import errors, urls

logger = logging.getLogger("neurolake")

Recover = Callable[[BaseException], errors.NeuroLakeError | None]
"""Gives back what our own file systems raised inside the engine, if an exception is that."""

_KINDS: dict[str, type[errors.NeuroLakeError]] = {
    "ParserException": errors.SyntaxProblem,
    "SyntaxException": errors.SyntaxProblem,
    "CatalogException": errors.NotFound,
    "BinderException": errors.InvalidRequest,
    "ConstraintException": errors.ConstraintViolated,
    "ConversionException": errors.ConversionFailed,
    "OutOfRangeException": errors.ConversionFailed,
    "TypeMismatchException": errors.ConversionFailed,
    "InvalidTypeException": errors.ConversionFailed,
    "InterruptException": errors.Cancelled,
    "NotImplementedException": errors.NotSupported,
    "PermissionException": errors.AccessDenied,
    "OutOfMemoryException": errors.LimitReached,
    "IOException": errors.SourceFailed,
    "SerializationException": errors.SourceFailed,
    "HTTPException": errors.SourceFailed,
    "TransactionException": errors.InvalidRequest,
    "DependencyException": errors.InvalidRequest,
    "InvalidInputException": errors.InvalidRequest,
    "SequenceException": errors.InvalidRequest,
}

_CODES: dict[str, str] = {
    "BinderException": "binding",
    "TransactionException": "transaction",
    "DependencyException": "dependency",
    "OutOfMemoryException": "memory_limit",
}

_NEXT: dict[str, str] = {
    "OutOfMemoryException": "Raise memory_bytes_max or temp_bytes_max, or make the statement hold less.",
    "TransactionException": "ROLLBACK, then run the transaction again.",
}

_PREFIXES = {
    "INTERRUPT Error": "InterruptException",
    "Out of Memory Error": "OutOfMemoryException",
    "Conversion Error": "ConversionException",
    "Out of Range Error": "OutOfRangeException",
    "Invalid Input Error": "InvalidInputException",
    "Constraint Error": "ConstraintException",
    "IO Error": "IOException",
    "Binder Error": "BinderException",
    "Catalog Error": "CatalogException",
    "Not implemented Error": "NotImplementedException",
    "Serialization Error": "SerializationException",
    "FATAL Error": "FatalException",
    "TransactionContext Error": "TransactionException",
    "Permission Error": "PermissionException",
    "Invalid Error": "InvalidInputException",
}

DAMAGED_FILE = re.compile(
    r"Parquet file is likely corrupted|\ATProtocolException|\APayload value bigger than allowed|\Adon't know what type"
    r"|\AOut of buffer|\Ainvalid TType|\AVariable-length int over"
)
"""What readers of Parquet files say as an exception of no kind."""

_HEAD = re.compile(r"^[A-Za-z]+(?: [A-Za-z]+)* Error: ")
_FATAL = re.compile(r"database has been invalidated", re.IGNORECASE)
_FRAME = re.compile(r"([\w.-]+\([\w.]*\+0x[0-9a-f]+\)) \[0x[0-9a-f]+\]$", re.MULTILINE)
"""A line of the stack trace that the engine appends to the message of an internal error."""
_DAMAGE = re.compile(r"corrupt (?:WAL|database) file: [\w ,-]+", re.IGNORECASE)
"""What the engine says of a damaged file of its own: kinds of blocks, places and checksums."""


def translate(error: BaseException, recover: Recover | None) -> errors.NeuroLakeError:
    """Our form of one of the engine's exceptions."""
    if recover is not None and (found := recover(error)):
        return found
    return _named([kind.__name__ for kind in type(error).__mro__], str(error))


def translate_stream(error: BaseException, recover: Recover | None) -> errors.NeuroLakeError:
    """Our form of what a stream raised: Arrow wraps the engine's exceptions, and keeps no more than their text."""
    if recover is not None and (found := recover(error)):
        return found
    text = str(error)
    return _named([kind for prefix, kind in _PREFIXES.items() if text.startswith(prefix)], text)


def pass_on_ctrl_c(error: BaseException) -> None:
    """DuckDB's Python layer hears Ctrl-C as well, and raises it under another name when it is the first to."""
    if isinstance(error, RuntimeError) and "interrupted" in str(error).casefold():
        raise KeyboardInterrupt from None


def restarted() -> errors.Unavailable:
    """What a statement is told that the engine's restart has ended."""
    return errors.Unavailable(
        "The engine met a fatal error and was restarted; nothing committed is lost.",
        code="engine_restarted",
        next_step="Run the statement again.",
    )


def _named(kinds: list[str], text: str) -> errors.NeuroLakeError:
    text = urls.hidden(text)
    if "FatalException" in kinds or _FATAL.search(text):
        _log("fatal engine error", kinds, text)
        return restarted()
    kind = next((kind for kind in kinds if kind in _KINDS), None)
    if kind is None and "InternalException" not in kinds and DAMAGED_FILE.search(text):
        kind = "IOException"
    if kind is None or "InternalException" in kinds:
        _log("engine error", kinds, text)
        return errors.InternalProblem("The engine met an internal error.", next_step="See the log.")
    return _shaped(kind, _HEAD.sub("", text.split("\n\nStack Trace", 1)[0]).strip())


def _log(what: str, kinds: list[str], text: str) -> None:
    """Log what kind of error it is and where the engine met it. Its words may quote rows and keys: none but those
    about damaged files are kept."""
    kind, damage = next(iter(kinds), "of no known kind"), _DAMAGE.findall(text)
    logger.error("%s: %s", what, "\n  at ".join([": ".join([kind, *damage]), *_FRAME.findall(text)]))


def _shaped(kind: str, message: str) -> errors.NeuroLakeError:
    code, next_step = _CODES.get(kind), _NEXT.get(kind)
    target = _KINDS[kind]
    if kind == "InterruptException":
        message = "The statement was cancelled."
    elif kind == "CatalogException" and "already exists" in message:
        target = errors.AlreadyExists
    elif kind == "CatalogException" and message.startswith("Could not drop"):
        target, code = errors.InvalidRequest, "dependency"
        next_step = "Drop what depends on it first."
    elif kind == "IOException" and "No space left on device" in message:
        target, code = errors.LimitReached, "disk_full"
        next_step = "Free space on the disk that holds the home folder, then run the statement again."
    elif "configuration has been locked" in message:
        message = "This setting belongs to the whole instance and cannot be changed by a statement."
        code, next_step = "setting_locked", "Change it in neurolake.toml and start again."
    problem = target(message, code=code, next_step=next_step)
    problem.from_engine = True
    return problem
