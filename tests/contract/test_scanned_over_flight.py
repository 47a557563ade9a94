"""What scans and proposed policies come to for a governed role over the stock driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pytest

from contract.clients import PASSWORD, failure_of
from contract.conftest import serving, uri
from flight.service import Service

Run = Callable[..., list[dict[str, Any]]]


@contextmanager
def driver(service: Service, user: str) -> Iterator[Run]:
    """The stock driver."""
    login = {"username": user, "password": PASSWORD}
    with flight_sql.connect(uri(service), login, autocommit=True) as connection:

        def run(sql: str, values: Any = None) -> list[dict[str, Any]]:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                rows: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
            return rows

        yield run


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("scanned")) as service:
        with driver(service, "admin") as admin:
            admin("CALL neurolake.create_role('analyst')")
            admin("CALL neurolake.create_user('ann', ?, ['analyst'])", [PASSWORD])
            admin("CALL neurolake.grant('read', 'lake', 'analyst')")
        yield service


@pytest.fixture
def admin(service: Service) -> Iterator[Run]:
    with driver(service, "admin") as run:
        yield run


@pytest.fixture
def ann(service: Service) -> Iterator[Run]:
    with driver(service, "ann") as run:
        yield run


def code(run: Run, sql: str) -> str:
    with pytest.raises(adbc_driver_manager.Error) as caught:
        run(sql)
    return failure_of(caught.value).code


DOCUMENT = """json_object('mail', 'a' || i || '@x.org', 'name', 'Anna Nowak', 'iban', 'DE89370400440532013000')"""


class TestProtect:
    def test_open_json_keeps_nothing_that_stands_beside_an_address(self, admin: Run, ann: Run) -> None:
        admin(
            f"CREATE TABLE open_json AS SELECT i AS id, {DOCUMENT}::VARCHAR AS doc, '[\"a' || i || '@x.org\"]' AS list,"
            """'{"mail": "a' || i || '@x.org"}' AS mail_only, 'b' || i || '@x.org' AS mail FROM range(50) r(i)"""
        )
        admin("CALL neurolake.scan_pii('open_json')")
        proposed = {row["target"]: row["action"] for row in admin("CALL neurolake.propose_policies('open_json', true)")}
        assert proposed == {
            "column:main.open_json.doc": "null", "column:main.open_json.list": "redact",
            "column:main.open_json.mail_only": "redact", "column:main.open_json.mail": "partial",
        }  # fmt: skip
        assert ann("SELECT * FROM open_json WHERE id = 1") == [
            {"id": 1, "doc": None, "list": '["***"]', "mail_only": '{"mail": "***"}', "mail": "b***@x.org"}
        ]

    def test_a_mask_for_addresses_shows_no_more_than_their_host(self, admin: Run, ann: Run) -> None:
        admin(f"CREATE TABLE held AS SELECT i AS id, {DOCUMENT}::VARCHAR AS doc FROM range(50) r(i)")
        admin("INSERT INTO held VALUES (100, 'ann@example.org (Anna, +49 30 1)'), (101, 'ann@example.org')")
        admin("CALL neurolake.set_pii('held', NULL, 'confirmed')")
        admin("CALL neurolake.set_pii('column:held.doc', 'EMAIL_ADDRESS', 'confirmed')")
        admin("CALL neurolake.set_policy('mails', 'analyst', 'entity:EMAIL_ADDRESS', 'partial', {'email': true})")
        shown = ann("SELECT DISTINCT doc FROM held ORDER BY 1")
        admin("CALL neurolake.drop_policy('mails')")
        assert [row["doc"] for row in shown] == ["***", "a***@example.org"]

    def test_names_that_need_quotes_and_tables_that_look_alike(self, admin: Run, ann: Run) -> None:
        admin("CREATE SCHEMA sales")
        mail = "'a' || i || '@x.org'"
        admin(f"""CREATE TABLE sales.people AS SELECT {mail} AS mail, {mail} AS "First Mail" FROM range(50) r(i)""")
        admin(f"""CREATE TABLE sales_people AS SELECT {mail} AS mail, {mail} AS "a.b", 1 AS n FROM range(50) r(i)""")
        admin(f"""CREATE TABLE "main.odd" AS SELECT {mail} AS "mail" FROM range(50) r(i)""")
        names: list[str] = []
        for table in ("sales.people", "sales_people", '"main.odd"'):
            admin(f"CALL neurolake.scan_pii('{table}')")
            names += [row["name"] for row in admin(f"CALL neurolake.propose_policies('{table}', apply => true)")]
            assert {v for row in ann(f"SELECT * EXCLUDE (n) FROM (SELECT *, 2 AS n FROM {table}) LIMIT 1")
                    for v in row.values() if isinstance(v, str)} == {"a***@x.org"}  # fmt: skip
        assert len(set(names)) == len(names) == 5
        kept = {row["name"] for row in admin("SELECT name FROM neurolake.policies")}
        assert kept >= set(names)

    def test_all_policies_are_set_or_none(self, admin: Run) -> None:
        admin("CREATE TABLE pair AS SELECT 'a' || i || '@x.org' AS mail, '+49 30 ' || (1000000 + i) AS phone "
              "FROM range(50) r(i)")  # fmt: skip
        assert code(admin, "CALL neurolake.propose_policies('pair')") == "not_scanned"
        admin("CALL neurolake.scan_pii('pair')")
        before = admin("SELECT count(*) AS n FROM neurolake.policies")
        proposed = admin("CALL neurolake.propose_policies('pair')")
        assert admin("SELECT count(*) AS n FROM neurolake.policies") == before
        admin("CALL neurolake.propose_policies('pair', apply => true)")
        for row in proposed:
            told = admin("SELECT details FROM neurolake.audit WHERE event = 'set_policy' AND contains(details, ?)",
                         [row["name"]])  # fmt: skip
            assert [json.loads(one["details"])["action"] for one in told] == [row["action"]]
        kept = admin("SELECT name FROM neurolake.policies WHERE contains(target, 'pair')")
        assert sorted(one["name"] for one in kept) == sorted(row["name"] for row in proposed)
        assert len(proposed) == 2
