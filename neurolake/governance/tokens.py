"""Personal access tokens: shown once, kept as a hash, bounded in time and roles, revocable."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from neurolake import errors
from neurolake.catalog.store import Store

if TYPE_CHECKING:
    from sqlite3 import Connection

    Change = Callable[[], AbstractContextManager[Connection]]

PREFIX: Final = "nlt_"
"""Begins every token, so that people and scanners know one when they see it."""
_FORM: Final = re.compile(r"nlt_(?P<id>[0-9a-f]{12})_(?P<secret>[\w-]{43})")
_PERIOD: Final = re.compile(r"(?P<count>[1-9]\d{0,5})\s*(?P<unit>[smhdw])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. `roles` None means all that its user has; times are Unix time."""

    token_id: str
    user_name: str
    roles: tuple[str, ...] | None
    created_at: float
    created_by: str
    expires_at: float
    revoked_at: float | None = None

    def check(self) -> None:
        """Refuse it when it is over; only who has shown the whole token is told why.

        Raises:
            LoginFailed: `token_revoked` or `token_expired`.
        """
        if self.revoked_at is not None:
            raise errors.LoginFailed("The token was revoked.", code="token_revoked", next_step="Make a new one.")
        if self.expires_at <= time.time():
            raise errors.LoginFailed("The token has expired.", code="token_expired", next_step="Make a new one.")


class Tokens:
    """The personal access tokens of one lake. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        user_name: str,
        roles: Sequence[str] | None,
        life_s: float,
        created_by: str,
        change: Callable[[str], AbstractContextManager[Connection]] | None = None,
    ) -> tuple[Token, str]:
        """Make a token, durably; the token and its text, which is kept nowhere.

        Args:
            user_name, roles, created_by: as in `Token`.
            life_s: how long it lasts.
            change: begins the transaction that it is made in; gets its id.
        """
        now = time.time()
        made = Token(secrets.token_hex(6), user_name, tuple(roles) if roles else None, now, created_by, now + life_s)
        text = f"{PREFIX}{made.token_id}_{secrets.token_urlsafe(32)}"
        with change(made.token_id) if change else self._store.durable() as db:
            db.execute(
                "INSERT INTO tokens (token_id, hash, user_name, roles, created_at, created_by, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (made.token_id, _hash(text), user_name, json.dumps(made.roles), now, created_by, made.expires_at),
            )
        return made, text

    def find(self, text: str) -> Token:
        """The token of that text, whether or not it still holds.

        Raises:
            LoginFailed: `token_unknown`.
        """
        form = _FORM.fullmatch(text)
        rows = self._rows("token_id = ?", form["id"]) if form else []
        # The secret has 256 random bits: a fast hash keeps it, and there is nothing to guess.
        if not rows or not hmac.compare_digest(rows[0][0], _hash(text)):
            raise errors.LoginFailed(
                "There is no such token.", code="token_unknown", next_step="Check it, or make one."
            )
        return _token(rows[0])

    def get(self, token_id: str) -> Token:
        """The token of an id.

        Raises:
            NotFound: there is none.
        """
        rows = self._rows("token_id = ?", token_id)
        if not rows:
            raise errors.NotFound(f"There is no token with the id {token_id}.", code="token_unknown")
        return _token(rows[0])

    def revoke(self, token_id: str, change: Change | None = None) -> None:
        """End a token, durably. Its sessions are the caller's to end."""
        with (change or self._store.durable)() as db:
            db.execute(
                "UPDATE tokens SET revoked_at = ? WHERE token_id = ? AND revoked_at IS NULL", (time.time(), token_id)
            )

    def all(self, user_name: str | None = None) -> list[Token]:
        """Every token, or those of one user; the oldest first."""
        rows = self._rows("user_name = ?", user_name) if user_name is not None else self._rows("? IS NULL", None)
        return [_token(row) for row in rows]

    def _rows(self, where: str, value: object) -> list[tuple[Any, ...]]:
        return self._store.rows(
            "SELECT hash, token_id, user_name, roles, created_at, created_by, expires_at, revoked_at FROM tokens"
            f" WHERE {where} ORDER BY created_at",
            (value,),
        )


def seconds_of(period: str, longest_s: float) -> float:
    """How long a period such as '90d', '12h', '30m' or '2w' is.

    Raises:
        InvalidRequest: it is none, or longer than allowed.

    >>> seconds_of("2w", 1e9)
    1209600.0
    """
    form = _PERIOD.fullmatch(period.strip())
    if form is None:
        raise errors.InvalidRequest(
            f"{period!r} is no period.", code="period", next_step="Write a number and s, m, h, d or w, such as '90d'."
        )
    length_s = float(int(form["count"]) * _UNIT_S[form["unit"]])
    if length_s > longest_s:
        raise errors.InvalidRequest(
            f"A token lasts at most {longest_s / 86_400:g} days.",
            code="period",
            next_step="Ask for less, or raise token_life_s.",
        )
    return length_s


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _token(row: tuple[Any, ...]) -> Token:
    _, token_id, user_name, roles, created_at, created_by, expires_at, revoked_at = row
    scoped = json.loads(roles)
    return Token(token_id, user_name, tuple(scoped) if scoped else None, created_at, created_by, expires_at, revoked_at)
