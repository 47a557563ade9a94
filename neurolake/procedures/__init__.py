"""The procedure registry: everything an administrator or a user can do, callable from SQL and so from every client.

A procedure is a typed function whose first argument is the Context and whose answer is an Arrow table of the schema
it declares. Its docstring is its help; the CLI and the Python methods are thin callers of the same registry.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors
from neurolake.query import Principal

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session


@dataclass(frozen=True, slots=True)
class Context:
    """What a procedure may use: the engine, the caller's session, and the query it runs under."""

    engine: Engine
    session: Session
    query_id: str

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return self.session.principal


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. `type` is a plain Python type; `required` arguments have no default."""

    name: str
    type: type
    optional: bool
    required: bool
    default: Any
    secret: bool

    def __str__(self) -> str:
        return self.name if self.required else f"{self.name} => {_sql(self.default)}"


@dataclass(frozen=True, slots=True)
class Procedure:
    """One entry of the registry."""

    name: str
    function: Callable[..., pa.Table]
    arguments: tuple[Argument, ...]
    returns: pa.Schema
    privilege: str
    help: str
    per_object: bool = False
    long: bool = False

    def waited_for(self, positional: Sequence[Any], named: Mapping[str, Any]) -> bool:
        """Whether a call wants the answer, rather than to go on as a job."""
        names = (argument.name for argument in self.arguments)
        return not self.long or {**dict(zip(names, positional, strict=False)), **named}.get(WAIT.name) is not False


WAIT = Argument("wait", bool, False, False, True, False)
"""The last argument of a procedure that may take long."""
JOB = pa.schema([("query_id", pa.string())])
"""What its call answers with where it goes on as a job."""
REGISTRY: dict[str, Procedure] = {}


def procedure(
    returns: pa.Schema,
    *,
    privilege: str = "admin",
    secret: Sequence[str] = (),
    per_object: bool = False,
    long: bool = False,
) -> Callable[[Callable[..., pa.Table]], Callable[..., pa.Table]]:
    """Enter a function into the registry. Arguments named in `secret` are never stored, logged or shown.

    `privilege` is what a caller needs on the lake: call, admin … With `own` everybody may call it, and the procedure
    itself refuses what is not the caller's to do; with `per_object` the privilege is needed on the object that the
    call is about, which the procedure checks as well. A `long` one takes `wait => false`, and then goes on as a job.
    """

    def enter(function: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
        hints = typing.get_type_hints(function, localns={"Context": Context})
        arguments = [
            _argument(p, hints[p.name], p.name in secret)
            for p in list(inspect.signature(function).parameters.values())[1:]
        ]
        arguments += [WAIT] * long
        help_text = inspect.getdoc(function) or ""
        REGISTRY[function.__name__] = Procedure(
            function.__name__, function, tuple(arguments), returns, privilege, help_text, per_object, long
        )
        return function

    return enter


def find(name: str) -> Procedure:
    """The procedure of that name.

    Raises:
        NotFound: there is none; the message names the nearest.
    """
    load_all()
    found = REGISTRY.get(name)
    if found is None:
        near = get_close_matches(name, REGISTRY, 1)
        raise errors.NotFound(
            f"There is no procedure neurolake.{name}.",
            code="procedure_unknown",
            next_step=f"Did you mean neurolake.{near[0]}?"
            if near
            else "SELECT * FROM neurolake.procedures lists them.",
        )
    return found


@functools.cache
@functools.cache
def secretive() -> tuple[str, ...]:
    """The names of the procedures that take a secret."""
    load_all()
    return tuple(found.name for found in REGISTRY.values() if any(a.secret for a in found.arguments))


def bind(found: Procedure, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Match values to arguments and check their types.

    Raises:
        InvalidRequest: one is unknown, given twice, missing, or of the wrong type.
    """
    names = [argument.name for argument in found.arguments]
    if len(positional) > len(names):
        raise _misfit(found, f"takes {len(names)} arguments, and {len(positional)} were given")
    values = dict(zip(names, positional, strict=False))
    for name, value in named.items():
        if name not in names:
            raise _misfit(found, f"has no argument named {name}")
        if name in values:
            raise _misfit(found, f"was given {name} twice")
        values[name] = value
    for argument in found.arguments:
        if argument.name not in values:
            if argument.required:
                raise _misfit(found, f"needs its argument {argument.name}")
            values[argument.name] = argument.default
        values[argument.name] = _checked(found, argument, values[argument.name])
    return values


def load_all() -> None:
    """Import every module that holds procedures."""
    from neurolake.procedures import (  # noqa: F401  (importing them fills the registry)
        governance,
        governance_catalog,
        governance_policies,
        masking,
        pii,
        queries,
        snapshots,
        sources,
        tokens,
        users,
    )


def _argument(parameter: inspect.Parameter, hint: Any, secret: bool) -> Argument:
    optional = isinstance(hint, types.UnionType) and type(None) in hint.__args__
    plain = next(a for a in hint.__args__ if a is not type(None)) if isinstance(hint, types.UnionType) else hint
    required = parameter.default is inspect.Parameter.empty
    return Argument(
        parameter.name, typing.get_origin(plain) or plain, optional, required,
        None if required else parameter.default, secret,
    )  # fmt: skip


def _checked(found: Procedure, argument: Argument, value: Any) -> Any:
    if value is None and (argument.optional or not argument.required):
        return argument.default if not argument.optional else None
    if argument.type in (dict, Mapping) and isinstance(value, Mapping):
        return value
    if argument.type in (list, Sequence) and isinstance(value, list | tuple):
        return list(value)
    if argument.type in (int, float) and isinstance(value, str | bool) is False:
        try:
            return argument.type(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, argument.type):
        return value
    raise _misfit(found, f"takes a {argument.type.__name__} for {argument.name}")


def _misfit(found: Procedure, what: str) -> errors.InvalidRequest:
    usage = ", ".join(map(str, found.arguments))
    return errors.InvalidRequest(
        f"neurolake.{found.name} {what}.",
        code="argument",
        next_step=f"Its form is neurolake.{found.name}({usage}).",
    )


def _sql(value: object) -> str:
    if value == ():
        return "[]"
    return "null" if value is None else repr(value).lower() if isinstance(value, bool) else repr(value)
