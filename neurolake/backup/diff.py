"""Diff: what became of each table between two snapshots. Only the files that the two do not share are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from neurolake import errors
from neurolake.backup.manifest import Manifest, Part, TableEntry
from neurolake.identifiers import fold
from neurolake.sql.text import Name, literal, quote

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.backup.repository import Repository

__all__ = ["Change", "TableDiff", "changed_rows", "diff"]


class TableDiff(NamedTuple):
    """One table that is not the same in both. Without a key, a changed row counts as removed and added."""

    table: Name
    state: str
    key: tuple[str, ...]
    added: int
    removed: int
    changed: int


class Change(NamedTuple):
    """One row: `change` is added, removed or changed; the rows as JSON."""

    change: str
    before: str | None
    after: str | None


def diff(
    cursor: Cursor,
    repository: Repository,
    before: Manifest,
    after: Manifest,
    reach: Callable[[Repository, Part], Path | str],
    check: Callable[[], None],
) -> list[TableDiff]:
    """Every table that differs.

    Args:
        reach: gives what the engine opens a part by.
    """
    found = []
    names = {table.full_name.fold(): table.full_name for table in (*before.tables, *after.tables)}
    for name in sorted(names.values()):
        check()
        old, new = before.table(name), after.table(name)
        if old is None and new is not None:
            found.append(TableDiff(name, "created", (), new.rows, 0, 0))
        elif new is None and old is not None:
            found.append(TableDiff(name, "dropped", (), 0, old.rows, 0))
        elif old is not None and new is not None and {p.file for p in old.parts} != {p.file for p in new.parts}:
            found.append(_compared(cursor, repository, old, new, reach))
        elif old is not None and new is not None and old.columns != new.columns:
            found.append(TableDiff(name, "altered", (), 0, 0, 0))
    return found


def changed_rows(
    cursor: Cursor,
    repository: Repository,
    before: Manifest,
    after: Manifest,
    table: Name,
    keys: Sequence[str],
    rows_max: int,
    reach: Callable[[Repository, Part], Path | str],
) -> list[Change]:
    """The rows of one table that differ, at most `rows_max`.

    Raises:
        NotFound: one of the snapshots does not have the table.
        NotSupported: its columns are not the same in both.
    """
    old, new = before.table(table), after.table(table)
    if old is None or new is None:
        where = before if old is None else after
        raise errors.NotFound(
            f"There is no table {table} in the snapshot {where.snapshot_id}.", code="snapshot_table_unknown"
        )
    if old.columns != new.columns:
        raise errors.NotSupported(
            f"{table} does not have the same columns in both snapshots.", code="diff_columns",
            next_step="Mount both snapshots, and compare them in SQL.",
        )  # fmt: skip
    key = _checked(keys, new) or new.key
    with_json = "to_json(b) AS before, to_json(a) AS after"
    sql = f"SELECT change, {with_json} FROM ({_joined(repository, old, new, key, reach)}) LIMIT {rows_max}"
    return [Change(*row) for row in cursor.rows(sql)]


def _checked(keys: Sequence[str], table: TableEntry) -> tuple[str, ...]:
    known = {fold(column.name): column.name for column in table.columns}
    for key in keys:
        if fold(key) not in known:
            raise errors.NotFound(f"{table.full_name} has no column named {key}.", code="key_unknown")
    return tuple(known[fold(key)] for key in keys)


def _compared(
    cursor: Cursor,
    repository: Repository,
    old: TableEntry,
    new: TableEntry,
    reach: Callable[[Repository, Part], Path | str],
) -> TableDiff:
    if old.columns != new.columns:
        return TableDiff(new.full_name, "altered", (), 0, 0, 0)
    key = new.key
    sql = f"SELECT change, count(*) FROM ({_joined(repository, old, new, key, reach)}) GROUP BY 1"
    counts = dict(cursor.rows(sql))
    return TableDiff(
        new.full_name, "changed", key, counts.get("added", 0), counts.get("removed", 0), counts.get("changed", 0)
    )


def _joined(
    repository: Repository,
    old: TableEntry,
    new: TableEntry,
    key: Sequence[str],
    reach: Callable[[Repository, Part], Path | str],
) -> str:
    """Rows (change, b, a) of what differs. What stands in a file of both is in both, and is not looked at.

    Rows are compared as they are written, so that two values that only print alike count as two.
    """
    shared = {part.file for part in old.parts} & {part.file for part in new.parts}
    before, after = (
        _written(table, [str(reach(repository, part)) for part in table.parts if part.file not in shared])
        for table in (old, new)
    )
    if not key:
        return (
            f"SELECT 'added' AS change, NULL AS b, r AS a FROM ({after} EXCEPT ALL {before}) r "
            f"UNION ALL SELECT 'removed', r, NULL FROM ({before} EXCEPT ALL {after}) r"
        )
    matches = " AND ".join(f"b.r.{quote(name)} IS NOT DISTINCT FROM a.r.{quote(name)}" for name in key)
    return (
        "SELECT CASE WHEN b.there IS NULL THEN 'added' WHEN a.there IS NULL THEN 'removed' ELSE 'changed' END "
        f"AS change, b.r AS b, a.r AS a FROM (SELECT r, true AS there FROM ({before}) r) b "
        f"FULL JOIN (SELECT r, true AS there FROM ({after}) r) a ON {matches} "
        "WHERE b.there IS NULL OR a.there IS NULL OR b.r IS DISTINCT FROM a.r"
    )


def _written(table: TableEntry, files: Sequence[str]) -> str:
    if files:
        return f"SELECT * FROM read_parquet({literal(list(files))}, hive_partitioning = false)"
    columns = ", ".join(f"CAST(NULL AS {column.written}) AS {quote(column.name)}" for column in table.columns)
    return f"SELECT {columns} WHERE false"
