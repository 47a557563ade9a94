"""What the audit log says of statements over the stock driver: who, in which role, what was read, what was closed."""

from __future__ import annotations

import json
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pytest

from contract.test_governed import ANN, code_of, driver, embedded, owner, prepared, service
from flight.service import Service
from neurolake.query import Request

__all__ = ["prepared", "service"]

Record = dict[str, Any]


def records(service: Service) -> list[Record]:
    """The decisions on ann's statements, in their order: the event, the role, the version, and the details."""
    rows = owner(service.engine)(
        "SELECT event, role, policy_version, details FROM neurolake.audit "
        "WHERE user_name = 'ann' AND event IN ('decision', 'denied') ORDER BY number"
    )
    return [{"event": event, "role": role, "version": of, **json.loads(told)} for event, role, of, told in rows]


def last(service: Service) -> Record:
    return records(service)[-1]


def said(record: Record, *keys: str) -> tuple[Any, ...]:
    return tuple(record.get(key) for key in keys)


class TestWhatWasDecided:
    def test_a_read_names_columns_policies_and_row_filters(self, service: Service) -> None:
        owner(service.engine)("CALL neurolake.set_row_filter('own', 'analyst', 'people', 'region = ''north''')")
        with driver(service) as ann:
            ann("SELECT email FROM people WHERE id < 4")
        assert last(service) == {
            "event": "decision", "role": "analyst", "version": service.engine.governance.version, "state": "done",
            "verb": "SELECT", "rows_out": 2, "tables": ["people"], "filters": {"people": ["own"]},
            "columns": {"people.email": "partial", "people.salary": "null", "people.ssn": "absent"},
            "policies": {"people.email": "email", "people.salary": "salary", "people.ssn": "ssn"},
        }  # fmt: skip

    def test_each_step_of_a_script_is_decided_by_itself(self, service: Service) -> None:
        with driver(service) as ann:
            ann("SET ROLE writer")
            before = len(records(service))
            ann("CREATE TABLE lab.x (id BIGINT); INSERT INTO lab.x SELECT id FROM people; SELECT 1 AS one")
        steps = records(service)[before:]
        assert [said(step, "verb", "target", "tables") for step in steps] == [
            ("CREATE", "lab.x", None), ("INSERT", "lab.x", ["lab.x", "people"]), ("SELECT", None, None),
        ]  # fmt: skip
        assert steps[1]["columns"]["people.email"] == "partial"

    def test_the_step_that_fails_is_the_one_that_is_told(self, service: Service) -> None:
        with driver(service) as ann:
            assert code_of(ann, "SELECT 1 FROM orders; SELECT * FROM vault; SELECT 2") == "relation_denied"
        done, denied = records(service)[-2:]
        assert said(done, "event", "state", "tables") == ("decision", "done", ["orders"])
        assert said(denied, "event", "error", "denied", "tables") == (
            "denied", "relation_denied", ["table:main.vault"], None,
        )  # fmt: skip

    def test_each_step_has_the_role_it_ran_in(self, service: Service) -> None:
        with embedded(service) as ann:
            ann("SELECT 1; SET ROLE = 'writer'; SELECT count(*) FROM orders")
        assert [said(step, "role", "verb") for step in records(service)] == [
            ("analyst", "SELECT"), ("analyst", "SET"), ("writer", "SELECT"),
        ]  # fmt: skip

    def test_an_administrator_who_takes_a_role_within_a_script_is_recorded(self, service: Service) -> None:
        owner(service.engine)("CALL neurolake.grant_role('admin', 'ann')")
        principal = service.engine.governance.principal("ann", "admin")
        session = service.engine.session(principal)
        service.engine.run(Request("SELECT * FROM vault; SET ROLE = 'analyst'; SELECT id FROM people", session)).close()
        session.close()
        assert [said(step, "role", "verb", "tables") for step in records(service)] == [
            ("analyst", "SELECT", ["people"]),
        ]  # fmt: skip

    def test_what_a_statement_does_and_to_what(self, service: Service) -> None:
        done = {
            "CREATE TABLE lab.t (id INTEGER)": ("CREATE", "lab.t"),
            "ALTER TABLE lab.t RENAME TO u": ("ALTER", "lab.t"),
            "DROP TABLE lab.u": ("DROP", "lab.u"),
            "CREATE VIEW lab.v AS SELECT email FROM people": ("CREATE", "lab.v"),
            "CREATE TEMP TABLE mine AS SELECT 1 AS one": ("CREATE", "temp.mine"),
            "DELETE FROM orders WHERE id = 1": ("DELETE", "orders"),
            "UPDATE orders SET amount = 0 WHERE id = 1": ("UPDATE", "orders"),
            "MERGE INTO orders USING (SELECT 1 AS n) s ON id = n WHEN MATCHED THEN DELETE": ("MERGE", "orders"),
            "EXPLAIN SELECT email FROM people": ("EXPLAIN", None),
        }
        with driver(service) as ann:
            ann("SET ROLE writer")
            before = len(records(service))
            for text in done:
                ann(text)
        found = records(service)[before:]
        assert [said(one, "verb", "target") for one in found] == list(done.values())
        assert {one["state"] for one in found} == {"done"}

    def test_a_procedure_is_named(self, service: Service) -> None:
        with driver(service) as ann:
            ann("CALL neurolake.explain_policy('SELECT email FROM people')")
            assert code_of(ann, "CALL neurolake.create_role('mine')") == "access_denied"
        assert [said(one, "event", "verb", "procedure") for one in records(service)] == [
            ("decision", "CALL", "explain_policy"), ("denied", "CALL", "create_role"),
        ]  # fmt: skip

    def test_ingest_and_executemany_name_their_table(self, service: Service) -> None:
        rows = pa.table({"id": pa.array([101, 102], pa.int32())})
        with (
            flight_sql.connect(
                f"grpc://127.0.0.1:{service.port}", {"username": "ann", "password": ANN}, autocommit=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET ROLE writer")
            cursor.adbc_ingest("orders", rows, mode="append")
            cursor.executemany("INSERT INTO orders (id) VALUES (?)", [(103,), (104,)])
            with pytest.raises(adbc_driver_manager.Error, match="column_denied"):
                cursor.adbc_ingest("people", pa.table({"ssn": ["s"]}), mode="append")
            with pytest.raises(adbc_driver_manager.Error, match="privilege_missing"):
                cursor.adbc_ingest("vault", pa.table({"s": ["s"]}), mode="append")
            cursor.adbc_ingest("x", rows, mode="create", db_schema_name="lab")
        load, many, absent, vault, made = records(service)[-5:]
        assert said(load, "state", "verb", "target", "tables") == ("done", "LOAD", "orders", ["orders"])
        assert said(many, "state", "verb", "target", "tables") == ("done", "INSERT", "orders", ["orders"])
        assert said(made, "state", "verb", "target", "tables") == ("done", "LOAD", "lab.x", None)
        assert said(absent, "event", "verb", "denied") == ("denied", "LOAD", ["column:main.people.ssn"])
        assert said(vault, "event", "verb", "denied") == ("denied", "LOAD", ["table:main.vault"])


class TestWhatWasClosed:
    def test_names_that_are_there_and_nothing_else(self, service: Service) -> None:
        closed = {
            "SELECT * FROM vault": ["table:main.vault"],
            "SELECT email FROM people, VAULT": ["table:main.vault"],
            "SELECT ssn FROM people": ["column:main.people.ssn"],
            'SELECT "SSN" FROM people': ["column:main.people.ssn"],
            "SELECT email FROM people WHERE id IN (SELECT nothing FROM people)": None,
            "SELECT * FROM neurolake.snapshots": ["table:neurolake.snapshots"],
            "SELECT * FROM __neurolake.nothing": None,
            "INSERT INTO vault VALUES ('1')": ["table:main.vault"],
            "UPDATE people SET salary = 1": ["column:main.people.salary"],
            "INSERT INTO people (ssn) VALUES ('1')": ["column:main.people.ssn"],
            "DROP TABLE vault": ["table:main.vault"],
            "ALTER TABLE vault ADD COLUMN n INTEGER": ["table:main.vault"],
            "CREATE TABLE vault (id INTEGER)": ["table:main.vault"],
            "SELECT * FROM '4111 1111 1111 1111'": None,
            'SELECT * FROM "4111 1111 1111 1111"': None,
            'CREATE TABLE "4111 1111 1111 1111" (id INTEGER)': None,
            "SELECT CAST(name AS INTEGER) FROM people WHERE 'ssn' <> name": None,
        }
        with driver(service) as ann:
            ann("SET ROLE writer")
            before = len(records(service))
            for text in closed:
                code_of(ann, text)
        found = records(service)[before:]
        assert [one.get("denied") for one in found] == list(closed.values())
        assert {one["state"] for one in found} == {"failed"}
        assert "4111" not in str(found)

    def test_what_a_view_hides_is_named_to_the_auditor_only(self, service: Service) -> None:
        admin = owner(service.engine)
        with driver(service) as ann:
            ann("SET ROLE writer")
            ann("CREATE VIEW lab.v AS SELECT id FROM people")
            admin(
                "CALL neurolake.set_pii('lab.v', null, 'confirmed'); CALL neurolake.revoke('read', 'people', 'analyst')"
            )
            assert code_of(ann, "SELECT * FROM lab.v") == "view_denied"
            own = ann("SELECT details, hash FROM neurolake.audit WHERE event = 'denied'")
        assert last(service)["verb"] == "SELECT"
        (denied,) = [one for one in records(service) if one["event"] == "denied"]
        assert denied["denied"] == ["table:lab.v", "table:main.people"]
        assert "people" not in own[0][0]
        assert own[0][1] is None

    def test_its_user_cannot_tell_a_name_that_is_there_from_one_that_is_not(self, service: Service) -> None:
        texts = ["SELECT * FROM vault", "SELECT * FROM nothing", "SELECT ssn FROM people", "SELECT nil FROM people"]
        with driver(service) as ann:
            for text in texts:
                code_of(ann, text)
            own = ann("SELECT details, hash FROM neurolake.audit WHERE query_id <> '' ORDER BY number LIMIT 4")
        assert own[0] == own[1]
        assert own[2] == own[3]
        assert {one for _, one in own} == {None}
        assert [one.get("denied") for one in records(service)[:4]] == [
            ["table:main.vault"], None, ["column:main.people.ssn"], None,
        ]  # fmt: skip

    def test_columns_that_are_absent_are_not_in_ones_own_record(self, service: Service) -> None:
        with driver(service) as ann:
            ann("SELECT email FROM people")
            ((details, hashed),) = ann("SELECT details, hash FROM neurolake.audit WHERE event = 'decision'")
        assert "people.email" in details
        assert "ssn" not in details
        assert hashed is None


def test_a_stream_is_recorded_under_the_policies_it_began_with(service: Service) -> None:
    owner(service.engine)(
        "CREATE TABLE wide AS SELECT i AS id, 'v' || i AS v FROM range(500000) r(i); "
        "CALL neurolake.set_pii('wide', null, 'confirmed'); CALL neurolake.grant('read', 'wide', 'analyst')"
    )
    session = service.engine.session(service.engine.governance.principal("ann"))
    began = service.engine.governance.version
    result = service.engine.run(Request("SELECT v FROM wide", session))
    assert result.read() is not None
    owner(service.engine)("CALL neurolake.set_policy('v', 'analyst', 'column:wide.v', 'null')")
    result.fetchall()
    session.close()
    assert said(last(service), "version", "columns") == (began, None)
    with driver(service) as ann:
        ann("SELECT v FROM wide LIMIT 1")
    assert said(last(service), "version", "columns") == (began + 1, {"wide.v": "null"})


def test_explain_policy_names_the_row_filter(service: Service) -> None:
    owner(service.engine)("CALL neurolake.set_row_filter('own', 'analyst', 'people', 'region = ''north''')")
    with driver(service) as ann:
        explained = ann("CALL neurolake.explain_policy('SELECT id FROM people')")
    assert [row[4:] for row in explained if row[3] == "row_filter"] == [("own", "its rows are filtered")]
