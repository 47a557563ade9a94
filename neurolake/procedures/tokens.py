"""Procedures on personal access tokens."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from neurolake import errors
from neurolake.governance.logins import Ending, Method
from neurolake.governance.tokens import seconds_of
from neurolake.governance.users import unknown
from neurolake.procedures import Context, procedure

TIME = pa.timestamp("us", tz="UTC")
MADE = pa.schema(
    [
        pa.field("token_id", pa.string()),
        pa.field("token", pa.string()),
        pa.field("user_name", pa.string()),
        pa.field("roles", pa.list_(pa.string())),
        pa.field("expires_at", TIME),
    ]
)
REVOKED = pa.schema([pa.field("token_id", pa.string()), pa.field("user_name", pa.string())])


@procedure(MADE, privilege="own")
def create_token(context: Context, user_name: str, roles: list[str] | None = None, expires: str = "90d") -> pa.Table:
    """Make a personal access token; its text is shown this once.

    It stands for the user, in all of their roles or in those given, until it expires or is revoked. Users may make
    their own, but not by a token; an administrator makes anyone's.
    """
    engine, caller = context.engine, context.principal
    _check_may(context, user_name)
    life_s = seconds_of(expires, engine.settings.token_life_s)
    mine = caller.name == user_name and not caller.is_admin
    theirs = caller.roles if mine else engine.governance.principal(user_name).roles
    limited = _limited(roles, theirs, caller.scope if mine else None)
    about = {"user": user_name, "roles": limited, "life_s": life_s}
    made, text = engine.tokens.create(
        user_name, limited, life_s, caller.name,
        lambda token: engine.governance.change("create_token", caller, context.query_id, token=token, **about),
    )  # fmt: skip
    row = {
        "token_id": made.token_id,
        "token": text,
        "user_name": user_name,
        "roles": made.roles or theirs,
        "expires_at": round(made.expires_at * 1e6),
    }
    return pa.Table.from_pylist([row], schema=MADE)


def _check_may(context: Context, user_name: str) -> None:
    caller, login = context.principal, context.session.login
    if not caller.is_admin and caller.name != user_name:
        raise errors.AccessDenied(
            "Only an administrator may make another user's tokens.", next_step="Ask one, or make a token of your own."
        )
    if not caller.is_admin and login is not None and login.method == Method.TOKEN:
        raise errors.AccessDenied("A token makes no tokens.", next_step="Log in with the password.")
    if not context.engine.users.exists(user_name):
        raise unknown(user_name)


def _limited(roles: list[str] | None, theirs: tuple[str, ...], scope: frozenset[str] | None) -> tuple[str, ...] | None:
    """The roles that the token is limited to; None for all that its user has, now and later."""
    if roles is None:
        return None if scope is None else theirs
    chosen = tuple(dict.fromkeys(role.casefold() for role in roles))
    if not chosen or (missing := [role for role in chosen if role not in theirs]):
        raise errors.AccessDenied(
            f"The token's user does not have the role {missing[0]}." if chosen else "A token needs a role.",
            code="role_denied",
            next_step=f"Roles of the user: {', '.join(theirs) or 'none'}.",
        )
    return chosen


@procedure(REVOKED, privilege="own")
def revoke_token(context: Context, id: str) -> pa.Table:
    """End a token and its sessions, at once. Users may revoke their own, an administrator anyone's."""
    engine = context.engine
    token = engine.tokens.get(id)
    if not context.principal.is_admin and token.user_name != context.principal.name:
        raise errors.NotFound(f"There is no token with the id {id}.", code="token_unknown")
    change = partial(
        engine.governance.change, "revoke_token", context.principal, context.query_id, token=id, user=token.user_name
    )
    engine.tokens.revoke(id, change)
    engine.logins.end(Ending(token.user_name, Method.TOKEN, id, asker=context.session))
    return pa.table({"token_id": [id], "user_name": [token.user_name]}, schema=REVOKED)
