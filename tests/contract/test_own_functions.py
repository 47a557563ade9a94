"""A user's function that hides a built-in one means in a lake what it means in DuckDB, whatever the optimiser knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import neurolake
from contract.clients import Client

DAYS = "CREATE TABLE days AS SELECT DATE '1995-01-01' + i::INTEGER AS d FROM range(1000) r(i)"
FORMATTED = "SELECT count(*) FROM days WHERE strftime(d, '%Y') = '1995'"

HIDING = [
    ("strftime(a, b) AS '1995'", FORMATTED),
    ("date_part(a, b) AS 1995", "SELECT count(*) FROM days WHERE extract(year FROM d) = 1995"),
    ("\"left\"(a, b) AS '1995'", "SELECT count(*) FROM days WHERE left(d::VARCHAR, 4) = '1995'"),
    ("\"+\"(a, b) AS DATE '1995-01-01'", "SELECT count(*) FROM days WHERE d + INTERVAL 30 DAY < DATE '1995-03-01'"),
]


@pytest.fixture
def days(client: Client) -> Iterator[Client]:
    client.execute(DAYS)
    client.commit()
    yield client
    client.undo_failed()
    client.execute("DROP SCHEMA IF EXISTS s CASCADE")
    client.commit()


def in_duckdb(query: str, *before: str) -> object:
    with duckdb.connect() as plain:
        for statement in (DAYS, *before):
            plain.execute(statement)
        (row,) = plain.execute(query).fetchall()
        return row[0]


@pytest.mark.parametrize(("macro", "query"), HIDING)
def test_in_a_schema_of_the_search_path(days: Client, macro: str, query: str) -> None:
    optimised = days.value(query)
    before = ["CREATE SCHEMA s", f"CREATE MACRO s.{macro}", "SET search_path = 's,main'"]
    for statement in before:
        days.execute(statement)
    assert days.value(query) == in_duckdb(query, *before) == 1000
    days.execute("RESET search_path")
    assert days.value(query) == optimised == in_duckdb(query)


@pytest.mark.parametrize(("macro", "query"), HIDING)
def test_of_a_session_alone(days: Client, other: Client, macro: str, query: str) -> None:
    days.execute(f"CREATE TEMP MACRO {macro}")
    assert days.value(query) == in_duckdb(query, f"CREATE TEMP MACRO {macro}") == 1000
    assert other.value(query) == in_duckdb(query)
    days.execute(f"DROP MACRO {macro.partition('(')[0]}")
    assert days.value(query) == in_duckdb(query)


def test_a_temporary_function_can_be_called(days: Client, other: Client) -> None:
    days.execute("CREATE TEMP MACRO next_day(a) AS a + 1")
    assert days.value("SELECT count(DISTINCT next_day(d)) FROM days") == 1000
    assert other.failure("SELECT next_day(d) FROM days").code == "not_found"


def test_made_in_a_transaction_and_undone(days: Client, other: Client) -> None:
    days.begin()
    assert days.value(FORMATTED) == 365
    days.execute("CREATE MACRO strftime(a, b) AS '1995'")
    assert (days.value(FORMATTED), other.value(FORMATTED)) == (1000, 365)
    days.rollback()
    assert days.value(FORMATTED) == 365


def test_a_transaction_sees_the_functions_that_it_began_with(days: Client, other: Client) -> None:
    days.execute("CREATE MACRO strftime(a, b) AS '1995'")
    days.commit()
    days.begin()
    assert days.value("SELECT count(*) FROM days") == 1000
    other.execute("DROP MACRO strftime")
    other.commit()
    assert other.value(FORMATTED) == 365
    assert days.value(FORMATTED) == 1000
    days.commit()
    assert days.value(FORMATTED) == 365


def test_in_an_attached_database(days: Client) -> None:
    days.commit()
    days.execute("ATTACH ':memory:' AS elsewhere")
    days.commit()
    counted = FORMATTED.replace("days", "lake.main.days")
    days.execute("SET search_path = 'elsewhere.main,lake.main'")
    seen = [days.value(counted)]
    for statement in ("CREATE MACRO elsewhere.main.strftime(a, b) AS '1995'", "DROP MACRO elsewhere.main.strftime"):
        days.begin()
        days.execute(statement)
        seen.append(days.value(counted))
        days.commit()
        seen.append(days.value(counted))
    assert seen == [365, 1000, 1000, 365, 365]
    days.execute("RESET search_path")
    days.commit()
    days.execute("DETACH elsewhere")
    days.commit()


def test_a_function_beside_it_leaves_the_rules_on(days: Client) -> None:
    days.execute("CREATE SCHEMA s")
    days.execute("CREATE MACRO s.year(a) AS 1")
    days.execute("CREATE MACRO s.mine(a) AS true")
    days.commit()
    explained = dict(days.rows(f"EXPLAIN {FORMATTED} AND s.mine(d)"))
    assert explained["neurolake_rules"] == "strftime_range"


def test_written_by_duckdb_before_the_lake_was_opened(tmp_path: Path) -> None:
    for macro, count in (("CREATE MACRO strftime(a, b) AS '1995'", 1000), ("DROP MACRO strftime", 365)):
        with neurolake.connect(tmp_path / "lake") as lake:
            lake.sql(DAYS.replace("TABLE", "TABLE IF NOT EXISTS")).close()
            lake.sql(FORMATTED).fetchall()
        with duckdb.connect(str(tmp_path / "lake" / "lake.duckdb")) as plain:
            plain.execute(macro)
        with neurolake.connect(tmp_path / "lake") as lake:
            assert lake.sql(FORMATTED).fetchall() == [(count,)]
