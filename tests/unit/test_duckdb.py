"""What we rely on in DuckDB 2.0 beyond its documentation; this fails when a new version moves it."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from duckdb import _seam

from neurolake import errors
from neurolake._duckdb import Cursor, Instance, InstanceOptions
from neurolake.engine_errors import translate


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    opened = Instance(options(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def cursor(instance: Instance) -> Cursor:
    return instance.cursor()


def options(folder: Path, path: str | None = None) -> InstanceOptions:
    return InstanceOptions(path, str(folder), memory_bytes_max=1_000_000_000, temp_bytes_max=1_000_000_000, threads=2)


class TestSeam:
    """`duckdb._seam`, which is not public."""

    def test_its_functions_take_what_we_give(self) -> None:
        assert list(inspect.signature(_seam.bind).parameters) == ["con", "sql", "capture", "values"]
        assert list(inspect.signature(_seam.submit).parameters) == ["con", "sql", "values", "format", "batch_size"]
        assert list(inspect.signature(_seam.arrow_schema).parameters) == ["con", "names", "types"]

    def test_the_binder_names_columns_types_and_parameters(self) -> None:
        seen = _seam.bind(duckdb.connect(), "SELECT $a::INTEGER + 1 AS x, 'y' AS y")
        assert seen.names == ["x", "y"]
        assert [str(kind) for kind in seen.types][1] == "VARCHAR"
        assert [name for name, _ in seen.parameters] == ["a"]
        assert (seen.return_type, seen.writes, seen.deferred) == ("query_result", False, False)

    def test_a_parameter_without_a_type_is_known_with_its_value(self) -> None:
        connection = duckdb.connect()
        assert [str(kind) for kind in _seam.bind(connection, "SELECT $a + 1 AS x").types] == ["UNKNOWN"]
        assert _seam.bind(connection, "SELECT $a + 1 AS x", values={"a": 1}).names == ["x"]

    @pytest.mark.parametrize(
        ("sql", "returns", "writes"),
        [("SELECT 1", "query_result", False), ("INSERT INTO t VALUES (1)", "changed_rows", True),
         ("INSERT INTO t VALUES (1) RETURNING a", "query_result", True), ("CREATE TABLE u (a INT)", "nothing", True),
         ("DELETE FROM t", "changed_rows", True), ("EXPLAIN SELECT 1", "query_result", False),
         ("DESCRIBE t", "query_result", False), ("PREPARE p AS SELECT 1", "nothing", False)],
    )  # fmt: skip
    def test_what_a_statement_returns(self, sql: str, returns: str, writes: bool) -> None:
        connection = duckdb.connect()
        connection.execute("CREATE TABLE t (a INT)")
        seen = _seam.bind(connection, sql)
        assert (seen.return_type, seen.writes) == (returns, writes)
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]

    def test_submit_gives_rows_a_table_or_a_stream(self) -> None:
        connection = duckdb.connect()
        assert _seam.submit(connection, "SELECT 1 AS a", None).fetchall() == [(1,)]
        assert _seam.submit(connection, "SELECT 1 AS a", None, "arrow").arrow_table().to_pydict() == {"a": [1]}
        reader = _seam.submit(connection, "FROM range(10_000)", None, "stream", 4096).arrow_reader()
        assert isinstance(reader, pa.RecordBatchReader)
        assert [batch.num_rows for batch in reader] == [4096, 4096, 1808]

    def test_a_statement_object_knows_its_kind_text_and_parameters(self) -> None:
        first, second = duckdb.connect().extract_statements("SELECT $a; INSERT INTO t VALUES (?)")
        assert (first.type.name, first.query.strip(" ;"), set(first.named_parameters)) == ("SELECT", "SELECT $a", {"a"})
        assert second.type.name == "INSERT"


class TestCursor:
    def test_binding_runs_nothing(self, cursor: Cursor) -> None:
        cursor.run("CREATE SEQUENCE s")
        assert cursor.bind("SELECT nextval('s') AS n").names == ("n",)
        assert cursor.rows("SELECT nextval('s')") == [(1,)]

    def test_the_bound_schema_is_the_streams(self, cursor: Cursor) -> None:
        sql = "SELECT 1 AS a, 2 AS a, 'x' AS b, [1.5] AS c, {'k': NOW()} AS d, NULL AS e, 1 AS \"A\""
        bound = cursor.bind(sql).schema
        reader = cursor.stream(sql)
        assert reader.schema == bound
        reader.close()

    def test_a_parameter_without_a_type(self, cursor: Cursor) -> None:
        binding = cursor.bind("SELECT ? AS x")
        assert binding.schema is None
        assert binding.parameter_schema == pa.schema([("1", pa.string())])
        typed = cursor.bind("SELECT ? AS x", [1.5]).schema
        assert typed is not None
        assert typed.field("x").type == pa.float64()

    def test_a_stream_holds_the_cursor_until_it_is_closed(self, cursor: Cursor) -> None:
        reader = cursor.stream("FROM range(1_000_000)")
        with pytest.raises(errors.NeuroLakeError):
            cursor.rows("SELECT 1")
        reader.close()
        assert cursor.rows("SELECT 1") == [(1,)]

    def test_an_interrupt_ends_a_statement_from_another_thread(self, cursor: Cursor) -> None:
        over = threading.Event()

        def press() -> None:
            while not over.wait(0.02):
                cursor.interrupt()

        thread = threading.Thread(target=press)
        thread.start()
        start = time.monotonic()
        with pytest.raises(errors.Cancelled):
            cursor.rows("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b WHERE a.range + b.range < 0")
        assert time.monotonic() - start < 2
        over.set()
        thread.join()

    def test_an_interrupt_of_a_closed_cursor_is_forgotten(self, cursor: Cursor) -> None:
        cursor.close()
        cursor.interrupt()

    def test_an_interrupt_of_an_idle_cursor_is_forgotten(self, cursor: Cursor) -> None:
        cursor.interrupt()
        assert cursor.rows("SELECT 1") == [(1,)]

    def test_an_interrupt_in_the_midst_of_a_stream(self, cursor: Cursor) -> None:
        reader = cursor.stream("FROM range(1_000_000_000)", rows_per_batch=2048)
        reader.read_next_batch()
        cursor.interrupt()
        with pytest.raises(OSError, match="INTERRUPT") as caught:
            for _ in reader:
                pass
        assert isinstance(cursor.stream_problem(caught.value), errors.Cancelled)

    def test_what_was_lent_can_be_read_and_is_taken_back(self, cursor: Cursor) -> None:
        cursor.attach("lent", pa.table({"a": [1]}))
        assert cursor.rows("FROM lent") == [(1,)]
        cursor.detach("lent")
        with pytest.raises(errors.NotFound):
            cursor.rows("FROM lent")

    def test_a_view_can_be_lent_too(self, cursor: Cursor) -> None:
        cursor.attach("lent", "SELECT 42 AS a")
        assert cursor.rows("FROM main.lent") == [(42,)]
        cursor.detach("lent")
        with pytest.raises(errors.NotFound):
            cursor.rows("FROM lent")

    @pytest.mark.parametrize("lent", [pa.table({"a": [1]}), "SELECT 1 AS a"], ids=["table", "view"])
    def test_what_a_failed_transaction_was_lent_is_taken_back_after_it(self, cursor: Cursor, lent: object) -> None:
        cursor.run("BEGIN")
        cursor.attach("lent", lent)
        with pytest.raises(errors.ConversionFailed):
            cursor.rows("SELECT 'x'::INT FROM lent")
        cursor.detach("lent")
        cursor.run("ROLLBACK")
        with pytest.raises(errors.NotFound):
            cursor.rows("FROM lent")
        cursor.attach("lent", lent)
        assert cursor.rows("FROM lent") == [(1,)]

    def test_python_variables_are_out_of_reach(self, cursor: Cursor) -> None:
        secret = pa.table({"a": [1]})
        with pytest.raises(errors.NotFound):
            cursor.rows("FROM secret")
        assert secret.num_rows == 1


class TestInstance:
    def test_cursors_come_back(self, instance: Instance) -> None:
        cursor = instance.acquire()
        instance.release(cursor)
        assert instance.acquire() is cursor

    @pytest.mark.parametrize(
        "sql",
        ["SET threads = 1", "SET memory_limit = '1GB'", "SET lock_configuration = false",
         "SET enable_external_access = true", "SET allow_community_extensions = true",
         "SET autoinstall_known_extensions = true", "PRAGMA threads = 1", "SET python_enable_replacements = true",
         "SET default_null_order = 'nulls_first'"],
    )  # fmt: skip
    def test_its_settings_are_locked(self, instance: Instance, sql: str) -> None:
        before = instance.acquire_and(lambda c: c.rows("SELECT name, value FROM duckdb_settings() ORDER BY 1"))
        with pytest.raises(errors.NeuroLakeError):
            instance.cursor().run(sql)
        after = instance.acquire_and(lambda c: c.rows("SELECT name, value FROM duckdb_settings() ORDER BY 1"))
        assert before == after

    def test_settings_of_a_session_stay_on_their_cursor(self, instance: Instance) -> None:
        one, two = instance.cursor(), instance.cursor()
        one.run("SET TimeZone = 'Asia/Tokyo'")
        assert two.rows("SELECT current_setting('TimeZone')") != [("Asia/Tokyo",)]

    def test_the_one_catalog_is_called_lake(self, tmp_path: Path, instance: Instance) -> None:
        assert instance.cursor().rows("SELECT current_database()") == [("lake",)]
        on_disk = Instance(options(tmp_path, str(tmp_path / "lake.duckdb")))
        assert on_disk.cursor().rows("SELECT current_database()") == [("lake",)]
        on_disk.close()

    def test_it_reads_no_file_outside_what_is_allowed(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.csv").write_text("a\n1\n")
        (tmp_path / "out.csv").write_text("a\n2\n")
        closed = InstanceOptions(
            None, str(tmp_path / "in"), 1_000_000_000, 1_000_000_000, 2, allowed_locations=(str(tmp_path / "in"),)
        )
        instance = Instance(closed)
        cursor = instance.cursor()
        assert cursor.rows(f"FROM read_csv('{tmp_path}/in/a.csv')") == [(1,)]
        for sql in (
            f"FROM read_csv('{tmp_path}/out.csv')", f"FROM read_csv('{tmp_path}/in/../out.csv')",
            "FROM read_text('/etc/passwd')", f"COPY (SELECT 1) TO '{tmp_path}/made.csv'",
            f"ATTACH '{tmp_path}/made.duckdb' AS m", "FROM glob('/etc/*')",
        ):  # fmt: skip
            with pytest.raises(errors.NeuroLakeError):
                cursor.rows(sql)
        assert not (tmp_path / "made.csv").exists()
        instance.close()

    def test_a_fatal_error_opens_it_again_once(self, tmp_path: Path) -> None:
        instance = Instance(options(tmp_path, str(tmp_path / "lake.duckdb")))
        cursor = instance.cursor()
        cursor.run("CREATE TABLE t AS SELECT 1 AS a")
        problem = translate(duckdb.FatalException("FATAL Error: Failed: database has been invalidated"), None)
        assert (problem.code, problem.retryable) == ("engine_restarted", True)
        for _ in range(3):
            instance.reopen(cursor.generation)
        assert instance.generation == 1
        assert instance.cursor().rows("FROM t") == [(1,)]
        instance.release(cursor)
        assert instance.acquire() is not cursor
        instance.close()


class TestTranslate:
    @pytest.mark.parametrize(
        ("error", "kind", "code"),
        [(duckdb.ParserException("Parser Error: no"), errors.SyntaxProblem, "syntax"),
         (duckdb.CatalogException("Catalog Error: Table t does not exist"), errors.NotFound, "not_found"),
         (duckdb.CatalogException("Catalog Error: Table t already exists!"), errors.AlreadyExists, "already_exists"),
         (duckdb.BinderException("Binder Error: no"), errors.InvalidRequest, "binding"),
         (duckdb.ConstraintException("Constraint Error: no"), errors.ConstraintViolated, "constraint"),
         (duckdb.ConversionException("Conversion Error: no"), errors.ConversionFailed, "conversion"),
         (duckdb.OutOfRangeException("Out of Range Error: no"), errors.ConversionFailed, "conversion"),
         (duckdb.InterruptException("INTERRUPT Error: no"), errors.Cancelled, "cancelled"),
         (duckdb.OutOfMemoryException("Out of Memory Error: no"), errors.LimitReached, "memory_limit"),
         (duckdb.IOException("IO Error: no"), errors.SourceFailed, "source_failed"),
         (duckdb.TransactionException("TransactionContext Error: no"), errors.InvalidRequest, "transaction"),
         (duckdb.PermissionException("Permission Error: no"), errors.AccessDenied, "access_denied"),
         (duckdb.NotImplementedException("Not implemented Error: no"), errors.NotSupported, "not_supported"),
         (duckdb.FatalException("FATAL Error: no"), errors.Unavailable, "engine_restarted"),
         (duckdb.InternalException("INTERNAL Error: no"), errors.InternalProblem, "internal")],
        ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
    )  # fmt: skip
    def test_each_kind(self, error: duckdb.Error, kind: type[errors.NeuroLakeError], code: str) -> None:
        problem = translate(error, None)
        assert (type(problem), problem.code) == (kind, code)

    def test_the_engines_own_words_without_its_insides(self) -> None:
        problem = translate(duckdb.BinderException("Binder Error: what\n\nStack Trace:\n\n0 duckdb::X"), None)
        assert problem.message == "what"

    @pytest.mark.parametrize("kind", [duckdb.InternalException, duckdb.FatalException])
    def test_the_log_has_the_place_of_an_internal_error_and_none_of_its_words(
        self, kind: type[duckdb.Error], caplog: pytest.LogCaptureFixture
    ) -> None:
        text = (
            'INTERNAL Error: Duplicate key "mail: ada@example.org", Original Line: 7,ada\n\nStack Trace:\n\n'
            "/opt/lib/_duckdb.so(_ZN6duckdb9ExceptionC2E+0x4b) [0x7f2a1b41e56b]\npython(_start+0x21) [0x562f9b102081]\n"
            "\nThis error signals an assertion failure within DuckDB."
        )
        problem = translate(kind(text), None)
        assert "ada" not in caplog.text + str(problem)
        assert f"{kind.__name__}\n  at _duckdb.so(_ZN6duckdb9ExceptionC2E+0x4b)\n  at python(_start" in caplog.text

    def test_the_log_says_where_a_file_is_damaged(self, caplog: pytest.LogCaptureFixture) -> None:
        translate(
            duckdb.Error('Failure while replaying WAL file "x": Corrupt WAL file: entry at byte position 7'), None
        )
        assert "engine error: Error: Corrupt WAL file: entry at byte position 7" in caplog.text

    def test_the_log_has_the_place_of_a_real_one(self, instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
        cursor = instance.cursor()
        lowest = cursor.table("SELECT (-170141183460469231731687303715884105728)::HUGEINT AS h, 'ada' AS name")
        cursor.attach("lowest", lowest)
        with pytest.raises(errors.NeuroLakeError):
            cursor.rows("SELECT h::VARCHAR FROM lowest")
        assert "engine error: InternalException" in caplog.text
        assert "HUGEINT" not in caplog.text

    def test_a_file_systems_own_error_comes_first(self) -> None:
        ours = errors.SourceFailed("The bucket is not there.", code="bucket_missing")
        assert translate(duckdb.IOException("IO Error: ours"), lambda error: ours) is ours
