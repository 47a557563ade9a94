"""Writing: DDL, DML and how many rows it changed, RETURNING, loads."""

from __future__ import annotations

from pathlib import Path

import adbc_driver_manager
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.clients import Client, Failure, OfLake, failure_of
from neurolake import errors


def refused_load(client: Client, name: str, data: pa.Table, mode: str) -> Failure:
    """Load what must be refused."""
    try:
        client.load(name, data, mode)
    except (errors.NeuroLakeError, adbc_driver_manager.Error) as error:
        return failure_of(error)
    raise AssertionError("it did not fail")


class TestDdl:
    def test_it_runs_once_and_changes_no_rows(self, client: Client) -> None:
        assert client.change("CREATE TABLE t (a INT)") == 0
        client.commit()
        assert client.failure("CREATE TABLE t (a INT)").code == "already_exists"
        client.undo_failed()
        assert client.change("DROP TABLE t") == 0
        assert client.failure("DROP TABLE t").code == "not_found"

    def test_a_sequence_moves_once_per_statement(self, client: Client) -> None:
        client.execute("CREATE SEQUENCE s")
        assert [client.value("SELECT nextval('s') AS n") for _ in range(3)] == [1, 2, 3]
        client.execute("DROP SEQUENCE s")
        client.commit()

    def test_create_table_as(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(1000)")
        assert client.value("SELECT sum(n)::BIGINT FROM t") == 499_500

    def test_create_table_as_with_parameters(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(?) WHERE range > ?", [10, 6])
        assert client.rows("SELECT n FROM t ORDER BY n") == [(7,), (8,), (9,)]

    def test_create_or_replace_and_if_not_exists(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT 1 AS n")
        client.execute("CREATE TABLE IF NOT EXISTS t AS SELECT 2 AS n")
        assert client.rows("FROM t") == [(1,)]
        client.execute("CREATE OR REPLACE TABLE t AS SELECT 'three' AS n")
        assert client.rows("FROM t") == [("three",)]

    def test_views(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(10)")
        client.execute("CREATE VIEW v AS SELECT n * 2 AS m FROM t WHERE n > 7")
        assert client.rows("SELECT m FROM v ORDER BY m") == [(16,), (18,)]
        client.execute("INSERT INTO t VALUES (100)")
        assert client.value("SELECT max(m) FROM v") == 200
        client.execute("DROP VIEW v")
        assert client.failure("FROM v").code == "not_found"

    def test_a_schema(self, client: Client) -> None:
        client.execute("CREATE SCHEMA sales")
        client.execute("CREATE TABLE sales.t AS SELECT 1 AS n")
        client.commit()
        for name in ("sales.t", "lake.sales.t", '"sales"."t"', "LAKE.Sales.T"):
            assert client.rows(f"FROM {name}") == [(1,)]
        assert client.failure("FROM t").code == "not_found"

    def test_alter(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        client.execute("INSERT INTO t VALUES (1)")
        client.commit()
        client.execute("ALTER TABLE t ADD COLUMN b VARCHAR DEFAULT 'x'")
        assert client.rows("FROM t") == [(1, "x")]
        client.execute("ALTER TABLE t RENAME COLUMN a TO c")
        client.commit()
        assert client.execute("FROM t").column_names == ["c", "b"]
        client.execute("ALTER TABLE t RENAME TO u")
        assert client.rows("FROM u") == [(1, "x")]

    def test_a_view_over_a_system_table_is_refused(self, client: Client) -> None:
        assert client.failure("CREATE VIEW v AS SELECT * FROM neurolake.queries").code == "not_supported"
        client.undo_failed()
        assert client.failure("CREATE MACRO m() AS TABLE SELECT * FROM neurolake.queries").code == "not_supported"

    def test_a_table_made_from_a_system_table(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT name FROM neurolake.settings WHERE name = 'threads'")
        assert client.rows("FROM t") == [("threads",)]

    @pytest.mark.parametrize(
        "sql",
        ["DROP SCHEMA __neurolake CASCADE", "DELETE FROM __neurolake.outbox", "DROP TABLE lake.__neurolake.outbox",
         "SELECT * FROM __neurolake.outbox", 'UPDATE lake."__NeuroLake".outbox SET verb = NULL',
         "CREATE TABLE __neurolake.t (a INT)", "USE __neurolake", "USE lake.__neurolake"],
    )  # fmt: skip
    def test_the_systems_own_tables_are_out_of_reach(self, client: Client, sql: str) -> None:
        assert client.failure(sql).code == "reserved_name"

    def test_macros(self, client: Client) -> None:
        client.execute("CREATE OR REPLACE MACRO plus_one(x) AS x + 1")
        client.commit()
        assert client.value("SELECT plus_one(41)") == 42
        client.execute("DROP MACRO plus_one")
        client.commit()

    def test_a_plan_made_before_a_change_is_not_used_after_it(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT 1 AS n")
        assert client.execute("SELECT * FROM t").column_names == ["n"]
        client.execute("CREATE OR REPLACE TABLE t AS SELECT 'x' AS m, 2 AS n")
        assert client.execute("SELECT * FROM t").column_names == ["m", "n"]

    @pytest.mark.parametrize(
        "sql",
        ["CREATE SCHEMA snapshot_x", 'CREATE SCHEMA lake."snapshot_"', "CREATE SCHEMA neurolake",
         'CREATE SCHEMA "NeuroLake"', "CREATE TABLE neurolake.t (a INT)",
         "CREATE VIEW lake.neurolake.v AS SELECT 1", "ATTACH ':memory:' AS neurolake", "ATTACH ':memory:' AS lake"],
    )  # fmt: skip
    def test_the_systems_names_are_refused(self, client: Client, sql: str) -> None:
        assert client.failure(sql).code == "reserved_name"


class TestDml:
    def test_counts(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT, b VARCHAR)")
        assert client.change("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL)") == 3
        assert client.change("UPDATE t SET b = 'z' WHERE a >= 2") == 2
        assert client.change("UPDATE t SET b = 'z' WHERE a > 100") == 0
        assert client.change("DELETE FROM t WHERE a = 1") == 1
        assert client.rows("FROM t ORDER BY a") == [(2, "z"), (3, "z")]

    def test_with_parameters(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT, b VARCHAR)")
        assert client.change("INSERT INTO t VALUES (?, ?)", [1, "x"]) == 1
        assert client.change("UPDATE t SET b = ? WHERE a = ?", ["y", 1]) == 1
        assert client.rows("FROM t") == [(1, "y")]
        assert client.change("DELETE FROM t WHERE b = ?", ["y"]) == 1

    def test_many_rows_of_parameters(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a BIGINT, b VARCHAR)")
        client.commit()
        rows = [(n, None if n % 3 == 0 else f"name {n}") for n in range(100)]
        assert client.executemany("INSERT INTO t VALUES (?, ?)", rows) == 100
        assert client.rows("FROM t ORDER BY a") == rows

    def test_returning(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT, b INT)")
        assert client.rows("INSERT INTO t VALUES (1, 2), (3, 4) RETURNING a + b AS s, a") == [(3, 1), (7, 3)]
        assert client.rows("UPDATE t SET b = b * 10 RETURNING b") == [(20,), (40,)]
        assert client.rows("DELETE FROM t WHERE a = 1 RETURNING *") == [(1, 20)]
        assert client.value("SELECT count(*) FROM t") == 1

    def test_returning_with_parameters(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        client.commit()
        assert client.rows("INSERT INTO t VALUES (?) RETURNING a * 2 AS d", [21]) == [(42,)]
        assert client.value("SELECT count(*) FROM t") == 1

    def test_insert_from_a_select_and_by_name(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT, b INT DEFAULT 7)")
        assert client.change("INSERT INTO t (a) SELECT range::INT FROM range(5)") == 5
        assert client.change("INSERT INTO t BY NAME SELECT 1 AS b, 2 AS a") == 1
        assert client.value("SELECT sum(b)::INT FROM t") == 36

    def test_upsert_in_sql(self, client: Client) -> None:
        client.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT)")
        client.execute("INSERT INTO t VALUES (1, 1)")
        client.commit()
        client.change("INSERT INTO t VALUES (1, 10), (2, 20) ON CONFLICT (id) DO UPDATE SET n = excluded.n")
        assert client.rows("FROM t ORDER BY id") == [(1, 10), (2, 20)]

    def test_merge(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT 1 AS id, 'old' AS v")
        client.commit()
        client.execute(
            "MERGE INTO t USING (VALUES (1, 'new'), (2, 'two')) s(id, v) ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)"
        )
        assert client.rows("FROM t ORDER BY id") == [(1, "new"), (2, "two")]

    def test_a_cte_ahead_of_a_write(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT)")
        assert client.change("WITH x AS (SELECT 1 AS a UNION ALL SELECT 2) INSERT INTO t SELECT a FROM x") == 2

    def test_truncate(self, client: Client) -> None:
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(10)")
        client.execute("TRUNCATE t")
        assert client.value("SELECT count(*) FROM t") == 0

    def test_a_broken_constraint_writes_nothing(self, client: Client) -> None:
        client.execute("CREATE TABLE t (a INT PRIMARY KEY, b INT NOT NULL CHECK (b > 0))")
        client.commit()
        assert client.failure("INSERT INTO t VALUES (1, 1), (1, 2)").code == "constraint"
        client.undo_failed()
        assert client.failure("INSERT INTO t VALUES (1, NULL)").code == "constraint"
        client.undo_failed()
        assert client.failure("INSERT INTO t VALUES (1, -1)").code == "constraint"
        client.undo_failed()
        assert client.value("SELECT count(*) FROM t") == 0

    def test_copy_out_and_in(self, client: Client, data: Path) -> None:
        client.execute("CREATE TABLE t AS SELECT range AS n FROM range(10)")
        assert client.change(f"COPY t TO '{data}/t.parquet'") == 10
        client.execute("CREATE TABLE u (n BIGINT)")
        assert client.change(f"COPY u FROM '{data}/t.parquet'") == 10
        assert client.rows("FROM u ORDER BY n") == client.rows("FROM t ORDER BY n")


ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", None, "c"]})
MORE = pa.table({"id": pa.array([3, 4], pa.int64()), "name": ["d", "e"]})


class TestLoad:
    def test_create(self, client: Client) -> None:
        assert client.load("t", ROWS, "create") == 3
        assert client.execute("SELECT * FROM t ORDER BY id").to_pylist() == ROWS.to_pylist()

    def test_create_where_one_is(self, client: Client) -> None:
        client.load("t", ROWS, "create")
        client.commit()
        assert refused_load(client, "t", MORE, "create").code == "already_exists"
        assert client.value("SELECT count(*) FROM t") == 3

    def test_append(self, client: Client) -> None:
        client.load("t", ROWS, "create")
        assert client.load("t", MORE, "append") == 2
        assert client.value("SELECT count(*) FROM t") == 5

    def test_append_where_none_is(self, client: Client) -> None:
        assert refused_load(client, "t", ROWS, "append").code == "not_found"

    def test_create_append(self, client: Client) -> None:
        assert client.load("t", ROWS, "create_append") == 3
        assert client.load("t", MORE, "create_append") == 2
        assert client.value("SELECT count(*) FROM t") == 5

    def test_replace(self, client: Client) -> None:
        client.load("t", ROWS, "create")
        assert client.load("t", pa.table({"other": [1.5]}), "replace") == 1
        assert client.rows("FROM t") == [(1.5,)]
        assert client.load("u", ROWS, "replace") == 3

    def test_columns_are_matched_by_name(self, client: Client) -> None:
        client.load("t", ROWS, "create")
        turned = pa.table({"name": ["x"], "id": pa.array([9], pa.int64())})
        client.load("t", turned, "append")
        assert client.value("SELECT name FROM t WHERE id = 9") == "x"

    def test_a_missing_column_becomes_null(self, client: Client) -> None:
        client.load("t", ROWS, "create")
        client.load("t", pa.table({"id": pa.array([9], pa.int64())}), "append")
        assert client.value("SELECT name FROM t WHERE id = 9") is None

    def test_a_column_the_table_has_not_is_refused(self, client: Client) -> None:
        client.load("t", ROWS, "create")
        client.commit()
        extra = pa.table({"id": pa.array([9], pa.int64()), "more": ["x"]})
        assert "more" in refused_load(client, "t", extra, "append").text
        client.undo_failed()
        assert client.value("SELECT count(*) FROM t") == 3

    def test_a_value_that_does_not_fit_writes_nothing(self, client: Client) -> None:
        client.execute("CREATE TABLE t (id INT, name VARCHAR)")
        client.load("t", ROWS, "append")
        client.commit()
        wrong = pa.table({"id": pa.array(["4", "five"]), "name": ["d", "e"]})
        assert refused_load(client, "t", wrong, "append").code == "conversion"
        client.undo_failed()
        assert client.value("SELECT count(*) FROM t") == 3

    def test_no_rows(self, client: Client) -> None:
        assert client.load("t", ROWS.slice(0, 0), "create") == 0
        assert client.execute("FROM t").schema.names == ["id", "name"]
        assert client.value("SELECT count(*) FROM t") == 0

    def test_many_batches(self, client: Client) -> None:
        batch = pa.record_batch({"n": pa.array(range(10_000), pa.int64())})
        assert client.load("t", pa.Table.from_batches([batch] * 20), "create") == 200_000
        assert client.value("SELECT sum(n)::BIGINT FROM t") == 20 * sum(range(10_000))

    @pytest.mark.parametrize("name", ["select", "Größe", 'a "quoted" name', "with.dot", "with space", "UPPER"])
    def test_names_that_need_quotes(self, client: Client, name: str) -> None:
        quoted = '"' + name.replace('"', '""') + '"'
        given = quoted if isinstance(client, OfLake) else name
        assert client.load(given, pa.table({name: [1]}), "create") == 1
        assert client.execute(f"SELECT {quoted} FROM {quoted}").to_pylist() == [{name: 1}]

    def test_into_a_name_that_a_source_has(self, client: Client, data: Path) -> None:
        pq.write_table(ROWS, data / "t.parquet")
        client.register("t", data / "t.parquet")
        for mode in ("create", "append", "replace", "create_append"):
            assert refused_load(client, "t", MORE, mode).code == "already_exists"
        assert client.value("SELECT count(*) FROM t") == 3

    def test_dictionaries_and_views(self, client: Client) -> None:
        table = pa.table({
            "d": pa.array(["a", "b", "a", None]).dictionary_encode(),
            "v": pa.array(["a", "b" * 100, None, ""], pa.string_view()),
            "l": pa.array(["x", "y", "z", None], pa.large_string()),
        })  # fmt: skip
        client.load("t", table, "create")
        assert client.execute("FROM t").to_pylist() == [
            {"d": "a", "v": "a", "l": "x"}, {"d": "b", "v": "b" * 100, "l": "y"}, {"d": "a", "v": None, "l": "z"},
            {"d": None, "v": "", "l": None},
        ]  # fmt: skip


@pytest.mark.parametrize("opened", ["embedded", "remote"], indirect=True)
class TestUpsert:
    """Flight SQL's ingest has no upsert: the lake's own interface has."""

    @pytest.fixture
    def lake(self, client: Client) -> Client:
        return client

    def upsert(self, lake: Client, data: object, keys: list[str]) -> int:
        assert isinstance(lake, OfLake)
        return lake.lake.load("t", data, "upsert", keys)

    def test_it_replaces_and_adds(self, lake: Client) -> None:
        lake.load("t", ROWS, "create")
        assert self.upsert(lake, MORE, ["id"]) == 2
        assert lake.rows("FROM t ORDER BY id") == [(1, "a"), (2, None), (3, "d"), (4, "e")]

    def test_keys_that_come_twice_write_nothing(self, lake: Client) -> None:
        lake.load("t", ROWS, "create")
        with pytest.raises(errors.ConstraintViolated) as caught:
            self.upsert(lake, pa.concat_tables([MORE, MORE]), ["id"])
        assert caught.value.code == "keys_not_unique"
        assert lake.rows("FROM t ORDER BY id") == [(1, "a"), (2, None), (3, "c")]

    def test_null_is_a_key_like_any_other(self, lake: Client) -> None:
        lake.load("t", ROWS, "create")
        self.upsert(lake, pa.table({"id": pa.array([None], pa.int64()), "name": ["null"]}), ["id"])
        self.upsert(lake, pa.table({"id": pa.array([None], pa.int64()), "name": ["none"]}), ["id"])
        assert lake.rows("FROM t WHERE id IS NULL") == [(None, "none")]

    def test_several_keys(self, lake: Client) -> None:
        lake.load("t", pa.table({"a": [1, 1], "b": ["x", "y"], "n": [1, 2]}), "create")
        self.upsert(lake, pa.table({"a": [1, 2], "b": ["y", "y"], "n": [20, 30]}), ["a", "B"])
        assert lake.rows("FROM t ORDER BY ALL") == [(1, "x", 1), (1, "y", 20), (2, "y", 30)]

    @pytest.mark.parametrize(("keys", "code"), [([], "keys"), (["nope"], "key_unknown")])
    def test_wrong_keys(self, lake: Client, keys: list[str], code: str) -> None:
        lake.load("t", ROWS, "create")
        with pytest.raises(errors.InvalidRequest) as caught:
            self.upsert(lake, MORE, keys)
        assert caught.value.code == code

    def test_a_key_the_data_has_not(self, lake: Client) -> None:
        lake.load("t", ROWS, "create")
        with pytest.raises(errors.InvalidRequest):
            self.upsert(lake, pa.table({"name": ["x"]}), ["id"])
        assert lake.value("SELECT count(*) FROM t") == 3

    def test_inside_a_transaction(self, lake: Client) -> None:
        lake.load("t", ROWS, "create")
        lake.begin()
        self.upsert(lake, MORE, ["id"])
        lake.rollback()
        assert lake.rows("FROM t ORDER BY id") == [(1, "a"), (2, None), (3, "c")]

    def test_a_table_with_a_primary_key(self, lake: Client) -> None:
        lake.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR)")
        lake.load("t", ROWS, "append")
        assert self.upsert(lake, MORE, ["id"]) == 2
        assert lake.rows("FROM t ORDER BY id") == [(1, "a"), (2, None), (3, "d"), (4, "e")]

    def test_it_reads_a_stream_once(self, lake: Client) -> None:
        lake.load("t", ROWS, "create")
        self.upsert(lake, MORE.to_reader(), ["id"])
        assert lake.value("SELECT count(*) FROM t") == 4

    def test_concurrent_upserts_of_other_rows_do_not_lose_any(self, lake: Client) -> None:
        from concurrent.futures import ThreadPoolExecutor

        lake.execute("CREATE TABLE t (id BIGINT, n BIGINT)")

        def work(worker: int) -> None:
            rows = pa.table({"id": [worker * 10 + n for n in range(10)], "n": [worker] * 10})
            while True:
                try:
                    self.upsert(lake, rows, ["id"])
                    return
                except errors.InvalidRequest as problem:
                    assert problem.code in ("transaction", "transaction_open")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(8)))
        assert lake.rows("SELECT count(*), count(DISTINCT id) FROM t") == [(80, 80)]
