"""How a command ends: exit codes, and the one boundary where every error becomes a message."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence

import click

from neurolake import errors

__all__ = ["CODES", "OutputClosed", "code_of", "report", "run"]

OK = 0
FAILED = 1
USAGE = 2
CONNECTION = 3
HOME = 4
INTERNAL = 5
PARTIAL = 10
NOTHING_TO_DO = 11
LOCKED = 12
CORRUPT = 13
STORAGE = 14
DRILL = 15
INTERRUPTED = 130
BROKEN_PIPE = 141

CODES = {
    OK: "done",
    FAILED: "the statement or the request failed",
    USAGE: "the command line is wrong",
    CONNECTION: "the server cannot be reached, is not ready, or refused the login",
    HOME: "the lake's folder is in use, missing, of another format, or damaged",
    INTERNAL: "a fault in neurolake",
    PARTIAL: "backup: not all of what was asked for was done",
    NOTHING_TO_DO: "backup: there was nothing to do",
    LOCKED: "backup: the repository is in use",
    CORRUPT: "backup: a snapshot is damaged",
    STORAGE: "backup: the repository's storage failed or is full",
    DRILL: "backup: a restore drill failed",
    INTERRUPTED: "stopped with Ctrl-C",
    BROKEN_PIPE: "whoever read the output went away",
}
"""The exit codes and what they mean. They do not change from release to release."""


class OutputClosed(Exception):
    """Whoever reads standard output went away, as `head` does when it has enough."""


def code_of(error: errors.NeuroLakeError) -> int:
    """The exit code of an error.

    >>> code_of(errors.NotFound("no such table")), code_of(errors.LoginFailed("wrong password"))
    (1, 3)
    """
    if isinstance(error, errors.LoginFailed | errors.Unavailable):
        return CONNECTION
    if isinstance(error, errors.HomeProblem):
        return HOME
    return INTERNAL if isinstance(error, errors.InternalProblem) else FAILED


def code_of_backup(error: errors.NeuroLakeError) -> int | None:
    """The exit code of an error of a backup command; None where it has none of its own.

    >>> code_of_backup(errors.SourceFailed("a flipped bit", code="snapshot_corrupt"))
    13
    """
    code = _OF_BACKUPS.get(error.code)
    if code is None and isinstance(error, errors.SourceFailed):
        return STORAGE
    return code


_OF_BACKUPS = {
    "nothing_to_do": NOTHING_TO_DO,
    "repository_locked": LOCKED,
    "snapshot_corrupt": CORRUPT,
    "repository_full": STORAGE,
    "repository_failed": STORAGE,
    "repository_missing": STORAGE,
}


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command line; errors become messages on standard error and an exit code."""
    as_json = "--json" in arguments
    _make_printable()
    try:
        ended = command.main(list(arguments), prog_name="neurolake", standalone_mode=False)
        sys.stdout.flush()
        return ended if isinstance(ended, int) else OK
    except click.exceptions.Exit as ended_early:
        return ended_early.exit_code
    except click.ClickException as error:
        return _report_usage(error, as_json)
    except errors.NeuroLakeError as error:
        report(error, as_json)
        return code_of(error)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except OutputClosed:
        # Python would try to flush what is left once more, at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        report(_of_system(error), as_json)
        return FAILED
    except Exception as error:  # the boundary: a user is never shown a traceback
        report(_fault(error), as_json)
        return INTERNAL


def report(error: errors.NeuroLakeError, as_json: bool) -> None:
    """Write an error to standard error, for a person or as one JSON object."""
    if as_json:
        shown = {
            "code": error.code,
            "message": error.message,
            "next_step": error.next_step,
            "query_id": error.query_id,
            "retryable": error.retryable,
        }
        click.echo(json.dumps({"error": shown}, ensure_ascii=False), err=True)
        return
    mark = f"{error.code}, query {error.query_id}" if error.query_id else error.code
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message} [{mark}]", err=True)
    if error.next_step:
        click.echo(f"  {error.next_step}", err=True)


def _report_usage(error: click.ClickException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    next_step = None if context is None else f"{context.command_path} --help shows how it is used."
    report(errors.InvalidRequest(error.format_message(), code="usage", next_step=next_step), as_json)
    return USAGE


def _of_system(error: OSError) -> errors.NeuroLakeError:
    where = f"{error.filename}: " if error.filename else ""
    return errors.InvalidRequest(f"{where}{error.strerror or error}.", code="file")


def _fault(error: Exception) -> errors.NeuroLakeError:
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    ours = [f for f in frames if f.f_globals.get("__name__", "").startswith("neurolake")]
    place = f" in {ours[-1].f_globals['__name__']}, line {ours[-1].f_lineno}" if ours else ""
    return errors.InternalProblem(
        f"A fault in neurolake: {type(error).__name__}{place}.", next_step="Please report it with these words."
    )


def _make_printable() -> None:
    """Print what the terminal's encoding lacks as escapes, rather than fail on it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
