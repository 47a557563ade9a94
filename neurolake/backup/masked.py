"""A masked snapshot: what one role may see, read as that role, and nothing else.

Every row comes by the way of any governed statement: planned in the role, through the gate and its secure views. What
the role does not see is not here either: the definitions are made from the columns that came, files are cut by the
rows that came, and nothing of the catalog goes along. The manifest says what was done to each column, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake import errors
from neurolake._duckdb import CATALOG, DUCKDB_VERSION
from neurolake.backup.create import KINDS, fact_of, lake_id
from neurolake.backup.definitions import is_ours
from neurolake.backup.encodings import encoded_type, refuse_unkept
from neurolake.backup.faults import reached
from neurolake.backup.known import next_number
from neurolake.backup.manifest import Column, Manifest, Part, TableEntry, new_id
from neurolake.backup.select import Select
from neurolake.backup.writing import PART_ROWS, PartWriter, cut, rows_of_part, threads_of
from neurolake.governance.actions import ABSENT
from neurolake.query import OWNER, Principal, Request
from neurolake.sql.text import Name, quote
from neurolake.sql.types import parse_type

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.backup.repository import Repository
    from neurolake.engine import Engine
    from neurolake.query import Plan
    from neurolake.result import Result
    from neurolake.session import Session

__all__ = ["create_masked"]

SALT = 0
"""Of the row hashes: they are of rows that the role sees, and nothing is taken from an earlier snapshot by them."""
SAMPLE_ROWS = 2048
TRIES = 5
"""How often a table is read again whose policies changed while it was being read."""


class Asked(NamedTuple):
    """What is asked for: only these tables (none: all managed ones), with rows or without, seen in which role."""

    role: str
    tables: tuple[str, ...]
    kind: str
    reuse: bool


def create_masked(
    engine: Engine, repository: Repository, asked: Asked, user_name: str, check: Callable[[], None]
) -> Manifest:
    """Take a snapshot of what a role may see. One transaction sees every table.

    Args:
        user_name: for whom it is done; the audit log shows their name, and the role.
        check: raises when the work is to stop.

    Raises:
        InvalidRequest: the role is admin, from whom nothing is hidden.
        NotFound: `role_unknown`.
        AccessDenied: a table was named of which the role sees nothing.
        Unavailable: policies change faster than a table can be read, or prune is at work there.
    """
    _check(engine, asked)
    with repository.in_use("create"):
        reached("create.begun")
        session = engine.session(OWNER, client="snapshot")
        session.principal = Principal(user_name, asked.role)
        try:
            engine.begin(session)
            manifest = _Reading(engine, repository, asked, session, check).manifest()
        finally:
            with suppress(errors.NeuroLakeError):  # an interrupted statement has ended it already
                engine.rollback(session)
            session.close()
        check()
        repository.publish(manifest)
    engine.store.set_fact(fact_of(manifest.snapshot_id), repository.digest(manifest.snapshot_id))
    return manifest


def _check(engine: Engine, asked: Asked) -> None:
    if asked.kind not in KINDS:
        raise errors.InvalidRequest(
            f"{asked.kind!r} is not a kind of snapshot.", code="snapshot_kind", next_step=f"Use {', '.join(KINDS)}."
        )
    if asked.role not in engine.access.roles:
        raise errors.NotFound(
            f"There is no role {asked.role}.", code="role_unknown",
            next_step="SELECT * FROM neurolake.roles lists them.",
        )  # fmt: skip
    if OWNER.role in engine.access.roles_of(asked.role):
        raise errors.InvalidRequest(
            f"From the role {asked.role} nothing is hidden.", code="snapshot_role",
            next_step="Take the snapshot without a role.",
        )  # fmt: skip


class _Reading:
    """One masked snapshot on its way."""

    def __init__(
        self, engine: Engine, repository: Repository, asked: Asked, session: Session, check: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._asked = asked
        self._session = session
        self._check = check
        self._moment = datetime.now(UTC)
        self._version = engine.governance.version
        self._proof: list[dict[str, Any]] = []
        self._repository = repository

    def manifest(self) -> Manifest:
        """Read and write all of it."""
        names = self._names()
        said = {"neurolake.masked": f"what the role {self._asked.role} may see"}
        writer = PartWriter(
            self._repository, threads_of(self._engine.settings), self._check, reuse=self._asked.reuse, said=said
        )
        self._repository.steps.begin("writing what the role sees")
        try:
            entries = [entry for name in names if (entry := self._table(name, writer)) is not None]
        finally:
            writer.close()
        _check(self._engine, self._asked)  # a role that was dropped meanwhile has seen less than it did
        mine = lake_id(self._engine)
        return Manifest(
            snapshot_id=new_id(self._moment), lake_id=mine, created_at=self._moment.isoformat(),
            kind="schema" if self._asked.kind == "schema" else "data", chosen=bool(self._asked.tables),
            engine=f"duckdb {DUCKDB_VERSION}", salt=SALT, tables=tuple(entries), bytes_new=writer.bytes_new,
            number=next_number(self._engine.store, mine, self._repository.whole()),
            masked={"role": self._asked.role, "policy_version": self._version, "tables": self._proof},
        )  # fmt: skip

    def _names(self) -> list[Name]:
        """The managed tables that the role sees, or what was named: a view or a source becomes a table, too."""
        with self._session.at_home() as cursor:
            rows = cursor.rows(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY ALL", [CATALOG]
            )
        managed = {name.fold(): name for name in (Name(*row) for row in rows) if is_ours(name.schema)}
        if self._asked.tables:
            wanted = dict.fromkeys(Name.parse(table) for table in self._asked.tables)
            return [managed.get(name.fold(), name) for name in wanted]
        return [name for name in managed.values() if self._engine.access.sees(self._session.principal, name)]

    def _table(self, name: Name, writer: PartWriter) -> TableEntry | None:
        for _ in range(TRIES):
            self._check()
            try:
                found = self._tried(name, writer)
            except errors.AccessDenied as problem:
                if problem.code == "relation_denied" and not self._asked.tables:
                    return None
                raise
            except errors.Stopped:
                self._check()  # it is the whole that was stopped, and knows why
                raise
            if found is not None:
                return found
        raise errors.Unavailable(
            f"The policies changed {TRIES} times while {name} was read.", code="policies_moving",
            next_step="Run it again when they rest.",
        )  # fmt: skip

    def _tried(self, name: Name, writer: PartWriter) -> TableEntry | None:
        """One table under one version of the policies; None where it moved."""
        seen = self._plan(f"SELECT * FROM {name.sql()}")
        assert seen.schema is not None and seen.ruling is not None, "a governed SELECT has both"
        columns = tuple(
            Column(column, kind, encoded_type(parse_type(kind)))
            for column, kind in zip(seen.schema.names, seen.types, strict=True)
        )
        for column in columns:
            refuse_unkept(str(name), column.name, column.type)
        parts: dict[int, Part] = {}
        part_rows = PART_ROWS
        if self._asked.kind != "schema":
            plan = self._plan(Select(name, columns, SALT, counted=True).text([]))
            with self._engine.execute(plan, alive=self._alive) as result:
                if self._engine.governance.version != seen.ruling.version:
                    return None
                part_rows, batches = _measured(result)
                parts = writer.parts(cut(batches, part_rows))
        self._proof.append(_proof(name, seen))
        listed = ", ".join(f"{quote(column.name)} {column.type}" for column in columns)
        sql = f"CREATE TABLE {quote(name.schema)}.{quote(name.table)}({listed})"
        rows = tuple(parts[number] for number in sorted(parts))
        return TableEntry(name.schema, name.table, sql, (), columns, part_rows, rows)

    def _plan(self, text: str) -> Plan:
        return self._engine.plan(Request(text, self._session, client="snapshot", translated=True), self._alive)

    def _alive(self) -> bool:
        try:
            self._check()
        except errors.Stopped:
            return False
        return True


def _measured(result: Result) -> tuple[int, Iterator[pa.RecordBatch]]:
    """How many rows a part may have, and all batches.

    It is judged by rows alone: where batches end may tell of rows that are hidden between them.
    """
    import pyarrow as pa

    first: list[pa.RecordBatch] = []
    while sum(batch.num_rows for batch in first) < SAMPLE_ROWS and (batch := result.read()) is not None:
        first.append(batch)
    result.put_back(*first)
    sample = pa.Table.from_batches(first, result.schema).slice(0, SAMPLE_ROWS).combine_chunks()
    return rows_of_part(sample), iter(result)


def _proof(name: Name, seen: Plan) -> dict[str, Any]:
    """What was done to each column, and why. Of a row filter only that there is one: its condition may hold values."""
    decision = seen.ruling.tables[name.fold()]
    return {
        "table": str(name),
        "policy_version": seen.ruling.version,
        "rows_filtered": bool(decision.filters),
        "columns": [
            {"column": column.column, "action": column.action, "reason": column.reason}
            for column in decision.columns
            if column.action != ABSENT
        ],
    }
