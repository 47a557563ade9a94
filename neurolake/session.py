"""A session: who is connected, what they have set, and the home cursor of their transaction and temporary tables."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress

from neurolake import errors
from neurolake._duckdb import Cursor, Instance
from neurolake.activity import Activity
from neurolake.catalog import Event
from neurolake.config import Settings
from neurolake.governance.logins import Login
from neurolake.governance.views import SecureViews
from neurolake.query import OWNER, Principal
from neurolake.result import Result
from neurolake.sql.text import DEFAULT_SCHEMA, Name

QUEUE_POLL_S = 0.05
LEFT_S = 1.0
"""An upload that has stood still for so long, while its session wants to go on, counts as left by its client."""


class _Turn:
    """A `with` block on a session's home cursor. (No generator: every short statement comes by here.)"""

    __slots__ = ("_activity", "_session")

    def __init__(self, session: Session, activity: Activity | None) -> None:
        self._session = session
        self._activity = activity

    def __enter__(self) -> Cursor:
        return self._session._enter(self._activity)

    def __exit__(self, *_: object) -> None:
        self._session._leave()


class Session:
    """One session on one instance. Its statements may run side by side; those at home take turns.

    Args:
        instance: the open database.
        principal: who it belongs to.
        client: what the client calls itself.
        per_thread: the embedded lake's rule: a transaction belongs to the thread that began it.
    """

    def __init__(
        self, instance: Instance, principal: Principal, *, client: str = "embedded", per_thread: bool = False
    ) -> None:
        self.principal = principal
        self.is_owner = principal is OWNER
        self.is_user = False
        """Whether the principal is a user of this lake, rather than of whoever vouches for them."""
        self.login: Login | None = None
        """What opened it; None for a session of this process."""
        self.policy_version = -1
        self.changing_role = threading.Lock()
        self.client = client
        self.dialect = "duckdb"
        self.schema = DEFAULT_SCHEMA
        self.timeout_s: float | None = None
        self.own_settings: Settings | None = None
        self.settings: dict[str, str] = {}
        self.settings_version = 0
        self.temporary: frozenset[str] = frozenset()
        self.temporary_functions: frozenset[str] = frozenset()
        """Folded, as all names here. Any statement may call one without naming it: an operator can be a function."""
        self.events: list[Event] = []
        self.changes = 0
        self.writes = 0
        self.transaction = False
        self._owner: threading.Thread | None = None
        self._per_thread = per_thread
        self._instance = instance
        self._turn = threading.Lock()
        self._at_turn: Activity | None = None
        self._home: Cursor | None = None
        self._unread: weakref.ref[Result] | None = None
        self._idle: list[Cursor] = []
        self.closed = False
        self._unused = False
        self.views: SecureViews | None = None
        self.made_under: dict[str, tuple[str, int]] = {}
        """By temporary table, folded, the role and the version of the policies that a governed role made it under."""
        self.columns_known: dict[tuple[int, int, int, Name], dict[str, str]] = {}
        """The columns of tables as the open transaction sees them; forgotten when it changes anything, and at its end.

        By the version of the catalog, the generation of the engine, the changes so far and the table, folded.
        """
        self.changed_elsewhere = False
        """Whether the open transaction may have changed functions of a database other than the lake's."""
        self.began_at = -1
        """The version of the catalog when the transaction began."""
        self._before = (self.temporary, self.temporary_functions, self.made_under)
        self._apart = False

    def in_transaction(self) -> bool:
        """Whether the caller's statements belong to an open transaction."""
        return self.transaction and (not self._per_thread or self._owner is threading.current_thread())

    def sees_the_same(self, version: int) -> bool:
        """Whether a text means here what it means in every session, under that version of the catalog."""
        if self.settings or self.temporary or self.temporary_functions or self.events:
            return False
        return not self.in_transaction() or self.sees_what_is(version)

    def sees_what_is(self, version: int) -> bool:
        """Whether the open transaction sees what that version of the catalog has: nothing changed, here or there."""
        return not self.events and not self.changed_elsewhere and self.began_at == version

    def acquire(self, *, governed: bool = False) -> Cursor:
        """A cursor of its own for one statement, with this session's settings; `governed`, apart from the lake."""
        if governed:
            return self._acquire_apart()
        if not self.settings:
            return self._instance.acquire()
        while self._idle:
            cursor = self._idle.pop()
            if cursor.generation == self._instance.generation:
                return cursor
        return self._configured(self._instance.cursor())

    def release(self, cursor: Cursor, settings_version: int, *, governed: bool = False) -> None:
        """Give back a cursor that `acquire` gave under that version of the settings."""
        if self.closed or settings_version != self.settings_version or (governed and self.settings):
            cursor.close()
        elif governed:
            self._secure().release(cursor)
        elif self.settings:
            self._idle.append(cursor)
        else:
            self._instance.release(cursor)

    def _acquire_apart(self) -> Cursor:
        if not self.settings:
            return self._secure().acquire()
        cursor = self._instance.cursor()
        self._secure().prepare(cursor)
        for name, statement in self.settings.items():
            if name not in ("schema", "search_path") and not name.startswith("variable "):
                cursor.run(statement)
        return cursor

    def _secure(self) -> SecureViews:
        if self.views is None:
            raise errors.AccessDenied(
                "This session runs no governed statements.", code="gate_denied", next_step="Open another session."
            )
        return self.views

    def stand_apart(self, cursor: Cursor) -> None:
        """Let the home cursor, in whose turn the caller is, run a governed statement.

        Raises:
            NeuroLakeError: it cannot, and no governed statement may run there.
        """
        self._apart = True
        self._secure().prepare(cursor)

    def _rejoin(self, cursor: Cursor) -> None:
        """The home cursor stands in the lake again, once the session's role is an administrator's."""
        with suppress(errors.NeuroLakeError):  # a transaction that has failed takes only its ROLLBACK
            self._secure().restore(cursor, self.schema)
            self._apart = False

    def _configured(self, cursor: Cursor) -> Cursor:
        for statement in self.settings.values():
            cursor.run(statement)
        return cursor

    def change(self, key: str, statement: str | None) -> None:
        """Remember a setting for every cursor of this session; None forgets it."""
        if statement is None:
            self.settings.pop(key, None)
        else:
            self.settings[key] = statement
        self.settings_version += 1
        while self._idle:
            self._idle.pop().close()

    def at_home(self, activity: Activity | None = None) -> _Turn:
        """Take a turn on the home cursor. An unread result ahead is set aside first, so nobody waits for a reader."""
        return _Turn(self, activity)

    def _enter(self, activity: Activity | None) -> Cursor:
        if not self._turn.acquire(blocking=False):
            while not self._turn.acquire(timeout=QUEUE_POLL_S):
                if activity is not None:
                    activity.check()
                self._end_left_upload()
        try:
            self._at_turn = activity
            if self.closed:
                raise errors.Unavailable("The session is closed.", code="session_closed", retryable=False)
            self._unused = False
            if self._unread is not None:
                if (unread := self._unread()) is not None:
                    unread.set_aside()
                self._unread = None
            cursor = self._home_cursor()
            if self._apart and self.principal.is_admin:
                self._rejoin(cursor)
            return cursor
        except BaseException:
            self._turn.release()
            raise

    def _leave(self) -> None:
        self._at_turn = None
        self._turn.release()

    def _end_left_upload(self) -> None:
        """A driver that fails to read what it was to upload may say nothing, and come with the ROLLBACK next."""
        ahead = self._at_turn
        if ahead is not None and ahead.feed is not None and ahead.feed.idle_s() > LEFT_S:
            ahead.stop(errors.Cancelled("The upload stood still while its session went on."))

    def _home_cursor(self) -> Cursor:
        if self._home is not None and self._home.generation != self._instance.generation:
            self._home = None
            self.events.clear()
            self.temporary = self.temporary_functions = frozenset()
            if self.transaction:
                self.transaction = False
                raise errors.Unavailable(
                    "The engine was restarted and the transaction is lost; nothing of it was written.",
                    code="transaction_lost",
                    next_step="Run the transaction again.",
                )
        if self._home is None:
            self._home = self._configured(self._instance.cursor())
        if self._abandoned():
            self.undone()
            with suppress(errors.NeuroLakeError):
                self._home.run("ROLLBACK")
        return self._home

    def _abandoned(self) -> bool:
        """Whether the thread that a transaction belongs to has ended without closing it."""
        return self.transaction and self._per_thread and self._owner is not None and not self._owner.is_alive()

    def _unread_result(self) -> Result | None:
        return None if self._unread is None else self._unread()

    def streams_at_home(self, result: Result) -> None:
        """Note an open result on the home cursor."""
        self._unread = weakref.ref(result)

    def began(self, changes: int, writes: int, version: int, *, by_driver: bool = False) -> None:
        """A transaction was opened by the calling thread.

        Args:
            changes: how many changes of tables the outbox knew before.
            writes: how many writes.
            version: the version of the catalog before.
            by_driver: its user has not asked for it.
        """
        self.transaction = True
        self.changes = changes
        self.writes = writes
        self.began_at = version
        self.changed_elsewhere = False
        self._owner = threading.current_thread()
        self._unused = by_driver
        self.columns_known.clear()
        self._before = (self.temporary, self.temporary_functions, dict(self.made_under))

    def takes_up(self) -> bool:
        """Whether a BEGIN means the transaction that a driver has opened by itself: nothing has run in it yet."""
        return self.transaction and self._unused

    def ended(self) -> list[Event]:
        """The transaction is over; the events it gathered."""
        events, self.events = self.events, []
        self.columns_known.clear()
        self.transaction = False
        self._owner = None
        return events

    def undone(self) -> None:
        """The transaction is over and nothing of it stays: a temporary table is again the one it was before."""
        self.ended()
        self.temporary, self.temporary_functions, self.made_under = self._before
        if self.views is not None and self._home is not None:
            self.views.rolled_back(self._home)

    def refuse_foreign_transaction(self) -> None:
        """Refuse a transaction of one thread beside that of another."""
        if self.transaction and not self._abandoned():
            raise errors.InvalidRequest(
                "A transaction is open in this session already.",
                code="transaction_open",
                next_step="COMMIT or ROLLBACK it first.",
            )

    def close(self) -> None:
        """Roll back what is open and free the cursors. Temporary tables are gone."""
        with self._turn:
            self.closed = True
            if (unread := self._unread_result()) is not None:
                unread.close()
            if self._home is not None:
                self._home.close()
            for cursor in self._idle:
                cursor.close()
            self._idle.clear()
            self.transaction = False
