"""Who is calling: a user and password become a bearer session; every later call brings the bearer token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Final

import pyarrow.flight as paflight

from flight.errors import to_flight
from flight.sessions import FlightSession, Sessions
from neurolake import errors
from neurolake.engine import Engine
from neurolake.query import OWNER, Principal

AUTHORIZATION: Final = "authorization"
HEADER_BYTES_MAX: Final = 8192
MIDDLEWARE: Final = "session"
BASIC_SESSIONS_MAX: Final = 1000
_NOTHING: Final = ("",)


_calls: dict[int, FlightSession] = {}
"""By thread, the session that `start_call` has found for the call the thread handles next. (A thread-local would not
do: gRPC's threads have a new Python thread state at every call back into Python.)"""


class SessionMiddleware(paflight.ServerMiddleware):  # type: ignore[misc]
    """Carries the session of one call; answers with its token where the client must learn it."""

    def __init__(self, session: FlightSession, *, tell: bool) -> None:
        super().__init__()
        self.session = session
        self._tell = tell

    def sending_headers(self) -> dict[str, str]:
        """The headers that go back."""
        return {AUTHORIZATION: f"Bearer {self.session.token}"} if self._tell else {}


class Authentication(paflight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Finds or opens the session of every call.

    Args:
        engine: knows the users.
        sessions: the open sessions.
        is_owner: whether a token is the owner token of the home that is served.
    """

    def __init__(self, engine: Engine, sessions: Sessions, is_owner: Callable[[str], bool]) -> None:
        super().__init__()
        self._engine = engine
        self._sessions = sessions
        self._is_owner = is_owner
        self._basic: dict[bytes, FlightSession] = {}

    def start_call(self, info: paflight.CallInfo, headers: Mapping[str, list[str]]) -> SessionMiddleware | None:
        """Find the caller's session, or refuse the call.

        A known session goes to the handler, which runs next on this thread, without a middleware object: that would be
        called back twice more for nothing, and every call back into Python waits for its lock.
        """
        sent = headers.get(AUTHORIZATION, _NOTHING)[0]
        thread = threading.get_ident()
        known = self._sessions.find(sent[7:]) if sent.startswith("Bearer ") else None
        if known is not None:
            _calls[thread] = known
            return None
        _calls.pop(thread, None)
        try:
            return self._middleware(info, headers)
        except errors.NeuroLakeError as problem:
            raise to_flight(problem) from None

    def _middleware(self, info: paflight.CallInfo, headers: Mapping[str, list[str]]) -> SessionMiddleware:
        sent = headers.get(AUTHORIZATION, _NOTHING)[0]
        scheme, _, credentials = sent.partition(" ")
        if len(sent) > HEADER_BYTES_MAX:
            raise errors.LoginFailed("The authorization header is too long.")
        match scheme.casefold():
            case "bearer":
                return self._bearer(credentials.strip(), headers)
            case "basic":
                return self._password(info, credentials.strip(), headers)
        raise errors.LoginFailed(
            "This server needs a login.", code="login_missing", next_step="Connect with a user name and a password."
        )

    def _bearer(self, token: str, headers: Mapping[str, list[str]]) -> SessionMiddleware:
        session = self._sessions.find(token)
        if session is not None:
            return SessionMiddleware(session, tell=False)
        if self._is_owner(token):
            return SessionMiddleware(self._sessions.open(OWNER, _client(headers)), tell=True)
        raise errors.LoginFailed(
            "The session has ended, or never was.", code="session_unknown", next_step="Connect again."
        )

    def _password(
        self, info: paflight.CallInfo, credentials: str, headers: Mapping[str, list[str]]
    ) -> SessionMiddleware:
        name, password = _split(credentials)
        principal = self._login(name, password)
        if info.method == paflight.FlightMethod.HANDSHAKE:
            return SessionMiddleware(self._sessions.open(principal, _client(headers)), tell=True)
        # A client that sends its password with every call gets one session for all of them.
        mark = hashlib.sha256(credentials.encode()).digest()
        session = self._basic.get(mark)
        if session is None or self._sessions.find(session.token) is None:
            if len(self._basic) >= BASIC_SESSIONS_MAX:
                self._basic.clear()
            session = self._basic[mark] = self._sessions.open(principal, _client(headers))
        return SessionMiddleware(session, tell=True)

    def _login(self, name: str, password: str) -> Principal:
        if name == OWNER.name and self._is_owner(password):
            return OWNER
        return self._engine.users.login(name, password)


class Handshake(paflight.ServerAuthHandler):  # type: ignore[misc]
    """Lets the handshake through: the middleware has done the work, and some clients want a message back."""

    def authenticate(self, outgoing: paflight.ServerAuthSender, incoming: paflight.ServerAuthReader) -> None:
        """Answer the handshake."""
        outgoing.write(b"")

    def is_valid(self, token: bytes) -> bytes:
        """Every call is checked by the middleware."""
        return b""


def session_of(context: paflight.ServerCallContext) -> FlightSession:
    """The session of the call that this thread handles."""
    session = _calls.pop(threading.get_ident(), None)
    if session is not None:
        return session
    opened: FlightSession = context.get_middleware(MIDDLEWARE).session
    return opened


def _split(credentials: str) -> tuple[str, str]:
    try:
        # Go's driver leaves the padding away.
        text = base64.b64decode(credentials + "=" * (-len(credentials) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise errors.LoginFailed("The authorization header cannot be read.") from None
    name, _, password = text.partition(":")
    return name, password


def _client(headers: Mapping[str, list[str]]) -> str:
    sent = next(iter(headers.get("user-agent", ())), "flight")
    return sent[:200]
