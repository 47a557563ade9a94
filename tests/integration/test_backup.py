"""Snapshots of a real lake: what comes back, what is found damaged, what is refused, and what a crash leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import neurolake
from neurolake import errors
from neurolake.backup import manifest
from neurolake.backup.faults import POINTS

SETUP = (
    "CREATE SEQUENCE ids START 5",
    "CREATE SCHEMA sales",
    "CREATE TYPE mood AS ENUM ('good', 'bad')",
    "CREATE TABLE people (id INTEGER DEFAULT nextval('ids') PRIMARY KEY, name VARCHAR NOT NULL CHECK (name <> ''), "
    "mood mood, twice INTEGER GENERATED ALWAYS AS (id * 2))",
    "INSERT INTO people (name, mood) VALUES ('Ada', 'good'), ('Ben', NULL)",
    "CREATE TABLE sales.orders (id INTEGER, total HUGEINT, span INTERVAL)",
    "INSERT INTO sales.orders SELECT i, i * 10000000000000000000::HUGEINT, -to_days(i::INTEGER) FROM range(1000) r(i)",
    "CREATE TABLE pets (owner INTEGER REFERENCES people (id), name VARCHAR COLLATE nocase)",
    "INSERT INTO pets VALUES (5, 'Rex')",
    "CREATE INDEX by_total ON sales.orders (id)",
    "CREATE MACRO plus(a, b := 3) AS a + b",
    "CREATE VIEW a_last AS SELECT * FROM z_first",
    "COMMENT ON TABLE people IS 'who they''re'",
    "COMMENT ON COLUMN people.name IS 'full name'",
)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[neurolake.Lake]:
    with neurolake.connect(tmp_path / "lake") as opened:
        opened.sql("CREATE VIEW z_first AS SELECT 1 AS one").close()
        for statement in SETUP:
            opened.sql(statement).close()
        yield opened


def rows(lake: neurolake.Lake, sql: str) -> list[tuple[object, ...]]:
    return lake.sql(sql).fetchall()


def take(lake: neurolake.Lake, **named: object) -> str:
    return str(lake.call("create_snapshot", **named)["snapshot_id"][0].as_py())


def files_of(folder: Path, snapshot: str) -> set[str]:
    stored = json.loads((folder / "lake" / "snapshots" / "snapshots" / f"{snapshot}.json").read_text())
    return {part["file"] for table in stored["tables"] for part in table["parts"]}


def definitions(lake: neurolake.Lake) -> list[object]:
    """Everything the catalog says that a user can see."""
    found: list[object] = []
    for sql in (
        "SELECT schema_name, table_name, sql, comment FROM duckdb_tables() WHERE table_name <> 'outbox'",
        "SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal",
        "SELECT schema_name, sequence_name, sql FROM duckdb_sequences()",
        "SELECT schema_name, index_name, sql FROM duckdb_indexes()",
        "SELECT schema_name, type_name, labels FROM duckdb_types() WHERE NOT internal",
        "SELECT schema_name, function_name, parameters, macro_definition FROM duckdb_functions() WHERE NOT internal",
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE comment IS NOT NULL",
    ):
        found.append(sorted(map(str, rows(lake, sql))))
    return found


DATA = ("SELECT * FROM people ORDER BY id", "SELECT id, total::VARCHAR, span::VARCHAR FROM sales.orders ORDER BY id",
        "FROM pets", "FROM a_last", "SELECT plus(1)")  # fmt: skip


class TestRestore:
    def test_a_new_home_is_the_same_lake(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        (tmp_path / "more.csv").write_text("a,b\n1,2\n")
        lake.register("more", tmp_path / "more.csv")
        lake.sql("CREATE VIEW over_more AS SELECT a FROM more").close()
        lake.call("restore_snapshot", take(lake), destination=str(tmp_path / "new"))
        with neurolake.connect(tmp_path / "new") as new:
            assert definitions(new) == definitions(lake)
            for sql in (*DATA, "FROM more", "FROM over_more"):
                assert rows(new, sql) == rows(lake, sql)
            new.sql("INSERT INTO people (name) VALUES ('Cem')").close()
            assert rows(new, "SELECT max(id) FROM people") == [(7,)]
            with pytest.raises(errors.ConstraintViolated):
                new.sql("INSERT INTO people (id, name) VALUES (5, 'again')").close()

    def test_a_schema_stands_by_itself(self, lake: neurolake.Lake) -> None:
        before = [rows(lake, sql) for sql in DATA]
        lake.call("restore_snapshot", take(lake), destination="schema:old")
        lake.sql("DELETE FROM pets").close()
        lake.sql("INSERT INTO old.people (name) VALUES ('Dot')").close()
        assert rows(lake, "SELECT name FROM old.people ORDER BY id") == [("Ada",), ("Ben",), ("Dot",)]
        assert rows(lake, "SELECT count(*), sum(id) FROM old_sales.orders") == [(1000, 499500)]
        assert rows(lake, "FROM old.pets") == [(5, "Rex")]
        assert rows(lake, "FROM old.a_last") == [(1,)]
        assert [rows(lake, sql) for sql in DATA[:2]] == before[:2]

    def test_one_table_comes_back(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        lake.sql("DROP TABLE pets").close()
        lake.sql("UPDATE people SET name = 'gone'").close()
        lake.call("restore_snapshot", snapshot, tables=["pets"])
        assert rows(lake, "FROM pets") == [(5, "Rex")]
        assert rows(lake, "SELECT DISTINCT name FROM people") == [("gone",)]

    def test_nothing_is_replaced_unasked(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        lake.sql("UPDATE sales.orders SET id = -1").close()
        with pytest.raises(errors.AlreadyExists) as caught:
            lake.call("restore_snapshot", snapshot, tables=["sales.orders"])
        assert caught.value.code == "restore_exists"
        assert rows(lake, "SELECT max(id) FROM sales.orders") == [(-1,)]
        lake.call("restore_snapshot", snapshot, tables=["sales.orders"], overwrite=True)
        assert rows(lake, "SELECT max(id) FROM sales.orders") == [(999,)]

    def test_all_of_it_is_replaced_when_asked(self, lake: neurolake.Lake) -> None:
        before = [rows(lake, sql) for sql in DATA]
        snapshot = take(lake)
        lake.sql("CREATE OR REPLACE MACRO plus(a, b := 4) AS a + b").close()
        lake.sql("UPDATE people SET mood = 'bad'").close()
        lake.sql("INSERT INTO pets VALUES (6, 'Tom')").close()
        answer = lake.call("restore_snapshot", snapshot, overwrite=True).to_pylist()
        assert {row["state"] for row in answer} == {"restored"}
        assert [rows(lake, sql) for sql in DATA] == before

    def test_a_replaced_table_is_closed_like_a_new_one(self, lake: neurolake.Lake) -> None:
        lake.call("create_role", "analyst")
        lake.call("grant", "read", "pets", "analyst")
        lake.call("grant", "read", "sales.orders", "analyst")
        snapshot = take(lake)
        lake.call("restore_snapshot", snapshot, tables=["pets"], overwrite=True)
        granted = str(rows(lake, "FROM neurolake.grants"))
        assert "orders" in granted
        assert "pets" not in granted

    def test_a_folder_with_files_is_left_alone(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "letter.txt").write_text("mine")
        with pytest.raises(errors.AlreadyExists):
            lake.call("restore_snapshot", take(lake), destination=str(tmp_path / "full"))
        assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]

    def test_a_time_means_the_last_one_before(self, lake: neurolake.Lake) -> None:
        first = lake.call("create_snapshot").to_pylist()[0]
        lake.sql("DELETE FROM pets").close()
        take(lake)
        at = first["created_at"].isoformat()
        with pytest.raises(errors.InvalidRequest) as caught:
            lake.call("restore_snapshot", at, tables=["pets"], destination="schema:then")
        assert caught.value.code == "restore_needs"
        lake.call("restore_snapshot", at, tables=["pets", "people"], destination="schema:then")
        assert rows(lake, 'FROM "then".pets') == [(5, "Rex")]
        with pytest.raises(errors.NotFound):
            lake.call("restore_snapshot", "2001-01-01", destination="schema:never")

    def test_what_is_not_known_is_said(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        for wanted, named in ((snapshot, {"tables": ["nothing"]}), ("20010101t000000_000000", {}), ("zz", {})):
            with pytest.raises(errors.NotFound):
                lake.call("restore_snapshot", wanted, destination="schema:x", **named)


class TestHistory:
    def test_it_comes_back_in_a_new_lake_where_it_is_asked_for(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        with pytest.raises(errors.InvalidRequest):
            lake.sql("SELECT nothing")
        snapshot = take(lake, include_history=True)
        (kept,) = [row for row in lake.call("show_snapshot", snapshot).to_pylist() if row["kind"] == "history"]
        assert kept["rows"] >= len(SETUP) + 2
        assert {row["state"] for row in lake.call("verify_snapshot", snapshot, full=True).to_pylist()} == {"whole"}
        lake.call("restore_snapshot", snapshot, destination=str(tmp_path / "back"))
        asked = (
            "SELECT query_id, user_name, sql, state, error_code, started_at, duration_ms FROM neurolake.queries "
            "ORDER BY started_at, query_id"
        )
        with neurolake.connect(tmp_path / "back") as back:
            assert rows(back, asked) == rows(lake, asked)[: kept["rows"]]
            assert rows(back, "SELECT 1") == [(1,)]
            assert len(rows(back, asked)) == kept["rows"] + 2

    def test_it_stays_where_it_is_otherwise(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        snapshot = take(lake)
        lake.call("restore_snapshot", snapshot, destination=str(tmp_path / "back"))
        with neurolake.connect(tmp_path / "back") as back:
            assert rows(back, "FROM neurolake.queries") == []
        for named in ({"kind": "data"}, {"tables": ["people"]}):
            with pytest.raises(errors.InvalidRequest) as caught:
                take(lake, include_history=True, **named)
            assert caught.value.code == "snapshot_kind"

    def test_a_damaged_one_is_named_and_stops_no_table(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        snapshot = take(lake, include_history=True)
        repository = tmp_path / "lake" / "snapshots"
        stored = json.loads((repository / "snapshots" / f"{snapshot}.json").read_text())
        (part,) = stored["history"][0]["parts"]
        file = repository / "data" / part["file"][:2] / f"{part['file']}.parquet"
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-9] + b"123456789")
        damaged = [r["object"] for r in lake.call("verify_snapshot", snapshot).to_pylist() if r["state"] == "damaged"]
        assert damaged == ["neurolake.queries"]
        with pytest.raises(errors.SourceFailed, match="Nothing was restored"):
            lake.call("restore_snapshot", snapshot, destination=str(tmp_path / "back"))
        lake.call("restore_snapshot", snapshot, destination="schema:s")
        assert rows(lake, "SELECT count(*) FROM s.people") == [(2,)]


class TestCreate:
    def test_only_what_changed_is_written_again(self, lake: neurolake.Lake) -> None:
        lake.sql("CREATE TABLE big AS SELECT i, md5(i::VARCHAR) AS m FROM range(500000) r(i)").close()
        first = lake.call("create_snapshot").to_pylist()[0]
        assert lake.call("create_snapshot").to_pylist()[0]["bytes_new"] == 0
        lake.sql("INSERT INTO big SELECT i, 'new' FROM range(5000) r(i)").close()
        second = lake.call("create_snapshot").to_pylist()[0]
        assert 0 < second["bytes_new"] < 0.3 * first["bytes"]
        lake.call("restore_snapshot", second["snapshot_id"], destination="schema:b")
        assert rows(lake, "SELECT count(*) FROM (FROM big EXCEPT ALL FROM b.big)") == [(0,)]
        assert rows(lake, "SELECT count(*) FROM b.big") == [(505000,)]

    @pytest.mark.parametrize(
        ("change", "parts"),
        [
            ("INSERT INTO big SELECT i + 800000 FROM range(200000) r(i)", 3),
            ("UPDATE big SET i = -i WHERE i IN (5, 400000, 799999)", 3),
            ("DELETE FROM big WHERE i < 130000", 1),
            ("DELETE FROM big WHERE i BETWEEN 1 AND 799998; INSERT INTO big FROM range(10)", 2),
            ("DELETE FROM big", 0),
        ],
    )
    def test_what_changed_is_found_slice_by_slice(
        self, lake: neurolake.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, parts: int
    ) -> None:
        monkeypatch.setattr("neurolake.backup.writing.SLICE_PARTS", 1)
        lake.sql("CREATE TABLE big AS FROM range(800000) r(i)").close()
        first = take(lake)
        lake.sql(change).close()
        second = take(lake)
        assert len(files_of(tmp_path, second) - files_of(tmp_path, first)) == parts
        lake.call("restore_snapshot", second, tables=["big"], destination="schema:b")
        assert rows(lake, "SELECT count(*) FROM (FROM big EXCEPT ALL FROM b.big)") == [(0,)]
        assert rows(lake, "SELECT count(*) FROM (FROM b.big EXCEPT ALL FROM big)") == [(0,)]

    def test_small_differences_count(self, lake: neurolake.Lake) -> None:
        """The engine's hash takes some values for equal that are not."""
        lake.sql("CREATE TABLE odd (d DOUBLE, l INTEGER[], i INTERVAL)").close()
        lake.sql("INSERT INTO odd VALUES (0.0, [], to_days(30))").close()
        take(lake)
        for change in ("d = '-0.0'", "l = NULL", "i = to_months(1)"):
            lake.sql(f"UPDATE odd SET {change}").close()
            lake.call("restore_snapshot", take(lake), tables=["odd"], destination="schema:s", overwrite=True)
            assert rows(lake, "SELECT x::VARCHAR FROM s.odd x") == rows(lake, "SELECT x::VARCHAR FROM odd x")

    def test_one_moment_while_writers_go_on(self, lake: neurolake.Lake) -> None:
        lake.sql("CREATE TABLE one AS SELECT 0 AS n").close()
        lake.sql("CREATE TABLE two AS SELECT 0 AS n").close()
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                with lake.transaction():
                    lake.sql(f"UPDATE one SET n = {number}").close()
                    lake.sql(f"UPDATE two SET n = {number}").close()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            taken = [take(lake) for _ in range(5)]
        finally:
            stop.set()
            writer.join()
        for number, snapshot in enumerate(taken):
            lake.call("restore_snapshot", snapshot, tables=["one", "two"], destination=f"schema:t{number}")
            assert rows(lake, f"SELECT one.n = two.n FROM t{number}.one, t{number}.two") == [(True,)]

    def test_its_files_need_nothing_of_ours(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        lake.sql("CREATE TABLE plain AS SELECT i, 'x' || i AS v FROM range(10) r(i)").close()
        snapshot = take(lake, tables=["plain"])
        repository = tmp_path / "lake" / "snapshots"
        stored = json.loads((repository / "snapshots" / f"{snapshot}.json").read_text())
        (part,) = stored["tables"][0]["parts"]
        file = repository / "data" / part["file"][:2] / f"{part['file']}.parquet"
        with duckdb.connect() as plain:
            assert plain.sql(f"SELECT count(*), sum(i) FROM '{file}'").fetchall() == [(10, 45)]

    def test_a_type_that_would_be_lost_is_refused_by_name(self, lake: neurolake.Lake) -> None:
        lake.sql("CREATE TABLE odd (id INTEGER, anything VARIANT)").close()
        with pytest.raises(errors.NotSupported) as caught:
            take(lake)
        assert caught.value.code == "snapshot_type"
        assert "anything of odd" in caught.value.message
        assert rows(lake, "FROM neurolake.snapshots") == []
        assert take(lake, tables=["people"])

    def test_kinds(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        shape = take(lake, kind="schema")
        lake.call("restore_snapshot", shape, destination=str(tmp_path / "empty"))
        with neurolake.connect(tmp_path / "empty") as new:
            assert rows(new, "SELECT count(*) FROM people") == [(0,)]
            assert definitions(new)[1:] == definitions(lake)[1:]
        shown = lake.call("show_snapshot", take(lake, kind="data")).to_pylist()
        assert {row["kind"] for row in shown} == {"table"}


def parts_of(lake: neurolake.Lake, snapshot: str, table: str, repository: Path) -> list[Path]:
    stored = json.loads((repository / "snapshots" / f"{snapshot}.json").read_text())
    (entry,) = [entry for entry in stored["tables"] if entry["name"] == table]
    return [repository / "data" / part["file"][:2] / f"{part['file']}.parquet" for part in entry["parts"]]


def test_several_repositories_at_once(lake: neurolake.Lake, tmp_path: Path) -> None:
    lake.close()
    (tmp_path / "blocked").write_text("no folder")
    places = (str(tmp_path / "blocked" / "in"), str(tmp_path / "one"), str(tmp_path / "two"))
    with neurolake.connect(tmp_path / "lake", snapshot_repositories=places) as again:
        answer = again.call("create_snapshot").to_pylist()
        assert [row["state"] for row in answer] == ["failed: repository_failed", "complete", "complete"]
        assert answer[1]["bytes_new"] == answer[2]["bytes_new"] == answer[1]["bytes"]
        snapshot = answer[1]["snapshot_id"]
        for place in places[1:]:
            found = again.backups.at(place).verify(snapshot, full=True)
            assert {row["state"] for row in found} == {"whole"}
        assert [row["bytes_new"] for row in again.call("create_snapshot").to_pylist()[1:]] == [0, 0]
        again.backups.restore(snapshot, to="schema:old")
        assert rows(again, "SELECT count(*) FROM old.people") == [(2,)]
    with (
        neurolake.connect(tmp_path / "lake", snapshot_repositories=places[:1]) as alone,
        pytest.raises(errors.SourceFailed),
    ):
        alone.call("create_snapshot")


def test_two_at_once(lake: neurolake.Lake) -> None:
    lake.sql("CREATE TABLE big AS SELECT i, md5(i::VARCHAR) AS m FROM range(300000) r(i)").close()
    taken: list[str] = []
    threads = [threading.Thread(target=lambda: taken.append(take(lake))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 3
    for snapshot in taken:
        assert {row["state"] for row in lake.call("verify_snapshot", snapshot).to_pylist()} == {"whole"}


def test_a_cancelled_one_is_never_listed(lake: neurolake.Lake) -> None:
    lake.sql("CREATE TABLE big AS SELECT i, md5(i::VARCHAR) AS m FROM range(3000000) r(i)").close()
    caught: list[BaseException] = []

    def run() -> None:
        try:
            take(lake)
        except errors.NeuroLakeError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive() and not caught:
        for (query_id,) in rows(lake, "SELECT query_id FROM neurolake.running WHERE sql LIKE '%create_snapshot%'"):
            with contextlib.suppress(errors.NotFound):
                lake.cancel(str(query_id))
        time.sleep(0.05)
    thread.join()
    assert [type(error) for error in caught] == [errors.Cancelled]
    assert rows(lake, "FROM neurolake.snapshots") == []
    assert take(lake)


class TestDamage:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        return tmp_path / "lake" / "snapshots"

    @pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "swapped"])
    def test_a_file_is_named_and_the_rest_can_be_saved(self, lake: neurolake.Lake, repository: Path, how: str) -> None:
        snapshot = take(lake)
        (file,) = parts_of(lake, snapshot, "orders", repository)
        (other,) = parts_of(lake, snapshot, "people", repository)
        data = file.read_bytes()
        if how == "flipped":
            file.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        elif how == "truncated":
            file.write_bytes(data[:-1])
        elif how == "missing":
            file.unlink()
        else:
            file.write_bytes(other.read_bytes())
        found = lake.call("verify_snapshot", snapshot).to_pylist()
        assert [row["object"] for row in found if row["state"] == "damaged"] == ["sales.orders"]
        assert file.name in next(row["problem"] for row in found if row["state"] == "damaged")
        with pytest.raises(errors.SourceFailed) as caught:
            lake.call("restore_snapshot", snapshot, destination="schema:old")
        assert caught.value.code == "snapshot_corrupt"
        assert "sales.orders" in caught.value.message
        assert "people" in str(caught.value.next_step)
        assert rows(lake, "SELECT count(*) FROM duckdb_schemas() WHERE schema_name LIKE 'old%'") == [(0,)]
        lake.call("restore_snapshot", snapshot, tables=["people"], destination="schema:saved")
        assert rows(lake, "SELECT count(*) FROM saved.people") == [(2,)]

    def test_an_edited_manifest_is_found(self, lake: neurolake.Lake, repository: Path) -> None:
        snapshot = take(lake)
        path = repository / "snapshots" / f"{snapshot}.json"
        path.write_text(path.read_text().replace('"rows": 1000', '"rows": 1001'))
        (found,) = lake.call("verify_snapshot", snapshot).to_pylist()
        assert (found["object"], found["state"]) == ("manifest", "damaged")
        with pytest.raises(errors.SourceFailed):
            lake.call("restore_snapshot", snapshot, destination="schema:x")
        assert rows(lake, "SELECT state FROM neurolake.snapshots") == [("damaged",)]

    def test_a_manifest_of_another_hand_is_found(self, lake: neurolake.Lake, repository: Path) -> None:
        """One whose own digest is right, but which is not what this lake wrote."""
        snapshot = take(lake)
        path = repository / "snapshots" / f"{snapshot}.json"
        other = dataclasses.replace(manifest.read(path.read_bytes(), snapshot), left_out=("nothing",))
        path.write_bytes(manifest.write(other))
        (found,) = lake.call("verify_snapshot", snapshot).to_pylist()
        assert found["problem"] == "It is not the one that this lake wrote."

    def test_taking_it_anew_replaces_what_is_damaged(self, lake: neurolake.Lake, repository: Path) -> None:
        snapshot = take(lake)
        (file,) = parts_of(lake, snapshot, "orders", repository)
        data = file.read_bytes()
        file.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        take(lake, reuse=False)
        assert file.read_bytes() == data
        assert {row["state"] for row in lake.call("verify_snapshot", snapshot, full=True).to_pylist()} == {"whole"}


class TestLooking:
    def test_diff_by_key(self, lake: neurolake.Lake) -> None:
        first = take(lake)
        lake.sql("UPDATE people SET name = 'Bob' WHERE id = 6").close()
        lake.sql("INSERT INTO people (name) VALUES ('Cem')").close()
        lake.sql("DELETE FROM sales.orders WHERE id < 3").close()
        lake.sql("DROP VIEW a_last").close()
        lake.sql("CREATE TABLE fresh AS SELECT 1 AS i").close()
        second = take(lake)
        found = {row["table_name"]: row for row in lake.call("diff_snapshots", first, second).to_pylist()}
        assert set(found) == {"people", "orders", "fresh"}
        assert [found["people"][k] for k in ("key", "added", "removed", "changed")] == [["id"], 1, 0, 1]
        assert [found["orders"][k] for k in ("key", "added", "removed", "changed")] == [[], 0, 3, 0]
        assert found["fresh"]["state"] == "created"
        changes = lake.call("diff_rows", first, second, "people").to_pylist()
        assert {row["change"] for row in changes} == {"added", "changed"}
        (changed,) = [row for row in changes if row["change"] == "changed"]
        assert (json.loads(changed["before"])["name"], json.loads(changed["after"])["name"]) == ("Ben", "Bob")

    def test_a_mounted_snapshot_is_read_and_not_written(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        lake.sql("DELETE FROM people WHERE id = 6").close()
        lake.call("mount_snapshot", snapshot)
        schema = f"snapshot_{snapshot}"
        assert rows(lake, f"SELECT name FROM {schema}.people ORDER BY id") == [("Ada",), ("Ben",)]
        assert rows(lake, f"SELECT count(*) FROM {schema}.sales_orders") == [(1000,)]
        with pytest.raises(errors.NeuroLakeError):
            lake.sql(f"DELETE FROM {schema}.people").close()
        again = take(lake)
        kinds = lake.call("show_snapshot", again).to_pylist()
        assert not [row for row in kinds if row["object"].startswith("snapshot_")]
        lake.call("unmount_snapshot", snapshot)
        with pytest.raises(errors.NotFound):
            lake.call("unmount_snapshot", snapshot)


class TestAt:
    def test_a_table_as_a_snapshot_has_it(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        lake.sql("UPDATE people SET name = 'Bob' WHERE id = 6").close()
        old = f"neurolake.at('people', '{snapshot}')"
        joined = f"SELECT o.name, p.name FROM {old} AS o JOIN people p USING (id) WHERE o.name <> p.name"
        assert rows(lake, joined) == [("Ben", "Bob")]
        for name in ("neurolake.at", "NEUROLAKE . AT", "lake.neurolake.at", '"neurolake"."at"'):
            assert rows(lake, f"SELECT count(*) FROM {name} ( 'sales.orders' , 'latest' )") == [(1000,)]
        lake.sql(f"CREATE TABLE back AS FROM {old}").close()
        assert rows(lake, "SELECT name FROM back ORDER BY id") == [("Ada",), ("Ben",)]
        assert rows(lake, "SELECT 'neurolake.at(''a'', ''b'')'") == [("neurolake.at('a', 'b')",)]

    def test_the_latest_is_the_latest(self, lake: neurolake.Lake) -> None:
        take(lake)
        count = "SELECT count(*) FROM neurolake.at('pets', 'latest')"
        assert rows(lake, count) == [(1,)]
        lake.sql("INSERT INTO pets VALUES (6, 'Tom')").close()
        assert rows(lake, count) == [(1,)]
        take(lake)
        assert rows(lake, count) == [(2,)]

    def test_what_it_does_not_know_it_says(self, lake: neurolake.Lake) -> None:
        take(lake)
        for call, code in (
            ("neurolake.at('nothing', 'latest')", "snapshot_table_unknown"),
            ("neurolake.at('people', '2001-01-01')", "snapshot_unknown"),
            ("neurolake.at('people', 'la' || 'test')", "argument"),
        ):
            with pytest.raises(errors.InvalidRequest) as caught:
                lake.sql(f"FROM {call}").close()
            assert caught.value.code == code


class TestAtClause:
    def test_duckdbs_own_words_mean_the_same(self, lake: neurolake.Lake) -> None:
        first = lake.call("create_snapshot").to_pylist()[0]
        lake.sql("DELETE FROM pets").close()
        lake.sql("UPDATE people SET name = 'Eve'").close()
        take(lake)
        at, snapshot = first["created_at"].isoformat(), first["snapshot_id"]
        now = "2999-01-01"
        for sql, expected in (
            (f"SELECT pets.name, count(*) FROM pets AT (TIMESTAMP => '{at}') GROUP BY ALL", [("Rex", 1)]),
            (f"SELECT é.name FROM pets AS é AT (VERSION => '{snapshot}') WHERE é.owner = 5 -- é", [("Rex",)]),
            (f"SELECT q.b FROM lake.main.pets q(a, b) AT (VERSION => '{snapshot}')", [("Rex",)]),
            (f"SELECT count(*) FROM sales.orders AT (TIMESTAMP => TIMESTAMP '{now}')", [(1000,)]),
            (f"SELECT old.name, now.name FROM people old AT (TIMESTAMP => '{at}'::TIMESTAMPTZ) JOIN people AS now AT "
             f"(TIMESTAMP => '{now}') USING (id) WHERE id = 5", [("Ada", "Eve")]),
            (f"WITH a AS (FROM pets AT (VERSION => '{snapshot}')) SELECT (SELECT count(*) FROM a), count(*) FROM pets",
             [(1, 0)]),
            ("SELECT 'pets AT (VERSION => 1)' AS \"pets AT (VERSION => 2)\"", [("pets AT (VERSION => 1)",)]),
            (f"EXPLAIN SELECT * FROM pets AT (VERSION => '{snapshot}')", None),
        ):  # fmt: skip
            assert expected is None or rows(lake, sql) == expected, sql
            lake.sql(sql).close()

    def test_what_it_does_not_know_it_says(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        for sql, code in (
            ("FROM pets AT (TIMESTAMP => '2001-01-01')", "snapshot_unknown"),
            (f"FROM nothing AT (VERSION => '{snapshot}')", "snapshot_table_unknown"),
            (f"FROM pets AT (TIMESTAMP => '{snapshot}')", "argument"),
            ("FROM pets AT (VERSION => '2026-01-01')", "argument"),
            ("FROM pets AT (TIMESTAMP => now())", "argument"),
            (f"FROM pets AT (VERSION => '{snapshot}') TABLESAMPLE 10%", "argument"),
        ):
            with pytest.raises(errors.NeuroLakeError) as caught:
                lake.sql(sql).close()
            assert caught.value.code == code, sql
        with pytest.raises(errors.NeuroLakeError):
            lake.sql(f"CREATE VIEW v AS FROM pets AT (VERSION => '{snapshot}')").close()

    def test_only_administrators_read_snapshots(self, lake: neurolake.Lake) -> None:
        snapshot = take(lake)
        lake.call("create_role", "analyst")
        lake.call("grant", "read", "lake", "analyst")
        lake.call("set_pii", "pets", None, "confirmed")
        lake.sql("SET ROLE analyst").close()
        assert rows(lake, "SELECT count(*) FROM pets") == [(1,)]
        with pytest.raises(errors.AccessDenied):
            lake.sql(f"FROM pets AT (VERSION => '{snapshot}')").close()


class TestPrune:
    def test_what_a_kept_snapshot_needs_stays(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        taken = []
        for number in range(3):
            lake.sql(f"INSERT INTO pets VALUES (5, 'pet {number}')").close()
            taken.append(take(lake))
        lake.close()
        keep = {f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly", "yearly")}
        with neurolake.connect(tmp_path / "lake", snapshot_keep_last=1, **keep) as again:
            said = again.call("prune_snapshots").to_pylist()
            assert [row["action"] for row in said[:-1]] == ["kept", "would be removed", "would be removed"]
            assert len(rows(again, "FROM neurolake.snapshots")) == 3
            gone = again.call("prune_snapshots", dry_run=False).to_pylist()[-1]
            assert gone["files"] == 2  # the two states of pets that only they had
            assert rows(again, "SELECT snapshot_id FROM neurolake.snapshots") == [(taken[-1],)]
            found = again.call("verify_snapshot", taken[-1], full=True).to_pylist()
            assert {row["state"] for row in found} == {"whole"}

    def test_a_damaged_manifest_keeps_every_file(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        snapshot = take(lake)
        repository = tmp_path / "lake" / "snapshots"
        files = sorted(repository.glob("data/*/*"))
        (repository / "snapshots" / f"{snapshot}.json").write_text("{}")
        with pytest.raises(errors.SourceFailed):
            lake.call("prune_snapshots", dry_run=False)
        assert sorted(repository.glob("data/*/*")) == files

    def test_whoever_works_there_is_not_disturbed(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        take(lake)
        using = tmp_path / "lake" / "snapshots" / "using"
        other = {"kind": "create", "host": "elsewhere", "pid": 1, "boot": "x", "at": 0.0}
        (using / "0000000000000000.json").write_text(json.dumps({**other, "at": time.time()}))
        with pytest.raises(errors.Unavailable) as caught:
            lake.call("prune_snapshots", dry_run=False)
        assert caught.value.code == "repository_locked"
        assert take(lake)


KILLED = """
import os, signal, sys
import neurolake
from neurolake.backup import faults

point, home, call = sys.argv[1:4]

def stop(reached):
    if reached == point:
        os.kill(os.getpid(), signal.SIGKILL)

keep = {f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly", "yearly")}
with neurolake.connect(home, snapshot_keep_last=1, **keep) as lake:
    faults.watch(stop)
    lake.sql(call).close()
"""
CALLS = {
    "create": "CALL neurolake.create_snapshot()",
    "prune": "CALL neurolake.prune_snapshots(dry_run => false)",
    "restore": "CALL neurolake.restore_snapshot('latest', destination => 'schema:old')",
}


@pytest.fixture(scope="module", params=["", "env:A_KEY"], ids=["plain", "sealed"])
def killed_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two snapshots, and a change since."""
    home = tmp_path_factory.mktemp("killed") / "lake"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_KEY", "ab" * 32)
        patch.setenv("NEUROLAKE_SNAPSHOT_KEYS", request.param)
        with neurolake.connect(home) as lake:
            lake.sql("CREATE TABLE t AS SELECT range AS i FROM range(1000)").close()
            take(lake)
            lake.sql("DELETE FROM t WHERE i < 10").close()
            take(lake)
            lake.sql("INSERT INTO t VALUES (-1)").close()
        yield home


@pytest.mark.faults
@pytest.mark.parametrize("point", [point for point in POINTS if point != "restore.before_rename"])
def test_a_kill_at_any_point_loses_no_snapshot(killed_home: Path, tmp_path: Path, point: str) -> None:
    home = tmp_path / "lake"
    shutil.copytree(killed_home, home)
    verb = point.partition(".")[0]
    died = subprocess.run([sys.executable, "-c", KILLED, point, str(home), CALLS[verb]], capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    with neurolake.connect(home) as lake:
        there = rows(lake, "SELECT snapshot_id, state FROM neurolake.snapshots")
        assert len(there) >= (1 if verb == "prune" else 2)
        for snapshot, state in there:
            assert state == "complete"
            found = lake.call("verify_snapshot", snapshot, full=True).to_pylist()
            assert {row["state"] for row in found} == {"whole"}
        old = rows(lake, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'old'")
        assert old == [(1 if point == "restore.done" else 0,)]
        if old == [(1,)]:
            lake.sql("DROP SCHEMA old CASCADE").close()
        lake.sql(CALLS[verb]).close()  # a second run completes
        lake.call("prune_snapshots", dry_run=False)
        left = sorted(path.name for path in (home / "snapshots").rglob("*") if path.is_file())
        named = {snapshot for (snapshot,) in rows(lake, "SELECT snapshot_id FROM neurolake.snapshots")}
        assert not [name for name in left if name.endswith(".json") and name.removesuffix(".json") not in named]
        assert not list((home / "snapshots" / "staging").rglob("*.parquet"))


FULL = """
import sys
import neurolake
from neurolake import errors

home, disk = sys.argv[1:3]
with neurolake.connect(home) as lake:
    backups = lake.backups.at(disk)
    first = backups.create(tables=["small"])
    try:
        backups.create()
    except errors.LimitReached as problem:
        print(problem.code)
    assert [row["snapshot_id"] for row in backups.list()] == [first]
    assert {row["state"] for row in backups.verify(first, full=True)} == {"whole"}
    lake.sql("DROP TABLE big").close()
    backups.prune(dry_run=False)
    print(len(backups.list()), backups.create() is not None)
"""


@pytest.mark.faults
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    home, disk = tmp_path / "lake", tmp_path / "disk"
    disk.mkdir()
    with neurolake.connect(home) as lake:
        lake.sql("CREATE TABLE small AS SELECT 1 AS i").close()
        lake.sql("CREATE TABLE big AS SELECT uuid() AS u, uuid() AS v FROM range(400000)").close()
    script = 'mount -t tmpfs -o size=4m none "$2" && exec "$3" -c "$0" "$1" "$2"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run([*command, FULL, str(home), str(disk), sys.executable], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["repository_full", "1", "True"]), done.stderr


@pytest.mark.faults
def test_a_killed_restore_leaves_no_half_home(killed_home: Path, tmp_path: Path) -> None:
    home, new = tmp_path / "lake", tmp_path / "new"
    shutil.copytree(killed_home, home)
    call = f"CALL neurolake.restore_snapshot('latest', destination => '{new}')"
    for point in ("restore.table", "restore.before_commit", "restore.before_rename"):
        died = subprocess.run([sys.executable, "-c", KILLED, point, str(home), call], capture_output=True)
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        assert not new.exists()
    with neurolake.connect(home) as lake:
        lake.sql(call).close()
    with neurolake.connect(new) as restored:
        assert rows(restored, "SELECT count(*) FROM t") == [(990,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "new"]
