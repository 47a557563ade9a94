"""Mount: a snapshot's tables as views in a schema of their own, read from its files where they lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake._duckdb import CATALOG
from neurolake.backup.definitions import MOUNT_PREFIX
from neurolake.backup.folder import mapped
from neurolake.backup.manifest import Manifest, Part, TableEntry
from neurolake.backup.restore import Restored, select_of
from neurolake.sql.text import Name, literal, quote

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.backup.repository import Repository

__all__ = ["clear", "mount", "mounted", "reach", "schema_of", "unmount"]

OPENED = "mounts"
"""A folder of the home: the files of mounted snapshots that the engine cannot read where they lie."""


def schema_of(snapshot_id: str) -> str:
    """The schema a snapshot is mounted as.

    >>> schema_of("20261123t130500_0a1b2c")
    'snapshot_20261123t130500_0a1b2c'
    """
    return f"{MOUNT_PREFIX}{snapshot_id}"


def mounted(cursor: Cursor) -> list[str]:
    """The ids of the snapshots that are mounted."""
    rows = cursor.rows("SELECT schema_name FROM duckdb_schemas() WHERE database_name = ?", [CATALOG])
    return sorted(name[len(MOUNT_PREFIX) :] for (name,) in rows if name.startswith(MOUNT_PREFIX))


def view_name(manifest: Manifest, table: TableEntry) -> Name:
    """What a table is called in a mounted snapshot: tables of other schemas than main get theirs before their name."""
    own = table.schema == "main"
    return Name(schema_of(manifest.snapshot_id), table.name if own else f"{table.schema}_{table.name}")


def reach(repository: Repository, home: Path, snapshot_id: str) -> Callable[[Part], str]:
    """What gives the place where the engine reads a part; sealed ones are opened into the home, as long as needed."""
    folder = home / OPENED / snapshot_id

    def find(part: Part) -> str:
        if (where := repository.readable(part)) is not None:
            return where
        opened = folder / f"{part.file}.parquet"
        with mapped(folder):
            if not opened.exists():
                folder.mkdir(parents=True, mode=0o700, exist_ok=True)
                repository.fetch(part).replace(opened)
        return str(opened)

    return find


def clear(home: Path, mounted: Collection[str]) -> None:
    """Remove the opened files of snapshots that are mounted no longer."""
    for folder in (home / OPENED).glob("*"):
        if folder.name not in mounted:
            shutil.rmtree(folder, ignore_errors=True)


def mount(cursor: Cursor, repository: Repository, manifest: Manifest, reach: Callable[[Part], str]) -> Restored:
    """Make the schema and its views inside the cursor's open transaction.

    Raises:
        AlreadyExists: `snapshot_mounted`.
        NotSupported: a snapshot without rows.
        SourceFailed: `snapshot_corrupt`: a file is missing or has another size.
    """
    if manifest.kind == "schema":
        raise errors.NotSupported("A snapshot of kind schema has no rows to look at.", code="snapshot_kind")
    if manifest.snapshot_id in mounted(cursor):
        raise errors.AlreadyExists(
            f"The snapshot is mounted already, as schema {schema_of(manifest.snapshot_id)}.",
            code="snapshot_mounted",
            next_step="Read it there.",
        )
    done = Restored()
    cursor.run(f"CREATE SCHEMA {CATALOG}.{quote(schema_of(manifest.snapshot_id))}")
    for table in manifest.tables:
        for part in table.parts:
            repository.check_there(part)
        name = view_name(manifest, table)
        select = select_of(table, [reach(part) for part in table.parts])
        cursor.run(f"CREATE VIEW {name.sql()} AS {select}")
        said = f"{table.full_name} as of {manifest.created_at}"
        if manifest.role is not None:
            said += f", as the role {manifest.role} may see it"
        cursor.run(f"COMMENT ON VIEW {name.sql()} IS {literal(said)}")
        done.objects.append((name, "view", table.rows))
    return done


def unmount(cursor: Cursor, snapshot_id: str) -> Restored:
    """Take the schema away inside the cursor's open transaction.

    Raises:
        NotFound: `snapshot_not_mounted`.
    """
    if snapshot_id not in mounted(cursor):
        raise errors.NotFound(f"The snapshot {snapshot_id} is not mounted.", code="snapshot_not_mounted")
    schema = schema_of(snapshot_id)
    views = cursor.rows(
        "SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ?", [CATALOG, schema]
    )
    cursor.run(f"DROP SCHEMA {CATALOG}.{quote(schema)} CASCADE")
    return Restored([(Name(schema, view), "view", 0) for (view,) in views])
