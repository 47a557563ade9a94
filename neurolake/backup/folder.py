"""A repository's files in a local folder: each is whole under its name, or not there."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurolake import errors
from neurolake.home.files import fsync_dir

__all__ = ["Folder"]


class Folder:
    """Files below a folder, by key. A key is a relative path with `/` between its parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)
        self._unsynced: set[Path] = set()

    @property
    def staging(self) -> Path:
        """Where files are made before they get their name: on the same disk, so that a rename does it."""
        return self.path / "staging"

    def size(self, key: str) -> int | None:
        """A file's size; None where it is not there."""
        with mapped(self.path):
            try:
                return (self.path / key).stat().st_size
            except FileNotFoundError:
                return None

    def modified(self, key: str) -> float:
        """When a file was written, in seconds by the clock of the disk's machine."""
        with mapped(self.path):
            return (self.path / key).stat().st_mtime

    def read(self, key: str) -> bytes:
        """A whole file.

        Raises:
            SourceFailed: `repository_missing` where it is not there.
        """
        with mapped(self.path):
            return (self.path / key).read_bytes()

    def local(self, key: str) -> Path:
        """A path that holds the file's bytes."""
        return self.path / key

    def release(self, key: str) -> None:
        """Nothing was copied, and nothing is to go."""

    def names(self, key: str) -> tuple[str, ...]:
        """What a listing calls the file: its key."""
        return (key,)

    def readable(self, key: str) -> str:
        """What the engine opens the file by."""
        return str(self.path / key)

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every file below a folder."""
        with mapped(self.path):
            for found in sorted((self.path / prefix).rglob("*")):
                with suppress(FileNotFoundError):  # gone since it was listed
                    if found.is_file():
                        yield found.relative_to(self.path).as_posix(), found.stat().st_size

    def adopt(self, key: str, made: Path) -> None:
        """Give a finished file its name. It is on the disk; its name is with the next `settle`."""
        target = self.path / key
        with mapped(self.path):
            self._make_folder(target.parent)
            _fsync(made)
            try:
                made.replace(target)
            except OSError as problem:
                if problem.errno != errno.EXDEV:
                    raise
                self.put(key, made.read_bytes())
            self.rely_on(key)

    def rely_on(self, key: str) -> None:
        """Let the next `settle` force a name to the disk, and the folders on its way, maybe made by another run."""
        parent = (self.path / key).parent
        self._unsynced.update((parent, *(folder for folder in parent.parents if folder.is_relative_to(self.path))))

    def put(self, key: str, data: bytes) -> None:
        """Write a file, whole and at once on the disk with its name."""
        target = self.path / key
        with mapped(self.path):
            self._make_folder(target.parent)
            part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
            try:
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            fsync_dir(target.parent)

    def settle(self) -> None:
        """Force the names of files that came, went or are relied on to the disk."""
        with mapped(self.path):
            while self._unsynced:
                fsync_dir(self._unsynced.pop())

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        with mapped(self.path):
            (self.path / key).unlink(missing_ok=True)
            self._unsynced.add((self.path / key).parent)

    def clear_staging(self, but: Path | None = None) -> None:
        """Remove what runs that ended early have left."""
        with mapped(self.path):
            for found in self.staging.glob("*"):
                if found != but:
                    shutil.rmtree(found, ignore_errors=True)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        fsync_dir(folder.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def mapped(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals inside the block into typed errors."""
    try:
        yield
    except OSError as problem:
        raise _problem(folder, problem) from None


def _problem(folder: Path, problem: OSError) -> errors.NeuroLakeError:
    why = problem.strerror or type(problem).__name__
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.LimitReached(
            f"The disk of the repository {folder} is full. No snapshot there has changed.",
            code="repository_full",
            next_step="Free space there, or `neurolake backup prune`, then run it again.",
        )
    code = "repository_missing" if problem.errno == errno.ENOENT else "repository_failed"
    return errors.SourceFailed(
        f"The repository {folder} cannot be used: {why}.",
        code=code,
        next_step="Check the path, the disk and its permissions, then run it again.",
    )
