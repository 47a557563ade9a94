"""Registered sources: every format and layout, new files, names, what may stand around them, what they refuse."""

from __future__ import annotations

import gzip
import io
import json
import secrets
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from contract.clients import Client, Flight
from contract.conftest import uri
from flight.service import Service
from neurolake import errors
from neurolake.lake import EmbeddedLake

# How files are read does not depend on the client: the lake in this process and one driver suffice.
both_sides = pytest.mark.parametrize("opened", ["embedded", "flight"], indirect=True)

ORDERS = pa.table({
    "id": pa.array([1, 2, 3], pa.int64()), "amount": [9.5, 20.0, None], "country": ["DE", "FR", "DE"],
})  # fmt: skip
ROWS = [(1, 9.5, "DE"), (2, 20.0, "FR"), (3, None, "DE")]


def folder_of(data: Path, names: Sequence[str], stored: str) -> str:
    """A folder with a file of one row under each name, here or in storage; its location."""
    base = f"/{secrets.token_hex(8)}"
    for name in names:
        made = io.BytesIO()
        if "json" in name:
            made.write(b'{"n": 1}\n')
        elif "sv" in name.lower():
            made.write(gzip.compress(b"n\n1\n") if name.endswith(".gz") else b"n\n1\n")
        else:
            pq.write_table(pa.table({"n": [1]}), made)
        if stored == "remote":
            fsspec.filesystem("memory").pipe(f"{base}/{name}", made.getvalue())
        else:
            (data / name).parent.mkdir(exist_ok=True)
            (data / name).write_bytes(made.getvalue())
    return f"memory:/{base}/" if stored == "remote" else str(data)


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

    @pytest.mark.parametrize(
        ("names", "location"),
        [
            (["a.ndjson", "deep/b.ndjson"], "/**/[!.]*.ndjson"), (["a.jsonl", "b.jsonl"], "/**/[!.]*.jsonl"),
            (["a.tsv", "b.tsv"], "/**/[!.]*.tsv"), (["a.psv", "b.psv"], "/**/[!.]*.psv"),
            (["a.pq", "b.pq"], "/**/[!.]*.pq"), (["a.parq", "b.parq"], "/**/[!.]*.parq"),
            (["a.CSV", "b.CSV"], "/**/[!.]*.CSV"), (["a.csv.gz", "b.csv.gz"], "/**/[!.]*.csv.gz"),
            (["a.csv", "b.csv.gz"], "/**/[!.]*.csv*"),
            (["a.csv", "b.csv", ".c.csv.crc", "._a.csv", "c.csv.bak", "d.csvx"], "/**/[!.]*.csv"),
            (["a.parquet", "b.parquet", ".a.parquet.crc", "b.parquet.crc", "_SUCCESS"], "/**/[!.]*.parquet"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("stored", ["local", "remote"])
    def test_a_folder_of_any_ending(
        self, client: Client, data: Path, names: list[str], location: str, stored: str
    ) -> None:
        base = folder_of(data, names, stored)
        client.register("o", base)
        assert client.value("SELECT count(*) FROM o") == 2
        assert client.value("SELECT location FROM neurolake.sources") == base.rstrip("/") + location

    @pytest.mark.parametrize("stored", ["local", "remote"])
    def test_a_folder_of_several_kinds_is_refused(self, client: Client, data: Path, stored: str) -> None:
        base = folder_of(data, ["a.csv", "b.parquet", "c.tsv"], stored)
        for named, kinds in ((None, ".csv, .parquet, .tsv"), ("csv", ".csv, .tsv")):
            failure = client.failure("CALL neurolake.register('o', ?, format => ?)", [base, named])
            assert failure.code == "format_mixed"
            assert f"{kinds}. Register each kind under a name of its own" in failure.text
            client.undo_failed()
        client.register("o", base, "parquet")
        assert client.value("SELECT count(*) FROM o") == 1

    @pytest.mark.parametrize("stored", ["local", "remote"])
    def test_a_folder_whose_names_say_nothing(self, client: Client, data: Path, stored: str) -> None:
        base = folder_of(data, ["part-0", "part-1"], stored)
        failure = client.failure("CALL neurolake.register('o', ?)", [base])
        assert (failure.code, "format => 'parquet'" in failure.text) == ("source_empty", True)
        client.undo_failed()
        client.register("o", f"{base.rstrip('/')}/**/*", "parquet")
        assert client.value("SELECT count(*) FROM o") == 2

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

    @pytest.mark.parametrize("read_before", [False, True])
    def test_a_column_that_is_gone_is_named(self, client: Client, data: Path, *, read_before: bool) -> None:
        name = f"o_{secrets.token_hex(4)}"  # one that nobody has looked at lately
        pq.write_table(ORDERS, data / "1.parquet")
        client.register(name, data)
        if read_before:
            assert client.value(f"SELECT count(*) FROM {name}") == 3
        pq.write_table(ORDERS.drop_columns(["amount"]), data / "1.parquet")
        for _ in range(2):  # the catalog follows by itself; what has gone is said all the same
            failure = client.failure(f"SELECT amount FROM {name}")
            assert failure.code == "source_changed_columns"
            assert "(gone: amount)" in failure.text
            assert f"DESCRIBE {name} shows them" in failure.text
            client.undo_failed()
        assert [row[0] for row in client.rows(f"DESCRIBE {name}")] == ["id", "country"]

    def test_a_column_of_another_type_is_named(self, client: Client, orders: Path) -> None:
        text = ORDERS.set_column(1, "amount", ORDERS["amount"].cast(pa.string()))
        pq.write_table(text, orders / "1.parquet")
        failure = client.failure("SELECT sum(amount) FROM orders")
        assert failure.code == "source_changed_columns"
        assert "of another type: amount (DOUBLE → VARCHAR)" in failure.text

    def test_a_slip_is_not_put_down_to_a_change(self, client: Client, orders: Path) -> None:
        pq.write_table(ORDERS.drop_columns(["amount"]), orders / "1.parquet")
        assert client.failure("SELECT no_such FROM orders").code == "binding"

    def test_what_comes_back_has_not_changed(self, client: Client, orders: Path) -> None:
        pq.write_table(ORDERS.drop_columns(["amount"]), orders / "1.parquet")
        assert client.failure("SELECT amount FROM orders").code == "source_changed_columns"
        client.undo_failed()
        pq.write_table(ORDERS, orders / "1.parquet")
        assert client.value("SELECT max(amount) FROM orders") == 20.0

    def test_the_log_names_what_has_changed(self, client: Client, data: Path, caplog: pytest.LogCaptureFixture) -> None:
        name = f"o_{secrets.token_hex(4)}"
        pq.write_table(ORDERS, data / "1.parquet")
        client.register(name, data)
        columns = {"id": pa.array(["a"]), "country": ["DE"], "more": pa.array([1], pa.int64())}
        pq.write_table(pa.table(columns), data / "1.parquet")
        assert client.value(f"SELECT max(more) FROM {name}") == 1
        assert [record.getMessage() for record in caplog.records if name in record.getMessage()] == [
            f"the columns of the source {name} have changed: "
            "gone: amount; of another type: id (BIGINT → VARCHAR); new: more (BIGINT)"
        ]

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

    def test_of_two_sources_the_one_at_fault_is_named(self, client: Client, orders: Path, data: Path) -> None:
        (data / "customers.csv").write_text("id,name\n1,x\n")
        client.register("customers", data / "customers.csv")
        sql = "SELECT count(name) FROM customers JOIN orders USING (id)"
        assert client.value(sql) == 1
        whole = (orders / "1.parquet").read_bytes()
        (orders / "1.parquet").write_bytes(whole[:100])
        self.refused(client, sql, "source_corrupt", "1.parquet", "customers.csv")
        (orders / "1.parquet").unlink()
        self.refused(client, sql, "source_empty", str(orders), "customers.csv")
        (orders / "1.parquet").write_bytes(whole)
        (data / "customers.csv").write_text("id,name\n" + "1,x\n" * 40_000 + '1,"x" y,z\n')
        self.refused(client, sql, "source_csv_line", "customers.csv", "parquet")

    def test_where_it_may_be_either_none_is_named(self, client: Client, data: Path) -> None:
        for name in ("a", "b"):
            (data / f"{name}.csv.zst").write_bytes(compressed(b"n\n1\n"))
            client.register(name, data / f"{name}.csv.zst")
        assert client.value("SELECT count(*) FROM a JOIN b USING (n)") == 1
        (data / "b.csv.zst").write_bytes(b"neither compressed nor a table of any kind")
        self.refused(client, "SELECT count(*) FROM a JOIN b USING (n)", "source_corrupt", "is damaged", "a.csv.zst")
        self.refused(client, "SELECT count(*) FROM b", "source_corrupt", "b.csv.zst", "a.csv.zst")

    @staticmethod
    def refused(client: Client, sql: str, code: str, names: str, but_not: str) -> None:
        failure = client.failure(sql)
        text = failure.text.split("Detail:")[0]
        assert (failure.code, names in text, but_not in text) == (code, True, False), text
        client.undo_failed()

    @pytest.mark.parametrize(
        ("name", "contents", "code", "next_step"),
        [
            ("none.parquet", None, "source_empty", "Check the pattern"),
            ("none*.csv", None, "source_empty", "Check the pattern"),
            ("o.parquet", b"PAR1, and nothing that follows from it, PAR1", "source_corrupt", "Restore the file"),
            ("o.csv", b"a,b\n" + b"1,2\n" * 30_000 + b'3,4,5\n"', "source_csv_line", "of register and of read_csv"),
            ("o.json", b'{"a": 1}\n' * 30_000 + b'{"a":', "source_json", "of register and of read_json"),
            ("o.csv.gz", b"no gzip at all", "source_corrupt", "Restore the file"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("stored", ["local", "remote"])
    def test_a_file_that_the_text_names(
        self, client: Client, data: Path, name: str, contents: bytes | None, code: str, next_step: str, stored: str
    ) -> None:
        location = f"{data}/{name}"
        if stored == "remote":
            folder = secrets.token_hex(8)
            location = f"memory://{folder}/{name}"
            if contents is not None:
                fsspec.filesystem("memory").pipe(f"/{folder}/{name}", contents)
            elif "*" not in name:
                code, next_step = "source_missing", "Check the path"
        elif contents is not None:
            (data / name).write_bytes(contents)
        failure = client.failure(f"FROM '{location}'")
        assert (failure.code, location in failure.text, next_step in failure.text) == (code, True, True), failure.text

    def test_damage_inside_a_parquet_file(self, client: Client, data: Path) -> None:
        pq.write_table(pa.table({"id": list(range(100_000))}), data / "o.parquet")
        whole = (data / "o.parquet").read_bytes()
        (data / "o.parquet").write_bytes(whole[:5] + b"\xff" * 3000 + whole[3005:])
        failure = client.failure(f"SELECT sum(id) FROM '{data}/o.parquet'")
        assert (failure.code, f"{data}/o.parquet" in failure.text) == ("source_corrupt", True)

    @pytest.mark.parametrize(
        ("sql", "code"),
        [
            ("SELECT footer FROM (SELECT 1 AS a)", "binding"), ("SELECT 'GZIP'::INT", "conversion"),
            ("SELECT '{'::JSON", "conversion"), ("COPY (SELECT 1) TO '/no/such/folder/x.csv'", "source_failed"),
        ],
    )  # fmt: skip
    def test_what_only_sounds_like_a_file(self, client: Client, sql: str, code: str) -> None:
        assert client.failure(sql).code == code


def compressed(data: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return bytes(out.getvalue())


@pytest.fixture
def folder() -> str:
    """A folder in storage with one file of one row."""
    name = secrets.token_hex(8)
    put(name, 1)
    return name


def put(folder: str, number: int) -> None:
    fsspec.filesystem("memory").pipe(f"/{folder}/{number}.csv", b"n\n%d\n" % number)


@both_sides
class TestStorage:
    """What stands in storage: every statement lists it anew, however it comes to read it."""

    @pytest.mark.parametrize(
        "relation", ["'{0}'", "read_csv('{0}')", "read_csv(['{0}', '{0}'])", "query('FROM \"{0}\"')", "seen", "o"]
    )
    def test_the_next_statement_sees_a_new_file(self, client: Client, folder: str, relation: str) -> None:
        pattern = f"memory://{folder}/*.csv"
        client.execute(f"CREATE VIEW seen AS FROM '{pattern}'")
        client.register("o", pattern)
        client.commit()
        for number in (2, 3):
            put(folder, number)
            assert client.value(f"SELECT max(n)::INT FROM {relation.format(pattern)}") == number

    def test_so_does_one_that_was_prepared(self, client: Client, folder: str) -> None:
        client.execute(f"PREPARE p AS SELECT max(n)::INT FROM 'memory://{folder}/*.csv'")
        for number in (2, 3):
            put(folder, number)
            assert client.value("EXECUTE p") == number

    def test_so_does_a_write(self, client: Client, folder: str) -> None:
        pattern = f"memory://{folder}/*.csv"
        client.execute(f"CREATE TABLE t AS FROM '{pattern}'")
        for number in (2, 3):
            put(folder, number)
            assert client.change(f"COPY t FROM '{pattern}'") == number

    @pytest.mark.parametrize("ending", ["json", "json.gz", "csv.gz"])
    def test_files_read_from_end_to_end_by_several_threads(self, client: Client, folder: str, ending: str) -> None:
        csv = ending.startswith("csv")
        rows = (f"{n},{n * 7919}\n" if csv else f'{{"n": {n}, "s": "{n * 7919}"}}\n' for n in range(200_000))
        text = ("n,s\n" * csv + "".join(rows)).encode()
        file = gzip.compress(text, 1) if ending.endswith("gz") else text
        fsspec.filesystem("memory").pipe(f"/{folder}/x.{ending}", file)
        sql = f"SELECT count(*), sum(n)::BIGINT, sum(s::BIGINT)::BIGINT FROM 'memory://{folder}/x.{ending}'"
        total = 200_000 * 199_999 // 2
        assert client.rows(sql) == [(200_000, total, total * 7919)]

    def test_a_file_that_is_written_anew(self, client: Client, folder: str) -> None:
        for number in (1, 7):
            fsspec.filesystem("memory").pipe(f"/{folder}/1.csv", b"n\n%d\n" % number)
            assert client.value(f"SELECT max(n)::INT FROM 'memory://{folder}/1.csv'") == number


def test_a_statement_that_the_driver_prepared_sees_a_new_file(service: Service, folder: str) -> None:
    with closing(Flight(uri(service), autocommit=True)) as client, client.connection.cursor() as cursor:
        for number in (2, 3):
            put(folder, number)
            cursor.execute(f"SELECT max(n)::INT FROM 'memory://{folder}/*.csv'")
            assert cursor.fetchone() == (number,)


class TestLoads:
    """Files that an embedded lake loads."""

    @pytest.mark.parametrize("stored", ["local", "remote"])
    def test_a_load_of_a_pattern_and_of_a_folder_takes_new_files(
        self, embedded_lake: EmbeddedLake, data: Path, stored: str
    ) -> None:
        base = folder_of(data, ["1.tsv"], stored)
        for count in (1, 2, 3):
            if stored == "remote":
                fsspec.filesystem("memory").pipe(f"{base.removeprefix('memory:/')}{count}.tsv", b"n\n1\n")
            else:
                (data / f"{count}.tsv").write_text("n\n1\n")
            assert embedded_lake.load("loaded", f"{base.rstrip('/')}/*.tsv", mode="replace") == count
            assert embedded_lake.load("loaded", base, mode="replace") == count
        embedded_lake.sql("DROP TABLE loaded").fetchall()

    @pytest.mark.parametrize(
        ("name", "contents", "code"),
        [
            ("o.csv", "a,b\n" + "1,2\n" * 30_000 + '3,4,5\n"', "source_csv_line"),
            ("o.parquet", "no Parquet at all", "source_corrupt"),
        ],
    )
    def test_a_file_that_cannot_be_read(
        self, embedded_lake: EmbeddedLake, data: Path, name: str, contents: str, code: str
    ) -> None:
        (data / name).write_text(contents)
        with pytest.raises(errors.SourceFailed) as caught:
            embedded_lake.load("loaded", data / name)
        assert caught.value.code == code
        assert caught.value.next_step
        assert str(data / name) in caught.value.message
