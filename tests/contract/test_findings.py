"""What was found in columns, as clients see it on the fields of schemas: in tables, statements and their rows."""

from __future__ import annotations

from collections.abc import Iterator

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.clients import PASSWORD
from contract.conftest import serving, uri
from contract.wire import Wire, command
from flight.service import Service
from neurolake.query import OWNER, Request

ANN = "a password for ann"
SETUP = """
CREATE TABLE people AS SELECT i AS id, 'u' || i || '@example.org' AS mail, i::UHUGEINT AS big, 'x' AS note,
    '+49 30 ' || (1000000 + i) AS phone FROM range(60) r(i);
CREATE TABLE plain AS SELECT i AS id, 2 * i AS two FROM range(60) r(i);
CALL neurolake.scan_pii();
CALL neurolake.set_pii('column:people.note', 'PERSON', 'confirmed');
CALL neurolake.set_pii('column:people.id', 'US_SSN', 'rejected');
CALL neurolake.create_role('analyst');
CALL neurolake.create_user('ann', 'a password for ann', ['analyst']);
CALL neurolake.grant('read', 'column:people.mail', 'analyst');
CALL neurolake.grant('read', 'column:people.note', 'analyst');
CALL neurolake.grant('read', 'column:people.id', 'analyst');
CALL neurolake.set_policy('mail', 'analyst', 'entity:EMAIL_ADDRESS', 'partial', {'email': true});
CALL neurolake.set_policy('note', 'analyst', 'entity:PERSON', 'allow')
"""
MAIL = {
    b"neurolake.entity": b"EMAIL_ADDRESS",
    b"neurolake.entity_status": b"auto",
    b"neurolake.entity_confidence": b"0.99",
}
NOTE = {
    b"neurolake.entity": b"PERSON",
    b"neurolake.entity_status": b"confirmed",
    b"neurolake.entity_confidence": b"1.00",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("findings")
    with serving(folder) as service:
        session = service.engine.session(OWNER)
        files = pa.table({"id": range(50), "who": [f"a{i}@example.com" for i in range(50)]})
        pq.write_table(files, folder / "s.parquet")
        service.engine.run(Request(f"CALL neurolake.register('files', '{folder}/s.parquet')", session)).fetchall()
        service.engine.run(Request(SETUP, session)).fetchall()
        yield service


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    with Wire(uri(service)) as wire:
        yield wire


@pytest.fixture
def ann(service: Service) -> Iterator[Wire]:
    with Wire(uri(service), "ann", ANN) as wire:
        yield wire


def marks(schema: pa.Schema) -> dict[str, dict[bytes, bytes]]:
    """By column, our own metadata."""
    return {
        field.name: {key: value for key, value in (field.metadata or {}).items() if key.startswith(b"neurolake.")}
        for field in schema
    }


def test_every_answer_about_a_statement_says_it_alike(wire: Wire) -> None:
    query = command("CommandStatementQuery", query="SELECT id, mail, note, big, upper(mail) AS loud FROM people")
    info = wire.info(query)
    rows = wire.get(info.endpoints[0].ticket)
    assert rows.num_rows == 60
    for schema in (info.schema, wire.schema(query), rows.schema):
        assert marks(schema) == {"id": {}, "mail": MAIL, "note": NOTE, "big": {}, "loud": {}}


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("FROM people", "mail"),
        ("SELECT * FROM lake.main.people WHERE id < 3", "mail"),
        ("SELECT p.mail AS x FROM people AS p JOIN plain ON p.id = plain.id", "x"),
        ("SELECT * FROM people UNION ALL SELECT * FROM people", "mail"),
        ("WITH m AS (FROM people) SELECT mail AS x FROM (SELECT * FROM m)", "x"),
        ("SELECT who FROM files", "who"),
        ("SELECT files.* FROM files, people LIMIT 3", "who"),
    ],
)
def test_a_column_that_is_plainly_one_is_marked(wire: Wire, sql: str, column: str) -> None:
    assert marks(wire.query(sql).schema)[column][b"neurolake.entity"] == b"EMAIL_ADDRESS"


@pytest.mark.parametrize(
    "sql",
    [
        "WITH people AS (SELECT 'x' AS mail) SELECT * FROM people",
        "SELECT mail || '' AS mail FROM people",
        "SELECT * FROM (SELECT id AS mail FROM people)",
        "SELECT mail FROM people UNION ALL SELECT two FROM plain",
        "SELECT mail FROM people UNION ALL SELECT note FROM people",
        "SELECT * FROM 'people' AS t(mail, id, a, b, c)",
        "SELECT id, two AS mail FROM plain",
        "DESCRIBE people",
        "SELECT 'people' AS mail",
    ],
)
def test_nothing_else_is(wire: Wire, sql: str) -> None:
    assert not any(marks(wire.query(sql).schema).values())


def test_rows_in_many_messages_say_it_too(wire: Wire) -> None:
    rows = wire.query("SELECT p.mail FROM people p, people q, people r, plain s LIMIT 1000000")
    assert (rows.num_rows, marks(rows.schema)) == (1_000_000, {"mail": MAIL})


def test_a_temporary_table_of_the_name_is_another(wire: Wire) -> None:
    wire.update("CREATE TEMP TABLE people AS SELECT 'x' AS mail")
    assert marks(wire.query("SELECT mail FROM people").schema) == {"mail": {}}
    assert marks(wire.query("SELECT mail FROM lake.main.people").schema) == {"mail": MAIL}


def tables(wire: Wire) -> dict[str, dict[str, dict[bytes, bytes]]]:
    return {
        row["table_name"]: marks(pa.ipc.read_schema(pa.py_buffer(row["table_schema"])))
        for row in wire.ask("CommandGetTables", include_schema=True, db_schema_filter_pattern="main").to_pylist()
    }


def test_the_schemas_of_tables_say_it(wire: Wire) -> None:
    found = tables(wire)
    assert found["people"] | {"phone": {}} == {"id": {}, "mail": MAIL, "big": {}, "note": NOTE, "phone": {}}
    assert found["people"]["phone"][b"neurolake.entity"] == b"PHONE_NUMBER"
    assert found["plain"] == {"id": {}, "two": {}}
    assert found["files"]["who"][b"neurolake.entity"] == b"EMAIL_ADDRESS"


def test_a_role_learns_of_what_is_open_to_it_and_no_more(ann: Wire) -> None:
    """Which is what `neurolake.columns` tells it; the confidence is reckoned from cells that it may not see."""
    rows = ann.query("SELECT * FROM people")
    said = {
        "id": {},
        "mail": {
            b"neurolake.mask": b"partial", b"neurolake.reason": b"policy mail",
            b"neurolake.entity": b"EMAIL_ADDRESS", b"neurolake.entity_status": b"auto",
        },
        "note": {b"neurolake.entity": b"PERSON", b"neurolake.entity_status": b"confirmed"},
    }  # fmt: skip
    assert marks(rows.schema) == said
    in_tables = {column: {key: value for key, value in one.items() if b"entity" in key} for column, one in said.items()}
    assert tables(ann) == {"people": in_tables}
    known = ann.query("SELECT column_name, entity FROM neurolake.columns").to_pylist()
    assert {row["column_name"]: row["entity"] for row in known} == {
        "id": None, "mail": "EMAIL_ADDRESS", "note": "PERSON"
    }  # fmt: skip


def test_the_stock_driver_shows_it(service: Service) -> None:
    logins = {"username": "admin", "password": PASSWORD}
    with flight_sql.connect(uri(service), logins, autocommit=True) as connection, connection.cursor() as cursor:
        assert marks(cursor.adbc_execute_schema("SELECT mail FROM people")) == {"mail": MAIL}
        cursor.execute("SELECT mail, id FROM people WHERE id = ?", [3])
        table = cursor.fetch_arrow_table()
        assert (marks(table.schema), table.num_rows) == ({"mail": MAIL, "id": {}}, 1)
        assert marks(connection.adbc_get_table_schema("people"))["note"] == NOTE


def test_what_a_person_says_shows_at_once(wire: Wire) -> None:
    wire.query("CALL neurolake.set_pii('column:plain.two', 'CVV', 'confirmed')")
    assert marks(wire.query("FROM plain").schema)["two"][b"neurolake.entity"] == b"CVV"
    wire.query("CALL neurolake.set_pii('column:plain.two', 'CVV', 'rejected')")
    assert marks(wire.query("FROM plain").schema) == {"id": {}, "two": {}}
