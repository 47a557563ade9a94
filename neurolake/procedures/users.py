"""Procedures on users."""

from __future__ import annotations

import pyarrow as pa

from neurolake import errors
from neurolake.procedures import Context, procedure

CHANGED = pa.schema([pa.field("user_name", pa.string())])


@procedure(CHANGED, privilege="own", secret=("password",))
def set_password(context: Context, name: str, password: str) -> pa.Table:
    """Set a user's password. Users may set their own, an administrator anyone's."""
    if name != context.principal.name and not context.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may set another user's password.")
    context.engine.users.set_password(name, password)
    return pa.table({"user_name": [name]}, schema=CHANGED)
