"""Users, roles and grants: how they are made, changed and taken away. Every change is durable and audited."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.governance.access import ADMIN, PRIVILEGES
from neurolake.governance.facts import EVERY_ROLE
from neurolake.governance.model import Governance
from neurolake.governance.objects import Object, word
from neurolake.governance.users import unknown
from neurolake.query import OWNER, Principal

if TYPE_CHECKING:
    from sqlite3 import Connection

_ON = {
    "read": ("lake", "schema", "table", "column"),
    "write": ("lake", "schema", "table", "column"),
    "create": ("lake", "schema", "table"),
    "call": ("lake",),
    "admin": ("lake", "schema", "table", "column"),
}
"""What a privilege can be granted on."""

USER_NAME_CHARACTERS_MAX = 128
_GRANT = "role = ? AND privilege = ? AND kind = ? AND table_schema = ? AND table_name = ? AND column_name = ?"


class Roles:
    """Changes of users, roles and grants.

    Args:
        governance: of the lake.
        by: who changes.
        query_id: the statement in which.
    """

    def __init__(self, governance: Governance, by: Principal, query_id: str) -> None:
        self._governance = governance
        self._by = by
        self._query_id = query_id

    def create(self, role: str, inherits: Sequence[str]) -> str:
        """Make a role that may do nothing but what it inherits; its name as it is kept.

        Raises:
            AlreadyExists: there is one of that name.
            NotFound: there is none of a name that it inherits.
            InvalidRequest: the name is reserved, or it would inherit admin.
        """
        name = word(role, what="a role")
        if name in (ADMIN, "none", "public", "neurolake"):
            raise errors.AlreadyExists(
                f"The role name {name} is the system's own.", code="reserved_name", next_step="Choose another name."
            )
        above = [self.known(one) for one in inherits]
        if ADMIN in above:
            raise errors.InvalidRequest(
                "No role inherits admin.", code="role_fixed", next_step="Grant the role admin to the user."
            )
        with self._change("create_role", role=name, inherits=above) as db:
            if db.execute("SELECT 1 FROM roles WHERE role = ?", (name,)).fetchone():
                raise errors.AlreadyExists(
                    f"There is a role {name} already.", next_step="Choose another name, or drop that role first."
                )
            db.execute("INSERT INTO roles VALUES (?, ?, ?)", (name, self._by.name, time.time()))
            db.executemany("INSERT OR IGNORE INTO role_inherits VALUES (?, ?)", [(name, one) for one in above])
        return name

    def drop(self, role: str) -> str:
        """Drop a role with its grants, policies and row filters; users lose it.

        Raises:
            NotFound: there is none.
            InvalidRequest: another role inherits it, and would be less restricted without it.
        """
        name = self.known(role)
        if name == ADMIN:
            raise errors.InvalidRequest("The role admin stays.", code="role_fixed")
        with self._change("drop_role", role=name) as db:
            heir = db.execute("SELECT role FROM role_inherits WHERE inherited = ?", (name,)).fetchone()
            if heir:
                raise errors.InvalidRequest(
                    f"The role {heir[0]} inherits {name}, and would lose its restrictions with it.",
                    code="role_inherited",
                    next_step=f"Drop {heir[0]} first.",
                )
            for table in ("roles", "role_inherits", "user_roles", "grants", "policies", "row_filters"):
                db.execute(f"DELETE FROM {table} WHERE role = ?", (name,))
        return name

    def give(self, role: str, user_name: str) -> str:
        """Give a user a role; the first one they get is the one they log in with."""
        name = self.known(role)
        self._only_admins(name)
        with self._change("grant_role", role=name, user_name=user_name) as db:
            _check_user(db, user_name)
            _give(db, user_name, [name])
        return name

    def take(self, role: str, user_name: str) -> str:
        """Take a role from a user. It holds for the next statement of their open sessions.

        Raises:
            NotFound: there is no such user, or they do not have it.
            InvalidRequest: it is the first administrator's.
        """
        name = self.known(role)
        self._only_admins(name)
        if name == ADMIN and user_name == ADMIN:
            raise errors.InvalidRequest("The user admin keeps the role admin.", code="role_fixed")
        with self._change("revoke_role", role=name, user_name=user_name) as db:
            _check_user(db, user_name)
            if not db.execute("DELETE FROM user_roles WHERE user_name = ? AND role = ?", (user_name, name)).rowcount:
                raise errors.NotFound(f"{user_name} does not have the role {name}.", code="role_unknown")
        return name

    def create_user(self, user_name: str, hashed: str | None, roles: Sequence[str]) -> list[str]:
        """Make a user. Without a password they log in by a token, a certificate or an identity provider only.

        Args:
            user_name: compared as it is written.
            hashed: what is kept of the password.
            roles: in order; the first is active at login.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidRequest: the name cannot be one.
        """
        _check_user_name(user_name)
        known = list(dict.fromkeys(self.known(role) for role in roles))
        for role in known:
            self._only_admins(role)
        with self._change("create_user", user_name=user_name, roles=known) as db:
            if db.execute("SELECT 1 FROM users WHERE user_name = ?", (user_name,)).fetchone():
                raise errors.AlreadyExists(
                    f"There is a user {user_name} already.",
                    next_step="Choose another name; set_password and grant_role change the user who is there.",
                )
            row = (user_name, hashed, known[0] if known else "", time.time())
            db.execute("INSERT INTO users (user_name, password, role, created_at) VALUES (?, ?, ?, ?)", row)
            _give(db, user_name, known)
        return known

    def drop_user(self, user_name: str) -> None:
        """Drop a user; the next statement of their open sessions is refused.

        Raises:
            NotFound: there is no such user.
            InvalidRequest: it is the first administrator.
        """
        if user_name == ADMIN:
            raise errors.InvalidRequest("The user admin stays.", code="role_fixed")
        with self._change("drop_user", user_name=user_name) as db:
            _check_user(db, user_name)
            had = [row[0] for row in db.execute("SELECT role FROM user_roles WHERE user_name = ?", (user_name,))]
            if ADMIN in had:
                self._only_admins(ADMIN)
            for table in ("users", "user_roles", "user_attributes"):
                db.execute(f"DELETE FROM {table} WHERE user_name = ?", (user_name,))

    def set_attribute(self, user_name: str, name: str, value: str | None) -> str:
        """Set an attribute of a user, or with None remove it; its name as it is kept."""
        key = word(name, what="an attribute")
        with self._change("set_attribute", user_name=user_name, name=key, value=value) as db:
            _check_user(db, user_name)
            db.execute("DELETE FROM user_attributes WHERE user_name = ? AND name = ?", (user_name, key))
            if value is not None:
                db.execute("INSERT INTO user_attributes VALUES (?, ?, ?)", (user_name, key, value))
        return key

    def grant(self, privilege: str, on: Object, role: str) -> str:
        """Give a role a privilege on an object; the role's name as it is kept.

        Raises:
            InvalidRequest: they do not go together.
        """
        name = self._grantable(privilege, on, role)
        with self._change("grant", privilege=privilege, object=str(on), role=name) as db:
            row = (name, privilege, on.kind, on.schema, on.table, on.column, self._by.name, time.time())
            db.execute(
                "INSERT OR IGNORE INTO grants (role, privilege, kind, table_schema, table_name, column_name, "
                "granted_by, granted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        return name

    def revoke(self, privilege: str, on: Object, role: str) -> str:
        """Take from a role a privilege that it was granted on exactly this object.

        Raises:
            NotFound: it was not; where the role has it from elsewhere, the message says so.
        """
        name = self._grantable(privilege, on, role)
        with self._change("revoke", privilege=privilege, object=str(on), role=name) as db:
            row = (name, privilege, on.kind, on.schema, on.table, on.column)
            if not db.execute(f"DELETE FROM grants WHERE {_GRANT}", row).rowcount:
                elsewhere = self._governance.access.may(Principal("", name), privilege, on)
                raise errors.NotFound(
                    f"The role {name} was not granted {privilege} on {on}"
                    + (", but has it by another grant." if elsewhere else "."),
                    code="grant_unknown",
                    next_step="SELECT * FROM neurolake.grants lists them.",
                )
        return name

    def known(self, role: str) -> str:
        """A role's name as it is kept.

        Raises:
            NotFound: there is no such role.
        """
        name = role.strip().casefold()
        if name not in self._governance.access.roles:
            raise errors.NotFound(
                f"There is no role {role}.", code="role_unknown", next_step="SELECT * FROM neurolake.roles lists them."
            )
        return name

    def _grantable(self, privilege: str, on: Object, role: str) -> str:
        if on.kind not in _ON.get(privilege, ()):
            fitting = ", ".join(_ON[privilege]) if privilege in _ON else ""
            raise errors.InvalidRequest(
                f"{privilege} cannot be granted on {on}.",
                code="privilege",
                next_step=f"It is granted on: {fitting}." if fitting else f"Privileges are {', '.join(PRIVILEGES)}.",
            )
        if role.strip() == EVERY_ROLE:
            raise errors.InvalidRequest(
                "A grant is one role's.", code="privilege", next_step="Name the role; others can inherit it."
            )
        name = self.known(role)
        if name == ADMIN:
            raise errors.InvalidRequest("The role admin may do everything already.", code="role_fixed")
        if privilege == "admin" and on.kind == "lake":
            self._only_admins(ADMIN)
        return name

    def _only_admins(self, role: str) -> None:
        """What leads to administration of everything is given and taken by those who have it."""
        if role == ADMIN and not self._by.is_admin:
            raise errors.AccessDenied(
                "Only an administrator may give or take the role admin.", next_step="Ask one who has it to do so."
            )

    def _change(self, event: str, **details: object) -> AbstractContextManager[Connection]:
        return self._governance.change(event, self._by, self._query_id, **details)


def _check_user_name(name: str) -> None:
    odd = any(not character.isprintable() for character in name) or ":" in name or name != name.strip()
    if not name or odd or len(name) > USER_NAME_CHARACTERS_MAX:
        raise errors.InvalidRequest(
            f"{name!r} cannot be the name of a user.",
            code="bad_name",
            next_step=f"Use at most {USER_NAME_CHARACTERS_MAX} characters, none of them a colon or a space at an end.",
        )
    if name in (OWNER.name, ADMIN):
        raise errors.InvalidRequest(
            f"The user name {name} is the system's own.", code="reserved_name", next_step="Choose another name."
        )


def _check_user(db: Connection, user_name: str) -> None:
    if not db.execute("SELECT 1 FROM users WHERE user_name = ?", (user_name,)).fetchone():
        raise unknown(user_name)


def _give(db: Connection, user_name: str, roles: Sequence[str]) -> None:
    last = db.execute("SELECT coalesce(max(position), 0) FROM user_roles WHERE user_name = ?", (user_name,))
    (place,) = last.fetchone()
    rows = [(user_name, role, place + number) for number, role in enumerate(roles, 1)]
    db.executemany("INSERT OR IGNORE INTO user_roles VALUES (?, ?, ?)", rows)
