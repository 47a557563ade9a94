"""A repository whose files are sealed: names and contents tell nothing to who has no key.

| key | is stored as |
|---|---|
| `data/ab/<sha256>.parquet` | `data/3f/<keyed hash>-<key id>.sealed` |
| `snapshots/<id>.json` | `snapshots/<id>.sealed` |
| `using/<random>.json` | as it is: who works here is no secret |

What is opened stands in a folder of this machine that goes with this object.
"""

from __future__ import annotations

import io
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from neurolake import errors
from neurolake.backup.folder import mapped
from neurolake.backup.locks import is_let_go
from neurolake.backup.sealing import Key, Keyring, open_sealed, plain_size, seal, sealed_with

if TYPE_CHECKING:
    from neurolake.backup.repository import Files

__all__ = ["SEALED", "Resealed", "SealedFiles"]

SEALED = ".sealed"


class Resealed(NamedTuple):
    """Whether a file was sealed anew, and how many older copies of it the storage keeps."""

    sealed: bool
    kept: int


class SealedFiles:
    """The sealed files of a repository, by what they are called where nothing is sealed.

    Args:
        files: where they are stored.
        keyring: the first key seals, any opens.
        scratch: a folder of this machine for what is opened.
    """

    def __init__(self, files: Files, keyring: Keyring, scratch: Path) -> None:
        self.location = files.location
        self._files = files
        self._keyring = keyring
        with mapped(scratch):
            self._folder = Path(tempfile.mkdtemp(dir=scratch, prefix="opened-"))
        self._end = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def staging(self) -> Path:
        """Where files are made before they are sealed: never in the repository."""
        return self._folder / "staging"

    def names(self, key: str) -> tuple[str, ...]:
        """What a file may be called in storage: a name for each key, that of the newest first."""
        if key.startswith("data/"):
            return tuple(self._name(key, sealed_with) for sealed_with in self._keyring.keys)
        return (f"{key.removesuffix('.json')}{SEALED}",) if key.startswith("snapshots/") else (key,)

    def _name(self, key: str, sealed_with: Key) -> str:
        name = sealed_with.name(key)
        return f"data/{name[:2]}/{name}-{sealed_with.id}{SEALED}"

    def _stored(self, key: str) -> str | None:
        """What a file is called in storage; None where it is not there."""
        return next((name for name in self.names(key) if self._files.size(name) is not None), None)

    def size(self, key: str) -> int | None:
        """How many bytes a file holds; None where it is not there.

        Raises:
            InvalidRequest: `repository_plain`: it is a snapshot's manifest that is not sealed.
        """
        if key.startswith("using/"):
            return self._files.size(key)
        stored = self._stored(key)
        size = None if stored is None else self._files.size(stored)
        if size is None and key.startswith("snapshots/") and self._files.size(key) is not None:
            raise _plain(self.location)
        return None if size is None else plain_size(size)

    def modified(self, key: str) -> float:
        """When a file was written."""
        return self._files.modified(self._stored(key) or key)

    def read(self, key: str) -> bytes:
        """A whole file, opened."""
        if key.startswith("using/"):
            return self._files.read(key)
        opened = io.BytesIO()
        stored = self._stored(key) or self.names(key)[0]
        open_sealed(io.BytesIO(self._files.read(stored)), opened.write, self._keyring, key)
        return opened.getvalue()

    def local(self, key: str) -> Path:
        """A path that holds the file's bytes, opened."""
        path = self._copy(key)
        if not path.exists():
            stored = self._stored(key) or self.names(key)[0]
            part = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
            try:
                with mapped(self._folder), self._files.local(stored).open("rb") as source, part.open("xb") as target:
                    open_sealed(source, target.write, self._keyring, key)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
                self._files.release(stored)
        return path

    def _copy(self, key: str) -> Path:
        return self._folder / key.rpartition("/")[2]

    def release(self, key: str) -> None:
        """Remove what was opened."""
        self._copy(key).unlink(missing_ok=True)

    def readable(self, key: str) -> None:
        """The engine opens nothing that is sealed where it lies."""

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every file below a folder; of data, what they are called in storage.

        Data that was sealed with keys that are not here is not shown: nobody here can tell whether it is needed.

        Raises:
            InvalidRequest: `repository_plain`: it holds snapshots that are not sealed.
        """
        for name, size in self._files.keys(prefix):
            if prefix == "snapshots" and name.endswith(".json"):
                raise _plain(self.location)
            if prefix == "snapshots" and name.endswith(SEALED):
                yield f"{name.removesuffix(SEALED)}.json", plain_size(size)
            elif prefix == "data" and name.endswith(SEALED):
                if self._keyring.find(name.removesuffix(SEALED).rpartition("-")[2]) is not None:
                    yield name, plain_size(size)
            elif prefix == "using":
                yield name, size

    def adopt(self, key: str, made: Path) -> None:
        """Seal a finished local file under its key, and take it away."""
        staging = self._files.staging / secrets.token_hex(8)
        with mapped(self._files.staging):
            staging.mkdir(parents=True, mode=0o700)
            try:
                sealed = staging / made.name
                with made.open("rb") as source, sealed.open("xb") as target:
                    seal(source, target, self._keyring.newest, key)
                self._files.adopt(self.names(key)[0], sealed)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            made.unlink()

    def rely_on(self, key: str) -> None:
        """Make the name durable of a file that is there."""
        self._files.rely_on(self._stored(key) or self.names(key)[0])

    def put(self, key: str, data: bytes) -> None:
        """Seal a file and write it."""
        if key.startswith("using/"):
            self._files.put(key, data)
            return
        sealed = io.BytesIO()
        seal(io.BytesIO(data), sealed, self._keyring.newest, key)
        self._files.put(self.names(key)[0], sealed.getvalue())

    def settle(self) -> None:
        """Make durable what was told."""
        self._files.settle()

    def remove(self, key: str) -> None:
        """Remove a file, whichever key it was sealed with."""
        for name in (key,) if key.endswith(SEALED) else self.names(key):
            self._files.remove(name)

    def reseal(self, key: str) -> Resealed:
        """Seal a file anew unless the newest key has sealed it. What is older goes where the storage lets it go."""
        if key.startswith("snapshots/"):
            if sealed_with(self._files.read(self.names(key)[0])) == self._keyring.newest.id:
                return Resealed(False, 0)
            self.put(key, self.read(key))
            return Resealed(True, 0)
        newest, *older = self.names(key)
        found = self._files.size(newest) is not None
        if not found:
            self.adopt(key, self.local(key))
            self.settle()
        there = [name for name in older if self._files.size(name) is not None]
        return Resealed(not found, sum(not is_let_go(partial(self._files.remove, name)) for name in there))

    def clear_staging(self, but: Path | None = None) -> None:
        """Remove what runs that ended early have left."""
        self._files.clear_staging(but)


def _plain(location: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The repository {location} holds snapshots that are not sealed, while snapshot_keys names a key.",
        code="repository_plain",
        next_step="Name another repository for sealed snapshots; without snapshot_keys this one is read as before.",
    )


def needs_key(location: str) -> errors.AccessDenied:
    """The error of a sealed repository that is opened without a key."""
    return errors.AccessDenied(
        f"The snapshots in {location} are sealed, and no key is named.",
        code="snapshot_key_missing",
        next_step="Name the key in snapshot_keys: env:NAME or file:/path.",
    )
