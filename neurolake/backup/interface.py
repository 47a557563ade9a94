"""`lake.backups`: the procedures on snapshots as Python methods, of an embedded and of a remote lake alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurolake.lake import Lake

__all__ = ["LakeBackups"]

Rows = list[dict[str, Any]]


class LakeBackups:
    """Snapshots of one lake. A snapshot is named by its id, the beginning of one, 'latest', or a time.

    Args:
        repository: the folder they are kept in; None: as the settings say.
    """

    def __init__(self, lake: Lake, repository: str | Path | None = None) -> None:
        self._lake = lake
        self._repository = None if repository is None else str(repository)

    def at(self, repository: str | Path) -> LakeBackups:
        """The same in another repository."""
        return LakeBackups(self._lake, repository)

    def create(
        self,
        tables: Sequence[str] = (),
        *,
        kind: str = "full",
        reuse: bool = True,
        as_role: str | None = None,
        include_external: bool = False,
        include_history: bool = False,
    ) -> str:
        """Take a snapshot; its id. `create_snapshot` also says in which repositories it could not be kept.

        Args:
            tables: only these managed tables; none: everything.
            kind: full; schema: no rows; data: tables only.
            reuse: whether what an earlier snapshot there holds is not written again.
            as_role: only what this role may see, masked as it sees it.
            include_external: whether the files that registered sources read are copied, too.
            include_history: whether the query history is taken along, for a new lake made from it.
        """
        rows = self._call(
            "create_snapshot", tables=list(tables) or None, kind=kind, reuse=reuse, as_role=as_role,
            include_external=include_external, include_history=include_history,
        )  # fmt: skip
        return next(str(row["snapshot_id"]) for row in rows if row["snapshot_id"] is not None)

    def list(self) -> Rows:
        """The snapshots there are, oldest first."""
        return self._call("list_snapshots")

    def show(self, snapshot: str | datetime = "latest") -> Rows:
        """What a snapshot holds."""
        return self._call("show_snapshot", _named(snapshot))

    def verify(self, snapshot: str | datetime = "latest", *, full: bool = False, quick: bool = False) -> Rows:
        """Everything that was looked at; `state` is whole or damaged."""
        return self._call("verify_snapshot", _named(snapshot), full=full, quick=quick)

    def restore(
        self,
        snapshot: str | datetime = "latest",
        *,
        tables: Sequence[str] = (),
        to: str | Path | None = None,
        overwrite: bool = False,
        external_to: str | Path | None = None,
    ) -> Rows:
        """Bring a snapshot, or tables of one, back; all of that or nothing.

        Args:
            to: a new lake's folder, or `schema:name`; None: where everything was.
            overwrite: whether what is there may be replaced.
            external_to: where the copies of sources' files go, an empty folder or s3:// location.
        """
        destination = None if to is None else str(to)
        return self._call(
            "restore_snapshot", _named(snapshot), tables=list(tables) or None, destination=destination,
            overwrite=overwrite, external_to=None if external_to is None else str(external_to),
        )  # fmt: skip

    def drill(self, snapshot: str | datetime = "latest", *, bytes_max: int | None = None) -> Rows:
        """Restore a snapshot into a scratch lake and try that; `state` is passed or failed.

        Args:
            bytes_max: of Parquet, of tables chosen by chance; 0: everything; None: as the settings say.
        """
        return self._call("drill_snapshot", _named(snapshot), bytes_max=bytes_max)

    def diff(self, before: str | datetime, after: str | datetime) -> Rows:
        """What became of each table."""
        return self._call("diff_snapshots", _named(before), _named(after))

    def mount(self, snapshot: str | datetime = "latest") -> Rows:
        """Show a snapshot as schema snapshot_<id>."""
        return self._call("mount_snapshot", _named(snapshot))

    def unmount(self, snapshot: str) -> Rows:
        """Take that schema away."""
        rows: Rows = self._lake.call("unmount_snapshot", snapshot).to_pylist()
        return rows

    def rotate(self) -> Rows:
        """Seal with the first of `snapshot_keys` what the others have sealed."""
        return self._call("rotate_snapshot_keys")

    def prune(self, *, dry_run: bool = True) -> Rows:
        """Remove what no setting keeps, or only say what would go."""
        return self._call("prune_snapshots", dry_run=dry_run)

    def _call(self, procedure: str, *positional: object, **named: object) -> Rows:
        given = {name: value for name, value in named.items() if value is not None}
        if self._repository is not None:
            given["repository"] = self._repository
        rows: Rows = self._lake.call(procedure, *positional, **given).to_pylist()
        return rows


def _named(snapshot: str | datetime) -> str:
    return snapshot.isoformat() if isinstance(snapshot, datetime) else snapshot
