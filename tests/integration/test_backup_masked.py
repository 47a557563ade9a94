"""Masked snapshots: they hold what a role sees, and tell nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow.parquet as parquet
import pytest

import neurolake
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.engine import Engine
from neurolake.home import Home

TABLES = """
CREATE SCHEMA sales;
CREATE TYPE mood AS ENUM ('good', '{label}');
CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR DEFAULT '{default}' CHECK (name <> '{refused}'),
    email VARCHAR, salary HUGEINT, mood mood, born DATE, social_number VARCHAR, span INTERVAL,
    doubled VARCHAR GENERATED ALWAYS AS (name || '{made}'));
INSERT INTO people (id, name, email, salary, mood, born, social_number, span)
    SELECT i, 'name' || i, '{mail}' || i || '@example.org', {pay} + i, '{label}', DATE '{born}' + (i % 300)::INTEGER,
        '{ssn}-' || i, to_days(i::INTEGER) FROM range(1000) r(i);
INSERT INTO people (id, name) SELECT i, '{gone}' FROM range(1000, 1000 + {hidden}) r(i);
CREATE TABLE ticks AS SELECT unnest(CASE WHEN i % {every} = 0 THEN [i, -1] ELSE [i] END) AS id,
    CASE WHEN id < 0 THEN '{gone}' ELSE md5(i::VARCHAR) END AS word, CASE WHEN i % {every} = 0 THEN i END AS some
    FROM range(150000) r(i);
CREATE TABLE sales.orders AS SELECT i AS id, i * 2 AS amount FROM range(10) r(i);
CREATE TABLE {vault} AS SELECT '{gone}' AS s;
COMMENT ON TABLE people IS 'like {gone}';
COMMENT ON COLUMN people.name IS 'like {gone}';
CREATE INDEX by_{vault} ON people (name);
CREATE SEQUENCE of_{vault};
CREATE VIEW named AS SELECT id, name, '{gone}' AS why FROM people WHERE name <> '{gone}';
CREATE MACRO known() AS '{gone}';
"""
RULES = """
CALL neurolake.create_role('analyst');
CALL neurolake.set_pii('people', null, 'confirmed');
CALL neurolake.set_pii('sales.orders', null, 'confirmed');
CALL neurolake.set_pii('named', null, 'confirmed');
CALL neurolake.grant('read', 'people', 'analyst');
CALL neurolake.grant('read', 'sales.orders', 'analyst');
CALL neurolake.revoke('read', 'people', 'analyst');
CALL neurolake.grant('read', 'column:people.id', 'analyst');
CALL neurolake.grant('read', 'column:people.name', 'analyst');
CALL neurolake.grant('read', 'column:people.email', 'analyst');
CALL neurolake.grant('read', 'column:people.salary', 'analyst');
CALL neurolake.grant('read', 'column:people.mood', 'analyst');
CALL neurolake.grant('read', 'column:people.born', 'analyst');
CALL neurolake.grant('read', 'column:people.social_number', 'analyst');
CALL neurolake.grant('read', 'column:people.span', 'analyst');
CALL neurolake.set_policy('email', 'analyst', 'column:people.email', 'partial', {'email': true});
CALL neurolake.set_policy('salary', 'analyst', 'column:people.salary', 'null');
CALL neurolake.set_policy('mood', 'analyst', 'column:people.mood', 'null');
CALL neurolake.set_policy('born', 'analyst', 'column:people.born', 'date_trunc', {'unit': 'year'});
CALL neurolake.set_policy('social_number', 'analyst', 'column:people.social_number', 'block');
CALL neurolake.set_pii('ticks', null, 'confirmed');
CALL neurolake.grant('read', 'ticks', 'analyst');
CALL neurolake.set_row_filter('real', 'analyst', 'ticks', 'id >= 0');
CALL neurolake.set_policy('some', 'analyst', 'column:ticks.some', 'null');
CALL neurolake.set_row_filter('young', 'analyst', 'people', 'id < 1000');
"""
ONE = {
    "label": "grumpyHIDDEN", "default": "MalloryHIDDEN", "refused": "EveHIDDEN", "made": "suffixHIDDEN",
    "mail": "uHIDDEN", "pay": "71000000000000", "born": "1980-01-01", "ssn": "078HIDDEN", "gone": "goneHIDDEN",
    "hidden": "3", "every": "3", "vault": "vaultHIDDEN",
}  # fmt: skip
OTHER = {
    "label": "gloomyHIDDEN", "default": "TrentHIDDEN", "refused": "OscarHIDDEN", "made": "endingHIDDEN",
    "mail": "uOTHER", "pay": "93000000000000", "born": "1980-01-02", "ssn": "219HIDDEN", "gone": "leftHIDDEN",
    "hidden": "500", "every": "7", "vault": "safeHIDDEN",
}  # fmt: skip
PASSWORD = "a password for ann"


def opened(path: Path, values: dict[str, str]) -> neurolake.Lake:
    lake = neurolake.connect(path)
    lake.sql(TABLES.format(**values)).close()
    lake.sql(RULES).close()
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[neurolake.Lake]:
    with opened(tmp_path / "lake", ONE) as made:
        yield made


def manifest(repository: Path, snapshot: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repository / f"snapshots/{snapshot}.json").read_text())
    return found


def rows(lake: neurolake.Lake, sql: str) -> list[tuple[Any, ...]]:
    return lake.sql(sql).fetchall()


class TestWhatItTells:
    def test_lakes_that_differ_in_what_is_hidden_give_the_same(self, tmp_path: Path) -> None:
        found = []
        for name, values in (("one", ONE), ("other", OTHER)):
            repository = tmp_path / f"snapshots of {name}"
            with opened(tmp_path / name, values) as lake:
                lake.sql("DELETE FROM people WHERE id >= 1001").close()
                said = manifest(repository, lake.backups.at(repository).create(as_role="analyst"))
            for own in ("snapshot_id", "lake_id", "created_at", "digest"):
                del said[own]
            files = {path.name: path.read_bytes() for path in repository.glob("data/*/*")}
            found.append((said, files))
        assert found[0] == found[1]

    def test_no_raw_value_stands_in_the_repository(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        repository = tmp_path / "repository"
        lake.backups.at(repository).create(as_role="analyst")
        everything = b""
        for path in filter(Path.is_file, repository.rglob("*")):
            everything += path.name.encode() + path.read_bytes()
            if path.suffix == ".parquet":
                read = parquet.ParquetFile(path)
                everything += str(read.read().to_pylist()).encode() + str(read.metadata.to_dict()).encode()
        assert b"name999" in everything
        for raw in ("HIDDEN", "71000000", "social_number", "1980, 1, 2", "CHECK", "young", "id < 1000", "doubled"):
            assert raw.encode() not in everything, raw

    def test_the_manifest_says_what_was_done_to_each_column_and_why(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        snapshot = lake.backups.at(tmp_path / "r").create(as_role="Analyst")
        said = manifest(tmp_path / "r", snapshot)["masked"]
        assert said["role"] == "analyst"
        people = next(table for table in said["tables"] if table["table"] == "people")
        assert people["policy_version"] == said["policy_version"] > 1
        assert people["rows_filtered"]
        assert [(c["column"], c["action"], c["reason"]) for c in people["columns"]] == [
            ("id", "allow", "confirmed"), ("name", "allow", "confirmed"), ("email", "partial", "policy email"),
            ("salary", "null", "policy salary"), ("mood", "null", "policy mood"), ("born", "date_trunc", "policy born"),
            ("span", "allow", "confirmed"),
        ]  # fmt: skip
        shown = lake.backups.at(tmp_path / "r").show(snapshot)
        assert {"object": "people.email", "kind": "mask: partial"}.items() <= shown[3].items()
        (listed,) = lake.backups.at(tmp_path / "r").list()
        assert listed["as_role"] == "analyst"
        file = next((tmp_path / "r").glob("data/*/*.parquet"))
        assert parquet.read_metadata(file).metadata == {b"neurolake.masked": b"what the role analyst may see"}

    def test_files_of_masked_and_of_raw_data_are_never_the_same(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        backups = lake.backups.at(tmp_path / "r")
        backups.create(["sales.orders"])
        raw = {path.name for path in (tmp_path / "r").glob("data/*/*")}
        masked = manifest(tmp_path / "r", backups.create(["sales.orders"], as_role="analyst"))
        assert {f"{part['file']}.parquet" for table in masked["tables"] for part in table["parts"]}.isdisjoint(raw)
        assert masked["bytes_new"] > 0
        assert manifest(tmp_path / "r", backups.create(["sales.orders"], as_role="analyst"))["bytes_new"] == 0


class TestUse:
    def test_a_restored_one_is_what_the_role_sees_over_flight(self, tmp_path: Path) -> None:
        with opened(tmp_path / "lake", ONE) as lake:
            lake.call("create_user", "ann", PASSWORD, ["analyst"])
            snapshot = lake.backups.create(as_role="analyst")
            assert {row["state"] for row in lake.backups.verify(snapshot, full=True)} == {"whole"}
            done = lake.backups.restore(snapshot, to=tmp_path / "tests")
            assert done[0]["kind"] == "masked"
            assert "analyst" in done[0]["reason"]
        home = Home.open(tmp_path / "lake")
        service = Service(home, load(home.path, flags={"port": 0, "http_port": 0, "admin_password": "no matter what"}))
        service.start()
        seen = {}
        try:
            uri = f"grpc://127.0.0.1:{service.port}"
            with flight_sql.connect(uri, {"username": "ann", "password": PASSWORD}, autocommit=True) as connection:
                for table in ("people", "sales.orders"):
                    with connection.cursor() as cursor:
                        cursor.execute(f"SELECT * FROM {table} ORDER BY id")
                        seen[table] = cursor.fetch_arrow_table().to_pylist()
        finally:
            service.stop()
        with neurolake.connect(tmp_path / "tests") as restored:
            assert restored.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name <> '_neurolake'").arrow()
            for table, expected in seen.items():
                assert restored.sql(f"SELECT * FROM {table} ORDER BY id").arrow().to_pylist() == expected
            tables = rows(restored, "SELECT DISTINCT table_schema, table_name FROM neurolake.columns ORDER BY ALL")
            assert tables == [("main", "people"), ("main", "ticks"), ("sales", "orders")]
            assert rows(restored, "SELECT count(*) FROM neurolake.policies") == [(0,)]

    def test_it_is_not_taken_for_the_data(self, lake: neurolake.Lake) -> None:
        whole = lake.backups.create()
        masked = lake.backups.create(as_role="analyst")
        assert lake.backups.show("latest")[0]["rows"] == 1003
        assert rows(lake, "SELECT count(*) FROM neurolake.at('people', 'latest')") == [(1003,)]
        for overwrite in (False, True):
            for to in (None, "schema:Main"):
                with pytest.raises(errors.InvalidRequest) as caught:
                    lake.backups.restore(masked, tables=["people"], to=to, overwrite=overwrite)
                assert caught.value.code == "snapshot_masked"
        lake.backups.restore(masked, to="schema:test")
        assert rows(lake, "SELECT count(*), count(salary) FROM test.people") == [(1000, 0)]
        # what comes next takes nothing from it, and writes nothing that is there already
        again = lake.backups.create()
        assert next(row for row in lake.backups.list() if row["snapshot_id"] == again)["as_role"] is None
        assert rows(lake, f"SELECT count(salary) FROM neurolake.at('people', '{again}')") == [(1000,)]
        assert whole != again

    def test_it_never_takes_the_place_of_the_data_when_pruned(self, tmp_path: Path) -> None:
        with opened(tmp_path / "lake", ONE) as lake:
            snapshots = [lake.backups.create(as_role=role) for role in (None, None, "analyst", "analyst", "analyst")]
        keep = {f"snapshot_keep_{of}": 0 for of in ("hourly", "daily", "weekly", "monthly", "yearly")}
        home = Home.open(tmp_path / "lake")
        engine = Engine(home, load(home.path, flags={**keep, "snapshot_keep_last": 1}))
        try:
            from neurolake.backup.service import Backups

            Backups(engine, "q", "owner").prune(dry_run=False, location=None)
            left = [found for _, found, _ in Backups(engine, "q", "owner").snapshots()]
        finally:
            engine.close()
        assert left == [snapshots[1], snapshots[4]]

    def test_views_and_sources_come_as_tables_if_they_are_named(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        lake.sql(
            "COPY (SELECT 1 AS a, 'seen' AS b) TO 'files.parquet'".replace("files", str(tmp_path / "files"))
        ).close()
        lake.register("outside", str(tmp_path / "files.parquet"))
        lake.call("set_pii", "outside", None, "confirmed")
        lake.call("grant", "read", "column:outside.b", "analyst")
        lake.call("grant", "read", "column:named.id", "analyst")
        snapshot = lake.backups.create(["named", "outside"], as_role="analyst")
        lake.backups.restore(snapshot, to="schema:test")
        assert rows(lake, "FROM test.outside") == [("seen",)]
        assert lake.sql("FROM test.named").arrow().column_names == ["id"]

    def test_without_rows(self, lake: neurolake.Lake) -> None:
        snapshot = lake.backups.create(as_role="analyst", kind="schema")
        assert [(row["object"], row["rows"]) for row in lake.backups.show(snapshot)][:3] == [
            ("people", 0), ("ticks", 0), ("sales.orders", 0),
        ]  # fmt: skip


class TestRefused:
    def test_who_and_what(self, lake: neurolake.Lake) -> None:
        for role, code in (("nobody", "role_unknown"), ("admin", "snapshot_role")):
            with pytest.raises(errors.NeuroLakeError) as caught:
                lake.backups.create(as_role=role)
            assert caught.value.code == code
        with pytest.raises(errors.AccessDenied) as denied:
            lake.backups.create(["vaultHIDDEN"], as_role="analyst")
        assert denied.value.code == "relation_denied"
        assert lake.backups.list() == []
        lake.sql("SET ROLE analyst").close()
        with pytest.raises(errors.AccessDenied):
            lake.backups.create(as_role="analyst")

    def test_the_reads_stand_in_the_audit_log_under_the_role(self, lake: neurolake.Lake) -> None:
        lake.backups.create(as_role="analyst")
        found = rows(lake, "SELECT user_name, role, event FROM neurolake.audit WHERE role = 'analyst'")
        assert ("owner", "analyst", "decision") in found
