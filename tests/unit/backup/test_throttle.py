"""A snapshot that keeps to a speed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake.backup.throttle import Throttle


def test_threads_share_the_speed() -> None:
    throttle = Throttle(100_000, lambda: None)
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(throttle.take, [10_000] * 6))
    assert time.monotonic() - begun >= 0.5


def test_without_a_limit_nobody_waits() -> None:
    begun = time.monotonic()
    Throttle(0, lambda: None).take(1 << 60)
    assert time.monotonic() - begun < 1


def fill(lake: neurolake.Lake) -> None:
    sql = "CREATE TABLE t AS SELECT hash(i) AS a, hash(i + 1e9::BIGINT) AS b FROM range({}) r(i)"
    lake.sql(sql.format(3 * 122_880)).close()


def test_a_snapshot_takes_its_time_and_is_whole(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake", snapshot_bytes_per_s_max="4MB", snapshot_threads=1) as lake:
        fill(lake)
        begun = time.monotonic()
        lake.backups.create()
        took = time.monotonic() - begun
        (made,) = lake.backups.list()
        parts = 3
        assert took >= made["bytes_new"] * (parts - 1) / parts / 4_000_000
        assert {row["state"] for row in lake.backups.verify()} == {"whole"}


def test_a_snapshot_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake", snapshot_bytes_per_s_max="1kB") as lake:
        fill(lake)
        stopped: list[errors.NeuroLakeError] = []

        def take() -> None:
            with pytest.raises(errors.Cancelled) as found:
                lake.backups.create()
            stopped.append(found.value)

        thread = threading.Thread(target=take)
        thread.start()
        running = "SELECT query_id FROM neurolake.running WHERE sql LIKE '%create_snapshot%' AND state = 'running'"
        while not (found := lake.sql(running).fetchall()):
            time.sleep(0.05)
        time.sleep(1)
        begun = time.monotonic()
        lake.cancel(found[0][0])
        thread.join(60)
        assert stopped
        assert time.monotonic() - begun < 30
        assert lake.backups.list() == []
        (run,) = lake.sql("SELECT state, error_code FROM neurolake.backup_runs").fetchall()
        assert tuple(run) == ("failed", "cancelled")
