"""Long procedures that nobody waits for: they answer with an id, show while they go on, and end like statements."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pytest

import neurolake
from contract.clients import Client
from contract.conftest import serving, uri
from contract.test_result_checks import PASSWORD, owner
from flight.service import Service
from neurolake import errors

SOON_S = 60.0
LONG = "SELECT 'nothing of note in row ' || i || ' and ' || (i * 7) AS c FROM range(2_000_000) r(i)"
MAILS = "SELECT 'u' || i || '@example.com' AS c FROM range(200) r(i)"


def ended(client: Client, query_id: str) -> tuple[object, ...]:
    """How a job ended, once it has."""
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        if found := client.rows(f"SELECT state, error_code FROM neurolake.queries WHERE query_id = '{query_id}'"):
            return tuple(found[0])
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def started(client: Client, call: str) -> str:
    table = client.execute(f"CALL neurolake.{call}")
    assert table.column_names == ["query_id"]
    (query_id,) = table["query_id"].to_pylist()
    return str(query_id)


class TestJobs:
    """In process, and over the stock driver."""

    def test_a_scan_goes_on_by_itself(self, client: Client) -> None:
        client.change(f"CREATE TABLE people AS {MAILS}")
        client.commit()
        assert ended(client, started(client, "scan_pii('people', wait => false)")) == ("done", None)
        assert client.execute("CALL neurolake.pii_findings('people')")["entity"].to_pylist() == ["EMAIL_ADDRESS"]

    def test_it_shows_and_can_be_cancelled(self, client: Client, other: Client) -> None:
        client.change(f"CREATE TABLE notes AS {LONG}")
        client.commit()
        query_id = started(client, "scan_pii('notes', full => true, wait => false)")
        assert other.rows(f"SELECT count(*) FROM neurolake.running WHERE query_id = '{query_id}'") == [(1,)]
        other.execute(f"CALL neurolake.cancel('{query_id}')")
        assert ended(client, query_id) == ("cancelled", "cancelled")

    def test_how_it_failed_stands_in_the_history(self, client: Client) -> None:
        assert ended(client, started(client, "scan_pii('nowhere', wait => false)")) == ("failed", "not_found")

    def test_who_waits_has_the_answer(self, client: Client) -> None:
        client.change(f"CREATE TABLE people AS {MAILS}")
        client.commit()
        assert client.execute("CALL neurolake.scan_pii('people', wait => true)").num_rows == 1

    def test_what_is_never_long_takes_no_wait(self, client: Client) -> None:
        with pytest.raises((errors.InvalidRequest, adbc_driver_manager.Error), match="no argument named wait"):
            client.execute("CALL neurolake.pii_findings(wait => false)")


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("jobs"), jobs_max=1) as service:
        owner(
            service,
            f"""
            CREATE TABLE mine AS {LONG};
            CREATE TABLE other AS {MAILS};
            CALL neurolake.create_role('keeper');
            CALL neurolake.grant('admin', 'mine', 'keeper');
            CALL neurolake.create_user('ann', '{PASSWORD}', ['keeper']);
        """,
        )
        yield service


class TestWhoMay:
    """Over the stock driver, as a governed role."""

    def test_a_job_may_what_its_caller_may(self, governed: Service) -> None:
        with flight_sql.connect(uri(governed), {"username": "ann", "password": PASSWORD}) as connection:
            with connection.cursor() as cursor:
                cursor.execute("CALL neurolake.scan_pii('other', wait => false)")
                ((query_id,),) = cursor.fetchall()
                assert _ended(governed, query_id) == ("failed", "access_denied")
                cursor.execute("CALL neurolake.scan_pii('mine', full => true, wait => false)")
                ((query_id,),) = cursor.fetchall()
                with pytest.raises(adbc_driver_manager.Error, match="jobs_max"):
                    cursor.execute("CALL neurolake.scan_pii('mine', wait => false)")
            owner(governed, "CALL neurolake.drop_user('ann')")
            assert _ended(governed, query_id) == ("cancelled", "cancelled")
        assert not len(governed.engine.jobs)


def _ended(service: Service, query_id: str) -> tuple[object, ...]:
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        if found := owner(service, f"SELECT state, error_code FROM neurolake.queries WHERE query_id = '{query_id}'"):
            return found[0]
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def test_a_lake_that_is_closed_ends_its_jobs(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql(f"CREATE TABLE notes AS {LONG}").close()
        (query_id,) = lake.call("scan_pii", "notes", full=True, wait=False)["query_id"].to_pylist()
    with neurolake.connect(tmp_path / "lake") as lake:
        sql = "SELECT state FROM neurolake.queries WHERE query_id = ?"
        assert lake.sql(sql, [query_id]).fetchall() == [("cancelled",)]


def test_a_snapshot_is_taken_by_itself(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        lake.sql(f"CREATE TABLE people AS {MAILS}").close()
        (query_id,) = lake.call("create_snapshot", wait=False)["query_id"].to_pylist()
        until = time.monotonic() + SOON_S
        while not lake.sql("SELECT 1 FROM neurolake.queries WHERE query_id = ?", [query_id]).fetchall():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert lake.sql("SELECT state FROM neurolake.snapshots").fetchall() == [("complete",)]
