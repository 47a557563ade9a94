"""Snapshots in a real S3 server, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from storage import S3Server

import neurolake
from neurolake import errors


@pytest.fixture
def keys() -> str:
    """What snapshots are sealed with."""
    return ""


@pytest.fixture
def lake(
    tmp_path: Path, s3_server: S3Server, proxy: FaultyProxy, bucket: str, keys: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[neurolake.Lake]:
    monkeypatch.setenv("A_KEY", "ab" * 32)
    monkeypatch.setenv("NEUROLAKE_SNAPSHOT_KEYS", keys)
    s3_server.put(bucket, "here", b"1")  # buckets come into being with their first object
    home = tmp_path / "lake"
    with neurolake.connect(home) as first:
        first.sql("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(300000) r(i)").close()
    with (home / "neurolake.toml").open("a") as settings:
        settings.write(f'\nsnapshot_repositories = ["s3://{bucket}/backup"]\nstorage_retries = 1\n')
        for name, server in ((bucket, s3_server.settings(proxy.endpoint)),):
            settings.write(f'[storage."s3://{name}"]\n')
            settings.writelines(f'{key} = "{value}"\n' for key, value in server.items())
    with neurolake.connect(home) as opened:
        yield opened


@pytest.mark.parametrize("keys", ["", "env:A_KEY"], ids=["plain", "sealed"])
def test_a_repository_in_s3_does_what_a_folder_does(
    lake: neurolake.Lake, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    first = lake.backups.create()
    lake.sql("INSERT INTO t VALUES (-1, 'new')").close()
    second = lake.backups.create()
    taken = {row["snapshot_id"]: row for row in lake.backups.list()}
    assert list(taken) == [first, second]
    assert 0 < taken[second]["bytes_new"] < taken[first]["bytes_new"]
    assert {row["state"] for row in lake.backups.verify(second, full=True)} == {"whole"}
    lake.backups.restore(first, to=tmp_path / "new")
    with neurolake.connect(tmp_path / "new") as new:
        assert new.sql("SELECT count(*) FROM t").fetchall() == [(300_000,)]
    assert lake.sql(f"SELECT count(*) FROM neurolake.at('t', '{second}')").fetchall() == [(300_001,)]
    lake.backups.mount(first)
    assert lake.sql(f"SELECT count(*) FROM snapshot_{first}.t").fetchall() == [(300_000,)]
    lake.backups.unmount(first)
    assert [row["added"] for row in lake.backups.diff(first, second)] == [1]
    assert lake.backups.prune(dry_run=False)[-1]["files"] == 0
    assert not list((tmp_path / "lake" / "tmp").glob("*-*/*.parquet"))


def test_a_damaged_object_is_named(lake: neurolake.Lake, s3_server: S3Server, bucket: str) -> None:
    snapshot = lake.backups.create()
    keys = [key for key, _ in _objects(lake).keys("data")]
    s3_server.put(bucket, f"backup/{keys[0]}", b"PAR1")
    s3_server.delete(bucket, f"backup/{keys[1]}")
    (problem,) = [row["problem"] for row in lake.backups.verify(snapshot) if row["state"] == "damaged"]
    assert keys[0] in problem
    assert keys[1] in problem


def _objects(lake: neurolake.Lake):  # type: ignore[no-untyped-def]
    from neurolake.backup.service import Backups

    return Backups(lake.engine, "", "owner").repository().files  # type: ignore[attr-defined]


def test_storage_that_does_not_answer_leaves_no_snapshot(lake: neurolake.Lake, proxy: FaultyProxy) -> None:
    before = lake.backups.create()
    lake.sql("UPDATE t SET m = 'x'").close()
    proxy.close()
    with pytest.raises(errors.SourceFailed):
        lake.backups.create()
    with pytest.raises(errors.SourceFailed):
        lake.backups.verify(before)


def test_what_cannot_be_written_to_is_refused(lake: neurolake.Lake) -> None:
    for place in ("memory://x", "https://example.org/x", "file:///x", "hf://x/y"):
        with pytest.raises(errors.NotSupported) as caught:
            lake.call("create_snapshot", repository=place)
        assert caught.value.code == "repository_scheme"
