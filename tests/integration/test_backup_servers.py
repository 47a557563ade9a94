"""Snapshots on other stores than a folder and S3, each a real server: SFTP, WebDAV, and S3 through fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from file_servers import KNOWN_HOSTS, NO_LISTING, NO_REMOVAL, PASSWORD, USER, serving
from storage import S3Server, unique

import neurolake
from neurolake import errors

KEEP_ONE = {f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly", "yearly")}


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that a file server shows."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture(params=["sftp", "webdav", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, served: Path, tmp_path: Path) -> Iterator[str]:
    """A location, with the settings to reach it in the lake's file."""
    home = tmp_path / "lake"
    with neurolake.connect(home) as first:
        first.sql("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(130000) r(i)").close()
    if request.param == "sftp":
        with serving("sftp", served) as port:
            yield _sftp(home, port, "/keep/sales")
    elif request.param == "webdav":
        with serving("webdav", served) as port:
            reached = {"base_url": f"http://127.0.0.1:{port}", "username": USER, "password": PASSWORD}
            yield _set(home, "webdav://keep", "/sales", **reached)
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        bucket = unique("general")
        server.put(bucket, "here", b"1")
        yield _set(home, f"s3://{bucket}", "/sales", driver="fsspec", **server.settings())


def _sftp(home: Path, port: int, folder: str = "/keep", **values: str) -> str:
    given = {"username": USER, "password": PASSWORD, "known_hosts": str(home.with_name(KNOWN_HOSTS)), **values}
    return _set(home, f"sftp://127.0.0.1:{port}", folder, **given)


def _set(home: Path, prefix: str, folder: str, **values: str) -> str:
    with (home / "neurolake.toml").open("a") as settings:
        settings.write(f'\n[storage."{prefix}"]\n')
        settings.writelines(f'{key} = "{value}"\n' for key, value in values.items())
    return prefix + folder


def whole(lake: neurolake.Lake, place: str, snapshot: str, *, full: bool = True) -> bool:
    return {row["state"] for row in lake.backups.at(place).verify(snapshot, full=full)} == {"whole"}


def test_it_does_what_a_folder_does(tmp_path: Path, place: str) -> None:
    with neurolake.connect(tmp_path / "lake", snapshot_keep_last=1, **KEEP_ONE) as lake:
        backups = lake.backups.at(place)
        first = backups.create()
        lake.sql("UPDATE t SET m = 'new' WHERE i = 1").close()
        second = backups.create()
        taken = {row["snapshot_id"]: row for row in backups.list()}
        assert list(taken) == [first, second]
        assert 0 < taken[second]["bytes_new"] < taken[first]["bytes_new"]
        assert whole(lake, place, first)
        backups.restore(first, to=tmp_path / "new")
        with neurolake.connect(tmp_path / "new") as new:
            assert new.sql("SELECT count(*) FROM t").fetchall() == [(130_000,)]
        backups.mount(first)
        assert lake.sql(f"SELECT count(*) FROM snapshot_{first}.t WHERE m <> 'new'").fetchall() == [(130_000,)]
        backups.unmount(first)
        assert [(row["added"], row["removed"]) for row in backups.diff(first, second)] == [(1, 1)]
        gone = backups.prune(dry_run=False)[-1]
        assert gone["files"] == 1
        assert [row["snapshot_id"] for row in backups.list()] == [second]
        assert whole(lake, place, second)
        assert backups.prune()[-1]["files"] == 0


class TestOfAFileServer:
    @pytest.fixture(params=["sftp", "webdav"])
    def place(self, request: pytest.FixtureRequest, served: Path, tmp_path: Path) -> Iterator[str]:
        with neurolake.connect(tmp_path / "lake") as first:
            first.sql("CREATE TABLE t AS SELECT range AS i FROM range(1000)").close()
        if request.param == "sftp":
            with serving("sftp", served) as port:
                yield _sftp(tmp_path / "lake", port)
            return
        with serving("webdav", served) as port:
            given = {"base_url": f"http://127.0.0.1:{port}", "username": USER, "password": PASSWORD}
            yield _set(tmp_path / "lake", "webdav://keep", "", **given)

    def test_a_file_that_was_cut_off_is_no_snapshot_and_is_collected(
        self, tmp_path: Path, place: str, served: Path
    ) -> None:
        with neurolake.connect(tmp_path / "lake") as lake:
            backups = lake.backups.at(place)
            snapshot = backups.create()
            assert not list(served.rglob("*.part"))
            (served / "keep" / "data" / "0011223344556677.part").write_bytes(b"PAR1")
            assert whole(lake, place, snapshot)
            assert backups.prune(dry_run=False)[-1]["files"] == 1
            assert not list(served.rglob("*.part"))
            assert whole(lake, place, backups.create())

    def test_damage_is_found(self, tmp_path: Path, place: str, served: Path) -> None:
        with neurolake.connect(tmp_path / "lake") as lake:
            snapshot = lake.backups.at(place).create()
            (file,) = served.rglob("*.parquet")
            data = bytearray(file.read_bytes())
            data[50] ^= 1
            file.write_bytes(data)
            found = lake.backups.at(place).verify(snapshot)
            assert [row["object"] for row in found if row["state"] == "damaged"] == ["t"]


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path: Path, served: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as first:
        first.sql("CREATE TABLE t AS SELECT range AS i FROM range(1000)").close()
    with serving("sftp", served) as port:
        place = _sftp(tmp_path / "lake", port)
        with neurolake.connect(tmp_path / "lake", storage_retries=0) as lake:
            snapshot = lake.backups.at(place).create()
            (served / NO_LISTING).touch()
            for work in (lake.backups.at(place).list, lambda: lake.backups.at(place).prune(dry_run=False)):
                with pytest.raises(errors.SourceFailed):
                    work()
            (served / NO_LISTING).unlink()
            assert whole(lake, place, snapshot)


def test_a_server_that_lets_nothing_go_keeps_it_all(tmp_path: Path, served: Path) -> None:
    """Append-only rights: snapshots are taken, and prune says what stays."""
    with neurolake.connect(tmp_path / "lake") as first:
        first.sql("CREATE TABLE t AS SELECT range AS i FROM range(1000)").close()
    with serving("sftp", served) as port:
        place = _sftp(tmp_path / "lake", port)
        with neurolake.connect(tmp_path / "lake", snapshot_keep_last=1, **KEEP_ONE) as lake:
            backups = lake.backups.at(place)
            (served / NO_REMOVAL).touch()
            taken = []
            for number in range(3):
                lake.sql(f"UPDATE t SET i = -1 WHERE i = {number}").close()
                taken.append(backups.create())
            (served / "keep" / "data" / "0011223344556677.part").write_bytes(b"PAR1")
            *said, refused, gone = backups.prune(dry_run=False)
            assert [row["reason"] for row in said] == ["last 1", *["the storage refuses to remove it"] * 2]
            assert (refused["action"], refused["files"], gone["files"]) == ("kept", 1, 0)
            assert [row["snapshot_id"] for row in backups.list()] == taken
            assert all(whole(lake, place, snapshot, full=False) for snapshot in taken)
            (served / NO_REMOVAL).unlink()
            assert backups.prune(dry_run=False)[-1]["files"] == 3
            assert [row["snapshot_id"] for row in backups.list()] == taken[2:]
            assert whole(lake, place, taken[2])


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake", storage_retries=0) as lake:
        with pytest.raises(errors.SourceFailed) as caught:
            lake.backups.at("sftp://127.0.0.1:1/x").create()
        assert caught.value.code == "source_unreachable"


class TestHostKeys:
    def lake(self, tmp_path: Path) -> neurolake.Lake:
        return neurolake.connect(tmp_path / "lake", storage_retries=0)

    def test_a_server_that_is_not_known_gets_no_login(self, tmp_path: Path, served: Path) -> None:
        self.lake(tmp_path).close()
        with serving("sftp", served) as port:
            (tmp_path / KNOWN_HOSTS).write_text("")
            place = _sftp(tmp_path / "lake", port)
            with self.lake(tmp_path) as lake, pytest.raises(errors.SourceFailed, match="SHA256:") as caught:
                lake.backups.at(place).create()
            assert caught.value.code == "host_key"
        assert not list(served.iterdir())

    def test_one_with_another_key_gets_none_either(self, tmp_path: Path, served: Path) -> None:
        self.lake(tmp_path).close()
        with serving("sftp", served) as port:
            mine = (tmp_path / KNOWN_HOSTS).read_text()
            with serving("sftp", served) as other:
                others = (tmp_path / KNOWN_HOSTS).read_text().replace(str(other), str(port))
            assert mine != others
            (tmp_path / KNOWN_HOSTS).write_text(others)
            place = _sftp(tmp_path / "lake", port)
            with self.lake(tmp_path) as lake, pytest.raises(errors.SourceFailed, match="not the one") as caught:
                lake.backups.at(place).create()
            assert caught.value.code == "host_key"

    def test_any_is_taken_where_the_settings_say_so(self, tmp_path: Path, served: Path) -> None:
        self.lake(tmp_path).close()
        with serving("sftp", served) as port:
            (tmp_path / KNOWN_HOSTS).write_text("")
            place = _sftp(tmp_path / "lake", port, host_key_policy="auto_add")
            with self.lake(tmp_path) as lake:
                assert whole(lake, place, lake.backups.at(place).create())

    def test_a_file_of_keys_that_is_not_there(self, tmp_path: Path, served: Path) -> None:
        self.lake(tmp_path).close()
        with serving("sftp", served) as port:
            (tmp_path / KNOWN_HOSTS).unlink()
            place = _sftp(tmp_path / "lake", port)
            with self.lake(tmp_path) as lake, pytest.raises(errors.InvalidRequest, match="known_hosts") as caught:
                lake.backups.at(place).create()
            assert caught.value.code == "storage_invalid"
