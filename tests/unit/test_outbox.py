"""The managed tables and the metadata agree, whatever ends a write: commit, rollback, error, kill."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import neurolake
from neurolake import errors
from neurolake.lake import EmbeddedLake
from neurolake.outbox import REMOVE_AT, TABLE


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    with opened(tmp_path) as lake:
        yield lake


def opened(folder: Path) -> EmbeddedLake:
    lake = neurolake.connect(folder / "lake")
    assert isinstance(lake, EmbeddedLake)
    return lake


def events(lake: EmbeddedLake) -> list[tuple[str, str]]:
    """The verbs and objects the metadata knows of, in order."""
    return [(verb, name) for verb, name in lake.engine.store.rows("SELECT verb, object FROM events ORDER BY at")]


def waiting(lake: EmbeddedLake) -> int:
    """How many events the outbox holds."""
    return int(lake.engine.instance.acquire_and(lambda cursor: cursor.rows(f"SELECT count(*) FROM {TABLE}"))[0][0])


class TestEvents:
    def test_each_write_has_one(self, lake: EmbeddedLake) -> None:
        for sql in (
            "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 2", "DELETE FROM t",
            "ALTER TABLE t ADD COLUMN b INT", "CREATE VIEW v AS FROM t", "CREATE SCHEMA s", "DROP VIEW v",
            'CREATE OR REPLACE TABLE lake.s."my t" AS SELECT 1 AS a', "TRUNCATE t", "DROP TABLE t",
        ):  # fmt: skip
            lake.sql(sql)
        assert events(lake) == [
            ("CREATE TABLE", "main.t"), ("INSERT", "main.t"), ("UPDATE", "main.t"), ("DELETE", "main.t"),
            ("ALTER TABLE", "main.t"), ("CREATE VIEW", "main.v"), ("CREATE SCHEMA", "main.s"), ("DROP VIEW", "main.v"),
            ("CREATE TABLE", "s.my t"), ("TRUNCATE", "main.t"), ("DROP TABLE", "main.t"),
        ]  # fmt: skip

    def test_it_names_the_query_and_the_user(self, lake: EmbeddedLake) -> None:
        query_id = lake.sql("CREATE TABLE t (a INT)").query_id
        assert lake.engine.store.rows("SELECT query_id, user_name FROM events") == [(query_id, "owner")]

    def test_loads_have_one(self, lake: EmbeddedLake) -> None:
        rows = pa.table({"id": [1, 2]})
        lake.load("t", rows)
        lake.load("t", rows, "append")
        lake.load("t", rows, "upsert", ["id"])
        assert [name for _, name in events(lake)] == ["main.t"] * 3

    def test_reads_and_temporary_tables_have_none(self, lake: EmbeddedLake, tmp_path: Path) -> None:
        for sql in (
            "SELECT 1", "CREATE TEMP TABLE t AS SELECT 1 AS a", "INSERT INTO t VALUES (2)", "DROP TABLE t",
            f"COPY (SELECT 1) TO '{tmp_path}/x.csv'", "SET VARIABLE a = 1", "EXPLAIN CREATE TABLE u (a INT)",
        ):  # fmt: skip
            lake.sql(sql).arrow()
        assert events(lake) == []

    def test_a_failed_write_has_none(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (a INT PRIMARY KEY)")
        with pytest.raises(errors.ConstraintViolated):
            lake.sql("INSERT INTO t VALUES (1), (1)")
        assert events(lake) == [("CREATE TABLE", "main.t")]

    def test_a_transaction_has_all_or_none(self, lake: EmbeddedLake) -> None:
        with lake.transaction():
            lake.sql("CREATE TABLE t (a INT)")
            lake.sql("INSERT INTO t VALUES (1)")
            assert events(lake) == []
        assert events(lake) == [("CREATE TABLE", "main.t"), ("INSERT", "main.t")]
        with pytest.raises(KeyError), lake.transaction():
            lake.sql("DROP TABLE t")
            raise KeyError
        assert len(events(lake)) == 2
        assert waiting(lake) == 2

    def test_the_outbox_is_emptied_now_and_then_and_at_the_end(self, lake: EmbeddedLake, tmp_path: Path) -> None:
        lake.sql("CREATE TABLE t (a INT)")
        for _ in range(REMOVE_AT):
            lake.sql("INSERT INTO t VALUES (1)")
        assert waiting(lake) < REMOVE_AT
        lake.close()
        with opened(tmp_path) as again:
            assert waiting(again) == 0
            assert len(events(again)) == REMOVE_AT + 1


class TestKill:
    """A process that dies at the worst moment, and the one that opens the home next."""

    SCRIPT = """
        import os, signal, sys
        import neurolake
        from neurolake.catalog import Catalog
        from neurolake.outbox import Outbox

        def die(*args, **named):
            os.kill(os.getpid(), signal.SIGKILL)

        lake = neurolake.connect(sys.argv[1] + "/lake")
        lake.sql("CREATE TABLE t (a INT)")
        {moment}
        with lake.transaction():
            lake.sql("INSERT INTO t VALUES (1)")
            lake.sql("CREATE TABLE u (a INT)")
    """

    def kill_at(self, moment: str, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(self.SCRIPT).format(moment=moment), str(folder)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == -9, done.stderr

    def test_between_the_commit_and_the_metadata(self, tmp_path: Path) -> None:
        self.kill_at("Outbox.apply = die", tmp_path)
        with opened(tmp_path) as lake:
            assert lake.sql("SELECT a FROM t").fetchall() == [(1,)]
            assert events(lake) == [("CREATE TABLE", "main.t"), ("INSERT", "main.t"), ("CREATE TABLE", "main.u")]
            assert waiting(lake) == 0

    def test_between_the_metadata_and_the_emptying_of_the_outbox(self, tmp_path: Path) -> None:
        moment = """
apply = Catalog.apply
Catalog.apply = lambda self, events: (apply(self, list(events)), die())
"""
        self.kill_at(moment, tmp_path)
        with opened(tmp_path) as lake:
            assert events(lake) == [("CREATE TABLE", "main.t"), ("INSERT", "main.t"), ("CREATE TABLE", "main.u")]
            assert waiting(lake) == 0

    def test_before_the_commit(self, tmp_path: Path) -> None:
        moment = """
from neurolake._duckdb import Cursor
run = Cursor.run
Cursor.run = lambda self, text, values=None: die() if text == "COMMIT" else run(self, text, values)
"""
        self.kill_at(moment, tmp_path)
        with opened(tmp_path) as lake:
            assert lake.sql("SELECT count(*) FROM t").fetchall() == [(0,)]
            assert events(lake) == [("CREATE TABLE", "main.t")]
            with pytest.raises(errors.NotFound):
                lake.sql("FROM u")

    def test_while_it_is_opened_again(self, tmp_path: Path) -> None:
        self.kill_at("Outbox.apply = die", tmp_path)
        script = """
            import os, signal, sys
            import neurolake
            from neurolake.outbox import Outbox
            Outbox.remove_applied = lambda self: os.kill(os.getpid(), signal.SIGKILL)
            neurolake.connect(sys.argv[1] + "/lake")
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], timeout=60, check=False)
        assert done.returncode == -9
        with opened(tmp_path) as lake:
            assert events(lake) == [("CREATE TABLE", "main.t"), ("INSERT", "main.t"), ("CREATE TABLE", "main.u")]
            assert waiting(lake) == 0


class TestTrouble:
    def test_metadata_that_cannot_be_written_takes_nothing_back(
        self, lake: EmbeddedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The write is committed: telling its client that it failed would make them write it twice."""
        lake.sql("CREATE TABLE t (a INT)")
        full = errors.LimitReached("The disk is full.", code="disk_full")
        with monkeypatch.context() as patched:
            patched.setattr(lake.engine.catalog, "apply", lambda events: (_ for _ in ()).throw(full))
            assert lake.sql("INSERT INTO t VALUES (1)").fetchall() == [(1,)]
        assert "disk" in caplog.text
        lake.sql("INSERT INTO t VALUES (2)")
        assert events(lake) == [("CREATE TABLE", "main.t"), ("INSERT", "main.t"), ("INSERT", "main.t")]
        lake.close()
        with opened(tmp_path) as again:
            assert len(events(again)) == 3
            assert waiting(again) == 0
