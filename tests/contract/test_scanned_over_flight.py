"""What scans and proposed policies come to for a governed role over the stock driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pyarrow.parquet as pq
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


class TestWhatWasNotLookedAt:
    def test_a_column_without_a_value_stays_closed_until_it_has_some(self, admin: Run, ann: Run) -> None:
        admin(
            "CREATE TABLE sparse AS SELECT i AS id, NULL::VARCHAR AS ssn, NULL::VARCHAR AS note FROM range(9000) r(i)"
        )
        admin("CALL neurolake.scan_pii('sparse')")
        assert ann("SELECT * FROM sparse WHERE id = 0") == [{"id": 0}]
        admin("UPDATE sparse SET ssn = '536-45-' || (1000 + id) WHERE id % 1000 = 500")
        assert ann("SELECT * FROM sparse WHERE id = 500") == [{"id": 500}]
        (found,) = admin("CALL neurolake.scan_pii('sparse')")
        assert (found["column_name"], found["entity"], found["sample_size"]) == ("ssn", "US_SSN", 9)
        admin("CALL neurolake.set_pii('column:sparse.note', NULL, 'confirmed')")
        assert ann("SELECT * FROM sparse WHERE id = 500") == [{"id": 500, "ssn": None, "note": None}]

    def test_a_column_of_a_file_that_was_not_read_stays_closed(self, admin: Run, ann: Run, tmp_path: Path) -> None:
        for number in range(20):
            more = {"ssn": ["536-45-1234"] * 9} if number == 12 else {}
            pq.write_table(pa.table({"id": range(9), **more}), tmp_path / f"{number:02}.parquet")
        admin(f"CALL neurolake.register('many', '{tmp_path}')")
        admin("CALL neurolake.scan_pii('many')")
        assert ann("SELECT * FROM many LIMIT 1") == [{"id": 0}]

    def test_numbers_of_persons_that_became_floats(self, admin: Run, ann: Run) -> None:
        admin("CREATE TABLE floats AS SELECT CASE WHEN i > 0 THEN 536451000 + i END::DOUBLE AS ssn, i / 3 AS rate "
              "FROM range(50) r(i)")  # fmt: skip
        (found,) = admin("CALL neurolake.scan_pii('floats')")
        assert (found["column_name"], found["entity"]) == ("ssn", "US_SSN")
        assert {row["ssn"] for row in ann("SELECT ssn FROM floats")} == {None}

    def test_a_document_too_wide_to_be_read_stays_closed(self, admin: Run, ann: Run) -> None:
        wide = ", ".join(f"'k{chr(97 + i // 26)}{chr(97 + i % 26)}', i + {i}" for i in range(300))
        admin(f"CREATE TABLE wide AS SELECT i AS id, json_object({wide})::VARCHAR AS doc FROM range(9) r(i)")
        admin("CALL neurolake.scan_pii('wide')")
        assert ann("SELECT * FROM wide LIMIT 1") == [{"id": 0}]


class TestKeys:
    def test_keys_are_looked_at_and_never_kept(self, service: Service, admin: Run) -> None:
        document = """json_object('ann' || i || '@example.org', '+49 30 12345' || (10 + i))::VARCHAR"""
        admin(f"CREATE TABLE keyed AS SELECT {document} AS contacts FROM range(60) r(i)")
        found = {row["entity"]: row["evidence"] for row in admin("CALL neurolake.scan_pii('keyed', full => true)")}
        assert set(found) == {"EMAIL_ADDRESS", "PHONE_NUMBER"}
        assert all(evidence.endswith(" in contacts.*") for evidence in found.values())
        for file in service.engine.home.path.rglob("system.sqlite*"):
            assert b"ann1@" not in file.read_bytes()


class TestFilesThatDiffer:
    def test_types_that_differ_from_file_to_file_are_read_as_those_of_the_set(
        self, admin: Run, ann: Run, tmp_path: Path
    ) -> None:
        numbers = "\n".join(f"{i},4930123{i:04}" for i in range(50))
        texts = "\n".join(f"{i},+49 30 123{i:04}" for i in range(50))
        (tmp_path / "1.csv").write_text(f"id,phone\n{numbers}\n")
        (tmp_path / "2.csv").write_text(f"id,phone\n{texts}\n")
        (tmp_path / "1.json").write_text("\n".join(json.dumps({"a": {"mail": f"u{i}@x.org"}}) for i in range(50)))
        (tmp_path / "2.json").write_text("\n".join(json.dumps({"a": {"n": i, "mail": [1]}}) for i in range(50)))
        for kind in ("csv", "json"):
            admin(f"CALL neurolake.register('differ_{kind}', '{tmp_path}/*.{kind}')")
        assert [row["entity"] for row in admin("CALL neurolake.scan_pii('differ_csv')")] == ["PHONE_NUMBER"]
        (found,) = admin("CALL neurolake.scan_pii('differ_json')")
        assert (found["entity"], found["evidence"].rpartition(" in ")[2]) == ("EMAIL_ADDRESS", "a.mail")
        assert ann("SELECT * FROM differ_csv LIMIT 1") == [{"id": 0, "phone": None}]

    def test_days_that_no_calendar_has_do_not_end_a_scan(self, admin: Run) -> None:
        born = "CASE WHEN i % 9 = 0 THEN DATE 'infinity' ELSE DATE '1950-01-01' + 300 * i::INT END"
        others = "MAP {'to': TIMESTAMP '-infinity'} AS m, {'d': DATE '20000-01-01'} AS s"
        admin(f"CREATE TABLE endless AS SELECT {born} AS born, {others} FROM range(60) r(i)")
        assert [row["entity"] for row in admin("CALL neurolake.scan_pii('endless')")] == ["DATE_OF_BIRTH"]


class TestKindsInsideOfText:
    """Each way that looks inside a text knows the same kinds; `tests/unit/pii/test_inside.py` goes through them."""

    TEXTS = """'lot ' || i || CASE i WHEN 700 THEN ' CPF 390.533.447-05' WHEN 1000 THEN ' at 00:1b:44:11:3a:b7'
        ELSE ' is kept as it was' END"""

    def test_scans_masks_results_and_literals_agree(self, admin: Run, ann: Run) -> None:
        admin(f"CREATE TABLE inside AS SELECT i AS id, {self.TEXTS} AS c FROM range(3000) r(i)")
        assert admin("CALL neurolake.scan_pii('inside')") == []
        (found,) = admin("CALL neurolake.scan_pii('inside', full => true)")
        assert found["evidence"] == "in text: MAC_ADDRESS 0.0003, BR_CPF 0.0003"
        (proposed,) = admin("CALL neurolake.propose_policies('inside', true)")
        assert proposed["action"] == "redact"
        asked = "SELECT c FROM inside WHERE id IN (700, 1000) ORDER BY id"
        assert ann(asked) == [{"c": "lot *** CPF ***"}, {"c": "lot *** at ***"}]
        admin("CALL neurolake.drop_policy(?)", [proposed["name"]])
        admin("CALL neurolake.declassify('column:inside.c', 'the bodies of forms')")
        for kind, action in (("BR_CPF", "redact"), ("MAC_ADDRESS", "block")):
            admin(f"CALL neurolake.set_policy('results-{kind}', '*', 'result:{kind}', '{action}')")
            admin(f"CALL neurolake.set_policy('literals-{kind}', '*', 'literal:{kind}', 'block')")
        assert ann("SELECT c FROM inside WHERE id = 700") == [{"c": "lot 700 CPF ***"}]
        assert code(ann, asked) == "result_personal"
        assert code(ann, "SELECT id FROM inside WHERE c LIKE '%390.533.447-05'") == "literal_personal"
        assert ann("SELECT id FROM inside WHERE c LIKE '%390.533.447-06'") == []
        kept = admin("SELECT sql FROM neurolake.queries WHERE user_name = 'ann' AND contains(sql, 'LIKE')")
        assert {row["sql"].rpartition(" ")[2] for row in kept} == {"'***'", "'%390.533.447-06'"}
        for kind in ("BR_CPF", "MAC_ADDRESS"):
            admin(f"CALL neurolake.drop_policy('results-{kind}')")
            admin(f"CALL neurolake.drop_policy('literals-{kind}')")
