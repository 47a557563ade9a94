"""`backup`: take snapshots, prove them, and bring them back. Each command is one procedure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolake import errors
from neurolake.cli import exits
from neurolake.cli.output import answer, print_rows, size_text
from neurolake.cli.progress import Waiting
from neurolake.cli.target import Command, Target, on_a_lake

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.lake import Lake

_SUMMARY = """snapshot_id, strftime(created_at, '%Y-%m-%d %H:%M:%S') AS created_at, kind, tables, rows, bytes,
    bytes_new, state, as_role"""


@click.group(invoke_without_command=False)
def backup() -> None:
    """Take snapshots of a lake, prove that they are whole, and bring them back.

    A snapshot is plain Parquet and a manifest, in a folder or in S3: --repo or NEUROLAKE_REPO, else the first of the
    setting snapshot_repositories, else `snapshots` in the lake's own folder. An ID is a snapshot's id, the beginning of
    one, `latest`, or a time: the last snapshot not after it.

    \b
      neurolake backup create
      neurolake backup verify --all
      neurolake backup restore latest --to restored
      neurolake backup restore latest --to schema:old --table orders

    Exit codes beside the usual ones: 10 not all of it was done, 11 there was nothing to do, 12 the repository is in
    use, 13 a snapshot is damaged, 14 the repository's storage failed, 15 a restore drill failed.
    """


def _repo(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that names a repository, and the exit codes of backups."""

    @functools.wraps(function)
    def with_codes(as_json: bool, repo: str | None, **own: Any) -> None:
        try:
            function(as_json=as_json, repository=_location(repo), **own)
        except errors.NeuroLakeError as error:
            code = exits.code_of_backup(error)
            if code is None:
                raise
            exits.report(error, as_json)
            raise click.exceptions.Exit(code) from None

    option = click.option("--repo", metavar="FOLDER|URL", help="The repository. [NEUROLAKE_REPO, else the settings']")
    return option(with_codes)


def _location(given: str | None) -> str | None:
    from neurolake.config import environment

    return _absolute(given or environment().get("NEUROLAKE_REPO") or None)


def _absolute(found: str | None) -> str | None:
    return found if found is None or "://" in found else str(Path(found).expanduser().absolute())


def _moment(text: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise click.UsageError(f"--as-of takes a time such as 2026-11-23T13:05, not {text!r}.") from None


def _call(lake: Lake, procedure: str, *positional: object, **named: object) -> pa.Table:
    return lake.call(procedure, *positional, **{name: value for name, value in named.items() if value is not None})


@backup.command(cls=Command)
@click.option("--kind", type=click.Choice(("full", "schema", "data")), default="full", show_default=True,
              help="full; schema: no rows; data: tables only.")  # fmt: skip
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this managed table. May come again.")
@click.option("--as-role", metavar="ROLE", help="Masked: only what this role may see.")
@click.option("--include-external", is_flag=True, help="Copy the files that registered sources read, too.")
@click.option("--include-history", is_flag=True, help="Take the query history along, for a new lake made from it.")
@click.option("--no-reuse", is_flag=True, help="Write every row anew, and replace damaged files of the same content.")
@_repo
@on_a_lake
def create(
    target: Target,
    kind: str,
    tables: tuple[str, ...],
    as_role: str | None,
    include_external: bool,
    include_history: bool,
    no_reuse: bool,
    repository: str | None,
    as_json: bool,
) -> None:
    """Take a snapshot, and print its id.

    One transaction sees all tables while writers go on. What an earlier snapshot in the repository holds already is not
    written again.

    \b
      neurolake backup create
      neurolake backup create --table orders --repo /mnt/backup/sales
      neurolake backup create --as-role analyst --repo /mnt/for-tests
    """
    with target.open() as lake, Waiting("Taking a snapshot", lake, asking=True):
        made = _call(
            lake, "create_snapshot", tables=list(tables) or None, kind=kind, as_role=as_role, repository=repository,
            reuse=not no_reuse, include_external=include_external, include_history=include_history,
        )  # fmt: skip
    rows = made.to_pylist()
    for row in rows:
        said = row["state"]
        if row["snapshot_id"] is not None:
            said = f"{row['tables']} tables, {row['rows']:,} rows, {size_text(row['bytes'])}, of which "
            said += f"{size_text(row['bytes_new'])} are new"
        click.echo(f"{row['repository']}: {said}", err=True)
    whole = [row for row in rows if row["snapshot_id"] is not None]
    answer(whole[0]["snapshot_id"], {**whole[0], "repositories": rows}, as_json)
    if len(whole) < len(rows):
        raise click.exceptions.Exit(exits.PARTIAL)


@backup.command("list", cls=Command)
@_repo
@on_a_lake
def list_(target: Target, repository: str | None, as_json: bool) -> None:
    """List the snapshots, oldest first.

    \b
      neurolake backup list
    """
    with target.open() as lake:
        rows = _snapshots(lake, repository, "*" if as_json else _SUMMARY)
    print_rows(rows, as_json)


def _snapshots(lake: Lake, repository: str | None, shown: str) -> pa.Table:
    if repository is None:
        return lake.sql(f"SELECT {shown} FROM neurolake.snapshots ORDER BY created_at").arrow()
    return lake.call("list_snapshots", repository)


@backup.command(cls=Command)
@click.argument("snapshot", metavar="ID", default="latest")
@_repo
@on_a_lake
def show(target: Target, snapshot: str, repository: str | None, as_json: bool) -> None:
    """Show what a snapshot holds, table by table.

    \b
      neurolake backup show latest
    """
    with target.open() as lake:
        rows = _call(lake, "show_snapshot", snapshot, repository=repository)
    print_rows(rows, as_json)


@backup.command(cls=Command)
@click.argument("snapshot", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="Every snapshot of the repository.")
@click.option("--full", is_flag=True, help="Also restore it into a scratch lake, and compare every value's hash.")
@click.option("--quick", is_flag=True, help="Read a sample of the files.")
@_repo
@on_a_lake
def verify(
    target: Target, snapshot: str | None, every: bool, full: bool, quick: bool, repository: str | None, as_json: bool
) -> None:
    """Verify a snapshot, by default the latest.

    Of every file the hash, the rows, the columns and their sums are compared with the manifest. What is damaged is
    named, and the exit code is 13.

    \b
      neurolake backup verify
      neurolake backup verify --all --quick
      neurolake backup verify 20261123t130500_0a1b2c --full
    """
    import pyarrow as pa

    if (every and snapshot is not None) or (full and quick):
        raise click.UsageError("Name a snapshot or --all; --full or --quick.")
    with target.open() as lake, Waiting("Verifying", lake, asking=True):
        wanted = [snapshot or "latest"]
        if every:
            wanted = _snapshots(lake, repository, "snapshot_id")["snapshot_id"].to_pylist()
        found = [_call(lake, "verify_snapshot", each, full=full, quick=quick, repository=repository) for each in wanted]
    if not found:
        raise errors.NotFound("There is no snapshot to verify.", code="nothing_to_do", next_step="Take one first.")
    rows = pa.concat_tables(found)
    print_rows(rows, as_json)
    if "damaged" in rows["state"].to_pylist():
        raise click.exceptions.Exit(exits.CORRUPT)


@backup.command(cls=Command)
@click.argument("snapshot", metavar="[ID]", default="latest")
@click.option(
    "--bytes-max", metavar="SIZE", help="Only tables of about so many bytes, chosen by chance. 0: everything."
)
@_repo
@on_a_lake
def drill(target: Target, snapshot: str, bytes_max: str | None, repository: str | None, as_json: bool) -> None:
    """Restore a snapshot, by default the latest, into a scratch lake, and try that.

    All its rows are compared with those of the day they were taken, its views are bound, and the queries of the setting
    snapshot_drill_checks must answer true. The exit code is 15 when anything fails.

    \b
      neurolake backup drill
      neurolake backup drill --bytes-max 10GiB --repo /mnt/backup/sales
    """
    from neurolake.config import parse_bytes

    try:
        limit = None if bytes_max is None else parse_bytes(bytes_max)
    except ValueError as problem:
        raise click.UsageError(f"--bytes-max takes {problem}.") from None
    with target.open() as lake, Waiting("Restoring into a scratch lake", lake, asking=True):
        rows = _call(lake, "drill_snapshot", snapshot, bytes_max=limit, repository=repository)
    print_rows(rows, as_json)
    if "failed" in rows["state"].to_pylist():
        raise click.exceptions.Exit(exits.DRILL)


@backup.command(cls=Command)
@click.argument("snapshot", metavar="[ID]", required=False)
@click.option("--as-of", metavar="TIME", help="The last snapshot not after it, instead of an ID; UTC without a zone.")
@click.option("--to", "destination", metavar="NEWDIR|schema:NAME",
              help="A new lake's folder, or a schema of this lake. [default: where everything was]")  # fmt: skip
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table. May come again.")
@click.option("--overwrite", is_flag=True, help="Replace tables and views of the same name.")
@click.option("--external-to", metavar="FOLDER|URL", help="Put copies of sources' files there, for a new lake.")
@_repo
@on_a_lake
def restore(
    target: Target,
    snapshot: str | None,
    as_of: str | None,
    destination: str | None,
    tables: tuple[str, ...],
    overwrite: bool,
    external_to: str | None,
    repository: str | None,
    as_json: bool,
) -> None:
    """Restore a snapshot, or tables of one: all that was asked for, or nothing.

    Nothing that is there is replaced without --overwrite.

    \b
      neurolake backup restore latest --to restored
      neurolake backup restore latest --to schema:old --table orders
      neurolake backup restore --as-of 2026-11-23T13:05 --table orders --overwrite
    """
    if (snapshot is None) == (as_of is None):
        raise click.UsageError("Name a snapshot, or a time with --as-of.")
    if as_of is not None:
        snapshot = _moment(as_of)
    if destination is not None and not destination.startswith("schema:"):
        destination = str(Path(destination).expanduser().absolute())
    with target.open() as lake, Waiting("Restoring", lake, asking=True):
        rows = _call(
            lake, "restore_snapshot", snapshot, tables=list(tables) or None, destination=destination,
            overwrite=overwrite, repository=repository, external_to=_absolute(external_to),
        )  # fmt: skip
    print_rows(rows, as_json)
    if "left out" in rows["state"].to_pylist():
        raise click.exceptions.Exit(exits.PARTIAL)


@backup.command(cls=Command)
@click.argument("before", metavar="ID")
@click.argument("after", metavar="ID")
@click.option("--table", metavar="T", help="Show this table's rows, instead of counts.")
@click.option("--key", "keys", multiple=True, metavar="COLUMN", help="What identifies a row. [default: primary key]")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many rows.")
@_repo
@on_a_lake
def diff(
    target: Target,
    before: str,
    after: str,
    table: str | None,
    keys: tuple[str, ...],
    limit: int,
    repository: str | None,
    as_json: bool,
) -> None:
    """Show what changed between two snapshots.

    Rows added, removed and changed, by key; only what the two do not share is read.

    \b
      neurolake backup diff 20261122 20261123
      neurolake backup diff 20261122 latest --table orders --key id
    """
    named: Mapping[str, object] = {"repository": repository}
    with target.open() as lake, Waiting("Comparing", lake):
        if table is None:
            rows = _call(lake, "diff_snapshots", before, after, **named)
        else:
            rows = _call(lake, "diff_rows", before, after, table, keys=list(keys) or None, rows_max=limit, **named)
    print_rows(rows, as_json)


@backup.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Only say what would go, and why the others stay.")
@_repo
@on_a_lake
def prune(target: Target, dry_run: bool, repository: str | None, as_json: bool) -> None:
    """Remove the snapshots that no snapshot_keep_… setting keeps.

    Then the files go that no snapshot needs, and what runs that ended early have left. The latest snapshot always
    stays.

    \b
      neurolake backup prune --dry-run
    """
    with target.open() as lake, Waiting("Pruning", lake):
        rows = _call(lake, "prune_snapshots", dry_run=dry_run, repository=repository)
    print_rows(rows, as_json)


@backup.command("test-notification", cls=Command)
@on_a_lake
def test_notification(target: Target, as_json: bool) -> None:
    """Send a message by every channel that the notify_... settings name, to see that it arrives.

    \b
      neurolake backup test-notification
    """
    with target.open() as lake, Waiting("Sending", lake):
        rows = _call(lake, "test_notification")
    print_rows(rows, as_json)
    if "failed" in rows["state"].to_pylist():
        raise click.exceptions.Exit(exits.FAILED)
    if rows.num_rows == 0:
        raise click.exceptions.Exit(exits.NOTHING_TO_DO)


@backup.command(cls=Command)
@_repo
@on_a_lake
def rotate(target: Target, repository: str | None, as_json: bool) -> None:
    """Seal with the first of snapshot_keys what the others have sealed.

    Then the others can be taken out of the setting.

    \b
      neurolake backup rotate
    """
    with target.open() as lake, Waiting("Sealing", lake):
        rows = _call(lake, "rotate_snapshot_keys", repository=repository)
    print_rows(rows, as_json)


@backup.command(cls=Command)
@click.argument("snapshot", metavar="ID")
@click.option("--remove", is_flag=True, help="Take the schema away again.")
@_repo
@on_a_lake
def mount(target: Target, snapshot: str, remove: bool, repository: str | None, as_json: bool) -> None:
    """Show a snapshot as schema snapshot_<id>, read-only, without restoring it.

    \b
      neurolake backup mount latest
      neurolake backup mount 20261123t130500_0a1b2c --remove
    """
    with target.open() as lake:
        if remove:
            rows = _call(lake, "unmount_snapshot", snapshot)
        else:
            rows = _call(lake, "mount_snapshot", snapshot, repository=repository)
    print_rows(rows, as_json)
