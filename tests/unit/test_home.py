"""The home folder: made once, held by one process at a time, and clear about why it cannot be used."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neurolake import config
from neurolake.errors import HomeProblem
from neurolake.home import (
    FORMAT_VERSION,
    Home,
    fsync_dir,
    home_problem,
    read_server_file,
    upgrade,
    write_atomic,
)

HOLD = """
import sys
from neurolake.home import Home
home = Home.open(sys.argv[1], create=True)
{body}
print("ready", flush=True)
sys.stdin.read()
home.close()
"""
SERVE = "home.write_server_file(host='0.0.0.0', port=4000, http_port=4001)"


@contextmanager
def another_process(home: Path, body: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that has the home open until its input ends."""
    command = [sys.executable, "-c", HOLD.format(body=body), str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def refused(path: Path, *, create: bool = False) -> HomeProblem:
    with pytest.raises(HomeProblem) as caught:
        Home.open(path, create=create).close()
    return caught.value


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A home that nobody has open."""
    folder = tmp_path / "lake"
    Home.init(folder).close()
    return folder


class TestMaking:
    def test_new_home_is_private_and_complete(self, tmp_path: Path) -> None:
        folder = tmp_path / "deep" / "lake"
        with Home.open(folder, create=True) as home:
            assert {mode(path) for path in (home.path, home.run, home.tmp, home.snapshots)} == {0o700}
            assert mode(home.settings_file) == 0o600
            assert home.path == folder
            assert (home.database.name, home.system.name) == ("lake.duckdb", "system.sqlite")

    def test_new_settings_file_is_one_that_settings_accept(self, lake: Path) -> None:
        text = (lake / "neurolake.toml").read_text()
        assert f"\nformat_version = {FORMAT_VERSION}\n" in text
        assert config.load(lake, {}) == config.load(None, {})
        examples = "\n".join(line[4:] for line in text.splitlines() if line.startswith("#   "))
        (lake / "neurolake.toml").write_text(examples)
        assert config.load(lake, {}).threads == 4
        assert "s3://bucket/prefix" in config.load(lake, {}).storage

    def test_init_keeps_the_files_that_are_there(self, tmp_path: Path) -> None:
        (tmp_path / "orders.csv").write_text("id\n1\n")
        Home.init(tmp_path).close()
        assert (tmp_path / "orders.csv").read_text() == "id\n1\n"
        Home.open(tmp_path).close()

    def test_init_refuses_a_second_time(self, lake: Path) -> None:
        with pytest.raises(HomeProblem) as caught:
            Home.init(lake)
        assert caught.value.code == "home_exists"

    def test_home_that_was_stopped_while_being_made_is_finished(self, tmp_path: Path) -> None:
        (tmp_path / "lake" / "run").mkdir(parents=True)
        for part in (".neurolake.toml.0a1b.part", "run/.server.json.0a1b.part"):
            (tmp_path / "lake" / part).write_text("half")
        Home.open(tmp_path / "lake", create=True).close()
        assert list((tmp_path / "lake").rglob("*.part")) == []
        Home.open(tmp_path / "lake").close()

    def test_home_under_the_users_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        with Home.open("~/lake", create=True) as home:
            assert home.path == tmp_path / "lake"

    def test_of_many_processes_that_make_one_home_one_gets_it(self, tmp_path: Path) -> None:
        script = (
            "import sys, time\nfrom neurolake.home import Home\nfrom neurolake.errors import HomeProblem\n"
            "sys.stdin.readline()\n"
            "try:\n    home = Home.open(sys.argv[1], create=True)\n    print('open', flush=True)\n"
            "except HomeProblem as error:\n    print(error.code, flush=True)\n"
            "sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "lake")]
        racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)]
        try:
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            said = sorted(racer.stdout.readline().strip() for racer in racers if racer.stdout is not None)
        finally:
            for racer in racers:
                racer.communicate()
        assert said == ["home_in_use"] * 4 + ["open"]


class TestRefusals:
    def test_folder_that_is_not_there(self, tmp_path: Path) -> None:
        error = refused(tmp_path / "none")
        assert error.code == "home_missing"
        assert f"neurolake init {tmp_path / 'none'}" in (error.next_step or "")
        assert not (tmp_path / "none").exists()

    def test_folder_with_other_files_is_not_made_a_home_by_opening_it(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("…")
        for create in (False, True):
            assert refused(tmp_path, create=create).code == "home_missing"
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_file_is_no_home(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for create in (False, True):
            error = refused(tmp_path / "file", create=create)
            assert (error.code, "is a file" in error.message) == ("home_missing", True)

    @pytest.mark.parametrize(
        ("text", "code", "hint"),
        [
            (f"format_version = {FORMAT_VERSION + 1}", "home_too_new", "pip install --upgrade"),
            ("format_version = 0", "home_too_old", "neurolake upgrade"),
            ("threads = 4", "home_damaged", "format_version = 2"),
            ("format_version = true", "home_damaged", "format_version = 2"),
            ("format_version = ", "home_damaged", "Correct the file"),
        ],
    )
    def test_other_formats(self, lake: Path, text: str, code: str, hint: str) -> None:
        (lake / "neurolake.toml").write_text(text)
        error = refused(lake)
        assert error.code == code
        assert hint in (error.next_step or "")
        assert refused(lake).code == code, "a refusal leaves no lock behind"

    @pytest.mark.parametrize("name", ["lake.duckdb", "system.sqlite"])
    def test_data_without_settings_is_never_taken_for_an_empty_folder(self, lake: Path, name: str) -> None:
        (lake / "neurolake.toml").unlink()
        (lake / name).write_text("data")
        for create in (False, True):
            error = refused(lake, create=create)
            assert (error.code, name in error.message) == ("home_damaged", True)
        with pytest.raises(HomeProblem, match=name):
            Home.init(lake)

    def test_unknown_settings_do_not_keep_a_home_from_opening(self, lake: Path) -> None:
        with (lake / "neurolake.toml").open("a") as file:
            file.write("from_the_future = 1\n")
        Home.open(lake).close()

    def test_folder_this_user_may_not_write(self) -> None:
        with tempfile.TemporaryDirectory() as above:
            Path(above).chmod(0o555)
            script = (
                "import os, sys\nfrom neurolake.errors import HomeProblem\nfrom neurolake.home import Home\n"
                # Root may write anywhere.
                "if os.geteuid() == 0:\n    os.setgroups([])\n    os.setuid(65534)\n"
                "try:\n    Home.open(sys.argv[1], create=True)\n"
                "except HomeProblem as error:\n    print(error)\n"
            )
            command = [sys.executable, "-c", script, f"{above}/lake"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            Path(above).chmod(0o755)
        assert said.startswith(f"The lake at {above}/lake cannot be used: Permission denied (EACCES)")
        assert "[home_read_only]" in said

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (errno.ENOSPC, "home_full"),
            (errno.EDQUOT, "home_full"),
            (errno.EROFS, "home_read_only"),
            (errno.ENOLCK, "home_no_locks"),
            (errno.EIO, "home_io"),
        ],
    )
    def test_operating_systems_refusals_have_names(self, number: int, code: str) -> None:
        error = home_problem(Path("/lake"), OSError(number, os.strerror(number), "/lake/run/lock"))
        assert error.code == code
        assert f"({errno.errorcode[number]}, /lake/run/lock)" in error.message


class TestOneProcessAtATime:
    def test_second_process_is_told_the_firsts_pid(self, tmp_path: Path) -> None:
        with another_process(tmp_path / "lake") as process:
            error = refused(tmp_path / "lake")
        assert error.code == "home_in_use"
        assert f"process {process.pid}" in error.message
        assert "neurolake serve" in (error.next_step or "")

    def test_second_process_is_told_where_the_first_serves(self, tmp_path: Path) -> None:
        with another_process(tmp_path / "lake", SERVE) as process:
            error = refused(tmp_path / "lake")
        assert f"process {process.pid} at grpc://127.0.0.1:4000" in error.message
        assert "--lake" in (error.next_step or "")
        assert "goes through that server by itself" in (error.next_step or "")

    def test_second_time_in_one_process_is_told_so(self, lake: Path) -> None:
        with Home.open(lake):
            error = refused(lake)
        assert error.code == "home_in_use"
        assert f"This process (pid {os.getpid()})" in error.message
        Home.open(lake).close()

    def test_killed_process_leaves_no_lock(self, tmp_path: Path) -> None:
        with another_process(tmp_path / "lake", SERVE) as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert read_server_file(tmp_path / "lake") is None
            with Home.open(tmp_path / "lake") as home:
                assert not (home.run / "server.json").exists()

    def test_child_that_outlives_a_killed_process_does_not_keep_the_lock(self, tmp_path: Path) -> None:
        fork = "import os\nif os.fork() == 0:\n    sys.stdin.read()\n    os._exit(0)"
        with another_process(tmp_path / "lake", fork) as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
            Home.open(tmp_path / "lake").close()

    def test_forked_child_leaves_its_parents_home_alone(self, lake: Path) -> None:
        script = (
            "import os, sys\nfrom neurolake.home import Home\nfrom neurolake.errors import HomeProblem\n"
            "homes = [Home.open(sys.argv[1]), Home.memory()]\n"
            "homes[0].write_server_file(host='::', port=1)\n"
            "child = os.fork()\n"
            "if child == 0:\n    for home in homes:\n        home.close()\n    sys.exit()\n"
            "os.waitpid(child, 0)\n"
            "try:\n    Home.open(sys.argv[1])\nexcept HomeProblem as error:\n    print(error.code)\n"
            "print(homes[1].tmp.is_dir(), (homes[0].run / 'server.json').exists())\n"
        )
        command = [sys.executable, "-c", script, str(lake)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said.split() == ["home_in_use", "True", "True"]

    def test_looking_whether_a_home_is_served_never_keeps_anyone_from_opening_it(self, lake: Path) -> None:
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                read_server_file(lake)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            for _ in range(50):
                Home.open(lake).close()
        finally:
            done.set()
            looking.join()

    def test_closing_twice_is_closing_once(self, lake: Path) -> None:
        home = Home.open(lake)
        home.close()
        with Home.open(lake):
            home.close()
            assert refused(lake).code == "home_in_use"


class TestServerFile:
    def test_another_process_reads_where_a_home_is_served(self, tmp_path: Path) -> None:
        with another_process(tmp_path / "lake", SERVE) as process:
            info = read_server_file(tmp_path / "lake")
            assert info is not None
            assert (info.pid, info.host, info.port, info.http_port) == (process.pid, "0.0.0.0", 4000, 4001)
            assert info.uri == "grpc://127.0.0.1:4000"
            assert len(info.token) >= 40
            assert mode(tmp_path / "lake" / "run" / "server.json") == 0o600
            assert info.token not in repr(info)

    def test_file_goes_with_the_home(self, lake: Path) -> None:
        with Home.open(lake) as home:
            assert read_server_file(lake) is None
            assert home.write_server_file(host="127.0.0.1", port=1, tls=True) == read_server_file(lake)
            home.remove_server_file()
            assert read_server_file(lake) is None
            home.write_server_file(host="127.0.0.1", port=1)
        assert not (lake / "run" / "server.json").exists()

    def test_each_token_is_new(self, lake: Path) -> None:
        with Home.open(lake) as home:
            tokens = [home.write_server_file(host="127.0.0.1", port=1).token]
            for _ in range(3):
                tokens.append(home.rotate_owner_token())
                info = read_server_file(lake)
                assert info is not None
                assert (info.token, info.port) == (tokens[-1], 1)
            assert len(set(tokens)) == 4

    def test_token_of_a_home_that_is_not_served(self, lake: Path) -> None:
        with Home.open(lake) as home, pytest.raises(HomeProblem, match="not served"):
            home.rotate_owner_token()

    @pytest.mark.parametrize(
        ("host", "tls", "uri"),
        [
            ("10.0.0.5", False, "grpc://10.0.0.5:1"),
            ("::", True, "grpc+tls://[::1]:1"),
            ("fe80::1", False, "grpc://[fe80::1]:1"),
        ],
    )
    def test_address_to_connect_to(self, lake: Path, host: str, tls: bool, uri: str) -> None:
        with Home.open(lake) as home:
            assert home.write_server_file(host=host, port=1, tls=tls).uri == uri

    @pytest.mark.parametrize("content", ["", "[1]", '{"pid": 1}', "\x00"])
    def test_file_that_makes_no_sense_counts_as_none(self, lake: Path, content: str) -> None:
        with Home.open(lake) as home:
            (home.run / "server.json").write_text(content)
            assert read_server_file(lake) is None
            assert refused(lake).code == "home_in_use"

    def test_file_another_process_left_does_not_count(self, lake: Path) -> None:
        with Home.open(lake) as home:
            info = home.write_server_file(host="127.0.0.1", port=1)
            stale = {
                "pid": info.pid + 1,
                "host": "x",
                "port": 1,
                "http_port": None,
                "token": "t",
                "started_at": "",
            }
            (home.run / "server.json").write_text(json.dumps(stale))
            assert read_server_file(lake) is None

    def test_no_home_is_not_served(self, tmp_path: Path) -> None:
        assert read_server_file(tmp_path / "none") is None


class TestTemporaryFiles:
    def test_what_an_earlier_run_left_is_removed(self, lake: Path) -> None:
        (lake / "tmp" / "deep").mkdir()
        (lake / "tmp" / "deep" / "spill").write_text("old")
        (lake / "tmp" / "spill").write_text("old")
        with Home.open(lake) as home:
            assert list(home.tmp.iterdir()) == []

    def test_nothing_behind_a_link_is_removed(self, lake: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("…")
        (lake / "tmp" / "link").symlink_to(tmp_path / "mine")
        Home.open(lake).close()
        (lake / "tmp").rmdir()
        (lake / "tmp").symlink_to(tmp_path / "mine")
        Home.open(lake).close()
        assert (tmp_path / "mine" / "thesis.txt").exists()

    def test_refused_process_removes_nothing(self, lake: Path) -> None:
        with Home.open(lake) as home:
            (home.tmp / "spill").write_text("in use")
            refused(lake)
            assert (home.tmp / "spill").exists()


class TestMemory:
    def test_nothing_is_kept(self) -> None:
        with Home.memory() as home:
            assert home.in_memory
            assert mode(home.path) == 0o700
            (home.tmp / "spill").write_text("x")
        assert not home.path.exists()

    def test_forgotten_home_is_removed(self) -> None:
        home = Home.memory()
        path = home.path
        del home
        gc.collect()
        assert not path.exists()

    def test_many_at_once(self) -> None:
        with Home.memory() as one, Home.memory() as other:
            assert one.path != other.path


class TestUpgrade:
    def test_home_of_this_release_stays_as_it_is(self, lake: Path) -> None:
        before = (lake / "neurolake.toml").read_text()
        assert upgrade(lake, {}) == FORMAT_VERSION
        assert (lake / "neurolake.toml").read_text() == before

    def test_older_home_is_migrated_and_keeps_its_comments(self, lake: Path) -> None:
        (lake / "neurolake.toml").write_text("# mine\nthreads = 4  # four\nformat_version = 1\n")
        assert upgrade(lake, {1: lambda home: (home / "moved").touch()}) == 1
        assert (lake / "neurolake.toml").read_text() == "# mine\nthreads = 4  # four\nformat_version = 2\n"
        assert (lake / "moved").exists()
        Home.open(lake).close()

    def test_stopped_upgrade_goes_on_where_it_was(self, lake: Path) -> None:
        (lake / "neurolake.toml").write_text("format_version = 0\n")

        def fail(home: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        steps: list[int] = []
        with pytest.raises(HomeProblem) as caught:
            upgrade(lake, {0: lambda home: steps.append(0), 1: fail})
        assert caught.value.code == "home_full"
        assert refused(lake).code == "home_too_old"
        assert upgrade(lake, {0: lambda home: steps.append(0), 1: lambda home: steps.append(1)}) == 1
        assert steps == [0, 1]

    def test_version_nothing_migrates_is_refused(self, lake: Path) -> None:
        (lake / "neurolake.toml").write_text("format_version = 0\n")
        with pytest.raises(HomeProblem) as caught:
            upgrade(lake, {})
        assert caught.value.code == "home_too_old"

    def test_newer_or_open_home_is_refused(self, lake: Path) -> None:
        with Home.open(lake), pytest.raises(HomeProblem) as caught:
            upgrade(lake, {})
        assert caught.value.code == "home_in_use"
        (lake / "neurolake.toml").write_text(f"format_version = {FORMAT_VERSION + 1}")
        with pytest.raises(HomeProblem) as caught:
            upgrade(lake, {})
        assert caught.value.code == "home_too_new"


class TestAtomicFiles:
    def test_contents_and_permissions_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            write_atomic(tmp_path / "a", "é", mode=0o644)
        finally:
            os.umask(before)
        write_atomic(tmp_path / "b", b"\x00")
        assert (tmp_path / "a").read_text(encoding="utf-8") == "é"
        assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (0o644, 0o600)

    def test_failure_changes_nothing_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(OSError, match="irectory"):
            write_atomic(tmp_path / "folder", "text")
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]

    def test_killed_writer_leaves_the_old_or_the_new(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        script = (
            "import sys\nfrom pathlib import Path\nfrom neurolake.home import write_atomic\n"
            "while True:\n"
            "    for letter in 'ab':\n        write_atomic(Path(sys.argv[1]), letter * 1_000_000)\n"
        )
        for pause_s in (0.0, 0.01, 0.02):
            process = subprocess.Popen([sys.executable, "-c", script, str(path)])
            while not path.exists():
                time.sleep(0.005)
            time.sleep(pause_s)
            process.kill()
            process.wait()
            content = path.read_text()
            assert (len(content), len(set(content))) == (1_000_000, 1)

    def test_folder_is_synced_or_says_why_not(self, tmp_path: Path) -> None:
        fsync_dir(tmp_path)
        with pytest.raises(FileNotFoundError):
            fsync_dir(tmp_path / "none")
