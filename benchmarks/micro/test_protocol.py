"""What each message of a short query costs to read and write, and what a batch costs on its way out.

`pytest benchmarks/micro/test_protocol.py --benchmark-enable`
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flight.protocol import messages, results
from flight.protocol.actions import decode_action
from flight.protocol.batches import BatchCutter, validate_upload
from flight.protocol.commands import decode
from flight.protocol.sql_info import EngineFacts, sql_info_table
from neurolake.nulls import zero_hidden

HANDLE = b"0123456789abcdef01234567"
SQL = "SELECT o_orderkey, o_totalprice FROM orders WHERE o_orderkey = 4711"
ROWS = 16_384

COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "StatementQuery": ("CommandStatementQuery", {"query": SQL}),
    "PreparedQuery": ("CommandPreparedStatementQuery", {"prepared_statement_handle": HANDLE}),
    "StatementTicket": ("TicketStatementQuery", {"statement_handle": HANDLE}),
}
ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "CreatePreparedStatement": ("ActionCreatePreparedStatementRequest", {"query": SQL}),
    "ClosePreparedStatement": ("ActionClosePreparedStatementRequest", {"prepared_statement_handle": HANDLE}),
}
BATCHES = {
    "16 integers": pa.record_batch({f"c{number}": pa.array(range(ROWS)) for number in range(16)}),
    "12 integers, 4 texts": pa.record_batch(
        {f"c{number}": pa.array(range(ROWS)) for number in range(12)}
        | {f"s{number}": pa.array(["twelve bytes"] * ROWS) for number in range(4)}
    ),
    "a text that is cut": pa.record_batch({"s": pa.array(["x" * 2_000] * ROWS)}),
}
HIDING = pa.record_batch(
    {
        "number": pa.array([None, *range(ROWS - 1)]),
        "text": pa.array([None, *["twelve bytes"] * (ROWS - 1)]),
    }
)


def packed(name: str, fields: dict[str, Any]) -> bytes:
    """A command or an action's body as a client sends it."""
    return messages.pack(messages.message(f"sql.{name}")(**fields))


@pytest.mark.parametrize("kind", COMMANDS)
def test_decode_command(benchmark: BenchmarkFixture, kind: str) -> None:
    """A descriptor or a ticket."""
    command = benchmark(decode, packed(*COMMANDS[kind]))
    assert type(command).__name__ == kind


@pytest.mark.parametrize("kind", ACTIONS)
def test_decode_action(benchmark: BenchmarkFixture, kind: str) -> None:
    """An action's body."""
    action = benchmark(decode_action, kind, packed(*ACTIONS[kind]))
    assert type(action).__name__ == kind


def test_encode_ticket(benchmark: BenchmarkFixture) -> None:
    """The ticket of a result."""
    assert HANDLE in benchmark(results.statement_ticket, HANDLE)


def test_encode_prepared_statement(benchmark: BenchmarkFixture) -> None:
    """The answer to CreatePreparedStatement."""
    answer = benchmark(results.prepared_statement_result, HANDLE, dataset_schema=b"s" * 300, is_update=False)
    assert HANDLE in answer


def test_sql_info_at_connect(benchmark: BenchmarkFixture) -> None:
    """What the Go driver asks at every connect."""
    assert benchmark(sql_info_table, EngineFacts("duckdb v2.0.0"), [8]).num_rows == 1


@pytest.mark.parametrize("name", BATCHES)
def test_cut(benchmark: BenchmarkFixture, name: str) -> None:
    """A batch on its way out."""
    batch = BATCHES[name]
    pieces = benchmark(BatchCutter(batch.schema).cut, batch)
    assert sum(piece.num_rows for piece in pieces) == ROWS


def test_zero_hidden(benchmark: BenchmarkFixture) -> None:
    """A batch of one numeric and one text column, both with a NULL."""
    assert benchmark(zero_hidden, HIDING).num_rows == ROWS


def test_validate_upload(benchmark: BenchmarkFixture) -> None:
    """A batch on its way in."""
    batch = BATCHES["12 integers, 4 texts"]
    assert benchmark(validate_upload, batch) is batch
