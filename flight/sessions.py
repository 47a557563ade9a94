"""Bearer sessions, and what each owns: prepared statements, tickets, a transaction. All bounded, expiring, owned."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from neurolake import errors
from neurolake.config import Settings
from neurolake.engine import Engine
from neurolake.governance.logins import Ending, Login, Method
from neurolake.query import Plan, Principal, Request
from neurolake.session import Session

HANDLE_BYTES: Final = 16
CERTIFIED: Final = "\0"
"""Begins the token of a session that a certificate opened. No header can hold it, so that such a session is found only
by who asks for it with the certificate verified."""
SWEEP_S: Final = 5.0


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement, and the rows of parameters bound to it last."""

    plan: Plan
    bound: list[pa.RecordBatch] | None = None


@dataclass(slots=True, eq=False)
class Ticket:
    """What a ticket stands for: a plan and the request that runs it, or a question about the catalog.

    `answer` keeps what a write answered: redeemed again, the ticket must not write again.
    """

    expires: float
    plan: Plan | None = None
    requests: tuple[Request, ...] = ()
    bound: list[pa.RecordBatch] | None = None
    schema: pa.Schema | None = None
    command: Any = None
    answer: Any = None
    fetched: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class FlightSession:
    """One client's session."""

    def __init__(self, token: str, session: Session, settings: Settings) -> None:
        self.token = token
        self.session = session
        self.prepared: dict[bytes, Prepared] = {}
        self.tickets: dict[bytes, Ticket] = {}
        self.fetched: deque[bytes] = deque()
        """Tickets that were fetched, oldest first: they make room for new ones before their life is over."""
        self.transaction_id: bytes | None = None
        self.used = time.monotonic()
        self.busy = 0
        self.expires = math.inf
        self._settings = settings

    def login(self, login: Login) -> None:
        """Note what opened it: what belongs to that login ends with it."""
        self.session.login = login
        if login.expires is not None:
            self.expires = time.monotonic() + login.expires - time.time()

    @property
    def principal(self) -> Principal:
        """Whose it is."""
        return self.session.principal

    def prepare(self, plan: Plan) -> bytes:
        """Keep a prepared statement; its handle."""
        if len(self.prepared) >= self._settings.prepared_per_session_max:
            raise errors.LimitReached(
                "The session holds too many prepared statements.",
                next_step="Close some, or raise prepared_per_session_max.",
            )
        handle = secrets.token_bytes(HANDLE_BYTES)
        self.prepared[handle] = Prepared(plan)
        return handle

    def statement(self, handle: bytes) -> Prepared:
        """The prepared statement of that handle.

        Raises:
            NotFound: it was closed, or is another session's.
        """
        found = self.prepared.get(handle)
        if found is None:
            raise errors.NotFound(
                "This session has no such prepared statement.",
                code="prepared_unknown",
                next_step="Prepare the statement again.",
            )
        return found

    def issue(self, **what: Any) -> tuple[bytes, Ticket]:
        """Keep something under a new ticket."""
        while self.fetched and len(self.tickets) >= self._settings.tickets_per_session_max:
            self.tickets.pop(self.fetched.popleft(), None)
        if len(self.tickets) >= self._settings.tickets_per_session_max:
            raise errors.LimitReached(
                "The session holds too many unread tickets.",
                next_step="Read or cancel some, or raise tickets_per_session_max.",
            )
        handle = secrets.token_bytes(HANDLE_BYTES)
        ticket = Ticket(time.monotonic() + self._settings.ticket_life_s, **what)
        self.tickets[handle] = ticket
        return handle, ticket

    def ticket(self, handle: bytes) -> Ticket:
        """What a ticket stands for.

        Raises:
            NotFound: it has expired, or is another session's.
        """
        found = self._held(handle)
        if not found.fetched:
            found.fetched = True
            self.fetched.append(handle)
        return found

    def _held(self, handle: bytes) -> Ticket:
        found = self.tickets.get(handle)
        if found is None or found.expires < time.monotonic():
            raise errors.NotFound(
                "This ticket has expired, or belongs to another session.",
                code="ticket_unknown",
                next_step="Run the statement again.",
            )
        return found

    def renew(self, handle: bytes) -> Ticket:
        """Give a ticket its whole life again."""
        found = self._held(handle)
        found.expires = time.monotonic() + self._settings.ticket_life_s
        return found

    def check_transaction(self, transaction_id: bytes | None) -> None:
        """Refuse a statement that names another transaction than the open one."""
        if transaction_id is not None and transaction_id != self.transaction_id:
            raise errors.NotFound(
                "This session has no such transaction.",
                code="transaction_unknown",
                next_step="Begin a transaction and use the id it was given.",
            )

    def drop_expired(self, now: float) -> None:
        """Forget tickets whose life is over."""
        for handle, ticket in list(self.tickets.items()):
            if ticket.expires < now:
                self.tickets.pop(handle, None)

    def close(self) -> None:
        """Forget everything and roll back what is open."""
        self.prepared.clear()
        self.tickets.clear()
        self.session.close()


class Sessions:
    """Every session of one server, and the thread that ends idle ones."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._lock = threading.Lock()
        self._by_token: dict[str, FlightSession] = {}
        engine.logins.on_end(self._ended)
        self._stop = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="neurolake-sessions", daemon=True)
        self._sweeper.start()

    def __len__(self) -> int:
        return len(self._by_token)

    def open(self, login: Login, client: str) -> FlightSession:
        """Open a session for somebody who has proved who they are.

        Raises:
            LimitReached: there are too many, or this user has too many.
            LoginFailed: `login_ended`, when the login stopped to hold meanwhile.
        """
        principal = login.principal
        with self._lock:
            mine = sum(1 for s in self._by_token.values() if s.principal.name == principal.name)
            for count, most, name in (
                (len(self._by_token), self._settings.sessions_max, "sessions_max"),
                (mine, self._settings.sessions_per_user_max, "sessions_per_user_max"),
            ):
                if most and count >= most:
                    raise errors.LimitReached(
                        f"There are {count} sessions already.", next_step=f"Close some, or raise {name}."
                    )
            token = secrets.token_urlsafe(32)
            if login.method is Method.CERTIFICATE:
                token = f"{CERTIFIED}{token}"
            session = FlightSession(token, self._engine.session(principal, client=client), self._settings)
            session.login(login)
            self._by_token[token] = session
        if not self._engine.logins.holds(login):
            self.end(session)
            raise errors.LoginFailed("The login does not hold any more.", code="login_ended")
        return session

    def find(self, token: str) -> FlightSession | None:
        """The session of a bearer token, marked as used."""
        session = self._by_token.get(token)
        if session is not None:
            session.used = now = time.monotonic()
            if now >= session.expires:
                self.end(session)
                return None
        return session

    def end(self, session: FlightSession) -> None:
        """End one session at once, and the statements it runs."""
        self._by_token.pop(session.token, None)
        session.session.closed = True
        for activity in self._engine.activities.snapshot():
            if activity.session is session.session:
                activity.stop(errors.Cancelled("The session has ended: its login does not hold any more."))
        session.close()

    def _ended(self, ending: Ending) -> None:
        for session in list(self._by_token.values()):
            login = session.session.login
            if login is None or not ending.hits(login):
                continue
            if session.session is not ending.asker:
                self.end(session)
            elif ending.method is not Method.PASSWORD:
                session.expires = 0.0

    def close(self, session: FlightSession) -> None:
        """End one session."""
        self._by_token.pop(session.token, None)
        session.close()

    def close_all(self) -> None:
        """End every session and the sweeping."""
        self._stop.set()
        self._sweeper.join()
        self._end(lambda session: True)

    def _sweep(self) -> None:
        while not self._stop.wait(SWEEP_S):
            now = time.monotonic()
            self._end(lambda session, now=now: not session.busy and session.used + self._settings.session_idle_s < now)  # type: ignore[misc]
            for session in list(self._by_token.values()):
                if now >= session.expires:
                    self.end(session)
                session.drop_expired(now)

    def _end(self, over: Callable[[FlightSession], bool]) -> None:
        for session in list(self._by_token.values()):
            if over(session):
                self.close(session)
