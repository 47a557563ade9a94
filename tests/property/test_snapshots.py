"""Any table of any type of the engine comes back from a snapshot, value for value, and any tool reads its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import neurolake
from neurolake.backup.encodings import decode, encode, encoded_type
from neurolake.sql.text import quote
from neurolake.sql.types import parse_type

EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Of each type, SQL of values; the edges among them.
LEAVES: dict[str, list[str]] = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127"],
    "SMALLINT": ["-32768", "32767"],
    "INTEGER": ["-2147483648", "2147483647"],
    "UTINYINT": ["0", "255"],
    "USMALLINT": ["0", "65535"],
    "UINTEGER": ["0", "4294967295"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "UBIGINT": ["0", "18446744073709551615"],
    "HUGEINT": ["'-170141183460469231731687303715884105728'", "'170141183460469231731687303715884105727'", "0"],
    "UHUGEINT": ["'340282366920938463463374607431768211455'", "0"],
    "BIGNUM": ["'-123456789012345678901234567890123456789012345678901234567890'", "'0'"],
    "FLOAT": ["'nan'", "'-inf'", "'-0.0'", "0.1"],
    "DOUBLE": ["'nan'", "'inf'", "'-0.0'", "'0.0'", "2.2250738585072014e-308"],
    "DECIMAL(4,1)": ["-999.9", "0"],
    "DECIMAL(9,2)": ["-1234567.89", "0.01"],
    "DECIMAL(18,3)": ["123456789012345.678", "-1"],
    "DECIMAL(38,38)": ["'0.12345678901234567890123456789012345678'"],
    "VARCHAR": ["''", "'a''\"b'", "'a' || chr(0) || 'b'", "'NULL'", "'[1, 2]'", "'é𝄞'"],
    "BLOB": ["'\\xAA\\x00'::BLOB", "''::BLOB"],
    "BIT": ["'010101'", "'1'"],
    "DATE": ["'infinity'", "'-infinity'", "'5877642-06-25 (BC)'", "'2026-11-23'"],
    "TIME": ["'24:00:00'", "'00:00:00.000001'"],
    "TIME_NS": ["'12:34:56.123456789'"],
    "TIME WITH TIME ZONE": ["'12:00:00.123456+05:30:15'", "'24:00:00-15:59:59'"],
    "TIMESTAMP": ["'infinity'", "'290309-12-22 (BC) 00:00:00'", "'2026-11-23 01:02:03.000004'"],
    "TIMESTAMP_S": ["'-infinity'", "'2026-11-23 01:02:03'"],
    "TIMESTAMP_MS": ["'infinity'", "'2026-11-23 01:02:03.004'"],
    "TIMESTAMP_NS": ["'1677-09-22 00:00:00.000000001'", "'infinity'"],
    "TIMESTAMP WITH TIME ZONE": ["'infinity'", "'2026-11-23 01:02:03+00'"],
    "TIMESTAMPTZ_NS": ["'2026-11-23 01:02:03.123456789+00'"],
    "INTERVAL": ["'1 year 2 months -3 days 00:00:01.000001'", "to_microseconds(-9223372036854775807)",
                 "to_months(-2147483647)", "to_days(30)", "to_months(1)"],
    "UUID": ["'12121212-1212-1212-1212-121212121212'"],
    "JSON": ["'{\"a\": 1}'", "'\"abc\"'", "'null'"],
    "ENUM('x', 'it''s', '\"')": ["'x'", "'it''s'", "'\"'"],
    "GEOMETRY": ["'POINT(1.1 2.3)'", "'LINESTRING(0 0, 1 1)'"],
}  # fmt: skip
BESIDES = {"ARRAY", "LIST", "MAP", "STRUCT", "TUPLE", "UNION", "NULL", "TYPE", "VARIANT"}
"""Types of the engine that are no leaves: nested ones, which `typed` draws, and what is refused or holds nothing."""
NO_KEYS = {"GEOMETRY", "JSON"}
NAMES = st.sampled_from(["a", "B c", "a.b", 'q"t', "tag", "value", "é", "order", "element1"])


Table = tuple[list[tuple[str, str]], list[list[str]]]
"""Columns (name, type) and rows of SQL values."""


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> tuple[str, st.SearchStrategy[str]]:
    """A type, and SQL of its values."""
    shape = draw(st.sampled_from(["leaf"] * 4 + ["list", "array", "struct", "map", "union", "tuple"] * (depth > 0)))
    if shape == "leaf":
        kind = draw(st.sampled_from(sorted(LEAVES)))
        return kind, st.sampled_from(LEAVES[kind]).map(lambda sql: f"CAST({sql} AS {kind})")
    inner, values = draw(typed(depth - 1))
    some = st.none().map(lambda _: f"CAST(NULL AS {inner})") | values
    if shape == "list":
        kind = f"{inner}[]"
        return kind, st.lists(some, max_size=3).map(lambda parts: f"CAST([{', '.join(parts)}] AS {kind})")
    if shape == "array":
        kind = f"{inner}[2]"
        return kind, st.tuples(some, some).map(lambda parts: f"CAST([{', '.join(parts)}] AS {kind})")
    if shape == "map":
        key = draw(st.sampled_from(sorted(LEAVES.keys() - NO_KEYS)))
        kind = f"MAP({key}, {inner})"
        keys = [f"({one})::{key}" for one in LEAVES[key]]
        return kind, st.lists(some, max_size=len(keys)).map(
            lambda parts: f"CAST(MAP([{', '.join(keys[: len(parts)])}]::{key}[], [{', '.join(parts)}]) AS {kind})"
        )
    other, others = draw(typed(depth - 1))
    more = st.none().map(lambda _: f"CAST(NULL AS {other})") | others
    if shape == "tuple":
        kind = f"TUPLE({inner}, {other})"
        return kind, st.tuples(some, more).map(lambda parts: f"CAST(row({', '.join(parts)}) AS {kind})")
    first, second = draw(st.lists(NAMES, min_size=2, max_size=2, unique_by=str.casefold))
    if shape == "union":
        kind = f"UNION({quote(first)} {inner}, {quote(second)} {other})"
        return kind, st.one_of(
            some.map(lambda sql: f"CAST(union_value({quote(first)} := {sql}) AS {kind})"),
            more.map(lambda sql: f"CAST(union_value({quote(second)} := {sql}) AS {kind})"),
        )
    kind = f"STRUCT({quote(first)} {inner}, {quote(second)} {other})"
    packed = st.tuples(some, more).map(lambda p: f"struct_pack({quote(first)} := {p[0]}, {quote(second)} := {p[1]})")
    return kind, packed.map(lambda sql: f"CAST({sql} AS {kind})")


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Columns (name, type) and rows of SQL values."""
    columns = [draw(typed()) for _ in range(draw(st.integers(1, 3)))]
    named = [(f"{draw(NAMES)} {place}", kind) for place, (kind, _) in enumerate(columns)]
    rows = [
        [draw(st.none().map(lambda _: "NULL") | values) for _, values in columns]
        for _ in range(draw(st.integers(0, 4)))
    ]
    return named, rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[neurolake.Lake]:
    with neurolake.connect(tmp_path_factory.mktemp("snapshots") / "lake") as opened:
        yield opened


def make(lake: neurolake.Lake, table: str, columns: list[tuple[str, str]], rows: list[list[str]]) -> None:
    listed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns)
    lake.sql(f"CREATE OR REPLACE TABLE {table} (row_id INTEGER, {listed})").close()
    for number, row in enumerate(rows):
        lake.sql(f"INSERT INTO {table} VALUES ({number}, {', '.join(row)})").close()


def as_text(lake: neurolake.Lake, table: str) -> list[tuple[object, ...]]:
    """Rows as text, in which also values differ that the engine takes for equal, with the members of unions."""
    return lake.sql(f"SELECT CAST(x AS VARCHAR), to_json(x) FROM {table} x ORDER BY row_id").fetchall()


def check_round_trip(lake: neurolake.Lake, *given: Table) -> None:
    names = [f"t{number}" for number in range(len(given))]
    for name, (columns, rows) in zip(names, given, strict=True):
        make(lake, name, columns, rows)
    before = [as_text(lake, name) for name in names]
    (made,) = lake.call("create_snapshot", tables=names).to_pylist()
    lake.call("restore_snapshot", made["snapshot_id"], destination="schema:back", overwrite=True)
    assert [as_text(lake, f"back.{name}") for name in names] == before
    for name in names:
        assert lake.sql(f"DESCRIBE back.{name}").fetchall() == lake.sql(f"DESCRIBE {name}").fetchall()
    found = lake.call("verify_snapshot", made["snapshot_id"], full=True).to_pylist()
    assert {row["problem"] for row in found} == {None}
    check_readable(Path(made["repository"]), made["snapshot_id"])


def check_readable(repository: Path, snapshot: str) -> None:
    """pyarrow, polars and DuckDB without us read every file, and see the same columns, rows and NULLs."""
    manifest = json.loads((repository / "snapshots" / f"{snapshot}.json").read_text())
    for table in manifest["tables"]:
        columns = [column["name"] for column in table["columns"]]
        for part in table["parts"]:
            path = repository / "data" / part["file"][:2] / f"{part['file']}.parquet"
            nulls = [count for count, _ in part["columns"]]
            arrow = parquet.read_table(path)
            assert (arrow.num_rows, arrow.column_names) == (part["rows"], columns)
            assert [column.null_count for column in arrow.columns] == nulls
            frame = polars.read_parquet(path)
            assert (frame.height, frame.columns) == (part["rows"], columns)
            for name, count in zip(columns, nulls, strict=True):
                # polars knows no 24:00:00, and reads it as NULL
                assert frame[name].dtype == polars.Time or frame[name].null_count() == count
            with duckdb.connect() as plain:
                counted = ", ".join(f"count(*) - count({quote(name)})" for name in columns)
                (found,) = plain.sql(f"SELECT {counted}, count(*) FROM read_parquet('{path}')").fetchall()
                assert list(found) == [*nulls, part["rows"]]
                plain.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table()


@EXAMPLES
@given(tables(), tables())
def test_every_value_comes_back(lake: neurolake.Lake, one: Table, other: Table) -> None:
    check_round_trip(lake, one, other)


@pytest.mark.slow
@settings(EXAMPLES, max_examples=100)
@given(tables())
def test_every_value_comes_back_of_many_more(lake: neurolake.Lake, table: Table) -> None:
    check_round_trip(lake, table)


def test_every_type_of_the_engine_is_among_them(lake: neurolake.Lake) -> None:
    """A type that a new engine brings is to be kept, or to be refused by name as VARIANT is."""
    with duckdb.connect() as plain:
        known = {name for (name,) in plain.sql("SELECT DISTINCT logical_type FROM duckdb_types()").fetchall()}
    assert known - {kind.partition("(")[0] for kind in LEAVES} == BESIDES
    columns = [(f"c{place}", kind) for place, kind in enumerate(LEAVES)]
    most = max(map(len, LEAVES.values()))
    rows = [[f"CAST({LEAVES[kind][row % len(LEAVES[kind])]} AS {kind})" for kind in LEAVES] for row in range(most)]
    check_round_trip(lake, (columns, [*rows, ["NULL"] * len(LEAVES)]))


@EXAMPLES
@given(typed(3))
def test_what_is_written_is_what_the_manifest_says(
    lake: neurolake.Lake, drawn: tuple[str, st.SearchStrategy[str]]
) -> None:
    kind, _ = drawn
    parsed = parse_type(kind)
    sql = f"SELECT {encode('x', parsed)} AS e FROM (SELECT CAST(NULL AS {kind}) AS x)"
    (described,) = lake.sql(f"DESCRIBE {sql}").fetchall()
    (written,) = lake.sql(f"DESCRIBE SELECT CAST(NULL AS {encoded_type(parsed)}) AS e").fetchall()
    assert described[1] == written[1]
    (back,) = lake.sql(f"DESCRIBE SELECT {decode('e', parsed)} AS x FROM ({sql})").fetchall()
    (own,) = lake.sql(f"DESCRIBE SELECT CAST(NULL AS {kind}) AS x").fetchall()
    assert back[1] == own[1]
