"""Procedures on users, roles and grants, and on the audit log; and what all procedures on objects share."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from neurolake import errors
from neurolake._duckdb import CATALOG
from neurolake.governance.logins import Ending
from neurolake.governance.objects import Object
from neurolake.governance.roles import Roles
from neurolake.identifiers import folded_sql
from neurolake.procedures import Context, procedure
from neurolake.sql.text import Name

_ROLES = pa.list_(pa.string())
ROLE = pa.schema([pa.field("role", pa.string()), pa.field("inherits", _ROLES)])
DROPPED_ROLE = pa.schema([pa.field("role", pa.string())])
ROLE_OF = pa.schema([pa.field("role", pa.string()), pa.field("user_name", pa.string())])
USER = pa.schema([pa.field("user_name", pa.string()), pa.field("roles", _ROLES)])
DROPPED_USER = pa.schema([pa.field("user_name", pa.string())])
ATTRIBUTE = pa.schema(
    [pa.field("user_name", pa.string()), pa.field("name", pa.string()), pa.field("value", pa.string())]
)
GRANT = pa.schema([pa.field("role", pa.string()), pa.field("privilege", pa.string()), pa.field("object", pa.string())])
VERIFIED = pa.schema(
    [
        pa.field("chain", pa.string()),
        pa.field("records", pa.int64()),
        pa.field("last_hash", pa.string()),
        pa.field("intact", pa.bool_()),
        pa.field("problem", pa.string()),
        pa.field("first_number", pa.int64()),
        pa.field("holds_last_hash", pa.bool_()),
    ]
)


def row(schema: pa.Schema, *values: object) -> pa.Table:
    """A table of one row."""
    return pa.Table.from_pylist([dict(zip(schema.names, values, strict=True))], schema=schema)


def read_object(context: Context, text: str, kinds: Sequence[str]) -> Object:
    """The object that a call is about, which the caller administers, and which is there.

    Raises:
        InvalidRequest: it is of a kind that the call is not for.
        AccessDenied: the caller does not have the privilege admin on it.
        NotFound: there is no such schema, table or column.
    """
    on = Object.parse(text, context.session.schema)
    if on.kind not in kinds:
        raise errors.InvalidRequest(
            f"{on} does not fit here.", code="object_kind", next_step=f"Name one of: {', '.join(kinds)}."
        )
    require(context, on)
    if on.kind == "schema":
        _find_schema(context, on.schema)
    elif on.kind in ("table", "column"):
        columns_of(context, on)
    return on


def require(context: Context, on: Object) -> None:
    """Refuse a caller who does not administer an object.

    Raises:
        AccessDenied: they do not.
    """
    if not context.engine.access.may(context.principal, "admin", on):
        raise errors.AccessDenied(
            f"This needs the privilege admin on {on}.",
            next_step="Ask an administrator to do it, or SET ROLE to one of your roles that has the privilege.",
        )


def columns_of(context: Context, on: Object) -> dict[Object, str]:
    """The columns that an object is or has, with their DuckDB types.

    Raises:
        NotFound: there is no such table or column.
    """
    found = {Object.of(on.name, column): kind for column, kind in types_of(context, on.name).items()}
    if on.kind == "table":
        return found
    if on not in found:
        raise errors.NotFound(
            f"There is no {on}.", next_step=f"Its table has: {', '.join(column.column for column in found)}."
        )
    return {on: found[on]}


def types_of(context: Context, name: Name) -> dict[str, str]:
    """The columns of a table, view or source, and their DuckDB types.

    Raises:
        NotFound: there is no such table.
    """
    source = context.engine.catalog.sources.get(name.fold())
    if source is not None:
        return dict(source.columns)
    binding = context.engine.instance.acquire_and(lambda cursor: cursor.bind(f"SELECT * FROM {name.sql()}"))
    return dict(zip(binding.names, binding.types, strict=True))


def _find_schema(context: Context, schema: str) -> None:
    sql = f"SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND {folded_sql('schema_name')} = ?"
    managed = context.engine.instance.acquire_and(lambda cursor: cursor.rows(sql, [CATALOG, schema]))
    if not managed and all(name.schema != schema for name in context.engine.catalog.sources):
        raise errors.NotFound(f"There is no schema {schema}.")


def _roles(context: Context) -> Roles:
    return Roles(context.engine.governance, context.principal, context.query_id)


@procedure(ROLE)
def create_role(context: Context, name: str, inherits: Sequence[str] = ()) -> pa.Table:
    """Make a role. It may do what the roles that it inherits may do, and nothing else until it is granted."""
    return row(ROLE, _roles(context).create(name, inherits), [role.casefold() for role in inherits])


@procedure(DROPPED_ROLE)
def drop_role(context: Context, name: str) -> pa.Table:
    """Drop a role with its grants, policies and row filters. Users lose it, in open sessions too."""
    return row(DROPPED_ROLE, _roles(context).drop(name))


@procedure(ROLE_OF)
def grant_role(context: Context, role: str, user_name: str) -> pa.Table:
    """Give a user a role. The first that they were given is active when they log in; `SET ROLE` takes another."""
    return row(ROLE_OF, _roles(context).give(role, user_name), user_name)


@procedure(ROLE_OF)
def revoke_role(context: Context, role: str, user_name: str) -> pa.Table:
    """Take a role from a user. Sessions in which it is active have no role from their next statement on."""
    return row(ROLE_OF, _roles(context).take(role, user_name), user_name)


@procedure(USER, secret=("password",))
def create_user(context: Context, name: str, password: str | None = None, roles: Sequence[str] = ()) -> pa.Table:
    """Make a user. Without a password they come in by a token, a certificate or an identity provider only."""
    hashed = None if password is None else context.engine.users.hashed(password)
    return row(USER, name, _roles(context).create_user(name, hashed, roles))


@procedure(DROPPED_USER)
def drop_user(context: Context, name: str) -> pa.Table:
    """Drop a user with their tokens, and end their sessions."""
    _roles(context).drop_user(name)
    context.engine.logins.end(Ending(name))
    return row(DROPPED_USER, name)


@procedure(ATTRIBUTE)
def set_attribute(context: Context, user_name: str, name: str, value: str | None) -> pa.Table:
    """Set an attribute of a user, which row filters ask for by neurolake.attribute('name'); null removes it."""
    return row(ATTRIBUTE, user_name, _roles(context).set_attribute(user_name, name, value), value)


@procedure(GRANT, per_object=True)
def grant(context: Context, privilege: str, object: str, role: str) -> pa.Table:
    """Give a role read, write, create, call or admin on lake, a schema, a table or a column."""
    on = read_object(context, object, ("lake", "schema", "table", "column"))
    wanted = privilege.strip().casefold()
    return row(GRANT, _roles(context).grant(wanted, on, role), wanted, str(on))


@procedure(GRANT, per_object=True)
def revoke(context: Context, privilege: str, object: str, role: str) -> pa.Table:
    """Take from a role a privilege that it was granted on exactly this object."""
    on = Object.parse(object, context.session.schema)
    require(context, on)
    wanted = privilege.strip().casefold()
    return row(GRANT, _roles(context).revoke(wanted, on, role), wanted, str(on))


@procedure(VERIFIED, privilege="call")
def verify_audit(context: Context, last_hash: str | None = None) -> pa.Table:
    """Check that no record of the audit log was changed, removed or slipped in.

    `first_number` is the first record that is kept: what stood before it was cut off after `audit_keep_days`.
    One row a chain: `changes` for users, roles, grants and policies, `access` for logins and decisions. Keep
    `last_hash` elsewhere, and give it to a later check: `holds_last_hash` says whether the chain still passes through
    it. Where neither does, this is another log, or that record was cut off.
    """
    found = [
        {
            "chain": one.chain,
            "records": one.records,
            "last_hash": one.last_hash,
            "intact": one.problem is None,
            "problem": one.problem,
            "first_number": one.first,
            "holds_last_hash": one.holds,
        }
        for one in context.engine.governance.audit.verify(None if last_hash is None else last_hash.strip().lower())
    ]
    return pa.Table.from_pylist(found, schema=VERIFIED)
