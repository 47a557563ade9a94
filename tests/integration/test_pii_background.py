"""Scans in the background: what is closed until they are done, what they find, and how they stop and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import neurolake
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.home import Home
from neurolake.lake import EmbeddedLake
from neurolake.pii import background
from neurolake.query import OWNER, Request
from neurolake.sql.text import Name

PASSWORD = "correct horse battery"
ANN = "a password for ann"
SOON_S = 60.0


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def known(lake: neurolake.Lake, table: str, column: str = "c") -> tuple[object, ...]:
    sql = "SELECT entity, pii_status FROM neurolake.columns WHERE table_name = ? AND column_name = ?"
    return lake.sql(sql, [table, column]).fetchall()[0]


def mails(count: int = 50) -> dict[str, list[str]]:
    return {"c": [f"u{i}@example.com" for i in range(count)]}


def lake_of(home: Path | str, **settings: object) -> EmbeddedLake:
    lake = neurolake.connect(home, **{"pii_scan": "background", **settings})
    assert isinstance(lake, EmbeddedLake)
    return lake


def test_what_is_made_is_scanned_soon_after(tmp_path: Path) -> None:
    pq.write_table(pa.table(mails()), tmp_path / "s.parquet")
    with lake_of(":memory:") as lake:
        lake.register("files", tmp_path / "s.parquet")
        lake.load("loaded", mails())
        lake.sql("CREATE TABLE made AS SELECT * FROM files").close()
        lake.sql("CREATE TABLE filled (c VARCHAR)").close()
        lake.sql("INSERT INTO filled SELECT c FROM files").close()
        for table in ("files", "loaded", "made", "filled"):
            until(lambda table=table: known(lake, table) == ("EMAIL_ADDRESS", "scanned"))
        lake.sql("ALTER TABLE made ADD COLUMN d VARCHAR DEFAULT 'ann@example.org'").close()
        until(lambda: known(lake, "made", "d") == ("EMAIL_ADDRESS", "scanned"))
        done = lake.sql("SELECT state, sql FROM neurolake.queries WHERE client = 'background'").fetchall()
        assert ("done", "CALL neurolake.scan_pii('made', full => true)") in done


def test_every_row_of_text_is_looked_at() -> None:
    rows = 300_000
    text = (
        f"SELECT CASE i WHEN {rows - 5} THEN 'write to ann.b@example.org today' ELSE 'nothing of note in row ' || i END"
    )
    with lake_of(":memory:") as lake:
        lake.sql(f"CREATE TABLE notes AS {text} AS c FROM range({rows}) r(i)").close()
        until(lambda: known(lake, "notes") == ("FREE_TEXT", "scanned"))
        (found,) = lake.call("pii_findings", "notes").to_pylist()
        assert found["sample_size"] == rows
        assert lake.call("scan_pii", "notes").to_pylist() == [found], (
            "a sample does not take back what a full pass found"
        )


def test_a_table_scanned_while_it_is_made_has_all_its_rows_looked_at_later() -> None:
    rows = 50_000
    text = f"CASE i WHEN {rows - 5000} THEN 'write to ann.b@example.org today' ELSE 'nothing of note in row ' || i END"
    with lake_of(":memory:", pii_scan="made", pii_rescan_s=0.2) as lake:
        lake.sql(f"CREATE TABLE notes AS SELECT {text} AS c FROM range({rows}) r(i)").close()
        assert known(lake, "notes") == (None, "scanned")
        until(lambda: known(lake, "notes") == ("FREE_TEXT", "scanned"))


def test_so_is_every_row_of_files_of_different_columns(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    plain = ["nothing of note here today"] * 3000
    pq.write_table(pa.table({"c": plain, "n": range(3000)}), folder / "1.parquet", row_group_size=1000)
    pq.write_table(pa.table({"n": range(3000), "c": [*plain[1:], "mail me at a.b@example.org"]}), folder / "2.parquet")
    pq.write_table(pa.table({"n": range(10)}), folder / "3.parquet")
    with lake_of(":memory:") as lake:
        lake.register("notes", folder, options={"union_by_name": True})
        until(lambda: known(lake, "notes")[1] == "scanned")
        assert known(lake, "notes")[0] == "FREE_TEXT"


def test_rows_that_come_later_are_looked_at_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_TIMES", 0)
    with lake_of(":memory:", pii_rescan_s=0.2) as lake:
        lake.load("t", {"c": ["red", "green", "blue"] * 400})
        until(lambda: known(lake, "t") == (None, "scanned"))
        lake.load("t", mails(5000), mode="append")
        assert known(lake, "t")[1] == "scanned"
        until(lambda: known(lake, "t") == ("EMAIL_ADDRESS", "scanned"))


def test_files_that_come_later_are_looked_at_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    plain = ["nothing of note here today"] * 3000
    pq.write_table(pa.table({"c": plain, "d": plain}), folder / "1.parquet")
    sql = "SELECT sql FROM neurolake.queries WHERE client = 'background' ORDER BY started_at"
    with lake_of(":memory:", pii_files_s=0.1) as lake:
        lake.register("t", folder)
        until(lambda: known(lake, "t") == (None, "scanned"))
        lake.call("set_pii", "column:t.d", "PERSON", "confirmed")
        rare = plain[:2000]
        rare[200] = "please write to ann.b@example.org today"  # between the runs of rows that a sample is
        pq.write_table(pa.table({"c": rare, "d": plain[:2000]}), folder / "2.parquet")
        until(lambda: known(lake, "t") == ("FREE_TEXT", "scanned"))
        rows = {row["column_name"]: row for row in lake.call("pii_findings", "t").to_pylist()}
        assert rows["c"]["sample_size"] == 2000, "every row of the new file, and none of the old one"
        assert rows["d"]["status"] == "confirmed"
        pq.write_table(pa.table({"c": ["red", "green"] * 50, "d": ["a"] * 100}), folder / "3.parquet")
        until(lambda: len(lake.sql(sql).fetchall()) == 3)
        assert known(lake, "t") == ("FREE_TEXT", "scanned"), "what the other files showed holds"
        time.sleep(0.5)
        asked = [sql for (sql,) in lake.sql(sql).fetchall()]
    new = "CALL neurolake.scan_pii('t', full => true, only_new => true)"
    assert asked == ["CALL neurolake.scan_pii('t', full => true)", new, new]


@pytest.mark.parametrize(("mode", "every_s", "noticed"), [("made", 0.1, True), ("background", 0, False)])
def test_files_that_came_while_the_lake_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, every_s: float, noticed: bool
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.table({"c": ["red", "green", "blue"] * 10}), folder / "1.parquet")
    with lake_of(tmp_path / "lake", pii_scan=mode) as lake:
        lake.register("t", folder)
        until(lambda: known(lake, "t") == (None, "scanned"))
    pq.write_table(pa.table(mails()), folder / "2.parquet")
    with lake_of(tmp_path / "lake", pii_scan=mode, pii_files_s=every_s) as lake:
        if noticed:
            until(lambda: known(lake, "t") == ("EMAIL_ADDRESS", "scanned"))
        else:
            time.sleep(0.5)
            assert known(lake, "t") == (None, "scanned")


def test_a_set_that_cannot_be_listed_is_named_and_does_not_end_the_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"c": ["red", "green", "blue"] * 10}), tmp_path / name / "1.parquet")
    with lake_of(":memory:", pii_files_s=0.1) as lake:
        for name in ("one", "two"):
            lake.register(name, tmp_path / name)
            until(lambda name=name: known(lake, name) == (None, "scanned"))
        (tmp_path / "one" / "1.parquet").unlink()
        (tmp_path / "one" / "2.parquet").write_bytes(b"no Parquet")
        until(lambda: "one was not scanned" in caplog.text)
        pq.write_table(pa.table(mails()), tmp_path / "two" / "2.parquet")
        until(lambda: known(lake, "two") == ("EMAIL_ADDRESS", "scanned"))


@pytest.mark.parametrize("when", ["made", "background"])
def test_the_log_has_no_row_that_a_scan_fails_at(tmp_path: Path, when: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,mail\n1,u1@example.com\n")
    options = {"columns": {"id": "INTEGER", "mail": "VARCHAR"}, "header": True}
    with lake_of(tmp_path / "lake", pii_scan="off") as lake:
        lake.register("people", file, options=options)
    file.write_text("id,mail\nx7,ada@example.com\n")
    with lake_of(tmp_path / "lake", pii_scan=when) as lake:
        if when == "made":
            lake.sql("CREATE VIEW seen AS SELECT * FROM people").close()
        until(lambda: "was not scanned for personal data" in caplog.text)
        with pytest.raises(errors.NeuroLakeError, match="x7,ada"):  # who asks for it is told
            lake.call("scan_pii", "people")
    assert "ada" not in caplog.text
    assert "x7" not in caplog.text


def test_or_never() -> None:
    with lake_of(":memory:", pii_rescan_s=0) as lake:
        lake.load("t", {"c": ["red", "green", "blue"] * 400})
        until(lambda: known(lake, "t") == (None, "scanned"))
        lake.load("t", mails(), mode="append")
        assert len(lake.engine.background) == 0


def test_a_table_that_is_gone_before_its_turn_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with lake_of(":memory:") as lake:
        for number in range(20):
            lake.sql(f"CREATE TABLE t{number} AS SELECT 1 AS c; DROP TABLE t{number}").close()
        until(lambda: len(lake.engine.background) == 0)
        lake.load("last", mails())
        until(lambda: known(lake, "last")[1] == "scanned")
    assert not caplog.records


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.load("before", mails())
    with lake_of(tmp_path / "lake", pii_rescan_s=1000) as lake:
        until(lambda: known(lake, "before") == ("EMAIL_ADDRESS", "scanned"))
        lake.load("t", {"c": ["red", "green", "blue"] * 400})
        until(lambda: known(lake, "t") == (None, "scanned"))
        lake.load("t", mails(5000), mode="append")
        assert len(lake.engine.background) == 1
    with lake_of(tmp_path / "lake", pii_rescan_s=1000) as lake:
        until(lambda: known(lake, "t") == ("EMAIL_ADDRESS", "scanned"))
    with lake_of(tmp_path / "lake") as lake:
        until(lambda: len(lake.engine.background) == 0)
        assert not lake.sql("SELECT 1 FROM neurolake.running WHERE client = 'background'").fetchall()


def test_closing_does_not_wait_for_a_scan(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake")
    columns = ", ".join(f"'some longer text of no interest ' || i AS c{n}" for n in range(30))
    lake.sql(f"CREATE TABLE wide AS SELECT {columns} FROM range(100_000) r(i)").close()
    until(lambda: lake.sql("SELECT 1 FROM neurolake.running WHERE client = 'background'").fetchall())
    began = time.monotonic()
    lake.close()
    assert time.monotonic() - began < 3
    with neurolake.connect(tmp_path / "lake") as again:
        assert known(again, "wide", "c0")[1] == "unscanned"


def test_a_scan_that_is_cancelled_leaves_its_table_closed() -> None:
    with lake_of(":memory:") as lake:
        columns = ", ".join(f"'some longer text of no interest ' || i AS c{n}" for n in range(30))
        lake.sql(f"CREATE TABLE wide AS SELECT {columns} FROM range(100_000) r(i)").close()
        running = "SELECT query_id FROM neurolake.running WHERE client = 'background'"
        until(lambda: lake.sql(running).fetchall())
        lake.call("cancel", lake.sql(running).fetchall()[0][0])
        until(lambda: lake.sql("SELECT state FROM neurolake.queries WHERE client = 'background'").fetchall())
        assert known(lake, "wide", "c0")[1] == "unscanned"


def test_a_table_that_is_replaced_meanwhile_is_not_taken_for_the_one_that_was_looked_at() -> None:
    from neurolake import errors
    from neurolake.pii import scan as scanning

    with neurolake.connect(":memory:") as lake:
        assert isinstance(lake, EmbeddedLake)
        lake.load("t", {"c": ["red", "green", "blue"]})

        def replaces() -> None:
            lake.sql("CREATE OR REPLACE TABLE t AS SELECT 'ann@example.org' AS c").close()

        with pytest.raises(errors.Unavailable) as problem:
            scanning.scan(lake.engine, Name("main", "t"), full=True, pause=replaces)
        assert problem.value.code == "table_changing"
        assert known(lake, "t") == (None, "unscanned")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    home = Home.open(tmp_path / "lake", create=True)
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0, "pii_scan": "background",
             "pii_files_s": 0.2}  # fmt: skip
    service = Service(home, load(home.path, flags=flags))
    service.start()
    yield service
    service.stop()


def test_governed_roles_see_a_table_once_it_was_looked_at(service: Service) -> None:
    session = service.engine.session(OWNER)

    def run(sql: str) -> None:
        service.engine.run(Request(sql, session)).fetchall()

    for sql in (
        "CALL neurolake.create_role('analyst')",
        "CALL neurolake.create_user('ann', 'a password for ann', ['analyst'])",
        "CALL neurolake.grant('read', 'lake', 'analyst')",
        "CALL neurolake.set_policy('mail', '*', 'entity:EMAIL_ADDRESS', 'partial', {'email': true})",
    ):
        run(sql)
    uri = f"grpc://127.0.0.1:{service.port}"
    seen: list[str] = []
    with flight_sql.connect(uri, {"username": "ann", "password": ANN}, autocommit=True) as ann, ann.cursor() as cursor:
        run("CREATE TABLE people AS SELECT 'u' || i || '@example.com' AS c FROM range(100) r(i)")

        def rows() -> bool:
            try:
                cursor.execute("SELECT c FROM people LIMIT 1")
            except adbc_driver_manager.ProgrammingError as refused:
                seen.append(str(refused))
                return False
            seen.append(cursor.fetchall()[0][0])
            return True

        until(rows)
    assert seen[-1] == "u***@example.com"
    assert all("was not scanned" in refused for refused in seen[:-1])
    ended = service.engine.metrics.registry.get_sample_value("neurolake_pii_scans_total", {"outcome": "done"})
    assert ended == 1


def test_a_new_file_is_noticed_by_a_server_too(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.table({"c": ["red", "green", "blue"] * 10}), folder / "1.parquet")
    login = {"username": "admin", "password": PASSWORD}
    uri = f"grpc://127.0.0.1:{service.port}"
    with flight_sql.connect(uri, login, autocommit=True) as admin, admin.cursor() as cursor:

        def held() -> object:
            cursor.execute("SELECT entity, pii_status FROM neurolake.columns WHERE table_name = 't'")
            return cursor.fetchone()

        cursor.execute(f"CALL neurolake.register('t', '{folder}')")
        until(lambda: held() == (None, "scanned"))
        pq.write_table(pa.table(mails()), folder / "2.parquet")
        until(lambda: held() == ("EMAIL_ADDRESS", "scanned"))
