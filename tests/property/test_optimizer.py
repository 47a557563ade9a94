"""Optimised is the same as plain: random conditions over days, texts and numbers, run both ways on DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurolake.optimizer import Context, optimise

DAYS = st.dates(dt.date(1994, 11, 1), dt.date(1997, 2, 1))
OPERATORS = st.sampled_from(["=", "<", "<=", ">", ">=", "<>"])
COLUMNS = st.sampled_from(["d", "t", "x.d", "x.t"])


@st.composite
def conditions(draw: st.DrawFn) -> str:
    column, day, op = draw(COLUMNS), draw(DAYS), draw(OPERATORS)
    number = draw(st.integers(-60, 60))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        form = draw(st.sampled_from(["%Y", "%Y-%m", "%Y%m", "%m-%Y", "%Y-%m-%d", "%d", "%Y-%H"]))
        return f"strftime({column}, '{form}') {op} '{day.strftime(form)}'"
    if kind == 1:
        texts = ", ".join(f"'{draw(DAYS).strftime('%Y-%m')}'" for _ in range(draw(st.integers(1, 4))))
        return f"strftime({column}, '%Y-%m') IN ({texts})"
    if kind == 2:
        prefix = day.isoformat()[: draw(st.sampled_from([4, 5, 7, 8, 10]))]
        return f"{column}::VARCHAR LIKE '{prefix}%'"
    if kind == 3:
        return f"{column} {draw(st.sampled_from(['+', '-']))} INTERVAL {abs(number)} DAY {op} DATE '{day}'"
    if kind == 4:
        sides = draw(st.permutations([column, f"DATE '{day}'"]))
        return f"date_diff('day', {sides[0]}, {sides[1]}) {op} {number}"
    if kind == 5:
        values = draw(st.lists(st.integers(-2, 12), min_size=8, max_size=12))
        return "(" + " OR ".join(f"a = {value}" for value in values) + ")"
    if kind == 6:
        return f"CASE WHEN a {op} {number % 12} THEN 1 ELSE {draw(st.sampled_from(['0', 'NULL', '1', '2']))} END = 1"
    return f"a {op} {number % 12}"


@st.composite
def statements(draw: st.DrawFn) -> str:
    condition = draw(conditions())
    for _ in range(draw(st.integers(0, 2))):
        condition = f"{condition} {draw(st.sampled_from(['AND', 'OR']))} {draw(conditions())}"
    if draw(st.booleans()):
        condition = f"NOT ({condition})"
    shape = draw(st.integers(0, 3))
    if shape == 0:
        return f"SELECT * FROM days AS x WHERE {condition}"
    if shape == 1:
        inner = f"SELECT * FROM days AS x WHERE {condition} ORDER BY t, a"
        return f"SELECT s, count(*), min(d), max(a) FROM ({inner}) GROUP BY s"
    if shape == 2:
        return (
            f"SELECT x.a, y.b FROM days AS x LEFT JOIN (SELECT DISTINCT b FROM days) AS y ON y.b = x.a AND {condition}"
        )
    return f"SELECT count(*) FROM (SELECT a FROM days AS x WHERE {condition} ORDER BY a)"


@pytest.fixture(scope="module")
def plain() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute(
        "CREATE TABLE days AS SELECT d, d::TIMESTAMP + INTERVAL (a) HOUR AS t, a, a % 4 AS b, "
        "chr((97 + a % 5)::INTEGER) AS s "
        "FROM (SELECT DATE '1994-12-01' + (i * 2)::INTEGER AS d, (i % 11)::INTEGER AS a FROM range(380) r(i))"
    )
    connection.execute("INSERT INTO days FROM days WHERE a = 3")
    connection.execute(
        "INSERT INTO days VALUES (NULL, NULL, NULL, NULL, NULL), ('infinity', 'infinity', 1, 1, 'x'), "
        "('-infinity', '-infinity', 2, 2, NULL), ('1995-03-04 (BC)', '1995-03-04 (BC)', 3, 3, 'a'), "
        "('19950-03-01', '19950-03-01', 4, 4, 'b')"
    )
    yield connection
    connection.close()


def outcome(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    try:
        result = connection.execute(sql)
    except duckdb.Error as error:
        return type(error).__name__
    return [(c[0], str(c[1])) for c in result.description], sorted(map(str, result.fetchall()))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sql=statements())
def test_optimised_is_plain(plain: duckdb.DuckDBPyConnection, sql: str) -> None:
    types = {"d": "DATE", "t": "TIMESTAMP", "a": "INTEGER", "b": "INTEGER", "s": "VARCHAR"}
    done = optimise(sql, Context(describe=lambda relation: types if relation == '"days"' else None))
    if done.fired:
        assert outcome(plain, done.text) == outcome(plain, sql), done
