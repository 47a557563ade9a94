"""Any table of any type of the engine comes back from a snapshot, value for value, and any tool reads its files."""

from __future__ import annotations

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
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "UBIGINT": ["0", "18446744073709551615"],
    "HUGEINT": ["'-170141183460469231731687303715884105728'", "'170141183460469231731687303715884105727'", "0"],
    "UHUGEINT": ["'340282366920938463463374607431768211455'", "0"],
    "BIGNUM": ["'-123456789012345678901234567890123456789012345678901234567890'", "'0'"],
    "FLOAT": ["'nan'", "'-inf'", "'-0.0'", "0.1"],
    "DOUBLE": ["'nan'", "'inf'", "'-0.0'", "'0.0'", "2.2250738585072014e-308"],
    "DECIMAL(4,1)": ["-999.9", "0"],
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
NAMES = st.sampled_from(["a", "B c", 'q"t', "tag", "value", "é", "order", "element1"])


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
        kind = f"MAP(VARCHAR, {inner})"
        return kind, st.lists(some, max_size=2).map(
            lambda parts: f"CAST(MAP({[f'k{n}' for n in range(len(parts))]}, [{', '.join(parts)}]) AS {kind})"
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
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[list[str]]]:
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


def make(lake: neurolake.Lake, columns: list[tuple[str, str]], rows: list[list[str]]) -> None:
    listed = ", ".join(f"{quote(name)} {kind}" for name, kind in columns)
    lake.sql(f"CREATE OR REPLACE TABLE t (row_id INTEGER, {listed})").close()
    for number, row in enumerate(rows):
        lake.sql(f"INSERT INTO t VALUES ({number}, {', '.join(row)})").close()


def as_text(lake: neurolake.Lake, table: str) -> list[tuple[object, ...]]:
    """Rows as text, in which also values differ that the engine takes for equal, with the members of unions."""
    return lake.sql(f"SELECT CAST(x AS VARCHAR), to_json(x) FROM {table} x ORDER BY row_id").fetchall()


@EXAMPLES
@given(tables())
def test_every_value_comes_back(lake: neurolake.Lake, table: tuple[list[tuple[str, str]], list[list[str]]]) -> None:
    make(lake, *table)
    before = as_text(lake, "t")
    (made,) = lake.call("create_snapshot", tables=["t"]).to_pylist()
    lake.call("restore_snapshot", made["snapshot_id"], destination="schema:back", overwrite=True)
    assert as_text(lake, "back.t") == before
    assert lake.sql("DESCRIBE back.t").fetchall() == lake.sql("DESCRIBE t").fetchall()
    found = lake.call("verify_snapshot", made["snapshot_id"], full=True).to_pylist()
    assert {row["problem"] for row in found} == {None}
    check_readable(Path(made["repository"]), len(table[1]))


@EXAMPLES
@given(tables())
def test_every_value_that_a_role_sees_comes_back(
    lake: neurolake.Lake, table: tuple[list[tuple[str, str]], list[list[str]]]
) -> None:
    if "reader" not in lake.sql("SELECT role FROM neurolake.roles").arrow()["role"].to_pylist():
        lake.call("create_role", "reader")
        lake.call("grant", "read", "lake", "reader")
    make(lake, *table)
    lake.call("set_pii", "t", None, "confirmed")
    snapshot = lake.backups.create(["t"], as_role="reader")
    lake.backups.restore(snapshot, to="schema:seen", overwrite=True)
    assert as_text(lake, "seen.t") == as_text(lake, "t")
    assert {row["problem"] for row in lake.backups.verify(snapshot, full=True)} == {None}


def check_readable(repository: Path, rows: int) -> None:
    newest = sorted(repository.glob("data/*/*.parquet"), key=lambda path: path.stat().st_mtime_ns)[-1:]
    for path in newest if rows else []:
        assert parquet.read_table(path).num_rows == rows
        assert polars.read_parquet(path).height == rows
        with duckdb.connect() as plain:
            assert plain.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table().num_rows == rows


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
