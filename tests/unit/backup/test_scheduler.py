"""Jobs on a real lake, under a clock of the test's own: due, missed, in the way of each other, cut off."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from neurolake.backup.runs import Outcome
from neurolake.config import load
from neurolake.engine import Engine
from neurolake.home import Home
from neurolake.query import OWNER, Request
from neurolake.scheduler import ATTEMPTS_MAX, Scheduler

HOUR = 3600.0
START = 1_800_000_000.0 - 1_800_000_000.0 % HOUR


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


Opened = Callable[..., Engine]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens the same lake, again if need be, with settings."""
    engines: list[Engine] = []

    def open_(**flags: object) -> Engine:
        for engine in engines:
            engine.close()
        home = Home.open(tmp_path / "lake", create=True)
        engines.append(Engine(home, load(home.path, environ={}, flags=flags)))
        return engines[-1]

    yield open_
    for engine in engines:
        engine.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rows(engine: Engine, sql: str) -> list[dict[str, Any]]:
    session = engine.session(OWNER)
    try:
        found: list[dict[str, Any]] = engine.run(Request(sql, session)).arrow().to_pylist()
    finally:
        session.close()
    return found


def runs(engine: Engine, columns: str = "job, state") -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows(engine, f"SELECT {columns} FROM neurolake.backup_runs")]


def test_a_job_runs_when_it_is_due_and_not_before(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *")
    scheduler = Scheduler(engine, clock)
    assert scheduler.look() == START + HOUR
    clock.now = START + HOUR - 1
    scheduler.look()
    assert runs(engine) == []
    clock.now = START + HOUR + 2
    assert scheduler.look() == START + 2 * HOUR
    scheduler.look()
    (run,) = rows(engine, "FROM neurolake.backup_runs")
    assert (run["job"], run["mode"], run["started_by"], run["state"]) == ("create", "full", "schedule", "done")
    assert run["due_at"].timestamp() == START + HOUR
    assert rows(engine, "SELECT snapshot_id FROM neurolake.snapshots") == [{"snapshot_id": run["snapshot_id"]}]
    statement = rows(engine, f"SELECT user_name, client FROM neurolake.queries WHERE query_id = '{run['query_id']}'")
    assert statement == [{"user_name": "owner", "client": "schedule"}]


def test_what_was_missed_while_no_server_ran_runs_once_at_the_start(opened: Opened, clock: Clock) -> None:
    Scheduler(opened(snapshot_schedule="0 * * * *"), clock).look()
    clock.now += 50 * HOUR + 60
    engine = opened(snapshot_schedule="0 * * * *")
    assert Scheduler(engine, clock).look() == START + 51 * HOUR
    assert runs(engine, "job, epoch(due_at)") == [("create", START + HOUR)]
    Scheduler(engine, clock).look()
    assert len(runs(engine)) == 1


def test_a_new_schedule_counts_from_when_it_was_first_seen(opened: Opened, clock: Clock) -> None:
    Scheduler(opened(snapshot_schedule="0 * * * *"), clock).look()
    clock.now += 50 * HOUR
    engine = opened(snapshot_schedule="30 * * * *")
    assert Scheduler(engine, clock).look() == clock.now + HOUR / 2
    assert runs(engine) == []


def test_a_clock_that_was_far_ahead_does_not_stop_the_schedule(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *")
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now += 20_000 * HOUR  # jumps forward: one run, not thousands
    scheduler.look()
    assert len(runs(engine)) == 1
    clock.now = START + 60  # and is put right
    assert scheduler.look() == START + HOUR
    clock.now = START + HOUR
    scheduler.look()
    assert len(runs(engine)) == 2


def test_a_clock_put_back_a_little_repeats_nothing(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *")
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now = START + HOUR + 1
    scheduler.look()
    for back in (2, 600, 3000):
        clock.now = START + HOUR + 1 - back
        scheduler.look()
    assert len(runs(engine)) == 1


def test_prune_follows_and_verify_looks_at_every_repository(opened: Opened, clock: Clock, tmp_path: Path) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    engine = opened(
        snapshot_repositories=list(places), snapshot_schedule="0 * * * *", snapshot_verify_schedule="0 * * * *",
        snapshot_prune=True, snapshot_keep_last=1, snapshot_keep_hourly=0, snapshot_keep_daily=0,
        snapshot_keep_weekly=0, snapshot_keep_monthly=0, snapshot_keep_yearly=0,
    )  # fmt: skip
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    for hour in (1, 2):
        clock.now = START + hour * HOUR
        scheduler.look()
    wanted = [(job, "done", place) for job in ("create", "prune", "verify") for place in places]
    assert runs(engine, "job, state, repository") == 2 * wanted
    assert rows(engine, "SELECT count(*) AS n FROM neurolake.snapshots") == [{"n": 2}]  # one in each repository


def test_a_repository_that_fails_is_neither_hidden_nor_pruned(opened: Opened, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    places = [str(tmp_path / "good"), str(tmp_path / "file" / "bad")]
    engine = opened(snapshot_repositories=places, snapshot_schedule="0 * * * *", snapshot_prune=True)
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now += HOUR
    scheduler.look()
    assert runs(engine, "job, state, error_code, repository") == [
        ("create", "done", None, places[0]),
        ("create", "failed", "repository_failed", places[1]),
        ("prune", "done", None, places[0]),
    ]
    assert rows(engine, "SELECT last_state, last_error_code FROM neurolake.backup_schedule") == [
        {"last_state": "partial", "last_error_code": "repository_failed"}
    ]


def test_verify_tells_damage_from_nothing_to_do(opened: Opened, clock: Clock, tmp_path: Path) -> None:
    engine = opened(snapshot_verify_schedule="0 * * * *")
    rows(engine, "CREATE TABLE t AS SELECT i FROM range(10) r(i)")
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now += HOUR
    scheduler.look()
    rows(engine, "CALL neurolake.create_snapshot()")
    (part,) = (tmp_path / "lake" / "snapshots").glob("data/*/*.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    clock.now += HOUR
    scheduler.look()
    assert runs(engine, "job, state, error_code, detail") == [
        ("verify", "nothing_to_do", "nothing_to_do", None),
        ("create", "done", None, None),
        ("verify", "failed", "snapshot_corrupt", "damaged: t"),
    ]


def test_what_is_to_be_tried_again_later_is_but_not_for_ever(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *")
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now += HOUR
    folder = engine.home.snapshots / "using"
    folder.mkdir()
    note = folder / "0011223344556677.json"
    note.write_text(json.dumps({"kind": "prune", "host": "another", "pid": 1, "boot": "x", "at": time.time()}))
    for _ in range(ATTEMPTS_MAX + 2):
        scheduler.look()
    assert runs(engine, "state, error_code") == ATTEMPTS_MAX * [("failed", "repository_locked")]
    shutil.rmtree(folder)
    clock.now += HOUR
    scheduler.look()
    assert runs(engine, "state")[-1] == ("done",)


def test_a_run_that_is_refused_before_it_begins_is_recorded_all_the_same(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *", snapshot_run_timeout_s=1e-9)
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now += HOUR
    scheduler.look()
    (run,) = rows(engine, "SELECT job, state, error_code, repository FROM neurolake.backup_runs")
    assert run == {
        "job": "create", "state": "failed", "error_code": "timed_out", "repository": str(engine.home.snapshots)
    }  # fmt: skip


def test_a_run_that_is_too_long_is_recorded_as_that_whatever_it_was_at(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *", snapshot_run_timeout_s=0.3)
    rows(engine, "CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS h FROM range(5000000) AS t(i)")
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    clock.now += HOUR
    scheduler.look()
    assert runs(engine, "job, state, error_code") == [("create", "failed", "timed_out")]


KILLED = """
import os, signal, sys
from neurolake.backup import faults
from neurolake.config import load
from neurolake.engine import Engine
from neurolake.home import Home
from neurolake.scheduler import Scheduler
home = Home.open(sys.argv[1])
engine = Engine(home, load(home.path, environ={}, flags={"snapshot_schedule": "0 * * * *"}))
faults.watch(lambda point: point == "create.before_manifest" and os.kill(os.getpid(), signal.SIGKILL))
Scheduler(engine, lambda: float(sys.argv[2])).look()
"""


def test_a_run_that_a_crash_cut_off_is_told_and_tried_again(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *")
    Scheduler(engine, clock).look()
    engine.close()
    clock.now += HOUR
    killed = subprocess.run([sys.executable, "-c", KILLED, engine.home.path, repr(clock.now)], check=False)
    assert killed.returncode == -signal.SIGKILL
    engine = opened(snapshot_schedule="0 * * * *")
    assert runs(engine, "state, ended_at") == [("interrupted", None)]
    Scheduler(engine, clock).look()
    assert runs(engine) == [("create", "interrupted"), ("create", "done")]


def test_a_run_that_the_server_never_survives_is_given_up_until_the_next_time(opened: Opened, clock: Clock) -> None:
    def dies(self: Scheduler, *_: object) -> bool:
        raise SystemExit

    engine = opened(snapshot_schedule="0 * * * *")
    Scheduler(engine, clock).look()
    clock.now += HOUR
    killed = type("Killed", (Scheduler,), {"_run": dies})
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(SystemExit):
            killed(engine, clock).look()
    killed(engine, clock).look()
    clock.now += HOUR
    Scheduler(engine, clock).look()
    assert len(runs(engine)) == 1


def test_the_schedule_says_when_only_where_it_runs(opened: Opened, clock: Clock) -> None:
    engine = opened(snapshot_schedule="0 * * * *", snapshot_schedule_zone="Europe/Berlin")
    sql = "SELECT job, schedule, time_zone, epoch(next_run_at) AS due, last_state FROM neurolake.backup_schedule"
    wanted = {"job": "create", "schedule": "0 * * * *", "time_zone": "Europe/Berlin", "due": None, "last_state": None}
    assert rows(engine, sql) == [wanted]
    scheduler = Scheduler(engine, clock)
    scheduler.look()
    assert rows(engine, sql) == [wanted | {"due": START + HOUR}]
    scheduler.close()
    assert rows(engine, sql) == [wanted]


def test_only_one_run_at_a_time(opened: Opened) -> None:
    engine = opened(snapshot_schedule="* * * * * *", snapshot_verify_schedule="* * * * * *")
    scheduler = Scheduler(engine)
    scheduler.start()
    enough = threading.Event()
    for _ in range(80):
        if len(runs(engine)) >= 4:
            break
        enough.wait(0.1)
    scheduler.close()
    spans = runs(engine, "started_at, ended_at")
    assert len(spans) >= 4
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_old_runs_go_but_the_last_success_stays(opened: Opened) -> None:
    record = opened(snapshot_runs_max=10).backup_runs
    for number in range(30):
        with record.record(f"q{number}", "create", "full", ["/a", "/b"]) as outcomes:
            outcomes["/a"] = Outcome()
            outcomes["/b"] = Outcome() if number == 3 else Outcome("failed", "repository_failed")
    kept = record.rows()
    assert len(kept) == 11
    assert [run.query_id for run in kept if run.repository == "/b" and run.state == "done"] == ["q3"]
