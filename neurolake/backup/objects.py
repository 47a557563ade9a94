"""A repository's files in S3. An object appears whole or not at all, and stays when the request has returned."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake.backup.folder import mapped

if TYPE_CHECKING:
    from neurolake.sources.objects import Objects

__all__ = ["ObjectFiles"]


class ObjectFiles:
    """Objects by key; local copies live in a folder that goes with this object."""

    def __init__(self, objects: Objects, scratch: Path) -> None:
        self.location = objects.location
        self._objects = objects
        with mapped(scratch):
            self._folder = Path(tempfile.mkdtemp(dir=scratch, prefix="snapshot-"))
        self._end = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def staging(self) -> Path:
        """Where files are made before they are sent."""
        return self._folder / "staging"

    def size(self, key: str) -> int | None:
        """An object's size; None where it is not there."""
        return self._objects.size(key)

    def modified(self, key: str) -> float:
        """When an object was stored, in seconds by the server's clock."""
        return self._objects.modified(key)

    def read(self, key: str) -> bytes:
        """A whole object."""
        return self._objects.read(key)

    def local(self, key: str) -> Path:
        """A local copy of the object."""
        path = self._copy(key)
        if not path.exists():
            with mapped(path.parent):
                path.write_bytes(self._objects.read(key))
        return path

    def release(self, key: str) -> None:
        """Remove the local copy."""
        self._copy(key).unlink(missing_ok=True)

    def _copy(self, key: str) -> Path:
        return self._folder / key.rpartition("/")[2]

    def names(self, key: str) -> tuple[str, ...]:
        """What a listing calls the object: its key."""
        return (key,)

    def readable(self, key: str) -> str:
        """The object's URL: the engine reads it where it lies."""
        return self._objects.url(key)

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every object below a folder."""
        return self._objects.keys(prefix)

    def adopt(self, key: str, made: Path) -> None:
        """Send a finished file, and remove it here."""
        self._objects.write(key, made)
        made.unlink()

    def rely_on(self, key: str) -> None:
        """What is there stays there."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._objects.write(key, data)

    def settle(self) -> None:
        """Nothing waits: what a request has stored is stored."""

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._objects.remove(key)

    def clear_staging(self, but: Path | None = None) -> None:
        """Nothing is staged in the repository itself."""
