"""What becomes of personal data written into a statement: by policies on `literal:…`, then by the setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from neurolake.pii import literals
from neurolake.query import Plan, Request, evolve

if TYPE_CHECKING:
    from neurolake.activity import Activity
    from neurolake.engine import Engine
    from neurolake.query import Principal

__all__ = ["LITERALS", "Seen", "announced", "look", "refuse"]

LITERALS: Final = b"neurolake.literals"
"""In the metadata of a result's schema: the kinds that its statement holds as literals, where they are told."""
_ACTIONS: Final[Mapping[str, str]] = {"off": "allow", "redact": "redact", "warn": "warn", "refuse": "block"}
"""What each value of the setting comes to."""


class Seen(NamedTuple):
    """A statement's text as it may be kept, and the kinds of its literals that are told, or for which it is refused."""

    text: str
    told: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def look(engine: Engine, request: Request) -> Seen:
    """Look at the literals of a statement, where anything says so."""
    setting, principal = engine.settings.pii_literals, request.session.principal
    if setting == "off" and (principal.is_admin or not engine.access.checks_literals):
        return Seen(request.text)
    dialect = "duckdb" if request.translated else request.session.dialect
    actions = {
        found: {kind: _action(engine, principal, kind, setting) for kind in found.kinds}
        for found in literals.find(request.text, dialect)
    }
    return Seen(
        literals.hidden(request.text, [one for one, said in actions.items() if set(said.values()) != {"allow"}]),
        _kinds(actions.values(), ("warn", "block")),
        _kinds(actions.values(), ("block",)),
    )


def _action(engine: Engine, principal: Principal, kind: str, setting: str) -> str:
    policy = None if principal.is_admin else engine.access.shown_policy(principal, "literal", kind)
    return _ACTIONS[setting] if policy is None else policy.action


def _kinds(found: Iterable[Mapping[str, str]], wanted: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind for said in found for kind, action in said.items() if action in wanted))


def refuse(activity: Activity) -> None:
    """Refuse a statement whose literals hold what must not be written into one.

    Raises:
        InvalidRequest: `literal_personal`.
    """
    if activity.literals_refused:
        raise literals.refused(activity.literals_refused)


def announced(plan: Plan, activity: Activity) -> Plan:
    """The plan, whose schema tells the client what the statement holds as literals."""
    if not activity.literals or plan.schema is None or not plan.returns_rows:
        return plan
    said = {**(plan.schema.metadata or {}), LITERALS: ", ".join(activity.literals).encode()}
    return evolve(plan, schema=plan.schema.with_metadata(said))
