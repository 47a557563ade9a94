"""Copies of the files that registered sources read: taken along, verified, and put back where one says."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storage import S3Server

import neurolake
from neurolake import errors


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[neurolake.Lake]:
    files = tmp_path / "files [1]"
    files.mkdir()
    with neurolake.connect(tmp_path / "lake") as opened:
        for year in (2025, 2026):
            folder = files / "orders" / f"year={year}"
            folder.mkdir(parents=True)
            opened.sql(f"COPY (SELECT i AS id FROM range(1000) r(i)) TO '{folder}/a b.parquet'").close()
        (files / "people.csv.gz").write_bytes(gzip.compress(b"id;name\n1;Ada\n2;Ben\n"))
        (files / "people.csv").write_bytes(b"id;name\n3;Cy\n")
        opened.register("orders", str(files / "orders"))
        opened.register("people", str(files / "people.csv.gz"), options={"delim": ";"})
        opened.register("lab.lines", str(files).replace("[", "[[]", 1) + "/*.csv", options={"delim": ";"})
        opened.sql("CREATE TABLE own AS SELECT 1 AS n").close()
        yield opened


def rows(lake: neurolake.Lake, sql: str) -> list[tuple[Any, ...]]:
    return lake.sql(sql).fetchall()


QUESTIONS = (
    "SELECT year, count(*), sum(id) FROM orders GROUP BY ALL ORDER BY ALL",
    "FROM people ORDER BY ALL",
    "FROM lab.lines",
    "FROM own",
)


def test_they_come_back_and_the_sources_read_them_there(lake: neurolake.Lake, tmp_path: Path) -> None:
    expected = [rows(lake, sql) for sql in QUESTIONS]
    backups = lake.backups.at(tmp_path / "r")
    snapshot = backups.create(include_external=True)
    found = {row["object"]: row for row in backups.verify(snapshot, full=True)}
    assert {row["state"] for row in found.values()} == {"whole"}
    assert found["source orders"]["files"] == 2
    names = sorted(path.name[64:] for path in (tmp_path / "r").glob("data/*/*"))
    assert names == [".csv", ".csv.gz", ".parquet", ".parquet"]  # the two of orders have the same bytes
    shutil.rmtree(tmp_path / "files [1]")
    done = backups.restore(snapshot, to=tmp_path / "new", external_to=tmp_path / "back [2]")
    assert sorted(row["object"] for row in done if row["kind"] == "source") == ["lab.lines", "orders", "people"]
    with neurolake.connect(tmp_path / "new") as new:
        assert [rows(new, sql) for sql in QUESTIONS] == expected
    back = tmp_path / "back [2]"
    assert sorted(path.relative_to(back).as_posix() for path in back.rglob("*") if path.is_file()) == [
        "lab.lines/files [1]/people.csv", "main.orders/files [1]/orders/year=2025/a b.parquet",
        "main.orders/files [1]/orders/year=2026/a b.parquet", "main.people/people.csv.gz",
    ]  # fmt: skip


def test_what_has_not_changed_is_not_written_again(lake: neurolake.Lake, tmp_path: Path) -> None:
    backups = lake.backups.at(tmp_path / "r")
    backups.create(include_external=True)
    backups.create(include_external=True)
    (tmp_path / "files [1]" / "people.csv").write_bytes(b"id;name\n4;Di\n")
    backups.create(include_external=True)
    sizes = [row["bytes_new"] for row in backups.list()]
    assert sizes[1:] == [0, 13]
    assert backups.prune(dry_run=False)[-1]["files"] == 0


def test_damage_is_found_and_nothing_half_is_left(lake: neurolake.Lake, tmp_path: Path) -> None:
    backups = lake.backups.at(tmp_path / "r")
    snapshot = backups.create(include_external=True)
    (file,) = (tmp_path / "r").glob("data/*/*.csv")
    file.write_bytes(file.read_bytes().replace(b"Cy", b"Di"))
    assert [row["object"] for row in backups.verify(snapshot) if row["state"] == "damaged"] == ["source lab.lines"]
    for _ in range(2):
        with pytest.raises(errors.SourceFailed) as caught:
            backups.restore(snapshot, to=tmp_path / "new", external_to=tmp_path / "back")
        assert caught.value.code == "snapshot_corrupt"
        assert not (tmp_path / "new").exists()
        assert not [path for path in (tmp_path / "back").rglob("*") if path.is_file()]
    assert {row["kind"] for row in backups.restore(snapshot, to=tmp_path / "new")} == {"table", "source"}


def test_what_is_refused(lake: neurolake.Lake, tmp_path: Path) -> None:
    backups = lake.backups.at(tmp_path / "r")
    lake.call("create_role", "analyst")
    for asked in ({"kind": "data"}, {"tables": ["own"]}, {"as_role": "analyst"}):
        with pytest.raises(errors.InvalidRequest) as caught:
            backups.create(include_external=True, **asked)
        assert caught.value.code == "snapshot_kind"
    plain, whole = backups.create(), backups.create(include_external=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    for snapshot, named, code in (
        (plain, {"to": tmp_path / "new"}, "external_missing"),
        (whole, {}, "restore_external"),
        (whole, {"to": "schema:old"}, "restore_external"),
        (whole, {"to": tmp_path / "new"}, "restore_exists"),
    ):
        with pytest.raises(errors.NeuroLakeError) as refused:
            backups.restore(snapshot, external_to=tmp_path / "full", **named)
        assert refused.value.code == code
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]
    assert not (tmp_path / "new").exists()


def test_a_manifest_cannot_lead_a_file_out_of_its_folder(lake: neurolake.Lake, tmp_path: Path) -> None:
    """Somebody may have written it who meant harm, with a digest that fits."""
    from neurolake.backup import manifest as manifests

    backups = lake.backups.at(tmp_path / "r")
    snapshot = backups.create(include_external=True)
    stored = tmp_path / "r" / "snapshots" / f"{snapshot}.json"
    content = json.loads(stored.read_text())
    del content["digest"]
    content["external"][0]["path"] = "../../escaped"
    stored.write_bytes(json.dumps(content | {"digest": manifests._digest(content)}).encode())
    with neurolake.connect(tmp_path / "other") as other, pytest.raises(errors.NotSupported) as caught:
        other.backups.at(tmp_path / "r").restore(snapshot, to=tmp_path / "new", external_to=tmp_path / "back")
    assert caught.value.code == "external_path"
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("keys", ["", "env:A_KEY"], ids=["plain", "sealed"])
def test_from_s3_and_back_into_another_bucket(
    s3_server: S3Server, bucket: str, tmp_path: Path, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "ab" * 32)
    monkeypatch.setenv("NEUROLAKE_SNAPSHOT_KEYS", keys)
    s3_server.put(f"{bucket}-old", "in/year=2026/a.csv", b"id,name\n1,Ada\n")
    s3_server.put(f"{bucket}-new", "here", b"1")

    def configured(home: Path) -> Path:
        neurolake.connect(home).close()
        with (home / "neurolake.toml").open("a") as settings:
            for name in (f"{bucket}-old", f"{bucket}-new"):
                settings.write(f'[storage."s3://{name}"]\n')
                settings.writelines(f'{key} = "{value}"\n' for key, value in s3_server.settings().items())
        return home

    with neurolake.connect(configured(tmp_path / "lake")) as lake:
        lake.register("people", f"s3://{bucket}-old/in/**/*.csv")
        expected = rows(lake, "FROM people")
        snapshot = lake.backups.create(include_external=True)
        s3_server.delete(f"{bucket}-old", "in/year=2026/a.csv")
        lake.backups.restore(snapshot, to=tmp_path / "new", external_to=f"s3://{bucket}-new/back")
    with neurolake.connect(configured_again(tmp_path / "new", tmp_path / "lake")) as new:
        assert rows(new, "FROM people") == expected
        assert rows(new, "SELECT location FROM neurolake.sources") == [
            (f"s3://{bucket}-new/back/main.people/year=2026/a.csv".replace("year=2026/a.csv", "**/*.csv"),)
        ]


def configured_again(home: Path, other: Path) -> Path:
    shutil.copy(other / "neurolake.toml", home / "neurolake.toml")
    return home
