"""A server that answers metadata commands from fixed tables, for the stock driver to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as paflight

from flight.errors import boundary
from flight.protocol import commands, results, schemas
from flight.protocol.commands import decode
from flight.protocol.sql_info import EngineFacts, sql_info_table

ORDERS = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("placed", pa.timestamp("us", "UTC"))])

TABLES = [("lake", "main", "orders", "TABLE"), ("lake", "main", "recent", "VIEW"), ("lake", "other", "orders", "TABLE")]

FACTS = EngineFacts(
    server_version="duckdb v2.0.0 (test)", keywords=("select", "from"), functions=frozenset({"abs", "upper", "hour"})
)


def tables(command: commands.GetTables) -> pa.Table:
    schema, table = command.schema_pattern, command.table_pattern
    wanted = [row for row in TABLES if schema in (None, row[1]) and table in (None, row[2])]
    if not command.include_schema:
        return schemas.tables(wanted)
    return schemas.tables_with_schema([(*row, schemas.serialise_schema(ORDERS)) for row in wanted])


ANSWERS: dict[type, Callable[[Any], pa.Table]] = {
    commands.GetCatalogs: lambda _: schemas.catalogs(["lake"]),
    commands.GetDbSchemas: lambda _: schemas.db_schemas([("lake", "other"), ("lake", "main")]),
    commands.GetTables: tables,
    commands.GetTableTypes: lambda _: schemas.table_types(["VIEW", "TABLE"]),
    commands.GetPrimaryKeys: lambda _: schemas.primary_keys([]),
    commands.GetImportedKeys: lambda _: schemas.imported_keys([]),
    commands.GetSqlInfo: lambda command: sql_info_table(FACTS, command.codes),
}


class MetadataServer(paflight.FlightServerBase):  # type: ignore[misc]
    """Answers what drivers ask about the catalog."""

    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")

    @boundary
    def get_flight_info(self, context: Any, descriptor: paflight.FlightDescriptor) -> paflight.FlightInfo:
        command = decode(descriptor.command)
        schema = ANSWERS[type(command)](command).schema
        endpoint = paflight.FlightEndpoint(descriptor.command, [])
        return paflight.FlightInfo(schema, descriptor, [endpoint], -1, -1)

    @boundary
    def do_get(self, context: Any, ticket: paflight.Ticket) -> paflight.RecordBatchStream:
        command = decode(ticket.ticket)
        return paflight.RecordBatchStream(ANSWERS[type(command)](command))

    @boundary
    def do_action(self, context: Any, action: paflight.Action) -> Iterator[bytes]:
        return iter([results.begin_transaction_result(b"1")] if action.type == "BeginTransaction" else [])
