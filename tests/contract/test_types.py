"""Every DuckDB type: as a literal, as NULL, through a table, nested, in empty results; nothing lost on the way."""

from __future__ import annotations

import datetime
import math
import struct
from decimal import Decimal
from typing import NamedTuple

import pyarrow as pa
import pytest

from contract.clients import Client

UTC = datetime.UTC
HUGE = 2**127 - 1
UHUGE = 2**128 - 1


class Case(NamedTuple):
    """A DuckDB type, a literal of it, the Arrow type it has, and its value in Python."""

    sql: str
    literal: str
    arrow: pa.DataType
    value: object


CASES = [
    Case("BOOLEAN", "true", pa.bool_(), True),
    Case("TINYINT", "'-128'", pa.int8(), -128),
    Case("SMALLINT", "'-32768'", pa.int16(), -32768),
    Case("INTEGER", "'-2147483648'", pa.int32(), -(2**31)),
    Case("BIGINT", "'-9223372036854775808'", pa.int64(), -(2**63)),
    Case("UTINYINT", "255", pa.uint8(), 255),
    Case("USMALLINT", "65535", pa.uint16(), 65535),
    Case("UINTEGER", "4294967295", pa.uint32(), 2**32 - 1),
    Case("UBIGINT", "18446744073709551615", pa.uint64(), 2**64 - 1),
    Case("HUGEINT", "99999999999999999999999999999999999999", pa.decimal128(38, 0), Decimal("9" * 38)),
    Case("UHUGEINT", f"'{UHUGE}'", pa.string(), str(UHUGE)),
    Case("FLOAT", "0.1", pa.float32(), pytest.approx(0.1)),
    Case("DOUBLE", "0.1", pa.float64(), 0.1),
    Case("DECIMAL(4,1)", "-999.9", pa.decimal128(4, 1), Decimal("-999.9")),
    Case("DECIMAL(9,4)", "12345.6789", pa.decimal128(9, 4), Decimal("12345.6789")),
    Case("DECIMAL(18,0)", "999999999999999999", pa.decimal128(18, 0), Decimal("9" * 18)),
    Case("DECIMAL(38,10)", "1234567890123456789012345678.0123456789", pa.decimal128(38, 10),
         Decimal("1234567890123456789012345678.0123456789")),
    Case("VARCHAR", "'naïve 🦆'", pa.string(), "naïve 🦆"),
    Case("BLOB", r"'\x00\xFF'", pa.binary(), b"\x00\xff"),
    Case("GEOMETRY", "'POINT(1 2)'", pa.binary(), struct.pack("<BIdd", 1, 1, 1.0, 2.0)),
    Case("VARIANT", "42::INTEGER", pa.struct([("metadata", pa.binary()), ("value", pa.binary())]),
         {"metadata": b"\x01\x00\x00", "value": b"\x14*\x00\x00\x00"}),
    Case("BIT", "'010110'", pa.string(), "010110"),
    Case("UUID", "'d0144c43-b893-4cc2-9e83-e7fc6dbfe4fc'", pa.string(), "d0144c43-b893-4cc2-9e83-e7fc6dbfe4fc"),
    Case("DATE", "'2024-02-29'", pa.date32(), datetime.date(2024, 2, 29)),
    Case("TIME", "'23:59:59.999999'", pa.time64("us"), datetime.time(23, 59, 59, 999999)),
    Case("TIME_NS", "'23:59:59.999999000'", pa.time64("ns"), datetime.time(23, 59, 59, 999999)),
    Case("TIMETZ", "'12:34:56+05:30'", pa.string(), "12:34:56+05:30"),
    Case("TIMESTAMP", "'2024-02-29 12:34:56.789012'", pa.timestamp("us"),
         datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)),
    Case("TIMESTAMP_S", "'2024-02-29 12:34:56'", pa.timestamp("s"), datetime.datetime(2024, 2, 29, 12, 34, 56)),
    Case("TIMESTAMP_MS", "'2024-02-29 12:34:56.789'", pa.timestamp("ms"),
         datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)),
    Case("INTERVAL", "'1 year 2 days 3 seconds'", pa.month_day_nano_interval(),
         pa.MonthDayNano([12, 2, 3_000_000_000])),
    Case("ENUM('a', 'b')", "'b'", pa.string(), "b"),
    Case("JSON", """'{"a": [1, null]}'""", pa.string(), '{"a": [1, null]}'),
    Case("INTEGER[]", "[1, NULL, 3]", pa.list_(pa.int32()), [1, None, 3]),
    Case("INTEGER[3]", "[1, NULL, 3]", pa.list_(pa.int32(), 3), [1, None, 3]),
    Case("VARCHAR[][]", "[['a'], [], NULL]", pa.list_(pa.list_(pa.string())), [["a"], [], None]),
    Case("STRUCT(a INTEGER, b VARCHAR)", "{'a': 1, 'b': NULL}", pa.struct([("a", pa.int32()), ("b", pa.string())]),
         {"a": 1, "b": None}),
    Case("MAP(VARCHAR, INTEGER)", "MAP {'k': 1, 'l': NULL}", pa.map_(pa.string(), pa.int32()), [("k", 1), ("l", None)]),
    Case("STRUCT(l STRUCT(d DECIMAL(5,2)[])[])", "{'l': [{'d': [1.25]}]}",
         pa.struct([("l", pa.list_(pa.struct([("d", pa.list_(pa.decimal128(5, 2)))])))]),
         {"l": [{"d": [Decimal("1.25")]}]}),
    Case("MAP(INTEGER, STRUCT(t TIMESTAMP)[])", "MAP {1: [{'t': TIMESTAMP '2024-01-01'}]}",
         pa.map_(pa.int32(), pa.list_(pa.struct([("t", pa.timestamp("us"))]))),
         [(1, [{"t": datetime.datetime(2024, 1, 1)}])]),
    Case("BIGNUM", "12345678901234567890123456789012345678901234567890", pa.string(),
         "12345678901234567890123456789012345678901234567890"),
]  # fmt: skip

# What a type becomes does not depend on an open transaction.
pytestmark = pytest.mark.parametrize("opened", ["embedded", "flight"], indirect=True)

each_type = pytest.mark.parametrize("case", CASES, ids=[case.sql for case in CASES])


def plain(kind: pa.DataType) -> pa.DataType:
    """The type without what does not change its values: names of list items, dictionaries of enums."""
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(plain(kind.key_type), plain(kind.item_type))
    return kind


class TestTypes:
    @each_type
    def test_a_literal(self, client: Client, case: Case) -> None:
        table = client.execute(f"SELECT {case.literal}::{case.sql} AS x")
        assert plain(table.schema.field("x").type) == case.arrow
        assert table["x"].to_pylist() == [case.value]

    @each_type
    def test_null_and_an_empty_result(self, client: Client, case: Case) -> None:
        table = client.execute(f"SELECT NULL::{case.sql} AS x")
        assert plain(table.schema.field("x").type) == case.arrow
        assert table["x"].to_pylist() == [None]
        none = client.execute(f"SELECT {case.literal}::{case.sql} AS x WHERE false")
        assert (none.num_rows, none.schema) == (0, table.schema)

    @each_type
    def test_through_a_table(self, client: Client, case: Case) -> None:
        client.execute(f"CREATE TABLE t (n INTEGER, x {case.sql})")
        assert client.change(f"INSERT INTO t VALUES (1, {case.literal}), (2, NULL)") == 2
        client.commit()
        table = client.execute("SELECT x FROM t ORDER BY n")
        assert plain(table.schema.field("x").type) == case.arrow
        assert table["x"].to_pylist() == [case.value, None]

    @each_type
    def test_inside_a_list_and_a_struct(self, client: Client, case: Case) -> None:
        table = client.execute(f"SELECT [{case.literal}::{case.sql}] AS l, {{'f': {case.literal}::{case.sql}}} AS s")
        lists, structs = table["l"].to_pylist(), table["s"].to_pylist()
        if pa.types.is_string(case.arrow) and pa.types.is_string(table.schema.field("l").type):
            assert str(case.value) in lists[0]
            assert str(case.value) in structs[0]
        else:
            assert (lists, structs) == ([[case.value]], [{"f": case.value}])

    @each_type
    def test_as_arrow_into_a_table_and_back(self, client: Client, case: Case) -> None:
        sent = client.execute(f"SELECT {case.literal}::{case.sql} AS x UNION ALL SELECT NULL")
        assert client.load("t", sent, "create") == 2
        back = client.execute("SELECT x FROM t ORDER BY x IS NULL")
        assert plain(back.schema.field("x").type) == case.arrow
        assert back["x"].to_pylist() == [case.value, None]

    @each_type
    def test_many_rows(self, client: Client, case: Case) -> None:
        sql = f"SELECT CASE WHEN range % 3 = 0 THEN NULL ELSE {case.literal}::{case.sql} END AS x FROM range(5000)"
        assert client.execute(sql)["x"].null_count == 1667


class TestEdges:
    def test_hugeint_extremes(self, client: Client) -> None:
        sql = f"SELECT {HUGE}::HUGEINT AS high, (-{HUGE} - 1)::HUGEINT AS low"
        shown = [[str(value) for value in column.to_pylist()] for column in client.execute(sql).columns]
        assert shown == [[str(HUGE)], [str(-HUGE - 1)]]

    def test_uhugeint_extremes(self, client: Client) -> None:
        assert client.rows(f"SELECT {UHUGE}::UHUGEINT AS high, 0::UHUGEINT AS low") == [(str(UHUGE), "0")]

    def test_sums_of_bigints_are_exact(self, client: Client) -> None:
        assert client.value(f"SELECT sum(x) FROM (VALUES ({2**63 - 1}), ({2**63 - 1})) t(x)") == Decimal(2**64 - 2)

    @pytest.mark.parametrize("value", ["inf", "-inf", "1e308", "5e-324"])
    def test_doubles(self, client: Client, value: str) -> None:
        assert client.value(f"SELECT '{value}'::DOUBLE AS x") == float(value)

    def test_nan_and_negative_zero(self, client: Client) -> None:
        nan, zero = client.rows("SELECT 'nan'::DOUBLE AS n, '-0'::DOUBLE AS z")[0]
        assert math.isnan(nan)
        assert math.copysign(1, zero) == -1

    @pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMPTZ"])
    @pytest.mark.parametrize("value", ["infinity", "-infinity"])
    def test_infinite_times_arrive(self, client: Client, kind: str, value: str) -> None:
        table = client.execute(f"SELECT '{value}'::{kind} AS x")
        assert table.num_rows == 1
        assert client.load("t", table, "create") == 1
        assert client.value("SELECT isinf(x) FROM t") is True

    def test_a_time_at_midnights_end(self, client: Client) -> None:
        column = client.execute("SELECT TIME '24:00:00' AS x")["x"]
        assert column.cast(pa.int64()).to_pylist() == [86_400_000_000]

    def test_nanoseconds(self, client: Client) -> None:
        table = client.execute("SELECT '2024-01-01 00:00:00.123456789'::TIMESTAMP_NS AS x")
        assert table.schema.field("x").type == pa.timestamp("ns")
        assert table["x"].cast(pa.int64()).to_pylist() == [1_704_067_200_123_456_789]

    def test_early_and_late_dates(self, client: Client) -> None:
        table = client.execute("SELECT DATE '5877642-06-25 (BC)' AS low, DATE '5881580-07-10' AS high")
        assert [column.cast(pa.int32()).to_pylist() for column in table.columns] == [[-(2**31) + 2], [2**31 - 2]]

    def test_a_moment_keeps_its_instant_and_takes_the_sessions_zone(self, client: Client) -> None:
        sql = "SELECT TIMESTAMPTZ '2024-06-01 12:00:00+05:30' AS x"
        assert client.value(sql) == datetime.datetime(2024, 6, 1, 6, 30, tzinfo=UTC)
        client.execute("SET timezone = 'Asia/Tokyo'")
        table = client.execute(sql)
        assert table.schema.field("x").type == pa.timestamp("us", tz="Asia/Tokyo")
        assert table["x"].to_pylist() == [datetime.datetime(2024, 6, 1, 6, 30, tzinfo=UTC)]

    def test_an_interval_with_every_part(self, client: Client) -> None:
        value = client.value("SELECT INTERVAL '-14 months 3 days -4.000001 seconds' AS x")
        assert value == pa.MonthDayNano([-14, 3, -4_000_001_000])

    def test_a_union(self, client: Client) -> None:
        client.execute("CREATE TABLE t (x UNION(num INTEGER, txt VARCHAR))")
        client.execute("INSERT INTO t VALUES (1), ('two'), (NULL)")
        assert client.execute("SELECT x FROM t")["x"].to_pylist() == [1, "two", None]

    def test_an_enum_of_the_lakes_own(self, client: Client) -> None:
        client.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        client.execute("CREATE TABLE t (x mood)")
        client.execute("INSERT INTO t VALUES ('glad'), (NULL), ('sad')")
        client.commit()
        assert client.execute("SELECT x FROM t ORDER BY x")["x"].to_pylist() == ["sad", "glad", None]
        client.execute("DROP TABLE t")
        client.execute("DROP TYPE mood")
        client.commit()

    def test_the_type_of_null_alone(self, client: Client) -> None:
        assert client.execute("SELECT NULL AS x")["x"].to_pylist() == [None]

    def test_empty_nested_values(self, client: Client) -> None:
        assert client.rows("SELECT []::INT[] AS l, MAP {} AS m, ''::BLOB AS b") == [([], [], b"")]

    def test_text_with_every_kind_of_character(self, client: Client) -> None:
        text = "".join(map(chr, [*range(1, 0x80), 0xE9, 0x20AC, 0x1F986, 0x10FFFF]))
        assert client.value("SELECT ? AS x", [text]) == text

    def test_a_zero_character_inside_text(self, client: Client) -> None:
        assert client.value("SELECT 'a' || chr(0) || 'b' AS x") == "a\0b"
        assert client.value("SELECT ? AS x", ["a\0b"]) == "a\0b"

    def test_text_that_is_no_utf8_cannot_be_made(self, client: Client) -> None:
        assert (
            client.failure(r"SELECT '\xFF'::BLOB::VARCHAR::BLOB::VARCHAR || decode('\xFF'::BLOB)").code == "conversion"
        )
