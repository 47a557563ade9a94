"""Rotate: seal with the newest key what older ones have sealed, so that those are needed no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from neurolake import errors
from neurolake.backup.repository import file_key
from neurolake.backup.sealed import Resealed, SealedFiles

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository

__all__ = ["Rotated", "rotate"]


class Rotated(NamedTuple):
    """How many files a repository has, how many were sealed anew, and how many older copies are locked there."""

    repository: str
    files: int
    sealed: int
    locked: int


def rotate(repository: Repository, check: Callable[[], None]) -> Rotated:
    """Seal anew what the newest key has not sealed. Stopped half-way, a second run goes on from there.

    A file is there under its new name before the old one goes, so that who reads meanwhile finds one of the two. Where
    the storage does not let the old one go, because of a lock or rights, it stays: a later run takes it away.

    Raises:
        InvalidRequest: `snapshot_key`: no key is named.
        AccessDenied: `snapshot_key_unknown`: sealed with a key that is not here; what came before is done.
        SourceFailed: `snapshot_corrupt`: a file is damaged.
    """
    files = repository.files
    if not isinstance(files, SealedFiles):
        raise errors.InvalidRequest(
            "No key is named, so nothing is sealed.", code="snapshot_key", next_step="Name keys in snapshot_keys."
        )
    done: dict[str, Resealed] = {}
    with repository.in_use("create"):
        for snapshot_id in repository.ids():
            manifest = repository.reread(snapshot_id)
            keys = [*map(file_key, sorted(manifest.files())), f"snapshots/{snapshot_id}.json"]
            for key in (key for key in keys if key not in done):
                check()
                repository.renew()
                done[key] = files.reseal(key)
    sealed, locked = sum(one.sealed for one in done.values()), sum(one.kept for one in done.values())
    return Rotated(repository.location, len(done), sealed, locked)
