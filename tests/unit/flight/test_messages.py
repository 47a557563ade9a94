"""The messages: numbers on the wire, and a descriptor pool that nobody else can disturb."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from flight.protocol import messages

# What the specification's field numbers make of a few values, written down byte by byte.
VECTORS = [
    ("sql.CommandStatementQuery", {"query": "a", "transaction_id": b"t"}, "0a0161120174"),
    ("sql.CommandPreparedStatementQuery", {"prepared_statement_handle": b"h"}, "0a0168"),
    ("sql.CommandGetSqlInfo", {"info": [8, 500]}, "0a0308f403"),
    ("sql.CommandGetXdbcTypeInfo", {"data_type": -5}, "08fbffffffffffffffff01"),
    ("sql.CommandGetTables", {"table_types": ["T"], "include_schema": True}, "2201542801"),
    ("sql.ActionCreatePreparedStatementResult", {"prepared_statement_handle": b"h", "is_update": False}, "0a01682000"),
    ("sql.ActionEndTransactionRequest", {"transaction_id": b"t", "action": 2}, "0a01741002"),
    ("sql.CommandStatementIngest", {"table": "t", "options": {"k": "v"}}, "120174c23e060a016b120176"),
    ("sql.DoPutUpdateResult", {"record_count": -1}, "08ffffffffffffffffff01"),
    ("SessionOptionValue", {"int64_value": 1}, "190100000000000000"),
    ("CloseSessionResult", {"status": 1}, "0801"),
]


@pytest.mark.parametrize(("name", "fields", "wire"), VECTORS, ids=[name for name, _, _ in VECTORS])
class TestWire:
    def test_encodes(self, name: str, fields: dict[str, object], wire: str) -> None:
        assert messages.message(name)(**fields).SerializeToString().hex() == wire

    def test_decodes(self, name: str, fields: dict[str, object], wire: str) -> None:
        assert messages.message(name).FromString(bytes.fromhex(wire)) == messages.message(name)(**fields)


class TestWithPyarrow:
    """pyarrow has the messages of Flight's RPCs; those that also stand inside action bodies must be the same."""

    def test_flight_info(self) -> None:
        expires = dt.datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=dt.UTC)
        endpoint = paflight.FlightEndpoint(b"ticket", ["grpc://h:1"], pa.scalar(expires), b"meta")
        descriptor = paflight.FlightDescriptor.for_command(b"cmd")
        schema = pa.schema([("a", pa.int32())])
        info = paflight.FlightInfo(schema, descriptor, [endpoint], 5, 6, True, b"info")
        ours = messages.message("FlightInfo").FromString(info.serialize())
        assert (ours.total_records, ours.total_bytes, ours.ordered, ours.app_metadata) == (5, 6, True, b"info")
        assert ours.flight_descriptor.cmd == b"cmd"
        assert ours.endpoint[0].ticket.ticket == b"ticket"
        assert ours.endpoint[0].location[0].uri == "grpc://h:1"
        assert ours.endpoint[0].app_metadata == b"meta"
        assert ours.endpoint[0].expiration_time.seconds == int(expires.timestamp())
        assert ours.endpoint[0].expiration_time.nanos == 678_901_000
        assert paflight.FlightInfo.deserialize(ours.SerializeToString()) == info


class TestPool:
    def test_others_may_register_the_same_names(self) -> None:
        file = descriptor_pb2.FileDescriptorProto(
            name="FlightSql.proto", package="arrow.flight.protocol.sql", syntax="proto3"
        )
        theirs = file.message_type.add(name="CommandStatementQuery")
        theirs.field.add(name="elsewhere", number=9, type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32)
        pool = descriptor_pool.Default()
        pool.AddSerializedFile(file.SerializeToString())  # type: ignore[no-untyped-call]
        name = "arrow.flight.protocol.sql.CommandStatementQuery"
        other = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))  # type: ignore[no-untyped-call]
        assert [field.name for field in other.DESCRIPTOR.fields] == ["elsewhere"]
        ours = messages.message("sql.CommandStatementQuery")
        assert [field.name for field in ours.DESCRIPTOR.fields] == ["query", "transaction_id"]
        assert ours.FromString(ours(query="x").SerializeToString()).query == "x"


class TestAny:
    @pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 300_000])
    def test_lengths_of_every_width(self, size: int) -> None:
        body = messages.message("sql.TicketStatementQuery")(statement_handle=b"x" * size)
        url, unpacked = messages.unpack(messages.pack(body))
        assert url.endswith("sql.TicketStatementQuery")
        assert unpacked == body.SerializeToString()

    def test_text_that_is_no_utf8_is_refused(self) -> None:
        with pytest.raises(DecodeError):
            messages.message("sql.CommandStatementQuery").FromString(b"\x0a\x01\xff")
