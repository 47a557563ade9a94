"""The governance of one lake: its version, the picture that decisions are made from, and the way every change goes."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.catalog import Event
from neurolake.catalog.store import Store
from neurolake.governance import tables
from neurolake.governance.access import ADMIN, Access
from neurolake.governance.audit import Audit
from neurolake.governance.classification import Classification
from neurolake.governance.users import unknown
from neurolake.query import Principal
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from sqlite3 import Connection

    from neurolake.session import Session


class Governance:
    """Roles, grants, policies, classification and audit of one lake. Safe to share between threads.

    Args:
        store: the metadata file.
        folder: where the audit's journal is; None keeps it in memory.
        fsync_s: how often the journal reaches the metadata file.
        synchronous: fsync the audit of reads, too, before a statement's end is answered.
        audit_keep_days: see `Audit`.

    Attributes:
        version: counts every change; plans made under another one are made again.
        unsettled: whether a table has changed in a way that the metadata does not know yet.
        looked_at: told of a table whose columns somebody has looked at, by its folded name.
        derived: whether a name is a governed role's view, which is gated anew for each reader.
    """

    def __init__(
        self,
        store: Store,
        folder: Path | None = None,
        fsync_s: float = 0.2,
        *,
        synchronous: bool = False,
        audit_keep_days: int = 0,
    ) -> None:
        self.store = store
        self.version = int(store.fact("policy_version", 1))
        self.unsettled: Callable[[Name], bool] = lambda name: False
        self.derived: Callable[[Name], bool] = lambda name: False
        self.looked_at: Callable[[Name], None] = lambda name: None
        self.audit = Audit(
            store, lambda: self.version, folder, fsync_s, synchronous=synchronous, keep_days=audit_keep_days
        )
        self.classification = Classification(self)
        self._lock = threading.Lock()
        self._changing = threading.RLock()
        self._access: Access | None = None
        self._take_over_roles()

    @property
    def access(self) -> Access:
        """The picture that holds now."""
        found = self._access
        if found is None or found.version != self.version:
            # Made outside the lock: it reads the store, whose own lock a change may hold that waits for this one.
            found = Access(self.version, self.store, lambda name: self.unsettled(name), lambda name: self.derived(name))
            with self._lock:
                if self._access is None or self._access.version <= found.version:
                    self._access = found
        return found

    @contextmanager
    def change(self, event: str, principal: Principal, query_id: str, **details: object) -> Iterator[Connection]:
        """A durable change, with its record in the audit log: both, or neither. The version moves when it is done."""
        with self._changing:
            with self.store.durable() as db:
                yield db
                self.count(db)
                self.audit.write(db, event, principal, query_id, self.version + 1, details)
            self.moved()

    def count(self, db: Connection) -> None:
        """Note, in the open transaction of a change, that the version moves with it."""
        db.execute("INSERT OR REPLACE INTO facts VALUES ('policy_version', ?)", (self.version + 1,))

    def moved(self) -> None:
        """A change is on the disk: what was planned before it is planned again."""
        with self._lock:
            self.version += 1

    def follow(self, db: Connection, events: Sequence[Event]) -> bool:
        """Tables have changed: their grants, policies and findings follow, in the same transaction."""
        touched = False
        for event in events:
            if not tables.changes_tables(event.verb):
                continue
            detail = json.loads(event.detail) if event.detail else {}
            if tables.follow(db, event.verb, event.object, detail):
                touched = True
                by = Principal(event.user_name, str(detail.get("role", ADMIN)))
                about = {"object": event.object, **detail}
                self.audit.write(db, event.verb.lower().replace(" ", "_"), by, event.query_id, self.version + 1, about)
        if touched:
            self.count(db)
        return touched

    def principal(self, user_name: str, role: str | None = None, scope: frozenset[str] | None = None) -> Principal:
        """A user as they come in.

        Args:
            user_name: who has proved to be that user.
            role: the role to begin with; by default the user's first.
            scope: the roles that the token they came with is limited to.

        Raises:
            AccessDenied: they do not have that role.
            NotFound: there is no such user.
        """
        fresh = self.refreshed(Principal(user_name, "" if role is None else role.casefold(), scope=scope))
        if fresh is None:
            raise unknown(user_name)
        if role is None:
            first = fresh.roles[0] if fresh.roles else ""
            return dataclasses.replace(fresh, role=first, is_admin=first == ADMIN)
        if not fresh.role:
            raise errors.AccessDenied(
                f"{user_name} does not have the role {role}.",
                code="role_denied",
                next_step=f"Roles of {user_name}: {', '.join(fresh.roles) or 'none'}.",
            )
        return fresh

    def refreshed(self, principal: Principal) -> Principal | None:
        """A principal by the present state, without an active role if that was taken away. None: no such user."""
        if not self.store.rows("SELECT 1 FROM users WHERE user_name = ?", (principal.name,)):
            return None
        rows = self.store.rows("SELECT role FROM user_roles WHERE user_name = ? ORDER BY position", (principal.name,))
        scope = principal.scope
        had = [role for (role,) in rows] or [ADMIN] * (principal.name == ADMIN)  # the first administrator stays one
        roles = tuple(role for role in had if scope is None or role in scope)
        found = self.store.rows("SELECT name, value FROM user_attributes WHERE user_name = ?", (principal.name,))
        role = principal.role if principal.role in roles else ""
        return Principal(principal.name, role, role == ADMIN, roles, dict(found), scope)

    def refresh(self, session: Session) -> None:
        """Bring a session's principal up to date: roles and attributes may have been given or taken away.

        Raises:
            AccessDenied: the user was dropped.
        """
        version = self.version
        if session.policy_version == version or session.is_owner:
            return
        with session.changing_role:
            fresh = self.refreshed(session.principal)
            if fresh is not None:
                session.principal, session.is_user = fresh, True
            elif session.is_user:  # who is no user of ours, by a token of somebody else's, stays as they came
                raise errors.AccessDenied(
                    f"The user {session.principal.name} was dropped.", code="user_dropped",
                    next_step="Connect as another user.",
                )  # fmt: skip
            session.policy_version = version

    def set_role(self, session: Session, role: str | None, query_id: str) -> None:
        """Make another of a principal's roles the session's active one; None: the first. Holds for what comes next."""
        self.check_role(session, role)
        with session.changing_role:
            principal = session.principal
            first = ADMIN if session.is_owner else next(iter(principal.roles), "")
            chosen = first if role is None else role.casefold()
            session.principal = dataclasses.replace(principal, role=chosen, is_admin=chosen == ADMIN)
        self.audit.record("set_role", session.principal, query_id)

    def check_role(self, session: Session, role: str | None) -> None:
        """Refuse a role that the session's principal does not have. The embedded owner has all of them.

        Raises:
            AccessDenied: they do not have it, or there is no such role.
        """
        principal = session.principal
        may = self.access.roles if session.is_owner else principal.roles or tuple(filter(None, (principal.role,)))
        if role is not None and role.casefold() not in may:
            raise errors.AccessDenied(
                f"{principal.name} does not have the role {role}.", code="role_denied",
                next_step=f"Roles of {principal.name}: {', '.join(may) or 'none'}.",
            )  # fmt: skip

    def close(self) -> None:
        """Close the audit log."""
        self.audit.close()

    def _take_over_roles(self) -> None:
        """Users of a home that knew one role only have it in their own row."""
        if self.store.fact("user_roles") is not None:
            return
        with self.store.durable() as db:
            db.execute("INSERT OR IGNORE INTO user_roles SELECT user_name, role, 0 FROM users")
            db.execute("INSERT OR REPLACE INTO facts VALUES ('user_roles', 1)")
