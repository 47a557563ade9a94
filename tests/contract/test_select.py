"""Reading: results, parameters, NULLs, empty results, scripts."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from contract.clients import Client


class TestRows:
    def test_one_row(self, client: Client) -> None:
        assert client.rows("SELECT 1 AS a, 'x' AS b, NULL AS c") == [(1, "x", None)]

    def test_column_names_stay_as_written(self, client: Client) -> None:
        table = client.execute('SELECT 1 AS "Größe in €", 2 AS "a.b", 3 AS "say ""hi"""')
        assert table.column_names == ["Größe in €", "a.b", 'say "hi"']

    def test_two_columns_may_share_a_name(self, client: Client) -> None:
        table = client.execute("SELECT 1 AS a, 2 AS a")
        assert table.column_names == ["a", "a"]
        assert [column.to_pylist() for column in table.columns] == [[1], [2]]

    def test_an_empty_result_keeps_its_schema(self, client: Client) -> None:
        table = client.execute("SELECT 1::BIGINT AS a, 'x' AS b, [1.5::DOUBLE] AS c WHERE false")
        assert table.num_rows == 0
        assert table.schema.names == ["a", "b", "c"]
        assert table.schema.field("a").type == pa.int64()
        assert table.schema.field("b").type == pa.string()
        assert table.schema.field("c").type.value_type == pa.float64()

    def test_many_rows_arrive_whole_and_in_order(self, client: Client) -> None:
        table = client.execute("SELECT range AS n, repeat('x', (range % 50)::INT) AS s FROM range(300_000)")
        assert table.num_rows == 300_000
        assert table["n"].to_pylist() == list(range(300_000))
        assert sum(map(len, table["s"].to_pylist())) == sum(n % 50 for n in range(300_000))

    def test_a_row_of_ten_megabytes_passes(self, client: Client) -> None:
        assert client.value("SELECT repeat('x', 10_000_000) AS big") == "x" * 10_000_000

    def test_rows_of_very_different_sizes_pass(self, client: Client) -> None:
        lengths = client.execute(
            "SELECT repeat('x', CASE WHEN range % 100 = 0 THEN 1_000_000 ELSE 3 END) AS s FROM range(1000)"
        )["s"].to_pylist()
        assert sum(map(len, lengths)) == 10 * 1_000_000 + 990 * 3

    def test_a_thousand_columns(self, client: Client) -> None:
        table = client.execute("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1000)))
        assert [column[0].as_py() for column in table.columns] == list(range(1000))

    def test_a_statement_of_a_megabyte(self, client: Client) -> None:
        assert client.value(f"SELECT length('{'x' * 1_000_000}')") == 1_000_000

    @pytest.mark.parametrize(
        "sql",
        ["SELECT 1;", "SELECT 1 ;\n", "/* a */ SELECT 1 -- b", "-- a\nSELECT 1", "(SELECT 1)", "VALUES (1)",
         "FROM (SELECT 1)", "WITH x AS (SELECT 1) SELECT * FROM x", "TABLE (SELECT 1)", "SELECT 1 -- it's; fine"],
    )  # fmt: skip
    def test_ways_to_write_one_statement(self, client: Client, sql: str) -> None:
        if sql.startswith("TABLE"):
            assert client.failure(sql).code == "syntax"
        else:
            assert client.value(sql) == 1

    @pytest.mark.parametrize("sql", ["   ", ";", "-- nothing", "/* nothing */"])
    def test_no_statement_at_all_is_refused(self, client: Client, sql: str) -> None:
        assert client.failure(sql).code == "empty_statement"

    def test_batches_stream(self, client: Client) -> None:
        batches = list(client.stream("SELECT range AS n FROM range(500_000)"))
        assert len(batches) > 1
        assert sum(batch.num_rows for batch in batches) == 500_000

    def test_a_second_statement_while_a_result_is_half_read(self, client: Client) -> None:
        ahead = client.stream("SELECT range AS n FROM range(1_000_000)")
        first = next(ahead)
        assert client.value("SELECT 41 + 1") == 42
        assert first.num_rows + sum(batch.num_rows for batch in ahead) == 1_000_000

    def test_a_client_may_leave_a_result_unread(self, client: Client) -> None:
        ahead = client.stream("SELECT range AS n FROM range(10_000_000)")
        next(ahead)
        del ahead
        assert client.value("SELECT 1") == 1

    def test_sql_that_only_the_engine_parses(self, client: Client) -> None:
        assert client.rows("FROM range(3) SELECT range WHERE range > 0") == [(1,), (2,)]
        assert client.value("SELECT list_transform([1, 2], lambda x: x + 1)") == [2, 3]
        assert client.value("SELECT {'a': 1}.a") == 1
        assert client.rows("SELECT COLUMNS('a.*') FROM (SELECT 1 AS a1, 2 AS a2, 3 AS b)") == [(1, 2)]


class TestScripts:
    def test_the_last_statement_answers(self, client: Client) -> None:
        script = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); SELECT sum(a) AS s FROM t"
        assert client.rows(script) == [(3,)]
        client.commit()
        assert client.rows("SELECT a FROM t ORDER BY a") == [(1,), (2,)]

    def test_a_script_of_writes(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2), (3);")
        assert client.value("SELECT count(*) FROM t") == 3

    def test_a_semicolon_inside_a_text_ends_nothing(self, client: Client) -> None:
        assert client.rows("SELECT 'a;b' AS x; SELECT ';' AS y") == [(";",)]

    def test_a_script_that_fails_says_so(self, client: Client) -> None:
        assert client.failure("SELECT 1; SELECT * FROM nowhere; SELECT 2").code == "not_found"


class TestParameters:
    @pytest.mark.parametrize(
        "value",
        [
            0, 1, -1, 2**31, -(2**63), 2**63 - 1, 1.5, -0.0, float("inf"), True, False, "", "text", "it's", "a\nb",
            "日本語 🦆", b"", b"\x00\xff", Decimal("1.50"), Decimal("-12345678901234567890.123456789"),
            datetime.date(2024, 2, 29), datetime.date(1, 1, 1), datetime.time(23, 59, 59, 999999),
            datetime.datetime(2024, 2, 29, 12, 0, 0, 1), datetime.datetime(1900, 1, 1),
            [1, 2, None], ["a", None], {"a": 1, "b": "x"}, [[1], [2, 3]],
        ],
        ids=repr,
    )  # fmt: skip
    def test_a_value_comes_back_as_it_went_in(self, client: Client, value: object) -> None:
        back = client.value("SELECT ? AS x", [value])
        assert back == value
        assert type(back) is type(value)

    def test_a_moment_in_a_zone(self, client: Client) -> None:
        zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        moment = datetime.datetime(2024, 6, 1, 1, 2, 3, 456789, tzinfo=zone)
        assert client.value("SELECT ? AS x", [moment]) == moment

    def test_a_uuid_as_text(self, client: Client) -> None:
        identifier = uuid.uuid4()
        assert client.value("SELECT ?::UUID AS x", [str(identifier)]) == str(identifier)

    def test_null(self, client: Client) -> None:
        assert client.rows("SELECT ? IS NULL AS x, ?::INT AS y", [None, None]) == [(True, None)]

    def test_not_a_number(self, client: Client) -> None:
        assert client.value("SELECT isnan(?) AS x", [float("nan")]) is True

    @pytest.mark.parametrize("sql", ["SELECT ? - ? AS x", "SELECT $1 - $2 AS x"])
    def test_positions_hold(self, client: Client, sql: str) -> None:
        assert client.value(sql, [5, 3]) == 2

    def test_a_position_may_come_twice(self, client: Client) -> None:
        assert client.value("SELECT $2 - $1 + $2 AS x", [3, 5]) == 7

    def test_more_than_nine_positions(self, client: Client) -> None:
        sql = "SELECT " + " || ".join(f"${n}" for n in range(1, 13)) + " AS x"
        assert client.value(sql, list("abcdefghijkl")) == "abcdefghijkl"

    def test_in_every_place_a_value_may_stand(self, client: Client) -> None:
        sql = "SELECT range AS n FROM range(?) WHERE range BETWEEN ? AND ? ORDER BY n LIMIT ? OFFSET ?"
        assert client.rows(sql, [100, 10, 20, 3, 1]) == [(11,), (12,), (13,)]

    def test_a_list_in_any(self, client: Client) -> None:
        assert client.rows("SELECT range AS n FROM range(10) WHERE range = ANY(?)", [[3, 5]]) == [(3,), (5,)]

    def test_sql_in_a_value_stays_a_value(self, client: Client) -> None:
        evil = "'; DROP TABLE t; --"
        assert client.value("SELECT ? AS x", [evil]) == evil

    def test_a_question_mark_in_a_text_is_no_parameter(self, client: Client) -> None:
        assert client.rows("SELECT '?' AS q, ? AS v -- ?", [1]) == [("?", 1)]

    def test_types_of_one_statement_may_differ_between_runs(self, client: Client) -> None:
        assert client.value("SELECT ? AS x", [1]) == 1
        assert client.value("SELECT ? AS x", ["one"]) == "one"
        assert client.value("SELECT ? AS x", [None]) is None
        assert client.value("SELECT ? AS x", [1.5]) == 1.5

    def test_by_name_where_the_driver_can(self, client: Client) -> None:
        if client.named_parameters:
            assert client.value("SELECT $low + $high AS x", {"high": 2, "low": 1}) == 3  # type: ignore[arg-type]
        else:
            assert client.value("SELECT $low + $high AS x", [1, 2]) == 3

    def test_too_few_values_are_refused(self, client: Client) -> None:
        assert client.failure("SELECT ? + ? AS x", [1]).code in ("invalid_request", "parameters", "binding")

    def test_no_values_are_refused(self, client: Client) -> None:
        assert client.failure("SELECT ? + 1 AS x").code in ("invalid_request", "parameters", "binding")

    def test_a_value_that_does_not_fit_is_refused(self, client: Client) -> None:
        assert client.failure("SELECT ?::DATE AS x", ["no date"]).code == "conversion"


class TestExplain:
    def test_it_shows_the_sql_that_runs_and_the_rules(self, client: Client) -> None:
        shown = dict(client.rows("EXPLAIN SELECT 1 AS a"))
        assert "SELECT 1" in shown["neurolake_sql"]
        assert shown["neurolake_rules"]
        assert shown["neurolake_sources"] == "none"
        assert "physical_plan" in shown

    def test_with_a_parameter(self, client: Client) -> None:
        assert "neurolake_sql" in dict(client.rows("EXPLAIN SELECT ? + 1 AS a", [1]))

    def test_it_runs_nothing(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        client.rows("EXPLAIN INSERT INTO t VALUES (1)")
        assert client.value("SELECT count(*) FROM t") == 0

    def test_analyze_runs_a_select(self, client: Client) -> None:
        shown = dict(client.rows("EXPLAIN ANALYZE SELECT 1 AS a"))
        assert "analyzed_plan" in shown

    def test_analyze_of_a_write_is_refused(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        assert client.failure("EXPLAIN ANALYZE INSERT INTO t VALUES (1)").code == "not_supported"


class TestDescribe:
    def test_describe_a_query(self, client: Client) -> None:
        rows = client.rows("DESCRIBE SELECT 1 AS a, 'x' AS b")
        assert [row[:2] for row in rows] == [("a", "INTEGER"), ("b", "VARCHAR")]

    def test_describe_and_summarize_a_table(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(10)")
        assert client.rows("DESCRIBE t")[0][:2] == ("n", "BIGINT")
        assert client.rows("SUMMARIZE t")[0][:2] == ("n", "BIGINT")

    def test_show_tables(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        assert ("t",) in client.rows("SHOW TABLES")
