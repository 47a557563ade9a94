"""Procedures on running statements."""

from __future__ import annotations

import pyarrow as pa

from neurolake import errors
from neurolake.procedures import Context, procedure

CANCELLED = pa.schema([pa.field("query_id", pa.string()), pa.field("cancelled", pa.bool_())])

DECISIONS = pa.schema([
    ("table_schema", pa.string()), ("table_name", pa.string()), ("column_name", pa.string()), ("action", pa.string()),
    ("policy", pa.string()), ("reason", pa.string()),
])  # fmt: skip


@procedure(CANCELLED, privilege="own")
def cancel(context: Context, query_id: str) -> pa.Table:
    """Cancel a running statement by its id, in any phase. Its owner and an administrator may."""
    activity = context.engine.activities.get(query_id)
    if activity is None:
        raise errors.NotFound(
            f"No statement with the id {query_id} is running.",
            code="query_not_running",
            next_step="SELECT query_id, sql FROM neurolake.running shows what is.",
        )
    if activity.principal.name != context.principal.name and not context.principal.is_admin:
        raise errors.AccessDenied(
            "Only its owner or an administrator may cancel a statement.", next_step="Ask one of them."
        )
    activity.stop(errors.Cancelled(f"The statement was cancelled by {context.principal.name}."))
    return pa.table({"query_id": [query_id], "cancelled": [True]}, schema=CANCELLED)


@procedure(DECISIONS, privilege="own")
def explain_policy(
    context: Context, sql: str | None = None, role: str | None = None, user_name: str | None = None,
    object: str | None = None,
) -> pa.Table:  # fmt: skip
    """What would be decided about a statement, a table or a column: each column, and the row filters.

    `object` is a table or a column: what a SELECT of it shows, or what the statement that is named too does with it.
    `role` asks for another role than one's own and `user_name` for another user, in their first role or in that one, as
    administrators may. The statement is planned and does not run. One that would be denied has one row, with the action
    denied and the reason.
    """
    rows = context.engine.explain_policy(context.session, context.query_id, sql, role, user_name, object)
    return pa.Table.from_pylist([dict(zip(DECISIONS.names, row, strict=True)) for row in rows], DECISIONS)
