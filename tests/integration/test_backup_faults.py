"""Snapshots when the world misbehaves: clocks that jump, two lakes at once, notes of the dead, disks of every size."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from power_cut import Disk, Found, contents, lay_out, power_cuts, record

import neurolake
from neurolake import errors
from neurolake.backup import create as creating
from neurolake.backup import prune as pruning
from neurolake.backup.presence import own_note

KEEP_NONE = {f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly", "yearly")}


def whole(lake: neurolake.Lake, snapshot: str) -> bool:
    return {row["state"] for row in lake.backups.verify(snapshot, full=True)} == {"whole"}


class Clock:
    """What time it is for snapshots: `ahead` of the real time."""

    ahead = timedelta()

    @classmethod
    def now(cls, zone: object) -> datetime:
        return datetime.now(UTC) + cls.ahead

    fromisoformat = datetime.fromisoformat


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Clock]]:
    monkeypatch.setattr(creating, "datetime", Clock)
    monkeypatch.setattr(pruning, "datetime", Clock)
    yield Clock
    Clock.ahead = timedelta()


class TestAClockThatJumps:
    @pytest.mark.parametrize("days", [400, -400, -20_000])
    def test_the_order_stays_and_the_newest_stays(self, tmp_path: Path, clock: type[Clock], days: int) -> None:
        with neurolake.connect(tmp_path / "lake", snapshot_keep_last=2, **KEEP_NONE) as lake:
            taken = []
            for number, ahead in enumerate((0, 0, days, 0, 0)):
                clock.ahead = timedelta(days=ahead)
                lake.sql(f"CREATE OR REPLACE TABLE t AS SELECT {number} AS n").close()
                taken.append(lake.backups.create())
                assert [row["snapshot_id"] for row in lake.backups.list()] == taken
                assert lake.sql("SELECT n FROM neurolake.at('t', 'latest')").fetchall() == [(number,)]
            assert len(set(taken)) == 5
            kept = [row["snapshot_id"] for row in lake.backups.prune(dry_run=False) if row["action"] == "kept"]
            assert kept == [taken[4], taken[3]]
            assert [row["snapshot_id"] for row in lake.backups.list()] == taken[3:]
            assert all(whole(lake, snapshot) for snapshot in taken[3:])
            assert whole(lake, lake.backups.create())

    def test_one_that_is_ahead_takes_nothing_young_away(self, tmp_path: Path, clock: type[Clock]) -> None:
        settings = {"snapshot_keep_last": 1, "snapshot_keep_days_min": 7, **KEEP_NONE}
        with neurolake.connect(tmp_path / "lake", **settings) as lake:
            taken = [lake.backups.create() for _ in range(3)]
            for days in (4000, -4000):
                clock.ahead = timedelta(days=days)
                lake.backups.prune(dry_run=False)
                assert [row["snapshot_id"] for row in lake.backups.list()] == taken

    def test_a_time_still_means_the_last_not_after_it(self, tmp_path: Path, clock: type[Clock]) -> None:
        with neurolake.connect(tmp_path / "lake") as lake:
            for number, ahead in enumerate((0, 400, 0)):
                clock.ahead = timedelta(days=ahead)
                lake.sql(f"CREATE OR REPLACE TABLE t AS SELECT {number} AS n").close()
                lake.backups.create()
            clock.ahead = timedelta()
            soon = (clock.now(UTC) + timedelta(hours=1)).isoformat()
            assert lake.sql(f"SELECT n FROM neurolake.at('t', '{soon}')").fetchall() == [(2,)]


class TestNotesOfOthers:
    @pytest.fixture
    def lake(self, tmp_path: Path) -> Iterator[neurolake.Lake]:
        with neurolake.connect(tmp_path / "lake") as opened:
            opened.backups.create()
            yield opened

    def left(self, lake: neurolake.Lake, tmp_path: Path, idle_s: float, **said: object) -> bool:
        """Whether prune takes a note for that of a dead; the note is gone then."""
        path = tmp_path / "lake" / "snapshots" / "using" / "0000000000000000.json"
        path.write_text(json.dumps(own_note("create") | {"at": 0.0} | said))
        os.utime(path, (time.time() - idle_s, time.time() - idle_s))
        try:
            lake.backups.prune(dry_run=False)
        except errors.Unavailable as problem:
            assert problem.code == "repository_locked"
        gone = not path.exists()
        path.unlink(missing_ok=True)
        return gone

    def test_who_counts(self, lake: neurolake.Lake, tmp_path: Path) -> None:
        day = 86_400.0
        with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
            ended.wait()
        assert self.left(lake, tmp_path, 0)  # this process does not work there, and could not remove its note
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as alive:
            started = Path(f"/proc/{alive.pid}/stat").read_text().rpartition(") ")[2].split()[19]
            assert not self.left(lake, tmp_path, 9 * day, pid=alive.pid, started=started)  # however long it is silent
            assert self.left(lake, tmp_path, 0, pid=alive.pid, started="1")  # the number was another process's
            alive.kill()
        assert self.left(lake, tmp_path, 0, pid=ended.pid)
        assert self.left(lake, tmp_path, 0, boot="before")
        assert not self.left(lake, tmp_path, 60, host="elsewhere", pid=ended.pid)
        assert not self.left(lake, tmp_path, 60, processes="pid:[1]", pid=ended.pid)  # in another container
        assert self.left(lake, tmp_path, 2 * day, host="elsewhere")

    def test_a_clock_that_jumps_ends_nobody(
        self, lake: neurolake.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = time.time
        for days in (100, -100):
            monkeypatch.setattr(time, "time", lambda days=days: real() + days * 86_400)
            path = tmp_path / "lake" / "snapshots" / "using" / "0000000000000000.json"
            path.write_text(json.dumps(own_note("create") | {"host": "elsewhere", "at": real()}))
            with pytest.raises(errors.Unavailable):
                lake.backups.prune(dry_run=False)
            assert path.exists()


TAKING = """
import random, sys, time
import neurolake
from neurolake import errors

def in_turn(work):
    while True:
        try:
            return work()
        except errors.Unavailable as problem:
            assert problem.code == "repository_locked"
            time.sleep(random.random() / 20)

home, repository, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with neurolake.connect(home, snapshot_keep_last=2) as lake:
    backups = lake.backups.at(repository)
    for number in range(count):
        lake.sql(f"INSERT INTO t SELECT i + {number}, 'again' FROM range(1000) r(i)").close()
        print(in_turn(backups.create), flush=True)
        in_turn(lambda: backups.prune(dry_run=False))
"""


@pytest.mark.faults
def test_two_lakes_and_two_processes_in_one_repository(tmp_path: Path) -> None:
    """Both take and prune, with files in common. Whoever is refused, because the other prunes, tries again."""
    homes, repository = (tmp_path / "one", tmp_path / "two"), tmp_path / "repository"
    for home in homes:
        with neurolake.connect(home) as lake:
            lake.sql("CREATE TABLE t AS SELECT i, 'x' || i AS v FROM range(300000) r(i)").close()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TAKING, str(home), str(repository), "12"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for home in homes
    ]  # fmt: skip
    taken = {}
    for home, process in zip(homes, running, strict=True):
        said, complained = process.communicate(timeout=240)
        assert process.returncode == 0, complained
        taken[home] = said.split()
    for home in homes:
        with neurolake.connect(home) as lake:
            backups = lake.backups.at(repository)
            there = [row["snapshot_id"] for row in backups.list()]
            assert taken[home][-1] in there
            for snapshot in there:
                assert {row["state"] for row in backups.verify(snapshot, full=True)} == {"whole"}
            backups.prune(dry_run=False)
            assert {row["state"] for row in backups.verify(backups.create(), full=True)} == {"whole"}


CUT = """
import os, sys
import neurolake

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

keep = {f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly", "yearly")}
with neurolake.connect(sys.argv[1], snapshot_keep_last=2, **keep) as lake:
    backups = lake.backups.at(sys.argv[2])
    for number in range(3):
        lake.sql(f"UPDATE t SET i = -{number} WHERE i = {number}").close()
        say("taken", backups.create())
    for row in backups.prune()[:-1]:
        if row["action"] != "kept":
            say("going", row["snapshot_id"])
    backups.prune(dry_run=False)
"""


def reported(said: str) -> set[str]:
    """The snapshots that the program had reported and not begun to remove."""
    words = [line.split() for line in said.splitlines()]
    return {name for what, name in words if what == "taken"} - {name for what, name in words if what == "going"}


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_power_cut_at_any_moment_loses_no_snapshot(tmp_path: Path) -> None:
    """Whatever of the unsynced changes is on the disk: what was reported is there and whole, and so is all listed."""
    home, repository = tmp_path / "lake", tmp_path / "repository"
    with neurolake.connect(home) as lake:
        lake.sql("CREATE TABLE t AS SELECT range AS i FROM range(50)").close()
    calls = record([sys.executable, "-c", CUT, str(home), str(repository)], repository, tmp_path / "calls")
    disk = Disk()
    for call in calls:
        disk.apply(call)
    assert disk.after(disk.pending, share=1.0) == contents(repository)  # the model knows what the run did
    assert len(reported("".join(call.data.decode() for call in calls if call.kind == "said"))) == 2
    with neurolake.connect(home) as lake:
        for number, found in enumerate(power_cuts(calls)):
            check(lake, found, tmp_path / f"cut{number}", again=number % 10 == 0)
        assert number > 100


def check(lake: neurolake.Lake, found: Found, folder: Path, *, again: bool) -> None:
    lay_out(found, folder)
    backups = lake.backups.at(folder)
    listed = {row["snapshot_id"] for row in backups.list()}
    assert reported(found.said) <= listed
    for snapshot in listed:
        assert {row["state"] for row in backups.verify(snapshot)} == {"whole"}
    if again:
        assert {row["state"] for row in backups.verify(backups.create(), full=True)} == {"whole"}
        backups.prune(dry_run=False)
        assert not list(folder.glob("staging/*"))
    shutil.rmtree(folder)


FILLED = """
import sys
import neurolake
from neurolake import errors

taken = []
with neurolake.connect(sys.argv[1]) as lake:
    backups = lake.backups.at(sys.argv[2])

    def attempt(*tables):
        try:
            taken.append(backups.create(tables))
        except errors.LimitReached as problem:
            assert problem.code == "repository_full", problem
        there = [row["snapshot_id"] for row in backups.list()]
        assert there == taken
        assert all({row["state"] for row in backups.verify(one)} == {"whole"} for one in there)

    for _ in range(3):
        attempt("small")
        attempt("big")
        lake.sql("INSERT INTO small SELECT range FROM range(1000)").close()
    count = len(taken)
    lake.sql("DROP TABLE big").close()
    if taken:
        left = backups.prune(dry_run=False)[:-1]  # though the disk is full
        assert {row["action"] for row in left} == {"kept"}
    attempt("small")
    print(count, len(taken) - count)
"""


@pytest.fixture(scope="module")
def heavy_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("heavy") / "lake"
    with neurolake.connect(home) as lake:
        lake.sql("CREATE TABLE small AS SELECT 1::BIGINT AS i").close()
        lake.sql("CREATE TABLE big AS SELECT uuid() AS u, uuid() AS v FROM range(100000)").close()
    return home


@pytest.mark.faults
@pytest.mark.parametrize("size_kib", [0, 4, 16, 40, 60, 100, 256, 1024, 3000, 6000, 10_000])
def test_a_disk_that_fills_up_leaves_what_was_there(heavy_home: Path, tmp_path: Path, size_kib: int) -> None:
    """On disks of any size, down to one that is full already."""
    home, disk = tmp_path / "lake", tmp_path / "disk"
    shutil.copytree(heavy_home, home)
    disk.mkdir()
    script = f'mount -t tmpfs -o size=64m none "$2" && head -c {65536 - size_kib}k /dev/zero > "$2/filler" && '
    script += 'exec "$3" -c "$0" "$1" "$2/in"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run([*command, FILLED, str(home), str(disk), sys.executable], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert (before == 6) == (size_kib >= 10_000)
    assert after == (size_kib >= 60)


CROWDED = """
import os, sys
import neurolake
from neurolake import errors
from pathlib import Path

home, repository, filler, free_kib = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])

def fill():
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    os.truncate(filler, max(0, filler.stat().st_size - free_kib * 1024))

def attempt(what):
    try:
        return what()
    except errors.NeuroLakeError as problem:
        print(problem.code)

def tables(lake):
    sql = "SELECT schema_name FROM duckdb_tables() WHERE table_name = 't' ORDER BY ALL"
    return [schema for (schema,) in lake.sql(sql).fetchall()]

def whole(lake, schema):
    return lake.sql(f"SELECT count(*), sum(i)::BIGINT FROM {schema}.t").fetchall() == [(200000, 19999900000)]

new = Path(home).with_name("new")
with neurolake.connect(home) as lake:
    backups = lake.backups.at(repository)
    first = backups.create()
    fill()
    taken = {first, attempt(backups.create), attempt(backups.create)} - {None}
    restored = attempt(lambda: backups.restore(first, to="schema:again"))
    made = attempt(lambda: backups.restore(first, to=new))
    filler.unlink()
with neurolake.connect(home) as lake:
    backups = lake.backups.at(repository)
    listed = {row["snapshot_id"] for row in backups.list()}
    assert taken <= listed  # one may be there that could not be reported
    assert all({row["state"] for row in backups.verify(one)} == {"whole"} for one in listed)
    there = tables(lake)
    assert "main" in there and (not restored or "again" in there), there
    assert all(whole(lake, schema) for schema in there)
    backups.restore(first, to="schema:after")
    assert whole(lake, "after")
    assert {row["state"] for row in backups.verify(backups.create(), full=True)} == {"whole"}
    if not new.exists():
        assert not made
        backups.restore(first, to=new)
    assert not list(new.parent.glob(".*.restoring"))
with neurolake.connect(new) as lake:
    assert whole(lake, "main")
"""


@pytest.mark.faults
@pytest.mark.parametrize("free_kib", [0, 64, 1024, 4096])
def test_a_full_disk_under_the_home_loses_nothing(tmp_path: Path, free_kib: int) -> None:
    """The lake goes on, and snapshots that were reported are there; what was begun is done or leaves nothing."""
    repository, disk = tmp_path / "repository", tmp_path / "disk"
    disk.mkdir()
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql("CREATE TABLE t AS SELECT i, hash(i) AS h FROM range(200000) r(i)").close()
    script = 'mount -t tmpfs -o size=32m none "$2" && cp -r "$1" "$2/lake" && '
    script += 'exec "$4" -c "$0" "$2/lake" "$3" "$2/filler" "$5"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, CROWDED]
    arguments = [tmp_path / "lake", disk, repository, sys.executable, str(free_kib)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"disk_full"} <= set(done.stdout.split()) <= {"disk_full", "home_full"}


RESTORING = """
import sys
import neurolake
with neurolake.connect(sys.argv[1]) as lake:
    lake.backups.restore(to=sys.argv[2])
"""


@pytest.mark.faults
def test_a_power_cut_finds_a_restored_home_whole_or_not_at_all(tmp_path: Path) -> None:
    """When a new home gets its name, all that was written to it is on the disk; then its name is, too."""
    home, new, log = tmp_path / "lake", tmp_path / "new", tmp_path / "calls"
    with neurolake.connect(home) as lake:
        lake.sql("CREATE TABLE t AS SELECT i FROM range(1000) r(i)").close()
        lake.backups.create()
    calls = "trace=write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,rename,unlink"
    program = [sys.executable, "-c", RESTORING, str(home), str(new)]
    subprocess.run(["strace", "-f", "-y", "-e", calls, "-o", str(log), *program], check=True)
    last: dict[str, str] = {}
    lines = iter(log.read_text(errors="replace").splitlines())
    for line in lines:
        if "rename(" in line and f'"{new}"' in line:
            break
        if (found := re.match(r"\d+\s+(\w+)\(\d+<[^>]*\.restoring/?([^>]*)>", line)) is not None:
            last[found[2]] = found[1]
        elif (gone := re.match(r'\d+\s+unlink\("[^"]*\.restoring/([^"]*)"', line)) is not None:
            last.pop(gone[1], None)
    assert {"", "lake.duckdb", "system.sqlite"} <= set(last)
    assert any(path.startswith(".neurolake.toml.") for path in last)  # written under another name first
    unsynced = {path for path, call in last.items() if call not in ("fsync", "fdatasync")}
    assert unsynced <= {"run/lock"}  # of the process that made it
    assert any("fsync(" in line and f"<{tmp_path}>" in line for line in lines)
