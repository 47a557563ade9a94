"""The keys behind tokens and shifted dates: one secret a version, and from it one key for every scope.

A scope's tokens are the same wherever they are made, so that columns of one scope can be joined, and mean nothing in
another. A rotation makes a new version: tokens made before and after it do not match.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, NamedTuple

from neurolake import errors
from neurolake.catalog.store import Store
from neurolake.governance.masks import KEYS_VARIABLE, key_name

if TYPE_CHECKING:
    from sqlite3 import Connection

_BLOCK: Final = 64
"""Bytes of a block of SHA-256, to which HMAC pads its key."""


class Derived(NamedTuple):
    """What masks of one scope need: HMAC's two padded keys, and a number from 1 to 2^31."""

    inner: bytes
    outer: bytes
    number: int


class Keys:
    """The mask keys of one lake. Safe to share between threads.

    Attributes:
        count: moves whenever connections must be given their keys anew.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._scopes: set[str] = set()
        self.count = 0

    @property
    def version(self) -> int:
        """The version of the secret; 0 until a mask has needed one."""
        return int(self._store.fact("mask_key_version", 0))

    def need(self, scopes: frozenset[str]) -> None:
        """Make the keys of these scopes known to every connection that is prepared from now on.

        Raises:
            HomeProblem: the secret cannot be read or written.
        """
        if scopes <= self._scopes:
            return
        with self._lock:
            self._secret()
            self._scopes |= scopes
            self.count += 1

    def rotate(self, change: Callable[[int], AbstractContextManager[Connection]]) -> int:
        """Make a new secret in one transaction with what records it; the version it has.

        Args:
            change: the durable change that a version is part of.
        """
        with self._lock:
            version = self.version + 1
            with change(version) as db:
                _make(db, version)
                self.count += 1  # before what was planned under the old one is planned again
        return version

    def statement(self) -> str | None:
        """The SET VARIABLE that gives a connection its keys; None while nobody needs any."""
        with self._lock:
            scopes = sorted(self._scopes)
        if not scopes:
            return None
        parts = []
        for scope in scopes:
            key = self.derive(scope)
            parts.append(
                f"{key_name(scope)}: {{i: unhex('{key.inner.hex()}'), o: unhex('{key.outer.hex()}'), n: {key.number}}}"
            )
        return f"SET VARIABLE {KEYS_VARIABLE} = {{{', '.join(parts)}}}"

    def derive(self, scope: str) -> Derived:
        """The key of a scope, from the secret of the present version."""
        secret = self._secret()
        key = hmac.digest(secret, b"neurolake token\0" + scope.encode(), "sha256").ljust(_BLOCK, b"\0")
        number = hmac.digest(secret, b"neurolake number\0" + scope.encode(), "sha256")
        return Derived(
            bytes(byte ^ 0x36 for byte in key),
            bytes(byte ^ 0x5C for byte in key),
            int.from_bytes(number[:4], "big") // 2 + 1,
        )

    def _secret(self) -> bytes:
        version = self.version
        if not version:
            version = 1
            with self._store.durable() as db:
                _make(db, version)
        found = self._store.fact(f"mask_key_{version}")
        if not isinstance(found, str) or len(found) != 64:
            raise errors.HomeProblem(
                f"Version {version} of the mask key is missing from the metadata; masks that need it cannot be made.",
                code="mask_key_missing",
                next_step="Make a new key (CALL neurolake.rotate_mask_key(), by an administrator): tokens and shifted "
                "dates are others from then on. To keep them, restore a sealed snapshot into a new lake.",
            )
        return bytes.fromhex(found)


def _make(db: Connection, version: int) -> None:
    db.execute(
        "INSERT OR REPLACE INTO facts VALUES (?, ?), ('mask_key_version', ?)",
        (f"mask_key_{version}", secrets.token_hex(32), version),
    )
