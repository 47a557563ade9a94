"""The metadata file, the journal and query history: what is on the disk when, and what a kill leaves."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake.activity import Activity
from neurolake.catalog.store import Store
from neurolake.history import History
from neurolake.journal import Journal
from neurolake.query import OWNER


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "system.sqlite")
    yield opened
    opened.close()


def killed(script: str, folder: Path) -> str:
    """Run a script that kills itself; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    return done.stdout


class TestDurable:
    def test_a_block_that_raises_writes_nothing(self, store: Store) -> None:
        with pytest.raises(KeyError), store.durable() as db:
            db.execute("INSERT INTO facts VALUES ('a', 1)")
            raise KeyError
        assert store.fact("a") is None

    def test_it_is_synchronous(self, store: Store) -> None:
        assert store.rows("PRAGMA synchronous") == [(2,)]
        assert store.rows("PRAGMA journal_mode") == [("wal",)]

    def test_another_process_reads_it_at_once(self, store: Store, tmp_path: Path) -> None:
        store.set_fact("a", 1)
        other = sqlite3.connect(tmp_path / "system.sqlite")
        assert other.execute("SELECT value FROM facts WHERE name = 'a'").fetchall() == [(1,)]
        other.close()

    def test_many_threads(self, store: Store) -> None:
        def work(number: int) -> None:
            with store.durable() as db:
                db.execute("INSERT INTO facts VALUES (?, ?)", (f"n{number}", number))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(40)))
        assert store.rows("SELECT count(*) FROM facts WHERE name LIKE 'n%'") == [(40,)]

    def test_what_was_acknowledged_survives_a_kill(self, tmp_path: Path) -> None:
        script = """
            import os, signal, sys
            from pathlib import Path
            from neurolake.catalog.store import Store
            store = Store(Path(sys.argv[1]) / "system.sqlite")
            store.set_fact("kept", 1)
            try:
                with store.durable() as db:
                    db.execute("INSERT INTO facts VALUES ('half', 1)")
                    os.kill(os.getpid(), signal.SIGKILL)
            finally:
                pass
        """
        killed(script, tmp_path)
        store = Store(tmp_path / "system.sqlite")
        assert (store.fact("kept"), store.fact("half")) == (1, None)
        store.close()


class TestGap:
    def test_a_clean_end_leaves_none(self, tmp_path: Path) -> None:
        Store(tmp_path / "s").close()
        store = Store(tmp_path / "s")
        assert not store.gap
        store.close()

    def test_a_kill_leaves_none_as_the_machine_lives(self, tmp_path: Path) -> None:
        script = """
            import os, signal, sys
            from pathlib import Path
            from neurolake.catalog.store import Store
            Store(Path(sys.argv[1]) / "s")
            os.kill(os.getpid(), signal.SIGKILL)
        """
        killed(script, tmp_path)
        store = Store(tmp_path / "s")
        assert not store.gap
        store.close()

    def test_an_end_of_the_machine_is_reported(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with neurolake.connect(tmp_path / "lake") as lake:
            lake.sql("SELECT 1")
        db = sqlite3.connect(tmp_path / "lake" / "system.sqlite")
        db.execute("INSERT OR REPLACE INTO facts VALUES ('open_in_boot', 'an earlier boot')")
        db.commit()
        db.close()
        with neurolake.connect(tmp_path / "lake"):
            assert "the last moment of history may be missing" in caplog.text


class TestProblems:
    def test_a_damaged_file(self, tmp_path: Path) -> None:
        (tmp_path / "s").write_bytes(b"this is no database, and longer than a header is" * 100)
        with pytest.raises(errors.HomeProblem):
            Store(tmp_path / "s")

    def test_a_file_cut_short(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s")
        for number in range(200):
            store.set_fact(f"n{number}", "x" * 1000)
        store.close()
        whole = (tmp_path / "s").read_bytes()
        (tmp_path / "s").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(errors.HomeProblem) as caught:
            Store(tmp_path / "s").rows("SELECT * FROM facts")
        assert caught.value.code == "home_damaged"


class TestJournal:
    def test_records_are_with_the_operating_system_at_once(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "j")
        journal.append(["é🦆", 1, None])
        assert Journal(tmp_path, "j").left == [["é🦆", 1, None]]
        journal.close()

    def test_a_turn_takes_what_came_since_the_last(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "j")
        journal.append([1])
        assert journal.turn() == [[1]]
        journal.append([2])
        journal.forget()
        assert Journal(tmp_path, "j").left == [[2]]
        assert journal.turn() == [[2]]
        journal.forget()
        assert Journal(tmp_path, "j").left == []
        journal.close()

    def test_what_could_not_be_moved_comes_again(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "j")
        journal.append([1])
        journal.put_back(journal.turn())
        journal.append([2])
        assert sorted(Journal(tmp_path, "j").left) == [[1], [2]]
        assert journal.turn() == [[1], [2]]
        journal.close()

    @pytest.mark.parametrize("torn", [b'["half', b"[", b'["whole"]', b"\x00\xff\xfe", b"{}", b"7"])
    def test_a_record_that_is_torn_is_left_out(self, tmp_path: Path, torn: bytes) -> None:
        journal = Journal(tmp_path, "j")
        journal.append(["first"])
        journal.close()
        with (tmp_path / "j.a.journal").open("ab") as file:
            file.write(torn)
        left = Journal(tmp_path, "j").left
        assert left == [["first"]] + ([["whole"]] if torn == b'["whole"]' else [])

    def test_text_that_no_file_can_hold(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "j")
        journal.append(["a\ud800b\nc"])
        journal.append(["next"])
        assert Journal(tmp_path, "j").left[-1] == ["next"]
        assert len(Journal(tmp_path, "j").left) == 2
        journal.close()

    def test_many_threads(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, "j")
        taken: list[object] = []
        over = threading.Event()

        def take() -> None:
            while not over.is_set():
                taken.extend(journal.turn())
                journal.forget()

        taker = threading.Thread(target=take)
        taker.start()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: journal.append([n]), range(500)))
        over.set()
        taker.join()
        taken.extend(journal.turn())
        assert sorted(n for (n,) in taken) == list(range(500))  # type: ignore[misc]
        journal.close()


class TestHistory:
    def record(self, history: History, text: str) -> None:
        history.record(Activity(f"id of {text}", OWNER, "test", text), None)

    def texts(self, history: History) -> list[str]:
        found: list[str] = history.table()["sql"].to_pylist()
        return found

    def test_in_order_and_once(self, store: Store, tmp_path: Path) -> None:
        history = History(store, 1000, tmp_path, 0.01)
        for number in range(50):
            self.record(history, str(number))
        assert self.texts(history) == [str(number) for number in range(50)]
        history.close()
        again = History(store, 1000, tmp_path)
        assert self.texts(again) == [str(number) for number in range(50)]
        again.close()

    def test_the_oldest_go(self, store: Store, tmp_path: Path) -> None:
        history = History(store, 10, tmp_path, 60)
        for number in range(250):
            self.record(history, str(number))
            if number % 7 == 0:
                assert len(self.texts(history)) <= 10
        assert self.texts(history) == [str(number) for number in range(240, 250)]
        history.close()
        assert store.rows("SELECT count(*) FROM history")[0][0] < 120

    def test_none_are_kept_where_none_are_wanted(self, store: Store, tmp_path: Path) -> None:
        history = History(store, 0, tmp_path, 60)
        self.record(history, "a")
        assert self.texts(history) == []
        history.close()

    def test_a_failing_disk_loses_none(self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        history = History(store, 1000, tmp_path, 60)
        self.record(history, "a")
        with monkeypatch.context() as patched:
            patched.setattr(store, "durable", lambda: (_ for _ in ()).throw(errors.LimitReached("full")))
            with pytest.raises(errors.LimitReached):
                history.flush()
        self.record(history, "b")
        assert self.texts(history) == ["a", "b"]
        history.close()

    def test_what_was_answered_survives_a_kill(self, tmp_path: Path) -> None:
        script = """
            import os, signal, sys
            import neurolake
            lake = neurolake.connect(sys.argv[1] + "/lake")
            for number in range(300):
                lake.sql(f"SELECT {number} AS survivor").fetchall()
                print(number, flush=True)
            lake.sql("SELECT 'the last' AS survivor").fetchall()
            os.kill(os.getpid(), signal.SIGKILL)
        """
        printed = killed(script, tmp_path)
        with neurolake.connect(tmp_path / "lake") as lake:
            kept = lake.sql("SELECT sql FROM neurolake.queries WHERE contains(sql, 'survivor')").fetchall()
        assert len(printed.split()) == 300
        assert [sql for (sql,) in kept][:301] == [
            *(f"SELECT {number} AS survivor" for number in range(300)), "SELECT 'the last' AS survivor"]  # fmt: skip

    def test_a_kill_in_the_midst_of_moving_doubles_none(self, tmp_path: Path) -> None:
        script = """
            import os, signal, sys
            import neurolake
            from neurolake.journal import Journal
            lake = neurolake.connect(sys.argv[1] + "/lake")
            lake.sql("SELECT 'moved' AS survivor").fetchall()
            Journal.forget = lambda self: os.kill(os.getpid(), signal.SIGKILL)
            lake.engine.history.flush()
        """
        killed(script, tmp_path)
        with neurolake.connect(tmp_path / "lake") as lake:
            kept = lake.sql("SELECT sql FROM neurolake.queries WHERE contains(sql, '''moved''')").fetchall()
        assert kept == [("SELECT 'moved' AS survivor",)]


def test_the_home_is_the_owners_alone(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql("SELECT 1")
        assert (tmp_path / "lake").stat().st_mode & 0o077 == 0
