"""Sealed repositories: everything works on them, and they tell nothing to who has no key."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import pytest

import neurolake
from flight.service import Service
from neurolake import errors
from neurolake.config import load
from neurolake.home import Home


class Lakes:
    """Opens one lake under different keys."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.repository = path / "snapshots"
        self._monkeypatch = monkeypatch
        for name in ("OLD", "NEW"):
            monkeypatch.setenv(f"KEY_{name}", secrets.token_hex(32))

    def under(self, *keys: str) -> neurolake.Lake:
        self._monkeypatch.setenv("NEUROLAKE_SNAPSHOT_KEYS", ",".join(f"env:KEY_{key}" for key in keys))
        return neurolake.connect(self.path)

    def files(self) -> list[Path]:
        return sorted(self.repository.glob("data/*/*"))


@pytest.fixture
def lakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lakes]:
    made = Lakes(tmp_path / "lake", monkeypatch)
    with made.under("OLD") as lake:
        lake.sql("CREATE TABLE people AS SELECT i AS id, 'needle' || i AS name FROM range(200000) r(i)").close()
        lake.sql("CREATE TABLE few AS SELECT 'needle' AS s").close()
    yield made


def rows(lake: neurolake.Lake, sql: str) -> list[tuple[Any, ...]]:
    return lake.sql(sql).fetchall()


def seen(lake: neurolake.Lake, sql: str) -> list[tuple[Any, ...]]:
    """What the role analyst sees."""
    lake.sql("SET ROLE analyst").close()
    try:
        return rows(lake, sql)
    finally:
        lake.sql("RESET ROLE").close()


def code_of(lake: neurolake.Lake, procedure: str, *values: object, **named: object) -> str:
    with pytest.raises(errors.NeuroLakeError) as caught:
        lake.call(procedure, *values, **named)
    return caught.value.code


def test_everything_works_and_nothing_is_told(lakes: Lakes, tmp_path: Path) -> None:
    with lakes.under("OLD") as lake:
        first = lake.backups.create()
        assert {row["state"] for row in lake.backups.verify(first, full=True)} == {"whole"}
        hashes = {row["object"]: row for row in lake.backups.show(first)}
        assert hashes["people"]["rows"] == 200000
        lake.sql("UPDATE people SET name = 'other' WHERE id = 199999").close()
        second = lake.backups.create()
        listed = lake.backups.list()
        assert 0 < listed[1]["bytes_new"] < 0.8 * listed[0]["bytes"]
        assert [(d["table_name"], d["added"], d["removed"]) for d in lake.backups.diff(first, second)] == [
            ("people", 1, 1)
        ]
        assert rows(lake, f"SELECT count(*) FROM neurolake.at('people', '{first}') WHERE name LIKE 'needle%'") == [
            (200000,)
        ]
        lake.backups.restore(first, tables=["people"], to="schema:old")
        assert rows(lake, "SELECT count(*) FROM (FROM old.people EXCEPT FROM people)") == [(1,)]
        (last,) = [row for row in lake.backups.prune(dry_run=False) if row["snapshot_id"] is None]
        assert last["files"] == 0
    everything = b"".join(f.name.encode() + f.read_bytes() for f in lakes.repository.rglob("*") if f.is_file())
    assert b"needle" not in everything
    assert b"people" not in everything
    assert b"PAR1" not in everything
    assert not list((lakes.path / "tmp").iterdir())


def test_a_name_tells_no_content(lakes: Lakes, tmp_path: Path) -> None:
    with lakes.under("OLD") as lake:
        lake.backups.at(tmp_path / "a").create()
    with lakes.under() as lake:
        plain = lake.backups.at(tmp_path / "b").create()
        assert lake.backups.at(tmp_path / "b").show(plain)[0]["rows"] == 1
    hashes = {path.stem for path in (tmp_path / "b").glob("data/*/*")}
    names = "".join(path.name for path in (tmp_path / "a").glob("data/*/*"))
    assert hashes
    assert not any(one in names for one in hashes)


def test_a_mounted_one_is_readable_until_it_is_removed(lakes: Lakes) -> None:
    with lakes.under("OLD") as lake:
        snapshot = lake.backups.create()
        lake.backups.mount(snapshot)
    with lakes.under("OLD") as lake:  # also after the home was opened again
        assert rows(lake, f"SELECT count(*) FROM snapshot_{snapshot}.people") == [(200000,)]
        assert list((lakes.path / "mounts").rglob("*.parquet"))
        lake.backups.unmount(snapshot)
    assert not list((lakes.path / "mounts").iterdir())


def test_a_plan_keeps_what_was_opened_for_it_over_flight(lakes: Lakes) -> None:
    with lakes.under("OLD") as lake:
        lake.backups.create()
    home = Home.open(lakes.path)
    flags = {"port": 0, "http_port": 0, "admin_password": "a long password"}
    service = Service(home, load(home.path, flags=flags))
    service.start()
    try:
        login = {"username": "admin", "password": "a long password"}
        with flight_sql.connect(f"grpc://127.0.0.1:{service.port}", login, autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute("CALL neurolake.create_snapshot()")
                (made,) = cursor.fetch_arrow_table().to_pylist()
                assert made["state"] == "complete"
            for relation in ("neurolake.at('people', 'latest')", "people AT (TIMESTAMP => '2999-01-01')"):
                text = f"SELECT count(DISTINCT name) FROM {relation}"
                with connection.cursor() as cursor:
                    cursor.adbc_prepare(text)
                    for _ in range(2):
                        cursor.execute(text)
                        assert cursor.fetchone() == (200000,)
            with connection.cursor() as cursor, pytest.raises(Exception, match="sealed"):
                cursor.execute("CREATE VIEW v AS FROM neurolake.at('people', 'latest')")
    finally:
        service.stop()
    assert not list((lakes.path / "tmp").iterdir())


def test_tampering_is_found(lakes: Lakes, tmp_path: Path) -> None:
    with lakes.under("OLD") as lake:
        snapshot = lake.backups.create()
        untouched = tmp_path / "untouched"
        shutil.copytree(lakes.repository, untouched)
        other = lake.backups.create(["few"])
        shutil.copytree(lakes.repository / "snapshots", untouched / "snapshots", dirs_exist_ok=True)

        def state() -> set[str]:
            return {row["state"] for row in lake.backups.verify(snapshot)}

        a, b, *_ = lakes.files()
        manifest = lakes.repository / "snapshots" / f"{snapshot}.sealed"
        for damage in (
            lambda: a.write_bytes(b.read_bytes()),
            lambda: a.write_bytes(a.read_bytes()[:-20]),
            lambda: a.write_bytes(a.read_bytes()[:-1] + bytes([a.read_bytes()[-1] ^ 1])),
            lambda: a.unlink(),
            lambda: manifest.write_bytes((manifest.parent / f"{other}.sealed").read_bytes()),
            lambda: manifest.write_bytes(manifest.read_bytes()[:-1]),
        ):
            assert state() == {"whole"}
            damage()
            assert "damaged" in state()
            with pytest.raises(errors.SourceFailed) as caught:
                lake.backups.restore(snapshot, to=tmp_path / "no")
            assert caught.value.code == "snapshot_corrupt"
            shutil.rmtree(lakes.repository)
            shutil.copytree(untouched, lakes.repository)
        a.write_bytes(b.read_bytes())
        lake.backups.create(reuse=False)
        assert state() == {"whole"}


def test_the_secret_behind_tokens_goes_along_and_leaves_no_trace_in_plain_ones(lakes: Lakes, tmp_path: Path) -> None:
    tokens = "SELECT s FROM few ORDER BY s"
    with lakes.under("OLD") as lake:
        for call in (
            "create_role('analyst')", "grant('read', 'few', 'analyst')", "set_pii('few', null, 'confirmed')",
            "set_policy('tokens', 'analyst', 'column:few.s', 'token')",
        ):  # fmt: skip
            lake.sql(f"CALL neurolake.{call}").close()
        before = seen(lake, tokens)
        lake.sql("CALL neurolake.rotate_mask_key()").close()
        after = seen(lake, tokens)
        assert after != before
        snapshot = lake.backups.create()
        few, schema = lake.backups.create(["few"]), lake.backups.create(kind="schema")
        held = [[row["object"] for row in lake.backups.show(one)].count("mask keys") for one in (snapshot, few, schema)]
        assert held == [1, 0, 0]
        assert [d["state"] for d in lake.backups.drill(snapshot) if d["object"] == "mask keys"] == ["passed"]
        lake.backups.restore(snapshot, to=tmp_path / "same")
    with lakes.under() as lake:
        plain = lake.backups.at(tmp_path / "plain")
        plain.restore(plain.create(), to=tmp_path / "other")
    with closing(sqlite3.connect(lakes.path / "system.sqlite")) as db:
        secrets_of_it = [
            value.encode() for (value,) in db.execute("SELECT value FROM facts WHERE name GLOB 'mask_key_?'")
        ]
    assert len(secrets_of_it) == 2
    assert all(
        one not in f.read_bytes() for one in secrets_of_it for f in (tmp_path / "plain").rglob("*") if f.is_file()
    )
    for name, expected in (("same", True), ("other", False)):
        with neurolake.connect(tmp_path / name) as restored:
            restored.call("set_pii", "few", None, "confirmed")
            assert (seen(restored, tokens) == after) is expected


def test_without_the_right_key(lakes: Lakes) -> None:
    with lakes.under("OLD") as lake:
        snapshot = lake.backups.create()
    with lakes.under("NEW") as lake:
        assert [row["state"] for row in lake.backups.list()] == ["sealed"]
        for procedure in ("show_snapshot", "verify_snapshot", "restore_snapshot", "mount_snapshot"):
            for wanted in (snapshot, "latest"):
                assert code_of(lake, procedure, wanted) == "snapshot_key_unknown"
        before = lakes.files()
        assert code_of(lake, "prune_snapshots", dry_run=False) == "snapshot_key_unknown"
        assert lakes.files() == before
    with lakes.under() as lake:
        for procedure, values in (("list_snapshots", ()), ("restore_snapshot", ("latest",)), ("create_snapshot", ())):
            assert code_of(lake, procedure, *values) == "snapshot_key_missing"


def test_plain_snapshots_never_stand_for_sealed_ones(lakes: Lakes) -> None:
    """Who can write the repository could put their own in its place, were they read while a key is named."""
    with lakes.under() as lake:
        lake.backups.create()
        assert code_of(lake, "rotate_snapshot_keys") == "snapshot_key"
    with lakes.under("OLD") as lake:
        for procedure, values in (("list_snapshots", ()), ("restore_snapshot", ("latest",)), ("create_snapshot", ())):
            assert code_of(lake, procedure, *values) == "repository_plain"


def test_keys_are_rotated(lakes: Lakes) -> None:
    with lakes.under("OLD") as lake:
        first = lake.backups.create()
    with lakes.under("NEW", "OLD") as lake:
        lake.sql("INSERT INTO few VALUES ('more')").close()
        second = lake.backups.create()
        assert lake.backups.list()[-1]["bytes_new"] < 2000
        assert len({path.name[-16:] for path in lakes.files()}) == 2
        (done,) = lake.backups.rotate()
        assert 0 < done["sealed"] < done["files"]
        assert lake.backups.rotate()[0]["sealed"] == 0
        lake.backups.prune(dry_run=False)
    with lakes.under("NEW") as lake:
        for snapshot in (first, second):
            assert {row["state"] for row in lake.backups.verify(snapshot, full=True)} == {"whole"}
    assert len({path.name[-16:] for path in lakes.files()}) == 1


def test_prune_leaves_what_an_absent_key_has_sealed(lakes: Lakes) -> None:
    with lakes.under("OLD") as lake:
        lake.backups.create()
    before = lakes.files()
    for manifest in lakes.repository.glob("snapshots/*"):
        manifest.unlink()
    with lakes.under("NEW") as lake:
        lake.backups.create()
        lake.backups.prune(dry_run=False)
    assert set(before) <= set(lakes.files())


def test_copies_are_sealed_and_the_setting_is_not_shown(
    lakes: Lakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROLAKE_SNAPSHOT_REPOSITORIES", f"{tmp_path}/one,{tmp_path}/two")
    with lakes.under("OLD") as lake:
        made = lake.call("create_snapshot").to_pylist()
        assert [row["state"] for row in made] == ["complete"] * 2
        shutil.rmtree(tmp_path / "one" / "data")
        lake.backups.at(tmp_path / "two").restore(made[0]["snapshot_id"], to="schema:back")
        assert rows(lake, "SELECT value FROM neurolake.settings WHERE name = 'snapshot_keys'") == [("***",)]
    assert {path.suffix for path in (tmp_path / "two").glob("data/*/*")} == {".sealed"}
