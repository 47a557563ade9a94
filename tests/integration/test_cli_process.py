"""Real processes: quickstart from start to end, commands through a server, signals, and the shell on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from terminal import Terminal

import neurolake
from neurolake.config import SETTINGS
from neurolake.home import Home, ServerInfo, read_server_file
from neurolake.home.lock import holder

NEUROLAKE = (sys.executable, "-m", "neurolake")
ENDLESS = "SELECT count(*) FROM range(100000000000) AS t(i) WHERE i % 3 = 7"
PASSWORD = "correct horse battery"
WITHIN_S = 30


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user's environment without anything set, and with a terminal of a known size."""
    for name in (*(setting.variable for setting in SETTINGS), "NEUROLAKE_LAKE", "NEUROLAKE_URI", "NEUROLAKE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("HOME", str(tmp_path))
    # Commands run elsewhere, and find the tree as the tests do.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(neurolake.__file__).parents[1]), *sys.path[1:]]))


def neurolake_(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NEUROLAKE, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


@contextlib.contextmanager
def started(*arguments: str | Path, **options: IO[str] | int) -> Iterator[subprocess.Popen[str]]:
    """A running command; killed if it still runs at the end."""
    with subprocess.Popen(
        [*NEUROLAKE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def served(home: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], ServerInfo]]:
    """A lake behind a server on free ports; its administrator's password is PASSWORD."""
    os.environ["NEUROLAKE_ADMIN_PASSWORD"] = PASSWORD
    try:
        with started("serve", home, "--port", "0", "--http-port", "0", *flags) as process:
            until(lambda: process.poll() is not None or read_server_file(home), "the server")
            info = read_server_file(home)
            assert info is not None, process.communicate()
            yield process, info
    finally:
        del os.environ["NEUROLAKE_ADMIN_PASSWORD"]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake's folder with a table of ten rows."""
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql("CREATE TABLE numbers AS SELECT range AS i FROM range(10)")
    return tmp_path / "lake"


# quickstart


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("quickstart")
    done = neurolake_("quickstart", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "neurolake-demo", done.stdout


def test_quickstart_says_what_it_did_and_what_came_back(demo: tuple[Path, str]) -> None:
    _, said = demo
    steps = re.findall(r"^(\d+)\. ", said, re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    for expected in (
        "20,000 customers",
        "300,000 orders",
        "lag(revenue) OVER",
        "DE",
        "espresso machine",
        "24 rows",
        "restored",
    ):
        assert expected in said
    for way in (
        "neurolake.connect(",
        "pandas.read_sql(",
        "polars.read_database(",
        "untested: jdbc:arrow-flight-sql://",
    ):
        assert way in said
    assert "extras: pip install 'neurolake[pandas,polars]'" in said


def test_quickstart_leaves_a_lake_that_serve_opens_with_the_password_it_printed(demo: tuple[Path, str]) -> None:
    home, said = demo
    printed = re.search(r"user admin, password (\S+):", said)
    assert printed is not None
    with (
        served(home) as (_, info),
        neurolake.connect(info.uri, user="admin", password=printed[1]) as lake,
    ):
        assert lake.tables() == ["customers", "orders", "revenue_by_month"]
        assert lake.sql("SELECT count(*) FROM orders").fetchone() == (300_000,)
        assert lake.sql("SELECT sum(revenue) = (SELECT sum(quantity * unit_price) FROM orders) FROM revenue_by_month"
                        ).fetchone() == (True,)  # fmt: skip


def test_quickstart_again_makes_the_same_data_and_sets_the_password_that_is_given(
    demo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = demo
    before = (home / "data" / "customers.csv").read_bytes()
    monkeypatch.setenv("NEUROLAKE_ADMIN_PASSWORD", PASSWORD)
    done = neurolake_("quickstart", home, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["steps"][0]["again"] is True
    assert report["steps"][-1]["exit_code"] == 0
    assert (home / "data" / "customers.csv").read_bytes() == before
    assert PASSWORD not in done.stdout
    with served(home) as (_, info):
        neurolake.connect(info.uri, user="admin", password=PASSWORD).close()


def test_quickstart_touches_nothing_that_is_not_its_own(tmp_path: Path, lake: Path) -> None:
    for folder in (tmp_path, lake):
        before = sorted(folder.rglob("*"))
        done = neurolake_("quickstart", folder)
        assert done.returncode == 4
        assert "[folder_not_empty]" in done.stderr
        assert sorted(folder.rglob("*")) == before


# Through a server


def test_commands_go_through_the_server_of_the_lake_by_themselves(lake: Path, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("id,name\n1,Ann\n2,Ben\n")
    with served(lake) as (_, info):
        assert json.loads(neurolake_("sql", "SELECT sum(i) AS s FROM numbers", "--lake", lake, "--json").stdout) == [
            {"s": 45}
        ]
        assert neurolake_("register", "people", "people.csv", "--lake", lake, cwd=tmp_path).returncode == 0
        assert neurolake_("load", "loaded", "people.csv", "--lake", lake, cwd=tmp_path).stdout.startswith("Loaded 2 ")
        joined = "SELECT count(*) AS n FROM people JOIN loaded USING (id, name)"
        assert neurolake_("sql", joined, "--lake", lake, "--format", "csv").stdout == "n\n2\n"
        shown = json.loads(neurolake_("config", "show", "port", "--lake", lake, "--json").stdout)
        assert [row["value"] for row in shown] == ["0"]
        checks = json.loads(neurolake_("health", "--lake", lake, "--json").stdout)
        assert checks["healthy"] is True
        assert {"server /livez", "server /readyz"} <= {check["part"] for check in checks["checks"]}
        refused = neurolake_("upgrade", "--lake", lake)
        assert refused.returncode == 4
        assert str(info.port) in refused.stderr
    history = json.loads(neurolake_("history", "--lake", lake, "--json").stdout)
    assert joined in [row["sql"] for row in history]


def test_commands_with_an_address_log_in(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(lake) as (_, info):
        ask = ("sql", "SELECT 1 AS a", "--format", "csv", "--uri", info.uri)
        nobody = neurolake_(*ask)
        assert nobody.returncode == 3
        assert "[login_missing]" in nobody.stderr
        monkeypatch.setenv("NEUROLAKE_PASSWORD", "wrong")
        wrong = neurolake_("sql", "SELECT 1", "--uri", info.uri, "--user", "admin", "--json")
        assert wrong.returncode == 3
        assert json.loads(wrong.stderr)["error"]["code"] == "login_failed"
        monkeypatch.setenv("NEUROLAKE_PASSWORD", PASSWORD)
        assert neurolake_(*ask, "--user", "admin").stdout == "a\n1\n"
        monkeypatch.setenv("NEUROLAKE_USER", "admin")
        monkeypatch.setenv("NEUROLAKE_URI", info.uri)
        assert neurolake_(*ask[:-2]).stdout == "a\n1\n"
        assert neurolake_("health").returncode == 0


def test_a_server_with_tls_is_reached_by_its_owner_and_by_who_trusts_its_certificate(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lake.example",
         "-addext", "subjectAltName=DNS:lake.example,DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    with served(lake, "--tls-cert", str(certificate), "--tls-key", str(key)) as (_, info):
        assert info.uri.startswith("grpc+tls://")
        assert neurolake_("sql", "SELECT 1 AS a", "--lake", lake, "--format", "csv").stdout == "a\n1\n"
        monkeypatch.setenv("NEUROLAKE_PASSWORD", PASSWORD)
        ask = (
            "sql",
            "SELECT 1 AS a",
            "--format",
            "csv",
            "--user",
            "admin",
            "--uri",
            f"grpc+tls://localhost:{info.port}",
        )
        assert neurolake_(*ask, "--tls-ca", certificate).stdout == "a\n1\n"
        stranger = neurolake_(*ask)
        assert stranger.returncode == 3
        assert "certificate" in stranger.stderr


def test_a_running_statement_is_seen_and_cancelled_from_elsewhere(lake: Path) -> None:
    with served(lake), started("sql", ENDLESS, "--lake", lake) as asking:
        found: list[dict[str, str]] = []

        def is_running() -> bool:
            rows = json.loads(neurolake_("history", "--running", "--lake", lake, "--json").stdout)
            found[:] = [row for row in rows if row["sql"] == ENDLESS and row["state"] == "running"]
            return bool(found)

        until(is_running, "the statement")
        cancelled = neurolake_("cancel", found[0]["query_id"], "--lake", lake)
        assert cancelled.returncode == 0, cancelled.stderr
        out, err = asking.communicate(timeout=WITHIN_S)
        assert (asking.returncode, out) == (1, "")
        assert f"[cancelled, query {found[0]['query_id']}]" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_cleanly_on_a_signal(lake: Path, number: signal.Signals) -> None:
    with served(lake) as (process, _):
        process.send_signal(number)
        _, err = process.communicate(timeout=WITHIN_S)
        assert (process.returncode, err) == (0, "")
    assert read_server_file(lake) is None
    assert neurolake_("sql", "SELECT 1", "--lake", lake).returncode == 0


SIGNALLED = """
import signal, sys, threading, time
from pathlib import Path
from flight.server import serve
from neurolake.home import read_server_file

def hear():
    while not read_server_file(Path(sys.argv[1])):
        time.sleep(0.05)
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

threading.Thread(target=hear, daemon=True).start()
sys.exit(serve(sys.argv[1], port=0, http_port=0, shutdown_grace_s=0))
"""


def test_a_signal_is_heard_whichever_thread_gets_it(lake: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(lake)], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


STALLED = """
import sys, time
from adbc_driver_flightsql import dbapi
cursor = dbapi.connect(sys.argv[1], db_kwargs={"username": "admin", "password": sys.argv[2]}).cursor()
cursor.execute("SELECT range AS i, repeat('x', 100) AS x FROM range(100_000_000)")
print("reading", flush=True)
time.sleep(60)
"""


def test_a_client_that_does_not_read_does_not_hold_up_the_end(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROLAKE_SHUTDOWN_GRACE_S", "1")
    with served(lake) as (process, info):
        stalled = subprocess.Popen([sys.executable, "-c", STALLED, info.uri, PASSWORD], stdout=subprocess.PIPE)
        with stalled:
            assert stalled.stdout is not None
            assert stalled.stdout.readline() == b"reading\n"
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=WITHIN_S)
            stalled.kill()
        assert process.returncode == 0
        assert "Traceback" not in err
    assert read_server_file(lake) is None
    assert neurolake_("sql", "SELECT 1", "--lake", lake).returncode == 0


def test_a_server_that_cannot_start_says_why(lake: Path) -> None:
    with Home.open(lake):
        done = neurolake_("serve", lake)
        assert done.returncode == 4
        assert "[home_in_use]" in done.stderr
    with served(lake) as (_, info):
        other = lake.parent / "other"
        neurolake_("init", other)
        taken = neurolake_("serve", other, "--port", str(info.port))
        assert taken.returncode == 1
        assert "[port_taken]" in taken.stderr
    wrong = neurolake_("serve", lake, "--threads", "many")
    assert wrong.returncode == 1
    assert "[setting_invalid]" in wrong.stderr


# Ctrl-C


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C, which ends it soon, without an answer and without a traceback."""
    assert process.poll() is None
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN_S)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert time.monotonic() - pressed < 5


@pytest.mark.parametrize("statement", [ENDLESS, f"CREATE TABLE never AS {ENDLESS}"])
def test_ctrl_c_cancels_the_statement(lake: Path, statement: str) -> None:
    with started("sql", statement, "--lake", lake) as process:
        until(lambda: holder(lake), "the lake to be opened")
        time.sleep(1)
        interrupt(process)
    last = json.loads(neurolake_("history", "--state", "cancelled", "--lake", lake, "--json").stdout)
    assert [row["sql"] for row in last] == [statement]


@pytest.mark.parametrize("statement", [ENDLESS, f"CREATE TABLE never AS {ENDLESS}"])
def test_ctrl_c_cancels_the_statement_on_the_server(lake: Path, statement: str) -> None:
    with served(lake) as (_, info), neurolake.connect(info.uri, token=info.token) as watching:

        def states() -> list[str]:
            rows = watching.sql("SELECT state FROM neurolake.running WHERE sql = ?", [statement])
            return [state for (state,) in rows.fetchall()]

        with started("sql", statement, "--lake", lake) as process:
            until(lambda: states() == ["running"], "the statement")
            interrupt(process)
        until(lambda: not states(), "the server to stop working on it")
        ended = watching.sql("SELECT state FROM neurolake.queries WHERE sql = ?", [statement])
        assert ended.fetchall() == [("cancelled",)]


def test_long_work_shows_on_a_terminal_that_it_goes_on(lake: Path) -> None:
    terminal = Terminal([*NEUROLAKE, "sql", ENDLESS, "--lake", str(lake)])
    terminal.wait_for("Running")
    terminal.wait_for("0:00:02")
    terminal.type("\x03")
    assert terminal.ended() == 130


def test_ctrl_c_leaves_no_part_of_a_file(lake: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    statement = "SELECT i FROM range(100000000000) AS t(i)"
    with started("sql", statement, "--lake", lake, "--output", file) as process:
        until(lambda: list(tmp_path.glob(".out.csv*")), "the first rows")
        interrupt(process)
    assert list(tmp_path.glob("*out.csv*")) == []


# The shell on a terminal


@pytest.mark.parametrize("through_server", [False, True])
def test_a_conversation_with_the_shell(lake: Path, through_server: bool) -> None:
    with served(lake) if through_server else contextlib.nullcontext():
        terminal = Terminal([*NEUROLAKE, "shell", "--lake", str(lake)])
        terminal.wait_for("neurolake>")
        terminal.type("SELECT sum(i) AS total\r")
        terminal.wait_for("...>")
        terminal.type("FROM numbers;\r")
        terminal.wait_for("total")
        terminal.wait_for("45")
        terminal.wait_for("(1 row)")
        terminal.type("SELECT * FROM nothing_there;\r")
        terminal.wait_for("error:")
        terminal.wait_for("[not_found")
        terminal.wait_for("neurolake>")
        terminal.type("SELECT * FROM numb\t")
        terminal.wait_for("ers")
        terminal.type(";\r")
        terminal.wait_for("(10 rows)")
        terminal.type(f"{ENDLESS};\r")
        time.sleep(2)
        terminal.type("\x03")
        terminal.wait_for("ancelled")
        terminal.type("SELECT 40 + 2 AS still_here;\r")
        terminal.wait_for("42")
        terminal.type(".quit\r")
        assert terminal.ended() == 0
    assert "FROM numbers;" in (lake / "run" / "shell_history").read_text()


def test_the_shell_leaves_with_ctrl_d(lake: Path) -> None:
    terminal = Terminal([*NEUROLAKE, "shell", "--lake", str(lake)])
    terminal.wait_for("neurolake>")
    terminal.type("\x04")
    assert terminal.ended() == 0


def test_the_shell_runs_a_script(lake: Path) -> None:
    with started("shell", "--lake", lake, "--json", stdin=subprocess.PIPE) as process:
        out, err = process.communicate("SELECT 1 AS a;\n.tables\nSELECT nothing;\nSELECT 2;", timeout=WITHIN_S)
    assert process.returncode == 1
    assert out == '[\n  {"a": 1}\n]\nnumbers\n'
    assert json.loads(err)["error"]["code"] == "binding"
