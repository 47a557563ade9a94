"""Personal data written into statements: hidden where they are kept, told or refused, by setting and by policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pytest

import neurolake
from contract.clients import PASSWORD as ADMIN_PASSWORD
from contract.conftest import serving, uri
from contract.test_result_checks import CARD, MAIL, PASSWORD, owner
from flight.service import Service
from neurolake import errors

MADE = f"""
CREATE TABLE notes (id INTEGER, remark VARCHAR);
CALL neurolake.create_role('analyst');
CALL neurolake.create_role('support', ['analyst']);
CALL neurolake.set_pii('notes', null, 'confirmed');
CALL neurolake.grant('read', 'lake', 'analyst');
CALL neurolake.create_user('ann', '{PASSWORD}', ['analyst']);
CALL neurolake.create_user('sue', '{PASSWORD}', ['support']);
CALL neurolake.set_policy('spelled', '*', 'literal:*', 'warn');
CALL neurolake.set_policy('cards', 'analyst', 'literal:CREDIT_CARD', 'block');
CALL neurolake.set_policy('own', 'support', 'literal:CREDIT_CARD', 'allow');
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("spelled")) as service:
        owner(service, MADE)
        yield service


@pytest.fixture
def ann(service: Service) -> Iterator[flight_sql.Connection]:
    with flight_sql.connect(uri(service), {"username": "ann", "password": PASSWORD}) as connection:
        yield connection


def kept(service: Service, mark: str) -> list[str]:
    found = owner(service, f"SELECT sql FROM neurolake.queries WHERE sql LIKE '%{mark}%' AND user_name <> 'owner'")
    return [text for (text,) in found]


class TestPolicies:
    """Over the stock driver, as a role."""

    def test_what_is_warned_of_runs_hidden_and_is_told(self, service: Service, ann: flight_sql.Connection) -> None:
        with ann.cursor() as cursor:
            cursor.execute(f"SELECT count(*) AS warned FROM notes WHERE remark = '{MAIL}' OR remark = 'fine'")
            answer = cursor.fetch_arrow_table()
        assert answer["warned"].to_pylist() == [0]
        assert answer.schema.metadata[b"neurolake.literals"] == b"EMAIL_ADDRESS"
        assert kept(service, "warned") == [
            "SELECT count(*) AS warned FROM notes WHERE remark = '***' OR remark = 'fine'"
        ]
        query_id = answer.schema.metadata[b"neurolake.query_id"].decode()
        ((details,),) = owner(service, f"SELECT details FROM neurolake.audit WHERE query_id = '{query_id}'")
        assert json.loads(details)["literals"] == ["EMAIL_ADDRESS"]
        assert MAIL not in details

    @pytest.mark.parametrize(
        "literal",
        [
            f"'{CARD}'",
            "4111111111111111",
            f"$of$a {CARD} b$of$",
            f"E'it\\'s {CARD}'",
            f"E'{CARD.replace(' ', chr(92) + 'x20')}'",
        ],
    )
    def test_what_is_blocked_is_refused(self, service: Service, ann: flight_sql.Connection, literal: str) -> None:
        with ann.cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match="literal_personal") as refused:
            cursor.execute(f"SELECT {literal} AS refused")
        assert "4111" not in str(refused.value)
        assert not any("4111" in text for text in kept(service, "refused"))

    def test_a_role_s_own_policy_counts(self, service: Service) -> None:
        login = {"username": "sue", "password": PASSWORD}
        with flight_sql.connect(uri(service), login) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT '{CARD}' AS allowed")
            assert cursor.fetchall() == [(CARD,)]
        assert kept(service, "allowed") == [f"SELECT '{CARD}' AS allowed"]

    def test_a_value_that_is_bound_is_nobody_s_business(self, ann: flight_sql.Connection) -> None:
        with ann.cursor() as cursor:
            cursor.execute("SELECT ? AS bound", [CARD])
            assert cursor.fetchall() == [(CARD,)]

    def test_a_remote_lake_warns(self, service: Service) -> None:
        with (
            neurolake.connect(uri(service), user="ann", password=PASSWORD) as lake,
            lake.sql(f"SELECT '{MAIL}'") as result,
        ):
            assert result.warnings == ("The statement holds personal data as a literal: EMAIL_ADDRESS.",)

    @pytest.mark.parametrize("target", ["literal:PERSON", "result:EMAIL_ADRESS"])
    def test_a_kind_that_nobody_looks_for_is_refused(self, service: Service, target: str) -> None:
        with pytest.raises(errors.InvalidRequest) as refused:
            owner(service, f"CALL neurolake.set_policy('p', '*', '{target}', 'block')")
        assert refused.value.code == "policy_target"
        assert "EMAIL_ADDRESS" in refused.value.next_step

    def test_only_what_can_be_done_is_taken(self, service: Service) -> None:
        with pytest.raises(errors.InvalidRequest) as refused:
            owner(service, "CALL neurolake.set_policy('p', '*', 'literal:*', 'redact')")
        assert refused.value.code == "policy_action"


class TestSetting:
    """For everybody, in process."""

    @pytest.mark.parametrize(
        ("dialect", "text"),
        [
            ("duckdb", f"SELECT 1 AS place, '{MAIL}"),
            ("duckdb", f"SELECT 1 AS place /* /* */ ' */ , '{MAIL}'"),
            ("bigquery", f'SELECT 1 AS place, "{MAIL}"'),
            ("bigquery", f"SELECT 1 AS place, 'it\\'s {MAIL}'"),
            ("spark", f'SELECT 1 AS place, "{MAIL}"'),
            ("postgres", f"SELECT 1 AS place, $a${MAIL}$a$"),
        ],
    )
    def test_it_is_hidden_wherever_it_is_a_text(self, tmp_path: Path, dialect: str, text: str) -> None:
        with neurolake.connect(":memory:", pii_literals="redact", dialect=dialect) as lake:
            try:
                lake.sql(text).fetchall()
            except errors.SyntaxProblem:
                assert text.count("'") == 1
            found = [sql for (sql,) in lake.sql("SELECT sql FROM neurolake.queries").fetchall() if "place" in sql]
        assert len(found) == 1
        assert MAIL not in found[0]

    def test_it_is_hidden_unless_told_otherwise(self, tmp_path: Path) -> None:
        seen = "SELECT sql FROM neurolake.running UNION ALL SELECT sql FROM neurolake.queries"
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        with (
            serving(tmp_path) as service,
            flight_sql.connect(uri(service), login, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT sql, '{MAIL}' AS looked_up FROM neurolake.running WHERE sql <> '{MAIL}'")
            assert [row[0].count("'***'") for row in cursor.fetchall()] == [2]
            cursor.execute(seen)
            texts = [sql for (sql,) in cursor.fetchall()]
        assert len([sql for sql in texts if "'***' AS looked_up" in sql]) == 1
        assert MAIL not in str(texts)

    def test_a_warning_is_given(self) -> None:
        with neurolake.connect(":memory:", pii_literals="warn") as lake:
            for _ in range(2):  # planned, then from the plan that was kept
                with lake.sql(f"SELECT '{MAIL}', {CARD.replace(' ', '')}") as result:
                    assert result.warnings == (
                        "The statement holds personal data as a literal: EMAIL_ADDRESS, CREDIT_CARD.",
                    )
            assert lake.sql("SELECT 'nothing'").warnings == ()
