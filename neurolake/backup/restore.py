"""Restore: bring a snapshot's tables back, all that was asked for or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake._duckdb import CATALOG
from neurolake.backup import rename
from neurolake.backup.definitions import is_ours
from neurolake.backup.encodings import decode
from neurolake.backup.faults import reached
from neurolake.backup.manifest import Column, Manifest, Part, Statement, TableEntry
from neurolake.identifiers import fold
from neurolake.sql.text import DEFAULT_SCHEMA, RESERVED_SCHEMA, Name, literal, quote
from neurolake.sql.types import parse_type

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.activity import Steps
    from neurolake.backup.repository import Repository

__all__ = ["Restored", "Restoring", "chosen_tables", "restore_into", "select_of"]

Check = Callable[[], None]
INSERT_ROWS = 2_000_000
"""After so many rows of a table it is looked whether to go on, and said how far it is."""
_FOUND_BY = {
    kind: f"SELECT 1 FROM {function}() WHERE database_name = ? AND schema_name = ? AND {column} = ?"
    for kind, function, column in (
        ("sequence", "duckdb_sequences", "sequence_name"),
        ("type", "duckdb_types", "type_name"),
        ("macro", "duckdb_functions", "function_name"),
    )
}
"""Objects that stay where one of the name is there already."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: (object, kind, rows); what was taken away for it; and what did not come back, and why.

    Attributes:
        role: the role whose view of the data it is, where it is no more than that.
    """

    objects: list[tuple[Name, str, int]] = field(default_factory=list)
    replaced: list[tuple[Name, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Restoring:
    """What is asked for.

    Attributes:
        tables: only these; none: all.
        schema: where everything goes instead of its own schema; schemas other than main get its name before theirs.
        overwrite: whether a table of the same name may be replaced.
    """

    manifest: Manifest
    tables: tuple[TableEntry, ...]
    everything: bool
    schema: str | None = None
    overwrite: bool = False

    @classmethod
    def of(
        cls, manifest: Manifest, tables: Sequence[str] = (), schema: str | None = None, *, overwrite: bool = False
    ) -> Restoring:
        """Read a request.

        Raises:
            NotFound: `snapshot_table_unknown`.
            InvalidRequest: the schema is the system's own.
        """
        if schema is not None and (fold(schema) in (RESERVED_SCHEMA, CATALOG) or not is_ours(schema)):
            raise errors.InvalidRequest(
                f"The schema {schema} is the system's own.", code="reserved_name", next_step="Choose another schema."
            )
        chosen = chosen_tables(manifest, tables)
        if schema is not None:
            _refuse_without_parents(chosen)
        return cls(manifest, chosen, not tables, schema, overwrite)

    @property
    def of_home(self) -> tuple[TableEntry, ...]:
        """The tables whose files a new home is made of."""
        return self.manifest.kept_tables if self.everything else self.tables

    def target(self, name: Name) -> Name:
        """What an object is called when it is restored."""
        if self.schema is None:
            return name
        own = fold(name.schema) == DEFAULT_SCHEMA
        return Name(self.schema if own else f"{self.schema}_{name.schema}", name.table)


def chosen_tables(manifest: Manifest, tables: Sequence[str]) -> tuple[TableEntry, ...]:
    """The tables of those names, in the order they are made.

    Raises:
        NotFound: `snapshot_table_unknown`.
    """
    wanted = [Name.parse(table) for table in tables]
    for name in wanted:
        if manifest.table(name) is None:
            raise errors.NotFound(
                f"There is no table {name} in the snapshot {manifest.snapshot_id}.",
                code="snapshot_table_unknown",
                next_step=f"`neurolake backup show {manifest.snapshot_id}` lists its tables.",
            )
    folded = {name.fold() for name in wanted}
    return tuple(t for t in manifest.tables if not wanted or t.full_name.fold() in folded)


def _refuse_without_parents(chosen: Sequence[TableEntry]) -> None:
    names = {(table.schema, table.name) for table in chosen}
    for table in chosen:
        for other in table.needs:
            if (table.schema, other) not in names:
                raise errors.InvalidRequest(
                    f"A foreign key of {table.full_name} refers to {Name(table.schema, other)}.",
                    code="restore_needs",
                    next_step="Restore that table along with it.",
                )


def fetch_all(repository: Repository, tables: Iterable[TableEntry], check: Check) -> dict[str, Path]:
    """Local, checked files of all parts, by their hash.

    Raises:
        SourceFailed: `snapshot_corrupt`; it says which tables are damaged and which are whole.
    """
    tables = tuple(tables)
    sizes = {part.file: part.bytes for table in tables for part in table.parts}
    repository.steps.begin("reading files", bytes_total=sum(sizes.values()))
    paths: dict[str, Path] = {}
    damaged: dict[Name, errors.SourceFailed] = {}
    whole = []
    for table in tables:
        try:
            for part in table.parts:
                check()
                if part.file not in paths:
                    paths[part.file] = repository.fetch(part)
                    repository.steps.add(bytes=part.bytes)
        except errors.SourceFailed as problem:
            if problem.code != "snapshot_corrupt":
                raise
            damaged[table.full_name] = problem
        else:
            whole.append(table.full_name)
    if damaged:
        raise _damaged(damaged, whole)
    return paths


def _damaged(damaged: Mapping[Name, errors.SourceFailed], whole: Sequence[Name]) -> errors.SourceFailed:
    first = next(iter(damaged.values()))
    saved = f"Whole are: {', '.join(map(str, whole))}. Restore those by name" if whole else "No table of it is whole"
    return errors.SourceFailed(
        f"Nothing was restored: {', '.join(map(str, damaged))} cannot be. {first.message}",
        code="snapshot_corrupt",
        next_step=f"{saved}; take what is damaged from another snapshot or repository.",
    )


def select_of(table: TableEntry, files: Sequence[str]) -> str:
    """The SELECT that gives a table's rows back from its files, with their types."""
    listed = ", ".join(
        f"{decode(_stored(column), parse_type(column.type))} AS {quote(column.name)}" for column in table.columns
    )
    if files:
        return f"SELECT {listed} FROM read_parquet({literal(list(files))}, hive_partitioning = false) s"
    columns = ", ".join(f"CAST(NULL AS {column.type}) AS {quote(column.name)}" for column in table.columns)
    return f"SELECT {columns} WHERE false"


def _stored(column: Column) -> str:
    """A column of a file, ready to be turned into its type.

    The engine moves a cast of a nested column into its Parquet reader, which cannot do all that a cast can: not where
    the column stands in a call.
    """
    name = f"s.{quote(column.name)}"
    nested = column.is_encoded and parse_type(column.type).children
    return f"list_extract([{name}], 1)" if nested else name


def restore_into(cursor: Cursor, asked: Restoring, paths: Mapping[str, Path], check: Check, steps: Steps) -> Restored:
    """Make everything inside the cursor's open transaction.

    Raises:
        AlreadyExists: `restore_exists`: a name is taken, and nothing may be replaced.
    """
    done = Restored()
    steps.begin("writing tables", bytes_total=sum(table.bytes for table in asked.tables))
    moves = _moves(asked)
    _make_schemas(cursor, asked)
    _refuse_taken(cursor, asked, done)
    for statement in _before_tables(asked):
        _make(cursor, statement, asked, moves, done)
    for table in asked.tables:
        check()
        _table(cursor, table, asked, moves, paths, done, check, steps)
        reached("restore.table")
    _make_what_refers(cursor, asked, moves, done)
    return done


def _moves(asked: Restoring) -> dict[Name, Name]:
    names = [table.full_name for table in asked.tables]
    names += [Name(s.schema, s.name) for s in asked.manifest.objects if s.kind in ("sequence", "view")]
    return {name.fold(): asked.target(name) for name in names} if asked.schema is not None else {}


def _make_schemas(cursor: Cursor, asked: Restoring) -> None:
    named = [asked.target(table.full_name).schema for table in asked.tables]
    if asked.everything:
        named += [asked.target(Name(statement.schema, "")).schema for statement in asked.manifest.objects]
    for schema in dict.fromkeys(named):
        cursor.run(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{quote(schema)}")


def _refuse_taken(cursor: Cursor, asked: Restoring, done: Restored) -> None:
    rows = cursor.rows(
        "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_catalog = ?", [CATALOG]
    )
    there = {Name(schema, table).fold(): kind for schema, table, kind in rows}
    names = [asked.target(table.full_name) for table in asked.tables]
    if asked.everything:
        names += [asked.target(Name(s.schema, s.name)) for s in asked.manifest.objects if s.kind == "view"]
    taken = [name for name in names if name.fold() in there]
    if taken and not asked.overwrite:
        raise errors.AlreadyExists(
            f"Nothing was restored: {', '.join(map(str, taken))} exist already.",
            code="restore_exists",
            next_step="Restore to another schema with `schema:name`, or replace them with --overwrite.",
        )
    for name in reversed(taken):
        kind = "view" if there[name.fold()] == "VIEW" else "table"
        cursor.run(f"DROP {kind.upper()} {name.sql()}")
        done.replaced.append((name, kind))


def _before_tables(asked: Restoring) -> list[Statement]:
    """What tables may need: types and sequences. A single table brings the sequences of its defaults."""
    kinds = ("sequence",) if asked.schema is not None or not asked.everything else ("sequence", "type")
    made = [statement for statement in asked.manifest.objects if statement.kind in kinds]
    if asked.everything:
        return made
    texts = " ".join(table.sql for table in asked.tables)
    return [statement for statement in made if f"{statement.name}'" in texts or f'{statement.name}"' in texts]


def _make(cursor: Cursor, statement: Statement, asked: Restoring, moves: rename.Moves, done: Restored) -> None:
    name = asked.target(Name(statement.schema, statement.name))
    sql = statement.sql
    if statement.kind == "sequence" and asked.schema is not None:
        sql = rename.moved_table(sql, name, moves)
    if statement.kind == "macro" and asked.overwrite:
        sql = sql.replace("CREATE MACRO", "CREATE OR REPLACE MACRO", 1)
    elif statement.kind in _FOUND_BY and cursor.rows(_FOUND_BY[statement.kind], [CATALOG, *name]):
        return  # a sequence goes on from where it is: a number must not come twice
    cursor.run(sql)
    _afterwards(cursor, statement.after, Name(statement.schema, statement.name), name)
    done.objects.append((name, statement.kind, 0))


def _afterwards(cursor: Cursor, statements: Iterable[str], old: Name, new: Name) -> None:
    for sql in statements:
        moved = sql
        if old != new:
            moved = (
                rename.moved_index(sql, new)
                if "INDEX" in sql.split("(")[0].split()[:3]
                else sql.replace(old.sql(), new.sql(), 1)
            )
        cursor.run(moved)


def _table(
    cursor: Cursor,
    table: TableEntry,
    asked: Restoring,
    moves: rename.Moves,
    paths: Mapping[str, Path],
    done: Restored,
    check: Check,
    steps: Steps,
) -> None:
    name = asked.target(table.full_name)
    cursor.run(table.sql if name == table.full_name else rename.moved_table(table.sql, name, moves))
    if table.parts:
        listed = ", ".join(quote(column.name) for column in table.columns)
        rows = 0
        for group in _groups(table):
            check()
            files = [str(paths[part.file]) for part in group]
            rows += cursor.run(f"INSERT INTO {name.sql()} ({listed}) {select_of(table, files)}")
            steps.add(bytes=sum(part.bytes for part in group))
        if rows != table.rows:
            raise errors.InternalProblem(f"{name} came back with {rows} rows of {table.rows}.", code="restore_rows")
    _afterwards(cursor, table.after, table.full_name, name)
    done.objects.append((name, "table", table.rows))


def _groups(table: TableEntry) -> Iterator[Sequence[Part]]:
    """The parts that one statement inserts; all of them where a foreign key may lead to a row that comes later."""
    group: list[Part] = []
    refers = "REFERENCES" in table.sql.upper()
    for part in table.parts:
        group.append(part)
        if not refers and sum(one.rows for one in group) >= INSERT_ROWS:
            yield group
            group = []
    if group:
        yield group


def _make_what_refers(cursor: Cursor, asked: Restoring, moves: rename.Moves, done: Restored) -> None:
    """Views and macros, each after those it needs: what cannot be made yet is tried again after the others."""
    if not asked.everything:
        return
    kinds = ("view",) if asked.schema is not None else ("macro", "view")
    left = [statement for statement in asked.manifest.objects if statement.kind in kinds]
    if asked.schema is not None:
        others = [s for s in asked.manifest.objects if s.kind in ("macro", "type")]
        done.left_out.extend(f"{s.kind} {Name(s.schema, s.name)}: only a new home takes it" for s in others)
    while left:
        again: list[tuple[Statement, errors.NeuroLakeError]] = []
        for statement in left:
            sql = _moved(statement, asked, moves)
            try:
                cursor.bind(sql)  # an error while it runs would end the transaction
            except errors.NeuroLakeError as problem:
                again.append((statement, problem))
            else:
                _make(cursor, replace(statement, sql=sql), asked, moves, done)
        if len(again) == len(left):
            done.left_out.extend(f"{s.kind} {Name(s.schema, s.name)}: {p.message}" for s, p in again)
            return
        left = [statement for statement, _ in again]


def _moved(statement: Statement, asked: Restoring, moves: rename.Moves) -> str:
    if statement.kind != "view" or asked.schema is None:
        return statement.sql
    from neurolake.sql import names

    def resolve(text: str, lookup: Callable[[Name], str | None]) -> str:
        return names.resolve(text, lookup, statement.schema).text

    return rename.moved_view(statement.sql, asked.target(Name(statement.schema, statement.name)), moves, resolve)


def in_transaction(
    cursor: Cursor,
    work: Callable[[], Restored],
    around_commit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Restored:
    """Do the work in one transaction: all of it, or nothing."""
    cursor.run("BEGIN")
    try:
        done = work()
        reached("restore.before_commit")
        with around_commit():
            cursor.run("COMMIT")
    except BaseException:
        with suppress(errors.NeuroLakeError):  # the engine may have ended it by itself
            cursor.run("ROLLBACK")
        raise
    reached("restore.done")
    return done
