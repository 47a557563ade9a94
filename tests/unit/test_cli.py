"""The commands as a user meets them: what they print, where errors go, and the exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import pyarrow as pa
import pyarrow.parquet as papq
import pytest

import neurolake
from neurolake import errors
from neurolake.cli import cli, exits, run
from neurolake.config import SETTINGS
from neurolake.home import Home


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process; `stdin` is what it reads."""

    def call(*arguments: str | Path, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake's folder."""
    Home.init(tmp_path / "lake").close()
    return tmp_path / "lake"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A small CSV file."""
    file = tmp_path / "people.csv"
    file.write_text("id;name\n1;Ann\n2;Ben\n")
    return file


# Help, and the command line itself


def every_command() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(cli)
    for name in cli.list_commands(context):
        made = cli.get_command(context, name)
        assert made is not None
        inner = made.commands.items() if isinstance(made, click.Group) else [("", made)]
        found += [(f"{name} {last}".strip(), leaf) for last, leaf in inner]
    return found


@pytest.mark.parametrize(("name", "leaf"), every_command())
def test_every_command_teaches_and_takes_the_options_that_all_take(name: str, leaf: click.Command) -> None:
    assert leaf.help is not None
    options = {option for parameter in leaf.get_params(click.Context(leaf)) for option in parameter.opts}
    if name == "serve":
        assert {f"--{s.name.replace('_', '-')}" for s in SETTINGS if not s.secret} <= options
        assert "--admin-password" not in options
        return
    assert "--json" in options
    if name not in ("init", "quickstart"):
        assert {"--lake", "--uri", "--user", "--token", "--tls-ca"} <= options
        assert not any("password" in option for option in options)


def test_help_lists_every_command_in_a_moment() -> None:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "neurolake", "--help"], capture_output=True, text=True, check=True)
    assert time.perf_counter() - started < 1.5  # 0.2 s on an idle machine
    for name, _ in every_command():
        assert f"  {name.split()[0]} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from neurolake.cli import run; run(['--help']);"
        "print(*{'pyarrow', 'duckdb', 'rich', 'prompt_toolkit'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_version(command: Run) -> None:
    assert command("--version") == (0, f"neurolake, version {neurolake.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"], ["sql"], ["sql", "SELECT 1", "--nonsense"], ["sql", "SELECT 1", "--format", "xml"],
        ["sql", "SELECT 1", "--lake", "x", "--uri", "grpc://h:1"], ["sql", "SELECT 1", "--user", "ann"],
        ["sql", "SELECT 1", "--param", "nothing"],
        ["load", "t", "f.csv", "--mode", "upsert"], ["history", "--limit", "0"], ["upgrade", "--uri", "grpc://h:1"],
        ["backup", "restore"], ["backup", "restore", "latest", "--as-of", "2026-11-23"],
        ["backup", "restore", "--as-of", "yesterday"],
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(command: Run, arguments: list[str]) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert "--help" in ended.err
    as_json = command(*arguments, "--json")
    assert as_json.code == 2
    assert json.loads(as_json.err)["error"]["code"] == "usage"


def test_json_and_another_format_contradict_each_other(command: Run) -> None:
    ended = command("sql", "SELECT 1", "--json", "--format", "csv")
    assert (ended.code, json.loads(ended.err)["error"]["code"]) == (2, "usage")


# Errors


def test_an_error_says_what_happened_its_code_and_the_next_step(command: Run, tmp_path: Path) -> None:
    ended = command("sql", "SELECT 1", "--lake", tmp_path / "none")
    assert ended == (
        4,
        "",
        f"error: {tmp_path / 'none'} is not there. [home_missing]\n"
        f"  Make a lake with `neurolake init {tmp_path / 'none'}`, or name the folder of one.\n",
    )
    assert not (tmp_path / "none").exists()


def test_an_error_in_json(command: Run, lake: Path) -> None:
    ended = command("sql", "SELECT * FROM nothing", "--lake", lake, "--json")
    assert (ended.code, ended.out) == (1, "")
    error = json.loads(ended.err)["error"]
    assert error["code"] == "not_found"
    assert "nothing" in error["message"]
    assert error["query_id"]
    assert error["retryable"] is False


def test_a_folder_in_use_is_exit_code_4(command: Run, lake: Path) -> None:
    with Home.open(lake):
        ended = command("sql", "SELECT 1", "--lake", lake)
    assert ended.code == 4
    assert "[home_in_use]" in ended.err


@pytest.mark.parametrize("uri", ["grpc://127.0.0.1:1", "grpc+tls://127.0.0.1:1"])
def test_no_server_is_exit_code_3(command: Run, uri: str) -> None:
    ended = command("sql", "SELECT 1", "--uri", uri, "--token", "secret-token")
    assert ended.code == 3
    assert "[unreachable]" in ended.err
    assert uri in ended.err
    assert "secret-token" not in ended.err


def test_what_is_no_address_is_told_apart_from_a_folder(command: Run) -> None:
    ended = command("sql", "SELECT 1", "--uri", "localhost:31337")
    assert ended.code == 1
    assert "grpc://host:port" in ended.err


def test_a_fault_of_ours_is_no_traceback(command: Run, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError("a secret that a message might hold")

    monkeypatch.setattr("neurolake.cli.statements._write", fault)
    ended = command("sql", "SELECT 1", "--lake", lake)
    assert ended.code == 5
    assert "ZeroDivisionError" in ended.err
    assert "Traceback" not in ended.err
    assert "secret" not in ended.err


def test_every_class_of_error_has_an_exit_code() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type):
            assert exits.code_of(kind("a message")) in exits.CODES


# Which lake


def test_the_lake_is_the_option_else_the_variable_else_the_current_folder(
    command: Run, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("sql", "SELECT 1").code == 4
    monkeypatch.setenv("NEUROLAKE_LAKE", str(lake))
    assert command("sql", "SELECT 1").code == 0
    assert command("sql", "SELECT 1", "--lake", tmp_path).code == 4
    monkeypatch.delenv("NEUROLAKE_LAKE")
    monkeypatch.chdir(lake)
    assert command("sql", "SELECT 1").code == 0
    monkeypatch.setenv("NEUROLAKE_URI", "grpc://127.0.0.1:1")
    monkeypatch.setenv("NEUROLAKE_TOKEN", "t")
    assert command("sql", "SELECT 1").code == 3
    assert command("sql", "SELECT 1", "--lake", lake).code == 0


def test_init_makes_a_lake_once(command: Run, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    made = command("init", tmp_path, "--json")
    assert (made.code, json.loads(made.out)) == (0, {"path": str(tmp_path)})
    assert (tmp_path / "kept.txt").read_text() == "mine"
    assert command("sql", "SELECT 1", "--lake", tmp_path).code == 0
    again = command("init", tmp_path)
    assert again.code == 4
    assert "[home_exists]" in again.err


def test_serve_wants_a_lake(command: Run, tmp_path: Path) -> None:
    ended = command("serve", tmp_path)
    assert (ended.code, ended.out) == (4, "")
    assert "[home_missing]" in ended.err


# sql


def test_rows_as_a_table(command: Run, lake: Path) -> None:
    assert command("sql", "SELECT 7 AS id, 'Ann' AS name", "--lake", lake).out.splitlines() == [
        "id  name", "──  ────", " 7  Ann", "(1 row)",
    ]  # fmt: skip


def test_rows_in_every_format(command: Run, lake: Path, tmp_path: Path) -> None:
    text = "SELECT i, 'n' || i AS name FROM range(3) AS t(i)"
    assert command("sql", text, "--lake", lake, "--format", "csv").out == "i,name\n0,n0\n1,n1\n2,n2\n"
    rows = [{"i": i, "name": f"n{i}"} for i in range(3)]
    assert json.loads(command("sql", text, "--lake", lake, "--json").out) == rows
    for wanted, read in (
        ("arrow", lambda p: pa.ipc.open_stream(p.read_bytes()).read_all()),
        ("parquet", papq.read_table),
    ):
        file = tmp_path / f"rows.{wanted}"
        assert command("sql", text, "--lake", lake, "--output", file) == (0, "", "")
        assert read(file).to_pylist() == rows


def test_binary_formats_go_to_a_pipe_byte_for_byte(lake: Path) -> None:
    for wanted in ("arrow", "parquet"):
        arguments = ["sql", "SELECT 42 AS a", "--lake", str(lake), "--format", wanted]
        done = subprocess.run([sys.executable, "-m", "neurolake", *arguments], capture_output=True, check=True)
        data = pa.BufferReader(done.stdout)
        back = pa.ipc.open_stream(data).read_all() if wanted == "arrow" else papq.read_table(data)
        assert back.to_pydict() == {"a": [42]}


def test_sql_from_standard_input(command: Run, lake: Path) -> None:
    ended = command("sql", "-", "--lake", lake, "--format", "csv", stdin="SELECT 1 AS a;\nSELECT 'é' AS b")
    assert ended == (0, "b\né\n", "")


def test_parameters_are_typed(command: Run, lake: Path) -> None:
    text = "SELECT $n + 1 AS n, upper($t) AS t, $l[2] AS l, $none IS NULL AS none"
    given = ["n=41", "t=ann", "l=[1,2]", "none=null"]
    ended = command("sql", text, "--lake", lake, "--json", *(f"--param={one}" for one in given))
    assert json.loads(ended.out) == [{"n": 42, "t": "ANN", "l": 2, "none": True}]


def test_a_file_appears_whole_or_not_at_all(command: Run, lake: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("what was there\n")
    failing = "SELECT CASE WHEN i = 999999 THEN error('late') ELSE i END AS i FROM range(1000000) AS t(i)"
    ended = command("sql", failing, "--lake", lake, "--output", file)
    assert ended.code == 1
    assert file.read_text() == "what was there\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lake", "rows.csv"]


def test_a_statement_is_stopped_after_its_time(command: Run, lake: Path) -> None:
    endless = "SELECT count(*) FROM range(100000000000) AS t(i) WHERE i % 3 = 7"
    started = time.perf_counter()
    ended = command("sql", endless, "--lake", lake, "--timeout-s", "0.3")
    assert ended.code == 1
    assert "[timed_out" in ended.err
    assert time.perf_counter() - started < 5


def test_a_pipe_that_is_closed_early_ends_it_quietly(lake: Path) -> None:
    arguments = ["sql", "SELECT i FROM range(10000000) AS t(i)", "--lake", str(lake), "--format", "csv"]
    with subprocess.Popen(
        [sys.executable, "-m", "neurolake", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"i\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# register, load, history, cancel


def test_register_then_query_a_file(command: Run, lake: Path, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(people.parent)
    done = command("register", "people", "people.csv", "--option", "delim=;", "--option", "header=true", "--lake", lake)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"Registered people: 2 columns, csv, {people}\n"
    with people.open("a") as file:
        file.write("3;Cem\n")
    assert command("sql", "SELECT count(*) AS n FROM people", "--lake", lake, "--format", "csv").out == "n\n3\n"
    assert "[already_exists" in command("register", "people", people, "--lake", lake).err


def test_load_in_every_mode(command: Run, lake: Path, people: Path) -> None:
    assert command("load", "people", people, "--lake", lake).out == "Loaded 2 rows into people.\n"
    assert "[already_exists" in command("load", "people", people, "--lake", lake).err
    people.write_text("id;name\n2;BEN\n3;Cem\n")
    done = command("load", "people", people, "--lake", lake, "--mode", "upsert", "--key", "id", "--json")
    assert json.loads(done.out) == {"name": "people", "rows": 2, "mode": "upsert"}
    assert command("load", "people", people, "--lake", lake, "--mode", "append").code == 0
    rows = command("sql", "SELECT * FROM people ORDER BY ALL", "--lake", lake, "--json").out
    assert [(row["id"], row["name"]) for row in json.loads(rows)] == [
        (1, "Ann"), (2, "BEN"), (2, "BEN"), (3, "Cem"), (3, "Cem"),
    ]  # fmt: skip
    missing = command("load", "people", "none.csv", "--lake", lake, "--mode", "append")
    assert missing.code == 1
    assert "[source_missing" in missing.err


def test_history_shows_the_latest_first_and_how_each_ended(command: Run, lake: Path) -> None:
    command("sql", "SELECT 'first'", "--lake", lake)
    command("sql", "SELECT nothing_like_that", "--lake", lake)
    rows = json.loads(command("history", "--lake", lake, "--json").out)
    assert [(row["sql"], row["state"]) for row in rows[:2]] == [
        ("SELECT nothing_like_that", "failed"), ("SELECT 'first'", "done"),
    ]  # fmt: skip
    failed = json.loads(command("history", "--lake", lake, "--state", "failed", "--limit", "1", "--json").out)
    assert [row["sql"] for row in failed] == ["SELECT nothing_like_that"]
    assert "SELECT 'first'" in command("history", "--lake", lake).out


def test_cancel_of_what_does_not_run(command: Run, lake: Path) -> None:
    ended = command("cancel", "nothing", "--lake", lake)
    assert ended.code == 1
    assert "[query_not_running" in ended.err


# config, health, upgrade


def test_config_shows_values_and_where_they_come_from(
    command: Run, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = lake / "neurolake.toml"
    settings.write_text("threads = 3\n" + settings.read_text())
    monkeypatch.setenv("NEUROLAKE_STATEMENT_TIMEOUT_S", "60")
    monkeypatch.setenv("NEUROLAKE_ADMIN_PASSWORD", "do not show")
    shown = command("config", "show", "--lake", lake, "--json")
    rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(shown.out)}
    assert rows["threads"] == ("3", "file")
    assert rows["statement_timeout_s"] == ("60", "environment")
    assert rows["port"] == ("31337", "default")
    assert "do not show" not in shown.out
    assert [row["value"] for row in json.loads(command("config", "show", "threads", "--lake", lake, "--json").out)] == [
        "3"
    ]
    unknown = command("config", "show", "thread", "--lake", lake)
    assert unknown.code == 1
    assert "Did you mean 'threads'?" in unknown.err


def test_config_can_be_read_while_the_lake_is_open_elsewhere(command: Run, lake: Path) -> None:
    with Home.open(lake):
        assert command("config", "show", "--lake", lake).code == 0


def test_health_tries_every_part(command: Run, lake: Path) -> None:
    ended = command("health", "--lake", lake, "--json")
    answer = json.loads(ended.out)
    assert (ended.code, answer["healthy"]) == (0, True)
    assert [check["part"] for check in answer["checks"]] == [
        "folder", "settings", "connection", "engine", "metadata", "tmp folder",
    ]  # fmt: skip


def test_health_names_the_part_that_fails(command: Run, lake: Path) -> None:
    (lake / "lake.duckdb").write_bytes(b"this is no database" * 1000)
    ended = command("health", "--lake", lake)
    assert ended.code in (1, 4)
    lines = ended.out.splitlines()
    assert lines[0].startswith("ok")
    assert lines[-1].startswith("FAILED  connection")
    assert "Traceback" not in ended.err


def test_upgrade_of_a_lake_that_is_new_enough(command: Run, lake: Path) -> None:
    done = command("upgrade", "--lake", lake)
    assert done.code == 0
    assert "already" in done.out
    settings = lake / "neurolake.toml"
    settings.write_text(settings.read_text().replace("format_version = 2", "format_version = 99"))
    newer = command("upgrade", "--lake", lake)
    assert newer.code == 4
    assert "[home_too_new]" in newer.err
