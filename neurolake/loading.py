"""`load`: put Arrow data or a file into a managed table, all of it or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from neurolake import errors
from neurolake._duckdb import Cursor
from neurolake.identifiers import fold
from neurolake.incoming import Incoming
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.query import Alive, Kind, Plan, Request, evolve, new_query_id
from neurolake.sources import problems, relation
from neurolake.sql.text import Name, columns, quote

if TYPE_CHECKING:
    from neurolake.activity import Feed
    from neurolake.engine import Engine
    from neurolake.session import Session

TWICE = "upsert keys come twice"
MODES = ("create", "append", "create_append", "replace", "upsert")


class Load(NamedTuple):
    """What a governed role wants to load. `columns` is None for a file of the server."""

    target: Name
    mode: str
    columns: tuple[str, ...] | None
    temporary: bool


def load(
    engine: Engine,
    session: Session,
    name: str,
    data: object,
    mode: str = "create",
    keys: Sequence[str] = (),
    *,
    temporary: bool = False,
    client: str = "embedded",
    alive: Alive = None,
    feed: Feed | None = None,
) -> int:
    """Load data into a table; how many rows it brought.

    Args:
        name: the table, `table` or `schema.table`.
        data: an Arrow table or reader, anything with `__arrow_c_stream__`, a pandas or polars frame, or the path of a
            Parquet, CSV or JSON file.
        mode: create | append | create_append | replace | upsert.
        keys: for upsert, the columns that identify a row.
        feed: what stops the waiting for data that a client sends.

    Raises:
        AlreadyExists, NotFound, InvalidRequest: the table and the mode do not fit together; nothing was written.
    """
    if mode not in MODES:
        raise errors.InvalidRequest(f"{mode!r} is not a mode.", code="mode", next_step=f"Use {', '.join(MODES)}.")
    if (mode == "upsert") != bool(keys):
        raise errors.InvalidRequest("Upsert, and only upsert, needs keys.", code="keys")
    target = Name.parse(name, session.schema)
    if fold(target.schema) == OUTBOX_SCHEMA:
        raise errors.InvalidRequest(
            f"The schema {target.schema} is the system's own.", code="reserved_name", next_step="Choose another schema."
        )
    if target.fold() in engine.catalog.sources:
        raise errors.AlreadyExists(
            f"{target} is a registered source, and read-only.",
            next_step="Choose another name, or unregister it.",
        )
    request = Request(f"LOAD {target} ({mode})", session, query_id=new_query_id(), client=client)
    verb = "CREATE" if mode in ("create", "replace") else "INSERT"
    home = temporary or session.in_transaction() or fold(target.table) in session.temporary
    made = "TABLE" if verb == "CREATE" else "INTO"
    text = f"{verb} {'TEMP ' * temporary}{made} {_sql(target, temporary)}"
    plan = Plan(request, text, engine.versions(session), Kind.DDL, verb, home=home)
    if not session.principal.is_admin:
        data = data if isinstance(data, str | Path) else arrow(data)
        names = None if isinstance(data, str | Path) else tuple(data.schema.names)
        plan = evolve(plan, detail=Load(target, mode, names, temporary))
    if isinstance(data, str | Path):
        listed = engine.storage.refresh
        return engine.load(
            plan, lambda cursor: _load_file(cursor, target, str(data), listed, mode, keys, temporary), alive, feed
        )
    return engine.load(plan, lambda cursor: _load(cursor, target, data, mode, keys, temporary), alive, feed)


def _load_file(
    cursor: Cursor,
    target: Name,
    location: str,
    list_files: relation.List,
    mode: str,
    keys: Sequence[str],
    temporary: bool,
) -> int:
    located = relation.locate(location, None, list_files)
    source = relation.reader(located.location, located.format, {})
    try:
        return _from(cursor, source, target, mode, keys, temporary)
    except errors.NeuroLakeError as problem:
        raise problems.explain(problem, [problems.Place(*located)]) from None


def _load(cursor: Cursor, target: Name, data: object, mode: str, keys: Sequence[str], temporary: bool) -> int:
    incoming, name = Incoming(arrow(data)), f"_neurolake_{secrets.token_hex(6)}"
    cursor.attach(name, incoming.data)
    try:
        return _from(cursor, quote(name), target, mode, keys, temporary)
    except errors.NeuroLakeError as problem:
        raise incoming.blame(problem) from None
    finally:
        cursor.detach(name)


def _from(cursor: Cursor, source: str, target: Name, mode: str, keys: Sequence[str], temporary: bool) -> int:
    existing = _columns(cursor, target, temporary)
    steps = _steps(_sql(target, temporary), source, mode, keys, existing, temporary, target)
    try:
        counts = [cursor.run(step) for step in steps]
    except errors.InvalidRequest as problem:
        raise _twice(problem, keys) from None
    return max(counts[-2:]) if mode == "upsert" else counts[-1]


def _twice(problem: errors.InvalidRequest, keys: Sequence[str]) -> errors.InvalidRequest:
    if TWICE not in problem.message:
        return problem
    return errors.ConstraintViolated(
        f"Some values of {', '.join(keys)} come more than once in the data; nothing was written.",
        code="keys_not_unique",
        next_step="Keep one row for each key, then load again.",
    )


def arrow(data: object) -> pa.Table | pa.RecordBatchReader:
    """Data that a user has at hand, as Arrow. Frames become Arrow through the stream interface they all have."""
    if isinstance(data, pa.Table | pa.RecordBatchReader):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data)
    if isinstance(data, dict):
        return pa.table(data)
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        return pa.Table.from_pylist(data)
    raise errors.InvalidRequest(
        f"A {type(data).__name__} cannot be loaded.",
        code="not_loadable",
        next_step="Give an Arrow table, a pandas or polars frame, a list of dicts, or the path of a file.",
    )


def _columns(cursor: Cursor, target: Name, temporary: bool) -> tuple[str, ...] | None:
    try:
        return cursor.bind(f"SELECT * FROM {_sql(target, temporary)}").names
    except errors.NotFound:
        return None


def _steps(
    table: str,
    source: str,
    mode: str,
    keys: Sequence[str],
    existing: tuple[str, ...] | None,
    temporary: bool,
    target: Name,
) -> list[str]:
    create = f"CREATE {'OR REPLACE ' * (mode == 'replace')}{'TEMP ' * temporary}TABLE {table} AS FROM {source}"
    if mode in ("create", "replace") or (mode == "create_append" and existing is None):
        if mode == "create" and existing is not None:
            raise errors.AlreadyExists(
                f"A table named {target} exists already.",
                next_step="Use mode append, replace or create_append.",
            )
        return [create]
    if existing is None:
        raise errors.NotFound(f"There is no table named {target}.", next_step="Use mode create or create_append.")
    insert = f"INSERT INTO {table} BY NAME FROM {source}"
    if mode != "upsert":
        return [insert]
    missing = [key for key in keys if fold(key) not in {fold(name) for name in existing}]
    if missing:
        raise errors.NotFound(f"{target} has no column named {missing[0]}.", code="key_unknown")
    return _upsert(table, source, keys)


def _upsert(table: str, source: str, keys: Sequence[str]) -> list[str]:
    """Read the source once, refuse keys that come twice, replace the rows that match, add the others."""
    staged = f"_neurolake_upsert_{secrets.token_hex(6)}"
    listed = columns(keys)
    matched = " AND ".join(f"t.{quote(k)} IS NOT DISTINCT FROM s.{quote(k)}" for k in keys)
    # Not inside a count(*): the engine would leave out a column that nobody reads, and the error with it.
    twice = f"SELECT error('{TWICE}') AS problem FROM temp.{staged} GROUP BY {listed} HAVING count(*) > 1"
    return [
        f"CREATE TEMP TABLE {staged} AS FROM {source}",
        f"CREATE TEMP TABLE {staged}_checked AS {twice}",
        f"DELETE FROM {table} t USING temp.{staged} s WHERE {matched}",
        f"DROP TABLE temp.{staged}_checked",
        f"INSERT INTO {table} BY NAME FROM temp.{staged}",
        f"DROP TABLE temp.{staged}",
    ]


def _sql(target: Name, temporary: bool) -> str:
    return f"temp.main.{quote(target.table)}" if temporary else target.sql()
