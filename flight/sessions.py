"""Bearer sessions, and what each owns: prepared statements, tickets, a transaction. All bounded, expiring, owned."""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from flight.connections import Address, address_of, connected
from flight.uploads import Upload
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
ANSWERED_S: Final = 5.0
"""How long a session that has ended its own login may still fetch the answer."""
RESTED_S: Final = 1200.0
"""A connection that goes after so long a silence was not left: drivers close idle ones, and come back."""
FORGOTTEN_S: Final = 60.0
"""How long a session that holds nothing must have been idle to make room for a new one of its user."""


ENDED_KNOWN_MAX: Final = 10_000
"""How many sessions are known to have ended: who comes back to one is told from who makes a token up."""


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement, and the rows of parameters bound to it last."""

    plan: Plan
    bound: list[pa.RecordBatch] | None = None


@dataclass(slots=True, eq=False)
class Ticket:
    """What a ticket stands for: a plan and the request that runs it, or a question about the catalog.

    `answer` keeps what a write answered: redeemed again, the ticket must not write again. `shared` is the running
    statement of which the ticket gives a part. The first redemption runs `requests`; `again` has the query ids of later
    ones, oldest first.
    """

    expires: float
    plan: Plan | None = None
    requests: tuple[Request, ...] = ()
    bound: list[pa.RecordBatch] | None = None
    schema: pa.Schema | None = None
    command: Any = None
    answer: Any = None
    shared: Any = None
    fetched: bool = False
    redeemed: bool = False
    again: tuple[str, ...] = ()
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
        self.uploads: dict[str, Upload] = {}
        """By target: the load that is under way; of several that append, the last."""
        self.transaction_id: bytes | None = None
        self.used = time.monotonic()
        self.busy = 0
        self.expires = math.inf
        self._peers: dict[str, float] = {}
        """The connections that it was asked for something over, and when last."""
        self._alone: float | None = math.inf
        """Since when it has had no connection; infinite before its first."""
        self._settings = settings

    def asked_over(self, peer: str) -> None:
        """Note the connection that a call came over."""
        self._peers[peer] = self.used
        self._alone = None

    def is_left(self, connected: Set[Address], looked: float) -> bool:
        """Whether its client has gone without a word: its connections have gone, and it is not back in time.

        Args:
            connected: who is connected.
            looked: when that was looked at; a connection may have come since.
        """
        for peer, asked in list(self._peers.items()):
            address = address_of(peer)
            if asked < looked and address is not None and address not in connected:
                self._peers.pop(peer, None)
        if self._peers or self.busy:
            return False
        since = self._alone = looked if self._alone is None else self._alone
        return since - self.used < RESTED_S and looked - max(since, self.used) > self._settings.session_left_s

    def login(self, login: Login) -> None:
        """Note what opened it: what belongs to that login ends with it."""
        self.session.login = login
        if login.expires is not None:
            self.expires = time.monotonic() + login.expires - time.time()

    @property
    def principal(self) -> Principal:
        """Whose it is."""
        return self.session.principal

    def holds_nothing(self) -> bool:
        """Whether nothing would be lost with it: it is not at work, and has no transaction and nothing temporary."""
        session = self.session
        return not (self.busy or session.transaction or session.temporary or session.temporary_functions)

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

    @contextmanager
    def loading(self, target: str, upload: Upload, alive: Callable[[], bool]) -> Iterator[None]:
        """Note a load while it lasts. The next into the same table waits, or ends it where its client has left it."""
        before = self.uploads.get(target)
        if before is not None and not before.mode == upload.mode == "append":
            before.give_way(alive)
        self.uploads[target] = upload
        try:
            yield
        finally:
            upload.loaded()
            if self.uploads.get(target) is upload:
                self.uploads.pop(target, None)

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
        self._over: OrderedDict[bytes, None] = OrderedDict()
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
            self._make_room(principal)
            token = secrets.token_urlsafe(32)
            if login.method is Method.CERTIFICATE:
                token = f"{CERTIFIED}{token}"
            session = FlightSession(token, self._engine.session(principal, client=client), self._settings)
            session.login(login)
            self._by_token[token] = session
        if not self._engine.logins.holds(login):
            self.end(session)
            raise errors.LoginFailed(
                "The login does not hold any more.", code="login_ended", next_step="Log in again, with what holds now."
            )
        return session

    def _make_room(self, principal: Principal) -> None:
        """Refuse one session too many, unless one that its client seems to have left without a word can go."""
        for most, name, mine in (
            (self._settings.sessions_max, "sessions_max", False),
            (self._settings.sessions_per_user_max, "sessions_per_user_max", True),
        ):
            own = [s for s in list(self._by_token.values()) if s.principal.name == principal.name]
            count = len(own) if mine else len(self._by_token)
            if not most or count < most:
                continue
            forgotten = min((s for s in own if s.holds_nothing()), key=lambda s: s.used, default=None)
            if forgotten is None or forgotten.used + FORGOTTEN_S > time.monotonic():
                raise errors.LimitReached(
                    f"There are {count} sessions already.", next_step=f"Close some, or raise {name}."
                )
            self.close(forgotten)

    def find(self, token: str) -> FlightSession | None:
        """The session of a bearer token, marked as used."""
        session = self._by_token.get(token)
        if session is not None:
            now = time.monotonic()
            if self._is_over(session, now):
                self.end(session)
                return None
            session.used = now
        return session

    def has_ended(self, token: str) -> bool:
        """Whether a token was that of a session which has ended, as far as the last of them are known."""
        return _digest(token) in self._over

    def _is_over(self, session: FlightSession, now: float) -> bool:
        idle = not session.busy and session.used + self._settings.session_idle_s < now
        return idle or now >= session.expires

    def end(
        self, session: FlightSession, because: str = "The session has ended: its login does not hold any more."
    ) -> None:
        """End one session at once, and the statements it runs."""
        self._by_token.pop(session.token, None)
        self._over[_digest(session.token)] = None
        while len(self._over) > ENDED_KNOWN_MAX:
            self._over.popitem(last=False)
        session.session.closed = True
        self._engine.activities.stop_of(session.session, because)
        session.close()

    def _ended(self, ending: Ending) -> None:
        for session in list(self._by_token.values()):
            login = session.session.login
            if login is None or not ending.hits(login):
                continue
            if session.session is not ending.asker:
                self.end(session)
            elif ending.method is not Method.PASSWORD:
                session.expires = time.monotonic() + ANSWERED_S

    def close(self, session: FlightSession) -> None:
        """End one session, as its client or its idleness asks for."""
        self.end(session, "The session was closed.")

    def close_all(self) -> None:
        """End every session and the sweeping."""
        self._stop.set()
        self._sweeper.join()
        for session in list(self._by_token.values()):
            self.close(session)

    def _sweep(self) -> None:
        settings = self._settings
        left_s = settings.session_left_s or math.inf
        while not self._stop.wait(min(SWEEP_S, settings.session_idle_s / 2, left_s / 2)):
            now = time.monotonic()
            here = None if left_s == math.inf else connected()
            for session in list(self._by_token.values()):
                if self._is_over(session, now) or (here is not None and session.is_left(here, now)):
                    self.close(session)
                session.drop_expired(now)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
