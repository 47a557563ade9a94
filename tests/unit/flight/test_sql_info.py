"""GetSqlInfo: the shape drivers need, and values that DuckDB itself bears out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from metadata_server import FACTS

from flight.protocol.schemas import SQL_INFO
from flight.protocol.sql_info import EngineFacts, sql_info_table
from flight.protocol.type_info import xdbc_type_info

CODES = [*range(12), 100, 101, *range(500, 577)]


def value(code: int, facts: EngineFacts = FACTS) -> Any:
    return sql_info_table(facts, [code]).column("value")[0].as_py()


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create table t (i int primary key, s text not null); create schema s1")
        yield connection


def runs(engine: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        engine.execute(sql).fetchall()
    except duckdb.Error:
        return False
    return True


class TestShape:
    def test_the_union_is_the_references(self) -> None:
        kind = SQL_INFO.field("value").type
        assert kind.mode == "dense"
        assert kind.type_codes == list(range(6))
        names = [
            "string_value",
            "bool_value",
            "bigint_value",
            "int32_bitmask",
            "string_list",
            "int32_to_int32_list_map",
        ]
        kinds = ["string", "bool", "int64", "int32", "list<item: string>", "map<int32, list<item: int32>>"]
        fields = [kind.field(index) for index in range(6)]
        assert [field.name for field in fields] == names
        assert [str(field.type) for field in fields] == kinds
        assert not any(field.nullable for field in fields)
        assert SQL_INFO.to_string(show_field_metadata=False).startswith("info_name: uint32 not null")

    @pytest.mark.parametrize("codes", [[8], [0, 1, 2, 4, 5, 6, 7], [], [517], [9_999]])
    def test_every_answer_has_the_same_schema_and_is_sound(self, codes: list[int]) -> None:
        table = sql_info_table(FACTS, codes)
        assert table.schema.equals(SQL_INFO)
        table.validate(full=True)

    def test_what_the_go_driver_reads_at_connect(self) -> None:
        (batch,) = sql_info_table(FACTS, [8]).to_batches()
        union = batch.column(1)
        assert union.buffers()[1].to_pybytes()[:1] == b"\x03"
        assert union.field(3).equals(pa.array([1], pa.int32()))

    def test_all_codes_and_no_others(self) -> None:
        assert sql_info_table(FACTS).column("info_name").to_pylist() == CODES

    def test_codes_come_in_the_order_asked_once_and_unknown_ones_not_at_all(self) -> None:
        assert sql_info_table(FACTS, [504, 9_999, 0, 504]).column("info_name").to_pylist() == [504, 0]

    @pytest.mark.parametrize(
        ("codes", "child"),
        [
            ([0, 1, 2, 6, 7, 504, 513, 514, 529, 530, 531], 0),
            ([3, 4, 5, 9, 10, 11, 500, 501, 502, 506, *range(515, 517), *range(518, 522), 523, 524, 527, 532], 1),
            ([536, 537, 539, 556, 563, 565, 566, *range(572, 577)], 1),
            ([503, 505, 507, *range(541, 556), *range(557, 563)], 2),
            ([8, 100, 101, 522, 525, 526, 528, 533, 534, 535, 538, 540, 564, *range(567, 572)], 3),
            ([508, 509, 510, 511, 512], 4),
            ([517], 5),
        ],
    )
    def test_each_code_has_the_child_that_drivers_cast_to(self, codes: list[int], child: int) -> None:
        for code in codes:
            (batch,) = sql_info_table(FACTS, [code]).to_batches()
            assert batch.column(1).buffers()[1].to_pybytes()[0] == child, code


class TestFacts:
    def test_they_are_shown(self) -> None:
        facts = EngineFacts(
            "duckdb v9", statement_timeout_ms=5, transaction_timeout_ms=6, read_only=True, sessions_max=7
        )
        assert [value(code, facts) for code in (1, 3, 100, 101, 549)] == ["duckdb v9", True, 5, 6, 7]

    def test_functions_are_those_the_engine_has(self) -> None:
        assert [value(code) for code in (509, 510, 511, 512)] == [["ABS"], ["UPPER"], [], ["HOUR"]]

    def test_keywords_are_sorted_capitals(self) -> None:
        assert value(508) == ["FROM", "SELECT"]


class TestTruth:
    def test_every_function_named_exists(self, engine: duckdb.DuckDBPyConnection) -> None:
        names = frozenset(name for (name,) in engine.execute("select function_name from duckdb_functions()").fetchall())
        facts = EngineFacts("duckdb", functions=names)
        listed = [name for code in (509, 510, 511, 512) for name in value(code, facts)]
        assert len(listed) > 130
        assert len(set(listed)) == len(listed)

    def test_every_conversion_works_and_no_other_does(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Types by the specification's numbers; a conversion counts if one of the type's samples converts."""
        claimed = {source: set(targets) for source, targets in value(517)}
        for source, (_, *samples) in enumerate(CONVERTED):
            works = {
                target
                for target, (name, *_) in enumerate(CONVERTED)
                if any(runs(engine, f"select cast({sample} as {name})") for sample in samples)
            }
            assert claimed[source] == works, source

    @pytest.mark.parametrize(
        ("code", "sql"),
        [
            (501, "create schema made"),
            (502, "create table made (i int)"),
            (515, "select i as x from t"),
            (518, "select a.i from t as a"),
            (520, "select i from t order by i + 1"),
            (521, "select i from t order by s"),
            (523, "select 'a%' like 'a!%' escape '!'"),
            (524, "create table made (i int not null)"),
            (527, "create table made (i int check (i > 0) references t (i))"),
            (532, "select * from memory.main.t"),
            (536, "select i from t for update"),
            (537, "{call made()}"),
            (539, "select (select max(u.i) from t u where u.i < t.i) from t"),
            (573, "savepoint made"),
        ],
    )
    def test_what_is_said_to_work_works(self, engine: duckdb.DuckDBPyConnection, code: int, sql: str) -> None:
        with duckdb.connect() as fresh:
            fresh.execute("create table t (i int primary key, s text)")
            assert runs(fresh, sql) is value(code)

    def test_nulls_sort_at_the_end(self, engine: duckdb.DuckDBPyConnection) -> None:
        rows = "from (values (1), (null)) v (i)"
        assert engine.execute(f"select i {rows} order by i").fetchall()[-1] == (None,)
        assert engine.execute(f"select i {rows} order by i desc").fetchall()[-1] == (None,)
        assert value(507) == 3

    def test_null_and_text_is_null(self, engine: duckdb.DuckDBPyConnection) -> None:
        assert (engine.execute("select null || 'a'").fetchall() == [(None,)]) is value(516)

    def test_identifiers_ignore_case_quoted_or_not(self, engine: duckdb.DuckDBPyConnection) -> None:
        assert runs(engine, 'select "I", I from T')
        assert (value(503), value(505)) == (1, 1)
        assert runs(engine, f"select 1 as {value(504)}two words{value(504)}")
        assert runs(engine, f"select a{value(514)}b from (select 1 as a{value(514)}b)")

    def test_full_outer_joins_subqueries_and_unions(self, engine: duckdb.DuckDBPyConnection) -> None:
        assert runs(engine, "select * from t full outer join t u using (i)")
        assert runs(engine, "select i from t where i = (select 1) or exists (from t) or i in (from range(3)) "
                            "or i > any (select 1) union select 1 union all select 2")  # fmt: skip
        assert (value(528), value(538), value(540)) == (6, 15, 3)


# One line a SqlSupportsConvert number: DuckDB's type, and literals of it.
CONVERTED = [
    ("bigint", "1::bigint"),
    ("blob", "'a'::blob"),
    ("boolean", "true"),
    ("varchar", "'1'", "'2020-01-01 10:00:00'", "'10:00:00'", "'1 day'"),
    ("date", "date '2020-01-01'"),
    ("decimal(18,3)", "1::decimal(18,3)"),
    ("float", "1::float"),
    ("integer", "1"),
    ("interval", "interval '1 day'"),
    ("interval", "interval '1 year'"),
    ("blob", "'a'::blob"),
    ("varchar", "'1'", "'2020-01-01 10:00:00'", "'10:00:00'", "'1 day'"),
    ("numeric(18,3)", "1::numeric(18,3)"),
    ("real", "1::real"),
    ("smallint", "1::smallint"),
    ("time", "time '10:00:00'"),
    ("timestamp", "timestamp '2020-01-01 10:00:00'"),
    ("tinyint", "1::tinyint"),
    ("blob", "'a'::blob"),
    ("varchar", "'1'", "'2020-01-01 10:00:00'", "'10:00:00'", "'1 day'"),
]

SAMPLES = {
    "BLOB": "a", "DATE": "2020-01-01", "INTERVAL": "1 day", "JSON": "{}", "TIME": "10:00:00",
    "UUID": "12345678-1234-1234-1234-123456789012",
}  # fmt: skip


@pytest.mark.parametrize("row", xdbc_type_info().to_pylist(), ids=lambda row: row["type_name"])
def test_every_type_is_duckdbs_and_its_literals_are_read(row: dict[str, Any]) -> None:
    with duckdb.connect() as connection:
        name = row["type_name"]
        full = {"DECIMAL": "DECIMAL(38, 38)", "VARCHAR": "VARCHAR(5)"}.get(name, name)
        connection.execute(f"create table made (x {full})")
        if row["literal_prefix"]:
            literal = row["literal_prefix"] + SAMPLES.get(name, "2020-01-01 10:00:00") + row["literal_suffix"]
            assert connection.execute(f"select typeof({literal})").fetchall() == [(name,)]
        if row["num_prec_radix"] == 10 and name != "DECIMAL":
            largest = connection.execute(f"select typeof({'9' * (row['column_size'] - 1)}::{name})").fetchall()
            assert largest == [(name,)]
            assert not runs(connection, f"select {'9' * (row['column_size'])}::{name}") or name == "UHUGEINT"
        if row["unsigned_attribute"] is not None:
            assert runs(connection, f"select (-1)::{name}") is not row["unsigned_attribute"]
