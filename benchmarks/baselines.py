"""The bare Flight server that results are held against: it answers every query with one Arrow table from memory.

It is what a pyarrow.flight server cannot go under: no engine, no SQL, no login, and answers made before the first
call. Over lineitem it gives the floor of a bulk fetch, over one row the floor of a short query.

`python -m benchmarks.baselines PORT constant` answers with one row, `… PORT stream FILE` with a Parquet file's rows,
until it is sent SIGTERM.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as paflight

from benchmarks.jobs import arrow_of_parquet

__all__ = ["ConstantServer", "field", "packed"]

_HANDLE = b"constant"
_TRANSACTION_SUPPORT = 8
"""FLIGHT_SQL_SERVER_TRANSACTION, the one SqlInfo code the stock driver asks for when it connects."""


def field(number: int, value: bytes) -> bytes:
    """One length-delimited protobuf field.

    >>> field(1, b"ab")
    b'\\n\\x02ab'
    """
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def packed(name: str, body: bytes) -> bytes:
    """A Flight SQL message inside a google.protobuf.Any."""
    url = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    return field(1, url.encode()) + field(2, body)


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _sql_info() -> pa.Table:
    """SqlInfo's answer that transactions are supported, in the reference's dense union."""
    children: dict[str, Any] = {
        "string_value": pa.array([], pa.string()),
        "bool_value": pa.array([], pa.bool_()),
        "bigint_value": pa.array([], pa.int64()),
        "int32_bitmask": pa.array([1], pa.int32()),
        "string_list": pa.array([], pa.list_(pa.string())),
        "int32_to_int32_list_map": pa.array([], pa.map_(pa.int32(), pa.list_(pa.int32()))),
    }
    values = pa.UnionArray.from_dense(
        pa.array([3], pa.int8()), pa.array([0], pa.int32()), list(children.values()), list(children)
    )
    names = pa.array([_TRANSACTION_SUPPORT], pa.uint32())
    schema = pa.schema([pa.field("info_name", pa.uint32(), False), pa.field("value", values.type, False)])
    return pa.Table.from_arrays([names, values], schema=schema)


class ConstantServer(paflight.FlightServerBase):  # type: ignore[misc]
    """A Flight server on loopback that answers each query with the same table, and takes any transaction."""

    def __init__(self, table: pa.Table, port: int = 0) -> None:
        super().__init__(f"grpc://127.0.0.1:{port}")
        self._tables = {b"rows": table, b"info": _sql_info()}
        self._schemas = {ticket: answer.schema for ticket, answer in self._tables.items()}
        self._endpoints = {ticket: [paflight.FlightEndpoint(ticket, [])] for ticket in self._tables}
        prepared = field(1, _HANDLE) + field(2, table.schema.serialize().to_pybytes())
        self._answers = {
            "CreatePreparedStatement": packed("ActionCreatePreparedStatementResult", prepared),
            "BeginTransaction": packed("ActionBeginTransactionResult", field(1, _HANDLE)),
            "CloseSession": b"\x08\x01",
        }

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        """Prepare and begin with a constant; close and end with nothing."""
        answer = self._answers.get(action.type)
        return [] if answer is None else [answer]

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """One endpoint, whatever the query."""
        ticket = b"info" if b"CommandGetSqlInfo" in descriptor.command else b"rows"
        return paflight.FlightInfo(self._schemas[ticket], descriptor, self._endpoints[ticket], -1, -1)

    def do_get(self, context: Any, ticket: Any) -> Any:
        """The table, cut as it is in memory."""
        return paflight.RecordBatchStream(self._tables[ticket.ticket])


def main(arguments: list[str] | None = None) -> None:
    """Serve on a port until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines")
    parser.add_argument("port", type=int)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("constant")
    modes.add_parser("stream").add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    one_row = pa.table({"value": pa.array([42], pa.int32())})
    table = arrow_of_parquet(given.file).read_all() if given.mode == "stream" else one_row
    server = ConstantServer(table, given.port)
    server.serve()


if __name__ == "__main__":
    main()
