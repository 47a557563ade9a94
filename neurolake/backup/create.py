"""Take a snapshot: one transaction sees every table, while writers go on."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from neurolake import errors
from neurolake._duckdb import DUCKDB_VERSION
from neurolake.backup.definitions import Definitions, TableDefinition, read_definitions
from neurolake.backup.encodings import refuse_unkept
from neurolake.backup.external import with_external
from neurolake.backup.faults import reached
from neurolake.backup.known import next_number
from neurolake.backup.manifest import Manifest, TableEntry, new_id
from neurolake.backup.metadata import read_mask_keys, read_metadata
from neurolake.backup.queries import with_history
from neurolake.backup.writing import PART_ROWS, Writer, threads_of
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake._duckdb import Cursor
    from neurolake.backup.repository import Repository
    from neurolake.engine import Engine

__all__ = ["KINDS", "create", "lake_id"]

KINDS = ("full", "schema", "data")
"""full: rows, definitions and metadata; schema: no rows; data: tables only."""


def create(
    engine: Engine,
    repository: Repository,
    *,
    kind: str = "full",
    tables: Sequence[str] = (),
    reuse: bool = True,
    external: bool = False,
    history: bool = False,
    use: Callable[[Cursor], None],
    check: Callable[[], None],
) -> Manifest:
    """Take a snapshot into a repository.

    Args:
        kind: full, schema or data.
        tables: only these; none: all.
        reuse: whether what an earlier snapshot holds is not written again.
        external: whether the files that registered sources read are copied, too.
        history: whether the query history is taken along.
        use: told the cursor that does the work, so that stopping reaches it.
        check: raises when the work is to stop.

    Raises:
        NotFound: a table that is not there.
        NotSupported: `snapshot_type`: a column that could not be given back exactly.
        Unavailable: `repository_locked`: prune is at work there.
    """
    if kind not in KINDS:
        raise errors.InvalidRequest(
            f"{kind!r} is not a kind of snapshot.", code="snapshot_kind", next_step=f"Use {', '.join(KINDS)}."
        )
    with repository.in_use("create"):
        reached("create.begun")
        cursor = engine.instance.cursor()
        try:
            use(cursor)
            cursor.run("BEGIN")
            manifest = _within(engine, repository, cursor, kind, tables, reuse, check)
        finally:
            with suppress(errors.NeuroLakeError):  # an interrupted statement has ended it already
                cursor.run("ROLLBACK")
            cursor.close()
        if external:
            manifest = with_external(engine, repository, manifest, check, reuse=reuse)
        if history:
            manifest = with_history(engine.history.table(), repository, manifest, check, reuse=reuse)
        check()
        repository.publish(manifest)
    engine.store.set_fact(fact_of(manifest.snapshot_id), repository.digest(manifest.snapshot_id))
    return manifest


def fact_of(snapshot_id: str) -> str:
    """Under which name the lake remembers a manifest's hash."""
    return f"snapshot {snapshot_id}"


def lake_id(engine: Engine) -> str:
    """What tells this lake from others that share a repository."""
    found = engine.store.fact("lake_id")
    if found is None:
        found = secrets.token_hex(8)
        engine.store.set_fact("lake_id", found)
    return str(found)


def _within(
    engine: Engine,
    repository: Repository,
    cursor: Cursor,
    kind: str,
    tables: Sequence[str],
    reuse: bool,
    check: Callable[[], None],
) -> Manifest:
    moment = datetime.now(UTC)
    definitions = read_definitions(cursor, engine.home.tmp)
    sources = [] if kind == "data" or tables else [_source(source) for source in engine.catalog.sources.values()]
    metadata = {} if kind == "data" or tables else read_metadata(engine.store)
    chosen = _chosen(definitions, tables)
    for table in chosen:
        for column in table.columns:
            refuse_unkept(str(table.full_name), column.name, column.type)
    mine = lake_id(engine)
    before = _before(repository, mine)
    salt = before.salt if before is not None else secrets.randbits(63)
    file = engine.instance.file()
    writer = Writer(cursor, repository, salt, threads_of(engine.settings), check, file=file, reuse=reuse)
    try:
        pairs = [(table, before.table(table.full_name) if before is not None else None) for table in chosen]
        if kind != "schema":
            writer.begin(pairs)
        entries = [_entry(writer, table, was, with_rows=kind != "schema") for table, was in pairs]
    finally:
        writer.close()
    return Manifest(
        snapshot_id=new_id(moment), lake_id=mine, created_at=moment.isoformat(), kind=kind, chosen=bool(tables),
        engine=f"duckdb {DUCKDB_VERSION}", salt=salt, tables=tuple(entries),
        objects=() if kind == "data" or tables else definitions.objects,
        sources=tuple(sources), metadata=metadata,
        left_out=() if kind == "data" or tables else definitions.left_out, bytes_new=writer.bytes_new,
        number=next_number(engine.store, mine, repository.whole()),
        mask_keys=read_mask_keys(engine.store) if kind == "full" and not tables else {},
    )  # fmt: skip


def _entry(writer: Writer, table: TableDefinition, before: TableEntry | None, *, with_rows: bool) -> TableEntry:
    if with_rows:
        return writer.table(table, before)
    return TableEntry(
        table.schema, table.name, table.sql, table.after, table.columns, PART_ROWS, (), table.needs, table.key
    )


def _before(repository: Repository, mine: str) -> Manifest | None:
    """The last snapshot of this lake there: with its parts, hashes can be compared where the engine is the same."""
    usable = [
        manifest
        for manifest in repository.whole()
        if manifest.lake_id == mine
        and manifest.engine == f"duckdb {DUCKDB_VERSION}"
        and manifest.kind != "schema"
        and manifest.masked is None
    ]
    return usable[-1] if usable else None


def _chosen(definitions: Definitions, tables: Iterable[str]) -> tuple[TableDefinition, ...]:
    wanted = [Name.parse(table).fold() for table in tables]
    known = {table.full_name.fold() for table in definitions.tables}
    for name in wanted:
        if name not in known:
            raise errors.NotFound(
                f"There is no managed table {name}.",
                code="snapshot_table_unknown",
                next_step="Registered sources are kept by reference in a full snapshot; name managed tables.",
            )
    return tuple(t for t in definitions.tables if not wanted or t.full_name.fold() in wanted)


def _source(source: Any) -> dict[str, Any]:
    content = dataclasses.asdict(source)
    content["options"], content["columns"] = dict(source.options), dict(source.columns)
    return content | {"name": list(source.name)}
