"""Procedures on running statements."""

from __future__ import annotations

import pyarrow as pa

from neurolake import errors
from neurolake.procedures import Context, procedure

CANCELLED = pa.schema([pa.field("query_id", pa.string()), pa.field("cancelled", pa.bool_())])


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
        raise errors.AccessDenied("Only its owner or an administrator may cancel a statement.")
    activity.stop(errors.Cancelled(f"The statement was cancelled by {context.principal.name}."))
    return pa.table({"query_id": [query_id], "cancelled": [True]}, schema=CANCELLED)
