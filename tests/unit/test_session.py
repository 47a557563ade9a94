"""Sessions: transactions by thread, turns on the home cursor, settings on every cursor, and how they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake.activity import Activity
from neurolake.lake import EmbeddedLake
from neurolake.query import OWNER, Request
from neurolake.result import Result
from neurolake.session import Session


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    opened = neurolake.connect(tmp_path / "lake")
    assert isinstance(opened, EmbeddedLake)
    with opened:
        yield opened


def in_thread(work: Callable[[], object]) -> object:
    """Do something in another thread; what it gives back, or raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=20)


class TestThreads:
    def test_many_share_one_lake(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t AS SELECT range AS n FROM range(100_000)")

        def work(number: int) -> int:
            return int(lake.sql("SELECT count(*) FROM t WHERE n % ? = 0", [number]).fetchall()[0][0])

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(1, 65)))
        assert found == [-(-100_000 // number) for number in range(1, 65)]

    def test_a_lost_transaction_does_not_hide_why_a_block_was_left(self, lake: EmbeddedLake) -> None:
        def fail() -> None:
            with lake.transaction():
                lake.sql("CREATE TABLE halves (a INTEGER)").close()
                lake.engine.instance.reopen(lake.engine.instance.generation)
                raise KeyError("the user's own")

        with pytest.raises(KeyError, match="the user's own") as caught:
            fail()
        assert "transaction_lost" in caught.value.__notes__[0]
        with lake.transaction():
            lake.sql("CREATE TABLE halves (a INTEGER)").close()
        assert lake.tables() == ["halves"]

    def test_writers_side_by_side(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (n BIGINT)")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: lake.sql("INSERT INTO t VALUES (?)", [n]).close(), range(100)))
        assert lake.sql("SELECT count(*), count(DISTINCT n) FROM t").fetchall() == [(100, 100)]
        events = lake.engine.store.rows("SELECT count(*) FROM events WHERE verb = 'INSERT'")
        assert events == [(100,)]

    def test_a_transaction_belongs_to_the_thread_that_began_it(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (n BIGINT)")
        with lake.transaction():
            lake.sql("INSERT INTO t VALUES (1)")
            assert in_thread(lambda: lake.sql("SELECT count(*) FROM t").fetchall()) == [(0,)]
            in_thread(lambda: lake.sql("INSERT INTO t VALUES (2)").close())
        assert lake.sql("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (2,)]

    def test_another_thread_can_neither_commit_nor_open_one_beside_it(self, lake: EmbeddedLake) -> None:
        with lake.transaction():
            for text, code in (
                ("COMMIT", "no_transaction"),
                ("ROLLBACK", "no_transaction"),
                ("BEGIN", "transaction_open"),
            ):
                with pytest.raises(errors.InvalidRequest) as caught:
                    in_thread(lambda text=text: lake.sql(text))  # type: ignore[misc]
                assert caught.value.code == code

    def test_an_exception_undoes_it(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (n BIGINT)")
        with pytest.raises(KeyError), lake.transaction():
            lake.sql("INSERT INTO t VALUES (1)")
            raise KeyError
        assert lake.sql("SELECT count(*) FROM t").fetchall() == [(0,)]
        assert not lake.session.in_transaction()

    def test_a_failed_commit_ends_it(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (n BIGINT PRIMARY KEY)")
        with pytest.raises(errors.NeuroLakeError), lake.transaction():
            lake.sql("INSERT INTO t VALUES (1)")
            in_thread(lambda: lake.sql("INSERT INTO t VALUES (1)").close())
        assert not lake.session.in_transaction()
        assert lake.sql("SELECT count(*) FROM t").fetchall() == [(1,)]

    def test_a_thread_that_ends_without_closing_its_transaction(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (n BIGINT)")

        def work() -> None:
            lake.sql("BEGIN")
            lake.sql("INSERT INTO t VALUES (1)")

        in_thread(work)
        for _ in range(3):  # a new thread may get the number of one that has ended, but not its transaction
            in_thread(lambda: lake.sql("INSERT INTO t VALUES (2)").close())
        assert lake.sql("SELECT n FROM t").fetchall() == [(2,)] * 3
        with lake.transaction():
            lake.sql("INSERT INTO t VALUES (3)")
        assert lake.sql("SELECT DISTINCT n FROM t ORDER BY n").fetchall() == [(2,), (3,)]


class TestHome:
    def test_statements_outside_never_wait_for_it(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "CREATE TEMP TABLE t AS SELECT range AS n FROM range(3_000_000)")
        sql = "SELECT count(*) FROM t a, range(2000) b WHERE a.n + b.range < 0"
        sql = "SELECT count(*) AS slow FROM t a, range(2000) b WHERE a.n + b.range < 0"
        slow = threading.Thread(target=in_vain, args=(lake, session, sql))
        slow.start()
        until(lambda: [a for a in lake.engine.activities.snapshot() if a.phase == "running"])
        start = time.monotonic()
        assert run(lake, session, "SELECT 1").fetchall() == [(1,)]
        assert time.monotonic() - start < 1
        for activity in lake.engine.activities.snapshot():
            activity.stop(errors.Cancelled("enough"))
        slow.join(5)
        session.close()

    def test_a_waiting_statement_can_be_cancelled(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "CREATE TEMP TABLE t AS SELECT range AS n FROM range(3_000_000)")
        with session.at_home():
            waiting = threading.Thread(target=in_vain, args=(lake, session, "SELECT count(*) AS waits FROM t"))
            waiting.start()
            until(lambda: [a for a in lake.engine.activities.snapshot() if "waits" in a.text])
            for activity in lake.engine.activities.snapshot():
                activity.stop(errors.Cancelled("enough"))
            waiting.join(5)
            assert not waiting.is_alive()
        session.close()

    def test_several_results_are_set_aside_one_after_another(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "CREATE TEMP TABLE t AS SELECT range AS n FROM range(200_000)")
        results = [run(lake, session, "SELECT n FROM t ORDER BY n") for _ in range(5)]
        firsts = [result.fetchone() for result in results]
        assert firsts == [(0,)] * 5
        assert [result.arrow().num_rows for result in results] == [199_999] * 5
        session.close()


class TestSettings:
    def test_they_hold_on_every_cursor(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "SET TimeZone = 'Asia/Tokyo'")
        with ThreadPoolExecutor(8) as pool:
            zones = list(pool.map(lambda _: run(lake, session, ZONE).fetchall(), range(32)))
        assert zones == [[("Asia/Tokyo",)]] * 32
        assert run(lake, lake.session, ZONE).fetchall() != [("Asia/Tokyo",)]
        session.close()

    def test_no_cursor_carries_them_to_the_next_session(self, lake: EmbeddedLake) -> None:
        for _ in range(5):
            session = lake.engine.session(OWNER)
            run(lake, session, "SET TimeZone = 'Asia/Tokyo'")
            run(lake, session, "SET VARIABLE a = 1")
            run(lake, session, "SELECT 1").fetchall()
            session.close()
        with ThreadPoolExecutor(8) as pool:
            sql = "SELECT current_setting('TimeZone') = 'Asia/Tokyo', getvariable('a')"
            assert set(pool.map(lambda _: run(lake, lake.session, sql).fetchall()[0], range(32))) == {(False, None)}

    def test_one_that_fails_changes_nothing(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        with pytest.raises(errors.NeuroLakeError):
            run(lake, session, "SET TimeZone = 'Nowhere/AtAll'")
        assert run(lake, session, ZONE).fetchall() == run(lake, lake.session, ZONE).fetchall()
        session.close()


class TestEnd:
    def test_temporary_tables_go_with_it(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "CREATE TEMP TABLE t AS SELECT 1 AS a")
        session.close()
        with pytest.raises(errors.NotFound):
            run(lake, lake.engine.session(OWNER), "FROM t")

    def test_an_open_transaction_is_undone(self, lake: EmbeddedLake) -> None:
        lake.sql("CREATE TABLE t (n BIGINT)")
        session = lake.engine.session(OWNER)
        run(lake, session, "BEGIN")
        run(lake, session, "INSERT INTO t VALUES (1)")
        session.close()
        assert lake.sql("SELECT count(*) FROM t").fetchall() == [(0,)]

    def test_what_comes_after_it_is_refused(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "CREATE TEMP TABLE t AS SELECT 1 AS a")
        session.close()
        session.close()
        with pytest.raises(errors.Unavailable) as caught:
            run(lake, session, "BEGIN")
        assert (caught.value.code, caught.value.retryable) == ("session_closed", False)

    def test_an_unread_result_ends_with_it(self, lake: EmbeddedLake) -> None:
        session = lake.engine.session(OWNER)
        run(lake, session, "CREATE TEMP TABLE t AS SELECT range AS n FROM range(1_000_000)")
        result = run(lake, session, "FROM t")
        result.read()
        session.close()
        with pytest.raises(errors.InvalidRequest, match="closed before its last row"):
            result.read()
        assert len(lake.engine.activities) == 0

    def test_a_statement_shows_as_running_until_its_record_is_kept(
        self, lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine, seen = lake.engine, []
        keep = engine.history.record

        def record(activity: Activity, problem: BaseException | None) -> None:
            seen.append(engine.activities.get(activity.query_id) is activity)
            keep(activity, problem)

        monkeypatch.setattr(engine.history, "record", record)
        lake.sql("SELECT 1").fetchall()
        assert (seen, len(engine.activities)) == ([True], 0)

    def test_a_closed_lake_says_so(self, lake: EmbeddedLake) -> None:
        result = lake.sql("FROM range(10_000_000)")
        result.read()
        lake.close()
        with pytest.raises(errors.Unavailable) as caught:
            lake.sql("SELECT 1")
        assert (caught.value.code, caught.value.retryable) == ("closed", False)
        with pytest.raises(errors.NeuroLakeError):
            while result.read() is not None:
                pass
        lake.close()

    def test_closing_while_statements_run(self, lake: EmbeddedLake) -> None:
        sql = "SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b WHERE a.range + b.range < 0"
        failed: list[errors.NeuroLakeError] = []

        def work() -> None:
            try:
                lake.sql(sql).fetchall()
            except errors.NeuroLakeError as problem:
                failed.append(problem)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(lake.engine.activities) == 3)
        start = time.monotonic()
        lake.close()
        for thread in threads:
            thread.join(5)
        assert time.monotonic() - start < 3
        assert {problem.code for problem in failed} <= {"cancelled", "closed"}
        assert len(failed) == 3


ZONE = "SELECT current_setting('TimeZone')"


def run(lake: EmbeddedLake, session: Session, sql: str) -> Result:
    return lake.engine.run(Request(sql, session))


def in_vain(lake: EmbeddedLake, session: Session, sql: str) -> None:
    """Run a statement that is cancelled."""
    with pytest.raises(errors.Cancelled):
        run(lake, session, sql).fetchall()


def until(happens: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.01)
