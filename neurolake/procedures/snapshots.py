"""Procedures on snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from neurolake import errors
from neurolake.catalog.system import table
from neurolake.catalog.system_snapshots import SNAPSHOTS, listed, row
from neurolake.procedures import Context, procedure
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.backup.manifest import Manifest
    from neurolake.backup.restore import Restored
    from neurolake.backup.runs import Outcome
    from neurolake.backup.service import Backups
    from neurolake.backup.verify import Finding

SHOWN = pa.schema([
    ("object", pa.string()), ("kind", pa.string()), ("rows", pa.int64()), ("files", pa.int64()), ("bytes", pa.int64()),
])  # fmt: skip
VERIFIED = pa.schema([
    ("snapshot_id", pa.string()), ("object", pa.string()), ("files", pa.int64()), ("rows", pa.int64()),
    ("state", pa.string()), ("problem", pa.string()),
])  # fmt: skip
RESTORED = pa.schema([
    ("object", pa.string()), ("kind", pa.string()), ("rows", pa.int64()), ("state", pa.string()),
    ("reason", pa.string()),
])  # fmt: skip
DRILLED = pa.schema([
    ("snapshot_id", pa.string()), ("object", pa.string()), ("kind", pa.string()), ("rows", pa.int64()),
    ("state", pa.string()), ("problem", pa.string()),
])  # fmt: skip
DIFFERENCES = pa.schema([
    ("table_schema", pa.string()), ("table_name", pa.string()), ("state", pa.string()), ("key", pa.list_(pa.string())),
    ("added", pa.int64()), ("removed", pa.int64()), ("changed", pa.int64()),
])  # fmt: skip
DELIVERED = pa.schema([("channel", pa.string()), ("state", pa.string()), ("reason", pa.string())])
CHANGES = pa.schema([("change", pa.string()), ("before", pa.string()), ("after", pa.string())])
ROTATED = pa.schema([
    ("repository", pa.string()), ("files", pa.int64()), ("sealed", pa.int64()),
    ("locked", pa.int64()),
])  # fmt: skip
PRUNED = pa.schema([
    ("repository", pa.string()), ("snapshot_id", pa.string()), ("created_at", pa.timestamp("us", tz="UTC")),
    ("action", pa.string()), ("reason", pa.string()), ("files", pa.int64()), ("bytes", pa.int64()),
])  # fmt: skip


def _backups(context: Context) -> Backups:
    from neurolake.backup.service import Backups

    return Backups(context.engine, context.query_id, context.principal.name)


@procedure(SNAPSHOTS, long=True)
def create_snapshot(
    context: Context,
    tables: list[str] | None = None,
    kind: str = "full",
    as_role: str | None = None,
    repository: str | None = None,
    reuse: bool = True,
    include_external: bool = False,
    include_history: bool = False,
) -> pa.Table:
    """Take a snapshot: Parquet files and a manifest, in a repository.

    One transaction sees every table while writers go on; what an earlier snapshot in the repository holds already is
    not written again. `tables` are the only managed tables to take; `kind` is full, schema (no rows) or data (tables
    only); `repository` is a folder or an s3:// location, by default each of
    snapshot_repositories: the answer has a row for each, whose state is complete or says why it failed. Without
    `reuse` every row is written anew, and files of the same content that are damaged are replaced. With `as_role` it
    is masked: it holds what that role may see and nothing else, as plain tables; views and sources only if named.
    With `include_external` the files that registered sources read are copied, too, as they are; with
    `include_history` so is the query history.
    """
    backups, rows = _backups(context), []
    mode = "masked" if as_role is not None else "tables" if tables else kind
    with backups.recorded("create", mode, repository) as outcomes:
        everywhere = backups.create(
            kind,
            tables or (),
            repository,
            reuse=reuse,
            as_role=as_role,
            external=include_external,
            history=include_history,
        )
        outcomes.update({taken.repository: taken.outcome for taken in everywhere})
    for taken in everywhere:
        if taken.manifest is not None:
            shown = replace(taken.manifest, bytes_new=taken.bytes_new)
            rows.append(row(taken.repository, shown))
        elif taken.problem is not None:
            nothing = (None,) * 6
            rows.append((None, *nothing, taken.repository, f"failed: {taken.problem.code}", None))
    return table(rows, SNAPSHOTS)


@procedure(SNAPSHOTS)
def list_snapshots(context: Context, repository: str | None = None) -> pa.Table:
    """List the snapshots of one repository, or of all that the settings name, oldest first.

    The system table neurolake.snapshots shows those of the settings.
    """
    found = _backups(context).snapshots(repository)
    return table([listed(*one) for one in found], SNAPSHOTS)


@procedure(SHOWN)
def show_snapshot(context: Context, id: str, repository: str | None = None) -> pa.Table:
    """Show what a snapshot holds: each table with its rows, files and bytes, each other object, and each mask."""
    _, manifest = _backups(context).manifest(id, repository)
    rows: list[tuple[object, ...]] = [
        (str(t.full_name), "table", t.rows, len(t.parts), t.bytes) for t in manifest.tables
    ]
    rows += [(str(Name(o.schema, o.name)), o.kind, None, None, None) for o in manifest.objects]
    rows += [(f"{name}.{column}", f"mask: {action}", None, None, None) for name, column, action in _masks(manifest)]
    rows += [(str(Name(*source["name"])), "source", None, None, None) for source in manifest.sources]
    rows += [(str(name), "copies", None, len(sizes), sum(sizes)) for name, sizes in _copies(manifest).items()]
    rows += [(str(t.full_name), "history", t.rows, len(t.parts), t.bytes) for t in manifest.history]
    rows += [(name, "metadata", len(kept), None, None) for name, kept in manifest.metadata.items() if kept]
    rows += [("mask keys", "metadata", None, None, None)] * bool(manifest.mask_keys)
    return table(rows, SHOWN)


def _copies(manifest: Manifest) -> dict[Name, list[int]]:
    """The sizes of the files that were copied for each source."""
    found: dict[Name, list[int]] = {}
    for one in manifest.external:
        found.setdefault(one.name, []).append(one.bytes)
    return found


def _masks(manifest: Manifest) -> list[tuple[str, str, str]]:
    """The columns of a masked snapshot that are not as the data has them: (table, column, action)."""
    tables = () if manifest.masked is None else manifest.masked["tables"]
    return [
        (table["table"], column["column"], column["action"])
        for table in tables
        for column in table["columns"]
        if column["action"] != "allow"
    ]


@procedure(VERIFIED, long=True)
def verify_snapshot(
    context: Context, id: str, full: bool = False, quick: bool = False, repository: str | None = None
) -> pa.Table:
    """Verify a snapshot against its manifest: of every file the hash, the rows, the columns and their sums.

    `full` also restores it into a scratch lake and compares every value's hash with that of the day it was taken;
    `quick` reads a sample of the files. `id` is a snapshot's id, the beginning of one, 'latest', or a time.
    """
    if full and quick:
        raise errors.InvalidRequest("full and quick contradict each other.", code="argument")
    backups, mode = _backups(context), "full" if full else "quick" if quick else "files"
    with backups.recorded("verify", mode, repository) as outcomes:
        place, snapshot_id = backups.find(id, repository)
        found = backups.verify(snapshot_id, mode, repository)
        outcomes[place.location] = _verified(snapshot_id, found)
    rows = [(snapshot_id, f.object, f.files, f.rows, "damaged" if f.problem else "whole", f.problem) for f in found]
    return table(rows, VERIFIED)


def _verified(snapshot_id: str, found: Sequence[Finding]) -> Outcome:
    from neurolake.backup.runs import FAILED, Outcome

    damaged = [finding.object for finding in found if finding.problem]
    if damaged:
        return Outcome(FAILED, "snapshot_corrupt", snapshot_id, detail=f"damaged: {', '.join(damaged)}")
    others = ("manifest", "restored")
    tables = [f for f in found if f.object not in others and not f.object.startswith("source ")]
    return Outcome(snapshot_id=snapshot_id, tables=len(tables), rows=sum(finding.rows for finding in tables))


@procedure(DRILLED, long=True)
def drill_snapshot(
    context: Context, id: str = "latest", bytes_max: int | None = None, repository: str | None = None
) -> pa.Table:
    """Restore a snapshot into a scratch lake, open that, compare all its rows, try its views, and take it away again.

    `bytes_max` limits it to tables of about so many bytes, chosen by chance; 0 takes everything, and is the default
    unless snapshot_drill_bytes_max says otherwise. The queries of snapshot_drill_checks must answer true in it.
    """
    from neurolake.backup.drill import drill_mode, outcome_of

    backups = _backups(context)
    limit = context.engine.settings.snapshot_drill_bytes_max if bytes_max is None else bytes_max
    if limit < 0:
        raise errors.InvalidRequest("bytes_max is a number of bytes.", code="argument")
    with backups.recorded("drill", drill_mode(limit), repository) as outcomes:
        place, manifest = backups.manifest(id, repository)
        found = backups.drill(place, manifest, limit)
        outcomes[place.location] = outcome_of(manifest, found)
    rows = [(manifest.snapshot_id, d.object, d.kind, d.rows, d.state, d.problem) for d in found]
    return table(rows, DRILLED)


@procedure(RESTORED, long=True)
def restore_snapshot(
    context: Context,
    id: str,
    tables: list[str] | None = None,
    destination: str | None = None,
    overwrite: bool = False,
    repository: str | None = None,
    external_to: str | None = None,
) -> pa.Table:
    """Restore a snapshot, or some tables of it: all of that, or nothing.

    `destination` is `schema:name`, the folder of a new lake, or nothing: everything goes back to where it was. Nothing
    that is there is replaced unless `overwrite` says so. `id` is a snapshot's id, the beginning of one, 'latest', or a
    time: the last snapshot not after it. A masked snapshot is named by its id and needs a destination. `external_to`
    is an empty folder or s3:// location: the copies of external files go there, and the new lake's sources read them.
    """
    done = _backups(context).restore(
        id, tables or (), destination, overwrite=overwrite, location=repository, external_to=external_to
    )
    return _restored(done)


def _restored(done: Restored, state: str = "restored") -> pa.Table:
    rows: list[tuple[object, ...]] = [(str(name), kind, count, state, None) for name, kind, count in done.objects]
    if done.role is not None:
        rows.insert(0, ("snapshot", "masked", 0, state, f"it holds no more than the role {done.role} may see"))
    for said in done.left_out:
        what, _, why = said.partition(": ")
        kind, _, name = what.partition(" ")
        rows.append((name, kind, 0, "left out", why))
    return table(rows, RESTORED)


@procedure(DIFFERENCES)
def diff_snapshots(context: Context, a: str, b: str, repository: str | None = None) -> pa.Table:
    """Show what became of each table from snapshot `a` to snapshot `b`: rows added, removed and changed, by key.

    A table without a primary key has no changed rows: one that changed counts as removed and added.
    """
    found = _backups(context).diff(a, b, repository)
    rows = [(*d.table, d.state, list(d.key), d.added, d.removed, d.changed) for d in found]
    return table(rows, DIFFERENCES)


@procedure(CHANGES)
def diff_rows(
    context: Context,
    a: str,
    b: str,
    table_name: str,
    keys: list[str] | None = None,
    rows_max: int = 1000,
    repository: str | None = None,
) -> pa.Table:
    """Show the rows of one table that differ between snapshots `a` and `b`, as JSON.

    `keys` are the columns that identify a row, by default the primary key.
    """
    found = _backups(context).diff_rows(a, b, table_name, keys or (), rows_max, repository)
    return table(found, CHANGES)


@procedure(PRUNED, long=True)
def prune_snapshots(context: Context, dry_run: bool = True, repository: str | None = None) -> pa.Table:
    """Remove this lake's snapshots that no snapshot_keep_… setting keeps, and files that no snapshot needs.

    With `dry_run`, the default, nothing is removed: the answer says what would be, and why the others stay. Its last
    row counts the files.
    """
    backups = _backups(context)
    if dry_run:
        place, done = backups.prune(dry_run=True, location=repository)
    else:
        with backups.recorded("prune", "snapshots", repository or backups.locations()[0]) as outcomes:
            place, done = backups.prune(dry_run=False, location=repository)
            outcomes[place.location] = done.outcome
    gone = "would be removed" if dry_run else "removed"
    rows: list[tuple[object, ...]] = [
        (place.location, kept.snapshot_id, kept.at.timestamp(), "kept" if kept.reasons else gone,
         ", ".join(kept.reasons) or "no rule keeps it", 0, 0)
        for kept in done.snapshots
    ]  # fmt: skip
    if done.refused:
        rows.append((place.location, None, None, "kept", "files that the storage refuses to remove", done.refused, 0))
    rows.append((place.location, None, None, gone, "files that no snapshot needs", done.files, done.bytes))
    return table(rows, PRUNED)


@procedure(ROTATED, long=True)
def rotate_snapshot_keys(context: Context, repository: str | None = None) -> pa.Table:
    """Seal with the first of snapshot_keys what the others have sealed, so that those can be taken out of it.

    `locked` counts what older keys have sealed and the storage does not let go: run it again when it does.
    """
    return table(_backups(context).rotate(repository), ROTATED)


@procedure(DELIVERED)
def test_notification(context: Context) -> pa.Table:
    """Send a message that is only a try by every channel that the notify_… settings name, and say what came of it."""
    return table(context.engine.backup_runs.test(context.query_id, context.principal.name), DELIVERED)


@procedure(RESTORED)
def mount_snapshot(context: Context, id: str, repository: str | None = None) -> pa.Table:
    """Show a snapshot's tables as views in the schema snapshot_<id>, read from its files without restoring them."""
    _, done = _backups(context).mount(id, repository)
    return _restored(done, "mounted")


@procedure(RESTORED)
def unmount_snapshot(context: Context, id: str) -> pa.Table:
    """Take the schema of a mounted snapshot away. The snapshot stays."""
    return _restored(_backups(context).unmount(id), "unmounted")
