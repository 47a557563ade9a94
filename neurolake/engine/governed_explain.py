"""explain_policy: what would be decided about a statement, for the caller's role or for another."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import governed
from neurolake.governance.actions import ABSENT
from neurolake.query import Principal, Request

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session


def rows(engine: Engine, session: Session, text: str, role: str | None, query_id: str) -> list[tuple[Any, ...]]:
    """(schema, table, column, action, policy, reason) of every column that a statement's tables have.

    Raises:
        AccessDenied: another role was asked for by who is no administrator.
        NotFound: there is no such role.
    """
    principal = _asked(engine, session, role)
    if principal.is_admin:
        return [(None, None, None, "allow", None, "to an administrator nothing is closed")]
    request = Request(text, session, query_id=query_id, asker=principal)
    activity = Activity(query_id, principal, session.client, text, started_at=time.time())
    try:
        plan = governed.plan(engine, request, activity)
    except errors.AccessDenied as problem:
        return [(None, None, None, "denied", None, problem.message)]
    return list(_decided(plan.ruling, whole=session.principal.is_admin))


def _asked(engine: Engine, session: Session, role: str | None) -> Principal:
    own = session.principal
    if role is None or role.casefold() == own.role:
        return own
    if not own.is_admin:
        raise errors.AccessDenied("Only an administrator may ask for another role.", next_step="SET ROLE first.")
    if role.casefold() not in engine.access.roles:
        raise errors.NotFound(f"There is no role named {role}.", code="role_unknown")
    return dataclasses.replace(own, role=role.casefold(), is_admin=False)


def _decided(ruling: governed.Ruling, *, whole: bool) -> Iterator[tuple[Any, ...]]:
    """Names of columns that are not there for a role, and the conditions of row filters, are for administrators."""
    for name, decision in ruling.tables.items():
        for column in decision.columns:
            if whole or column.action != ABSENT:
                yield name.schema, name.table, column.column, column.action, column.policy, column.reason
        for condition in decision.filters:
            yield name.schema, name.table, None, "row_filter", None, condition if whole else "its rows are filtered"
