"""How far a statement and a load are: on a real terminal, by a server too, and in the system table."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from pathlib import Path

import pytest
from backup_jobs import served
from terminal import Terminal, at_a_terminal

import neurolake as api

LONG = "SELECT sum(hash(i)) FROM range(20_000_000_000) r(i)"
"""Minutes of work, stopped as soon as it has shown how far it is."""
LEFT = r"\d:\d\d:\d\d left"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    at_a_terminal(monkeypatch, tmp_path)
    monkeypatch.setenv("NEUROLAKE_THREADS", "1")
    api.connect(tmp_path / "lake").close()
    return tmp_path / "lake"


@pytest.fixture(params=["embedded", "served"])
def opened(request: pytest.FixtureRequest, lake: Path) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext() if request.param == "embedded" else served(lake)


def command(*arguments: str | Path) -> Terminal:
    return Terminal([sys.executable, "-m", "neurolake", *map(str, arguments)])


def test_a_statement_shows_its_share_and_the_time_left(
    lake: Path, opened: contextlib.AbstractContextManager[object]
) -> None:
    with opened:
        terminal = command("sql", LONG, "--lake", lake)
        terminal.wait_for("Running")
        terminal.wait_for(" %, ")
        terminal.wait_for(" left")
        terminal.type("\x03")
        assert terminal.ended() == 130


def test_a_shell_does_too_and_goes_on(lake: Path) -> None:
    terminal = command("shell", "--lake", lake)
    terminal.wait_for("neurolake>")
    terminal.type(f"{LONG};\r")
    terminal.wait_for(" %, ")
    terminal.type("\x03")
    terminal.wait_for("Cancelled")
    terminal.wait_for("neurolake>")
    terminal.type("SELECT 40 + 2 AS answer;\r")
    terminal.wait_for("(1 row)")
    terminal.wait_for("neurolake>")
    terminal.type("\x04")
    assert terminal.ended() == 0


def test_a_load_shows_its_share(lake: Path, tmp_path: Path) -> None:
    terminal = command("load", "people", big_file(tmp_path), "--lake", lake)
    assert terminal.ended() == 0
    assert re.search(rf"Loading people .*[1-9]\d* %, {LEFT}", terminal.shown), terminal.shown


@pytest.mark.slow
def test_a_load_that_is_sent_shows_bytes_and_speed(lake: Path, tmp_path: Path) -> None:
    with served(lake):
        terminal = command("load", "people", big_file(tmp_path), "--lake", lake)
        assert terminal.ended() == 0
    shown = re.search(rf"Loading people: sending .*[1-9][0-9.]* MB, [0-9.]+ [kM]?B/s, {LEFT}", terminal.shown)
    assert shown, terminal.shown


@pytest.mark.slow
def test_running_tells_the_share_of_any_statement(lake: Path) -> None:
    shares: list[float] = []
    with served(lake) as server:
        working = threading.Thread(target=lambda: server.rows("SELECT sum(hash(i)) FROM range(300_000_000) r(i)"))
        working.start()
        while working.is_alive():
            found = server.rows("SELECT progress, step FROM neurolake.running WHERE sql LIKE '%sum(hash%'")
            assert all(one["step"] is None for one in found)
            shares.extend(one["progress"] for one in found if one["progress"] is not None)
    assert any(0 < share < 1 for share in shares)
    assert shares == sorted(shares)


def big_file(folder: Path) -> Path:
    """Seconds of work for one thread."""
    file = folder / "people.csv"
    block = "".join(f"{number},name of {number},{number * 7}.25,2026-01-01\n" for number in range(50_000)).encode()
    with file.open("wb") as out:
        out.write(b"id,name,amount,day\n")
        for _ in range(100):
            out.write(block)
    return file
