"""Verify: is what is stored what was written, and does it come back?

Quick: the manifest, that every file is there with its size, and a sample of files as below. Default: of every file the
hash, the rows, the columns and their sums. Full: moreover it is restored into a scratch lake, and the engine's hash
of every row of every table adds up to what it did when the snapshot was taken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from neurolake import errors
from neurolake._duckdb import DUCKDB_VERSION, Instance, InstanceOptions
from neurolake.backup.manifest import External, Manifest, Part, TableEntry
from neurolake.backup.newhome import restore_home
from neurolake.backup.repository import corrupt
from neurolake.backup.restore import Restoring, fetch_all
from neurolake.backup.select import Select
from neurolake.backup.sums import column_sums

if TYPE_CHECKING:
    from neurolake.activity import Steps
    from neurolake.backup.repository import Repository
    from neurolake.sql.text import Name

__all__ = ["Finding", "seen_in", "verify", "wanted_of"]

SAMPLE = 3
"""Files of each table that a quick verify reads."""
_SUM = 1 << 64
_File = TypeVar("_File")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `object` is a table or the manifest; `problem` None where all is well."""

    object: str
    files: int
    rows: int
    problem: str | None


def verify(
    repository: Repository,
    snapshot_id: str,
    *,
    mode: str,
    digest: str | None,
    options: InstanceOptions,
    scratch: Path,
    check: Callable[[], None],
) -> list[Finding]:
    """Look at a snapshot; everything that was looked at, with what is wrong.

    Args:
        mode: quick | files | full.
        digest: what the manifest's hash was when this lake wrote it; None where another did.
        options: memory and threads of the scratch lake.
        scratch: where the scratch lake may be made.

    Raises:
        NotFound: `snapshot_unknown`.
    """
    try:
        manifest = repository.reread(snapshot_id)
    except errors.SourceFailed as problem:
        return [Finding("manifest", 1, 0, problem.message)]
    if digest is not None and repository.digest(snapshot_id) != digest:
        return [Finding("manifest", 1, 0, "It is not the one that this lake wrote.")]
    found = [Finding("manifest", 1, 0, None)]
    repository.steps.begin("reading files", bytes_total=_to_read(manifest, quick=mode == "quick"))
    with ThreadPoolExecutor(options.threads, thread_name_prefix="neurolake-verify") as pool:
        for table in manifest.kept_tables:
            check()
            found.append(_table(repository, table, pool, quick=mode == "quick", check=check))
        for name in dict.fromkeys(one.name for one in manifest.external):
            check()
            copies = [one for one in manifest.external if one.name == name]
            found.append(_external(repository, name, copies, pool, quick=mode == "quick", check=check))
    if mode == "full" and not any(finding.problem for finding in found) and manifest.kind != "schema":
        found.append(_restored(repository, manifest, options, scratch, check))
    return found


def _table(
    repository: Repository, table: TableEntry, pool: ThreadPoolExecutor, *, quick: bool, check: Callable[[], None]
) -> Finding:
    read = {part.file for part in _parts_read(table, quick=quick)}

    def look(part: Part) -> None:
        repository.check_there(part)
        if part.file in read:
            _look_into(repository.fetch(part), table, part)
            repository.release(part)
            repository.steps.add(bytes=part.bytes)

    return Finding(str(table.full_name), len(table.parts), table.rows, _corrupt(pool, table.parts, look, check))


def _external(
    repository: Repository,
    name: Name,
    copies: Sequence[External],
    pool: ThreadPoolExecutor,
    *,
    quick: bool,
    check: Callable[[], None],
) -> Finding:
    """The copies of one source's files: whether each is there, and has the bytes that were copied."""

    def look(one: External) -> None:
        repository.check_there(one)
        if not quick:
            repository.fetch(one)
            repository.release(one)
            repository.steps.add(bytes=one.bytes)

    return Finding(f"source {name}", len(copies), 0, _corrupt(pool, copies, look, check))


def _corrupt(
    pool: ThreadPoolExecutor, files: Sequence[_File], look: Callable[[_File], None], check: Callable[[], None]
) -> str | None:
    """Look at each file; what is wrong with those that are damaged, None where none is."""

    def problem_of(file: _File) -> str | None:
        check()
        try:
            look(file)
        except errors.SourceFailed as problem:
            if problem.code != "snapshot_corrupt":
                raise
            return problem.message
        return None

    problems = [problem for problem in pool.map(problem_of, files) if problem is not None]
    return " ".join(problems) or None


def _parts_read(table: TableEntry, *, quick: bool) -> list[Part]:
    """The parts whose files are read: all, or the first, the last, and some between."""
    if not quick:
        return list(table.parts)
    step = max(1, len(table.parts) // SAMPLE)
    sample = {part.file for part in (*table.parts[::step][:SAMPLE], *table.parts[-1:])}
    return [part for part in table.parts if part.file in sample]


def _to_read(manifest: Manifest, *, quick: bool) -> int:
    """How many bytes of files a verify reads."""
    if not quick:
        return sum(stored.bytes for stored in manifest.stored())
    return sum(part.bytes for table in manifest.kept_tables for part in _parts_read(table, quick=True))


def _look_into(path: Path, table: TableEntry, part: Part) -> None:
    """Read a file whose hash is right, and compare what is in it with the manifest.

    Raises:
        SourceFailed: `snapshot_corrupt`: the manifest says otherwise, or the file was never right.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        rows = parquet.read_table(path, use_threads=False)
    except (pa.ArrowException, OSError) as problem:
        raise corrupt(part, f"it cannot be read as Parquet ({type(problem).__name__})") from None
    if rows.num_rows != part.rows:
        raise corrupt(part, f"it has {rows.num_rows:,} rows where {part.rows:,} were written")
    if rows.column_names != [column.name for column in table.columns]:
        raise corrupt(part, "its columns are not those of the table")
    for column, wanted, seen in zip(table.columns, part.columns, column_sums(rows), strict=True):
        if wanted != seen:
            raise corrupt(part, f"the column {column.name} does not add up to what was written")


def _restored(
    repository: Repository, manifest: Manifest, options: InstanceOptions, scratch: Path, check: Callable[[], None]
) -> Finding:
    """Restore it all, and compare every table with the sums of the day it was written."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home = Path(folder) / "lake"
        asked = Restoring.of(manifest)
        paths = fetch_all(repository, asked.of_home, check)
        done = restore_home(asked, home, paths, options, check, repository.steps)
        if done.left_out:
            return Finding("restored", 0, manifest.rows, " ".join(done.left_out))
        repository.steps.begin("comparing rows", rows_total=manifest.rows)
        problem = _compare(home, manifest, options, repository.steps)
    return Finding("restored", len(manifest.tables), manifest.rows, problem)


def _compare(home: Path, manifest: Manifest, options: InstanceOptions, steps: Steps) -> str | None:
    if manifest.engine != f"duckdb {DUCKDB_VERSION}":
        return None  # another engine's hashes say nothing; the files' own sums were right
    wanted = {table.full_name: wanted_of(table) for table in manifest.tables}
    instance = Instance(
        InstanceOptions(
            path=str(home / "lake.duckdb"),
            temp_directory=str(home / "tmp"),
            memory_bytes_max=options.memory_bytes_max,
            temp_bytes_max=options.temp_bytes_max,
            threads=options.threads,
        )
    )
    try:
        seen = {}
        for table in manifest.tables:
            seen[table.full_name] = seen_in(instance, table, manifest.salt)
            steps.add(rows=table.rows)
    finally:
        instance.close()
    wrong = [str(name) for name in wanted if wanted[name] != seen[name]]
    return f"Other values came back in {', '.join(wrong)}." if wrong else None


def wanted_of(table: TableEntry) -> tuple[int, int]:
    """How many rows a table had when it was taken, and what their hashes added up to."""
    return table.rows, sum(part.sum for part in table.parts) % _SUM


def seen_in(instance: Instance, table: TableEntry, salt: int) -> tuple[int, int]:
    """The same of a restored table, as it is."""
    text = Select(table.full_name, table.columns, salt).total()
    rows, total = instance.acquire_and(lambda cursor: cursor.rows(text))[0]
    return int(rows), int(total or 0) % _SUM
