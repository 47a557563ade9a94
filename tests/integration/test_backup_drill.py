"""Restore drills: what they find, what they leave, and what is told of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from backup_jobs import served, until

import neurolake
from neurolake import errors
from neurolake.backup import manifest as manifests
from neurolake.backup.drill import sample
from neurolake.cli import run


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[neurolake.Lake]:
    """A lake with a bit of everything, and a check that is true."""
    (tmp_path / "source.csv").write_text("id\n1\n2\n")
    checks = ["SELECT count(*) = 1000 FROM orders", "SELECT sum(amount) > 0 FROM orders"]
    with neurolake.connect(tmp_path / "lake", snapshot_drill_checks=checks) as opened:
        for statement in (
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR)",
            "INSERT INTO customers SELECT i, 'c' || i FROM range(100) r(i)",
            "CREATE TABLE orders (id INTEGER, customer INTEGER REFERENCES customers (id), amount HUGEINT)",
            "INSERT INTO orders SELECT i, i % 100, i FROM range(1000) r(i)",
            "CREATE TABLE notes AS SELECT i AS id, repeat('x', 100) || i AS text FROM range(5000) r(i)",
            "CREATE VIEW spent AS SELECT customer, sum(amount) AS amount FROM orders GROUP BY ALL",
        ):
            opened.sql(statement).close()
        opened.register("outside", tmp_path / "source.csv")
        opened.sql("CREATE VIEW beyond AS SELECT * FROM customers WHERE id IN (SELECT id FROM orders)").close()
        opened.call("create_role", "analyst")
        yield opened


def states(rows: list[dict[str, object]]) -> dict[object, object]:
    return {f"{row['kind']} {row['object']}": row["state"] for row in rows}


def last(lake: neurolake.Lake) -> dict[str, object]:
    found: list[dict[str, object]] = lake.sql("FROM neurolake.backup_runs").arrow().to_pylist()
    return found[-1]


def test_a_drill_brings_everything_back_compares_it_and_leaves_nothing(lake: neurolake.Lake, tmp_path: Path) -> None:
    snapshot = lake.backups.create()
    before = lake.tables()
    found = lake.backups.drill()
    assert set(states(found).values()) == {"passed"}
    assert {"table customers", "table orders", "view spent", "view beyond", "check 1", "check 2", "source outside",
            "metadata roles"} <= set(states(found))  # fmt: skip
    recorded = last(lake)
    assert (recorded["job"], recorded["mode"], recorded["state"]) == ("drill", "all", "done")
    assert (recorded["snapshot_id"], recorded["tables"], recorded["rows"]) == (snapshot, 3, 6100)
    assert lake.tables() == before
    assert not list((tmp_path / "lake" / "tmp").glob("drill-*"))


def test_a_check_that_is_not_true_fails_the_drill(lake: neurolake.Lake, tmp_path: Path) -> None:
    lake.sql("DELETE FROM orders WHERE id < 10").close()
    lake.backups.create()
    assert states(lake.backups.drill())["check 1"] == "failed"
    assert (last(lake)["state"], last(lake)["error_code"]) == ("failed", "drill_failed")
    assert last(lake)["detail"] == "failed: check 1"


@pytest.mark.parametrize("text", ["SELECT 1", "FROM range(2)", "SELECT true, true", "SELECT nowhere", "garbage"])
def test_what_is_no_answer_is_not_true(text: str, tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake", snapshot_drill_checks=[text]) as lake:
        lake.load("t", {"i": [1]})
        lake.backups.create()
        assert states(lake.backups.drill()) == {"table t": "passed", "check 1": "failed"}


def test_values_that_are_not_those_of_the_day_are_found(lake: neurolake.Lake, tmp_path: Path) -> None:
    snapshot = lake.backups.create()
    file = tmp_path / "lake" / "snapshots" / "snapshots" / f"{snapshot}.json"
    made = manifests.read(file.read_bytes(), snapshot)
    at = next(number for number, table in enumerate(made.tables) if table.name == "orders")
    parts = [dataclasses.replace(part, sum=part.sum ^ 1) for part in made.tables[at].parts]
    tables = list(made.tables)
    tables[at] = dataclasses.replace(tables[at], parts=tuple(parts))
    file.write_bytes(manifests.write(dataclasses.replace(made, tables=tuple(tables))))
    found = [row for row in lake.backups.drill() if row["state"] == "failed"]
    assert [(row["object"], row["problem"]) for row in found] == [("orders", "other values came back than were taken")]


def test_a_damaged_file_fails_it_before_anything_is_made(lake: neurolake.Lake, tmp_path: Path) -> None:
    lake.backups.create()
    part = next((tmp_path / "lake" / "snapshots").glob("data/*/*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(errors.SourceFailed) as found:
        lake.backups.drill()
    assert found.value.code == "snapshot_corrupt"
    assert (last(lake)["state"], last(lake)["error_code"]) == ("failed", "snapshot_corrupt")
    assert not list((tmp_path / "lake" / "tmp").glob("drill-*"))


def test_a_view_that_would_not_come_back_is_named(lake: neurolake.Lake, tmp_path: Path) -> None:
    lake.sql(f"CREATE VIEW files AS SELECT count(*) AS n FROM read_csv('{tmp_path}/source.csv')").close()
    lake.backups.create()
    (tmp_path / "source.csv").unlink()
    failed = [row for row in lake.backups.drill() if row["state"] == "failed"]
    assert [(row["object"], row["problem"]) for row in failed] == [("files", "it did not come back")]
    assert last(lake)["detail"] == "failed: view files"


def test_a_sample_keeps_to_its_size_and_brings_parents_along(lake: neurolake.Lake, tmp_path: Path) -> None:
    snapshot = lake.backups.create()
    file = tmp_path / "lake" / "snapshots" / "snapshots" / f"{snapshot}.json"
    made = manifests.read(file.read_bytes(), snapshot)
    sizes = {table.name: table.bytes for table in made.tables}
    chosen = {frozenset(sample(made, sizes["notes"])) for _ in range(100)}
    assert chosen == {frozenset(("notes",)), frozenset(("customers", "orders"))}
    assert sum(sizes[name] for name in ("customers", "orders")) <= sizes["notes"]
    assert (sample(made, 1), sample(made, 0), sample(made, made.bytes)) == (("customers",), (), ())

    found = lake.backups.drill(bytes_max=sizes["notes"])
    assert {row["kind"] for row in found} == {"table"}
    assert frozenset(row["object"] for row in found) in chosen
    assert (last(lake)["mode"], last(lake)["state"]) == ("sample", "done")


def test_the_commands_exit_code_says_how_it_went(lake: neurolake.Lake, tmp_path: Path) -> None:
    lake.close()
    home, other = str(tmp_path / "lake"), str(tmp_path / "elsewhere")
    assert run(["backup", "drill", "--lake", home]) == 11
    assert run(["backup", "create", "--lake", home, "--repo", other]) == 0
    assert run(["backup", "drill", "--lake", home, "--repo", other, "--bytes-max", "1GiB", "--json"]) == 0
    assert run(["backup", "drill", "--lake", home, "--bytes-max", "much"]) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROLAKE_SNAPSHOT_DRILL_CHECKS", '["SELECT count(*) = 7 FROM orders"]')
        assert run(["backup", "drill", "--lake", home, "--repo", other]) == 15


def test_a_served_lake_drills_by_the_clock_and_its_metrics_tell(tmp_path: Path) -> None:
    place = tmp_path / "copies"
    settings = {"snapshot_drill_schedule": "* * * * * *", "snapshot_repositories": place}
    with served(tmp_path / "lake", **settings) as server:
        assert not [name for name in server.metrics() if name.startswith("neurolake_backup_last")]
        server.rows("CREATE TABLE orders AS SELECT i AS id FROM range(1000) r(i)")
        (made,) = server.rows("CALL neurolake.create_snapshot()")
        drilled = f'{{job="drill",mode="all",repository="{place}"}}'
        until(lambda: server.metrics().get(f"neurolake_backup_last_ok{drilled}") == 1.0)
        found = server.metrics()
        created = f'{{job="create",mode="full",repository="{place}"}}'
        assert found[f"neurolake_backup_last_ok{created}"] == 1.0
        assert found[f"neurolake_backup_last_success_bytes{created}"] == made["bytes"]
        assert found[f"neurolake_backup_last_success_bytes_new{created}"] == made["bytes_new"]
        assert 0 <= found[f"neurolake_backup_last_success_age_seconds{created}"] < 60
        assert found[f"neurolake_backup_last_success_duration_seconds{created}"] > 0
        assert found['neurolake_backup_next_run_at_seconds{job="drill"}'] > 0
        assert f"neurolake_backup_last_success_bytes_new{drilled}" not in found
        part = next(place.glob("data/*/*.parquet"))
        part.write_bytes(b"x" + part.read_bytes()[1:])
        until(lambda: server.metrics()[f"neurolake_backup_last_ok{drilled}"] == 0.0)
        assert server.metrics()[f"neurolake_backup_last_ok{created}"] == 1.0
