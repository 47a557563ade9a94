"""Users of a lake in this process: a proven login becomes a session, which ends when the login does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from neurolake import errors
from neurolake.governance.logins import Ending, Login, Method
from neurolake.session import Session

if TYPE_CHECKING:
    from neurolake.engine import Engine

__all__ = ["UserSessions", "check_proof"]

ANSWERED_S: Final = 5.0
"""How long a session that has ended its own login may still read the answer."""


def check_proof(user: str | None, password: str | None, token: str | None) -> None:
    """Refuse what is neither a user and a password nor a token alone.

    Raises:
        LoginFailed: it is not.
    """
    given = tuple(part is not None for part in (user, password, token))
    if given not in ((True, True, False), (False, False, True)):
        raise errors.LoginFailed(
            "This does not say who opens the lake.",
            code="login_missing",
            next_step="Give a user and a password, or a token alone.",
        )


class UserSessions:
    """Every session of a user of one embedded lake. Safe to share between threads.

    Args:
        engine: knows the users.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._logins: dict[Session, Login] = {}
        self._timers: dict[Session, threading.Timer] = {}
        engine.logins.on_end(self._ended)

    def enter(self, user: str | None, password: str | None, token: str | None) -> Session:
        """The session of somebody who proves to be a user, by a password or by a token.

        Raises:
            LoginFailed: the proof is missing, wrong or over, or failures slow the next try down.
        """
        login = self._proven(user, password, token)
        session = self._open(login)
        if not self._engine.logins.holds(login):
            self.close(session)
            raise errors.LoginFailed(
                "The login does not hold any more.", code="login_ended", next_step="Log in again, with what holds now."
            )
        return session

    def _proven(self, user: str | None, password: str | None, token: str | None) -> Login:
        check_proof(user, password, token)
        if token is not None:
            return self._engine.logins.bearer(token)
        return self._engine.logins.password(user or "", password or "")

    def _open(self, login: Login) -> Session:
        session = self._engine.session(login.principal, per_thread=True)
        session.login = login
        self._logins[session] = login
        if login.expires is not None:
            self._end_in(session, login.expires - time.time())
        return session

    def _end_in(self, session: Session, seconds: float) -> None:
        if (before := self._timers.pop(session, None)) is not None:
            before.cancel()
        timer = threading.Timer(max(0.0, seconds), self._end, (session,))
        timer.daemon = True
        self._timers[session] = timer
        timer.start()

    def _ended(self, ending: Ending) -> None:
        for session, login in list(self._logins.items()):
            if not ending.hits(login):
                continue
            if session is not ending.asker:
                self._end(session)
            elif ending.method is not Method.PASSWORD:
                self._end_in(session, ANSWERED_S)

    def _end(self, session: Session) -> None:
        self.close(session, "The session has ended: its login does not hold any more.")

    def close(self, session: Session, because: str = "The lake was closed.") -> None:
        """End one session at once, and the statements it runs."""
        self._logins.pop(session, None)
        if (timer := self._timers.pop(session, None)) is not None:
            timer.cancel()
        session.closed = True
        self._engine.activities.stop_of(session, because)
        session.close()

    def close_all(self) -> None:
        """End all of them."""
        for session in list(self._logins):
            self.close(session)
