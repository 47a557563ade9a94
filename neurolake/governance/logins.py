"""The one door: every way of proving who one is ends here as a Login, counted, recorded, and ended when it must be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, Final, NoReturn

from neurolake import errors
from neurolake.governance import tokens as pat
from neurolake.governance.lockout import Lockout, Sparing
from neurolake.governance.model import Governance
from neurolake.governance.oidc import Identity, Oidc
from neurolake.governance.tokens import Tokens
from neurolake.governance.users import ADMIN, Users
from neurolake.query import OWNER, Principal

if TYPE_CHECKING:
    from neurolake.config import Settings
    from neurolake.observe import Metrics

logger = logging.getLogger("neurolake")

ANONYMOUS_MAX: Final = 100
ANONYMOUS_S: Final = 10.0
"""Failures of nobody known, and tries that come too soon: so many are recorded in so long, and how many were not."""
ENDED: Final = "session_ended"
"""How it is counted that somebody comes with the token of a session that has ended."""
STOLEN: Final = "session_of_another"
"""How it is recorded that a certificate brings the token of a session that another one has opened."""
HASTY: Final = frozenset(("login_back_off", "login_locked", "logins_busy"))


class Method(StrEnum):
    """By what somebody proves who they are."""

    PASSWORD = auto()
    TOKEN = auto()
    OIDC = auto()
    CERTIFICATE = auto()
    OWNER = auto()
    SESSION = auto()
    """By the token of a session that was opened before: no login, but one that fails is none either."""
    NONE = auto()
    """By nothing that could be read."""


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who has proved who they are.

    Attributes:
        principal: who, in which role.
        method: by what.
        credential: which one, where a user has several: a token's id, a certificate's name.
        expires: when it ends by itself, Unix time; None when it does not.
        stamp: of the password; another one means that the password was changed.
    """

    principal: Principal
    method: Method
    credential: str = ""
    expires: float | None = None
    stamp: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Whose sessions end at once: all of a user, those of one method, or those of one credential."""

    user_name: str
    method: Method | None = None
    credential: str = ""
    asker: object = None
    """The session that asks for it: the statement that does so is answered. Who changes their password stays."""

    def hits(self, login: Login) -> bool:
        """Whether a session that this login opened is meant."""
        return (
            login.principal.name == self.user_name
            and self.method in (None, login.method)
            and self.credential in ("", login.credential)
        )


class Logins:
    """Who may come in. Safe to share between threads.

    Args:
        users, tokens: those of the lake.
        settings: of lock-out, identity provider and certificates.
        governance: knows the users' roles, and keeps the audit log of every login, failure and lock-out.
        metrics: where they are counted.
    """

    def __init__(
        self,
        users: Users,
        tokens: Tokens,
        settings: Settings,
        governance: Governance,
        metrics: Metrics,
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._oidc = Oidc(settings)
        self._lockout = Lockout(settings.login_failures_max, settings.login_lock_s)
        self._certificates = dict(_pairs(settings.mtls_users))
        self._governance = governance
        self._metrics = metrics
        self._sparing = Sparing(ANONYMOUS_MAX, ANONYMOUS_S)
        self._listeners: list[Callable[[Ending], None]] = []

    # Ways in

    def password(self, name: str, password: str, address: str = "") -> Login:
        """Log in with a user's password.

        An unknown user takes as long as a wrong password; failures of a name, and of an address, slow the next down.

        Raises:
            LoginFailed: they do not fit together, or failures have locked the name or the address.
            Unavailable: too many logins at once.
        """
        try:
            self._lockout.check(name, address)
            stamp = self._users.stamp(name)
            if not self._users.knows(name, password):
                locked = self._lockout.failed(name, address)
                if locked:
                    self._record("login_locked", name, Method.PASSWORD, address, "login_locked")
                raise errors.LoginFailed(
                    "The user name or the password is wrong.", next_step="Check both, or ask an administrator."
                )
        except errors.NeuroLakeError as problem:
            self._failed(problem, name, Method.PASSWORD, address)
        self._lockout.succeeded(name)
        return self._done(Login(self._governance.principal(name), Method.PASSWORD, stamp=stamp), address)

    def bearer(self, text: str, address: str = "", *, ended: bool = False) -> Login:
        """Log in with a personal access token, or with a signed token of the identity provider.

        Args:
            text: the token.
            address: where it comes from; empty where nobody knows.
            ended: it was the token of a session that has ended: to come back with it is no attack, and is only counted.

        Raises:
            LoginFailed: it is none, has ended, or leads to no user or role.
            Unavailable: the identity provider's keys cannot be had.
        """
        if text.startswith(pat.PREFIX):
            return self._personal(text, address)
        if self._oidc.enabled and text.count(".") == 2:
            return self._signed(text, address)
        raise self.no_session(Method.OIDC if text.count(".") == 2 else Method.SESSION, address, ended=ended)

    def no_session(
        self, method: Method, address: str = "", *, ended: bool = False, code: str = ""
    ) -> errors.LoginFailed:
        """The one answer to the token of a session that has ended, that never was, or that is another's.

        Args:
            method: by what they come.
            address: where from; empty where nobody knows.
            ended: there was such a session: to come back to it is no attack, so it is counted and not recorded.
            code: what is recorded, where that is more than the client is told.
        """
        problem = errors.LoginFailed(
            "The session has ended, or never was.", code="session_unknown", next_step="Connect again."
        )
        if ended:
            self._metrics.login(Method.SESSION, ENDED)
            return problem
        return self.refused(problem, method, address, code=code)

    def refused(
        self, problem: errors.LoginFailed, method: Method, address: str = "", *, code: str = ""
    ) -> errors.LoginFailed:
        """The answer to who has not proved who they are, before there is a name to look at: counted and recorded."""
        self._metrics.login(method, code or problem.code)
        self._record("login_failed", "", method, address, code or problem.code)
        return problem

    def _personal(self, text: str, address: str) -> Login:
        name = ""
        try:
            token = self._tokens.find(text)
            name = token.user_name
            token.check()
            scope = None if token.roles is None else frozenset(token.roles)
            principal = self._governance.principal(name, scope=scope)
            if scope is not None and not principal.role:
                raise errors.LoginFailed(
                    "Its user has none of the token's roles any more.",
                    code="token_roles",
                    next_step="Make a new token.",
                )
        except errors.NeuroLakeError as problem:
            self._failed(problem, name, Method.TOKEN, address)
        return self._done(Login(principal, Method.TOKEN, token.token_id, token.expires_at), address)

    def _signed(self, text: str, address: str) -> Login:
        name = ""
        try:
            identity = self._oidc.verify(text)
            name = identity.name
            principal = self._of_provider(identity)
        except errors.NeuroLakeError as problem:
            self._failed(problem, name, Method.OIDC, address)
        return self._done(Login(principal, Method.OIDC, "", identity.expires), address)

    def _of_provider(self, identity: Identity) -> Principal:
        name, roles = identity.name, identity.roles
        if name in (ADMIN, OWNER.name):
            raise _not_here(f"The user {name} does not log in through an identity provider.")
        if roles is not None and not roles:
            raise _not_here("The token's groups lead to no role here.")
        if self._users.exists(name):
            # A name alone must not open more than the token's own roles do.
            principal = self._governance.principal(name, scope=None if roles is None else frozenset(roles))
            if roles is not None and not principal.role:
                raise _not_here("The token's user has none of its roles here.")
            return principal
        if roles is None:
            raise _not_here("The token's user is not known here.")
        return Principal(name, roles[0], is_admin=roles[0] == ADMIN, roles=roles, attributes=identity.attributes)

    def certificate(self, name: str, address: str = "") -> Login:
        """Log in with a client certificate, which the listener has verified, by the name in it.

        Raises:
            LoginFailed: the name leads to no user.
        """
        user = self._certificates.get(name) if self._certificates else name
        try:
            if not name or user is None or not self._users.exists(user):
                raise _not_here("The certificate's name leads to no user.")
            principal = self._governance.principal(user)
        except errors.NeuroLakeError as problem:
            self._failed(problem, user or "", Method.CERTIFICATE, address)
        return self._done(Login(principal, Method.CERTIFICATE, name), address)

    def owner(self, address: str = "") -> Login:
        """Log in as the home's owner, who has proved it."""
        return self._done(Login(OWNER, Method.OWNER), address)

    # Their end

    def holds(self, login: Login) -> bool:
        """Whether a login would still be let in: asked again once its session is known to `on_end`."""
        if login.method == Method.TOKEN:
            try:
                return self._tokens.get(login.credential).revoked_at is None
            except errors.NotFound:
                return False
        if login.method == Method.PASSWORD:
            return self._users.stamp(login.principal.name) == login.stamp
        return login.method in (Method.OWNER, Method.OIDC) or self._users.exists(login.principal.name)

    def on_end(self, listener: Callable[[Ending], None]) -> None:
        """Have it called whenever sessions must end at once."""
        self._listeners.append(listener)

    def end(self, ending: Ending) -> None:
        """End sessions at once: a user was dropped, a token revoked, a password changed."""
        for listener in self._listeners:
            listener(ending)

    def unlock(self, name: str) -> None:
        """Forget a user's failed logins."""
        self._lockout.succeeded(name)

    # What is kept of it

    def _done(self, login: Login, address: str) -> Login:
        self._metrics.login(login.method, "done")
        about: dict[str, Any] = {"method": login.method, "credential": login.credential, "address": address}
        self._governance.audit.record("login", login.principal, "", **about)
        return login

    def _failed(self, problem: errors.NeuroLakeError, name: str, method: Method, address: str) -> NoReturn:
        self._metrics.login(method, problem.code)
        self._record("login_failed", name, method, address, problem.code)
        raise problem from None

    def _record(self, event: str, name: str, method: Method, address: str, code: str) -> None:
        # A name that is no user's may be a password in the wrong field.
        known = name if name and self._users.exists(name) else ""
        held = 0 if event == "login_locked" or (known and code not in HASTY) else self._sparing.take()
        if held is None:
            return
        about: dict[str, Any] = {
            "method": method,
            "address": address,
            "code": code,
            **({"not_recorded": held} if held else {}),
        }
        logger.warning("%s: user %r, by %s, from %s: %s", event, known, method, address or "an unknown address", code)
        self._governance.audit.record(event, Principal(known, ""), "", **about)


def _not_here(what: str) -> errors.LoginFailed:
    return errors.LoginFailed(what, code="login_unmapped", next_step="See docs/authentication.md.")


def _pairs(texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, sign, user = text.rpartition("=")
        if not sign or not name or not user:
            raise errors.InvalidRequest(f"{text!r} in mtls_users is not of the form name=user.", code="mtls_settings")
        yield name, user
