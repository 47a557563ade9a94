"""A repository: where snapshots are kept. Files named by their content, and a manifest for each snapshot.

| key | holds |
|---|---|
| `data/ab/<sha256>.parquet` | rows; written once, never changed |
| `snapshots/<id>.json` | a manifest: the last thing that is written of a snapshot |
| `using/<random>.json` | who works on the repository now |
| `using/lakes`, `using/lake-<id>` | which lakes have snapshots here, and which: see `neurolake.backup.heads` |

A file's name is its hash, so what is there already is not written again, whichever snapshot brought it. A run that
ends early leaves files that no manifest names: the next run finds them by their content, and prune removes them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from neurolake import errors
from neurolake.activity import Steps
from neurolake.backup import manifest as manifests
from neurolake.backup.faults import reached
from neurolake.backup.heads import Heads
from neurolake.backup.manifest import External, Manifest, Part, in_order
from neurolake.backup.presence import AT_WORK, has_ended, own_note
from neurolake.backup.sealed import SEALED, SealedFiles, needs_key

__all__ = ["Files", "Repository", "file_key"]

RENEW_S = 600.0
RESERVE = "using/reserve"
RESERVE_BYTES = 16 << 10
"""What prune removes where the disk is too full for its own note: taking old snapshots away must always work."""


class Files(Protocol):
    """The storage of a repository: a local folder, or objects behind a URL."""

    location: str

    @property
    def staging(self) -> Path:
        """Where files are made before they get their name."""

    def size(self, key: str) -> int | None:
        """A file's size; None where it is not there."""

    def modified(self, key: str) -> float:
        """When a file was written, in seconds by the storage's own clock; 0 where it does not say."""

    def read(self, key: str) -> bytes:
        """A whole file."""

    def local(self, key: str) -> Path:
        """A path of this machine that holds the file's bytes."""

    def release(self, key: str) -> None:
        """The local copy that `local` made, if it made one, is needed no more."""

    def names(self, key: str) -> tuple[str, ...]:
        """What a listing may call the file."""

    def readable(self, key: str) -> str | None:
        """What the engine opens the file by; None where it cannot open it where it lies."""

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every file below a folder."""

    def adopt(self, key: str, made: Path) -> None:
        """Bring a finished local file in under its key, and take it away."""

    def rely_on(self, key: str) -> None:
        """Make durable, with the next `settle`, the name of a file that another run may have only just brought."""

    def put(self, key: str, data: bytes) -> None:
        """Write a file, whole or not at all, and durably."""

    def settle(self) -> None:
        """Make durable what `adopt`, `rely_on` and `remove` were told."""

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""

    def clear_staging(self, but: Path | None = None) -> None:
        """Remove what runs that ended early have left."""


def file_key(file: str) -> str:
    """Where a file of that hash lies; one that is no Parquet brings its ending.

    >>> file_key("ab12"), file_key("ab12.csv.gz")
    ('data/ab/ab12.parquet', 'data/ab/ab12.csv.gz')
    """
    return f"data/{file[:2]}/{file}" if "." in file else f"data/{file[:2]}/{file}.parquet"


class Repository:
    """One repository. Safe to use from several threads and processes at once, on any storage.

    Args:
        throttle: waits until a file of so many bytes may be brought in.
        steps: told how far the work is.
    """

    def __init__(
        self, files: Files, throttle: Callable[[int], None] = lambda size: None, steps: Steps | None = None
    ) -> None:
        self.files = files
        self.heads = Heads(files)
        self.steps = steps or Steps()
        self._throttle = throttle
        self.location = files.location
        self.unread: dict[str, errors.NeuroLakeError] = {}
        """Why snapshots that are there could not be read."""
        self._known: dict[str, Manifest] = {}
        self._notes: dict[str, tuple[dict[str, Any], float]] = {}

    # Snapshots

    def ids(self) -> list[str]:
        """The snapshots that are there, oldest first."""
        keys = [key for key, _ in self.files.keys("snapshots")]
        if any(key.endswith(SEALED) for key in keys):
            raise needs_key(self.location)
        names = (key.rpartition("/")[2].removesuffix(".json") for key in keys if key.endswith(".json"))
        return sorted(name for name in names if manifests.is_id(name))

    def holds(self, snapshot_id: str) -> bool:
        """Whether a snapshot is there, whatever the storage lists."""
        if not manifests.is_id(snapshot_id):
            return False
        found = self.files.size(f"snapshots/{snapshot_id}.json") is not None
        if not found and self.files.size(f"snapshots/{snapshot_id}{SEALED}") is not None:
            raise needs_key(self.location)
        return found

    def manifest(self, snapshot_id: str) -> Manifest:
        """One snapshot's manifest.

        Raises:
            NotFound: `snapshot_unknown`.
            SourceFailed: `snapshot_corrupt`.
        """
        if snapshot_id not in self._known:
            self._known[snapshot_id] = self.reread(snapshot_id)
        return self._known[snapshot_id]

    def reread(self, snapshot_id: str) -> Manifest:
        """As `manifest`, from what is stored now."""
        if not self.holds(snapshot_id):
            raise unknown(snapshot_id, self.location)
        found = manifests.read(self.files.read(f"snapshots/{snapshot_id}.json"), snapshot_id)
        if found.snapshot_id != snapshot_id:
            raise manifests.damaged(snapshot_id, f"it is the one of {found.snapshot_id}")
        return found

    def whole(self) -> list[Manifest]:
        """The manifests that can be read, each lake's in the order they were taken."""
        found = []
        for snapshot_id in self.ids():
            try:
                found.append(self.manifest(snapshot_id))
            except errors.NotFound:
                continue  # removed since it was listed
            except (errors.SourceFailed, errors.NotSupported, errors.AccessDenied):
                continue  # `verify` names it
        return in_order(found)

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest, when all its files are there: from now on the snapshot exists.

        The keys of masks go along only where it is sealed.
        """
        if not isinstance(self.files, SealedFiles):
            manifest = dataclasses.replace(manifest, mask_keys={})
        self.files.settle()
        self.heads.add(manifest.lake_id, manifest.snapshot_id)
        reached("create.before_manifest")
        self.files.put(f"snapshots/{manifest.snapshot_id}.json", manifests.write(manifest))
        reached("create.after_manifest")
        self._known[manifest.snapshot_id] = manifest

    def digest(self, snapshot_id: str) -> str:
        """The SHA-256 of a stored manifest."""
        return hashlib.sha256(self.files.read(f"snapshots/{snapshot_id}.json")).hexdigest()

    def withdraw(self, snapshot_id: str) -> None:
        """Remove a manifest: from now on there is no such snapshot. Its files are collected later."""
        self.files.remove(f"snapshots/{snapshot_id}.json")
        self._known.pop(snapshot_id, None)

    # Files

    def sizes(self) -> dict[str, int]:
        """The files that are there and a snapshot needs, by their hash.

        A listing may show others, although they are gone.
        """
        listed = dict(self.files.keys("data"))
        needed = {file for manifest in self.whole() for file in manifest.files()}
        return {file: listed[name] for file in needed for name in self.files.names(file_key(file)) if name in listed}

    def add(self, made: Path, digest: str, size: int, *, trusting: bool = True) -> bool:
        """Bring a file in under its hash; whether it was not there yet.

        Args:
            trusting: a file of that name and size is taken for the same; else it is read, and replaced if it is not.
        """
        self.renew()
        there = self.files.size(file_key(digest)) == size
        if there and (trusting or self._is_whole(digest)):
            made.unlink()
            self.files.rely_on(file_key(digest))
            return False
        self._throttle(size)
        reached("create.before_file")
        self.files.adopt(file_key(digest), made)
        reached("create.after_file")
        return True

    def _is_whole(self, digest: str) -> bool:
        try:
            return hash_of(self.files.local(file_key(digest))) == digest.partition(".")[0]
        except errors.SourceFailed as problem:
            if problem.code != "snapshot_corrupt":
                raise
            return False
        finally:
            self.files.release(file_key(digest))

    def fetch(self, part: Part | External) -> Path:
        """A local path with a part's bytes, checked against its hash.

        Raises:
            SourceFailed: `snapshot_corrupt`; the message names the file and what is wrong with it.
        """
        self.check_there(part)
        path = self.files.local(file_key(part.file))
        if hash_of(path) != part.file.partition(".")[0]:
            raise corrupt(part, "its bytes are not those that were written")
        return path

    def release(self, part: Part | External) -> None:
        """A part that was fetched is needed no more."""
        self.files.release(file_key(part.file))

    def check_there(self, part: Part | External) -> None:
        """Whether a part's file is there, with the right size.

        Raises:
            SourceFailed: `snapshot_corrupt`.
        """
        size = self.files.size(file_key(part.file))
        if size is None:
            raise corrupt(part, "it is missing")
        if size != part.bytes:
            raise corrupt(part, f"it has {size:,} bytes where {part.bytes:,} were written")

    def readable(self, part: Part | External) -> str | None:
        """What the engine opens a part by; None where it cannot open it where it lies, and must `fetch` it."""
        return self.files.readable(file_key(part.file))

    # Who works here

    @contextmanager
    def in_use(self, kind: str) -> Iterator[None]:
        """Note for the block that the repository is worked on; prune stands back from all others, they from prune.

        Raises:
            Unavailable: `repository_locked`.
        """
        key = f"using/{secrets.token_hex(8)}.json"
        AT_WORK.add(key)
        try:
            self._announce(key, kind)
            for other in self._others(key):
                if kind == "prune" or other.get("kind") == "prune":
                    raise _locked(self.location, other)
            yield
        finally:
            self._notes.pop(key, None)
            AT_WORK.discard(key)
            with suppress(errors.NeuroLakeError):  # what was done is done; a note that stays shows that it has ended
                self.files.remove(key)

    def renew(self) -> None:
        """Say that whoever is at work still is."""
        for key, (note, at) in list(self._notes.items()):
            if time.monotonic() - at > RENEW_S:
                with suppress(errors.SourceFailed):  # not where nothing may be replaced; the work itself would fail too
                    self._note(key, note)

    def _announce(self, key: str, kind: str) -> None:
        try:
            self._note(key, own_note(kind))
        except errors.LimitReached:
            if kind != "prune":
                raise
            self.files.remove(RESERVE)
            self._note(key, own_note(kind))
        if kind == "create" and self.files.size(RESERVE) is None:
            self.files.put(RESERVE, bytes(RESERVE_BYTES))

    def _note(self, key: str, note: dict[str, Any]) -> None:
        self._notes[key] = (note, time.monotonic())
        self.files.put(key, json.dumps({**note, "at": time.time()}).encode())

    def _others(self, mine: str) -> Iterator[Mapping[str, Any]]:
        """The notes of others at work; those of whoever has ended are removed."""
        for key, _ in list(self.files.keys("using")):
            if key == mine or not key.endswith(".json"):
                continue
            if (note := self._read_note(key)) is None:
                continue
            if has_ended(key, note, self._idle_s(key, note, mine)):
                with suppress(errors.SourceFailed):  # where nothing may be removed
                    self.files.remove(key)
            else:
                yield note

    def _read_note(self, key: str) -> dict[str, Any] | None:
        """A note; None where it is gone since it was listed."""
        try:
            return dict(json.loads(self.files.read(key)))
        except errors.SourceFailed as problem:
            if problem.code in ("source_missing", "repository_missing"):
                return None
            if problem.code == "source_changed" and self.files.size(key) is None:
                return None
            raise

    def _idle_s(self, key: str, note: Mapping[str, Any], mine: str) -> float:
        """How long a note was not renewed, by the storage's clock where it has one: this machine's may have jumped."""
        try:
            then, now = self.files.modified(key), self.files.modified(mine)
        except errors.SourceFailed:
            then = now = 0.0
        return now - then if then and now else abs(time.time() - float(note.get("at", 0)))


def _locked(location: str, other: Mapping[str, Any]) -> errors.Unavailable:
    return errors.Unavailable(
        f"The repository {location} is in use: {other.get('kind')} by process {other.get('pid')} "
        f"on {other.get('host')}.",
        code="repository_locked",
        next_step="Run it again when that has ended.",
    )


def unknown(snapshot_id: str, location: str) -> errors.NotFound:
    """The error for a snapshot that is not there."""
    return errors.NotFound(
        f"There is no snapshot {snapshot_id} in {location}.",
        code="snapshot_unknown",
        next_step="`neurolake backup list` shows those there are.",
    )


def nothing(location: str) -> errors.NotFound:
    """The error where this lake has no snapshot yet."""
    return errors.NotFound(
        f"There is no snapshot of this lake in {location}.",
        code="nothing_to_do",
        next_step="Take one first: `neurolake backup create`.",
    )


def corrupt(part: Part | External, why: str) -> errors.SourceFailed:
    """The error of a file that is not what was written."""
    return errors.SourceFailed(
        f"The file {file_key(part.file)} is damaged: {why}.",
        code="snapshot_corrupt",
        next_step="`neurolake backup verify` says which tables are whole; restore those, or another snapshot.",
    )


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
