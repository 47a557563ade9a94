"""What DoPut does: bind parameters, run updates, load rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.flight as paflight

from flight.protocol.batches import uploaded, uploaded_schema
from flight.protocol.commands import (
    Command,
    PreparedQuery,
    PreparedUpdate,
    StatementIngest,
    StatementUpdate,
    TableExists,
    TableMissing,
)
from flight.protocol.results import put_prepared_result, put_update_result
from flight.sessions import FlightSession
from flight.uploads import Upload
from neurolake import errors, loading
from neurolake.sql.text import quote

if TYPE_CHECKING:
    from flight.server import FlightSqlServer

Alive = Callable[[], bool]

_MODES = {
    (TableMissing.CREATE, TableExists.FAIL): "create",
    (TableMissing.FAIL, TableExists.APPEND): "append",
    (TableMissing.CREATE, TableExists.APPEND): "create_append",
    (TableMissing.CREATE, TableExists.REPLACE): "replace",
    (TableMissing.FAIL, TableExists.REPLACE): "replace",
}


def put(
    server: FlightSqlServer,
    session: FlightSession,
    command: Command,
    reader: paflight.MetadataRecordBatchReader,
    writer: paflight.FlightMetadataWriter,
    alive: Alive,
) -> None:
    """Take what the client uploads and answer with a count or a handle."""
    match command:
        case PreparedQuery(handle):
            session.statement(handle).bound = list(uploaded(reader))
            _reply(writer, put_prepared_result(handle))
        case PreparedUpdate(handle):
            _reply(writer, put_update_result(_update_prepared(server, session, handle, reader, alive)))
        case StatementUpdate(query, transaction_id):
            session.check_transaction(transaction_id)
            with server.engine.run(server.request(session, query), alive) as result:
                row = None if result.columns != ["Count"] else result.fetchone()
            _reply(writer, put_update_result(row[0] if row else -1))
        case StatementIngest():
            _reply(writer, put_update_result(_ingest(server, session, command, reader, alive)))
        case _:
            raise errors.InvalidRequest(f"{type(command).__name__} takes no upload.", code="command")


def _reply(writer: paflight.FlightMetadataWriter, answer: bytes) -> None:
    try:
        writer.write(answer)
    except OSError:
        raise errors.Cancelled("The client left before it had its answer.") from None


def _update_prepared(
    server: FlightSqlServer,
    session: FlightSession,
    handle: bytes,
    reader: paflight.MetadataRecordBatchReader,
    alive: Alive,
) -> int:
    plan = session.statement(handle).plan
    request = server.request(session, plan.request.text)
    batches = uploaded(reader)
    first = next(batches, None) if plan.parameters else None
    if first is None and plan.parameters and _sends_columns(reader):
        return 0
    if first is None:
        with server.engine.execute(plan, request, alive) as result:
            row = result.fetchone() if result.columns == ["Count"] and not plan.returns_rows else None
        return int(row[0]) if row else -1
    rows = pa.RecordBatchReader.from_batches(first.schema, itertools.chain((first,), batches))
    return server.engine.run_many(plan, rows, request, alive)


def _sends_columns(reader: paflight.MetadataRecordBatchReader) -> bool:
    """Whether an upload without rows has columns: parameters for no run at all, and not parameters left out."""
    try:
        return len(uploaded_schema(reader)) > 0
    except errors.InvalidRequest:
        return False


def _ingest(
    server: FlightSqlServer,
    session: FlightSession,
    command: StatementIngest,
    reader: paflight.MetadataRecordBatchReader,
    alive: Alive,
) -> int:
    session.check_transaction(command.transaction_id)
    mode = _MODES.get((command.if_missing, command.if_exists))
    if mode is None:
        raise errors.NotSupported("This combination of ingest modes is not supported.", code="mode")
    if command.catalog not in (None, "", "lake", "temp"):
        raise errors.NotFound(f"There is no catalog {command.catalog}.", next_step="The one catalog is lake.")
    target = ".".join(quote(part) for part in (command.schema, command.table) if part)
    schema = uploaded_schema(reader)
    with Upload(reader, mode, server.settings.upload_idle_s) as upload, session.loading(target, upload, alive):
        return loading.load(
            server.engine,
            session.session,
            target,
            pa.RecordBatchReader.from_batches(schema, uploaded(upload)),
            mode,
            temporary=command.temporary,
            client=session.session.client,
            alive=alive,
            feed=upload,
        )
