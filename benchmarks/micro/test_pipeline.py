"""The stages of a short query, one by one and together: `pytest benchmarks/micro --benchmark-enable`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from neurolake.activity import Activity
from neurolake.engine.planning import STAGES
from neurolake.lake import EmbeddedLake
from neurolake.query import OWNER, Plan, Request


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    """A lake that keeps nothing, with one table."""
    with EmbeddedLake.open(":memory:") as opened:
        assert isinstance(opened, EmbeddedLake)
        opened.load("orders", {"id": list(range(100_000)), "amount": [float(n % 97) for n in range(100_000)]})
        yield opened


@pytest.fixture
def texts() -> Iterator[str]:
    """Statements that nobody has planned before."""
    return (f"SELECT {number}" for number in itertools.count(1_000_000))


@pytest.mark.parametrize("text", ["SELECT 42", "SELECT amount FROM orders WHERE id = 7"], ids=["constant", "look-up"])
@pytest.mark.parametrize("number", range(len(STAGES)), ids=[stage.__name__ for stage in STAGES])
def test_stage(benchmark: BenchmarkFixture, lake: EmbeddedLake, text: str, number: int) -> None:
    """One stage, on what those before it made."""
    activity = Activity("q", OWNER, "benchmark", text)
    request = Request(text, lake.session, query_id="q")
    draft = Plan(request, text, lake.engine.versions(lake.session))
    for stage in STAGES[:number]:
        draft = stage(lake.engine, draft, activity)
    done: Plan = benchmark(STAGES[number], lake.engine, draft, activity)
    assert done.request.text == text


def test_plan(benchmark: BenchmarkFixture, lake: EmbeddedLake, texts: Iterator[str]) -> None:
    """All stages, for a text that is new each time."""
    plan: Plan = benchmark(lambda: lake.engine.plan(Request(next(texts), lake.session)))
    assert plan.schema is not None


@pytest.mark.parametrize("side", ["role", "administrator"])
@pytest.mark.parametrize("form", ["known", "new"])
def test_gated(benchmark: BenchmarkFixture, lake: EmbeddedLake, side: str, form: str) -> None:
    """All stages for a governed role, the gate's trees and a mask among them, for a text that is new each time."""
    lake.call("set_pii", "orders", None, "confirmed")
    lake.call("create_role", "analyst")
    lake.call("grant", "read", "orders", "analyst")
    lake.call("set_policy", "amounts", "*", "column:orders.amount", "bucket")
    lake.call("create_user", "ann", "a password", ["analyst"])
    ann, numbers = lake.as_user("ann", password="a password"), itertools.count(1_000_000)
    text = "SELECT amount AS a FROM orders WHERE id = {}" if form == "known" else "SELECT amount AS a{} FROM orders"
    asked = lake if side == "administrator" else ann
    for _ in range(3):
        asked.sql(text.format(next(numbers))).close()
    plan: Plan = benchmark(lambda: lake.engine.plan(Request(text.format(next(numbers)), asked.session)))
    assert (plan.ruling is None) == (asked is lake)


def test_execute(benchmark: BenchmarkFixture, lake: EmbeddedLake) -> None:
    """A plan that was made once, run and read to its end, history written."""
    plan = lake.engine.plan(Request("SELECT 42", lake.session))
    assert benchmark(lambda: lake.engine.execute(plan).fetchall()) == [(42,)]


def _plain() -> Callable[[str], list[Any]]:
    connection = duckdb.connect()
    return lambda text: connection.execute(text).fetchall()


@pytest.mark.parametrize("side", ["lake", "plain duckdb"])
@pytest.mark.parametrize("new", [True, False], ids=["new text", "same text"])
def test_query(benchmark: BenchmarkFixture, lake: EmbeddedLake, texts: Iterator[str], side: str, new: bool) -> None:
    """From the text to the rows, next to DuckDB alone."""
    run = _plain() if side == "plain duckdb" else lambda text: lake.sql(text).fetchall()
    rows = benchmark(lambda: run(next(texts) if new else "SELECT 42"))
    assert len(rows) == 1
