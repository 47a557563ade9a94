"""Personal data on a served lake, start to end: found, proposed, masked, declassified, by driver, lake and command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import pytest

import neurolake
from contract.clients import PASSWORD as ADMIN
from contract.conftest import serving, uri
from contract.test_result_checks import PASSWORD, owner
from flight.service import Service
from neurolake.cli import run as cli

MADE = f"""
CREATE TABLE people AS SELECT i AS id, 'u' || i || '@example.com' AS mail, '+49 30 ' || (1234567 + i) AS phone
FROM range(200) r(i);
CALL neurolake.create_role('analyst');
CALL neurolake.grant('read', 'people', 'analyst');
CALL neurolake.create_user('ann', '{PASSWORD}', ['analyst']);
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "served") as service:
        owner(service, MADE)
        yield service


def rows(connection: flight_sql.Connection, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def test_by_the_stock_driver(service: Service) -> None:
    with flight_sql.connect(uri(service), {"username": "admin", "password": ADMIN}) as admin:
        found = {row[1]: row[2] for row in rows(admin, "CALL neurolake.scan_pii('people')")}
        assert found == {"mail": "EMAIL_ADDRESS", "phone": "PHONE_NUMBER"}
        for name, role, target, action, options, *_ in rows(admin, "CALL neurolake.propose_policies('people')"):
            kept = json.loads(options)
            call = (
                f"CALL neurolake.set_policy(?, ?, ?, ?, {kept!r})" if kept else "CALL neurolake.set_policy(?, ?, ?, ?)"
            )
            rows(admin, call.replace("True", "true"), (name, role, target, action))
        assert masked(service) == {"id": 0, "mail": "u***@example.com", "phone": "***67"}
        rows(admin, "CALL neurolake.declassify('column:people.phone', 'the switchboards of shops')")
        rows(admin, "CALL neurolake.scan_pii('people')")
        found = {row[1]: row[7] for row in rows(admin, "CALL neurolake.pii_findings('people')")}
        assert found == {"mail": "auto", "phone": "rejected"}


def masked(service: Service) -> dict[str, object]:
    login = {"username": "ann", "password": PASSWORD}
    with flight_sql.connect(uri(service), login) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM people ORDER BY id LIMIT 1")
        (row,) = cursor.fetch_arrow_table().to_pylist()
        return dict(row)


def test_by_a_remote_lake(service: Service) -> None:
    with neurolake.connect(uri(service), user="admin", password=ADMIN) as lake:
        assert lake.pii.scan("people").equals(lake.pii.findings("people"))
        assert lake.pii.protect("people", apply=True).num_rows == 2
    assert masked(service)["mail"] == "u***@example.com"


def test_by_commands(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROLAKE_PASSWORD", ADMIN)
    at = ["--uri", uri(service), "--user", "admin"]
    assert cli(["pii", "scan", "people", *at]) == 0
    assert cli(["pii", "protect", "people", *at]) == 0
    assert masked(service)["mail"] is None  # nobody has said how it may be seen
    assert cli(["pii", "protect", "people", "--apply", *at]) == 0
    assert masked(service)["mail"] == "u***@example.com"
    assert cli(["pii", "report", "--format", "html", "--output", str(tmp_path / "report.html"), *at]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "PHONE_NUMBER" in page
    assert "u0@" not in page
    assert "u0@" not in capsys.readouterr().out
