"""Prune: take away the snapshots that no rule keeps, then the files that no snapshot needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.backup.faults import reached
from neurolake.backup.locks import is_let_go
from neurolake.backup.manifest import Manifest, in_order
from neurolake.backup.retention import Kept, Retention, choose
from neurolake.backup.runs import Outcome

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository
    from neurolake.config import Settings

__all__ = ["Pruned", "prune"]

LOCKED = "the storage refuses to remove it"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was, or would be, done: each snapshot with the reasons it stays, and the files that go.

    `refused` are files that no snapshot needs and the storage does not let go: a lock or the rights say so.
    """

    snapshots: list[Kept]
    files: int
    bytes: int
    refused: int = 0

    @property
    def outcome(self) -> Outcome:
        """What the record of runs says of it."""
        gone = sum(not kept.reasons for kept in self.snapshots)
        refused = f"; the storage refused {self.refused} files" if self.refused else ""
        return Outcome(detail=f"removed {gone} snapshots and {self.files} files of {self.bytes} bytes{refused}")


def prune(
    repository: Repository,
    lake_id: str,
    rule: Retention,
    *,
    dry_run: bool,
    mounted: Collection[str],
    known: Collection[str],
    check: Callable[[], None],
) -> Pruned:
    """Prune one lake's snapshots in a repository, and the files that nobody's snapshot needs.

    What a lock of the storage, or missing rights, keep there stays; a snapshot that stays keeps its files.

    Manifests go first, so that no snapshot is ever listed whose files are gone. Where any manifest cannot be read,
    nobody knows which files it needs, and no file goes.

    Args:
        repository: where.
        lake_id: whose snapshots may go.
        rule: which stay.
        dry_run: only say what would be done.
        mounted: snapshots that are read now.
        known: snapshots that must be there, if nobody else has removed them, beside those that lakes name there.
        check: raises when the work is to stop.

    Raises:
        Unavailable: `repository_locked`: somebody else works there.
        SourceFailed: `snapshot_corrupt`: a manifest cannot be read; `repository_listing`: one is there but not listed.
    """
    with repository.in_use("prune"):
        reached("prune.begun")
        manifests = in_order(_there(repository, repository.heads.ids().union(known)))
        mine = [manifest for manifest in manifests if manifest.lake_id == lake_id]
        chosen = [_mounted(kept, mounted) for kept in _chosen(mine, rule)]
        going = {kept.snapshot_id for kept in chosen if not kept.reasons}
        locked = set() if dry_run else _withdraw(repository, going)
        chosen = [kept._replace(reasons=(LOCKED,)) if kept.snapshot_id in locked else kept for kept in chosen]
        left = _unneeded(repository, [m for m in manifests if m.snapshot_id not in going - locked])
        gone = left if dry_run else _take_away(repository, left, check)
        if going - locked and not dry_run:
            repository.heads.keep(lake_id, [kept.snapshot_id for kept in chosen if kept.reasons])
    return Pruned(chosen, len(gone), sum(size for _, size in gone), len(left) - len(gone))


def _there(repository: Repository, known: Collection[str]) -> Iterator[Manifest]:
    """Every manifest. What a listing lacks would lose its files, so one that is older than what is known is refused."""
    listed = set(repository.ids())
    for snapshot_id in sorted(listed.union(known)):
        try:
            manifest = repository.reread(snapshot_id)
        except errors.NotFound:
            continue  # the listing is older than its removal, or somebody else has removed it
        if snapshot_id not in listed:
            raise errors.SourceFailed(
                f"The listing of {repository.location} lacks the snapshot {snapshot_id}, which is there.",
                code="repository_listing",
                next_step="Nothing was removed. Run it again when the storage lists what it holds.",
                retryable=True,
            )
        yield manifest


def _chosen(mine: list[Manifest], rule: Retention) -> list[Kept]:
    """Masked snapshots are lines of their own, one for each role: they never take the place of the data itself."""
    roles = sorted({manifest.role for manifest in mine}, key=lambda role: (role is not None, role))
    lines = ([(m.snapshot_id, m.moment) for m in mine if m.role == role] for role in roles)
    return [kept for line in lines for kept in choose(line, rule, datetime.now(UTC))]


def _mounted(kept: Kept, mounted: Collection[str]) -> Kept:
    return kept._replace(reasons=(*kept.reasons, "mounted")) if kept.snapshot_id in mounted else kept


def _unneeded(repository: Repository, staying: list[Manifest]) -> list[tuple[str, int]]:
    from neurolake.backup.repository import file_key

    needed = {
        name for manifest in staying for file in manifest.files() for name in repository.files.names(file_key(file))
    }
    return [(key, size) for key, size in repository.files.keys("data") if key not in needed]


def _withdraw(repository: Repository, going: set[str]) -> set[str]:
    """Take manifests away, for good before any file goes; those that the storage does not let go."""
    locked = set()
    for snapshot_id in sorted(going):
        if not is_let_go(partial(repository.withdraw, snapshot_id)):
            locked.add(snapshot_id)
        reached("prune.manifest")
    repository.files.settle()
    return locked


def _take_away(
    repository: Repository, files: list[tuple[str, int]], check: Callable[[], None]
) -> list[tuple[str, int]]:
    """Take files away; those that went."""
    gone = []
    for key, size in files:
        check()
        repository.renew()
        if is_let_go(partial(repository.files.remove, key)):
            gone.append((key, size))
        reached("prune.file")
    repository.files.clear_staging()
    repository.files.settle()
    reached("prune.done")
    return gone


def retention_of(settings: Settings) -> Retention:
    """The rule that a lake's settings say.

    Raises:
        InvalidRequest: it would keep nothing.
    """
    names = ("hourly", "daily", "weekly", "monthly", "yearly", "last")
    counts = {name: int(getattr(settings, f"snapshot_keep_{name}")) for name in names}
    rule = Retention(**counts, days_min=settings.snapshot_keep_days_min)
    if not any(counts.values()):
        raise errors.InvalidRequest(
            "The settings keep no snapshot at all.", code="retention", next_step="Raise one of snapshot_keep_…."
        )
    return rule
