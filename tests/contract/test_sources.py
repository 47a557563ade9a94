"""Registered sources: every format and layout, new files, names, what may stand around them, what they refuse."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from contract.clients import Client

# How files are read does not depend on the client: the lake in this process and one driver suffice.
both_sides = pytest.mark.parametrize("opened", ["embedded", "flight"], indirect=True)

ORDERS = pa.table({
    "id": pa.array([1, 2, 3], pa.int64()), "amount": [9.5, 20.0, None], "country": ["DE", "FR", "DE"],
})  # fmt: skip
ROWS = [(1, 9.5, "DE"), (2, 20.0, "FR"), (3, None, "DE")]


@pytest.fixture
def orders(client: Client, data: Path) -> Path:
    """A folder of Parquet registered as `orders`."""
    folder = data / "orders"
    folder.mkdir()
    pq.write_table(ORDERS, folder / "1.parquet")
    client.register("orders", folder)
    return folder


@both_sides
class TestFormats:
    def test_a_parquet_file(self, client: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.register("o", data / "o.parquet")
        assert client.rows("FROM o ORDER BY id") == ROWS
        assert client.execute("FROM o").schema.field("id").type == pa.int64()

    def test_a_csv_file_is_sniffed(self, client: Client, data: Path) -> None:
        (data / "o.csv").write_text("id;amount;day\n1;9,5;2024-02-29\n2;;2024-03-01\n")
        client.register("o", data / "o.csv", decimal_separator=",")
        table = client.execute("FROM o")
        assert table.column_names == ["id", "amount", "day"]
        assert table.schema.field("day").type == pa.date32()
        assert table["amount"].to_pylist() == [9.5, None]

    def test_csv_options(self, client: Client, data: Path) -> None:
        (data / "o.txt").write_text("1|a\n2|b\n")
        client.register("o", data / "o.txt", "csv", delim="|", header=False, names=["n", "s"])
        assert client.rows("FROM o ORDER BY n") == [(1, "a"), (2, "b")]

    def test_tsv(self, client: Client, data: Path) -> None:
        (data / "o.tsv").write_text("n\ts\n1\ta\n")
        client.register("o", data / "o.tsv")
        assert client.rows("FROM o") == [(1, "a")]

    @pytest.mark.parametrize("ending", ["json", "jsonl", "ndjson"])
    def test_json_lines(self, client: Client, data: Path, ending: str) -> None:
        (data / f"o.{ending}").write_text('{"n": 1, "s": {"t": [1, 2]}}\n{"n": 2, "s": null}\n')
        client.register("o", data / f"o.{ending}")
        assert client.rows("SELECT n, s.t FROM o ORDER BY n") == [(1, [1, 2]), (2, None)]

    def test_a_json_array(self, client: Client, data: Path) -> None:
        (data / "o.json").write_text(json.dumps([{"n": 1}, {"n": 2}]))
        client.register("o", data / "o.json")
        assert client.value("SELECT sum(n)::INT FROM o") == 3

    @pytest.mark.parametrize("name", ["o.csv", "o.json"])
    def test_gzip(self, client: Client, data: Path, name: str) -> None:
        text = "n\n1\n2\n" if "csv" in name else '{"n": 1}\n{"n": 2}\n'
        (data / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        client.register("o", data / f"{name}.gz")
        assert client.rows("FROM o ORDER BY n") == [(1,), (2,)]

    @pytest.mark.parametrize("name", ["o.csv", "o.json"])
    def test_zstandard(self, client: Client, data: Path, name: str) -> None:
        text = "n\n1\n2\n" if "csv" in name else '{"n": 1}\n{"n": 2}\n'
        with pa.output_stream(str(data / f"{name}.zst"), compression="zstd") as out:
            out.write(text.encode())
        client.register("o", data / f"{name}.zst")
        assert client.rows("FROM o ORDER BY n") == [(1,), (2,)]

    @pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "lz4", "brotli", "none"])
    def test_parquet_codecs(self, client: Client, data: Path, codec: str) -> None:
        pq.write_table(ORDERS, data / "o.parquet", compression=codec)
        client.register("o", data / "o.parquet")
        assert client.rows("FROM o ORDER BY id") == ROWS

    def test_a_named_format_for_an_odd_ending(self, client: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.dat")
        client.register("o", data / "o.dat", "parquet")
        assert client.value("SELECT count(*) FROM o") == 3

    def test_a_byte_order_mark(self, client: Client, data: Path) -> None:
        (data / "o.csv").write_bytes(b"\xef\xbb\xbfn,s\n1,a\n")
        client.register("o", data / "o.csv")
        assert client.execute("FROM o").column_names == ["n", "s"]


@both_sides
class TestLayouts:
    def test_a_folder_and_folders_below_it(self, client: Client, data: Path) -> None:
        for place in ("a.parquet", "deep/er/b.parquet"):
            (data / place).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(ORDERS, data / place)
        (data / "_SUCCESS").touch()
        (data / "readme.md").write_text("no data")
        client.register("o", data)
        assert client.value("SELECT count(*) FROM o") == 6

    @pytest.mark.parametrize("pattern", ["*.parquet", "**/*.parquet", "o?.parquet", "o[12].parquet"])
    def test_globs(self, client: Client, data: Path, pattern: str) -> None:
        pq.write_table(ORDERS, data / "o1.parquet")
        pq.write_table(ORDERS, data / "o2.parquet")
        (data / "o.csv").write_text("x\n1\n")
        client.register("o", data / pattern)
        assert client.value("SELECT count(*) FROM o") == 6

    def test_hive_partitions(self, client: Client, data: Path) -> None:
        for year in (2023, 2024):
            for country in ("DE", "FR"):
                folder = data / f"year={year}" / f"country={country}"
                folder.mkdir(parents=True)
                pq.write_table(pa.table({"n": [year % 100]}), folder / "part.parquet")
        client.register("o", data)
        assert client.rows("SELECT year, country, n FROM o WHERE year = 2024 ORDER BY country") == [
            (2024, "DE", 24), (2024, "FR", 24)]  # fmt: skip
        assert client.rows("SELECT year, count(*) FROM o GROUP BY year ORDER BY year") == [(2023, 2), (2024, 2)]

    def test_files_whose_columns_differ(self, client: Client, data: Path) -> None:
        pq.write_table(pa.table({"a": [1], "b": ["x"]}), data / "1.parquet")
        pq.write_table(pa.table({"c": [2.5], "a": [2]}), data / "2.parquet")
        client.register("o", data)
        assert client.execute("FROM o ORDER BY a").to_pylist() == [
            {"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": 2.5}]  # fmt: skip

    def test_csv_files_whose_columns_differ(self, client: Client, data: Path) -> None:
        (data / "1.csv").write_text("a,b\n1,x\n")
        (data / "2.csv").write_text("b,a\ny,2\n")
        client.register("o", data)
        assert client.rows("SELECT a, b FROM o ORDER BY a") == [(1, "x"), (2, "y")]

    @pytest.mark.parametrize("name", ["it's", "with space", "with*star", "with[bracket]", "Größe", "q?", 'say "hi"'])
    def test_odd_names_of_folders_and_files(self, client: Client, data: Path, name: str) -> None:
        (data / name).mkdir()
        pq.write_table(ORDERS, data / name / f"{name}.parquet")
        (data / "withxstar").mkdir(exist_ok=True)
        client.register("o", data / name)
        assert client.value("SELECT count(*) FROM o") == 3

    @pytest.mark.parametrize("name", ["it's.parquet", "with space.parquet", "with[bracket].parquet", "100%.parquet"])
    def test_odd_names_of_a_single_file(self, client: Client, data: Path, name: str) -> None:
        pq.write_table(ORDERS, data / name)
        client.register("o", data / name)
        assert client.value("SELECT count(*) FROM o") == 3

    def test_a_relative_path_is_kept_absolute(
        self, client: Client, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        monkeypatch.chdir(data)
        client.register("o", "o.parquet")
        monkeypatch.chdir("/")
        assert client.value("SELECT count(*) FROM o") == 3

    def test_a_link_to_a_folder(self, client: Client, data: Path) -> None:
        (data / "real").mkdir()
        pq.write_table(ORDERS, data / "real" / "o.parquet")
        (data / "link").symlink_to(data / "real")
        client.register("o", data / "link")
        assert client.value("SELECT count(*) FROM o") == 3


class TestChanges:
    def test_a_new_file_is_seen_by_the_next_statement(self, client: Client, orders: Path) -> None:
        assert client.value("SELECT count(*) FROM orders") == 3
        pq.write_table(ORDERS, orders / "2.parquet")
        assert client.value("SELECT count(*) FROM orders") == 6
        (orders / "1.parquet").unlink()
        assert client.value("SELECT count(*) FROM orders") == 3

    def test_also_inside_an_open_transaction(self, client: Client, orders: Path) -> None:
        client.begin()
        assert client.value("SELECT count(*) FROM orders") == 3
        pq.write_table(ORDERS, orders / "2.parquet")
        assert client.value("SELECT count(*) FROM orders") == 6
        client.rollback()

    def test_a_file_that_is_written_anew(self, client: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.register("o", data / "o.parquet")
        assert client.value("SELECT sum(id)::INT FROM o") == 6
        pq.write_table(
            pa.table({"id": pa.array([100], pa.int64()), "amount": [1.0], "country": ["X"]}), data / "o.parquet"
        )
        assert client.value("SELECT sum(id)::INT FROM o") == 100

    def test_a_new_column_is_there(self, client: Client, orders: Path) -> None:
        pq.write_table(ORDERS.append_column("more", pa.array(["x", "y", "z"])), orders / "2.parquet")
        assert client.value("SELECT count(more) FROM orders") == 3

    def test_a_column_that_is_gone_is_named(self, client: Client, orders: Path) -> None:
        pq.write_table(ORDERS.drop_columns(["amount"]), orders / "1.parquet")
        failure = client.failure("SELECT amount FROM orders")
        assert failure.code == "source_changed_columns"
        assert "amount" in failure.text
        assert "Register it again" in failure.text

    def test_a_registration_made_elsewhere_is_seen_at_once(self, client: Client, other: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.begin()
        assert client.failure("FROM o").code == "not_found"
        client.rollback()
        client.begin()
        other.register("o", data / "o.parquet")
        assert client.value("SELECT count(*) FROM o") == 3
        other.execute("CALL neurolake.unregister('o')")
        assert client.failure("FROM o").code == "not_found"
        client.rollback()

    def test_unregistering_leaves_the_files(self, client: Client, orders: Path) -> None:
        client.execute("CALL neurolake.unregister('orders')")
        assert client.failure("FROM orders").code == "not_found"
        assert (orders / "1.parquet").exists()


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["orders", "main.orders", "lake.main.orders", '"orders"', "ORDERS", '"Main"."Orders"', "Lake.MAIN.orders"],
    )
    def test_every_form_is_the_same_relation(self, client: Client, orders: Path, name: str) -> None:
        assert client.value(f"SELECT count(*) FROM {name}") == 3
        assert client.value(f"SELECT count(*) FROM {name} AS o WHERE o.country = 'DE'") == 2

    @pytest.mark.parametrize("column", ["id", "orders.id", "main.orders.id", "lake.main.orders.id", '"orders"."id"'])
    def test_every_form_of_a_column(self, client: Client, orders: Path, column: str) -> None:
        assert client.rows(f"SELECT {column} FROM main.orders WHERE {column} = 2") == [(2,)]

    def test_a_cte_of_the_same_name_comes_first(self, client: Client, orders: Path) -> None:
        assert client.rows("WITH orders AS (SELECT 7 AS id) SELECT id FROM orders") == [(7,)]
        assert client.value("WITH orders AS (SELECT * FROM orders WHERE id > 1) SELECT count(*) FROM orders") == 2
        assert client.value("WITH orders AS (SELECT 7 AS id) SELECT count(*) FROM main.orders") == 3

    def test_a_source_in_a_schema_of_its_own(self, client: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.execute("CREATE SCHEMA sales")
        client.commit()
        client.register("sales.o", data / "o.parquet")
        assert client.value("SELECT count(*) FROM sales.o") == 3
        assert client.value("SELECT max(sales.o.id) FROM lake.sales.o") == 3
        assert client.failure("FROM o").code == "not_found"

    @pytest.mark.parametrize("name", ['"my orders"', '"Größe"', '"a.b"', '"select"', "select_", '"say ""hi"""', "_o1"])
    def test_names_that_need_quotes(self, client: Client, data: Path, name: str) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.register(name, data / "o.parquet")
        assert client.value(f"SELECT count(*) FROM {name}") == 3
        assert client.value(f"SELECT max({name}.id) FROM main.{name}") == 3

    @pytest.mark.parametrize("name", ["neurolake.o", "lake.neurolake.o", '"NeuroLake".o'])
    def test_the_systems_schema_is_refused(self, client: Client, data: Path, name: str) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        failure = client.failure("CALL neurolake.register(?, ?)", [name, str(data / "o.parquet")])
        assert failure.code == "reserved_name"

    @pytest.mark.parametrize("name", ["", "a.b.c.d", "other.main.o", 'broken"quote', "a b"])
    def test_what_is_no_name(self, client: Client, data: Path, name: str) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        failure = client.failure("CALL neurolake.register(?, ?)", [name, str(data / "o.parquet")])
        assert failure.code == "bad_name"

    def test_a_name_that_is_taken(self, client: Client, orders: Path) -> None:
        assert client.failure("CALL neurolake.register('Orders', ?)", [str(orders)]).code == "already_exists"
        client.undo_failed()
        client.execute("CREATE TABLE t (a INT)")
        client.commit()
        assert client.failure("CALL neurolake.register('t', ?)", [str(orders)]).code == "already_exists"

    def test_a_table_cannot_take_a_sources_name(self, client: Client, orders: Path) -> None:
        assert client.failure("CREATE TABLE orders (a INT)").code == "read_only_relation"


class TestStatements:
    def test_pivot_describe_and_summarize(self, client: Client, orders: Path) -> None:
        assert client.rows("PIVOT orders ON country USING count(*)::INT GROUP BY id")[0] == (1, 1, 0)
        assert client.rows("FROM (PIVOT orders ON country USING sum(id)::INT GROUP BY amount) LIMIT 0") == []
        assert client.rows("DESCRIBE orders")[0][:2] == ("id", "BIGINT")
        assert [row[0] for row in client.rows("SUMMARIZE orders")] == ["id", "amount", "country"]
        assert client.rows("DESCRIBE SELECT * FROM orders")[0][:2] == ("id", "BIGINT")
        assert client.rows("SUMMARIZE SELECT id FROM orders")[0][0] == "id"
        assert client.rows("SELECT * FROM (DESCRIBE orders)")[0][:2] == ("id", "BIGINT")
        assert client.rows("SHOW orders")[0][:2] == ("id", "BIGINT")

    def test_unpivot(self, client: Client, orders: Path) -> None:
        sql = "UNPIVOT orders ON id, amount INTO NAME what VALUE how_much"
        assert len(client.rows(sql)) == 5

    def test_sample_and_joins(self, client: Client, orders: Path) -> None:
        assert client.value("SELECT count(*) FROM orders TABLESAMPLE 100%") == 3
        assert client.value("SELECT count(*) FROM orders a JOIN orders b USING (id)") == 3
        assert client.value("SELECT count(*) FROM orders, orders AS b") == 9
        assert client.value("SELECT count(*) FROM orders NATURAL JOIN main.orders AS b") == 2
        assert client.value("SELECT count(*) FROM orders POSITIONAL JOIN orders AS b") == 3

    def test_in_subqueries(self, client: Client, orders: Path) -> None:
        sql = "SELECT (SELECT max(id) FROM orders) AS m, id IN (FROM orders SELECT id) AS i FROM orders LIMIT 1"
        assert client.rows(sql) == [(3, True)]
        assert client.value("SELECT count(*) FROM orders o WHERE EXISTS (SELECT 1 FROM orders WHERE id > o.id)") == 2
        assert client.value("SELECT sum(s)::INT FROM orders o, LATERAL (SELECT o.id + max(id) AS s FROM orders)") == 15

    def test_set_operations(self, client: Client, orders: Path) -> None:
        assert client.value("SELECT count(*) FROM (FROM orders UNION ALL FROM orders)") == 6
        assert client.value("SELECT count(*) FROM (FROM orders EXCEPT FROM orders)") == 0

    def test_parameters(self, client: Client, orders: Path) -> None:
        assert client.rows("SELECT id FROM orders WHERE country = ? AND id < ?", ["DE", 3]) == [(1,)]

    def test_a_table_made_from_one(self, client: Client, orders: Path) -> None:
        client.execute("CREATE TABLE t AS SELECT * FROM orders")
        assert client.change("INSERT INTO t SELECT * FROM orders") == 3
        assert client.change("DELETE FROM t USING orders WHERE t.id = orders.id AND orders.country = 'FR'") == 2
        assert client.change("UPDATE t SET amount = o.amount FROM orders AS o WHERE o.id = t.id AND o.id = 1") == 2

    def test_a_view_over_one_sees_new_files(self, client: Client, orders: Path) -> None:
        client.execute("CREATE VIEW german AS SELECT id FROM orders WHERE country = 'DE'")
        client.commit()
        assert client.value("SELECT count(*) FROM german") == 2
        pq.write_table(ORDERS, orders / "2.parquet")
        assert client.value("SELECT count(*) FROM german") == 4

    def test_explain_names_it(self, client: Client, orders: Path) -> None:
        shown = dict(client.rows("EXPLAIN SELECT id FROM orders"))
        assert shown["neurolake_sources"] == "orders"
        assert "read_parquet" in shown["neurolake_sql"]

    def test_copy_out(self, client: Client, orders: Path, data: Path) -> None:
        assert client.change(f"COPY orders TO '{data}/out.csv'") == 3
        assert client.change(f"COPY (SELECT * FROM orders WHERE id = 1) TO '{data}/one.parquet'") == 1
        assert pacsv.read_csv(data / "out.csv").num_rows == 3
        assert pq.read_table(data / "one.parquet").num_rows == 1

    @pytest.mark.parametrize(
        "sql",
        ["INSERT INTO orders VALUES (4, 1.0, 'X')", "INSERT INTO main.orders SELECT * FROM orders",
         "UPDATE orders SET id = 1", "DELETE FROM orders", "TRUNCATE orders", "DROP TABLE orders",
         "DROP VIEW IF EXISTS orders", "ALTER TABLE orders ADD COLUMN x INT", "CREATE OR REPLACE TABLE orders (a INT)",
         "CREATE VIEW lake.main.orders AS SELECT 1", "CREATE INDEX i ON orders (id)",
         "MERGE INTO orders USING (SELECT 1 AS id) s ON orders.id = s.id WHEN MATCHED THEN DELETE",
         "COPY orders FROM 'x.csv'", "COMMENT ON TABLE orders IS 'x'", "ALTER TABLE orders RENAME TO o"],
    )  # fmt: skip
    def test_it_is_read_only(self, client: Client, orders: Path, sql: str) -> None:
        assert client.failure(sql).code == "read_only_relation"
        client.undo_failed()
        assert client.value("SELECT count(*) FROM orders") == 3


@both_sides
class TestProblems:
    def test_nothing_there(self, client: Client, data: Path) -> None:
        failure = client.failure("CALL neurolake.register('o', ?)", [str(data / "none.parquet")])
        assert (failure.code, str(data / "none.parquet") in failure.text) == ("source_missing", True)
        client.undo_failed()
        assert client.failure("CALL neurolake.register('o', ?)", [f"{data}/*.parquet"]).code == "source_empty"
        assert client.failure("CALL neurolake.register('o', ?)", [str(data)]).code == "source_empty"

    def test_a_format_that_cannot_be_told(self, client: Client, data: Path) -> None:
        (data / "o.dat").write_text("x")
        assert client.failure("CALL neurolake.register('o', ?)", [str(data / "o.dat")]).code == "format_unknown"
        sql = "CALL neurolake.register('o', ?, format => 'xls')"
        assert client.failure(sql, [str(data / "o.dat")]).code == "format_unknown"

    def test_an_option_that_is_none(self, client: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        sql = "CALL neurolake.register('o', ?, options => {'no_such': 1})"
        assert "no_such" in client.failure(sql, [str(data / "o.parquet")]).text
        evil = "CALL neurolake.register('o', ?, options => {'a) , (SELECT 1': 1})"
        assert client.failure(evil, [str(data / "o.parquet")]).code == "option_unknown"

    @pytest.mark.parametrize("cut", [4, 100, -1])
    def test_a_truncated_parquet_file(self, client: Client, orders: Path, cut: int) -> None:
        whole = (orders / "1.parquet").read_bytes()
        (orders / "bad.parquet").write_bytes(whole[:cut])
        failure = client.failure("SELECT count(*), sum(id) FROM orders")
        assert (failure.code, "bad.parquet" in failure.text) == ("source_corrupt", True)

    def test_a_file_that_is_no_parquet(self, client: Client, data: Path) -> None:
        (data / "o.parquet").write_text("this is text, and long enough to be looked at")
        failure = client.failure("CALL neurolake.register('o', ?)", [str(data / "o.parquet")])
        assert (failure.code, "o.parquet" in failure.text) == ("source_corrupt", True)

    def test_an_empty_file(self, client: Client, data: Path) -> None:
        (data / "o.parquet").touch()
        assert client.failure("CALL neurolake.register('o', ?)", [str(data / "o.parquet")]).code == "source_corrupt"

    def test_a_broken_line_of_csv(self, client: Client, data: Path) -> None:
        lines = [f"{n},x" for n in range(50_000)]
        lines[40_000] = "no number,x"
        (data / "o.csv").write_text("n,s\n" + "\n".join(lines) + "\n")
        client.register("o", data / "o.csv")
        failure = client.failure("SELECT sum(n) FROM o")
        assert failure.code == "source_csv_line"
        assert "40002" in failure.text
        assert "o.csv" in failure.text
        assert "ignore_errors" in failure.text

    def test_a_broken_line_of_json(self, client: Client, data: Path) -> None:
        lines = ['{"n": 1}'] * 50_000
        lines[40_000] = '{"n": 1'
        (data / "o.json").write_text("\n".join(lines))
        client.register("o", data / "o.json")
        failure = client.failure("SELECT sum(n) FROM o")
        assert (failure.code, "o.json" in failure.text) == ("source_json", True)

    def test_a_file_that_goes_while_it_is_registered(self, client: Client, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.register("o", data / "o.parquet")
        (data / "o.parquet").unlink()
        failure = client.failure("FROM o")
        assert failure.code in ("source_missing", "source_empty", "source_unreadable")
        assert "o.parquet" in failure.text

    def test_a_source_that_fails_does_not_stop_the_others(self, client: Client, orders: Path, data: Path) -> None:
        pq.write_table(ORDERS, data / "o.parquet")
        client.register("o", data / "o.parquet")
        (data / "o.parquet").write_text("broken now, for sure")
        assert client.failure("FROM o").code == "source_corrupt"
        client.undo_failed()
        assert client.value("SELECT count(*) FROM orders") == 3
