"""Who is calling: a user and password become a bearer session; every later call brings the bearer token."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Final

import pyarrow.flight as paflight

from flight.errors import boundary
from flight.sessions import CERTIFIED, FlightSession, Sessions
from neurolake import errors
from neurolake.engine import Engine
from neurolake.governance.logins import STOLEN, Login, Method
from neurolake.query import OWNER

AUTHORIZATION: Final = "authorization"
HEADER_BYTES_MAX: Final = 8192
MIDDLEWARE: Final = "session"
SHARED_SESSIONS_MAX: Final = 1000
ADOPTERS: Final = ("ADBC Flight SQL Driver",)
"""How drivers name themselves that go on with the token an answer brings, so that each connection has its session."""
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

    def of(self, context: paflight.ServerCallContext) -> FlightSession:
        """The session of this call."""
        return self.session

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
        self._shared = _Shared(engine, sessions)

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
        return self._middleware(info, headers)

    @boundary
    def _middleware(self, info: paflight.CallInfo, headers: Mapping[str, list[str]]) -> SessionMiddleware:
        sent = headers.get(AUTHORIZATION, _NOTHING)[0]
        if len(sent) > HEADER_BYTES_MAX:
            raise self._refused(_unreadable("is too long"), headers)
        scheme, _, credentials = sent.partition(" ")
        client, address = _client(headers), self._address(headers)
        match scheme.casefold():
            case "bearer":
                return self._entered(info, client, sent, lambda: self._bearer(credentials.strip(), address))
            case "basic":
                return self._entered(info, client, sent, lambda: self._password(credentials.strip(), address))
        missing = errors.LoginFailed(
            "This server needs a login.",
            code="login_missing",
            next_step="Connect with a user name and a password, or with a token.",
        )
        raise self._refused(missing, headers)

    def _refused(self, problem: errors.LoginFailed, headers: Mapping[str, list[str]]) -> errors.LoginFailed:
        return self._engine.logins.refused(problem, Method.NONE, self._address(headers))

    def _entered(
        self, info: paflight.CallInfo, client: str, sent: str, login: Callable[[], Login]
    ) -> SessionMiddleware:
        """The session of somebody who brings credentials instead of a session's token.

        A handshake opens a session, and so does the first call of a driver that goes on with the token it is told. A
        client that sends its credentials with every call gets one session for all of them.
        """
        if info.method == paflight.FlightMethod.HANDSHAKE or client.startswith(ADOPTERS):
            return SessionMiddleware(self._sessions.open(login(), client), tell=True)
        mark = hashlib.sha256(f"{client}\0{sent}".encode()).digest()
        session = self._shared.find(mark)
        if session is None or session.session.is_owner:  # the owner's token changes, so it is looked at each time
            proven = login()
            session = session or self._shared.keep(mark, self._sessions.open(proven, client))
        return SessionMiddleware(session, tell=True)

    def _bearer(self, token: str, address: str) -> Login:
        if self._is_owner(token):
            return self._engine.logins.owner(address)
        return self._engine.logins.bearer(token, address, ended=self._sessions.has_ended(token))

    def _password(self, credentials: str, address: str) -> Login:
        try:
            name, password = _split(credentials)
        except ValueError:
            unread = _unreadable("cannot be read")
            raise self._engine.logins.refused(unread, Method.PASSWORD, address) from None
        if name == OWNER.name and self._is_owner(password):
            return self._engine.logins.owner(address)
        return self._engine.logins.password(name, password, address)

    def _address(self, headers: Mapping[str, list[str]]) -> str:
        """Where the call comes from, if a proxy says so: its own word is the last one."""
        name = self._engine.settings.client_address_header.casefold()
        sent = headers.get(name, ()) if name else ()
        return sent[-1].rpartition(",")[2].strip()[:64] if sent else ""


class _Shared:
    """Sessions of clients that send their credentials with every call, by what they send."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self._engine = engine
        self._sessions = sessions
        self._by_mark: dict[bytes, FlightSession] = {}
        self._lock = threading.Lock()

    def find(self, mark: bytes) -> FlightSession | None:
        """The session, while it lives and its credentials hold."""
        session = self._by_mark.get(mark)
        if session is None or self._sessions.find(session.token) is None:
            return None
        login = session.session.login
        return session if login is not None and self._engine.logins.holds(login) else None

    def keep(self, mark: bytes, opened: FlightSession) -> FlightSession:
        """Keep a session for the calls to come; where another call was first, that one's."""
        with self._lock:
            if (first := self.find(mark)) is None:
                if len(self._by_mark) >= SHARED_SESSIONS_MAX:
                    self._by_mark.clear()
                self._by_mark[mark] = opened
                return opened
        self._sessions.close(opened)
        return first


class CertificateMiddleware(paflight.ServerMiddleware):  # type: ignore[misc]
    """One call on the port for client certificates. Whose certificate it is only the handler is told."""

    def __init__(self, authentication: CertificateAuthentication, token: str, client: str) -> None:
        super().__init__()
        self._authentication = authentication
        self._token = token
        self._client = client

    def of(self, context: paflight.ServerCallContext) -> FlightSession:
        """The session of this call."""
        return self._authentication.session(context, self._token, self._client)


class CertificateAuthentication(paflight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Finds or opens the session of every call on the port for client certificates.

    Args:
        engine: knows the users.
        sessions: the open sessions.
    """

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        super().__init__()
        self._engine = engine
        self._sessions = sessions
        self._shared = _Shared(engine, sessions)

    def start_call(self, info: paflight.CallInfo, headers: Mapping[str, list[str]]) -> CertificateMiddleware:
        """Note what the call brings."""
        _calls.pop(threading.get_ident(), None)  # what a call on the other port may have left to this thread's number
        scheme, _, token = headers.get(AUTHORIZATION, _NOTHING)[0].partition(" ")
        return CertificateMiddleware(self, token if scheme.casefold() == "bearer" else "", _client(headers))

    def session(self, context: paflight.ServerCallContext, token: str, client: str) -> FlightSession:
        """The session of a call: the one that its token names, if this certificate opened it, or a new one."""
        name = context.peer_identity().decode("utf-8", "replace")
        mark = hashlib.sha256(f"{client}\0{name}".encode()).digest()
        found = self._sessions.find(CERTIFIED + token) if token else self._shared.find(mark)
        if found is not None and found.session.login is not None and found.session.login.credential == name:
            return found
        if token:
            ended, code = self._sessions.has_ended(CERTIFIED + token), STOLEN if found is not None else ""
            raise self._engine.logins.no_session(Method.CERTIFICATE, ended=ended, code=code)
        opened = self._sessions.open(self._engine.logins.certificate(name), client)
        if not client.startswith(ADOPTERS):
            return self._shared.keep(mark, opened)
        context.add_header(AUTHORIZATION, f"Bearer {opened.token.removeprefix(CERTIFIED)}")
        return opened


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
    if session is None:
        session = context.get_middleware(MIDDLEWARE).of(context)
    session.asked_over(context.peer())
    return session


def _unreadable(why: str) -> errors.LoginFailed:
    return errors.LoginFailed(
        f"The authorization header {why}.",
        next_step=f"Send Basic or Bearer and the credentials, {HEADER_BYTES_MAX} characters at most.",
    )


def _split(credentials: str) -> tuple[str, str]:
    # Go's driver leaves the padding away.
    text = base64.b64decode(credentials + "=" * (-len(credentials) % 4), validate=True).decode()
    name, _, password = text.partition(":")
    return name, password


def _client(headers: Mapping[str, list[str]]) -> str:
    sent = next(iter(headers.get("user-agent", ())), "flight")
    return sent[:200]
