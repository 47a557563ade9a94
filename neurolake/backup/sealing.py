"""Sealing: authenticated encryption of a repository's files, in pieces, so that a file of any size takes little memory.

| bytes | of a sealed file |
|---|---|
| 8 | `NLSEAL01` |
| 4 | which key: derived from it, and no part of it |
| 32 | random: with the key it makes the file's own key, by HKDF-SHA256 |
| … | pieces of 1 MiB, each with its tag of 16 bytes: AES-256-GCM |

A piece's nonce counts the pieces and marks the last one, and its tag also covers the first 44 bytes and what the file
is called in the repository (the STREAM construction). So a changed byte, a piece moved or missing, a cut end and a file
in another's place are all found.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from neurolake import errors
from neurolake.config import resolve_secret

__all__ = ["Key", "Keyring", "open_sealed", "plain_size", "seal", "sealed_with"]

MAGIC = b"NLSEAL01"
PIECE = 1 << 20
TAG = 16
KEY_BYTES = 32
_ID_BYTES, _SALT_BYTES = 4, 32
_HEAD = len(MAGIC) + _ID_BYTES + _SALT_BYTES
_REFERENCES = ("env:", "file:")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its parts are derived: none tells another, and none is ever shown.

    Attributes:
        id: tells keys apart, in a file's name and its head.
    """

    secret: bytes = field(repr=False)
    id: str = ""
    names: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, secret: bytes) -> Key:
        """Derive what is used of a secret of 32 bytes."""
        return cls(secret, _derived(secret, b"id", b"")[:_ID_BYTES].hex(), _derived(secret, b"names", b""))

    def name(self, key: str) -> str:
        """What a file is called: who lacks the key cannot tell which content it has.

        >>> Key.of(bytes(32)).name("data/ab/ab12.parquet")
        '3672de59452bcdb9e24405aa743cd455073d7639aad9487c2725812d8eae6a9e'
        """
        return hmac.digest(self.names, key.encode(), "sha256").hex()

    def of_file(self, salt: bytes) -> bytes:
        """The key of one file."""
        return _derived(self.secret, b"file", salt)


def _derived(secret: bytes, purpose: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt or None, b"neurolake snapshots: " + purpose).derive(secret)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of a repository: what is new is sealed with the first, and any of them opens."""

    keys: tuple[Key, ...]

    @classmethod
    def of(cls, references: Sequence[str]) -> Keyring:
        """Read the keys that the setting names.

        Raises:
            InvalidRequest: `snapshot_key`: one is no reference, or what it leads to is no key.
        """
        return cls(tuple(Key.of(_secret(reference)) for reference in references))

    @property
    def newest(self) -> Key:
        """What new files are sealed with."""
        return self.keys[0]

    def find(self, key_id: str) -> Key | None:
        """The key of that id."""
        return next((key for key in self.keys if key.id == key_id), None)


def _secret(reference: str) -> bytes:
    if not reference.startswith(_REFERENCES):
        raise errors.InvalidRequest(
            "snapshot_keys holds something that is no reference to a key.", code="snapshot_key",
            next_step="Write env:NAME or file:/path, which leads to the key.",
        )  # fmt: skip
    text = resolve_secret(reference).strip()
    try:
        found = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != KEY_BYTES:
        raise errors.InvalidRequest(
            f"What {reference} leads to is no key: it takes 32 random bytes, as 64 hexadecimal digits or in Base64.",
            code="snapshot_key",
            next_step="Make one with `openssl rand -hex 32`, and keep it apart from the repository.",
        )
    return found


def seal(source: BinaryIO, target: BinaryIO, key: Key, name: str) -> None:
    """Seal a stream.

    Args:
        name: what the file is called in the repository; it opens under that name alone.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = secrets.token_bytes(_SALT_BYTES)
    head = MAGIC + bytes.fromhex(key.id) + salt
    cipher = AESGCM(key.of_file(salt))
    target.write(head)
    for number, (piece, last) in enumerate(_pieces(source, PIECE)):
        target.write(cipher.encrypt(_nonce(number, last), piece, head + name.encode()))


def open_sealed(source: BinaryIO, write: Callable[[bytes], object], keyring: Keyring, name: str) -> None:
    """Open a sealed stream; every piece is proved before it is written.

    Raises:
        SourceFailed: `snapshot_corrupt`: it is not what was sealed under that name.
        AccessDenied: `snapshot_key_unknown`: none of the keys is its.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head = source.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(MAGIC):
        raise damaged(name)
    key_id, salt = sealed_with(head), head[-_SALT_BYTES:]
    key = keyring.find(key_id)
    if key is None:
        raise unknown_key(name, key_id)
    cipher = AESGCM(key.of_file(salt))
    try:
        for number, (piece, last) in enumerate(_pieces(source, PIECE + TAG)):
            write(cipher.decrypt(_nonce(number, last), piece, head + name.encode()))
    except (InvalidTag, ValueError):
        raise damaged(name) from None


def _pieces(source: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """(piece, whether it is the last) of a stream; at least one."""
    piece = source.read(size)
    while True:
        following = source.read(size) if len(piece) == size else b""
        yield piece, not following
        if not following:
            return
        piece = following


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def plain_size(size: int) -> int:
    """How many bytes a sealed file of a size holds; -1 where no sealed file has that size.

    >>> plain_size(44 + 16), plain_size(44 + 100 + 16), plain_size(44 + 2 * (1 << 20) + 32), plain_size(50)
    (0, 100, 2097152, -1)
    """
    body = size - _HEAD
    pieces = max(1, -(-body // (PIECE + TAG)))
    found = body - pieces * TAG
    return found if body >= TAG and found >= (pieces - 1) * PIECE else -1


def sealed_with(data: bytes) -> str:
    """The id of the key that something was sealed with."""
    return data[len(MAGIC) : len(MAGIC) + _ID_BYTES].hex()


def damaged(name: str) -> errors.SourceFailed:
    """The error of a file that is not what was sealed."""
    return errors.SourceFailed(
        f"The sealed file {name} is damaged: it is not what was written under that name.",
        code="snapshot_corrupt",
        next_step="Restore from another snapshot or repository; `neurolake backup verify --all` shows which are whole.",
    )


def unknown_key(name: str, key_id: str) -> errors.AccessDenied:
    """The error of a file that none of the keys opens."""
    return errors.AccessDenied(
        f"None of snapshot_keys opens {name}: it was sealed with the key {key_id}.",
        code="snapshot_key_unknown",
        next_step="Add that key to snapshot_keys, behind the one that new snapshots are sealed with.",
    )
