"""Homes and snapshots of an earlier release, which folded names too far, are as closed after the upgrade as before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake.backup import manifest, newhome
from neurolake.home import FORMAT_VERSION
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal
from neurolake.sql.text import Name
from neurolake.upgrading import upgrade

ANALYST = Principal("ann", "analyst", roles=("analyst",))
TABLES = ("grants", "policies", "row_filters", "tags", "descriptions", "scans", "findings")


def former(path: Path, texts: Sequence[str]) -> Path:
    """A home as an earlier release left it: of format 1, with names in the metadata that are folded too far."""
    with neurolake.connect(path) as lake:
        lake.call("create_role", "analyst")
        for text in texts:
            lake.sql(text).close()
    with closing(sqlite3.connect(path / "system.sqlite")) as db, db:
        db.create_function("casefold", 1, str.casefold)
        for table in TABLES:
            columns = ("table_schema", "table_name", *(() if table == "row_filters" else ("column_name",)))
            db.execute(f"UPDATE OR IGNORE {table} SET {', '.join(f'{one} = casefold({one})' for one in columns)}")
            where = " OR ".join(f"{one} <> casefold({one})" for one in columns)
            db.execute(f"DELETE FROM {table} WHERE {where}")
        db.execute("DROP TABLE former_names")
    settings = path / "neurolake.toml"
    settings.write_text(settings.read_text().replace(f"format_version = {FORMAT_VERSION}", "format_version = 1"))
    return path


def opened(path: Path) -> Iterator[EmbeddedLake]:
    with neurolake.connect(path) as lake:
        assert isinstance(lake, EmbeddedLake)
        yield lake


def shown(lake: EmbeddedLake, table: str, schema: str = "main") -> dict[str, str]:
    name = Name(schema, table)
    types = {row[0]: row[1] for row in lake.sql(f"DESCRIBE {name.sql()}").fetchall()}
    return {column.column: column.action for column in lake.engine.access.decide(ANALYST, name, types).columns}


def decided(table: str) -> list[str]:
    return [
        f"CALL neurolake.set_pii('\"{table}\"', null, 'confirmed')",
        f"CALL neurolake.grant('read', '\"{table}\"', 'analyst')",
        f"""CALL neurolake.set_policy('p', '*', 'column:"{table}"."Größe"', 'null')""",
        f"CALL neurolake.set_row_filter('f', '*', '\"{table}\"', 'a > 1')",
    ]


def test_what_can_mean_one_name_alone_goes_to_it(tmp_path: Path) -> None:
    home = former(tmp_path / "lake", ['CREATE TABLE "Ärzte Straße" (a INT, "Größe" INT)', *decided("Ärzte Straße")])
    with pytest.raises(errors.HomeProblem) as refused:
        neurolake.connect(home)
    assert refused.value.code == "home_too_old"
    assert upgrade(home) == 1
    for lake in opened(home):
        assert shown(lake, "Ärzte Straße") == {"a": "allow", "Größe": "null"}
        events = lake.sql("SELECT event FROM neurolake.audit WHERE event = 'upgrade'").fetchall()
        assert events == [("upgrade",)]
        assert all(found["intact"] for found in lake.call("verify_audit").to_pylist())


def test_what_can_mean_two_names_opens_neither_and_protects_both(tmp_path: Path) -> None:
    tables = [f'CREATE TABLE "{name}" (a INT, "Größe" INT)' for name in ("strasse", "straße")]
    home = former(tmp_path / "lake", [*tables, *decided("straße")])
    upgrade(home)
    for lake in opened(home):
        for table in ("strasse", "straße"):
            assert set(shown(lake, table).values()) == {"absent"}
            lake.call("set_pii", f'"{table}"', None, "confirmed")
            lake.call("grant", "read", f'"{table}"', "analyst")
            assert shown(lake, table) == {"a": "allow", "Größe": "null"}
            assert lake.engine.access.decide(ANALYST, Name("main", table), {"a": "INT", "Größe": "INT"}).filters
        assert sorted(lake.sql("SELECT name FROM neurolake.policies").fetchall()) == [
            ("f",), ("f:2",), ("p",), ("p:2",)
        ]  # fmt: skip


def test_a_name_that_comes_later_is_closed_until_it_is_granted_itself(tmp_path: Path) -> None:
    make = 'CREATE TABLE "Ä" (a INT, "Größe" INT)'
    home = former(
        tmp_path / "lake", [make, *decided("Ä"), 'DROP TABLE "Ä"', "CALL neurolake.grant('read', 'lake', 'analyst')"]
    )
    upgrade(home)
    for lake in opened(home):
        for text in (make, "CALL neurolake.set_pii('\"Ä\"', null, 'confirmed')"):
            lake.sql(text).close()
        decision = lake.engine.access.decide(ANALYST, Name("main", "Ä"), {"a": "INTEGER", "Größe": "INTEGER"})
        assert {column.action for column in decision.columns} == {"absent"}
        assert "before the upgrade" in decision.reason
        lake.call("set_policy", "own", "*", 'column:"Ä"."Größe"', "null")
        lake.call("grant", "read", '"Ä"', "analyst")
        assert shown(lake, "Ä") == {"a": "allow", "Größe": "null"}


def test_schemas_and_sources_are_names_too(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("id,Übung\n1,x\n")
    home = former(
        tmp_path / "lake",
        [
            f"CALL neurolake.register('Läufe', '{tmp_path / 'data.csv'}')",
            'CREATE SCHEMA "Österreich"',
            'CREATE TABLE "Österreich".t (a INT)',
            "CALL neurolake.set_pii('\"Läufe\"', null, 'confirmed')",
            "CALL neurolake.set_pii('\"Österreich\".t', null, 'confirmed')",
            "CALL neurolake.grant('read', '\"Läufe\"', 'analyst')",
            "CALL neurolake.grant('read', 'schema:\"Österreich\"', 'analyst')",
            "CALL neurolake.tag('schema:\"Österreich\"', 'abroad')",
            "CALL neurolake.set_policy('abroad', '*', 'tag:abroad', 'null')",
        ],
    )
    upgrade(home)
    for lake in opened(home):
        types = {"id": "BIGINT", "Übung": "VARCHAR"}
        decision = lake.engine.access.decide(ANALYST, Name("main", "Läufe"), types)
        assert [column.action for column in decision.columns] == ["allow", "allow"]
        assert shown(lake, "t", "Österreich") == {"a": "null"}


def test_plain_names_stay_as_they_are_however_often_it_is_done(tmp_path: Path) -> None:
    home = former(tmp_path / "lake", ['CREATE TABLE Plain (a INT, "Größe" INT)', *decided("Plain")])
    settings = home / "neurolake.toml"
    for _ in range(2):
        settings.write_text(settings.read_text().replace("format_version = 2", "format_version = 1"))
        assert upgrade(home) == 1
        for lake in opened(home):
            assert shown(lake, "plain") == {"a": "allow", "Größe": "null"}


def test_a_snapshot_of_an_earlier_release_is_refolded_when_it_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = former(tmp_path / "lake", ['CREATE TABLE "Ä" (a INT, "Größe" INT)', *decided("Ä")])
    settings = home / "neurolake.toml"
    settings.write_text(settings.read_text().replace("format_version = 1", f"format_version = {FORMAT_VERSION}"))
    with monkeypatch.context() as patched:
        assert newhome.FOLDED == manifest.FOLDED  # the reader's own, which stays
        patched.setattr(manifest, "FOLDED", 2)
        with neurolake.connect(home) as lake:
            snapshot = lake.call("create_snapshot").to_pylist()[0]["snapshot_id"]
            lake.call("restore_snapshot", snapshot, destination=str(tmp_path / "restored"))
    for lake in opened(tmp_path / "restored"):
        lake.call("set_pii", '"Ä"', None, "confirmed")
        assert shown(lake, "Ä") == {"a": "allow", "Größe": "null"}
