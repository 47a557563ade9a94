"""What a program or a notebook gets, in a process of its own: bounded memory, spill, Ctrl-C, names to complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contract.clients import PASSWORD
from contract.conftest import serving, uri

import neurolake
from neurolake import errors

ENDLESS = "SELECT count(*) FROM range(100000000000) AS t(i) WHERE i % 3 = 7"
WIDE = "SELECT i, repeat(chr((65 + i % 26)::INTEGER), 100) AS x FROM range(6_000_000) t(i)"
"""670 MB of Arrow."""

SCAN = """
import resource, sys
from pathlib import Path
import neurolake

def peak_bytes():
    # What Linux charges to a process as its most begins with what the one that started it held.
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

with neurolake.connect(sys.argv[1]) as lake:
    lake.sql("SELECT count(*) FROM wide WHERE i < 10").fetchall()
    before = peak_bytes()
    rows = size = 0
    for batch in lake.sql("SELECT * FROM wide"):
        rows += batch.num_rows
        size += batch.nbytes
    after = peak_bytes()
print(rows, size, after - before)
"""

NOTEBOOK = """
import sys
import time
import neurolake
where, *password = sys.argv[1:]
login = {"user": "admin", "password": password[0]} if password else {}
with neurolake.connect(where, **login) as lake:
    print("ready", flush=True)
    try:
        lake.sql(sys.stdin.readline()).fetchall()
    except KeyboardInterrupt:
        print("interrupted", lake.sql("SELECT 40 + 2").fetchall(), flush=True)
    ended, patience = [], 100
    while not ended and patience:  # a server ends a statement a moment after its client has left it
        patience -= 1
        time.sleep(0.05)
        ended = lake.sql("SELECT state FROM neurolake.queries WHERE sql LIKE 'SELECT count(*)%' "
                         "ORDER BY started_at DESC LIMIT 1").fetchall()
    print(ended, flush=True)
"""


def python(script: str, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(Path(neurolake.__file__).parents[1]), *sys.path[1:]])
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )  # fmt: skip


def test_a_scan_of_six_million_rows_holds_little_of_them(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql(f"COPY ({WIDE}) TO '{tmp_path}/wide.parquet'")
        lake.register("wide", str(tmp_path / "wide.parquet"))
    with python(SCAN, tmp_path / "lake") as scanning:
        out, err = scanning.communicate(timeout=120)
    assert scanning.returncode == 0, err
    rows, size, grown = map(int, out.split())
    assert rows == 6_000_000
    assert size > 600_000_000
    assert grown < 250_000_000


class TestMoreThanMemoryHolds:
    GROUPS = "SELECT count(*), max(n) FROM (SELECT md5(i::TEXT), count(*) AS n FROM range(3_000_000) t(i) GROUP BY 1)"
    """350 MB of hash table."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEUROLAKE_MEMORY_BYTES_MAX", "150000000")

    @pytest.mark.parametrize("kind", ["embedded", "remote"])
    def test_it_is_spilled(self, tmp_path: Path, kind: str) -> None:
        with lake_of(kind, tmp_path) as (where, *password), neurolake.connect(where, **login(password)) as lake:
            assert lake.sql(self.GROUPS).fetchone() == (3_000_000, 1)

    @pytest.mark.parametrize("kind", ["embedded", "remote"])
    def test_no_further_than_allowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        monkeypatch.setenv("NEUROLAKE_TEMP_BYTES_MAX", "10000000")
        with lake_of(kind, tmp_path) as (where, *password), neurolake.connect(where, **login(password)) as lake:
            with pytest.raises(errors.LimitReached, match="temp_bytes_max"):
                lake.sql(self.GROUPS).fetchall()
            assert lake.sql("SELECT 1").fetchone() == (1,)


def login(password: list[str]) -> dict[str, str]:
    return {"user": "admin", "password": password[0]} if password else {}


@contextmanager
def lake_of(kind: str, folder: Path) -> Iterator[list[str]]:
    """How a lake of a kind is connected to."""
    if kind == "embedded":
        yield [str(folder / "lake")]
        return
    with serving(folder) as service:
        yield [uri(service), PASSWORD]


@pytest.mark.parametrize("kind", ["embedded", "remote"])
def test_ctrl_c_cancels_what_runs_and_the_lake_goes_on(tmp_path: Path, kind: str) -> None:
    with lake_of(kind, tmp_path) as where, python(NOTEBOOK, *where) as notebook:
        assert notebook.stdout is not None
        assert notebook.stdin is not None
        assert notebook.stdout.readline() == "ready\n"
        notebook.stdin.write(f"{ENDLESS}\n")
        notebook.stdin.flush()
        time.sleep(2)
        pressed = time.monotonic()
        notebook.send_signal(signal.SIGINT)
        assert notebook.stdout.readline() == "interrupted [(42,)]\n"
        assert time.monotonic() - pressed < 5
        out, err = notebook.communicate(timeout=30)
        assert (notebook.returncode, out) == (0, "[('cancelled',)]\n"), err


@pytest.mark.parametrize("kind", ["embedded", "remote"])
def test_tab_completes_the_names_of_tables_and_sources(tmp_path: Path, kind: str) -> None:
    (tmp_path / "people.csv").write_text("id,name\n1,Ann\n")
    with lake_of(kind, tmp_path) as (where, *password), neurolake.connect(where, **login(password)) as lake:
        lake.sql("CREATE TABLE numbers (i INT); CREATE SCHEMA s; CREATE TABLE s.inside (i INT)").fetchall()
        lake.register("people", str(tmp_path / "people.csv"))
        assert lake._ipython_key_completions_() == ["numbers", "people", "s.inside"]
        assert lake["people"].fetchall() == [(1, "Ann")]
