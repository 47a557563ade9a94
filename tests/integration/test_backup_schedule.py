"""Backups by the clock: inside a real server, and by what else starts commands on a machine."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from backup_jobs import Served, neurolake, served, until
from pages import ROOT

from neurolake import connect
from neurolake.cli import run

RUNS = "SELECT query_id, state, started_by, snapshot_id, repository FROM neurolake.backup_runs WHERE job = '{}'"


def test_a_server_takes_verifies_and_prunes_by_itself(tmp_path: Path) -> None:
    settings = {
        "snapshot_schedule": "* * * * * *", "snapshot_verify_schedule": "* * * * * *", "snapshot_prune": True,
        "snapshot_repositories": tmp_path / "elsewhere",
    }  # fmt: skip
    with served(tmp_path / "lake", **settings) as server:
        server.rows("CREATE TABLE orders AS SELECT i AS id FROM range(1000) r(i)")
        for job in ("create", "prune", "verify"):
            run = until(lambda job=job: server.rows(RUNS.format(job) + " AND state = 'done'"))[0]
            assert (run["started_by"], run["repository"]) == ("schedule", str(tmp_path / "elsewhere"))
        jobs = server.rows("SELECT job, next_run_at, last_state FROM neurolake.backup_schedule")
        assert [job["job"] for job in jobs] == ["create", "verify"]
        assert all(job["next_run_at"] is not None for job in jobs)
    listed = neurolake(tmp_path, "backup", "list", "--lake", tmp_path / "lake", "--repo", tmp_path / "elsewhere")
    assert run["snapshot_id"] in listed.stdout


def test_a_schedule_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    assert neurolake(tmp_path, "init", lake).returncode == 0
    refused = neurolake(tmp_path, "serve", lake, "--snapshot-schedule", "sometimes", "--port", "0")
    assert refused.returncode == 1
    assert "snapshot_schedule takes a cron expression, not 'sometimes'" in refused.stderr


def systemd(text: str) -> list[str]:
    return re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)


def kubernetes(text: str) -> list[str]:
    pod = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [shlex.join(container["command"]) for container in (*pod["initContainers"], *pod["containers"])]


def windows(text: str) -> list[str]:
    arguments = ElementTree.fromstring(text.split("?>", 1)[1]).findtext(".//{*}Arguments")
    assert arguments is not None
    line = re.fullmatch(r'/d /c "(.+)"', arguments)
    assert line is not None
    return line[1].split(" && ")


@pytest.fixture(scope="module")
def lake_and_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    folder = tmp_path_factory.mktemp("served")
    with served(folder / "lake") as server:
        server.rows("CREATE TABLE orders AS SELECT i AS id FROM range(1000) r(i)")
        yield folder / "lake", server


@pytest.mark.parametrize(
    ("file", "commands"),
    [("neurolake-backup.service", systemd), ("kubernetes/backup.yaml", kubernetes), ("windows-backup.xml", windows)],
)
def test_what_starts_commands_takes_a_snapshot_through_the_server(
    file: str, commands: Callable[[str], list[str]], lake_and_server: tuple[Path, Served]
) -> None:
    lake, server = lake_and_server
    (made,) = server.rows("CALL neurolake.create_token('admin')")
    before = len(server.rows("FROM neurolake.backup_runs"))
    for command in commands((ROOT / "deploy" / file).read_text(encoding="utf-8")):
        program, *arguments = shlex.split(command.replace("%S/neurolake", str(lake)))
        assert Path(program).name == "neurolake"
        for name, value in (("--uri", f"grpc://127.0.0.1:{server.port}"), ("--tls-ca", "")):
            if name in arguments:
                at = arguments.index(name)
                arguments[at : at + 2] = [name, value] if value else []
        settings = {} if "--lake" in arguments else {"token": made["token"]}
        done = neurolake(lake.parent, *arguments, **settings)
        assert done.returncode == 0, done.stderr
    runs = server.rows("FROM neurolake.backup_runs")[before:]
    assert [(run["job"], run["state"], run["started_by"]) for run in runs] == [
        ("create", "done", "call"),
        ("prune", "done", "call"),
    ]


class TestExitCodes:
    """What a scheduler outside learns from a command, with a server and without."""

    @pytest.fixture(params=["embedded", "served"])
    def command(
        self, request: pytest.FixtureRequest, tmp_path: Path, lake_and_server: tuple[Path, Served]
    ) -> Callable[..., int]:
        lake = lake_and_server[0]
        if request.param == "embedded":
            lake = tmp_path / "lake"
            with connect(lake) as made:
                made.load("t", {"i": [1]})
        return lambda *arguments: run(["backup", *map(str, arguments), "--lake", str(lake)])

    def test_all_of_them(self, command: Callable[..., int], tmp_path: Path) -> None:
        good, bad = tmp_path / "good", tmp_path / "file" / "bad"
        (tmp_path / "file").write_text("no folder")
        assert command("verify", "--repo", good) == 11
        assert command("verify", "--all", "--repo", good) == 11
        assert command("create", "--repo", bad) == 14
        assert command("create", "--repo", good) == 0
        assert command("verify", "--repo", good) == 0

        note = good / "using" / "0011223344556677.json"
        content = {"kind": "prune", "host": "another", "pid": 1, "boot": "x", "at": time.time()}
        note.write_text(json.dumps(content))
        assert command("create", "--repo", good) == 12
        note.write_text(json.dumps(content | {"kind": "create"}))
        assert command("prune", "--repo", good) == 12
        note.unlink()
        assert command("prune", "--repo", good) == 0

        part = next(good.glob("data/*/*.parquet"))
        part.write_bytes(part.read_bytes()[:-1] + b"x")
        assert command("verify", "--repo", good) == 13

    def test_partial(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").write_text("no folder")
        places = f"{tmp_path / 'good'},{tmp_path / 'file' / 'bad'}"
        monkeypatch.setenv("NEUROLAKE_SNAPSHOT_REPOSITORIES", places)
        connect(tmp_path / "lake").close()
        assert run(["backup", "create", "--lake", str(tmp_path / "lake")]) == 10
        assert "failed: repository_failed" in capsys.readouterr().err
