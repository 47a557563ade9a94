"""Commands and actions: each to its plain value, and anything else to an error of ours."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.protocol import actions, commands, messages, results
from flight.protocol.actions import decode_action
from flight.protocol.commands import TableExists, TableMissing, decode
from neurolake.errors import InvalidRequest, LimitReached, NeuroLakeError, NotSupported


def packed(name: str, **fields: Any) -> bytes:
    return messages.pack(messages.message(f"sql.{name}")(**fields))


def ingest(**fields: Any) -> commands.StatementIngest:
    command = decode(packed("CommandStatementIngest", **fields))
    assert isinstance(command, commands.StatementIngest)
    return command


KEYS = {"catalog": "c", "db_schema": "s", "table": "t"}
CROSS = {"pk_catalog": "a", "pk_db_schema": "b", "pk_table": "c", "fk_catalog": "d", "fk_db_schema": "e"}

COMMANDS: list[tuple[str, dict[str, Any], commands.Command]] = [
    ("CommandStatementQuery", {"query": "q"}, commands.StatementQuery("q")),
    ("CommandStatementQuery", {"query": "q", "transaction_id": b"t"}, commands.StatementQuery("q", b"t")),
    ("CommandStatementQuery", {"query": "q", "transaction_id": b""}, commands.StatementQuery("q")),
    ("CommandPreparedStatementQuery", {"prepared_statement_handle": b"h"}, commands.PreparedQuery(b"h")),
    ("CommandStatementUpdate", {"query": "q", "transaction_id": b"t"}, commands.StatementUpdate("q", b"t")),
    ("CommandPreparedStatementUpdate", {"prepared_statement_handle": b"h"}, commands.PreparedUpdate(b"h")),
    ("TicketStatementQuery", {"statement_handle": b"h"}, commands.StatementTicket(b"h")),
    ("CommandGetSqlInfo", {}, commands.GetSqlInfo(())),
    ("CommandGetSqlInfo", {"info": [8, 500]}, commands.GetSqlInfo((8, 500))),
    ("CommandGetXdbcTypeInfo", {}, commands.GetXdbcTypeInfo(None)),
    ("CommandGetXdbcTypeInfo", {"data_type": 0}, commands.GetXdbcTypeInfo(0)),
    ("CommandGetXdbcTypeInfo", {"data_type": -5}, commands.GetXdbcTypeInfo(-5)),
    ("CommandGetCatalogs", {}, commands.GetCatalogs()),
    ("CommandGetDbSchemas", {}, commands.GetDbSchemas(None, None)),
    ("CommandGetDbSchemas", {"catalog": "", "db_schema_filter_pattern": "m%"}, commands.GetDbSchemas("", "m%")),
    (
        "CommandGetTables",
        {"catalog": "c", "table_name_filter_pattern": "t_", "table_types": ["VIEW"], "include_schema": True},
        commands.GetTables("c", None, "t_", ("VIEW",), True),
    ),
    ("CommandGetTableTypes", {}, commands.GetTableTypes()),
    ("CommandGetPrimaryKeys", KEYS, commands.GetPrimaryKeys("c", "s", "t")),
    ("CommandGetPrimaryKeys", {"table": "t"}, commands.GetPrimaryKeys(None, None, "t")),
    ("CommandGetExportedKeys", KEYS, commands.GetExportedKeys("c", "s", "t")),
    ("CommandGetImportedKeys", KEYS, commands.GetImportedKeys("c", "s", "t")),
    (
        "CommandGetCrossReference",
        CROSS | {"fk_table": "f"},
        commands.GetCrossReference("a", "b", "c", "d", "e", "f"),
    ),
]


@pytest.mark.parametrize(("name", "fields", "expected"), COMMANDS)
def test_command(name: str, fields: dict[str, Any], expected: commands.Command) -> None:
    assert decode(packed(name, **fields)) == expected


class TestIngest:
    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ((1, 1), (TableMissing.CREATE, TableExists.FAIL)),
            ((2, 2), (TableMissing.FAIL, TableExists.APPEND)),
            ((1, 2), (TableMissing.CREATE, TableExists.APPEND)),
            ((1, 3), (TableMissing.CREATE, TableExists.REPLACE)),
            ((0, 0), (TableMissing.CREATE, TableExists.FAIL)),
        ],
    )
    def test_modes(self, sent: tuple[int, int], expected: tuple[TableMissing, TableExists]) -> None:
        mode = messages.message("sql.TableDefinitionOptions")(if_not_exist=sent[0], if_exists=sent[1])
        command = ingest(table="t", table_definition_options=mode)
        assert (command.if_missing, command.if_exists) == expected

    def test_all_fields(self) -> None:
        command = ingest(
            table="t", schema="s", catalog="c", temporary=True, transaction_id=b"x", options={"b": "2", "a": "1"}
        )
        assert (command.table, command.schema, command.catalog) == ("t", "s", "c")
        assert (command.temporary, command.transaction_id) == (True, b"x")
        assert command.options == (("a", "1"), ("b", "2"))

    def test_an_unknown_mode(self) -> None:
        mode = messages.message("sql.TableDefinitionOptions")(if_not_exist=1, if_exists=9)
        with pytest.raises(InvalidRequest, match="mode"):
            ingest(table="t", table_definition_options=mode)

    def test_no_table(self) -> None:
        with pytest.raises(InvalidRequest, match="names no table"):
            ingest()


def info_of(*tickets: bytes) -> bytes:
    endpoints = [paflight.FlightEndpoint(ticket, []) for ticket in tickets]
    descriptor = paflight.FlightDescriptor.for_command(b"")
    return bytes(paflight.FlightInfo(pa.schema([]), descriptor, endpoints, -1, -1).serialize())


def cancel(*tickets: bytes) -> bytes:
    info = messages.message("FlightInfo").FromString(info_of(*tickets))
    return bytes(messages.message("CancelFlightInfoRequest")(info=info).SerializeToString())


ACTIONS: list[tuple[str, bytes, actions.Action]] = [
    (
        "CreatePreparedStatement",
        packed("ActionCreatePreparedStatementRequest", query="q", transaction_id=b"t"),
        actions.CreatePreparedStatement("q", b"t"),
    ),
    (
        "ClosePreparedStatement",
        packed("ActionClosePreparedStatementRequest", prepared_statement_handle=b"h"),
        actions.ClosePreparedStatement(b"h"),
    ),
    ("BeginTransaction", packed("ActionBeginTransactionRequest"), actions.BeginTransaction()),
    (
        "EndTransaction",
        packed("ActionEndTransactionRequest", transaction_id=b"t", action=1),
        actions.EndTransaction(b"t", actions.TransactionEnd.COMMIT),
    ),
    (
        "EndTransaction",
        packed("ActionEndTransactionRequest", transaction_id=b"t", action=2),
        actions.EndTransaction(b"t", actions.TransactionEnd.ROLLBACK),
    ),
    ("CancelQuery", packed("ActionCancelQueryRequest", info=info_of(b"a")), actions.CancelQuery((b"a",))),
    ("CancelFlightInfo", cancel(b"a", b"b"), actions.CancelFlightInfo((b"a", b"b"))),
    ("GetSessionOptions", b"", actions.GetSessionOptions()),
    ("CloseSession", b"", actions.CloseSession()),
]


class TestActions:
    @pytest.mark.parametrize(("action", "body", "expected"), ACTIONS, ids=[action for action, _, _ in ACTIONS])
    def test_decodes(self, action: str, body: bytes, expected: actions.Action) -> None:
        assert decode_action(action, body) == expected

    def test_every_action_offered_is_known(self) -> None:
        for action, help_text in actions.ACTION_TYPES:
            with pytest.raises(InvalidRequest) as caught:
                decode_action(action, b"\xff")
            assert not isinstance(caught.value, NotSupported), help_text

    @pytest.mark.parametrize("end", [0, 3, -1])
    def test_a_transaction_ends_in_one_of_two_ways(self, end: int) -> None:
        body = packed("ActionEndTransactionRequest", transaction_id=b"t", action=end)
        with pytest.raises(InvalidRequest, match="how the transaction ends"):
            decode_action("EndTransaction", body)

    @pytest.mark.parametrize("action", ["BeginSavepoint", "EndSavepoint", "CreatePreparedSubstraitPlan"])
    def test_what_is_not_served(self, action: str) -> None:
        body = packed({"CreatePreparedSubstraitPlan": "ActionCreatePreparedSubstraitPlanRequest"}.get(
            action, f"Action{action}Request"))  # fmt: skip
        with pytest.raises(NotSupported):
            decode_action(action, body)

    def test_one_actions_body_under_anothers_name(self) -> None:
        with pytest.raises(InvalidRequest, match="EndTransaction"):
            decode_action("EndTransaction", packed("ActionBeginTransactionRequest"))

    def test_session_options(self) -> None:
        request = messages.message("SetSessionOptionsRequest")()
        request.session_options["text"].string_value = "x"
        request.session_options["flag"].bool_value = False
        request.session_options["whole"].int64_value = -(2**63)
        request.session_options["real"].double_value = 1.5
        request.session_options["list"].string_list_value.values.extend(["a", "b"])
        request.session_options["unset"].SetInParent()
        command = decode_action("SetSessionOptions", request.SerializeToString())
        assert isinstance(command, actions.SetSessionOptions)
        assert command.options == {
            "flag": False, "list": ("a", "b"), "real": 1.5, "text": "x", "unset": None, "whole": -(2**63),
        }  # fmt: skip
        assert command.options["flag"] is False

    def test_a_renewed_endpoint_is_one_pyarrow_reads(self) -> None:
        endpoint = paflight.FlightEndpoint(b"ticket", ["grpc://h:1"], None, b"meta")
        request = messages.message("RenewFlightEndpointRequest")()
        request.endpoint.ParseFromString(endpoint.serialize())
        command = decode_action("RenewFlightEndpoint", request.SerializeToString())
        assert isinstance(command, actions.RenewFlightEndpoint)
        expires = dt.datetime(2030, 1, 1, 0, 0, 0, 250_000, tzinfo=dt.UTC)
        renewed = paflight.FlightEndpoint.deserialize(results.renewed_endpoint(command, expires.timestamp()))
        assert renewed.ticket.ticket == b"ticket"
        assert [location.uri for location in renewed.locations] == [b"grpc://h:1"]
        assert renewed.app_metadata == b"meta"
        assert renewed.expiration_time.as_py() == expires


class TestResults:
    def test_prepared_statement(self) -> None:
        url, body = messages.unpack(results.prepared_statement_result(b"h", dataset_schema=b"s", is_update=False))
        assert url == messages.TYPE_URL_PREFIX + "ActionCreatePreparedStatementResult"
        result = messages.message("sql.ActionCreatePreparedStatementResult").FromString(body)
        assert (result.prepared_statement_handle, result.dataset_schema, result.parameter_schema) == (b"h", b"s", b"")
        assert result.HasField("is_update")

    def test_whether_it_updates_may_stay_open(self) -> None:
        _, body = messages.unpack(results.prepared_statement_result(b"h"))
        result = messages.message("sql.ActionCreatePreparedStatementResult").FromString(body)
        assert not result.HasField("is_update")

    def test_options_come_back_as_they_were_set(self) -> None:
        options: dict[str, actions.SessionOption] = {
            "a": "x", "b": True, "c": 7, "d": 0.5, "e": ("p", "q"), "f": None, "g": (), "h": "", "i": 0, "j": False,
        }  # fmt: skip
        # The request and the result of these two actions are the same on the wire.
        read = decode_action("SetSessionOptions", results.get_session_options_result(options))
        assert isinstance(read, actions.SetSessionOptions)
        assert read.options == options
        assert {name: type(value) for name, value in read.options.items()} == {
            name: type(value) for name, value in options.items()
        }

    def test_the_small_ones(self) -> None:
        assert results.put_update_result(3) == b"\x08\x03"
        assert results.put_prepared_result(b"h") == b"\x0a\x01h"
        assert results.cancel_flight_info_result(results.CancelStatus.CANCELLED) == b"\x08\x01"
        assert messages.unpack(results.cancel_query_result(results.CancelStatus.CANCELLING))[1] == b"\x08\x02"
        assert messages.unpack(results.begin_transaction_result(b"t"))[1] == b"\x0a\x01t"
        assert results.close_session_result(results.CloseSessionStatus.CLOSED) == b"\x08\x01"
        problem = results.set_session_options_result({"x": results.OptionProblem.INVALID_NAME})
        assert problem == bytes.fromhex("0a070a0178120208" + "01")
        assert results.set_session_options_result({}) == b""


class TestRefused:
    @pytest.mark.parametrize("data", [b"", b"SELECT 1", b"\x0a", b"\xff" * 40, b"\x0a\x02\xff\xff"])
    def test_what_is_no_command(self, data: bytes) -> None:
        with pytest.raises(InvalidRequest):
            decode(data)

    def test_a_known_name_over_a_broken_body(self) -> None:
        with pytest.raises(InvalidRequest, match="not a valid Flight SQL message"):
            decode(messages.wrap(messages.any_prefix("CommandStatementQuery"), b"\x0a\x7f"))

    def test_an_unknown_name_is_shown_but_not_trusted(self) -> None:
        url = "type.googleapis.com/\N{DUCK}\n" + "x" * 5_000
        data = messages.message("Any")(type_url=url).SerializeToString()
        with pytest.raises(NotSupported) as caught:
            decode(data)
        assert caught.value.message.isascii()
        assert len(caught.value.message) < 400

    def test_substrait(self) -> None:
        with pytest.raises(NotSupported, match="Substrait"):
            decode(packed("CommandStatementSubstraitPlan"))

    def test_a_command_too_large(self) -> None:
        with pytest.raises(LimitReached, match="bytes"):
            decode(b"x" * (commands.COMMAND_BYTES_MAX + 1))

    def test_too_many_entries(self) -> None:
        with pytest.raises(LimitReached, match="info codes"):
            decode(packed("CommandGetSqlInfo", info=range(commands.ITEMS_MAX + 1)))
        with pytest.raises(LimitReached, match="table types"):
            decode(packed("CommandGetTables", table_types=[""] * (commands.ITEMS_MAX + 1)))
        with pytest.raises(LimitReached, match="endpoints"):
            decode_action("CancelFlightInfo", cancel(b"") + b"\x0a\x02\x1a\x00" * (commands.ITEMS_MAX + 1))


WHOLE = [packed(name, **fields) for name, fields, _ in COMMANDS] + [body for _, body, _ in ACTIONS if body]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real message with some bytes changed, cut out or put in."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 4)))
        data[start:stop] = draw(st.binary(max_size=6))
    return bytes(data)


ACTION_NAMES = sorted({name for name, _ in actions.ACTION_TYPES} | {"BeginSavepoint", "", "Nonsense"})


class TestFuzz:
    @given(data=st.binary(max_size=200) | mutated())
    def test_commands_decode_or_fail_as_ours(self, data: bytes) -> None:
        try:
            command = decode(data)
        except NeuroLakeError as error:
            assert error.message
        else:
            assert isinstance(command, commands.Command)

    @given(action=st.sampled_from(ACTION_NAMES) | st.text(max_size=20), body=st.binary(max_size=200) | mutated())
    def test_actions_decode_or_fail_as_ours(self, action: str, body: bytes) -> None:
        try:
            decoded = decode_action(action, body)
        except NeuroLakeError as error:
            assert error.message
        else:
            assert isinstance(decoded, actions.Action)

    @given(depth=st.integers(1, 100_000))
    def test_deep_nesting_is_refused(self, depth: int) -> None:
        with pytest.raises(InvalidRequest):
            decode(b"\x1b" * depth)
