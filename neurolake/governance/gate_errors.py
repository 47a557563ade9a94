"""What a governed caller is told of an error: its class, a constraint's name, a name of their own. Never a value.

The engine's messages quote what it met: a duplicate key, a text that is no number, the names of other tables. So they
end here. What NeuroLake itself says, such as that a table may not be read, is passed on.
"""

from __future__ import annotations

import re
from typing import Final

from neurolake import errors
from neurolake.identifiers import fold

_MEANT: Final[tuple[tuple[type[errors.NeuroLakeError], str], ...]] = (
    (errors.SyntaxProblem, "The statement does not parse"),
    (errors.NotFound, "The statement names something that is not there"),
    (errors.AlreadyExists, "A name is taken"),
    (errors.ConstraintViolated, "The write would break a constraint; nothing was written"),
    (errors.ConversionFailed, "A value does not fit the type that it is used as"),
    (errors.NotSupported, "The engine does not support a part of the statement"),
    (errors.InvalidRequest, "The statement does not fit what it names"),
    (errors.AccessDenied, "The engine refuses the statement"),
    (errors.LimitReached, "The statement needs more memory or disk than it may have"),
    (errors.SourceFailed, "The files that the statement reads cannot be read now"),
)
_ABOUT_NAMES: Final = (errors.SyntaxProblem, errors.NotFound, errors.NotSupported, errors.InvalidRequest)
"""Errors of reading and binding a statement, before any value is met."""

_NAMED: Final = re.compile(r'"([^"\n]{1,120})"|\bcolumn (\w+)|\bfunction (\w+)|near "([^"\n]+)"')
_CONSTRAINT: Final = re.compile(
    r"violates (primary key|unique|foreign key) constraint|(NOT NULL) constraint failed: ([\w.]+)|(CHECK) constraint",
    re.IGNORECASE,
)


def told(problem: errors.NeuroLakeError, text: str) -> errors.NeuroLakeError:
    """The error as a governed caller may see it.

    Args:
        problem: what was raised.
        text: the caller's own statement: names that stand in it may be said again.

    >>> engine = errors.ConstraintViolated('Duplicate key "id: 7" violates primary key constraint.')
    >>> engine.from_engine = True
    >>> print(told(engine, "INSERT INTO t SELECT 7"))
    The write would break a constraint; nothing was written: primary key. [constraint]
    """
    if not problem.from_engine and not isinstance(problem, errors.SourceFailed):
        return problem
    kind, meant = next(((k, m) for k, m in _MEANT if isinstance(problem, k)), (None, None))
    if kind is None or meant is None:
        return (
            problem
            if isinstance(problem, errors.Stopped | errors.Unavailable)
            else errors.InternalProblem(
                "The engine met an error.", next_step="An administrator finds it under the query id."
            )
        )
    if problem.code == "dependency":
        meant = "Something else depends on what the statement would remove or change"
    about = _constraint(problem.message, text) if kind is errors.ConstraintViolated else None
    if kind in _ABOUT_NAMES:
        about = _named(problem.message, text)
    safe = kind(f"{meant}{f': {about}' if about else ''}.", code=problem.code, retryable=problem.retryable)
    safe.query_id = problem.query_id
    return safe


def _constraint(message: str, text: str) -> str | None:
    """The constraint; its column only where the caller has named it, since it may be one that is closed to them."""
    found = _CONSTRAINT.search(message)
    if found is None:
        return None
    *kinds, column, check = found.groups()
    named = column if column and _words(column.rpartition(".")[2]) <= _words(text) else None
    return " ".join(part for part in (*kinds, named, check) if part)


def _named(message: str, text: str) -> str | None:
    """The first name in the engine's message, where the caller's own statement has it too."""
    found = _NAMED.search(message.split("\n", 1)[0])
    name = next((part for part in found.groups() if part), None) if found else None
    return name if name is not None and _words(name) and _words(name) <= _words(text) else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", fold(text)))
