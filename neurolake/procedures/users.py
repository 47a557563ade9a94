"""Procedures on users."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from neurolake import errors
from neurolake.governance.logins import Ending, Method
from neurolake.procedures import Context, procedure

CHANGED = pa.schema([pa.field("user_name", pa.string())])


@procedure(CHANGED, privilege="own", secret=("password",))
def set_password(context: Context, name: str, password: str) -> pa.Table:
    """Set a user's password. Users may set their own, if they came with it; an administrator anyone's.

    Sessions that the old password opened end at once, but for the one that calls.
    """
    engine, caller, login = context.engine, context.principal, context.session.login
    if name != caller.name and not caller.is_admin:
        raise errors.AccessDenied(
            "Only an administrator may set another user's password.", next_step="Ask one, or set your own."
        )
    if not caller.is_admin and login is not None and login.method != Method.PASSWORD:
        raise errors.AccessDenied(
            "Who did not come with the password may not change it.",
            next_step="Log in with the password you have, or ask an administrator for a new one.",
        )
    change = partial(engine.governance.change, "set_password", caller, context.query_id, user=name)
    engine.users.set_password(name, password, change)
    engine.logins.unlock(name)
    engine.logins.end(Ending(name, Method.PASSWORD, asker=context.session))
    return pa.table({"user_name": [name]}, schema=CHANGED)
