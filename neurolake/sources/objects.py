"""Whole files below one location elsewhere: written, read, listed and removed, for threads that wait."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.sources import failures

if TYPE_CHECKING:
    from neurolake.sources.general import GeneralStorage
    from neurolake.sources.s3 import S3Storage
    from neurolake.sources.waiting import RequestLoop

__all__ = ["Objects"]


class Objects:
    """Objects by key; a key is what follows the location. Each call raises `SourceFailed` where the storage fails."""

    def __init__(self, location: str, driver: S3Storage | GeneralStorage, loop: RequestLoop) -> None:
        self.location = location
        self._driver = driver
        self._loop = loop

    def url(self, key: str) -> str:
        """The object's own location."""
        return f"{self.location}/{key}"

    def size(self, key: str) -> int | None:
        """An object's size; None where it is not there."""
        try:
            return self._loop.wait(self._driver.look(self.url(key))).size
        except errors.SourceFailed as problem:
            if problem.code == "source_missing":
                return None
            raise

    def modified(self, key: str) -> float:
        """When an object was stored, in seconds by the server's clock; 0 where it does not say."""
        return self._loop.wait(self._driver.look(self.url(key))).modified.timestamp()

    def read(self, key: str) -> bytes:
        """A whole object."""
        entry = self._loop.wait(self._driver.look(self.url(key)))
        data = self._loop.wait(self._driver.read(entry, 0, entry.size)) if entry.size else b""
        if len(data) != entry.size:
            raise failures.truncated(self.url(key), f"{len(data)} bytes came for {entry.size}")
        return bytes(data)

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every object below a prefix, or of all, as the storage lists them now."""
        for entry in self._loop.wait(self._driver.list("/".join(filter(None, (self.location, prefix, "**"))))):
            yield entry.path.removeprefix(f"{self.location}/"), entry.size

    def write(self, key: str, data: bytes | Path) -> None:
        """Store an object, whole or not at all."""
        part = self.url(f"data/{secrets.token_hex(8)}.part")  # what an end leaves there, prune collects
        self._loop.wait(self._driver.write(self.url(key), data, part))

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._loop.wait(self._driver.remove(self.url(key)))
