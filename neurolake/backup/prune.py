"""Prune: take away the snapshots that no rule keeps, then the files that no snapshot needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.backup.faults import reached
from neurolake.backup.manifest import Manifest, in_order
from neurolake.backup.retention import Kept, Retention, choose
from neurolake.backup.runs import Outcome

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository
    from neurolake.config import Settings

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was, or would be, done: each snapshot with the reasons it stays, and the files that go."""

    snapshots: list[Kept]
    files: int
    bytes: int

    @property
    def outcome(self) -> Outcome:
        """What the record of runs says of it."""
        gone = sum(not kept.reasons for kept in self.snapshots)
        return Outcome(detail=f"removed {gone} snapshots and {self.files} files of {self.bytes} bytes")


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

    Manifests go first, so that no snapshot is ever listed whose files are gone. Where any manifest cannot be read,
    nobody knows which files it needs, and no file goes.

    Args:
        repository: where.
        lake_id: whose snapshots may go.
        rule: which stay.
        dry_run: only say what would be done.
        mounted: snapshots that are read now.
        known: snapshots that must be there, if nobody else has removed them.
        check: raises when the work is to stop.

    Raises:
        Unavailable: `repository_locked`: somebody else works there.
        SourceFailed: `snapshot_corrupt`: a manifest cannot be read; `repository_listing`: one is there but not listed.
    """
    with repository.in_use("prune"):
        reached("prune.begun")
        manifests = in_order(_there(repository, known))
        mine = [manifest for manifest in manifests if manifest.lake_id == lake_id]
        chosen = [_mounted(kept, mounted) for kept in _chosen(mine, rule)]
        going = {kept.snapshot_id for kept in chosen if not kept.reasons}
        left = _unneeded(repository, [m for m in manifests if m.snapshot_id not in going])
        if not dry_run:
            _take_away(repository, going, [key for key, _ in left], check)
    return Pruned(chosen, len(left), sum(size for _, size in left))


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


def _take_away(repository: Repository, going: set[str], files: list[str], check: Callable[[], None]) -> None:
    for snapshot_id in sorted(going):
        repository.withdraw(snapshot_id)
        reached("prune.manifest")
    repository.files.settle()  # the manifests are gone for good before any file is
    for key in files:
        check()
        repository.renew()
        repository.files.remove(key)
        reached("prune.file")
    repository.files.clear_staging()
    repository.files.settle()
    reached("prune.done")


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
