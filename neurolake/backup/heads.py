"""What each lake says of its own snapshots in a repository that several share, asked for by name and never by listing.

| key | holds |
|---|---|
| `using/lakes` | the ids of all lakes that ever took a snapshot there |
| `using/lake-<id>` | the ids of that lake's snapshots |

A listing may be older than what is stored. Whoever prunes must know every snapshot, and these files have fixed names.
Both are written before a manifest is, so one may name a snapshot that never came to be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.backup.manifest import is_id

if TYPE_CHECKING:
    from neurolake.backup.repository import Files

__all__ = ["Heads"]

LAKES = "using/lakes"
JOIN_TRIES = 5
_WRITING = threading.Lock()
"""A lake's own snapshots are all taken by the one process that holds its home."""


class Heads:
    """The heads of a repository's lakes."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def add(self, lake_id: str, snapshot_id: str) -> None:
        """A snapshot of that lake is about to be there."""
        with _WRITING:
            self._join(lake_id)
            self._write(_head(lake_id), self._read(_head(lake_id)) | {snapshot_id})

    def keep(self, lake_id: str, snapshot_ids: Collection[str]) -> None:
        """These are all that the lake has there."""
        with _WRITING:
            self._write(_head(lake_id), snapshot_ids)

    def ids(self) -> set[str]:
        """Every snapshot that some lake names, whether or not it is there.

        Raises:
            SourceFailed: `snapshot_corrupt`: a head cannot be read, so nobody knows what it names.
        """
        return {name for lake in self._read(LAKES) for name in self._read(_head(lake)) if is_id(name)}

    def _join(self, lake_id: str) -> None:
        """Two lakes may join at once, and one overwrite the other: so it is looked whether it held."""
        for _ in range(JOIN_TRIES):
            lakes = self._read(LAKES)
            if lake_id in lakes:
                return
            if not self._write(LAKES, lakes | {lake_id}):
                return

    def _write(self, key: str, names: Collection[str]) -> bool:
        """Write a list of names; False where the storage lets nothing be replaced, and so nothing be pruned."""
        try:
            self._files.put(key, json.dumps(sorted(names)).encode())
        except errors.SourceFailed as problem:
            if problem.code != "source_denied":
                raise
            return False
        return True

    def _read(self, key: str) -> set[str]:
        if self._files.size(key) is None:
            return set()
        try:
            found = json.loads(self._files.read(key))
            if isinstance(found, list) and all(isinstance(name, str) for name in found):
                return set(found)
        except ValueError:
            pass
        raise errors.SourceFailed(
            f"The file {key} of the repository {self._files.location} is damaged.",
            code="snapshot_corrupt",
            next_step="Nothing was removed. Remove that file; the next snapshot of each lake writes it anew.",
        )


def _head(lake_id: str) -> str:
    return f"using/lake-{lake_id}"
