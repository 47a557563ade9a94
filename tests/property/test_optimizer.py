"""Optimised is the same as plain: random statements run both ways give the same rows, names, types and errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurolake.optimizer import RULES, Context, optimise

NEAR = st.dates(dt.date(1994, 11, 1), dt.date(1997, 2, 1))
ANY = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
DAYS = st.one_of(
    NEAR, NEAR, NEAR, st.sampled_from([dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(1995, 3, 31)]), ANY
)
COUNTS = st.one_of(st.integers(-60, 60), st.integers(-5000, 5000), st.just(99_999_999))
OPERATORS = st.sampled_from(["=", "<", "<=", ">", ">=", "<>"])
COLUMNS = st.sampled_from(["d", "t", "x.d", "x.t", "X.D", '"t"'])
INTEGERS = st.sampled_from(["a", "x.k", "tiny", "u"])
SPAN_UNITS = st.sampled_from(["DAY", "DAYS", "WEEK", "HOUR", "MINUTE", "SECOND", "MONTH", "QUARTER", "YEAR"])

TABLES = """
SET threads = 1;
CREATE TABLE days AS SELECT d, d::TIMESTAMP + INTERVAL (a) HOUR AS t, a, a % 4 AS b, chr((97 + a % 5)::INTEGER) AS s,
  (a - 4) * 3 AS k, a::TINYINT AS tiny, (a * 20)::UTINYINT AS u, year(d) AS y, month(d) AS m, day(d) AS dd
FROM (SELECT DATE '1994-12-01' + (i * 5)::INTEGER AS d, (i % 11)::INTEGER AS a FROM range(150) r(i));
INSERT INTO days FROM days WHERE a = 3;
INSERT INTO days BY NAME SELECT d, d::TIMESTAMP + INTERVAL 23 HOUR AS t, a FROM (VALUES
  (NULL, NULL), ('infinity'::DATE, 1), ('-infinity', 2), ('1995-03-04 (BC)', 3), ('19950-03-01', 4), ('0001-01-01', 5),
  ('9999-12-31', 6), ('1969-12-31', 7), ('1970-01-01', 8), ('0995-03-01', 9)) AS v(d, a);
INSERT INTO days (y, m, dd, a) VALUES (1995, NULL, 1, 1), (NULL, 3, 1, 2), (-5, 3, 1, 3), (10000, 3, 1, 4);
CREATE TABLE far AS FROM days;
INSERT INTO far (d, t, a) VALUES ('5881580-07-10', '294247-01-10 04:00:54.775806', 1),
  ('5877642-06-25 (BC)', '290309-12-22 (BC) 00:00:00', 2);
INSERT INTO far (y, m, dd, a) VALUES (1995, 13, 1, 1), (1995, 2, 30, 2), (99999999, 1, 1, 3);
"""


def texts(draw: st.DrawFn, day: dt.date) -> str:
    whole = day.isoformat()
    cut = whole[: draw(st.sampled_from([3, 4, 5, 6, 7, 8, 10]))]
    return draw(st.sampled_from([cut, whole, f"{whole} 03:00:00", f"{cut}x", "1995-02-30", "1995-1"]))


@st.composite
def day_conditions(draw: st.DrawFn) -> str:
    column, day, op, count = draw(COLUMNS), draw(DAYS), draw(OPERATORS), draw(COUNTS)
    other = draw(DAYS)
    fixed = draw(st.sampled_from([f"DATE '{day}'", f"TIMESTAMP '{day} 12:30:00'", f"'{day}'::DATE", "current_date"]))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        form = draw(st.sampled_from(["%Y", "%Y-%m", "%Y%m", "%m-%Y", "%Y-%m-%d", "%d", "%Y-%H", "%d.%m.%Y"]))
        arguments = draw(st.permutations([column, f"'{form}'"]))
        value, second = (
            f"{one.year:04d}".join(one.strftime(form.replace("%Y", "@")).split("@")) for one in (day, other)
        )
        tail = draw(
            st.sampled_from([f"{op} '{value}'", f"IN ('{value}', '{second}')", f"BETWEEN '{value}' AND '{second}'"])
        )
        return f"strftime({', '.join(arguments)}) {tail}"
    if kind in (1, 2):
        text, second = texts(draw, day), texts(draw, other)
        return draw(
            st.sampled_from([
                f"{column}::VARCHAR LIKE '{text}%'", f"CAST({column} AS TEXT) LIKE '{text}_%-%'",
                f"{column}::VARCHAR NOT LIKE '{text}%'", f"{column}::VARCHAR {op} '{text}'",
                f"{column}::VARCHAR IN ('{text}', '{second}')", f"{column}::VARCHAR BETWEEN '{text}' AND '{second}'",
                f"starts_with({column}::VARCHAR, '{text}')", f"left({column}::VARCHAR, 7) = '{text}'",
                f"substr({column}::VARCHAR, 1, 4) IN ('{text}', '{second}')", f"{column}::VARCHAR ILIKE '{text}'",
            ])
        )  # fmt: skip
    if kind in (3, 4):
        added = draw(st.sampled_from([f"INTERVAL {abs(count)} {draw(SPAN_UNITS)}", f"INTERVAL '{count} days'", "30"]))
        shifted = f"{column} {draw(st.sampled_from(['+', '-']))} {added}"
        if added.startswith("I") and draw(st.booleans()):
            shifted = f"{added} + {column}"
        return draw(
            st.sampled_from(
                [f"{shifted} {op} {fixed}", f"{fixed} {op} {shifted}", f"{shifted} BETWEEN {fixed} AND '{other}'"]
            )
        )
    if kind in (5, 6):
        unit = draw(st.sampled_from(["day", "month", "quarter", "year", "hour", "minute", "second", "week"]))
        sides = draw(st.permutations([column, fixed]))
        subject = draw(st.sampled_from([f"date_diff('{unit}', {', '.join(sides)})", f"({sides[0]} - {sides[1]})"]))
        tail = draw(
            st.sampled_from([f"{op} {count}", f"IN ({count}, {-count}, 3)", f"BETWEEN {count} AND {count + 9}"])
        )
        return f"{subject} {tail}"
    if kind == 7:
        unit = draw(st.sampled_from(["year", "quarter", "month", "day", "week", "hour"]))
        return f"date_trunc('{unit}', {column}) IN (DATE '{day}', DATE '{other.replace(day=1)}')"
    if kind == 8:
        tail = draw(st.sampled_from([f"IN ({day.year}, {other.year})", f"{op} {day.year}"]))
        return f"{draw(st.sampled_from([f'year({column})', f'extract(year FROM {column})']))} {tail}"
    number = day.year * 100 + draw(st.integers(0, 13))
    return draw(
        st.sampled_from([
            f"year({column}) * 100 + month({column}) {op} {number}", f"last_day({column}) = '{day}'",
            f"{column}::DATE IN ('{day}', DATE '{other}')", f"{column}::DATE BETWEEN '{day}' AND '{other}'",
        ])
    )  # fmt: skip


@st.composite
def part_conditions(draw: st.DrawFn) -> str:
    year, month = draw(st.sampled_from(["y", "x.y", "1995"])), draw(st.sampled_from(["m", "x.m", "3"]))
    day = draw(st.sampled_from(["dd", "1", "28", "30"]))
    op, fixed = draw(OPERATORS), draw(NEAR)
    tail = draw(
        st.sampled_from(
            [f"{op} DATE '{fixed.replace(day=1)}'", f"{op} '{fixed}'", f"BETWEEN '{fixed}' AND '1996-03-01'"]
        )
    )
    return f"make_date({year}, {month}, {day}) {tail}"


@st.composite
def plain_conditions(draw: st.DrawFn) -> str:
    column, op, number = draw(INTEGERS), draw(OPERATORS), draw(st.integers(-9, 30))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        values = draw(st.lists(st.sampled_from([-200, -1, 0, 1, 2, 3, 300, 70_000]), min_size=8, max_size=12))
        return "(" + " OR ".join(f"{column} = {value}" for value in values) + ")"
    if kind == 1:
        values = draw(st.lists(st.sampled_from(["a", "b", "c", "", "it''s"]), min_size=8, max_size=10))
        return "(" + " OR ".join(f"'{value}' = s" for value in values) + ")"
    if kind == 2:
        otherwise = draw(st.sampled_from(["0", "NULL", "1", "2"]))
        return f"CASE WHEN {column} {op} {number} THEN 1 ELSE {otherwise} END = {draw(st.sampled_from(['1', 'TRUE']))}"
    if kind == 3:
        value = draw(st.sampled_from([str(number), "0", "-0", "007", "300", " 3", "99999999999999999999"]))
        tail = draw(st.sampled_from([f"{op} '{value}'", f"IN ('{value}', '3')", f"NOT IN ('{value}', '3')"]))
        return f"{column}::VARCHAR {tail}"
    if kind == 4:
        listed = ", ".join(str(value * 3 + number) for value in range(40))
        return f"{column} {draw(st.sampled_from(['IN', 'NOT IN']))} ({listed})"
    return f"{column} {op} {number}"


@st.composite
def statements(draw: st.DrawFn) -> str:
    one = st.one_of(day_conditions(), day_conditions(), plain_conditions())
    condition = draw(one)
    for _ in range(draw(st.integers(0, 2))):
        condition = f"{condition} {draw(st.sampled_from(['AND', 'OR']))} {draw(one)}"
    if draw(st.booleans()):
        condition = f"NOT ({condition})"
    shape = draw(
        st.sampled_from([
            "SELECT * FROM days AS x WHERE {c}",
            "SELECT d, a + 1, strftime(t, '%Y') FROM days x WHERE {c} ORDER BY 1, 2",
            "SELECT s, count(*), min(d), max(a) FROM (SELECT * FROM days AS x WHERE {c} ORDER BY t, a) GROUP BY s",
            "SELECT count(*) FROM (SELECT a FROM days AS x WHERE {c} ORDER BY a)",
            "SELECT DISTINCT s, a, count(*) FROM days x WHERE {c} GROUP BY a, s",
            "SELECT x.a, v.b FROM days AS x LEFT JOIN (SELECT DISTINCT b FROM days) AS v ON v.b = x.a AND {c}",
            "SELECT count(*) FROM days x JOIN (SELECT a AS key FROM days) v ON v.key = x.a WHERE {c}",
            "WITH w AS (SELECT a FROM days x WHERE {c}) SELECT count(*), sum(a) FROM w",
            "SELECT count(*) FROM days o WHERE o.a IN (SELECT a FROM days x WHERE {c})",
            "SELECT count(*) FROM days o WHERE EXISTS (SELECT 1 FROM days x WHERE x.a = o.b AND {c})",
            "SELECT a FROM days x WHERE {c} UNION ALL SELECT b FROM days x WHERE {c}",
            "SELECT (SELECT count(*) FROM days x WHERE {c}), a FROM days WHERE a = 3",
            "FROM days x SELECT x.* EXCLUDE (t) WHERE {c}",
        ])
    )  # fmt: skip
    return shape.replace("{c}", condition)


@st.composite
def statements_that_may_raise(draw: st.DrawFn) -> str:
    condition = draw(st.one_of(day_conditions(), part_conditions()))
    shape = draw(st.sampled_from(["{c}", "NOT ({c})", "a > 1 AND {c}", "a = 2 OR {c}"])).replace("{c}", condition)
    return f"SELECT * FROM far AS x WHERE {shape}"


@pytest.fixture(scope="module")
def plain() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute(TABLES)
    yield connection
    connection.close()


def outcome(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    try:
        result = connection.execute(sql)
        rows = [str(row) for row in result.fetchall()]
    except duckdb.Error as error:
        return type(error).__name__
    ordered = rows if sql.endswith("ORDER BY 1, 2") else sorted(rows)
    return [(c[0], str(c[1])) for c in result.description], ordered


def compare(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    def describe(relation: str) -> dict[str, str] | None:
        try:
            rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        except duckdb.Error:
            return None
        return {name: kind for name, kind, *_ in rows}

    asked = outcome(connection, sql)
    if asked == "BinderException":  # never optimised: planning binds first
        return
    done = optimise(sql, Context(describe=describe))
    assert done.fired or done.text == sql
    if done.fired:
        assert outcome(connection, done.text) == asked, done


CHECKS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@CHECKS
@given(sql=statements())
def test_optimised_is_plain(plain: duckdb.DuckDBPyConnection, sql: str) -> None:
    compare(plain, sql)


@CHECKS
@given(sql=statements_that_may_raise())
def test_optimised_raises_what_plain_raises(plain: duckdb.DuckDBPyConnection, sql: str) -> None:
    compare(plain, sql)


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="()'\"-/*;,.$?:ab1 \n", max_size=60), rule=st.sampled_from(RULES))
def test_any_text_comes_back(text: str, rule: Any) -> None:
    words = "SELECT strftime(d, '%Y') FROM t WHERE x LIKE 'a' OR a = 1 IN (1) GROUP BY CASE INTERVAL 1 DAY date_diff("
    broken = f"{words[: len(text)]}{text}{words[len(text) :]}"
    done = optimise(broken, Context(describe=lambda relation: {"d": "DATE"}))
    assert done.fired or done.text == broken
