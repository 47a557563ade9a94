"""Users and their passwords: Argon2id hashes in the metadata store, with back-off on failed logins."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.catalog.store import Store
from neurolake.query import Principal

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ADMIN = "admin"
PASSWORD_CHARACTERS_MIN = 8
FREE_FAILURES = 5
BACK_OFF_MAX_S = 30.0
REMEMBERED_S = 300.0


class Users:
    """The users of one lake. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._failures: dict[str, tuple[int, float]] = {}
        self._remembered: dict[bytes, tuple[str, float]] = {}
        self._salt = secrets.token_bytes(32)
        self._decoy: str | None = None

    def has_admin(self) -> bool:
        """Whether the first administrator was made."""
        return bool(self._store.rows("SELECT 1 FROM users WHERE user_name = ?", (ADMIN,)))

    def make_admin(self, password: str | None) -> str | None:
        """Make the first administrator; gives back the password when one had to be made up."""
        made = None if password else secrets.token_urlsafe(15)
        hashed = self._hash(password or made or "")
        with self._store.durable() as db:
            db.execute(
                "INSERT INTO users (user_name, password, role, created_at) VALUES (?, ?, 'admin', ?)",
                (ADMIN, hashed, time.time()),
            )
        return made

    def set_password(self, name: str, password: str) -> None:
        """Change a password, durably.

        Raises:
            NotFound: there is no such user.
            InvalidRequest: the password is too short.
        """
        hashed = self._hash(password)
        with self._store.durable() as db:
            changed = db.execute("UPDATE users SET password = ? WHERE user_name = ?", (hashed, name)).rowcount
        if not changed:
            raise errors.NotFound(f"There is no user named {name}.", code="user_unknown")
        self._remembered.clear()

    def login(self, name: str, password: str) -> Principal:
        """The principal of a user who knows the password.

        An unknown user takes as long as a wrong password, and failures of one name slow the next try down.

        Raises:
            LoginFailed: they do not fit together.
        """
        self._refuse_hasty(name)
        found = self._store.rows("SELECT password, role FROM users WHERE user_name = ?", (name,))
        mark = hmac.digest(self._salt, f"{name}\0{password}\0{found}".encode(), "sha256")
        if (seen := self._remembered.get(mark)) is None or seen[1] < time.monotonic():
            if not self._verify(found[0][0] if found else None, password):
                self._failed(name)
                raise errors.LoginFailed(
                    "The user name or the password is wrong.",
                    next_step="Check both, or ask an administrator.",
                )
            self._remember(mark, name)
        self._failures.pop(name, None)
        role = str(found[0][1])
        return Principal(name, role, is_admin=role == "admin")

    def _remember(self, mark: bytes, name: str) -> None:
        if len(self._remembered) > 1000:
            self._remembered.clear()
        self._remembered[mark] = (name, time.monotonic() + REMEMBERED_S)

    def _refuse_hasty(self, name: str) -> None:
        failures, last = self._failures.get(name, (0, 0.0))
        wait_s = min(BACK_OFF_MAX_S, 2.0 ** (failures - FREE_FAILURES)) if failures >= FREE_FAILURES else 0.0
        if (left := last + wait_s - time.monotonic()) > 0 and wait_s:
            raise errors.LoginFailed(
                "Too many failed logins for this user.", code="login_back_off", next_step=f"Wait {left:.0f} s.",
                retryable=True,
            )  # fmt: skip

    def _failed(self, name: str) -> None:
        with self._lock:
            if len(self._failures) > 10_000:
                self._failures.clear()
            self._failures[name] = (self._failures.get(name, (0, 0.0))[0] + 1, time.monotonic())

    def _hash(self, password: str) -> str:
        if len(password) < PASSWORD_CHARACTERS_MIN:
            raise errors.InvalidRequest(
                f"A password has at least {PASSWORD_CHARACTERS_MIN} characters.", code="password_too_short"
            )
        return _hasher().hash(password)

    def _verify(self, hashed: str | None, password: str) -> bool:
        from argon2.exceptions import Argon2Error, InvalidHashError

        if self._decoy is None:
            self._decoy = _hasher().hash(hashlib.sha256(self._salt).hexdigest())
        try:
            return _hasher().verify(hashed or self._decoy, password) and hashed is not None
        except (Argon2Error, InvalidHashError):
            return False


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()
