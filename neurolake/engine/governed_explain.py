"""explain_policy: what would be decided about a statement or a column, for the caller, another role or another user."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake import errors, urls
from neurolake.activity import Activity
from neurolake.engine import governed
from neurolake.governance.actions import ABSENT
from neurolake.governance.objects import Object
from neurolake.governance.ruling import Ruling
from neurolake.identifiers import fold
from neurolake.query import Principal, Request
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session


class Asked(NamedTuple):
    """What is asked: about a statement, a table or column, or what a statement does with one; as whom."""

    sql: str | None
    role: str | None = None
    user_name: str | None = None
    object: str | None = None


def rows(engine: Engine, session: Session, asked: Asked, query_id: str) -> list[tuple[Any, ...]]:
    """(schema, table, column, action, policy, reason) of every column that is asked about.

    Raises:
        AccessDenied: another role or user was asked for by who is no administrator, or the user does not have the role.
        InvalidRequest: neither a statement nor a table or column was named.
        NotFound: there is no such role or user.
    """
    about = None if asked.object is None else _of_table(Object.parse(asked.object, session.schema))
    if asked.sql is None and about is None:
        raise errors.InvalidRequest(
            "There is nothing to explain.", code="argument", next_step="Give a statement, a table or a column."
        )
    found = _rows(engine, session, asked, _text_of(asked, about), query_id)
    if about is None:
        return found
    return [row for row in found if row[0] is None or _is_about(row, about)]


def _of_table(about: Object) -> Object:
    if about.kind not in ("table", "column"):
        raise errors.InvalidRequest(
            f"{about} is neither a table nor a column.", code="argument", next_step="Write column:table.column."
        )
    return about


def _text_of(asked: Asked, about: Object | None) -> str:
    if asked.sql is not None or about is None:
        return asked.sql or ""
    return f"SELECT * FROM {about.name.sql()}"


def _is_about(row: tuple[Any, ...], about: Object) -> bool:
    schema, table, column = row[:3]
    if Name(schema, table).fold() != about.name:
        return False
    return not about.column or column is None or fold(column) == about.column


def _rows(engine: Engine, session: Session, asked: Asked, text: str, query_id: str) -> list[tuple[Any, ...]]:
    principal = _asked(engine, session, asked.role, asked.user_name)
    if principal.is_admin:
        return [(None, None, None, "allow", None, "to an administrator nothing is closed")]
    request = Request(text, session, query_id=query_id, asker=principal)
    activity = Activity(query_id, principal, session.client, text, started_at=time.time())
    try:
        plan = governed.plan(engine, request, activity)
    except errors.AccessDenied as problem:
        return [(None, None, None, "denied", None, urls.hidden(problem.message))]
    return list(_decided(plan.ruling, whole=session.principal.is_admin))


def _asked(engine: Engine, session: Session, role: str | None, user_name: str | None) -> Principal:
    own = session.principal
    if user_name is not None and (user_name != own.name or session.is_owner):
        if not own.is_admin:
            raise errors.AccessDenied(
                "Only an administrator may ask for another user.", next_step="Leave user_name out to ask for yourself."
            )
        return engine.governance.principal(user_name, role)
    if role is None or role.casefold() == own.role:
        return own
    if not own.is_admin:
        raise errors.AccessDenied("Only an administrator may ask for another role.", next_step="SET ROLE first.")
    if role.casefold() not in engine.access.roles:
        raise errors.NotFound(
            f"There is no role named {role}.",
            code="role_unknown",
            next_step="SELECT role FROM neurolake.roles lists them.",
        )
    return dataclasses.replace(own, role=role.casefold(), is_admin=False)


def _decided(ruling: Ruling, *, whole: bool) -> Iterator[tuple[Any, ...]]:
    """Names of columns that are not there for a role, and the conditions of row filters, are for administrators."""
    for name, decision in ruling.tables.items():
        for column in decision.columns:
            if whole or column.action != ABSENT:
                yield name.schema, name.table, column.column, column.action, column.policy, column.reason
        for one in decision.filters:
            why = one.condition if whole else "its rows are filtered"
            yield name.schema, name.table, None, "row_filter", one.name, why
