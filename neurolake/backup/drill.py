"""The restore drill: a snapshot becomes a lake of its own, that lake is opened and asked, and goes away again.

It is what a disaster would ask for, end to end: files are fetched and checked, tables and views made, metadata brought
in, the lake opened as any other is, and statements run in it. Every row's hash is compared with the day it was taken
(where the engine is still the same; else the number of rows), every view is bound, and the checks of the settings are
run: queries whose answer must be true.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake._duckdb import DUCKDB_VERSION, InstanceOptions
from neurolake.backup.manifest import Manifest, TableEntry
from neurolake.backup.metadata import read_mask_keys
from neurolake.backup.newhome import restore_home
from neurolake.backup.restore import Restoring, fetch_all
from neurolake.backup.runs import FAILED, Outcome
from neurolake.backup.verify import seen_in, wanted_of
from neurolake.home import Home
from neurolake.query import OWNER, Request
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.backup.repository import Repository
    from neurolake.engine import Engine
    from neurolake.session import Session

__all__ = ["Drilled", "drill", "drill_mode", "outcome_of", "sample"]

MEMORY_BYTES_MIN = 32 << 20
PASSED, PROBLEM = "passed", "failed"


@dataclass(frozen=True, slots=True)
class Drilled:
    """One thing that was tried: a table, view, source, check, or the metadata.

    Attributes:
        rows: how many came back, of a table.
        state: passed or failed.
        problem: in words of our own; None where all is well.
    """

    object: str
    kind: str
    rows: int | None
    state: str = PASSED
    problem: str | None = None


def drill(
    engine: Engine, repository: Repository, manifest: Manifest, bytes_max: int, check: Callable[[], None]
) -> list[Drilled]:
    """Restore a snapshot, or a sample of its tables, into a scratch lake, and try it; everything that was tried.

    Args:
        bytes_max: tables of about so many bytes of Parquet in all are taken, by chance; 0: everything.
        check: raises when the work is to stop.

    Raises:
        SourceFailed: `snapshot_corrupt`: a file is damaged, and so nothing was restored.
        LimitReached: the scratch lake does not fit on the home's disk.
    """
    asked = Restoring.of(manifest, sample(manifest, bytes_max))
    options = engine.instance.options
    half = max(options.memory_bytes_max // 2, MEMORY_BYTES_MIN)  # the lake goes on beside it
    options = replace(options, memory_bytes_max=half)
    with repository.in_use("drill"), tempfile.TemporaryDirectory(prefix="drill-", dir=engine.home.tmp) as folder:
        place = Path(folder) / "lake"
        done = restore_home(asked, place, fetch_all(repository, asked.of_home, check), options, check, repository.steps)
        lost = [_left_out(said) for said in done.left_out]
        missing = {(one.kind, one.object) for one in lost}
        tried = _tried(engine, place, asked, options, check)
        return [*lost, *(one for one in tried if (one.kind, one.object) not in missing)]


def drill_mode(bytes_max: int) -> str:
    """What the record of runs calls it: all of a snapshot, or a sample."""
    return "sample" if bytes_max else "all"


def sample(manifest: Manifest, bytes_max: int) -> tuple[str, ...]:
    """Tables by chance that together have at most so many bytes, or else the smallest; none named means all.

    A table comes with those that its foreign keys refer to.
    """
    if bytes_max == 0 or sum(table.bytes for table in manifest.tables) <= bytes_max:
        return ()
    families = [_with_parents(manifest, table) for table in manifest.tables]
    random.SystemRandom().shuffle(families)
    chosen: dict[Name, TableEntry] = {}
    for family in families:
        grown = chosen | {table.full_name: table for table in family}
        if sum(table.bytes for table in grown.values()) <= bytes_max:
            chosen = grown
    if not chosen:
        smallest = min(families, key=lambda family: sum(table.bytes for table in family))
        chosen = {table.full_name: table for table in smallest}
    return tuple(map(str, chosen))


def outcome_of(manifest: Manifest, found: Sequence[Drilled]) -> Outcome:
    """What the record of runs says of a drill."""
    tables = [one for one in found if one.kind == "table"]
    wrong = [f"{one.kind} {one.object}" for one in found if one.state == PROBLEM]
    names = {one.object for one in tables}
    return Outcome(
        state=FAILED if wrong else Outcome().state,
        error_code="drill_failed" if wrong else None,
        snapshot_id=manifest.snapshot_id,
        tables=len(tables),
        rows=sum(one.rows or 0 for one in tables),
        bytes=sum(table.bytes for table in manifest.tables if str(table.full_name) in names),
        detail=f"failed: {', '.join(wrong)}" if wrong else None,
    )


def _with_parents(manifest: Manifest, table: TableEntry) -> list[TableEntry]:
    found, todo = {table.full_name: table}, [table]
    while todo:
        one = todo.pop()
        for needed in one.needs:
            parent = manifest.table(Name(one.schema, needed))
            if parent is not None and parent.full_name not in found:
                found[parent.full_name] = parent
                todo.append(parent)
    return list(found.values())


def _left_out(said: str) -> Drilled:
    what, _, _ = said.partition(": ")
    kind, _, name = what.partition(" ")
    return Drilled(name, kind, None, PROBLEM, "it did not come back")


def _tried(
    engine: Engine, place: Path, asked: Restoring, options: InstanceOptions, check: Callable[[], None]
) -> Iterator[Drilled]:
    """Open the restored lake as any lake is opened, and try everything in it."""
    settings = engine.settings.with_flags(memory_bytes_max=options.memory_bytes_max, pii_scan="off")
    other = type(engine)(Home.open(place), settings)
    try:
        session = other.session(OWNER, client="drill")
        try:
            for table in asked.tables:
                check()
                yield _table(other, asked.manifest, table)
            if asked.everything:
                yield from _objects(other, session, asked.manifest, check)
                for number, text in enumerate(engine.settings.snapshot_drill_checks, 1):
                    check()
                    yield _checked(other, session, number, text)
        finally:
            session.close()
    finally:
        other.close()


def _table(other: Engine, manifest: Manifest, table: TableEntry) -> Drilled:
    rows, total = seen_in(other.instance, table, manifest.salt)
    wanted_rows, wanted_total = wanted_of(table)
    problem = None
    if rows != wanted_rows:
        problem = f"{rows:,} rows came back where {wanted_rows:,} were taken"
    elif total != wanted_total and manifest.engine == f"duckdb {DUCKDB_VERSION}":
        problem = "other values came back than were taken"
    return Drilled(str(table.full_name), "table", rows, PROBLEM if problem else PASSED, problem)


def _objects(other: Engine, session: Session, manifest: Manifest, check: Callable[[], None]) -> Iterator[Drilled]:
    for one in manifest.objects:
        if one.kind == "view":
            check()
            name = Name(one.schema, one.name)
            yield _view(other, session, name)
    for content in manifest.sources:
        name = Name(*content["name"])
        there = name.fold() in other.catalog.sources
        yield Drilled(str(name), "source", None, *(() if there else (PROBLEM, "it is not registered")))
    for table, kept in manifest.metadata.items():
        if kept:
            ((count,),) = other.store.rows(f"SELECT count(*) FROM {table}")
            fewer = count < len(kept)
            problem = f"{count} rows came back where {len(kept)} were taken" if fewer else None
            yield Drilled(table, "metadata", None, PROBLEM if fewer else PASSED, problem)
    if manifest.mask_keys:
        problem = None if read_mask_keys(other.store) == manifest.mask_keys else "other keys came back than were taken"
        yield Drilled("mask keys", "metadata", None, PROBLEM if problem else PASSED, problem)


def _view(other: Engine, session: Session, name: Name) -> Drilled:
    try:
        other.plan(Request(f"SELECT * FROM {name.sql()}", session))
    except (errors.InvalidRequest, errors.SourceFailed) as problem:
        return Drilled(str(name), "view", None, PROBLEM, f"it cannot be read: {problem.code}")
    return Drilled(str(name), "view", None)


def _checked(other: Engine, session: Session, number: int, text: str) -> Drilled:
    try:
        answer = other.run(Request(text, session)).fetchall()
    except errors.NeuroLakeError as problem:
        return Drilled(str(number), "check", None, PROBLEM, f"it cannot be run: {problem.code}")
    if len(answer) == 1 and len(answer[0]) == 1 and answer[0][0] is True:
        return Drilled(str(number), "check", None)
    return Drilled(str(number), "check", None, PROBLEM, "its answer is not one row with one value, true")
