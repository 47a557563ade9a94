"""The corpus, run over Flight as a governed user on two lakes that differ in hidden values alone.

Nothing hidden comes out, in no part of any answer, and no answer differs between the lakes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.flight as paflight
import pytest
from contract.wire import Wire, command

from attacks.corpus import ATTACKS, LEGAL, MORE_ATTACKS, WRITE_ATTACKS
from attacks.lakes import MARKS, NUMBERS, USER_PASSWORD, Served

QUERY_ID = re.compile(r"query [0-9a-f]{20}|\b[0-9a-f]{20}\b|_neurolake__[0-9a-f]{12}|id [0-9a-f]{12}")


class Outcome(NamedTuple):
    """What a client has of a statement: its rows or its error, and every byte that came with them."""

    rows: list[str] | None
    error: str
    sent: bytes
    total_records: int = -1


def attempt(wire: Wire, sql: str) -> Outcome:
    """Plan and run a statement, and take down everything that the server said."""
    try:
        info = wire.info(command("CommandStatementQuery", query=sql))
        reader = wire.stream(info.endpoints[0].ticket)
        batches = [chunk.data for chunk in reader]
    except (pa.ArrowException, paflight.FlightError, OSError) as error:
        text = QUERY_ID.sub("…", str(error))
        return Outcome(None, text, str(error).encode())
    planned = info.schema
    sent = [repr(reader.schema).encode(), b"" if planned is None else planned.serialize().to_pybytes()]
    if planned is not None:
        assert planned.equals(reader.schema), sql
        assert [field.metadata for field in planned] == [field.metadata for field in reader.schema], sql
    sent += [buffer for batch in batches for column in batch.columns for buffer in buffers(column)]
    rows = [repr(row) for batch in batches for row in batch.to_pylist()]
    return Outcome(rows, "", b"\n".join(sent), info.total_records)


def buffers(array: pa.Array) -> Iterator[bytes]:
    """Every byte behind an array, also those that it does not show."""
    for buffer in array.buffers():
        if buffer is not None:
            yield buffer.to_pybytes()
    if isinstance(array, pa.DictionaryArray):
        yield from buffers(array.dictionary)


def assert_nothing_hidden(outcome: Outcome, sql: str, number: int) -> None:
    """No mark and no hidden number stands in it, whatever the statement itself may say."""
    said = sql.casefold().encode()
    seen = b"\n".join([outcome.sent, *(row.encode() for row in outcome.rows or ())])
    for mark in MARKS:
        if mark.casefold().encode() not in said:
            assert mark.casefold().encode() not in seen.lower(), f"{sql}: {seen[:300]!r}"
    assert number.to_bytes(8, "little")[1:4] not in outcome.sent or outcome.rows is None, sql
    assert str(number)[:6].encode() not in seen, sql
    assert b"/etc/" not in outcome.sent or b"/etc/" in said, sql
    assert outcome.total_records == -1, sql


@pytest.fixture(scope="module")
def wires(lakes: tuple[Served, Served]) -> Iterator[tuple[Wire, Wire]]:
    first, second = (Wire(f"grpc://127.0.0.1:{lake.service.port}", "ann", USER_PASSWORD) for lake in lakes)
    yield first, second


def canonical(outcome: Outcome) -> tuple[object, ...]:
    rows = None if outcome.rows is None else sorted(QUERY_ID.sub("…", row) for row in outcome.rows)
    return rows, outcome.error


def compare(wires: tuple[Wire, Wire], sql: str, before: str = "") -> tuple[Outcome, Outcome]:
    """Run it on both lakes; nothing hidden may come out of either. `before`: what the same user has said already."""
    outcomes = tuple(attempt(wire, sql) for wire in wires)
    for outcome, number in zip(outcomes, NUMBERS, strict=True):
        assert_nothing_hidden(outcome, f"{before}\n{sql}", number)
    if sql.lstrip().upper().startswith("BEGIN"):
        for wire in wires:
            attempt(wire, "ROLLBACK")
    return outcomes[0], outcomes[1]


def blocks(statements: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    return [statements[start : start + size] for start in range(0, len(statements), size)]


def test_the_corpus_is_large_enough() -> None:
    assert len(set(ATTACKS)) >= 300
    assert len(set(LEGAL)) >= 100


@pytest.mark.parametrize("statements", blocks(ATTACKS, 60), ids=lambda block: block[0][:40])
def test_attacks_bring_nothing_out(wires: tuple[Wire, Wire], statements: tuple[str, ...]) -> None:
    different = []
    for sql in statements:
        first, second = compare(wires, sql)
        if canonical(first) != canonical(second):
            different.append((sql, canonical(first), canonical(second)))
    assert different == []


@pytest.mark.slow
@pytest.mark.parametrize("statements", blocks(MORE_ATTACKS, 60), ids=lambda block: block[0][:40])
def test_attacks_on_the_other_columns(wires: tuple[Wire, Wire], statements: tuple[str, ...]) -> None:
    test_attacks_bring_nothing_out(wires, statements)


LOOKS = (
    "SELECT * FROM people ORDER BY ALL",
    "SELECT * FROM orders ORDER BY ALL",
    "SELECT * FROM t ORDER BY ALL",
    "SELECT table_name FROM information_schema.tables ORDER BY ALL",
)


@pytest.mark.parametrize("statements", blocks(WRITE_ATTACKS, 30), ids=lambda block: block[0][:40])
def test_writes_bring_nothing_out(lakes: tuple[Served, Served], statements: tuple[str, ...]) -> None:
    wires = tuple(Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD) for lake in lakes)
    different = []
    for sql in statements:
        attempt(wires[0], "BEGIN"), attempt(wires[1], "BEGIN")
        first, second = compare((wires[0], wires[1]), sql)
        if canonical(first) != canonical(second):
            different.append((sql, canonical(first), canonical(second)))
        for look in LOOKS if not first.error else ():
            one, two = compare((wires[0], wires[1]), look)
            if canonical(one) != canonical(two):
                different.append((f"{sql}; {look}", canonical(one), canonical(two)))
        attempt(wires[0], "ROLLBACK"), attempt(wires[1], "ROLLBACK")
    assert different == []


def test_what_is_legitimate_works(wires: tuple[Wire, Wire]) -> None:
    failed = []
    for sql in LEGAL:
        first, second = compare(wires, sql)
        if first.error or second.error:
            failed.append((sql, first.error))
    assert failed == []


def test_the_attacks_have_changed_nothing(lakes: tuple[Served, Served]) -> None:
    for lake in lakes:
        ((people, orders, secrets),) = lake.admin(
            "SELECT (SELECT count(*) FROM people), (SELECT sum(amount) FROM orders), (SELECT count(*) FROM secrets)"
        )
        assert (people, orders, secrets) == (12 + 3 * MARKS.index(lake.mark), 1170.0, 1)
        assert lake.admin("SELECT count(*) FROM neurolake.policies") == [(18,)]
