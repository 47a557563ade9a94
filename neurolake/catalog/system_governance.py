"""The rows of the system tables on governance, filtered for the caller."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake.governance.access import DERIVED
from neurolake.governance.actions import ABSENT
from neurolake.identifiers import fold
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.governance.access import Access
    from neurolake.procedures import Context

TIME = pa.timestamp("us", tz="UTC")
_NAMES = pa.list_(pa.string())
_OF_RELATIONS = frozenset(("columns", "denied", "filters", "policies", "tables"))

COLUMNS = pa.schema([
    ("table_schema", pa.string()), ("table_name", pa.string()), ("column_name", pa.string()),
    ("data_type", pa.string()), ("nullable", pa.bool_()), ("tags", _NAMES), ("entity", pa.string()),
    ("pii_status", pa.string()), ("description", pa.string()),
])  # fmt: skip
TAGS = pa.schema([
    ("table_schema", pa.string()), ("table_name", pa.string()), ("column_name", pa.string()), ("tag", pa.string()),
    ("tagged_by", pa.string()), ("tagged_at", TIME),
])  # fmt: skip
POLICIES = pa.schema([
    ("name", pa.string()), ("role", pa.string()), ("target", pa.string()), ("action", pa.string()),
    ("options", pa.string()), ("condition", pa.string()), ("replaces", pa.bool_()), ("created_by", pa.string()),
    ("created_at", TIME),
])  # fmt: skip
USERS = pa.schema([
    ("user_name", pa.string()), ("role", pa.string()), ("roles", _NAMES), ("attributes", pa.string()),
    ("created_at", TIME),
])  # fmt: skip
ROLES = pa.schema([
    ("role", pa.string()), ("inherits", _NAMES), ("created_by", pa.string()), ("created_at", TIME),
])  # fmt: skip
GRANTS = pa.schema([
    ("role", pa.string()), ("privilege", pa.string()), ("object", pa.string()), ("granted_by", pa.string()),
    ("granted_at", TIME),
])  # fmt: skip
AUDIT = pa.schema([
    ("chain", pa.string()), ("number", pa.int64()), ("recorded_at", TIME), ("event", pa.string()),
    ("user_name", pa.string()), ("role", pa.string()), ("query_id", pa.string()), ("policy_version", pa.int64()),
    ("details", pa.string()), ("hash", pa.string()),
])  # fmt: skip

Row = tuple[Any, ...]


def columns(context: Context, found: Iterable[Row]) -> Iterator[Row]:
    """Columns (schema, table, name, type, nullable), with what is known about each; for governed roles, those open."""
    access, principal = context.engine.access, context.principal
    access.read_all()
    described = {
        (schema, table, column): text
        for schema, table, column, text in context.engine.store.rows("SELECT * FROM descriptions")
    }
    for (schema, table), rows in groupby(found, lambda row: (row[0], row[1])):
        name, listed = Name(schema, table), list(rows)
        known = access.facts(name)
        types = {column: kind for _, _, column, kind, _ in listed}
        if principal.is_admin:
            decided = dict.fromkeys(types, "allow")
        else:
            decided = {one.column: one.action for one in access.decide(principal, name, types).columns}
        folded = name.fold()
        for *named, kind, nullable in listed:
            column = named[-1]
            if decided[column] == "absent":
                continue
            if decided[column] != "allow":
                from neurolake.governance.masks import kept_type

                kind = kept_type(kind)
            key = fold(column)
            tags = sorted(known.tags.get(key, ()))
            finding = known.finding(key)
            yield (
                *named,
                kind,
                nullable,
                tags,
                None if finding is None else finding.entity,
                DERIVED if name.fold() in context.engine.catalog.views else known.status(column, types[column]),
                described.get((*folded, key)),
            )


def tags(context: Context) -> Iterator[Row]:
    """Tags of schemas, tables and columns that the caller may know of."""
    access, principal, open_ = context.engine.access, context.principal, _Open(context)
    for schema, table, column, *rest in context.engine.store.rows("SELECT * FROM tags ORDER BY 1, 2, 3, 4"):
        if principal.is_admin or (
            table and access.sees(principal, Name(schema, table)) and open_(schema, table, column)
        ):
            yield schema, table or None, column or None, *rest


def policies(context: Context) -> Iterator[Row]:
    """Policies and row filters: those that are meant for the active role, or all for an administrator.

    What a row filter asks for, and columns that are absent, are for administrators to know.
    """
    from neurolake.governance.objects import Object

    access, principal, open_ = context.engine.access, context.principal, _Open(context)
    sql = (
        "SELECT name, role, kind, table_schema, table_name, column_name, word, action, options, NULL, replaces, "
        "created_by, created_at FROM policies UNION ALL SELECT name, role, 'table', table_schema, table_name, '', '', "
        "'row_filter', NULL, condition, replaces, created_by, created_at FROM row_filters ORDER BY 1"
    )
    for name, role, kind, schema, table, column, word, *what, replaces, by, at in context.engine.store.rows(sql):
        mine = role == "*" or role in access.roles_of(principal.role)
        known = not table or (access.sees(principal, Name(schema, table)) and open_(schema, table, column))
        if principal.is_admin or (mine and known):
            if not principal.is_admin:
                what[-1] = None
            yield name, role, str(Object(kind, schema, table, column, word)), *what, bool(replaces), by, at


def users(context: Context) -> Iterator[Row]:
    """The users, without their passwords: oneself, or everyone for an administrator."""
    store, principal = context.engine.store, context.principal
    roles = _lists(store.rows("SELECT user_name, role FROM user_roles ORDER BY user_name, position"))
    attributes: dict[str, dict[str, str]] = {}
    for name, key, value in store.rows("SELECT user_name, name, value FROM user_attributes ORDER BY 1, 2"):
        attributes.setdefault(name, {})[key] = value
    for name, created_at in store.rows("SELECT user_name, created_at FROM users ORDER BY 1"):
        if principal.is_admin or name == principal.name:
            own = roles.get(name, [])
            yield name, own[0] if own else None, own, json.dumps(attributes.get(name, {})), created_at


def roles(context: Context) -> Iterator[Row]:
    """The roles: those that the caller has, with what they inherit, or all for an administrator."""
    store, mine = context.engine.store, _mine(context)
    inherits = _lists(store.rows("SELECT role, inherited FROM role_inherits ORDER BY 1, 2"))
    rows = [("admin", None, None), *store.rows("SELECT role, created_by, created_at FROM roles ORDER BY 1")]
    for role, created_by, created_at in rows:
        if mine is None or role in mine:
            yield role, inherits.get(role, []), created_by, created_at


def grants(context: Context) -> Iterator[Row]:
    """What is granted to whom: to roles that the caller has or inherits, or all for an administrator."""
    from neurolake.governance.objects import Object

    mine, open_ = _mine(context), _Open(context)
    sql = (
        "SELECT role, privilege, kind, table_schema, table_name, column_name, granted_by, granted_at FROM grants "
        "ORDER BY role, table_schema, table_name, column_name, privilege"
    )
    for role, privilege, kind, schema, table, column, granted_by, granted_at in context.engine.store.rows(sql):
        if mine is None or (role in mine and open_(schema, table, column)):
            yield role, privilege, str(Object(kind, schema, table, column)), granted_by, granted_at


def audit(context: Context) -> list[Row]:
    """The audit log: one's own records, or all for who administers the lake."""
    engine, principal = context.engine, context.principal
    if engine.access.may(principal, "admin"):
        return engine.governance.audit.rows(None)
    return [(*row[:8], *_for_its_user(*row[8:])) for row in engine.governance.audit.rows(principal.name)]


def _for_its_user(details: str, hashed: str) -> tuple[str, str | None]:
    """The details of a record for the user that it is about: columns that were absent are not named.

    Of a statement that has failed no relation is: it may have failed by one that is hidden, or not there. Where
    anything may be left away, so is the hash: names could be tried out on it.
    """
    found: dict[str, Any] = json.loads(details)
    columns = found.get("columns", {})
    if "error" in found:
        told = {key: value for key, value in found.items() if key not in _OF_RELATIONS}
        return json.dumps(told, separators=(",", ":")), None
    told = dict(found)
    for key in {"columns", "policies"} & told.keys():
        told[key] = {name: value for name, value in told[key].items() if columns.get(name) != ABSENT}
    if told == found:
        return details, hashed
    return json.dumps(told, separators=(",", ":")), None


class _Open:
    """Whether the caller may know of a column. Asks the catalog once, when the first column is asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: set[tuple[str, str, str]] | None = None

    def __call__(self, schema: str, table: str, column: str) -> bool:
        if not column or self._context.principal.is_admin:
            return True
        if self._seen is None:
            self._seen = set(self._all())
        return (schema, table, column) in self._seen

    def _all(self) -> Iterator[tuple[str, str, str]]:
        from neurolake.catalog import visible
        from neurolake.catalog.browse import Browser

        engine, session = self._context.engine, self._context.session
        for schema, table, column, *_ in Browser(engine, session).visible_columns():
            yield fold(schema), fold(table), fold(column)
        for source in visible.sources(engine, session):
            for column in source.columns:
                yield *source.name.fold(), fold(column)


def _mine(context: Context) -> set[str] | None:
    """The roles that the caller has or inherits; None for an administrator, who sees all."""
    access: Access = context.engine.access
    principal = context.principal
    if principal.is_admin:
        return None
    return {one for role in (principal.role, *principal.roles) for one in access.roles_of(role)}


def _lists(pairs: Iterable[Row]) -> Mapping[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for key, value in pairs:
        lists.setdefault(key, []).append(value)
    return lists
