"""Users and their passwords: Argon2id hashes in the metadata store."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from typing import TYPE_CHECKING, Final

from neurolake import errors
from neurolake.catalog.store import Store

if TYPE_CHECKING:
    from argon2 import PasswordHasher

    from neurolake.governance.tokens import Change

ADMIN: Final = "admin"
PASSWORD_CHARACTERS_MIN: Final = 8
REMEMBERED_S: Final = 300.0
REMEMBERED_MAX: Final = 1000
HASHES_AT_ONCE: Final = 4
"""Each takes 64 MiB: a flood of logins must not take the server's memory."""
HASH_WAIT_S: Final = 10.0


class Users:
    """The users of one lake. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: dict[bytes, float] = {}
        self._salt = secrets.token_bytes(32)
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)

    def has_admin(self) -> bool:
        """Whether the first administrator was made."""
        return self.exists(ADMIN)

    def exists(self, name: str) -> bool:
        """Whether there is such a user."""
        return bool(self._store.rows("SELECT 1 FROM users WHERE user_name = ?", (name,)))

    def make_admin(self, password: str | None) -> str | None:
        """Make the first administrator; gives back the password when one had to be made up."""
        made = None if password else secrets.token_urlsafe(15)
        hashed = self.hashed(password or made or "")
        with self._store.durable() as db:
            db.execute(
                "INSERT INTO users (user_name, password, role, created_at) VALUES (?, ?, 'admin', ?)",
                (ADMIN, hashed, time.time()),
            )
            db.execute("INSERT OR REPLACE INTO user_roles VALUES (?, 'admin', 0)", (ADMIN,))
        return made

    def set_password(self, name: str, password: str, change: Change | None = None) -> None:
        """Change a password, durably. The sessions that the old one opened are the caller's to end.

        Args:
            name: the user.
            password: the new one.
            change: begins the transaction that it is changed in.

        Raises:
            NotFound: there is no such user.
            InvalidRequest: the password is too short.
        """
        hashed = self.hashed(password)
        with (change or self._store.durable)() as db:
            changed = db.execute("UPDATE users SET password = ? WHERE user_name = ?", (hashed, name)).rowcount
            if not changed:
                raise unknown(name)
        self._remembered.clear()

    def hashed(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            InvalidRequest: it is too short.
            Unavailable: too many are being hashed.
        """
        if len(password) < PASSWORD_CHARACTERS_MIN:
            raise errors.InvalidRequest(
                f"A password has at least {PASSWORD_CHARACTERS_MIN} characters.", code="password_too_short"
            )
        self._take_turn()
        try:
            return _hasher().hash(password)
        finally:
            self._hashing.release()

    def stamp(self, name: str) -> str | None:
        """What changes with the user's password; None when there is no such user."""
        found = self._store.rows("SELECT password, created_at FROM users WHERE user_name = ?", (name,))
        return hashlib.sha256(repr(found[0]).encode()).hexdigest() if found else None

    def knows(self, name: str, password: str) -> bool:
        """Whether this is the password of a user of this name.

        It takes as long for an unknown user, or one without a password, as for a wrong password.

        Raises:
            Unavailable: too many logins at once.
        """
        found = self._store.rows("SELECT password, created_at FROM users WHERE user_name = ?", (name,))
        mark = hmac.digest(self._salt, f"{name}\0{password}\0{found}".encode(), "sha256")
        if self._remembered.get(mark, 0.0) >= time.monotonic():
            return True
        if not self._verify(found[0][0] if found else None, password):
            return False
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[mark] = time.monotonic() + REMEMBERED_S
        return True

    def _verify(self, hashed: str | None, password: str) -> bool:
        from argon2.exceptions import Argon2Error, InvalidHashError

        hasher = _hasher()
        self._take_turn()
        try:
            return hasher.verify(hashed or _decoy(hasher), password) and hashed is not None
        except (Argon2Error, InvalidHashError):
            return False
        finally:
            self._hashing.release()

    def _take_turn(self) -> None:
        if not self._hashing.acquire(timeout=HASH_WAIT_S):
            raise errors.Unavailable(
                "Too many logins at once.", code="logins_busy", next_step="Try again in some seconds."
            )


def unknown(name: str) -> errors.NotFound:
    """There is no user of that name."""
    return errors.NotFound(
        f"There is no user named {name}.",
        code="user_unknown",
        next_step="SELECT user_name FROM neurolake.users lists them; names differ by case.",
    )


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


def _decoy(hasher: PasswordHasher) -> str:
    """The hash of no password at all, which takes as long to compare with as one of a password."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (hasher.salt_len, hasher.hash_len)
    )
    work = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${work}${salt}${digest}"
