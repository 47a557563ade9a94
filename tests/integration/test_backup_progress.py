"""How far a backup is: on a real terminal, by a server too, and in the system table; nothing anywhere else."""

from __future__ import annotations

import json
import re
import sys
import threading
from pathlib import Path

import pytest
from backup_jobs import neurolake, served
from terminal import Terminal, at_a_terminal

import neurolake as api
from neurolake.cli.output import size_text

TABLES = 3
SLOW = """
import sys, time
from neurolake.backup.faults import watch
from neurolake.cli import main
watch(lambda point: time.sleep(0.8) if point == "restore.table" else None)
sys.exit(main())
"""
"""The command, on a machine that needs its time for each table."""
RATES = r"[0-9.]+ [kM]?B/s, 0:00:\d\d left"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    at_a_terminal(monkeypatch, tmp_path)
    with api.connect(tmp_path / "lake") as opened:
        for number in range(TABLES):
            opened.sql(f"CREATE TABLE t{number} AS SELECT i, hash(i, {number}) AS h FROM range(130000) r(i)").close()
    return tmp_path / "lake"


def shown(*arguments: str | Path) -> str:
    """What a command shows on a terminal until it has ended well."""
    terminal = Terminal([sys.executable, *map(str, arguments)])
    code = terminal.ended()
    assert code == 0, terminal.shown
    return terminal.shown


def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of about four seconds."""
    monkeypatch.setenv("NEUROLAKE_SNAPSHOT_BYTES_PER_S_MAX", "1MB")


def test_create_says_bytes_speed_and_the_time_left(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch)
    seen = shown("-m", "neurolake", "backup", "create", "--lake", lake)
    assert re.search(rf"Taking a snapshot: writing tables.*[0-9.]+ MB, {RATES}", seen)


def test_restore_and_verify_say_how_much_of_all_bytes(lake: Path, tmp_path: Path) -> None:
    assert neurolake(tmp_path, "backup", "create", "--lake", lake).returncode == 0
    listed = json.loads(neurolake(tmp_path, "backup", "list", "--lake", lake, "--json").stdout)
    total = size_text(sum(one["bytes"] for one in listed))
    restored = shown("-c", SLOW, "backup", "restore", "latest", "--to", tmp_path / "new", "--lake", lake)
    assert re.search(rf"Restoring: writing tables.*[1-9][0-9.]+ MB of {total}, {RATES}", restored)
    verified = shown("-c", SLOW, "backup", "verify", "--full", "--lake", lake)
    assert re.search(rf"Verifying: writing tables.*[1-9][0-9.]+ MB of {total}, {RATES}", verified)


def test_a_served_lake_says_it_too(lake: Path) -> None:
    found: list[dict[str, object]] = []
    with served(lake, snapshot_bytes_per_s_max="1MB") as server:
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(0.05):
                found.extend(server.rows("FROM neurolake.running WHERE step IS NOT NULL"))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            seen = shown("-m", "neurolake", "backup", "create", "--lake", lake)
        finally:
            ended.set()
            looking.join()
    assert re.search(rf"Taking a snapshot: writing tables.*[0-9.]+ MB, {RATES}", seen)
    assert {one["own_session"] for one in found} == {False}
    shares = [one["progress"] for one in found if one["step"] == "writing tables"]
    assert shares == sorted(shares, key=lambda share: share or 0.0)
    assert any(share and 0 < share < 1 for share in shares)


def test_nothing_is_shown_where_no_terminal_is(lake: Path, tmp_path: Path) -> None:
    done = neurolake(tmp_path, "backup", "create", "--lake", lake, snapshot_bytes_per_s_max="1MB")
    assert done.returncode == 0
    assert re.fullmatch(r"\S+: 3 tables, 390,000 rows, [0-9.]+ MB, of which [0-9.]+ MB are new\n", done.stderr)


def test_rows_that_refer_to_later_rows_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large table is inserted in pieces, unless a row may need one that comes later."""
    monkeypatch.setattr("neurolake.backup.restore.INSERT_ROWS", 1)
    with api.connect(tmp_path / "lake") as opened:
        opened.sql("CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES staff (id))").close()
        opened.sql("INSERT INTO staff SELECT i, NULL FROM range(250000) r(i)").close()
        opened.sql("CREATE TABLE many AS SELECT i FROM range(400000) r(i)").close()
        opened.backups.create()
        opened.backups.restore(to="schema:again")
        for table in ("staff", "many"):
            difference = f"SELECT count(*) FROM (FROM {table} EXCEPT FROM again.{table})"
            assert opened.sql(difference).fetchall() == [(0,)]
