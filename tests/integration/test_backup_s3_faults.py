"""Snapshots in an S3 that fails, throttles, stalls, breaks off or lists what was: none that was reported is lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faulty_proxy
import pytest
from faulty_proxy import Asked, Fault, FaultyProxy
from storage import ACCESS_KEY, SECRET_KEY, S3Server

import neurolake
from neurolake import errors

pytestmark = pytest.mark.faults

KEEP_ONE = {f"snapshot_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly", "yearly")}
FAULTS: dict[str, Fault] = {
    "internal error": faulty_proxy.status(500),
    "slow down": faulty_proxy.status(503, "SlowDown"),
    "reset before the answer": faulty_proxy.reset(-1),
    "reset in the answer": faulty_proxy.reset(10),
    "body ends early": faulty_proxy.short(),
    "range comes back shorter": faulty_proxy.fewer_bytes(),
    "silent before the answer": faulty_proxy.stall(-1),
    "silent in the answer": faulty_proxy.stall(10),
}
FINAL = ("internal error", "slow down", "reset before the answer", "silent before the answer")
"""Those that an answer without a body shows as well."""


def is_write(asked: Asked) -> bool:
    return asked.method in ("PUT", "POST")


def is_data_write(asked: Asked) -> bool:
    return is_write(asked) and "/data/" in asked.path


def is_manifest_write(asked: Asked) -> bool:
    return is_write(asked) and "/snapshots/" in asked.path


def is_read(asked: Asked) -> bool:
    return asked.is_read


def is_removal(asked: Asked) -> bool:
    return asked.method == "DELETE" or "?delete" in asked.path


@pytest.fixture
def lake(tmp_path: Path, s3_server: S3Server, proxy: FaultyProxy, bucket: str) -> Iterator[neurolake.Lake]:
    s3_server.put(bucket, "here", b"1")
    with neurolake.connect(home_of(tmp_path / "lake", s3_server, proxy, bucket)) as opened:
        yield opened


def home_of(home: Path, s3_server: S3Server, proxy: FaultyProxy, bucket: str) -> Path:
    """A lake with a table, and a repository behind the proxy."""
    with neurolake.connect(home) as first:
        first.sql("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(130000) r(i)").close()
    with (home / "neurolake.toml").open("a") as settings:
        settings.write(f'\nsnapshot_repositories = ["s3://{bucket}/backup"]\nsnapshot_keep_last = 1\n')
        settings.writelines(f"{name} = {value}\n" for name, value in KEEP_ONE.items())
        settings.write("storage_retries = 3\nstorage_stall_timeout_s = 0.4\nstorage_request_timeout_s = 5.0\n")
        settings.write(f'[storage."s3://{bucket}"]\n')
        settings.writelines(f'{key} = "{value}"\n' for key, value in s3_server.settings(proxy.endpoint).items())
    return home


def whole(lake: neurolake.Lake, snapshot: str) -> bool:
    return {row["state"] for row in lake.backups.verify(snapshot, full=True)} == {"whole"}


def listed(lake: neurolake.Lake) -> list[str]:
    return [row["snapshot_id"] for row in lake.backups.list()]


def change(lake: neurolake.Lake, value: str) -> None:
    lake.sql(f"UPDATE t SET m = '{value}' WHERE i % 1000 = 0").close()


class TestPassing:
    """What is gone after some tries is never seen."""

    @pytest.mark.parametrize("name", FINAL)
    @pytest.mark.parametrize("when", [is_write, is_removal])
    def test_while_it_writes(
        self, lake: neurolake.Lake, proxy: FaultyProxy, name: str, when: Callable[[Asked], bool]
    ) -> None:
        first = lake.backups.create()
        change(lake, name)
        proxy.inject(FAULTS[name], when=when, times=2)
        second = lake.backups.create()
        proxy.inject(FAULTS[name], when=when, times=2)
        assert listed(lake) == [first, second]
        lake.backups.prune(dry_run=False)
        proxy.heal()
        assert listed(lake) == [second]
        assert whole(lake, second)

    @pytest.mark.parametrize("name", FAULTS)
    def test_while_it_reads(self, lake: neurolake.Lake, proxy: FaultyProxy, name: str) -> None:
        snapshot = lake.backups.create()
        proxy.inject(FAULTS[name], when=is_read, times=2)
        assert whole(lake, snapshot)
        proxy.inject(FAULTS[name], when=lambda asked: asked.is_read and "/data/" in asked.path, times=2)
        lake.backups.restore(snapshot, to="schema:back")
        assert lake.sql("SELECT count(*) FROM (FROM t EXCEPT ALL FROM back.t)").fetchall() == [(0,)]


def test_a_note_that_could_not_be_taken_away_stops_nobody(lake: neurolake.Lake, proxy: FaultyProxy) -> None:
    proxy.inject(FAULTS["internal error"], when=is_removal)
    snapshot = lake.backups.create()
    proxy.heal()
    assert lake.backups.prune(dry_run=False)[0]["action"] == "kept"
    assert whole(lake, snapshot)


class TestLasting:
    """What does not pass is an error; no half snapshot is listed, none is lost, and a second run completes."""

    @pytest.mark.parametrize("name", FINAL)
    @pytest.mark.parametrize("when", [is_data_write, is_manifest_write])
    def test_while_one_is_taken(
        self, lake: neurolake.Lake, proxy: FaultyProxy, name: str, when: Callable[[Asked], bool]
    ) -> None:
        first = lake.backups.create()
        change(lake, name)
        proxy.inject(FAULTS[name], when=when)
        with pytest.raises(errors.SourceFailed) as caught:
            lake.backups.create()
        assert caught.value.retryable
        proxy.heal()
        there = listed(lake)  # a write whose answer was lost may have come about: then it is whole
        assert there[0] == first
        assert len(there) == 1 or when is is_manifest_write
        assert all(whole(lake, snapshot) for snapshot in there)
        assert whole(lake, lake.backups.create())

    @pytest.mark.parametrize("name", FAULTS)
    def test_while_it_reads(self, lake: neurolake.Lake, proxy: FaultyProxy, name: str) -> None:
        """The storage is at fault, and no snapshot is called damaged for it."""
        snapshot = lake.backups.create()
        proxy.inject(FAULTS[name], when=lambda asked: asked.is_read and "/data/" in asked.path)
        with pytest.raises(errors.SourceFailed) as caught:
            lake.backups.verify(snapshot)
        assert caught.value.code in ("source_unreachable", "source_truncated")
        with pytest.raises(errors.SourceFailed) as caught:
            lake.backups.restore(snapshot, to="schema:back")
        assert caught.value.code in ("source_unreachable", "source_truncated")
        proxy.heal()
        assert whole(lake, snapshot)
        lake.backups.restore(snapshot, to="schema:back")

    @pytest.mark.parametrize("name", FINAL)
    def test_while_it_prunes(self, lake: neurolake.Lake, proxy: FaultyProxy, name: str) -> None:
        lake.backups.create()
        change(lake, name)
        second = lake.backups.create()
        proxy.inject(FAULTS[name], when=is_removal)
        with pytest.raises(errors.SourceFailed):
            lake.backups.prune(dry_run=False)
        proxy.heal()
        assert all(whole(lake, snapshot) for snapshot in listed(lake))
        lake.backups.prune(dry_run=False)
        assert listed(lake) == [second]
        assert whole(lake, second)
        assert lake.backups.prune(dry_run=False)[-1]["files"] == 0

    def test_a_listing_that_breaks_off(self, lake: neurolake.Lake, proxy: FaultyProxy) -> None:
        first = lake.backups.create()
        change(lake, "x")
        proxy.inject(faulty_proxy.cut_listing(), when=lambda asked: asked.is_list)
        for work in (lake.backups.create, lambda: lake.backups.prune(dry_run=False), lake.backups.list):
            with pytest.raises(errors.SourceFailed):
                work()
        proxy.heal()
        assert listed(lake) == [first]
        assert whole(lake, lake.backups.create())


class TestObjectLock:
    """A bucket whose objects are locked, as one has against ransomware."""

    @pytest.fixture
    def client(self, s3_server: S3Server, bucket: str) -> Any:
        """A client of the bucket, made with versions and a lock of a day before any test writes there."""
        from botocore.session import Session

        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": "us-east-1"}
        client = Session().create_client("s3", endpoint_url=s3_server.endpoint, **keys)
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        lock = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
        client.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": lock}
        )
        yield client
        client.close()

    def test_what_was_removed_can_be_brought_back(self, client: Any, lake: neurolake.Lake, bucket: str) -> None:
        """Prune marks what it removes; so does whoever steals the keys. The locked versions stay."""
        first = lake.backups.create()
        change(lake, "x")
        second = lake.backups.create()
        lake.backups.prune(dry_run=False)
        assert listed(lake) == [second]
        assert whole(lake, second)
        versions = client.list_object_versions(Bucket=bucket, Prefix="backup/data")["Versions"]
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.delete_object(Bucket=bucket, Key=versions[0]["Key"], VersionId=versions[0]["VersionId"])
        for version in versions:
            client.delete_object(Bucket=bucket, Key=version["Key"])
        assert {row["state"] for row in lake.backups.verify(second)} == {"whole", "damaged"}
        for marker in client.list_object_versions(Bucket=bucket)["DeleteMarkers"]:
            client.delete_object(Bucket=bucket, Key=marker["Key"], VersionId=marker["VersionId"])
        assert {first, second} <= set(listed(lake))
        assert whole(lake, first)
        assert whole(lake, second)

    def test_keys_are_rotated_beside_what_is_locked(
        self, client: Any, lake: neurolake.Lake, proxy: FaultyProxy, bucket: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        for key in ("OLD", "NEW"):
            monkeypatch.setenv(f"KEY_{key}", secrets.token_hex(32))
        lake.close()

        def under(*keys: str) -> neurolake.Lake:
            return neurolake.connect(tmp_path / "lake", snapshot_keys=tuple(f"env:KEY_{key}" for key in keys))

        with under("OLD") as first:
            snapshot = first.backups.create()
        with under("NEW", "OLD") as both:
            proxy.denied = is_removal
            (locked,) = both.backups.rotate()
            assert locked["sealed"] == locked["files"] == locked["locked"] + 1  # a manifest keeps its name
            assert whole(both, snapshot)
        with under("NEW") as alone:
            assert whole(alone, snapshot)
            assert whole(alone, alone.backups.create())
        with under("NEW", "OLD") as both:
            proxy.denied = lambda _: False
            (done,) = both.backups.rotate()
            assert (done["sealed"], done["locked"]) == (0, 0)
            assert whole(both, snapshot)
        there = client.list_object_versions(Bucket=bucket, Prefix="backup/data")
        assert len(there["DeleteMarkers"]) == locked["locked"]  # they are hidden, and there until the lock ends
        assert len(there["Versions"]) > locked["locked"]

    def test_a_removal_that_is_refused_is_said(self, lake: neurolake.Lake, proxy: FaultyProxy) -> None:
        first = lake.backups.create()
        change(lake, "x")
        second = lake.backups.create()
        proxy.denied = is_removal
        said = lake.backups.prune(dry_run=False)
        assert [row["action"] for row in said[:2]] == ["kept", "kept"]
        assert said[1]["reason"] == "the storage refuses to remove it"
        assert listed(lake) == [first, second]
        assert whole(lake, first)
        assert whole(lake, lake.backups.create())
        proxy.denied = lambda _: False
        lake.backups.prune(dry_run=False)
        assert len(listed(lake)) == 1


class TestOldListings:
    def test_prune_removes_no_file_of_a_snapshot_that_is_not_listed(
        self, lake: neurolake.Lake, proxy: FaultyProxy
    ) -> None:
        lake.backups.create()
        change(lake, "x")
        proxy.old_listings = True
        second = lake.backups.create()
        with pytest.raises(errors.SourceFailed) as caught:
            lake.backups.prune(dry_run=False)
        assert (caught.value.code, caught.value.retryable) == ("repository_listing", True)
        proxy.old_listings = False
        assert whole(lake, second)
        lake.backups.prune(dry_run=False)
        assert listed(lake) == [second]
        assert whole(lake, second)

    @pytest.mark.parametrize("known_before", [True, False])
    def test_another_lake_keeps_what_its_newest_snapshot_needs(
        self, lake: neurolake.Lake, proxy: FaultyProxy, s3_server: S3Server, bucket: str, tmp_path: Path,
        known_before: bool,
    ) -> None:  # fmt: skip
        """What it shares with snapshots that are to go: the listing tells neither of it nor, maybe, of the lake."""
        with neurolake.connect(home_of(tmp_path / "other", s3_server, proxy, bucket)) as other:
            if known_before:
                other.backups.create(kind="schema")
            lake.backups.create()
            change(lake, "x")
            second = lake.backups.create()
            lake.backups.prune()  # looks only
            proxy.old_listings = True
            shared = other.backups.create()  # its rows are those of the first
            with pytest.raises(errors.SourceFailed) as caught:
                lake.backups.prune(dry_run=False)
            assert (caught.value.code, caught.value.retryable) == ("repository_listing", True)
            proxy.old_listings = False
            assert whole(other, shared)
            lake.backups.prune(dry_run=False)
            assert shared in listed(lake)
            assert whole(other, shared)
            assert whole(lake, second)

    def test_what_was_removed_is_no_longer_relied_on(self, lake: neurolake.Lake, proxy: FaultyProxy) -> None:
        lake.backups.create()
        lake.sql("CREATE TABLE before AS FROM t").close()
        change(lake, "x")
        second = lake.backups.create()
        lake.backups.prune()  # looks only
        proxy.old_listings = True
        lake.backups.prune(dry_run=False)
        lake.sql("CREATE OR REPLACE TABLE t AS FROM before").close()
        third = lake.backups.create()
        assert third not in listed(lake)  # the listing does not know better
        assert whole(lake, third)
        proxy.old_listings = False
        assert listed(lake) == [second, third]
        assert whole(lake, second)

    def test_a_copy_has_all_its_files(
        self, lake: neurolake.Lake, proxy: FaultyProxy, bucket: str, tmp_path: Path
    ) -> None:
        home = tmp_path / "lake"
        lake.backups.create()
        lake.sql("CREATE TABLE before AS FROM t").close()
        change(lake, "x")
        lake.backups.create()
        lake.close()
        repositories = (str(tmp_path / "here"), f"s3://{bucket}/backup")
        with neurolake.connect(home, snapshot_repositories=repositories) as again:
            again.backups.at(repositories[1]).prune()  # looks only
            proxy.old_listings = True
            again.backups.at(repositories[1]).prune(dry_run=False)
            again.sql("CREATE OR REPLACE TABLE t AS FROM before").close()
            (first, second) = again.call("create_snapshot").to_pylist()
            assert (first["state"], second["state"]) == ("complete", "complete")
            assert {r["state"] for r in again.backups.at(repositories[1]).verify(first["snapshot_id"])} == {"whole"}
