"""System tables and procedures: what they show, to whom it matters, and what they never show."""

from __future__ import annotations

import datetime
import secrets
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.clients import PASSWORD, Client

# What is answered does not depend on the client: the lake in this process and one driver suffice.
both_sides = pytest.mark.parametrize("opened", ["embedded", "flight"], indirect=True)

QUERIES = [
    ("query_id", pa.string()), ("user_name", pa.string()), ("role", pa.string()), ("client", pa.string()),
    ("sql", pa.string()), ("state", pa.string()), ("error_code", pa.string()),
    ("started_at", pa.float64()), ("duration_ms", pa.float64()), ("rows_out", pa.int64()),
    ("bytes_out", pa.int64()),
]  # fmt: skip
HOW_FAR = [
    ("own_session", pa.bool_()), ("step", pa.string()), ("bytes_done", pa.int64()), ("bytes_total", pa.int64()),
    ("progress", pa.float64()),
]  # fmt: skip


@pytest.fixture
def marker() -> str:
    """A name that no other test writes: the lakes and their histories outlive a test."""
    return f"marker_{secrets.token_hex(8)}"


def history(client: Client, text: str) -> list[dict[str, object]]:
    """The statements in history whose SQL holds a text, oldest first."""
    sql = "SELECT * FROM neurolake.queries WHERE contains(sql, ?) AND NOT contains(sql, 'contains') ORDER BY started_at"
    rows: list[dict[str, object]] = client.execute(sql, [text]).to_pylist()
    return rows


class TestHistory:
    def test_its_columns(self, client: Client) -> None:
        for name, columns in (("queries", QUERIES), ("running", QUERIES + HOW_FAR)):
            schema = client.execute(f"SELECT * REPLACE (epoch(started_at) AS started_at) FROM neurolake.{name}").schema
            assert list(zip(schema.names, schema.types, strict=True)) == columns

    def test_a_statement_is_there_once_with_what_it_delivered(self, client: Client, marker: str) -> None:
        table = client.execute(f"SELECT range AS {marker} FROM range(1000)")
        (row,) = history(client, marker)
        assert (row["state"], row["error_code"], row["rows_out"]) == ("done", None, 1000)
        assert 8000 <= row["bytes_out"] <= 8200  # type: ignore[operator]
        assert table.num_rows == 1000
        assert row["role"] == "admin"
        assert isinstance(row["started_at"], datetime.datetime)
        assert abs(datetime.datetime.now(datetime.UTC) - row["started_at"]) < datetime.timedelta(minutes=1)
        assert isinstance(row["duration_ms"], float)
        assert 0 < row["duration_ms"] < 60_000

    def test_a_failure_has_its_code_and_the_id_the_client_was_told(self, client: Client, marker: str) -> None:
        failure = client.failure(f"SELECT '{marker}'::DATE")
        client.undo_failed()
        (row,) = history(client, marker)
        assert (row["state"], row["error_code"], row["query_id"]) == ("failed", "conversion", failure.query_id)

    def test_a_failure_while_planning(self, client: Client, marker: str) -> None:
        failure = client.failure(f"SELECT {marker} FROM nowhere_at_all")
        client.undo_failed()
        (row,) = history(client, marker)
        assert (row["state"], row["error_code"], row["query_id"]) == ("failed", "not_found", failure.query_id)

    def test_a_failure_to_parse(self, client: Client, marker: str) -> None:
        client.failure(f"SELECTED {marker}")
        client.undo_failed()
        (row,) = history(client, marker)
        assert (row["state"], row["error_code"]) == ("failed", "syntax")

    def test_a_write_is_there_once(self, client: Client, marker: str) -> None:
        client.execute(f"CREATE TABLE {marker} (a INT)")
        client.change(f"INSERT INTO {marker} VALUES (1)")
        client.commit()
        assert [row["state"] for row in history(client, f"INSERT INTO {marker}")] == ["done"]
        assert [row["state"] for row in history(client, f"CREATE TABLE {marker}")] == ["done"]

    def test_a_script_is_one(self, client: Client, marker: str) -> None:
        client.execute(f"SELECT 1 AS in_a_script; SELECT 2 AS {marker}")
        assert len(history(client, marker)) == 1

    def test_many_rows_of_parameters_are_one(self, client: Client, marker: str) -> None:
        client.execute(f"CREATE TABLE {marker} (a BIGINT)")
        client.commit()
        if client.executes_many_at_once:
            client.executemany(f"INSERT INTO {marker} VALUES (?)", [[n] for n in range(10)])
            assert len(history(client, f"INSERT INTO {marker}")) == 1

    def test_a_result_left_half_read(self, client: Client, marker: str) -> None:
        ahead = client.stream(f"SELECT range AS {marker} FROM range(50_000_000)")
        next(ahead)
        del ahead
        until(lambda: bool(history(client, marker)))
        (row,) = history(client, marker)
        assert row["state"] in ("done", "cancelled")
        assert row["rows_out"] < 50_000_000  # type: ignore[operator]

    def test_a_load_is_there(self, client: Client, marker: str) -> None:
        client.load(marker, pa.table({"a": [1, 2]}), "create")
        client.commit()
        assert [row["state"] for row in history(client, marker)] == ["done"]

    def test_the_client_names_itself(self, client: Client, marker: str) -> None:
        client.execute(f"SELECT 1 AS {marker}")
        (row,) = history(client, marker)
        assert row["client"]
        assert row["user_name"] in ("owner", "admin")

    def test_filters_joins_and_aggregates_are_the_engines(self, client: Client) -> None:
        client.execute("SELECT 'filtered statement'")
        sql = """
            SELECT q.state, count(*) AS n FROM neurolake.queries q JOIN (VALUES ('done')) v(state) USING (state)
            WHERE q.sql LIKE '%filtered statement%' GROUP BY ALL
        """
        assert client.rows(sql)[0][0] == "done"

    def test_polling_on_one_cursor_sees_new_rows(self, client: Client) -> None:
        sql = "SELECT count(*) FROM neurolake.queries"
        seen = client.poll(sql, 3)
        assert seen == sorted(seen)
        assert seen[0] < seen[-1]


class TestRunning:
    def test_a_statement_sees_itself(self, client: Client) -> None:
        rows = client.rows("SELECT sql, state FROM neurolake.running WHERE contains(sql, 'sees_itself')")
        assert rows == [("SELECT sql, state FROM neurolake.running WHERE contains(sql, 'sees_itself')", "planning")]

    def test_a_half_read_result_is_running(self, client: Client, other: Client) -> None:
        ahead = client.stream("SELECT range AS still_running FROM range(100_000_000)")
        next(ahead)
        sql = (
            "SELECT state, rows_out > 0 AS rows FROM neurolake.running WHERE sql LIKE 'SELECT range AS still_running%'"
        )
        until(lambda: other.rows(sql) == [("streaming", True)])
        del ahead
        until(lambda: other.rows(sql) == [])


@both_sides
class TestTables:
    def test_columns(self, client: Client, data: Path) -> None:
        pq.write_table(pa.table({"a": [1], "b": ["x"]}), data / "s.parquet")
        client.execute("CREATE TABLE t (id BIGINT NOT NULL, v VARCHAR)")
        client.execute("CREATE VIEW v AS SELECT id FROM t")
        client.commit()
        client.register("s", data / "s.parquet")
        rows = client.rows(
            "SELECT table_schema, table_name, column_name, data_type, nullable FROM neurolake.columns "
            "WHERE table_schema = 'main' ORDER BY ALL"
        )
        assert rows == [
            ("main", "s", "a", "BIGINT", True), ("main", "s", "b", "VARCHAR", True),
            ("main", "t", "id", "BIGINT", False), ("main", "t", "v", "VARCHAR", True),
            ("main", "v", "id", "BIGINT", True),
        ]  # fmt: skip

    def test_columns_show_what_an_open_transaction_made(self, client: Client) -> None:
        client.begin()
        client.execute("CREATE TABLE made_here (a INT)")
        rows = client.rows("SELECT column_name FROM neurolake.columns WHERE table_name = 'made_here'")
        assert rows == [("a",)]
        client.rollback()
        assert client.rows("SELECT * FROM neurolake.columns WHERE table_name = 'made_here'") == []

    def test_sources(self, client: Client, data: Path) -> None:
        (data / "s.csv").write_text("a;b\n1;2\n")
        client.register("s", data / "s.csv", delim=";")
        (row,) = client.execute("SELECT * FROM neurolake.sources").to_pylist()
        assert (row["table_schema"], row["table_name"], row["format"], row["columns"]) == ("main", "s", "csv", 2)
        assert row["location"] == str(data / "s.csv")
        assert ";" in row["options"]
        assert row["registered_by"] in ("owner", "admin")

    def test_procedures(self, client: Client) -> None:
        rows = dict(client.rows("SELECT name, arguments FROM neurolake.procedures"))
        assert rows["register"] == "name, location, format => null, options => null"
        assert {"cancel", "unregister", "set_password"} <= set(rows)
        assert all(client.rows("SELECT help <> '' FROM neurolake.procedures")[0])

    def test_settings_hide_secrets(self, client: Client) -> None:
        rows = {row[0]: row[1:] for row in client.rows("SELECT name, value, source FROM neurolake.settings")}
        assert rows["history_rows_max"] == ("100000", "default")
        table = client.execute("SELECT * FROM neurolake.settings").to_pylist()
        assert PASSWORD not in str(table)

    def test_users_hide_passwords(self, client: Client) -> None:
        table = client.execute("SELECT * FROM neurolake.users")
        assert table.column_names == ["user_name", "role", "roles", "attributes", "created_at"]
        assert "argon2" not in str(table.to_pylist())

    @pytest.mark.parametrize(
        "name", ["neurolake.sources", "lake.neurolake.sources", '"neurolake"."sources"', "NEUROLAKE.Sources"]
    )
    def test_every_form_of_their_names(self, client: Client, name: str) -> None:
        assert client.rows(f"SELECT count(*) FROM {name} s") == [(0,)]
        assert client.execute(f"SELECT * FROM {name}").num_rows == 0
        assert client.rows(f"SELECT column_name FROM (DESCRIBE {name}) LIMIT 1") == [("table_schema",)]

    def test_one_that_is_none(self, client: Client) -> None:
        failure = client.failure("FROM neurolake.querys")
        assert (failure.code, "queries" in failure.text) == ("not_found", True)

    @pytest.mark.parametrize(
        "sql",
        ["INSERT INTO neurolake.users VALUES ('x', 'admin', now())", "DELETE FROM neurolake.queries",
         "UPDATE neurolake.settings SET value = '1'", "DROP TABLE neurolake.queries", "TRUNCATE neurolake.queries",
         "ALTER TABLE neurolake.users ADD COLUMN a INT"],
    )  # fmt: skip
    def test_they_are_read_only(self, client: Client, sql: str) -> None:
        assert client.failure(sql).code in ("read_only_relation", "reserved_name")

    def test_a_system_table_beside_a_table(self, client: Client) -> None:
        client.execute("CREATE TABLE mine AS SELECT 'threads' AS name")
        client.commit()
        sql = "SELECT s.value <> '' FROM neurolake.settings s, mine WHERE s.name = mine.name"
        assert client.rows(sql) == [(True,)]

    def test_information_schema(self, client: Client, data: Path) -> None:
        pq.write_table(pa.table({"a": [1]}), data / "s.parquet")
        client.execute("CREATE TABLE t (id INT)")
        client.commit()
        client.register("s", data / "s.parquet")
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
        assert client.rows(sql) == [("s",), ("t",)]
        sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'main' ORDER BY ALL"
        assert client.rows(sql) == [("s", "a"), ("t", "id")]
        assert client.rows("SELECT * FROM information_schema.tables WHERE table_schema LIKE '~_~_%' ESCAPE '~'") == []


@both_sides
class TestCall:
    @pytest.fixture
    def file(self, data: Path) -> str:
        pq.write_table(pa.table({"a": [1]}), data / "s.parquet")
        return str(data / "s.parquet")

    def test_positions(self, client: Client, file: str) -> None:
        rows = client.rows(f"CALL neurolake.register('s', '{file}')")
        assert rows == [("s", "parquet", file, 1)]

    def test_names(self, client: Client, file: str) -> None:
        client.execute(f"CALL neurolake.register(location => '{file}', name => 's', format => NULL)")
        assert client.rows("FROM s") == [(1,)]

    def test_both(self, client: Client, file: str) -> None:
        client.execute(f"CALL neurolake.register('s', location => '{file}', options => {{'binary_as_string': true}})")
        assert client.rows("FROM s") == [(1,)]

    def test_bound(self, client: Client, file: str) -> None:
        client.execute("CALL neurolake.register(?, location => ?)", ["s", file])
        assert client.rows("FROM s") == [(1,)]

    def test_forms(self, client: Client, file: str) -> None:
        client.execute(f"call lake.neurolake.register('a', '{file}');")
        client.execute(f"/* hi */ CALL \"neurolake\".register('b', '{file}') -- there")
        client.execute(f"CALL NeuroLake.Register('c', '{file}')")
        assert client.rows("SELECT table_name FROM neurolake.sources ORDER BY 1") == [("a",), ("b",), ("c",)]

    def test_odd_values(self, client: Client, data: Path) -> None:
        (data / "it's; odd.csv").write_text("x|y\n1|2\n")
        location = str(data / "it's; odd.csv").replace("'", "''")
        client.execute(f"CALL neurolake.register('s', '{location}', options => {{'delim': '|', 'skip': 0}})")
        assert client.rows("FROM s") == [(1, 2)]

    @pytest.mark.parametrize(
        ("call", "code"),
        [("neurolake.no_such()", "procedure_unknown"), ("neurolake.registr('a', 'b')", "procedure_unknown"),
         ("neurolake.register()", "argument"), ("neurolake.register('a')", "argument"),
         ("neurolake.register('a', 'b', 'c', 'd', 'e')", "argument"),
         ("neurolake.register('a', 'b', colour => 'red')", "argument"),
         ("neurolake.register('a', 'b', name => 'c')", "argument"),
         ("neurolake.register(1, 'b')", "argument"), ("neurolake.register('a', ['b'])", "argument"),
         ("neurolake.register(NULL, 'b')", "argument"), ("neurolake.register('', 'b')", "bad_name"),
         ("neurolake.register('a' || 'b', 'c')", "argument_not_constant"),
         ("neurolake.register((SELECT 'a'), 'b')", "argument_not_constant"),
         ("neurolake.register('a', 'b'", "syntax"), ("neurolake.register('a', 'b'), 1", "syntax")],
    )  # fmt: skip
    def test_a_wrong_call(self, client: Client, call: str, code: str) -> None:
        assert client.failure(f"CALL {call}").code == code

    def test_the_nearest_name_is_told(self, client: Client) -> None:
        assert "neurolake.register" in client.failure("CALL neurolake.registr('a', 'b')").text

    def test_a_missing_value(self, client: Client) -> None:
        assert client.failure("CALL neurolake.register('a', ?)").code in ("parameter_missing", "invalid_request")

    def test_one_of_the_engines_own(self, client: Client) -> None:
        assert client.rows("CALL range(3)") == [(0,), (1,), (2,)]


@both_sides
class TestSecrets:
    @pytest.mark.parametrize(
        ("call", "values"),
        [("CALL neurolake.set_password('nobody', 'hidd1')", None),
         ("CALL neurolake.set_password(name => 'nobody', password => 'hidd2')", None),
         ("CALL neurolake.set_password(password => 'hidd3', name => 'nobody')", None),
         ("/* c */ call neurolake.set_password( 'nobody' , 'hidd4' )", None),
         ("CALL neurolake.set_password('nobody', 'hid''d5')", None),
         ("CALL neurolake.set_password('nobody', $$hidd6$$)", None),
         ("CALL neurolake.set_password('nöbödy 🦆', 'hidd7')", None),
         ("CALL neurolake.set_password(?, ?)", ["nobody", "hidd8"]),
         ("CALL neurolake.set_password('nobody', E'hidd9')", None),
         ("CALL neurolake.set_password('nobody', 'hidd10'::VARCHAR)", None),
         ("CALL neurolake.set_password('nobody', CAST('hidd11' AS VARCHAR))", None),
         ("CALL neurolake.set_password('nobody', VARCHAR 'hidd12')", None)],
    )  # fmt: skip
    def test_a_password_is_never_stored_or_told(
        self, client: Client, call: str, values: list[object] | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        failure = client.failure(call, values)
        assert failure.code == "password_too_short"
        client.undo_failed()
        assert "hid" not in failure.text + caplog.text
        rows = client.rows(
            "SELECT sql FROM neurolake.queries WHERE sql ILIKE '%set_password%' ORDER BY started_at DESC LIMIT 1"
        )
        assert "***" in rows[0][0]
        assert "hid" not in rows[0][0]

    @pytest.mark.parametrize(
        "call",
        ["CALL neurolake.set_password('nobody', 'hidden-text' || 'x')", "CALL neurolake.set_password('hidden-text')",
         "CALL neurolake.set_password('nobody', \"hidden-text\")", "CALL set_password('nobody', 'hidden-text')",
         "SET s3_secret_access_key = 'hidden-text'", "CREATE SECRET s (TYPE s3, SECRET 'hidden-text')",
         "CALL neurolake.set_password('nobody', pasword => 'hidden-text')",
         "CALL neurolake.set_password('nobody', 'x', 'hidden-text')",
         "CALL neurolake.set_password('nobody', 'hidden-text'",
         "EXPLAIN CALL neurolake.set_password('a', 'hidden-text')",
         "SELECT 1; CALL neurolake.set_password('nobody', 'hidden-text')"],
    )  # fmt: skip
    def test_nor_in_a_call_that_is_wrong(
        self, client: Client, call: str, marker: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        client.failure(call.replace("hidden-text", marker))
        client.undo_failed()
        rows = client.rows("SELECT sql FROM neurolake.queries")
        assert marker not in str(rows) + caplog.text


def until(happens: object, seconds: float = 5.0) -> None:
    """Wait for something that takes a moment."""
    assert callable(happens)
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
