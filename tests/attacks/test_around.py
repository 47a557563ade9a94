"""Ways around a mask or a filter that no single statement shows: settings, positions of rows, rollbacks, spellings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract.wire import Wire

from attacks.lakes import USER_PASSWORD, Served, served
from attacks.test_attacks import attempt
from neurolake import errors
from neurolake.query import Principal, Request

DATA = (
    "CREATE TABLE calls AS SELECT i AS id, TIMESTAMPTZ '2024-05-05 17:40:00+00' AS called, "
    "TIMESTAMPTZ '2024-05-05 17:40:00+00' AS shifted FROM generate_series(0, 1) r(i)",
    "CREATE TABLE places AS SELECT i AS id, i % 3 AS third, 0::BIGINT AS x, '' AS y FROM generate_series(0, 11) r(i)",
    "CREATE TABLE dated AS SELECT i AS id, TIMESTAMPTZ '2024-05-05 17:40:00+00' AS called "
    "FROM generate_series(0, 1) r(i)",
    *(f"CALL neurolake.set_pii('{table}', null, 'confirmed')" for table in ("calls", "places", "dated")),
    *(f"CALL neurolake.grant('read', '{table}', 'analyst')" for table in ("calls", "places", "dated")),
    "CALL neurolake.grant('write', 'places', 'writer')",
    "CALL neurolake.set_policy('called', '*', 'column:calls.called', 'date_trunc', {'unit': 'day'})",
    "CALL neurolake.set_policy('shifted', '*', 'column:calls.shifted', 'date_shift')",
    "CREATE TABLE lab.closed AS SELECT i AS id, 'ALPHA' || i AS mail FROM generate_series(0, 2) r(i)",
    "CREATE TABLE lab.open AS SELECT 7::BIGINT AS id, 'mine' AS mail",
    "CALL neurolake.set_pii('lab.closed', null, 'confirmed')",
    "CALL neurolake.set_pii('lab.open', null, 'confirmed')",
    "CALL neurolake.set_policy('mail', '*', 'column:lab.closed.mail', 'null')",
    "CALL neurolake.set_row_filter('third', '*', 'places', 'third = 0')",
    "CALL neurolake.set_row_filter('dated', '*', 'dated', 'called >= ''2024-05-05 18:00:00''')",
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("around"), 0) as lake:
        for statement in DATA:
            lake.admin(statement)
        yield lake


@pytest.fixture
def wil(lake: Served) -> Wire:
    return Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)


def rows(wire: Wire, sql: str) -> list[str]:
    outcome = attempt(wire, sql)
    assert outcome.rows is not None, outcome.error
    return outcome.rows


def test_masked_moments_are_the_same_in_every_time_zone(wil: Wire) -> None:
    seen = set()
    for zone in ("UTC", "Asia/Tokyo", "Asia/Kathmandu", "Etc/GMT+12", "America/New_York"):
        wil.update(f"SET TimeZone = '{zone}'")
        seen.add(tuple(rows(wil, "SELECT epoch_us(called) AS a, epoch_us(shifted) AS s FROM calls ORDER BY id")))
    assert len(seen) == 1
    assert "'a': 1714867200000000" in seen.pop()[0]


@pytest.mark.parametrize("setting", ["Calendar = 'islamic'", "ieee_floating_point_ops = false"])
def test_settings_that_change_what_masks_and_filters_compute_are_refused(wil: Wire, setting: str) -> None:
    assert "[setting_denied" in attempt(wil, f"SET {setting}").error


def test_a_row_filter_on_time_does_not_move_with_the_time_zone(wil: Wire) -> None:
    assert rows(wil, "SELECT * FROM dated") == []
    wil.update("SET TimeZone = 'Etc/GMT-6'")
    assert "[setting_denied" in attempt(wil, "SELECT * FROM dated").error
    assert len(rows(wil, "SELECT * FROM places")) == 4  # no time in it
    wil.update("RESET TimeZone")
    assert rows(wil, "SELECT * FROM dated") == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE places SET x = __neurolake_row",
        "UPDATE places p SET x = p.__neurolake_row",
        "UPDATE places SET x = #1",
        "UPDATE places SET x = (SELECT max(z) FROM (SELECT __neurolake_row AS z))",
        "UPDATE places p SET y = p::VARCHAR",
        "UPDATE places p SET y = P.to_json()",
        "UPDATE places p SET y = (SELECT string_agg(q::VARCHAR) FROM (SELECT p AS q))",
        "UPDATE places p SET y = concat(*COLUMNS(*))",
        "UPDATE places p SET y = COLUMNS('__neuro.*')::VARCHAR",
        "UPDATE places p SET y = s.z::VARCHAR FROM (SELECT p AS z) s",
        "DELETE FROM places WHERE __neurolake_row = 3",
        "MERGE INTO places USING (SELECT 3 AS k) s ON places.id >= k WHEN MATCHED THEN UPDATE SET x = __neurolake_row",
        "MERGE INTO places p USING (SELECT 3 AS k) s ON p::VARCHAR LIKE '%3%' WHEN MATCHED THEN DELETE",
        "MERGE INTO places p USING (SELECT 3 AS k) s ON id >= k WHEN MATCHED AND #2 > 3 THEN DELETE",
    ],
)
def test_a_write_does_not_tell_where_a_row_stands(wil: Wire, sql: str) -> None:
    """The places of the rows that are seen would tell how many hidden ones lie between them."""
    before = rows(wil, "SELECT * FROM places ORDER BY id")
    assert "[write_denied" in attempt(wil, sql).error
    assert rows(wil, "SELECT * FROM places ORDER BY id") == before


def test_writes_still_read_other_tables_by_stars(wil: Wire) -> None:
    wil.update("BEGIN")
    attempt(
        wil, "UPDATE places p SET x = q.z FROM (SELECT * FROM (SELECT 5 AS z)) q WHERE EXISTS (SELECT * FROM orders)"
    )
    assert rows(wil, "SELECT DISTINCT x FROM places") == ["{'x': 5}"]
    wil.update("ROLLBACK")


@pytest.mark.parametrize(
    "way",
    [
        ("CREATE TEMP TABLE IF NOT EXISTS kept AS SELECT 99 AS id",),
        ("BEGIN", "CREATE OR REPLACE TEMP TABLE kept AS SELECT 99 AS id", "ROLLBACK"),
        ("BEGIN", "DROP TABLE kept", "CREATE TEMP TABLE kept AS SELECT 99 AS id", "ROLLBACK"),
        ("BEGIN", "DROP TABLE kept", "ROLLBACK", "CREATE TEMP TABLE IF NOT EXISTS kept AS SELECT 99 AS id"),
    ],
)
def test_a_stale_temporary_table_does_not_become_fresh(lake: Served, wil: Wire, way: tuple[str, ...]) -> None:
    attempt(wil, "CREATE TEMP TABLE kept AS SELECT 7 AS id")
    assert rows(wil, "SELECT * FROM kept") == ["{'id': 7}"]
    lake.admin("CALL neurolake.set_policy('later', '*', 'tag:later', 'null')")
    for statement in way:
        attempt(wil, statement)
    assert "[temporary_stale" in attempt(wil, "SELECT * FROM kept").error


def test_a_rollback_leaves_a_temporary_table_as_usable_as_it_was(wil: Wire) -> None:
    attempt(wil, "CREATE TEMP TABLE kept AS SELECT 7 AS id")
    for statement in ("BEGIN", "DROP TABLE kept", "ROLLBACK"):
        attempt(wil, statement)
    assert rows(wil, "SELECT * FROM kept") == ["{'id': 7}"]


def test_a_table_whose_name_looks_like_another_brings_no_rights_on_that(lake: Served, wil: Wire) -> None:
    """The Kelvin sign folds to the letter k elsewhere; the engine takes the two for different names."""
    lake.admin("CREATE TABLE lab.k AS SELECT 'hidden' AS s")
    assert attempt(wil, 'CREATE TABLE lab."\N{KELVIN SIGN}" AS SELECT 1 AS s').error == ""
    granted = {row[0] for row in lake.admin("SELECT object FROM neurolake.grants WHERE object LIKE 'table:lab%'")}
    assert 'table:lab."\N{KELVIN SIGN}"' in granted
    assert "table:lab.k" not in granted
    lake.admin("CALL neurolake.set_pii('lab.\"\N{KELVIN SIGN}\"', null, 'confirmed')")
    assert rows(wil, 'SELECT s FROM lab."\N{KELVIN SIGN}"') == ["{'s': 1}"]
    assert "[relation_denied" in attempt(wil, "SELECT s FROM lab.k").error
    lake.admin('DROP TABLE lab."\N{KELVIN SIGN}"')


@pytest.mark.parametrize("table", ["audit", "policies", "tags", "grants", "columns"])
def test_no_system_table_names_an_absent_column(lake: Served, wil: Wire, table: str) -> None:
    """`dna` is blocked, `ssn` was never granted."""
    lake.admin("CALL neurolake.tag('column:people.ssn', 'kept')")
    assert len(rows(wil, "SELECT id FROM people")) == 10
    seen = "".join(rows(wil, f"SELECT * FROM neurolake.{table}"))
    assert "people" in seen or table == "tags"
    assert "dna" not in seen
    assert "ssn" not in seen


def test_what_a_row_filter_asks_for_is_for_administrators(wil: Wire) -> None:
    assert rows(wil, "SELECT condition FROM neurolake.policies WHERE name = 'third'") == ["{'condition': None}"]


def test_what_a_write_returns_has_the_tokens_that_a_select_shows(wil: Wire) -> None:
    wil.update("BEGIN")
    written = rows(wil, "INSERT INTO people (id, region, name) VALUES (99, 'north', 'person 3') RETURNING name")
    assert written == rows(wil, "SELECT name FROM people WHERE id = 3")
    assert "tok_" in written[0]
    wil.update("ROLLBACK")


SWAP = (
    "ALTER TABLE lab.open RENAME TO third",
    "ALTER TABLE lab.closed RENAME TO open",
    "ALTER TABLE lab.third RENAME TO closed",
)
"""Gives two tables each other's names; what is known of each goes along when it is committed."""
READS = (
    "SELECT * FROM lab.{}",
    "CREATE TEMP TABLE copied AS SELECT * FROM lab.{}",
    "SELECT * FROM lab.over_{}",
    "UPDATE lab.{} SET id = 1 RETURNING mail",
    "INSERT INTO lab.{} SELECT 1, mail FROM lab.{} RETURNING *",
    "MERGE INTO lab.{} t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE RETURNING *",
)


@pytest.fixture
def views(lake: Served, wil: Wire) -> Iterator[None]:
    for table in ("open", "closed"):
        assert attempt(wil, f"CREATE OR REPLACE VIEW lab.over_{table} AS SELECT * FROM lab.{table}").error == ""
    yield
    assert lake.admin("SELECT mail FROM lab.open") == [("mine",)]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("way", [SWAP[:2], ("DROP TABLE lab.open", SWAP[1])])
def test_a_table_renamed_in_a_transaction_is_not_taken_for_the_one_before(
    views: None, wil: Wire, way: tuple[str, ...], read: str
) -> None:
    attempt(wil, "BEGIN")
    assert [attempt(wil, statement).error for statement in way] == ["", ""]
    outcome = attempt(wil, read.replace("{}", "open"))
    attempt(wil, "ROLLBACK")
    assert "[table_changing" in outcome.error
    assert b"ALPHA" not in outcome.sent


@pytest.mark.parametrize("read", READS)
def test_what_others_rename_meanwhile_opens_no_table_of_an_older_picture(
    lake: Served, views: None, wil: Wire, read: str
) -> None:
    attempt(wil, "BEGIN")
    assert rows(wil, "SELECT mail FROM lab.closed WHERE id = 1") == ["{'mail': None}"]
    for statement in SWAP:
        lake.admin(statement)
    outcome = attempt(wil, read.replace("{}", "closed"))
    attempt(wil, "ROLLBACK")
    assert rows(wil, "SELECT mail FROM lab.closed") == ["{'mail': 'mine'}"]
    for statement in SWAP:
        lake.admin(statement)
    assert "[table_changing" in outcome.error
    assert b"ALPHA" not in outcome.sent


@pytest.mark.parametrize("read", ["SELECT * FROM lab.closed", "UPDATE lab.closed SET id = 1 RETURNING *"])
def test_a_statement_that_waited_for_its_turn_does_not_meet_another_table(
    lake: Served, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    engine = lake.service.engine
    session = engine.session(Principal("wil", "writer", roles=("writer", "analyst"), attributes={"region": "north"}))
    for statement in SWAP:
        lake.admin(statement)
    plan = engine.plan(Request(read, session))
    for statement in SWAP:
        lake.admin(statement)
    monkeypatch.setattr(engine, "_fresh", lambda plan, *_: plan)  # between the last look at a plan and its turn
    with pytest.raises(errors.Unavailable, match="changed while the statement waited"):
        engine.execute(plan).fetchall()
    session.close()
    assert lake.admin("SELECT count(*) FROM lab.closed WHERE id = 1") == [(1,)]
