"""Transactions and sessions: what is seen when, by whom, and what a session sets for itself."""

from __future__ import annotations

from pathlib import Path

import adbc_driver_manager
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.clients import Client
from neurolake import errors


class TestTransactions:
    def test_commit(self, client: Client, other: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        client.commit()
        client.begin()
        client.change("INSERT INTO t VALUES (1)")
        assert client.value("SELECT count(*) FROM t") == 1
        assert other.value("SELECT count(*) FROM t") == 0
        client.commit()
        other.undo_failed()
        assert other.value("SELECT count(*) FROM t") == 1

    def test_rollback(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        client.commit()
        client.begin()
        client.change("INSERT INTO t VALUES (1)")
        client.execute("CREATE TABLE u (a INT)")
        client.rollback()
        assert client.value("SELECT count(*) FROM t") == 0
        assert client.failure("FROM u").code == "not_found"

    def test_a_table_made_in_it_is_read_in_it(self, client: Client) -> None:
        client.begin()
        client.execute("CREATE TABLE t AS SELECT 1 AS a")
        assert client.rows("SELECT a + ? FROM t", [1]) == [(2,)]
        client.commit()
        assert client.rows("FROM t") == [(1,)]

    def test_repeatable_reads(self, client: Client, other: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT 1 AS a")
        client.commit()
        client.begin()
        assert client.rows("FROM t") == [(1,)]
        other.change("UPDATE t SET a = 2")
        other.commit()
        assert client.rows("FROM t") == [(1,)]
        client.commit()
        assert client.rows("FROM t") == [(2,)]

    def test_the_commit_of_one_that_has_failed_fails(self, client: Client, other: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        client.commit()
        client.begin()
        client.change("INSERT INTO t VALUES (1)")
        assert client.failure("SELECT 'x'::INT AS a").code == "conversion"
        assert client.failure("SELECT 1 AS a").code == "transaction"
        with pytest.raises((errors.NeuroLakeError, adbc_driver_manager.Error), match=r"\[transaction_failed"):
            client.commit()
        assert other.value("SELECT count(*) FROM t") == 0

    def test_a_conflict_is_an_error_with_a_next_step(self, client: Client, other: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT 1 AS a")
        client.commit()
        client.begin()
        other.begin()
        other.undo_failed()
        client.change("UPDATE t SET a = 2")
        failure = other.failure("UPDATE t SET a = 3")
        assert failure.code == "transaction"
        other.rollback()
        client.commit()
        assert client.rows("FROM t") == [(2,)]

    def test_after_an_error_the_rest_is_refused_until_it_is_rolled_back(self, client: Client) -> None:
        client.begin()
        client.execute("CREATE TABLE t (a INT)")
        assert client.failure("SELECT 1 / 'x'").code == "conversion"
        failure = client.failure("SELECT 1")
        assert (failure.code, "ROLLBACK" in failure.text) == ("transaction", True)
        client.rollback()
        assert client.value("SELECT 1") == 1
        assert client.failure("FROM t").code == "not_found"

    def test_two_at_once_are_refused(self, client: Client) -> None:
        client.begin()
        assert client.value("SELECT 1") == 1
        assert client.failure("BEGIN").code == "transaction_open"
        assert client.value("SELECT 1") == 1
        client.rollback()

    def test_begin_takes_up_what_a_driver_has_opened_by_itself(self, client: Client) -> None:
        client.execute("BEGIN")
        client.execute("CREATE TABLE t (a INT)")
        client.execute("ROLLBACK")
        assert client.failure("FROM t").code == "not_found"
        client.undo_failed()

    def test_ending_what_is_not_open_is_refused(self, client: Client) -> None:
        client.commit()
        if client.autocommits:
            assert client.failure("COMMIT").code == "no_transaction"
            assert client.failure("ROLLBACK").code == "no_transaction"
        assert client.value("SELECT 1") == 1

    def test_writes_of_a_load_belong_to_it(self, client: Client) -> None:
        client.begin()
        client.load("t", pa.table({"a": [1]}), "create")
        client.load("t", pa.table({"a": [2]}), "append")
        assert client.value("SELECT count(*) FROM t") == 2
        client.rollback()
        assert client.failure("FROM t").code == "not_found"

    def test_a_half_read_result_does_not_stop_the_next_statement(self, client: Client) -> None:
        client.begin()
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(1_000_000)")
        ahead = client.stream("SELECT n FROM t ORDER BY n")
        first = next(ahead)
        assert client.change("DELETE FROM t WHERE n >= 10") == 999_990
        read = first["n"].to_pylist() + [n for batch in ahead for n in batch["n"].to_pylist()]
        assert read == list(range(1_000_000))
        client.rollback()

    def test_a_result_left_unread_does_not_stop_the_commit(self, client: Client) -> None:
        client.begin()
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(500_000)")
        ahead = client.stream("FROM t")
        next(ahead)
        client.commit()
        assert sum(batch.num_rows for batch in ahead) > 0
        assert client.value("SELECT count(*) FROM t") == 500_000

    def test_a_source_registered_inside_stays(self, client: Client, other: Client, data: Path) -> None:
        pq.write_table(pa.table({"a": [1]}), data / "s.parquet")
        client.begin()
        client.register("s", data / "s.parquet")
        assert client.rows("FROM s") == [(1,)]
        assert other.rows("FROM s") == [(1,)]
        client.rollback()
        assert client.rows("FROM s") == [(1,)]

    def test_the_metadata_agrees_after_a_commit(self, client: Client) -> None:
        client.begin()
        client.execute("CREATE TABLE t (a INT, b VARCHAR)")
        client.commit()
        rows = client.rows("SELECT column_name FROM neurolake.columns WHERE table_name = 't' ORDER BY 1")
        assert rows == [("a",), ("b",)]


class TestSessions:
    def test_temporary_tables_are_ones_own(self, client: Client, other: Client) -> None:
        client.execute("CREATE TEMP TABLE t AS SELECT 1 AS a")
        client.commit()
        assert client.rows("FROM t") == [(1,)]
        assert other.failure("FROM t").code == "not_found"
        other.undo_failed()
        other.execute("CREATE TEMP TABLE t AS SELECT 2 AS a")
        other.commit()
        assert (client.rows("FROM t"), other.rows("FROM t")) == ([(1,)], [(2,)])
        assert client.change("INSERT INTO t VALUES (5)") == 1
        assert client.value("SELECT sum(a)::INT FROM t") == 6
        client.execute("DROP TABLE t")
        assert client.failure("FROM t").code == "not_found"

    def test_a_temporary_view(self, client: Client, other: Client) -> None:
        client.execute("CREATE TEMP VIEW v AS SELECT 1 AS a")
        client.commit()
        assert client.rows("FROM v") == [(1,)]
        assert other.failure("FROM v").code == "not_found"

    def test_a_temporary_table_hides_a_managed_one(self, client: Client, other: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT 'managed' AS a")
        client.execute("CREATE TEMP TABLE t AS SELECT 'temporary' AS a")
        client.commit()
        assert client.rows("FROM t") == [("temporary",)]
        assert client.rows("FROM lake.main.t") == [("managed",)]
        assert other.rows("FROM t") == [("managed",)]

    def test_a_temporary_table_hides_a_source(self, client: Client, other: Client, data: Path) -> None:
        pq.write_table(pa.table({"a": ["source"]}), data / "t.parquet")
        client.execute("CREATE TEMP TABLE t AS SELECT 'temporary' AS a")
        client.commit()
        other.register("t", data / "t.parquet")
        assert client.rows("FROM t") == [("temporary",)]
        assert other.rows("FROM t") == [("source",)]
        assert client.rows("FROM lake.main.t") == [("source",)]
        assert client.rows("FROM t JOIN main.t AS s ON t.a <> s.a") == [("temporary", "source")]

    def test_settings_are_ones_own(self, client: Client, other: Client) -> None:
        client.execute("SET timezone = 'Asia/Tokyo'")
        sql = "SELECT (TIMESTAMPTZ '2024-01-01 00:00:00+00')::VARCHAR AS x"
        for _ in range(3):
            assert client.value(sql) == "2024-01-01 09:00:00+09"
            assert other.value(sql) == "2024-01-01 00:00:00+00"
        client.execute("RESET timezone")
        assert client.value(sql) == "2024-01-01 00:00:00+00"

    def test_integer_division(self, client: Client, other: Client) -> None:
        client.execute("SET integer_division = true")
        assert (client.value("SELECT 7 / 2 AS x"), other.value("SELECT 7 / 2 AS x")) == (3, 3.5)

    @pytest.mark.parametrize("name", ["default_null_order", "default_order"])
    def test_a_setting_that_would_reach_every_session_is_refused(self, client: Client, name: str) -> None:
        assert client.failure(f"SET {name} = 'desc'").code == "setting_locked"

    def test_variables(self, client: Client, other: Client) -> None:
        client.execute("SET VARIABLE answer = 42")
        assert client.value("SELECT getvariable('answer')") == 42
        assert other.value("SELECT getvariable('answer')") is None
        client.execute("RESET VARIABLE answer")
        assert client.value("SELECT getvariable('answer')") is None

    @pytest.mark.parametrize("use", ["USE sales", "USE lake.sales", 'USE "sales"', "SET schema = 'sales'"])
    def test_use(self, client: Client, other: Client, use: str) -> None:
        client.execute("CREATE SCHEMA sales")
        client.execute("CREATE TABLE sales.t AS SELECT 'sales' AS a")
        client.execute("CREATE TABLE t AS SELECT 'main' AS a")
        client.commit()
        client.execute(use)
        assert client.rows("FROM t") == [("sales",)]
        assert client.rows("FROM main.t") == [("main",)]
        assert other.rows("FROM t") == [("main",)]
        client.execute("CREATE TABLE made_here AS SELECT 1 AS a")
        client.commit()
        assert client.rows("FROM sales.made_here") == [(1,)]
        client.execute("USE main")
        assert client.rows("FROM t") == [("main",)]

    def test_use_finds_sources_and_loads_go_there(self, client: Client, data: Path) -> None:
        pq.write_table(pa.table({"a": [1]}), data / "s.parquet")
        client.execute("CREATE SCHEMA sales")
        client.commit()
        client.execute("USE sales")
        client.register("s", data / "s.parquet")
        assert client.rows("FROM s") == [(1,)]
        assert client.rows("FROM sales.s") == [(1,)]
        client.load("loaded", pa.table({"b": [2]}), "create")
        assert client.rows("FROM sales.loaded") == [(2,)]
        client.execute("USE main")
        assert client.failure("FROM s").code == "not_found"

    def test_use_of_no_schema(self, client: Client) -> None:
        assert client.failure("USE nowhere").code == "not_found"

    @pytest.mark.parametrize(
        "sql",
        ["SET memory_limit = '1GB'", "SET threads = 1", "SET GLOBAL threads = 1", "SET lock_configuration = false",
         "SET enable_external_access = true", "PRAGMA threads = 1", "SET port = 1", "SET admin_password = 'x'",
         "RESET memory_limit", "SET s3_secret_access_key = 'x'", "PRAGMA enable_external_access = true",
         "PRAGMA enable_print_progress_bar", "SET enable_progress_bar_print = true", "RESET enable_progress_bar"],
    )  # fmt: skip
    def test_settings_of_the_lake_are_refused(self, client: Client, sql: str) -> None:
        failure = client.failure(sql)
        assert failure.code == "setting_locked"
        assert "neurolake.toml" in failure.text
        assert client.value("SELECT 1") == 1

    def test_a_setting_that_is_none(self, client: Client) -> None:
        assert client.failure("SET no_such_setting = 1").code == "setting_locked"

    def test_a_role_one_has_and_one_has_not(self, client: Client) -> None:
        client.execute("SET ROLE admin")
        client.execute("SET ROLE = 'admin'")
        assert client.failure("SET ROLE analyst").code == "role_denied"

    def test_prepare_and_execute_in_sql(self, client: Client, other: Client) -> None:
        client.execute("PREPARE p AS SELECT $1 + 1 AS x")
        assert client.rows("EXECUTE p(41)") == [(42,)]
        assert other.failure("EXECUTE p(41)").code in ("invalid_request", "not_found", "binding")
        other.undo_failed()
        client.execute("DEALLOCATE p")
        assert client.failure("EXECUTE p(41)").code in ("invalid_request", "not_found", "binding")
