"""The values that flow: a Request becomes a Plan, a Plan becomes a stream.

They are frozen: a stage never changes one, it makes the next.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.session import Session

Values = Sequence[object] | Mapping[str, object] | None

Alive = Callable[[], bool] | None
"""Asked now and then while a statement runs; False means that nobody waits for its answer any more."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, in which one role.

    Args:
        name: the user.
        role: the active role, with what it inherits; '' for a user who has none.
        is_admin: the active role is admin, to whom nothing is closed.
        roles: those that the session may choose from, the user's first one first.
        attributes: of the user; row filters ask for them.
        scope: the roles that a token is limited to; None where it is not.
    """

    name: str
    role: str
    is_admin: bool = False
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    scope: frozenset[str] | None = None


OWNER = Principal("owner", "admin", is_admin=True)
"""The embedded owner of a home folder is its administrator."""


Flowing = TypeVar("Flowing", "Request", "Plan")


class Kind(Enum):
    """What a statement does, which decides where and how it runs."""

    SELECT = "select"
    """Streams rows, changes nothing."""
    WRITE = "write"
    """Changes rows; runs to its end at once."""
    DDL = "ddl"
    """Changes the catalog; runs to its end at once."""
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SET = "set"
    """Changes the session."""
    CALL = "call"
    """Runs one of our procedures."""
    EXPLAIN = "explain"
    LOCAL = "local"
    """Lives on the session's home cursor: PREPARE, EXECUTE, DEALLOCATE."""
    SCRIPT = "script"
    """Several statements; the last one's result is the script's."""


@dataclass(frozen=True)
class Request:
    """One statement as it arrives.

    Args:
        text: the SQL, in the session's dialect.
        session: whose settings, transaction and temporary tables it sees.
        values: the parameters, by position or by name.
        query_id: its id in history, logs, traces, tickets and errors.
        client: what the client calls itself.
        timeout_s: stop after so long; None takes the session's or the setting's.
        translated: the text is DuckDB's own already, whatever the session's dialect: a part of a statement was read.
        asker: who asked, when planning began; a session may change its role while one of its statements is planned.
        is_job: it is a call that nobody waits for, at work.
        asked_at: when, by `time.monotonic`: what it reads in storage is listed after that.
    """

    text: str
    session: Session
    values: Values = None
    query_id: str = ""
    client: str = "embedded"
    timeout_s: float | None = None
    translated: bool = False
    asker: Principal | None = None
    is_job: bool = False
    asked_at: float = field(default_factory=time.monotonic)

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.asker or self.session.principal


@dataclass(frozen=True, slots=True)
class Versions:
    """The state of the world a plan was made under; `execute` compares them and plans again when one moved."""

    catalog: int
    policy: int
    role: str
    settings: int
    generation: int = 0
    """Of the engine: it was opened again after a fatal error."""
    changes: int = 0
    """Of tables: how many the outbox knew."""


@dataclass(frozen=True)
class Plan:
    """A statement ready to run.

    Args:
        request: what was asked.
        kind: what it does.
        text: what runs: names resolved, rules applied.
        schema: of the rows; None until parameters are bound, or where only running can tell.
        parameters: (name, DuckDB type) in order; type 'UNKNOWN' where nothing tells.
        relations: Arrow tables the text reads by name, attached to the cursor that runs it.
        rules: the optimiser rules that fired.
        asked: the text before the optimiser.
        returns_rows: it answers with rows of its own, rather than with a count.
        home: it must run on the session's home cursor.
        sources: names of the registered sources it reads.
        storage: locations in remote storage that its planning looked at.
        ruling: what was decided for a governed role; None for an administrator, to whom nothing is closed.
    """

    request: Request
    text: str
    versions: Versions
    kind: Kind = Kind.SELECT
    verb: str = "SELECT"
    schema: pa.Schema | None = None
    types: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    parameter_schema: pa.Schema | None = None
    asked: str = ""
    relations: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    home: bool = False
    returns_rows: bool = False
    sources: tuple[str, ...] = ()
    storage: frozenset[str] = frozenset()
    parts: tuple[str, ...] = ()
    """The statements of a script."""
    opened: tuple[Any, ...] = ()
    """What must be kept as long as the plan: files that the text reads go with it."""
    ruling: Any = None
    detail: Any = None
    """What one kind needs beyond the rest: a procedure's call, an EXPLAIN's inner plan, the settings to change."""


def evolve(value: Flowing, **changes: object) -> Flowing:
    """A copy of a Request or Plan with some fields changed.

    It is `dataclasses.replace` without the constructor: a short statement makes half a dozen of them.

    >>> evolve(Request("SELECT 1", session=None), text="SELECT 2").text
    'SELECT 2'
    """
    new = object.__new__(type(value))
    new.__dict__.update(value.__dict__, **changes)
    return new


def asked_again(request: Request, **changes: object) -> Request:
    """The same statement as a new one: with an id and a moment of its own.

    >>> first = Request("SELECT 1", session=None, query_id=new_query_id())
    >>> again = asked_again(first)
    >>> again.text, again.query_id != first.query_id, again.asked_at >= first.asked_at
    ('SELECT 1', True, True)
    """
    return evolve(request, query_id=new_query_id(), asked_at=time.monotonic(), **changes)


def new_query_id() -> str:
    """A unique id that sorts by time.

    >>> first, second = new_query_id(), new_query_id()
    >>> first != second, len(first)
    (True, 20)
    """
    return f"{time.time_ns() // 1000:014x}"[-14:] + secrets.token_hex(3)
