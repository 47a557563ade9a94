"""SQL of other dialects: what passes gives the value that dialect documents, what could differ is refused by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from neurolake import errors
from neurolake.config import DIALECTS as SETTING
from neurolake.sql.dialects import DIALECTS, transpile

ALL = "snowflake bigquery postgres spark trino"
NO_BIGQUERY = "snowflake postgres spark trino"
DAY, LATER = dt.date(2020, 1, 31), dt.datetime(2020, 1, 31, 10, 20, 30)

# One row: n 7, z 0, m -2, x 2.5 (double), e 1.25 (decimal), t 'ab c', u NULL, d 2020-01-31, ts 10:20:30 that day.
ROW = """CREATE TABLE one AS SELECT 7 AS n, 0 AS z, -2 AS m, 2.5::DOUBLE AS x, 1.25::DECIMAL(5, 2) AS e, 'ab c' AS t,
         NULL::VARCHAR AS u, DATE '2020-01-31' AS d, TIMESTAMP '2020-01-31 10:20:30' AS ts, '12' AS digits,
         '12.7' AS half, 'a%b' AS pattern, -2.5::DOUBLE AS y"""
MANY = "CREATE TABLE many AS FROM (VALUES (1, 'a', 10), (2, 'b', NULL), (3, NULL, 30), (3, 'a', -5)) AS v(k, s, v)"

VALUES: list[tuple[str, str, Any]] = [
    # Division
    ("snowflake bigquery spark", "n / m", -3.5),
    ("postgres trino", "CAST(n AS INTEGER) / CAST(m AS INTEGER)", -3),
    ("postgres trino", "7 / 2", 3),
    ("postgres trino", "CAST(n AS DOUBLE PRECISION) / 2", 3.5),
    ("postgres", "100.0 * n / 8", 87.5),
    ("postgres trino", "length(t) / 3", 1),
    ("bigquery", "SAFE_DIVIDE(n, z)", None),
    ("bigquery", "SAFE_DIVIDE(n, m)", -3.5),
    ("bigquery", "DIV(n, m)", -3),
    (ALL, "MOD(n, 4)", 3),
    (ALL, "MOD(m, 4)", -2),
    # NULL
    (ALL, "t || u", None),
    ("snowflake bigquery spark trino", "CONCAT(t, u)", None),
    ("postgres", "CONCAT(t, u)", "ab c"),
    ("postgres spark trino", "CONCAT_WS('-', t, u, 'z')", "ab c-z"),
    ("snowflake bigquery trino", "GREATEST(n, CAST(NULL AS INTEGER))", None),
    ("postgres spark", "GREATEST(n, CAST(NULL AS INTEGER))", 7),
    ("snowflake bigquery trino", "LEAST(n, CAST(NULL AS INTEGER))", None),
    ("postgres spark", "LEAST(n, CAST(NULL AS INTEGER))", 7),
    (ALL, "COALESCE(u, t)", "ab c"),
    (ALL, "NULLIF(n, 7)", None),
    ("snowflake spark", "NVL(u, 'x')", "x"),
    ("snowflake spark", "NVL2(u, 1, 2)", 2),
    ("bigquery snowflake spark", "IFNULL(u, 'x')", "x"),
    ("snowflake", "IFF(u IS NULL, 1, 0)", 1),
    ("bigquery spark trino", "IF(n > 1, 'y', 'n')", "y"),
    ("snowflake", "DECODE(u, NULL, 'none', 'some')", "none"),
    ("snowflake", "ZEROIFNULL(CAST(NULL AS INTEGER))", 0),
    ("snowflake", "EQUAL_NULL(u, NULL)", True),
    ("spark", "u <=> NULL", True),
    ("postgres trino bigquery", "u IS NOT DISTINCT FROM NULL", True),
    (ALL, "CASE WHEN u IS NULL THEN 1 ELSE 2 END", 1),
    # Casts
    ("snowflake bigquery trino", "CAST(x AS INTEGER)", 3),
    ("snowflake bigquery trino", "CAST(y AS INTEGER)", -3),
    ("postgres", "CAST(x AS INTEGER)", 2),
    ("postgres", "CAST(x + 1 AS INTEGER)", 4),
    ("postgres", "CAST(2.5 AS INTEGER)", 3),
    ("spark", "CAST(x AS INT)", 2),
    ("spark", "CAST(y AS INT)", -2),
    ("spark", "CAST(CAST(1.75 AS DECIMAL(5, 2)) AS INT)", 1),
    ("snowflake bigquery postgres trino", "CAST(e + 0.25 AS INTEGER)", 2),
    (ALL, "CAST(digits AS INTEGER)", 12),
    ("snowflake", "CAST(half AS INTEGER)", 13),
    ("bigquery", "SAFE_CAST(half AS INT64)", None),
    ("bigquery", "SAFE_CAST(digits AS INT64)", 12),
    ("trino spark", "TRY_CAST(half AS INTEGER)", None),
    ("snowflake", "TRY_CAST(t AS INTEGER)", None),
    ("snowflake", "n::NUMBER", Decimal(7)),
    ("snowflake", "CAST(3000000000 AS INT)", 3000000000),
    ("snowflake", "n::FLOAT", 7.0),
    ("bigquery", "CAST('1.5' AS NUMERIC)", Decimal("1.500000000")),
    ("trino", "CAST(x AS DECIMAL)", Decimal(3)),
    ("spark", "CAST(n AS DECIMAL)", Decimal(7)),
    ("postgres", "x::NUMERIC(10, 2)", Decimal("2.50")),
    ("snowflake postgres spark trino", "CAST(1.005 AS DECIMAL(10, 2))", Decimal("1.01")),
    ("snowflake postgres", "n::VARCHAR", "7"),
    ("spark bigquery", "CAST(n AS STRING)", "7"),
    ("snowflake postgres trino", "CAST(e AS VARCHAR)", "1.25"),
    (NO_BIGQUERY, "CAST(d AS VARCHAR)", "2020-01-31"),
    ("postgres", "ts::TEXT", "2020-01-31 10:20:30"),
    (ALL, "CAST('2020-01-31' AS DATE)", DAY),
    (ALL, "CAST(ts AS DATE)", DAY),
    ("snowflake postgres trino", "TIMESTAMP '2020-01-31 10:20:30'", LATER),
    ("bigquery", "DATETIME '2020-01-31 10:20:30'", LATER),
    ("bigquery", "TIMESTAMP '2020-01-31 10:20:30' = TIMESTAMP '2020-01-31 12:20:30+02'", True),
    # Numbers
    ("bigquery", "0.1 + 0.2", 0.1 + 0.2),
    (NO_BIGQUERY, "0.1 + 0.2", Decimal("0.3")),
    ("snowflake bigquery spark trino", "ROUND(x)", 3.0),
    ("postgres", "ROUND(1.5)", Decimal(2)),
    (ALL, "ROUND(CAST(1.25 AS DECIMAL(5, 2)), 1)", Decimal("1.3")),
    (ALL, "ABS(m)", 2),
    (ALL, "SIGN(m)", -1),
    (ALL, "FLOOR(x)", 2.0),
    (ALL, "CEIL(x)", 3.0),
    (ALL, "POWER(n, 2)", 49.0),
    ("postgres", "n ^ 2", 49.0),
    (ALL, "SQRT(n + 2)", 3.0),
    (ALL, "LN(n - 6)", 0.0),
    ("spark", "LN(z)", None),
    # Text
    (ALL, "UPPER(t)", "AB C"),
    (ALL, "LOWER('Ab')", "ab"),
    (ALL, "LENGTH(t)", 4),
    (ALL, "REVERSE(t)", "c ba"),
    (ALL, "REPLACE(t, 'b', 'xx')", "axx c"),
    (ALL, "REPEAT(t, 2)", "ab cab c"),
    (ALL, "SUBSTR(t, 2, 2)", "b "),
    ("postgres spark", "SUBSTRING(t FROM 2 FOR 1)", "b"),
    ("snowflake bigquery postgres spark", "LEFT(t, 2)", "ab"),
    ("snowflake bigquery postgres spark", "RIGHT(t, 1)", "c"),
    ("snowflake postgres spark", "TRIM('  a ')", "a"),
    ("bigquery", "TRIM('xxay', 'xy')", "a"),
    ("postgres trino", "POSITION('b' IN t)", 2),
    ("bigquery postgres trino", "STRPOS(t, 'b')", 2),
    ("spark bigquery", "INSTR(t, 'b')", 2),
    ("snowflake", "CHARINDEX('b', t)", 2),
    ("bigquery trino postgres", "STARTS_WITH(t, 'ab')", True),
    ("snowflake spark", "STARTSWITH(t, 'ab')", True),
    ("snowflake spark", "CONTAINS(t, 'b ')", True),
    ("bigquery", "ENDS_WITH(t, 'c')", True),
    ("postgres snowflake", "SPLIT_PART(t, ' ', 2)", "c"),
    ("bigquery", "REGEXP_CONTAINS(t, r'^a.*c$')", True),
    ("bigquery spark", "'a\\nb'", "a\nb"),
    ("postgres trino", "'a\\nb'", "a\\nb"),
    ("bigquery spark", '"text"', "text"),
    # LIKE
    ("postgres", "pattern LIKE 'a\\%b'", True),
    ("postgres", "'axb' LIKE 'a\\%b'", False),
    ("bigquery", "'axb' LIKE 'a\\\\%b'", False),
    ("bigquery", "pattern LIKE 'a\\\\%b'", True),
    ("spark", "pattern LIKE 'a\\%b'", True),
    ("trino", "pattern LIKE 'a\\%b'", False),
    ("snowflake", "pattern LIKE 'a^%b' ESCAPE '^'", True),
    ("trino", "pattern LIKE 'a$%b' ESCAPE '$'", True),
    ("snowflake postgres spark", "t ILIKE 'AB%'", True),
    (ALL, "t LIKE 'a_ c'", True),
    # Days and times
    (ALL, "EXTRACT(YEAR FROM d)", 2020),
    (ALL, "EXTRACT(MINUTE FROM ts)", 20),
    ("snowflake spark trino", "YEAR(d) * 100 + MONTH(d)", 202001),
    ("snowflake spark trino", "DAY(d)", 31),
    ("snowflake", "DATEADD(month, 1, d::DATE)", dt.date(2020, 2, 29)),
    ("snowflake", "DATEADD(hour, 1, ts::TIMESTAMP)", dt.datetime(2020, 1, 31, 11, 20, 30)),
    ("snowflake", "DATEADD(day, -1, d) < d", True),
    ("bigquery", "DATE_ADD(d, INTERVAL 1 MONTH)", dt.date(2020, 2, 29)),
    ("bigquery", "DATE_SUB(d, INTERVAL 31 DAY)", dt.date(2019, 12, 31)),
    ("bigquery", "DATETIME_ADD(CAST(ts AS DATETIME), INTERVAL 1 HOUR)", dt.datetime(2020, 1, 31, 11, 20, 30)),
    ("spark", "DATE_ADD(d, 1)", dt.date(2020, 2, 1)),
    ("spark", "DATE_SUB(d, 31)", dt.date(2019, 12, 31)),
    ("trino", "DATE_ADD('day', 1, CAST(d AS DATE))", dt.date(2020, 2, 1)),
    ("trino spark snowflake", "CAST(d AS DATE) + INTERVAL '1' MONTH", dt.date(2020, 2, 29)),
    ("postgres", "d + INTERVAL '1 month'", dt.datetime(2020, 2, 29)),
    ("bigquery", "d + INTERVAL 1 DAY", dt.datetime(2020, 2, 1)),
    ("postgres snowflake spark", "d + 1", dt.date(2020, 2, 1)),
    ("postgres snowflake", "d - DATE '2020-01-01'", 30),
    ("snowflake", "DATEDIFF(month, DATE '2019-12-31', d)", 1),
    ("snowflake", "DATEDIFF(hour, TIMESTAMP '2020-01-31 09:59:59', ts)", 1),
    ("bigquery", "DATE_DIFF(d, DATE '2020-01-01', DAY)", 30),
    ("bigquery", "DATE_DIFF(d, DATE '2019-12-31', MONTH)", 1),
    ("spark", "DATEDIFF(d, DATE '2020-01-01')", 30),
    ("trino", "DATE_DIFF('day', DATE '2020-01-01', CAST(d AS DATE))", 30),
    ("snowflake trino", "DATE_TRUNC('month', CAST(d AS DATE))", dt.date(2020, 1, 1)),
    ("bigquery", "DATE_TRUNC(d, QUARTER)", dt.date(2020, 1, 1)),
    ("postgres spark", "DATE_TRUNC('hour', ts)", dt.datetime(2020, 1, 31, 10)),
    ("bigquery", "FORMAT_DATE('%Y-%m', d)", "2020-01"),
    ("spark", "DATE_FORMAT(d, 'yyyy-MM')", "2020-01"),
    ("trino", "DATE_FORMAT(ts, '%Y/%m/%d')", "2020/01/31"),
    ("postgres", "TO_CHAR(ts, 'YYYY-MM-DD')", "2020-01-31"),
    # Over many rows
    (ALL, "(SELECT COUNT(*) FROM many)", 4),
    (ALL, "(SELECT COUNT(DISTINCT s) FROM many)", 2),
    (ALL, "(SELECT SUM(v) FROM many)", 35),
    (ALL, "(SELECT MIN(v) + MAX(v) FROM many)", 25),
    (ALL, "(SELECT AVG(k) FROM many)", 2.25),
    (ALL, "(SELECT STDDEV(k) FROM many WHERE k <> 2)", pytest.approx(1.1547005383792515)),
    (ALL, "(SELECT VARIANCE(k) FROM many WHERE k <> 2)", pytest.approx(4 / 3)),
    ("snowflake spark trino", "(SELECT COUNT_IF(v > 0) FROM many)", 2),
    ("bigquery", "(SELECT COUNTIF(v > 0) FROM many)", 2),
    ("postgres trino", "(SELECT BOOL_AND(v > 0) FROM many)", False),
    ("bigquery", "(SELECT LOGICAL_OR(v > 0) FROM many)", True),
    ("postgres", "(SELECT STRING_AGG(s, '-' ORDER BY k DESC) FROM many WHERE v IS NOT NULL)", "a-a"),
    ("bigquery", "(SELECT STRING_AGG(s ORDER BY k) FROM many)", "a,b,a"),
    ("postgres trino", "(SELECT ARRAY_AGG(s ORDER BY k, v) FROM many WHERE k > 1)", ["b", "a", None]),
    ("postgres spark trino", "(SELECT COUNT(*) FILTER (WHERE s = 'a') FROM many)", 2),
    ("snowflake postgres", "(SELECT v FROM many ORDER BY v DESC LIMIT 1)", None),
    ("bigquery spark", "(SELECT v FROM many ORDER BY v LIMIT 1)", None),
    ("bigquery spark trino", "(SELECT v FROM many ORDER BY v DESC LIMIT 1)", 30),
    ("snowflake postgres trino", "(SELECT v FROM many ORDER BY v LIMIT 1)", -5),
    (ALL, "(SELECT MAX(r) FROM (SELECT RANK() OVER (PARTITION BY s ORDER BY k) AS r FROM many) AS q)", 2),
    (ALL, "(SELECT SUM(l) FROM (SELECT LAG(k) OVER (ORDER BY k, s) AS l FROM many) AS q)", 6),
    ("snowflake", "(SELECT MIN(l) FROM (SELECT LAST_VALUE(k) OVER (ORDER BY k) AS l FROM many) AS q)", 3),
    ("postgres trino", "(SELECT MIN(l) FROM (SELECT LAST_VALUE(k) OVER (ORDER BY k) AS l FROM many) AS q)", 1),
    ("snowflake bigquery", "(SELECT k FROM many WHERE k < 3 QUALIFY ROW_NUMBER() OVER (ORDER BY k DESC) = 1)", 2),
    ("bigquery", "(SELECT COUNT(*) FROM (SELECT * EXCEPT (v) FROM many))", 4),
    (ALL, "(SELECT COUNT(*) FROM many WHERE k NOT IN (1, NULL))", 0),
    (ALL, "(SELECT COUNT(*) FROM (SELECT s FROM many UNION SELECT 'z') AS q)".replace("UNION", "UNION ALL"), 5),
    ("postgres trino snowflake spark", "(SELECT COUNT(*) FROM (SELECT s FROM many EXCEPT SELECT 'a') AS q)", 2),
    ("snowflake", "(SELECT COUNT(*) FROM (SELECT s FROM many MINUS SELECT 'a') AS q)", 2),
    ("postgres trino spark", "(WITH w AS (SELECT k FROM many) SELECT SUM(k) FROM w)", 9),
    ("snowflake trino", "(SELECT COUNT(*) FROM many WHERE k <> ALL (SELECT 1))", 3),
    ("snowflake", "(SELECT COUNT(*) FROM many WHERE k NOT IN (SELECT 1))", 3),
    ("postgres", "(SELECT COUNT(*) FROM many WHERE k = ANY (SELECT 1))", 1),
    ("postgres snowflake", "EXISTS (SELECT 1 FROM many WHERE k = 9)", False),
    ("postgres", "(SELECT COUNT(*) FROM (SELECT DISTINCT ON (k) k FROM many ORDER BY k) AS q)", 3),
]

REFUSED: list[tuple[str, str, str]] = [
    ("postgres trino", "SELECT n / m FROM one", "/"),
    ("trino", "SELECT 1.0 / n FROM one", "/"),
    ("snowflake", "SELECT f.value FROM one, LATERAL FLATTEN(input => t) f", "LATERAL"),
    ("snowflake", "SELECT t:a FROM one", "JSON"),
    ("bigquery", "SELECT x[OFFSET(0)] FROM one", "subscript"),
    ("postgres trino", "SELECT (ARRAY[1, 2])[1]", "subscript"),
    ("spark", "SELECT EXPLODE(t) FROM one", "EXPLODE"),
    ("trino", "SELECT * FROM UNNEST(ARRAY[1])", "UNNEST"),
    ("trino", "SELECT REGEXP_LIKE(t, 'a') FROM one", "REGEXP_LIKE"),
    ("postgres", "SELECT t ~ 'a' FROM one", "REGEXP"),
    ("spark", "SELECT t RLIKE 'a' FROM one", "REGEXP"),
    ("trino", "SELECT DATE_DIFF('month', d, ts) FROM one", "DATE_DIFF"),
    ("bigquery", "SELECT TIMESTAMP_DIFF(ts, ts, HOUR) FROM one", "TIMESTAMP_DIFF"),
    ("bigquery", "SELECT DATE_DIFF(d, d, WEEK) FROM one", "WEEK"),
    ("bigquery", "SELECT DATE_TRUNC(d, WEEK) FROM one", "WEEK"),
    ("snowflake trino", "SELECT DATE_TRUNC('month', d) FROM one", "DATE_TRUNC"),
    ("snowflake", "SELECT DATEADD(day, 1, d) FROM one", "DATEADD"),
    ("bigquery spark", "SELECT EXTRACT(DAYOFWEEK FROM d) FROM one", "DAYOFWEEK"),
    ("postgres", "SELECT EXTRACT(SECOND FROM ts) FROM one", "SECOND"),
    ("postgres", "SELECT ROUND(x) FROM one", "ROUND"),
    ("postgres", "SELECT AGE(ts) FROM one", "AGE"),
    ("postgres", "SELECT n::NUMERIC FROM one", "NUMERIC"),
    ("postgres trino", "SELECT CAST(t AS VARCHAR(3)) FROM one", "LEFT"),
    ("trino", "SELECT CAST(t AS TIMESTAMP) FROM one", "TIMESTAMP(6)"),
    ("bigquery", "SELECT CAST(t AS TIMESTAMP) FROM one", "zone"),
    (NO_BIGQUERY, "SELECT CAST(t AS BOOLEAN) FROM one", "BOOLEAN"),
    ("bigquery", "SELECT CAST(t AS BOOL) FROM one", "BOOL"),
    ("bigquery trino", "SELECT TRIM(t) FROM one", "TRIM"),
    (ALL, "SELECT SUBSTR(t, 0, 2) FROM one", "SUBSTR"),
    (ALL, "SELECT SUBSTR(t, n) FROM one", "SUBSTR"),
    ("spark", "SELECT DATE_FORMAT(d, 'EEEE') FROM one", "format"),
    ("snowflake", "SELECT LISTAGG(s, ',') FROM many", "LISTAGG"),
    ("spark", "SELECT COLLECT_LIST(s) FROM many", "COLLECT_LIST"),
    ("trino", "SELECT MAX_BY(s, v) FROM many", "MAX_BY"),
    ("trino", "SELECT SPLIT_PART(t, ' ', 9) FROM one", "SPLIT_PART"),
    ("snowflake spark", "SELECT COUNT(DISTINCT k, s) FROM many", "COUNT"),
    ("snowflake", "SELECT SOME_FUNCTION_OF_THEIRS(k) FROM many", "SOME_FUNCTION_OF_THEIRS"),
    ("snowflake", "SELECT * FROM many SAMPLE (10)", "SAMPLE"),
    ("snowflake", "SELECT * FROM TABLE(GENERATOR(ROWCOUNT => 3))", "FROM"),
    ("snowflake", "MERGE INTO many USING one ON k = n WHEN MATCHED THEN DELETE", "MERGE"),
    ("snowflake", "ALTER TABLE many ADD COLUMN x INT", "ALTER"),
    ("spark", "INSERT OVERWRITE many SELECT * FROM many", "INSERT"),
    ("spark", "CREATE TABLE x (a ARRAY<INT>)", "ARRAY"),
    ("postgres", "SELECT k FROM many WHERE k = ANY (ARRAY[1])", "ANY"),
    ("snowflake", "SELECT $1 FROM many", "parameter"),
]


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute(ROW)
    connection.execute(MANY)
    yield connection
    connection.close()


def spread(table: list[tuple[str, str, Any]]) -> list[Any]:
    return [
        pytest.param(dialect, sql, third, id=f"{dialect}-{sql}")
        for dialects, sql, third in table
        for dialect in dialects.split()
    ]


def test_every_dialect_of_the_setting_is_read() -> None:
    assert set(SETTING) == {*DIALECTS, "duckdb"}


@pytest.mark.parametrize(("dialect", "expression", "value"), spread(VALUES))
def test_value(database: duckdb.DuckDBPyConnection, dialect: str, expression: str, value: Any) -> None:
    text = transpile(f"SELECT {expression} AS v FROM one", dialect)
    assert database.execute(text).fetchall() == [(value,)]


@pytest.mark.parametrize(("dialect", "sql", "named"), spread(REFUSED))
def test_refused_by_name(dialect: str, sql: str, named: str) -> None:
    with pytest.raises(errors.NotSupported) as caught:
        transpile(f"-- a line before\n{sql}", dialect)
    assert caught.value.code == "dialect_unsupported"
    assert named.casefold() in caught.value.message.casefold()
    assert "line 2" in caught.value.message


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("expression", ["n / z", "SQRT(m)", "CAST(t AS INTEGER)", "MOD(n, z)", "CAST(x AS VARCHAR)"])
def test_what_stops_there_stops_here(database: duckdb.DuckDBPyConnection, dialect: str, expression: str) -> None:
    if expression.startswith("SQRT") and dialect in ("spark", "trino"):
        expression = "CAST(half AS INTEGER)"
    if dialect in ("postgres", "trino"):
        expression = expression.replace("n / z", "CAST(n AS INTEGER) / CAST(z AS INTEGER)")
    expression = expression.replace("VARCHAR", "STRING") if dialect in ("bigquery", "spark") else expression
    with pytest.raises(duckdb.Error):
        database.execute(transpile(f"SELECT {expression} FROM one", dialect)).fetchall()


@pytest.mark.parametrize(
    ("sql", "place", "caret"),
    [
        ("SELECT a\nFROM t WHERE (a = 1", "line 2, column 19", "FROM t WHERE (a = 1\n                  ^"),
        ("SELEC a FROM t", "line 1, column 9", "SELEC a FROM t\n        ^"),
        ("SELECT 'abc\nFROM x", "line 1, column 8", "SELECT 'abc\n       ^"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_syntax_error_shows_the_place(dialect: str, sql: str, place: str, caret: str) -> None:
    with pytest.raises(errors.SyntaxProblem) as caught:
        transpile(sql, dialect)
    assert place in caught.value.message
    assert caret in caught.value.message


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "own", ["CALL neurolake.scan_pii()", "SET dialect = 'duckdb'", "BEGIN", " -- x\nROLLBACK", "SHOW TABLES"]
)
def test_the_engines_own_statements_pass(dialect: str, own: str) -> None:
    assert transpile(own, dialect) == own


def test_explain_keeps_its_word_and_translates_the_rest() -> None:
    assert transpile("EXPLAIN ANALYZE SELECT NVL(a, 1) FROM t", "snowflake") == (
        "EXPLAIN ANALYZE SELECT COALESCE(a, 1) FROM t"
    )


@pytest.mark.parametrize(
    ("dialect", "sql", "translated"),
    [
        ("postgres", "SELECT $1", "SELECT $1"),
        ("bigquery", "SELECT @name, ?", "SELECT $name, $1"),
        ("spark", "SELECT :name, ?", "SELECT $name, $1"),
        ("trino", "SELECT ?; SELECT 2;", "SELECT $1; SELECT 2"),
        ("bigquery", "SELECT a FROM `lake.main.orders`", 'SELECT a FROM "lake"."main"."orders"'),
        ("snowflake", "SELECT * FROM neurolake.search('x')", "SELECT * FROM neurolake.search('x')"),
        ("spark", "SELECT /*+ BROADCAST(t) */ a FROM t", "SELECT a FROM t"),
        ("snowflake", "CREATE TABLE t (a INT, b VARCHAR(9))", "CREATE TABLE t (a BIGINT, b TEXT)"),
        ("snowflake", "CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE t AS SELECT 1 AS a"),
        ("postgres", "INSERT INTO t (a) VALUES (1)", "INSERT INTO t (a) VALUES (1)"),
        ("trino", "DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a = 1"),
        ("postgres", "UPDATE t SET a = 1 WHERE b > 2", "UPDATE t SET a = 1 WHERE b > 2"),
        ("snowflake", "DROP TABLE IF EXISTS t", "DROP TABLE IF EXISTS t"),
    ],
)
def test_translation(dialect: str, sql: str, translated: str) -> None:
    assert transpile(sql, dialect) == translated


def test_unknown_dialect() -> None:
    with pytest.raises(errors.InvalidRequest, match="no dialect"):
        transpile("SELECT 1", "klingon")


def test_text_in_a_statement_is_never_shown_beyond_its_line() -> None:
    with pytest.raises(errors.SyntaxProblem) as caught:
        transpile("SELECT '" + "x" * 500 + "' FROM FROM FROM (", "trino")
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("dialect", "text", "values", "expected"),
    [
        ("spark", "SELECT locate(?, ?)", ["l", "hello"], 3),
        ("snowflake", "SELECT charindex(?, ?)", ["l", "hello"], 3),
        ("postgres", "SELECT position(? in ?)", ["l", "hello"], 3),
        ("snowflake", "SELECT count(*) FROM (VALUES (1), (2), (3)) AS t(n) WHERE n > ? AND n < ?", [1, 3], 1),
    ],
)
def test_parameters_keep_their_order_however_they_move(
    dialect: str, text: str, values: list[object], expected: object
) -> None:
    assert duckdb.execute(transpile(text, dialect), values).fetchall() == [(expected,)]
