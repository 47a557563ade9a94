"""Whatever bytes reach the server, it answers, in time, without a word about its inside, and goes on."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import grpc
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight.protocol import messages
from flight.protocol.actions import ACTION_TYPES
from property.raw_flight import (
    PASSWORD,
    RPCS,
    Answer,
    Raw,
    Served,
    action,
    arrow_messages,
    descriptor,
    field,
    flight_data,
    session,
    ticket,
    tickets_of,
)

GROWTH_BYTES_MAX = 96 * 1024 * 1024
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(max_examples=30, deadline=None, suppress_health_check=CHECKS)
MANY = settings(max_examples=1000, deadline=None, suppress_health_check=CHECKS)

INSIDE = re.compile(r"Traceback|File \"|\.py\b|site-packages|internal error, id")
"""What no answer may hold: traces of the server's inside, and the sign of an error that nobody thought of."""


def packed(name: str, /, **fields: Any) -> bytes:
    return messages.pack(messages.message(f"sql.{name}")(**fields))


MODE = {"if_not_exist": 1, "if_exists": 3}
COMMANDS = [
    packed("CommandStatementQuery", query="SELECT i, 'x' || i FROM range(3) t(i)"),
    packed("CommandStatementQuery", query="SELECT 1", transaction_id=b"none"),
    packed("CommandStatementUpdate", query="CREATE OR REPLACE TABLE mutable (a INTEGER)"),
    packed("CommandStatementIngest", table="taken", table_definition_options=MODE, options={"a": "b"}),
    packed("CommandStatementIngest", table="taken", schema="main", catalog="lake", temporary=True),
    packed("CommandPreparedStatementQuery", prepared_statement_handle=b"unknown"),
    packed("CommandPreparedStatementUpdate", prepared_statement_handle=b"unknown"),
    packed("CommandGetSqlInfo", info=[0, 8, 500, 576]),
    packed("CommandGetXdbcTypeInfo", data_type=4),
    packed("CommandGetCatalogs"),
    packed("CommandGetDbSchemas", catalog="lake", db_schema_filter_pattern="ma%"),
    packed("CommandGetTables", table_name_filter_pattern="%", table_types=["BASE TABLE"], include_schema=True),
    packed("CommandGetTableTypes"),
    packed("CommandGetPrimaryKeys", table="taken"),
    packed("CommandGetExportedKeys", table="taken", db_schema="main"),
    packed("CommandGetImportedKeys", table="taken", catalog="lake"),
    packed("CommandGetCrossReference", pk_table="taken", fk_table="taken"),
    packed("CommandStatementSubstraitPlan", plan={"plan": b"plan", "version": "1"}),
    packed("TicketStatementQuery", statement_handle=b"unknown"),
]
ACTIONS = [
    ("CreatePreparedStatement", packed("ActionCreatePreparedStatementRequest", query="SELECT ?::INTEGER AS a, ? AS b")),
    ("ClosePreparedStatement", packed("ActionClosePreparedStatementRequest", prepared_statement_handle=b"unknown")),
    ("BeginTransaction", packed("ActionBeginTransactionRequest")),
    ("EndTransaction", packed("ActionEndTransactionRequest", transaction_id=b"none", action=2)),
    ("BeginSavepoint", packed("ActionBeginSavepointRequest", transaction_id=b"none", name="s")),
    ("CancelQuery", packed("ActionCancelQueryRequest", info=b"")),
    ("CancelFlightInfo", messages.message("CancelFlightInfoRequest")(info={"total_bytes": 1}).SerializeToString()),
    ("RenewFlightEndpoint", field(1, field(1, ticket(COMMANDS[-1])))),
    (
        "SetSessionOptions",
        messages.message("SetSessionOptionsRequest")(
            session_options={"schema": {"string_value": "main"}, "statement_timeout_s": {"double_value": 10.0}}
        ).SerializeToString(),
    ),
    ("GetSessionOptions", b""),
    ("CloseSession", b""),
]

STRUCTURE = pa.struct([("a", pa.int32()), ("b", pa.string())])
COLUMNS: dict[str, pa.Array] = {
    "whole": pa.array([1, None, 3], pa.int32()),
    "text": pa.array(["a", None, "longer than twelve bytes"]),
    "large": pa.array(["a", None, "c"], pa.large_string()),
    "view": pa.array(["a", None, "longer than twelve bytes"], pa.string_view()),
    "blob": pa.array([b"a", None, b"\x00"], pa.binary()),
    "flag": pa.array([True, None, False]),
    "exact": pa.array([Decimal("1.5"), None, Decimal("-2.5")], pa.decimal128(9, 2)),
    "day": pa.array([1, None, 3], pa.int32()).cast(pa.date32()),
    "moment": pa.array([1, None, 3], pa.timestamp("us", "UTC")),
    "span": pa.array([pa.MonthDayNano([1, 2, 3000]), None, pa.MonthDayNano([0, 0, 0])]),
    "list": pa.array([[1, None], None, []], pa.list_(pa.int64())),
    "fixed": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2)),
    "deep": pa.array([[{"a": 1, "b": "x"}], None, [None]], pa.list_(STRUCTURE)),
    "structure": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}], STRUCTURE),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
    "coded": pa.array(["a", None, "a"]).dictionary_encode(),
    "coded_deep": pa.array([["a"], None, ["b", "a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    "union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])], ["n", "t"]
    ),
    "dense": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["a"])], ["n", "t"]
    ),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"])),
    "list_view": pa.array([[1], None, [2, 3]], pa.list_view(pa.int32())),
    "nothing": pa.nulls(3),
}
PACKED_WITH = [None, *(pa.ipc.IpcWriteOptions(compression=name) for name in ("lz4", "zstd"))]

NUMBERS = [0, 1, -1, 2, 7, 127, 255, 2**15, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, 2**63 - 1, -(2**63)]
WORDS = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from(NUMBERS).map(lambda n: struct.pack("<q", n)),
    st.sampled_from(NUMBERS).map(lambda n: struct.pack("<i", (n + 2**31) % 2**32 - 2**31)),
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes, *, most: int = 3) -> bytes:
    """The bytes with a few of them changed, cut out, doubled or put in."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, most))):
        place = draw(st.integers(0, len(made)))
        match draw(st.sampled_from(["change", "change", "change", "align", "cut", "put", "double", "end"])):
            case "change":
                word = draw(WORDS)
                made[place : place + len(word)] = word
            case "align":
                word = draw(WORDS)
                made[place & ~3 : (place & ~3) + len(word)] = word
            case "cut":
                del made[place : place + draw(st.integers(1, 16))]
            case "put":
                made[place:place] = draw(st.binary(max_size=16))
            case "double":
                made[place:place] = made[place : place + draw(st.integers(1, 64))]
            case "end":
                del made[place:]
    return bytes(made)


def maybe(data: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(st.just(data), mutated(data))


COMMAND = st.one_of(st.sampled_from(COMMANDS).flatmap(mutated), st.binary(max_size=64))
BODY = st.one_of(st.sampled_from(ACTIONS).flatmap(lambda one: st.tuples(st.just(one[0]), maybe(one[1]))))
ACTION = st.one_of(
    BODY,
    st.tuples(st.sampled_from([name for name, _ in ACTION_TYPES]), st.binary(max_size=64)),
    st.tuples(st.text(max_size=10), st.binary(max_size=16)),
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """One RPC with what it is sent: Flight's own message around Flight SQL's, either of them broken."""
    rpc = draw(st.sampled_from([*RPCS, "GetFlightInfo", "GetSchema", "DoGet", "DoPut", "DoAction", "DoAction"]))
    match rpc:
        case "GetFlightInfo" | "GetSchema" | "PollFlightInfo":
            whole = descriptor(draw(COMMAND))
        case "DoGet":
            whole = ticket(draw(COMMAND))
        case "DoAction":
            whole = action(*draw(ACTION))
        case "DoPut" | "DoExchange":
            command = draw(st.one_of(st.sampled_from(COMMANDS), COMMAND))
            whole = flight_data(command, draw(st.binary(max_size=32)), draw(st.binary(max_size=32)))
        case _:
            whole = draw(st.binary(max_size=64))
    sent = draw(st.one_of(st.just(whole), st.just(whole), mutated(whole), st.binary(max_size=64)))
    return rpc, [sent, *draw(st.lists(st.binary(max_size=64), max_size=2))]


@st.composite
def uploads(draw: st.DrawFn, command: bytes) -> list[bytes]:
    """An upload of Arrow data of which something is broken: a header, a body, an order."""
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=3, unique=True))
    table = pa.table({name: COLUMNS[name] for name in names})
    parts = arrow_messages(table, draw(st.sampled_from(PACKED_WITH)))
    if draw(st.booleans()):
        parts.append(parts[-1])
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(parts) - 1))
        header, body = parts[place]
        match draw(st.sampled_from(["body", "body", "body", "header", "drop", "order", "both"])):
            case "body":
                parts[place] = (header, draw(mutated(body)))
            case "header":
                parts[place] = (draw(mutated(header, most=1)), body)
            case "both":
                parts[place] = (draw(mutated(header, most=1)), draw(mutated(body)))
            case "drop":
                del parts[place]
                parts = parts or [(b"", b"")]
            case "order":
                parts = draw(st.permutations(parts))
    return [flight_data(command if number == 0 else None, *part) for number, part in enumerate(parts)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("fuzz") / "lake")
    yield served
    served.close()


def check(served: Served, answer: Answer) -> Answer:
    """Hold one answer to what all must be."""
    assert served.is_alive(), f"the server died: {served.log.read_text()[-4000:]}"
    assert answer.code is not grpc.StatusCode.DEADLINE_EXCEEDED, "it did not answer"
    assert not INSIDE.search(answer.text), f"{answer.text}\n{served.log.read_text()[-4000:]}"
    return answer


def ask_anything(served: Served, call: tuple[str, list[bytes]]) -> None:
    rpc, requests = call
    with session(served) as raw:
        answer = check(served, raw.ask(rpc, *requests))
        for data in tickets_of(answer.messages[0]) if rpc == "GetFlightInfo" and answer.messages else ():
            check(served, raw.ask("DoGet", ticket(data)))


def prepared(raw: Raw, query: str) -> bytes:
    """The handle of a prepared statement."""
    request = packed("ActionCreatePreparedStatementRequest", query=query)
    answer = raw.ask("DoAction", action("CreatePreparedStatement", request))
    assert answer.messages, answer.text
    (result,) = answer.messages
    _, body = messages.unpack(messages.message("Ticket").FromString(result).ticket)  # a Result has the same one field
    made = messages.message("sql.ActionCreatePreparedStatementResult").FromString(body)
    return bytes(made.prepared_statement_handle)


def run(served: Served, raw: Raw, command: bytes) -> None:
    """Ask for a command's answer and read it, if it has one."""
    info = check(served, raw.ask("GetFlightInfo", descriptor(command)))
    for data in tickets_of(info.messages[0]) if info.messages else ():
        check(served, raw.ask("DoGet", ticket(data)))


def upload(served: Served, data: st.DataObject) -> None:
    """Ingest what is broken and read it, or bind it and run the statement."""
    with session(served) as raw:
        match data.draw(st.sampled_from(["ingest", "ingest", "bind", "update"])):
            case "ingest":
                command = packed("CommandStatementIngest", table="taken", table_definition_options=MODE)
                then = packed("CommandStatementQuery", query="SELECT * FROM taken")
            case "bind":
                handle = prepared(raw, "SELECT ?, ?, ?")
                command = then = packed("CommandPreparedStatementQuery", prepared_statement_handle=handle)
            case _:
                run(served, raw, packed("CommandStatementQuery", query="CREATE TEMP TABLE sink (a VARCHAR, b VARCHAR)"))
                handle = prepared(raw, "INSERT INTO sink VALUES (?, ?)")
                command = packed("CommandPreparedStatementUpdate", prepared_statement_handle=handle)
                then = packed("CommandStatementQuery", query="SELECT * FROM sink")
        check(served, raw.ask("DoPut", *data.draw(uploads(command))))
        run(served, raw, then)


def still_works(served: Served) -> None:
    login = {"username": "admin", "password": PASSWORD}
    with flight_sql.connect(served.uri, db_kwargs=login) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sum(i) FROM range(1000) t(i)")
        assert cursor.fetchall() == [(499500,)]


@FEW
@given(calls())
def test_any_bytes_to_any_rpc(served: Served, call: tuple[str, list[bytes]]) -> None:
    ask_anything(served, call)


ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
CREDENTIALS = st.one_of(
    ASCII,
    st.tuples(st.sampled_from(["Basic", "basic", "Bearer", "Digest"]), ASCII).map(" ".join),
    st.binary(max_size=60).map(lambda data: f"Basic {base64.b64encode(data).decode()}"),
    st.tuples(st.text(max_size=20), st.text(max_size=20)).map(
        lambda pair: "Basic " + base64.b64encode(":".join(pair).encode("utf-8", "surrogatepass")).decode()
    ),
    st.integers(8_000, 9_000).map(lambda size: "Bearer " + "x" * size),
)


@settings(FEW, max_examples=12)  # each name costs the server a password hash
@given(CREDENTIALS.map(str.strip), st.sampled_from(["Handshake", "GetFlightInfo", "DoAction"]))
def test_any_credentials(served: Served, sent: str, rpc: str) -> None:
    with session(served) as raw:
        entered, raw.headers = raw.headers, (("authorization", sent),)
        answer = check(served, raw.ask(rpc, descriptor(COMMANDS[0])))
        raw.headers = entered
    # gRPC itself refuses headers of more than 8 KiB.
    assert answer.code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED), answer


@FEW
@given(st.data())
def test_uploads_with_broken_buffers(served: Served, data: st.DataObject) -> None:
    upload(served, data)


def test_uploads_that_break_off_leave_nothing_behind(served: Served) -> None:
    """Not even a cursor in a transaction that nobody rolls back, for the next statement to find."""
    parts = arrow_messages(pa.table({"a": list(range(1000))}))
    ingest = packed("CommandStatementIngest", table="broken_off", table_definition_options=MODE)
    sent = [flight_data(ingest if number == 0 else None, *part) for number, part in enumerate(parts)]
    whole = packed("CommandStatementQuery", query="CREATE OR REPLACE TABLE whole AS SELECT 1 AS a")
    with session(served) as raw:
        for _ in range(25):
            raw.break_off("DoPut", *sent)
            answer = check(served, raw.ask("GetFlightInfo", descriptor(whole)))
            assert answer.messages, answer.text
        gone = packed("CommandStatementQuery", query="FROM broken_off")
        assert raw.ask("GetFlightInfo", descriptor(gone)).code is grpc.StatusCode.NOT_FOUND


def test_it_still_works(served: Served) -> None:
    still_works(served)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["anything", "uploads"])
def test_long_and_without_growing(served: Served, what: str) -> None:
    if what == "anything":
        work = MANY(given(calls())(lambda call: ask_anything(served, call)))
    else:
        work = MANY(given(st.data())(lambda data: upload(served, data)))
    work()
    before = served.resident_bytes()
    work()
    grown = served.resident_bytes() - before
    assert grown < GROWTH_BYTES_MAX, f"{grown / 1e6:.0f} MB more"
    still_works(served)
