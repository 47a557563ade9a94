"""Names that some rule takes for each other and DuckDB does not: what is said of one says nothing of the other."""

from __future__ import annotations

import pytest
from contract.test_governed import code_of, driver, owner, prepared, service

from flight.service import Service

__all__ = ["prepared", "service"]

LOOKALIKES = (
    ("strasse", "straße"),
    ("kunden", "\u212aunden"),
    ("secrets_", "ſecrets_"),
    ("ärzte", "Ärzte"),
    ("ilce", "İlce"),
)


@pytest.mark.parametrize(("one", "other"), [*LOOKALIKES, *((b, a) for a, b in LOOKALIKES)])
def test_a_grant_opens_no_other_table(service: Service, one: str, other: str) -> None:
    run = owner(service.engine)
    run(f"CREATE TABLE \"{one}\" AS SELECT 'open' AS a")
    run(f"CREATE TABLE \"{other}\" AS SELECT 'hidden' AS a")
    run(f"CALL neurolake.set_pii('\"{one}\"', null, 'confirmed')")
    run(f"CALL neurolake.grant('read', '\"{one}\"', 'analyst')")
    with driver(service) as analyst:
        assert analyst(f'SELECT a FROM "{one}"') == [("open",)]
        assert analyst(f'SELECT a FROM LAKE.MAIN."{one}"') == [("open",)]
        for text in (f'SELECT a FROM "{other}"', f'SELECT a FROM "{one}" UNION ALL SELECT a FROM "{other}"'):
            assert code_of(analyst, text) == "relation_denied"
        assert code_of(analyst, f'WITH "{one}" AS (SELECT 1 AS a) SELECT a FROM "{other}"') == "relation_denied"
        listed = {row[0] for row in analyst("SHOW TABLES")}
        assert one in listed
        assert other not in listed


@pytest.mark.parametrize(("one", "other"), [*LOOKALIKES, *((b, a) for a, b in LOOKALIKES)])
def test_a_policy_on_a_column_is_about_that_column(service: Service, one: str, other: str) -> None:
    run = owner(service.engine)
    run(f"CREATE TABLE pair AS SELECT 'masked' AS \"{one}\", 'open' AS \"{other}\"")
    run("CALL neurolake.set_pii('pair', null, 'confirmed')")
    run("CALL neurolake.grant('read', 'pair', 'analyst')")
    run(f"CALL neurolake.set_policy('of_pair', '*', 'column:pair.\"{one}\"', 'null')")
    with driver(service) as analyst:
        assert analyst("SELECT * FROM pair") == [(None, "open")]
        assert analyst(f'SELECT "{one}", "{other}" FROM pair') == [(None, "open")]
        assert analyst(f'SELECT x."{other}" AS "{one}", x."{one}" FROM pair x') == [("open", None)]
        assert analyst(f"SELECT COLUMNS(['{one}']) FROM pair") == [(None,)]
        assert analyst(f'SELECT * EXCLUDE ("{other}") FROM pair') == [(None,)]


def test_a_tag_follows_a_rename_to_the_very_name(service: Service) -> None:
    run = owner(service.engine)
    run("CREATE TABLE strasse AS SELECT 'hidden' AS a")
    run("CALL neurolake.set_pii('strasse', null, 'confirmed')")
    run("CALL neurolake.grant('read', 'strasse', 'analyst')")
    run("CALL neurolake.tag('column:strasse.a', 'secret')")
    run("CALL neurolake.set_policy('of_secret', '*', 'tag:secret', 'null')")
    with driver(service) as analyst:
        run('ALTER TABLE strasse RENAME TO "straße"')
        assert analyst('SELECT a FROM "straße"') == [(None,)]
        run("CREATE TABLE strasse AS SELECT 'new' AS a")
        assert code_of(analyst, "SELECT a FROM strasse") == "relation_denied"
        run('ALTER TABLE "straße" RENAME COLUMN a TO "\u212a"')
        assert analyst('SELECT * FROM "straße"') == [(None,)]


def test_a_writer_may_make_both_and_each_is_its_own(service: Service) -> None:
    with driver(service) as writer:
        writer("SET ROLE writer")
        writer("CREATE TABLE lab.strasse AS SELECT 1 AS k")
        writer('CREATE TABLE lab."straße" AS SELECT 2 AS "\u212a", 3 AS k')
        for table in ("strasse", "straße"):
            owner(service.engine)(f"CALL neurolake.set_pii('lab.\"{table}\"', null, 'confirmed')")
        assert writer('SELECT s.k, t.k, t."\u212a" FROM lab.strasse s, lab."straße" t') == [(1, 3, 2)]
        writer('INSERT INTO lab."straße" ("\u212a", k) VALUES (5, 6)')
        writer('UPDATE lab."straße" SET "\u212a" = 7 WHERE k = 6')
        assert writer('SELECT * FROM lab."straße" ORDER BY k') == [(2, 3), (7, 6)]
        writer("DROP TABLE lab.strasse")
        assert writer('SELECT count(*) FROM lab."straße"') == [(2,)]
        assert code_of(writer, "SELECT * FROM lab.strasse") == "relation_denied"
