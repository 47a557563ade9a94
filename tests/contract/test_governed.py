"""Governed roles, embedded with a principal and over Flight with the stock driver: what they read, write and hear."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pytest

from contract.clients import PASSWORD, Failure, failure_of
from contract.wire import Wire, command
from flight.service import Service
from neurolake import errors, loading
from neurolake.config import load
from neurolake.engine import Engine
from neurolake.home import Home
from neurolake.query import OWNER, Request

ANN = "a password for ann"
RULES = """
CREATE TABLE people AS SELECT i AS id, 'name' || i AS name, 'u' || i || '@example.org' AS email, 1000 * i AS salary,
    CASE i % 2 WHEN 0 THEN 'north' ELSE 'south' END AS region, 'ssn' || i AS ssn FROM range(10) r(i);
CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER, amount DOUBLE);
INSERT INTO orders SELECT i, i % 10, i FROM range(20) r(i);
CREATE TABLE vault AS SELECT 'hidden' AS s;
CREATE SCHEMA lab;
CALL neurolake.create_role('analyst');
CALL neurolake.create_role('writer', ['analyst']);
CALL neurolake.set_pii('people', null, 'confirmed');
CALL neurolake.set_pii('orders', null, 'confirmed');
CALL neurolake.grant('read', 'people', 'analyst');
CALL neurolake.grant('read', 'orders', 'analyst');
CALL neurolake.grant('write', 'orders', 'writer');
CALL neurolake.grant('write', 'people', 'writer');
CALL neurolake.grant('read', 'schema:lab', 'writer');
CALL neurolake.grant('write', 'schema:lab', 'writer');
CALL neurolake.grant('create', 'schema:lab', 'writer');
CALL neurolake.set_policy('email', 'analyst', 'column:people.email', 'partial', {'email': true});
CALL neurolake.set_policy('salary', 'analyst', 'column:people.salary', 'null');
CALL neurolake.set_policy('ssn', 'analyst', 'column:people.ssn', 'block');
CALL neurolake.create_user('ann', 'a password for ann', ['analyst', 'writer']);
CALL neurolake.set_attribute('ann', 'region', 'north');
"""


FLAGS = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the data and the rules, to be copied."""
    home = Home.open(tmp_path_factory.mktemp("prepared") / "lake", create=True)
    engine = Engine(home, load(home.path, flags=FLAGS))
    owner(engine)(RULES)
    path = home.path
    engine.close()
    return path


@pytest.fixture
def service(prepared: Path, tmp_path: Path) -> Iterator[Service]:
    shutil.copytree(prepared, tmp_path / "lake")
    home = Home.open(tmp_path / "lake")
    service = Service(home, load(home.path, flags=FLAGS))
    service.start()
    yield service
    service.stop()


Rows = list[tuple[Any, ...]]
Run = Callable[..., Rows]


def owner(engine: Engine) -> Run:
    """What runs statements as the administrator."""
    session = engine.session(OWNER)
    return lambda sql, values=None: engine.run(Request(sql, session, values)).fetchall()


@contextmanager
def embedded(service: Service) -> Iterator[Run]:
    session = service.engine.session(service.engine.governance.principal("ann"))
    yield lambda sql, values=None: service.engine.run(Request(sql, session, values)).fetchall()
    session.close()


@contextmanager
def driver(service: Service, *, autocommit: bool = True) -> Iterator[Run]:
    uri = f"grpc://127.0.0.1:{service.port}"
    with flight_sql.connect(uri, {"username": "ann", "password": ANN}, autocommit=autocommit) as connection:

        def run(sql: str, values: Any = None) -> Rows:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                table = cursor.fetch_arrow_table()
                if not table.num_rows and sql.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE"):
                    return [(cursor.rowcount,)]
                return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

        yield run


@contextmanager
def in_transaction(service: Service) -> Iterator[Run]:
    with driver(service, autocommit=False) as run:
        yield run


@pytest.fixture(params=[embedded, in_transaction], ids=["embedded", "driver"])
def ann(request: pytest.FixtureRequest, service: Service) -> Iterator[Run]:
    """Runs statements as ann, who is an analyst until she chooses to write."""
    with request.param(service) as run:
        yield run


def failure(run: Run, sql: str, values: Any = None) -> Failure:
    """The error that a statement ends with."""
    try:
        run(sql, values)
    except (errors.NeuroLakeError, adbc_driver_manager.Error) as error:
        return failure_of(error)
    raise AssertionError(f"it did not fail: {sql}")


def code_of(run: Run, sql: str, values: Any = None) -> str:
    """The code of the error that a statement ends with."""
    return failure(run, sql, values).code


class TestReading:
    def test_columns_are_masked_and_blocked_ones_are_not_there(self, ann: Run) -> None:
        assert ann("SELECT * FROM people WHERE id = 3") == [(3, "name3", "u***@example.org", None, "south")]
        assert ann("SELECT count(*) FROM people WHERE salary > 0") == [(0,)]
        assert ann("SELECT email FROM people WHERE id = ?", [3]) == [("u***@example.org",)]
        assert ann("DESCRIBE people")[3][:2] == ("salary", "BIGINT")

    def test_what_is_not_granted_is_as_if_it_were_not_there(self, ann: Run) -> None:
        assert code_of(ann, "SELECT * FROM vault") == "relation_denied"
        assert code_of(ann, "SELECT * FROM nowhere") == "relation_denied"

    def test_what_is_blocked_is_as_if_it_were_not_there(self, service: Service) -> None:
        with embedded(service) as ann:
            assert code_of(ann, "SELECT ssn FROM people") == code_of(ann, "SELECT nowhere FROM people") == "binding"

    def test_rows_are_filtered_by_the_callers_attributes(self, service: Service, ann: Run) -> None:
        condition = "region = neurolake.attribute(''region'')"
        owner(service.engine)(f"CALL neurolake.set_row_filter('own', 'analyst', 'people', '{condition}')")
        assert ann("SELECT DISTINCT region FROM people") == [("north",)]
        owner(service.engine)("CALL neurolake.set_attribute('ann', 'region', NULL)")
        assert ann("SELECT count(*) FROM people") == [(0,)]

    @pytest.mark.parametrize("change", ["DROP COLUMN region", "ALTER region TYPE INTEGER USING id"])
    def test_a_row_filter_that_its_table_has_outgrown_is_named(self, service: Service, change: str) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.set_row_filter('sound', 'analyst', 'people', 'id >= 0')")
        admin("CALL neurolake.set_row_filter('own', 'analyst', 'people', 'starts_with(region, ''n'')')")
        admin(f"ALTER TABLE people {change}; CALL neurolake.set_pii('people', null, 'confirmed')")
        for way in (embedded, driver):
            with way(service) as ann:
                for sql in ("SELECT count(*) FROM people", "SELECT o.id FROM orders o JOIN people p ON o.id = p.id"):
                    told = failure(ann, sql)
                    assert told.code == "view_failed"
                    assert "The row filter own does not fit people" in told.text
                assert ann("SELECT count(*) FROM orders") == [(20,)]
        ((_, _, _, action, _, reason),) = admin("CALL neurolake.explain_policy('FROM people', role => 'analyst')")
        assert action == "denied"
        assert "The row filter own does not fit people" in reason
        admin("CALL neurolake.drop_row_filter('own')")
        with driver(service) as ann:
            assert ann("SELECT count(*) FROM people") == [(10,)]

    def test_a_row_filter_that_cannot_be_read_is_named(self, service: Service, ann: Run) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.set_row_filter('sound', 'analyst', 'people', 'id >= 0')")
        admin("CALL neurolake.set_row_filter('own', 'analyst', 'people', 'id < 3')")
        with service.engine.governance.change("set_row_filter", OWNER, "") as db:  # as if of a parser that read more
            db.execute("UPDATE row_filters SET condition = 'id <<< 3) OR (true' WHERE name = 'own'")
        told = failure(ann, "SELECT count(*) FROM people")
        assert told.code == "row_filter_unreadable"
        assert "The row filter own of people cannot be read" in told.text
        ((_, _, _, action, _, reason),) = admin("CALL neurolake.explain_policy('FROM people', role => 'analyst')")
        assert action == "denied"
        assert "The row filter own of people cannot be read" in reason

    def test_a_registered_source_is_masked_too(self, service: Service, ann: Run, tmp_path: Path) -> None:
        file = tmp_path / "customers.csv"
        file.write_text("id,email\n1,ann@example.org\n")
        owner(service.engine)(
            f"CALL neurolake.register('customers', '{file}'); CALL neurolake.set_pii('customers', null, 'confirmed'); "
            "CALL neurolake.grant('read', 'customers', 'analyst'); "
            "CALL neurolake.set_policy('c', 'analyst', 'column:customers.email', 'constant', {'value': 'x'})"
        )
        assert ann("SELECT * FROM customers") == [(1, "x")]

    def test_an_unreachable_source_denies_only_who_names_it(self, service: Service, ann: Run, tmp_path: Path) -> None:
        file = tmp_path / "gone.csv"
        file.write_text("id\n1\n")
        owner(service.engine)(
            f"CALL neurolake.register('gone', '{file}'); CALL neurolake.set_pii('gone', null, 'confirmed'); "
            "CALL neurolake.grant('read', 'gone', 'analyst')"
        )
        file.unlink()
        with embedded(service) as other:
            assert code_of(other, "SELECT * FROM gone") != ""
        assert ann("SELECT count(*) FROM orders") == [(20,)]


class TestChanges:
    def test_they_hold_for_the_very_next_statement(self, service: Service, ann: Run) -> None:
        admin = owner(service.engine)
        assert ann("SELECT name FROM people WHERE id = 1") == [("name1",)]
        admin("CALL neurolake.set_policy('name', 'analyst', 'column:people.name', 'null')")
        assert ann("SELECT name FROM people WHERE id = 1") == [(None,)]
        admin("CALL neurolake.drop_policy('name')")
        assert ann("SELECT name FROM people WHERE id = 1") == [("name1",)]
        admin("CALL neurolake.revoke('read', 'people', 'analyst')")
        assert code_of(ann, "SELECT name FROM people WHERE id = 1") == "relation_denied"

    def test_a_new_key_makes_new_tokens(self, service: Service, ann: Run) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.set_policy('name', 'analyst', 'column:people.name', 'token')")
        before = ann("SELECT name FROM people ORDER BY id")
        assert ann("SELECT name FROM people ORDER BY id") == before
        assert admin("CALL neurolake.rotate_mask_key()") == [(2,)]
        after = ann("SELECT name FROM people ORDER BY id")
        assert {len(token) for (token,) in after} == {36}
        assert set(after).isdisjoint(before)
        assert admin("SELECT count(*) FROM neurolake.audit WHERE event = 'rotate_mask_key'") == [(1,)]

    def test_a_new_key_and_its_record_are_there_together_or_not_at_all(self, service: Service, ann: Run) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.set_policy('name', 'analyst', 'column:people.name', 'token')")
        before = ann("SELECT name FROM people ORDER BY id")
        with service.engine.store.durable() as db:
            db.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        assert code_of(admin, "CALL neurolake.rotate_mask_key()") == "disk_full"
        assert ann("SELECT name FROM people ORDER BY id") == before
        with service.engine.store.durable() as db:
            db.execute("DROP TRIGGER full")
        assert admin("CALL neurolake.rotate_mask_key()") == [(2,)]

    def test_without_its_key_nothing_is_shown(self, service: Service, ann: Run) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.set_policy('name', 'analyst', 'column:people.name', 'token')")
        service.engine.store.set_fact("mask_key_version", 7)  # of which there is no secret
        assert code_of(ann, "SELECT name FROM people") == "mask_key_missing"
        assert code_of(ann, "SELECT count(*) FROM people WHERE name LIKE 'tok%'") == "mask_key_missing"
        assert ann("SELECT count(*) FROM orders") == [(20,)]
        assert admin("CALL neurolake.rotate_mask_key()") == [(8,)]
        assert {len(token) for (token,) in ann("SELECT name FROM people")} == {36}

    def test_for_tickets_and_prepared_statements_too(self, service: Service) -> None:
        wire = Wire(f"grpc://127.0.0.1:{service.port}", "ann", ANN)
        info = wire.info(command("CommandStatementQuery", query="SELECT name FROM people WHERE id = 1"))
        with driver(service) as ann:
            assert ann("SELECT name FROM people WHERE id = ?", [1]) == [("name1",)]
            owner(service.engine)("CALL neurolake.set_policy('name', 'analyst', 'column:people.name', 'null')")
            assert ann("SELECT name FROM people WHERE id = ?", [1]) == [(None,)]
        assert wire.get(info.endpoints[0].ticket).to_pylist() == [{"name": None}]

    def test_a_running_stream_ends_under_the_policy_it_began_with(self, service: Service) -> None:
        owner(service.engine)(
            "CREATE TABLE wide AS SELECT i AS id, 'v' || i AS v FROM range(500000) r(i); "
            "CALL neurolake.set_pii('wide', null, 'confirmed'); CALL neurolake.grant('read', 'wide', 'analyst')"
        )
        session = service.engine.session(service.engine.governance.principal("ann"))
        result = service.engine.run(Request("SELECT v FROM wide", session))
        first = result.read()
        assert first is not None
        owner(service.engine)("CALL neurolake.set_policy('v', 'analyst', 'column:wide.v', 'null')")
        rest = [batch.column(0).null_count for batch in result]
        assert sum(rest) == 0
        session.close()


class TestTemporaryTables:
    def test_they_hold_what_the_role_sees(self, service: Service) -> None:
        with embedded(service) as ann:
            ann("CREATE TEMP TABLE mine AS SELECT id, email FROM people")
            assert ann("SELECT email FROM mine WHERE id = 1") == [("u***@example.org",)]
            assert ann("INSERT INTO mine VALUES (99, 'own')") == [(1,)]
            assert ann("UPDATE mine SET email = 'changed' WHERE id = 99") == [(1,)]
            assert ann("SELECT email FROM mine WHERE id = 99") == [("changed",)]
            ann("SET ROLE writer")
            assert code_of(ann, "SELECT * FROM mine") == "temporary_stale"
            ann("SET ROLE analyst")
            owner(service.engine)("CALL neurolake.set_policy('email', 'analyst', 'column:people.email', 'null')")
            assert code_of(ann, "SELECT * FROM mine") == "temporary_stale"
            ann("DROP TABLE mine")

    def test_one_of_a_tables_name_opens_nothing(self, service: Service) -> None:
        engine = service.engine
        session = engine.session(engine.governance.principal("ann"))
        engine.run(Request("CREATE TEMP TABLE vault AS SELECT 'mine' AS s", session)).close()
        with pytest.raises(errors.AccessDenied):
            loading.load(engine, session, "vault", pa.table({"s": ["x"]}), "append")
        assert loading.load(engine, session, "vault", pa.table({"s": ["x"]}), "append", temporary=True) == 1
        assert owner(engine)("SELECT count(*) FROM lake.main.vault") == [(1,)]
        session.close()

    def test_an_administrators_own_is_not_the_next_roles(self, service: Service) -> None:
        session = service.engine.session(OWNER)

        def run(sql: str, values: Any = None) -> Rows:
            return service.engine.run(Request(sql, session, values)).fetchall()

        run("CREATE TEMP TABLE raw AS SELECT * FROM people")
        run("SET ROLE analyst")
        assert code_of(run, "SELECT * FROM raw") == "temporary_stale"
        assert run("SELECT salary FROM people WHERE id = 3") == [(None,)]
        run("CREATE TEMP TABLE mine AS SELECT id FROM people")
        run("SET ROLE admin")
        assert run("SELECT salary FROM raw WHERE id = 3") == [(3000,)]
        run("INSERT INTO mine SELECT salary FROM people")
        run("SET ROLE analyst")
        assert code_of(run, "SELECT * FROM mine") == "temporary_stale"
        session.close()


class TestPivot:
    def test_it_finds_the_values_that_the_role_sees(self, service: Service, ann: Run) -> None:
        sql = "PIVOT orders ON person USING sum(amount) GROUP BY id ORDER BY id"
        assert ann(sql) == owner(service.engine)(sql)
        assert ann("PIVOT people ON email USING count(*) GROUP BY region ORDER BY ALL") == [("north", 5), ("south", 5)]
        assert code_of(ann, "PIVOT people ON salary USING count(*)") == "pivot_values"
        assert code_of(ann, "PIVOT people ON ssn USING count(*)") == "binding"
        assert code_of(ann, "PIVOT vault ON s USING count(*)") == "relation_denied"

    def test_values_that_come_are_seen(self, service: Service) -> None:
        with driver(service) as ann:
            sql = "PIVOT orders ON person > 3, amount > 100 USING count(*) GROUP BY id % 2"
            assert code_of(ann, sql) == "syntax"
            sql = "PIVOT (SELECT amount > 100 AS large FROM orders) ON large USING count(*)"
            assert ann(sql) == [(20,)]
            owner(service.engine)("INSERT INTO orders VALUES (100, 1, 101)")
            assert ann(sql) == [(20, 1)]


class TestWriting:
    @pytest.fixture
    def writer(self, ann: Run) -> Run:
        ann("SET ROLE writer")
        return ann

    def test_without_the_privilege_nothing_is_written(self, ann: Run) -> None:
        assert code_of(ann, "INSERT INTO orders VALUES (100, 1, 1)") == "privilege_missing"

    def test_rows_are_inserted_changed_and_deleted(self, writer: Run) -> None:
        assert writer("INSERT INTO orders VALUES (100, 1, 1.5), (101, 2, 2.5)") == [(2,)]
        assert writer("INSERT INTO orders (id) SELECT 102") == [(1,)]
        assert writer("INSERT INTO orders BY NAME SELECT 103 AS id") == [(1,)]
        assert writer("UPDATE orders SET amount = amount * 2, person = 9 WHERE id >= 100") == [(4,)]
        assert writer("SELECT amount FROM orders WHERE id = 100") == [(3.0,)]
        assert writer("DELETE FROM orders o USING people p WHERE p.id = o.person AND o.id > 100") == [(3,)]
        assert writer("SELECT count(*) FROM orders") == [(21,)]

    def test_merge(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            changed = writer("""
                MERGE INTO orders o USING (VALUES (1, 50.0), (2, 60.0), (3, 70.0), (900, 80.0)) n(id, amount)
                ON o.id = n.id AND n.amount > 55
                WHEN MATCHED AND n.id = 2 THEN UPDATE SET amount = n.amount + o.amount, person = 5
                WHEN MATCHED THEN DELETE -- the others
                WHEN NOT MATCHED AND n.id = 900 THEN INSERT VALUES (n.id, 1, n.amount)
                WHEN NOT MATCHED THEN DO NOTHING
            """)
            assert changed == [(3,)]
            found = writer("SELECT * FROM orders WHERE id IN (1, 2, 3, 900) ORDER BY id")
            assert found == [(1, 1, 1.0), (2, 5, 62.0), (900, 1, 80.0)]
            merge = "MERGE INTO people p USING orders o ON {} WHEN MATCHED {} THEN {}"
            for condition, more, action in (
                ("p.salary = o.id", "", "DELETE"),
                ("p.id = o.id", "AND p.email LIKE 'u1%'", "DELETE"),
                ("p.id = o.id", "AND ssn = 'ssn1'", "DELETE"),
                ("p.id = o.id", "", "UPDATE SET name = email"),
                ("p.id = o.id", "", "UPDATE SET name = (SELECT ssn)"),
            ):
                assert code_of(writer, merge.format(condition, more, action)) == "binding"
            assert code_of(writer, merge.format("p.id = o.id", "", "UPDATE SET salary = 1")) == "column_denied"
            assert (
                code_of(writer, "MERGE INTO orders USING vault ON true WHEN MATCHED THEN DELETE") == "relation_denied"
            )

    def test_merge_tells_what_it_did_and_minds_what_the_source_lacks(self, writer: Run) -> None:
        returned = writer("""
            MERGE INTO orders o USING (VALUES (1, 5.0), (900, 6.0)) n(id, a) ON o.id = n.id
            WHEN MATCHED THEN UPDATE SET amount = n.a
            WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (n.id, 1, n.a)
            WHEN NOT MATCHED BY SOURCE AND o.id = 19 THEN DELETE
            WHEN NOT MATCHED BY SOURCE AND id = 2 THEN UPDATE SET amount = o.amount + 1
            RETURNING merge_action, o.id, amount * 2 AS twice
        """)
        assert sorted(returned) == [
            ("DELETE", 19, 38.0), ("INSERT", 900, 12.0), ("UPDATE", 1, 10.0), ("UPDATE", 2, 6.0),
        ]  # fmt: skip
        assert writer("SELECT count(*), sum(amount) FROM orders") == [(20, 182.0)]

    def test_an_insert_may_change_what_is_there(self, writer: Run) -> None:
        upsert = "INSERT INTO orders AS o VALUES (1, 5, 50) ON CONFLICT (id) DO UPDATE SET {} WHERE o.amount < 100"
        changed = writer(f"{upsert.format('amount = excluded.amount + o.amount, person = 7')} RETURNING *, id + 1 AS n")
        assert changed == [(1, 7, 51.0, 2)]
        assert writer("INSERT OR REPLACE INTO orders VALUES (1, 8, 0), (500, 1, 1)") == [(2,)]
        assert writer("INSERT OR IGNORE INTO orders VALUES (1, 9, 9)") == [(0,)]
        assert writer("SELECT person, amount FROM orders WHERE id = 1") == [(8, 0.0)]

    def test_a_column_called_rowid_reaches_no_rows_of_others(self, service: Service) -> None:
        """It hides the numbers of the rows, by which a write finds those that the role may see."""
        admin = owner(service.engine)
        admin("CREATE TABLE lab.kept AS SELECT 1 AS RowId, i AS id, i < 2 AS own FROM range(6) r(i)")
        admin("CALL neurolake.set_pii('lab.kept', NULL, 'confirmed')")
        admin("CALL neurolake.set_row_filter('own', 'writer', 'lab.kept', 'own')")
        with driver(service) as writer:
            writer("SET ROLE writer")
            for sql in (
                "DELETE FROM lab.kept WHERE id = 0",
                "UPDATE lab.kept SET own = true WHERE id = 0",
                "MERGE INTO lab.kept USING range(1) n(i) ON id = i WHEN MATCHED THEN DELETE",
            ):
                assert code_of(writer, sql) == "write_denied", sql
            assert writer("INSERT INTO lab.kept VALUES (1, 6, true)") == [(1,)]
            assert writer("SELECT id FROM lab.kept ORDER BY id") == [(0,), (1,), (6,)]
        assert admin("SELECT count(*) FROM lab.kept WHERE own = (id IN (0, 1, 6))") == [(7,)]
        admin("ALTER TABLE lab.kept RENAME COLUMN rowid TO number")
        admin("CALL neurolake.set_pii('lab.kept', NULL, 'confirmed')")
        with driver(service) as writer:
            writer("SET ROLE writer")
            assert writer("DELETE FROM lab.kept WHERE id < 5") == [(2,)]
        assert admin("SELECT id FROM lab.kept ORDER BY id") == [(2,), (3,), (4,), (5,), (6,)]

    def test_clauses_of_a_write_are_gated(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            upsert = "INSERT INTO orders VALUES (1, 5, 50) ON CONFLICT (id) DO UPDATE SET {}"
            for change, code in (
                ("amount = (SELECT max(salary) FROM people)", "write_denied"),
                ("amount = rowid", "column_denied"),
                ("amount = people.salary", "column_denied"),
                ("nowhere = 1", "column_denied"),
                ("amount = length(getenv('HOME'))", "function_denied"),
                ("amount = list_sum(list_transform([1], lambda x: x))", "write_denied"),
            ):
                assert code_of(writer, upsert.format(change)) == code, change
            for item in ("upper(email)", "salary + 1", "ssn", "length(ssn)", "nowhere", "rowid", "people.ssn"):
                sql = f"UPDATE people SET region = 'x' WHERE id = 1 RETURNING {item}"
                assert code_of(writer, sql) == "column_denied", item
            for how in ("ON CONFLICT DO NOTHING", "ON CONFLICT (id) DO UPDATE SET name = 'x'"):
                assert code_of(writer, f"INSERT INTO people (id) VALUES (1) {how}") == "write_denied"

    def test_what_a_conflict_changes_must_be_granted(self, service: Service) -> None:
        for column in ("id", "amount"):
            owner(service.engine)(f"CALL neurolake.grant('write', 'column:orders.{column}', 'analyst')")
        with embedded(service) as ann:
            upsert = "INSERT INTO orders (id, amount) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET {} = 3"
            assert ann(upsert.format("amount")) == [(1,)]
            assert code_of(ann, upsert.format("person")) == "privilege_missing"

    def test_what_may_only_be_written_can_be_inserted(self, service: Service) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.create_role('feeder')")
        admin("CALL neurolake.grant_role('feeder', 'ann')")
        admin("CALL neurolake.grant('write', 'orders', 'feeder')")
        admin("CALL neurolake.grant('read', 'column:orders.id', 'writer')")
        with embedded(service) as ann:
            ann("SET ROLE feeder")
            assert ann("INSERT INTO orders VALUES (800, 1, 1)") == [(1,)]
            assert code_of(ann, "INSERT INTO orders (nowhere) VALUES (1)") == "column_denied"
            admin("CALL neurolake.grant('read', 'column:orders.id', 'feeder')")
            # Of a table that it reads in part, a role knows no more columns than those.
            for column in ("person", "nowhere"):
                assert code_of(ann, f"INSERT INTO orders (id, {column}) VALUES (801, 1)") == "column_denied"
            admin("CALL neurolake.grant('write', 'column:orders.person', 'feeder')")
            assert ann("INSERT INTO orders (id, person) VALUES (801, 1)") == [(1,)]

    def test_what_is_copied_is_masked(self, writer: Run, service: Service) -> None:
        with embedded(service) as own:
            own("SET ROLE writer")
            own("CREATE TABLE lab.copied AS SELECT * FROM people")
        assert owner(service.engine)("SELECT email, salary FROM lab.copied WHERE id = 3") == [
            ("u***@example.org", None)
        ]

    def test_masked_columns_are_neither_searched_nor_set(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            assert code_of(writer, "UPDATE people SET region = 'x' WHERE salary > 5000") == "binding"
            assert code_of(writer, "DELETE FROM people WHERE email LIKE 'u3%'") == "binding"
            assert code_of(writer, "DELETE FROM people WHERE ssn = 'ssn3'") == "binding"
            assert code_of(writer, "DELETE FROM people WHERE EXISTS (SELECT 1 WHERE ssn = 'ssn3')") == "binding"
            assert code_of(writer, "DELETE FROM people p USING orders o WHERE p.salary > o.id") == "binding"
            assert code_of(writer, "UPDATE people SET name = email") == "binding"
            assert code_of(writer, "UPDATE people SET name = (SELECT ssn)") == "binding"
            assert code_of(writer, "UPDATE orders SET amount = 1 FROM people WHERE ssn = 'ssn3'") == "binding"
            assert code_of(writer, "UPDATE people SET salary = 0") == "column_denied"
            for column in ("ssn", "nowhere"):
                assert code_of(writer, f"INSERT INTO people ({column}) VALUES ('x')") == "column_denied"
            assert writer("UPDATE people SET region = 'east' WHERE id = 3 RETURNING id, email, salary, region") == [
                (3, "u***@example.org", None, "east")
            ]
        assert owner(service.engine)("SELECT salary, region FROM people WHERE id = 3") == [(3000, "east")]

    def test_rows_that_are_not_seen_are_not_changed(self, service: Service) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.set_row_filter('own', 'analyst', 'people', 'region = ''north''')")
        with embedded(service) as writer:
            writer("SET ROLE writer")
            assert writer("UPDATE people SET name = 'same'") == [(5,)]
            assert writer("DELETE FROM people") == [(5,)]
        assert admin("SELECT count(*), count(DISTINCT name) FROM people") == [(5, 5)]

    def test_a_broken_constraint_names_itself_and_no_value(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            with pytest.raises(errors.ConstraintViolated, match="primary key") as caught:
                writer("INSERT INTO orders SELECT max(id), 1, 1 FROM orders")
            assert "19" not in caught.value.message

    def test_a_broken_constraint_names_no_column_that_is_closed(self, service: Service) -> None:
        admin = owner(service.engine)
        admin("CREATE TABLE lab.needed (id INTEGER NOT NULL, hidden INTEGER NOT NULL)")
        admin("CALL neurolake.set_pii('lab.needed', null, 'confirmed')")
        admin("CALL neurolake.set_policy('hidden', '*', 'column:lab.needed.hidden', 'block')")
        with embedded(service) as writer:
            writer("SET ROLE writer")
            with pytest.raises(errors.ConstraintViolated, match="NOT NULL") as caught:
                writer("INSERT INTO lab.needed VALUES (1)")
            assert "hidden" not in caught.value.message
            with pytest.raises(errors.ConstraintViolated, match=r"NOT NULL needed\.id"):
                writer("INSERT INTO lab.needed (id) VALUES (NULL)")

    def test_transactions_are_undone(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            writer("BEGIN")
            writer("INSERT INTO orders VALUES (500, 1, 1)")
            writer("CREATE TABLE lab.draft AS SELECT id FROM orders")
            assert writer("SELECT count(*) FROM orders WHERE id = 500") == [(1,)]
            writer("ROLLBACK")
            assert writer("SELECT count(*) FROM orders WHERE id = 500") == [(0,)]
            assert code_of(writer, "SELECT * FROM lab.draft") == "relation_denied"

    def test_tables_are_made_where_the_role_may(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            writer("CREATE TABLE lab.fresh (id INTEGER PRIMARY KEY, t VARCHAR NOT NULL, d DECIMAL(10, 2))")
            assert writer("INSERT INTO lab.fresh VALUES (1, 'a', 2.5)") == [(1,)]
            assert code_of(writer, "SELECT * FROM lab.fresh") == "relation_denied"  # not scanned yet
            owner(service.engine)("CALL neurolake.set_pii('lab.fresh', null, 'confirmed')")
            assert writer("SELECT id, t FROM lab.fresh") == [(1, "a")]
            assert code_of(writer, "CREATE TABLE elsewhere AS SELECT 1 AS a") == "privilege_missing"
            for odd in ("DROP SCHEMA lab CASCADE", "CREATE TABLE lab.t (a INTEGER CHECK (a > 0))",
                        "CREATE TABLE lab.t (a INTEGER REFERENCES orders (id))",
                        "CREATE TABLE lab.t (a INTEGER, CHECK (a > 0))"):  # fmt: skip
                assert code_of(writer, odd) == "statement_denied", odd
            assert code_of(writer, "DROP TABLE people") == "privilege_missing"
            writer("DROP TABLE lab.fresh")

    def test_schemas_are_made_and_dropped_by_who_may_anywhere(self, service: Service) -> None:
        def shown(run: Run) -> set[object]:
            return {name for (name,) in run("SELECT schema_name FROM information_schema.schemata")}

        admin = owner(service.engine)
        with driver(service) as writer:
            writer("SET ROLE writer")  # which may make tables in lab
            assert shown(writer) == {"main", "neurolake", "lab"}
            for denied in ("CREATE SCHEMA own", "CREATE SCHEMA lab", "DROP SCHEMA lab", "DROP SCHEMA nowhere"):
                assert code_of(writer, denied) == "privilege_missing", denied
            admin("CALL neurolake.grant('create', 'lake', 'writer')")
            writer('CREATE SCHEMA "own one"')
            assert code_of(writer, 'CREATE SCHEMA lake."OWN one"') == "already_exists"
            writer('CREATE SCHEMA IF NOT EXISTS "own one"')
            assert "own one" in shown(writer)
            writer('CREATE TABLE "own one".t AS SELECT 1 AS i')
            assert code_of(writer, 'DROP SCHEMA "own one"') == "dependency"
            assert code_of(writer, 'DROP SCHEMA "own one" CASCADE') == "statement_denied"
            writer('DROP TABLE "own one".t')
            admin("""CALL neurolake.grant('read', 'schema:"own one"', 'analyst')""")
            writer('DROP SCHEMA "own one" RESTRICT')
            assert admin("SELECT count(*) FROM neurolake.grants WHERE object LIKE '%own one%'") == [(0,)]
            assert code_of(writer, 'DROP SCHEMA "own one"') == "not_found"
            writer('DROP SCHEMA IF EXISTS "own one"')
            for system in ("neurolake", "__neurolake", "pg_catalog", "temp", "information_schema", "snapshot_x"):
                assert code_of(writer, f"CREATE SCHEMA {system}") == "reserved_name", system
            for odd in ("CREATE OR REPLACE SCHEMA lab", "CREATE SCHEMA elsewhere.s", "DROP SCHEMA temp.main"):
                assert code_of(writer, odd) == "statement_denied", odd
            assert code_of(writer, "DROP SCHEMA main") == "not_found"

    def test_what_fills_a_schema_is_not_named_to_who_drops_it(self, service: Service) -> None:
        admin = owner(service.engine)
        admin("CALL neurolake.grant('create', 'lake', 'writer')")
        admin("CREATE SCHEMA closed")
        admin("CREATE TABLE closed.merger_with_acme AS SELECT 1 AS i")
        with driver(service) as writer:
            writer("SET ROLE writer")
            with pytest.raises(Exception, match="Something else depends on") as caught:
                writer("DROP SCHEMA closed")
            assert "acme" not in str(caught.value)

    def test_tables_with_defaults_and_keys(self, service: Service) -> None:
        with driver(service) as writer:
            writer("SET ROLE writer")
            writer(
                "CREATE TABLE lab.kept (a INTEGER NOT NULL DEFAULT -5, \"B b\" VARCHAR DEFAULT 'x, (y)' UNIQUE, "
                "c DECIMAL(10, 2) DEFAULT 1.5::DECIMAL(10, 2), d DATE DEFAULT '2026-01-02', e BOOLEAN DEFAULT NULL,"
                ' PRIMARY KEY (a, "B b"), unique(c , d))'
            )
            writer("INSERT INTO lab.kept (c) VALUES (7)")
            owner(service.engine)("CALL neurolake.set_pii('lab.kept', null, 'confirmed')")
            assert writer('SELECT a, "B b", c::VARCHAR, d::VARCHAR, e FROM lab.kept') == [
                (-5, "x, (y)", "7.00", "2026-01-02", None)
            ]
            assert code_of(writer, "INSERT INTO lab.kept (c) VALUES (8)") == "constraint"
            for odd in ("now()", "(SELECT 1)", "random()", "a", "getenv('HOME')", "1 CHECK (true)", "nextval('s')"):
                odd_table = f"CREATE TABLE lab.odd (a TIMESTAMP DEFAULT {odd})"
                assert code_of(writer, odd_table) in ("statement_denied", "function_denied", "gate_denied"), odd

    def test_columns_can_be_granted_alone(self, service: Service) -> None:
        owner(service.engine)("CALL neurolake.grant('write', 'column:orders.amount', 'analyst')")
        with embedded(service) as ann:
            assert ann("UPDATE orders SET amount = 7 WHERE id = 1") == [(1,)]
            assert code_of(ann, "UPDATE orders SET amount = 7, person = 1 WHERE id = 1") == "privilege_missing"
            assert code_of(ann, "DELETE FROM orders") == "privilege_missing"
            assert code_of(ann, "INSERT INTO orders VALUES (99, 1, 1)") == "privilege_missing"

    def test_what_is_loaded_is_checked(self, service: Service) -> None:
        engine = service.engine
        session = engine.session(engine.governance.principal("ann"))
        rows = pa.table({"id": pa.array([900], pa.int32()), "person": pa.array([1], pa.int32()), "amount": [1.0]})
        with pytest.raises(errors.AccessDenied):
            loading.load(engine, session, "orders", rows, "append")
        engine.run(Request("SET ROLE writer", session)).close()
        assert loading.load(engine, session, "orders", rows, "append") == 1
        assert loading.load(engine, session, "lab.loaded", rows, "create") == 1
        for name, data, mode, keys in (
            ("vault", pa.table({"s": ["x"]}), "append", ()),
            ("people", pa.table({"ssn": ["x"]}), "append", ()),
            ("people", pa.table({"id": [1]}), "upsert", ["id"]),
            ("orders", "/etc/passwd", "append", ()),
            ("people", rows, "replace", ()),
        ):
            with pytest.raises(errors.AccessDenied):
                loading.load(engine, session, name, data, mode, keys)
        session.close()

    def test_many_rows_of_parameters(self, service: Service) -> None:
        uri = f"grpc://127.0.0.1:{service.port}"
        login = {"username": "ann", "password": ANN}
        with flight_sql.connect(uri, login, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SET ROLE writer")
            cursor.fetchall()
            cursor.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(700 + i, 1, 1.0) for i in range(50)])
            assert cursor.rowcount == 50
            rows = pa.table({"id": [1, 2]})
            assert cursor.adbc_ingest("by_driver", rows, mode="create", db_schema_name="lab") == 2
        assert owner(service.engine)("SELECT count(*) FROM lab.by_driver") == [(2,)]

    def test_what_cannot_be_taken_apart_is_denied(self, service: Service) -> None:
        with embedded(service) as writer:
            writer("SET ROLE writer")
            for sql in (
                "MERGE INTO orders USING people ON true WHEN NOT MATCHED BY SOURCE THEN INSERT VALUES (1, 1, 1)",
                "MERGE INTO orders USING people ON true WHEN MATCHED THEN DELETE RETURNING (SELECT 1)",
                "INSERT OR REPLACE INTO people (id) VALUES (1)",
                "INSERT INTO orders VALUES (1, 1, 1) RETURNING (SELECT max(s) FROM vault)",
                "CREATE MACRO m() AS 1",
                "COPY orders TO 'x.csv'",
            ):
                assert code_of(writer, sql).endswith("denied"), sql
            assert code_of(writer, "ALTER VIEW orders RENAME TO o") == "privilege_missing"


class TestMetadata:
    def test_a_role_hears_only_of_what_it_may_see(self, service: Service) -> None:
        uri = f"grpc://127.0.0.1:{service.port}"
        with flight_sql.connect(uri, {"username": "ann", "password": ANN}, autocommit=True) as connection:
            found = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        tables = {
            table["table_name"]: [column["column_name"] for column in table["table_columns"]]
            for catalog in found
            for schema in catalog["catalog_db_schemas"]
            if schema["db_schema_name"] == "main"
            for table in schema["db_schema_tables"]
        }
        assert tables == {"people": ["id", "name", "email", "salary", "region"], "orders": ["id", "person", "amount"]}

    def test_so_does_information_schema(self, ann: Run) -> None:
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
        assert ann(sql) == [("orders",), ("people",)]
        columns = ann("SELECT column_name FROM information_schema.columns WHERE table_name = 'people'")
        assert ("ssn",) not in columns
        assert ("email",) in columns
        assert ("vault",) not in ann("SHOW TABLES")

    def test_masked_columns_are_marked_alike_in_every_answer(self, service: Service) -> None:
        wire = Wire(f"grpc://127.0.0.1:{service.port}", "ann", ANN)
        query = command("CommandStatementQuery", query="SELECT id, email, upper(email) AS loud FROM people")
        info = wire.info(query)
        table = wire.get(info.endpoints[0].ticket)
        for schema in (info.schema, wire.schema(query), table.schema):
            assert schema.field("email").metadata == {
                b"neurolake.mask": b"partial", b"neurolake.reason": b"policy email",
            }  # fmt: skip
            assert not schema.field("id").metadata
            assert not schema.field("loud").metadata
        assert info.total_records == -1


class TestRecords:
    def test_every_statement_is_in_the_audit_log_without_values(self, service: Service) -> None:
        with embedded(service) as ann:
            ann("SELECT email FROM people WHERE name = 'name7'")
            code_of(ann, "SELECT * FROM vault")
        rows = owner(service.engine)(
            "SELECT event, details FROM neurolake.audit WHERE user_name = 'ann' AND event IN ('decision', 'denied')"
        )
        assert [event for event, _ in rows] == ["decision", "denied"]
        assert '"people.email":"partial"' in rows[0][1]
        assert "name7" not in str(rows)

    def test_explain_policy_answers_for_a_user_and_a_column(self, service: Service) -> None:
        admin = owner(service.engine)
        asked = "CALL neurolake.explain_policy(user_name => 'ann', object => 'column:people.{}')"
        assert [row[2:5] for row in admin(asked.format("email"))] == [("email", "partial", "email")]
        assert [row[2:5] for row in admin(asked.format("SSN"))] == [("ssn", "absent", "ssn")]
        assert admin("CALL neurolake.explain_policy(object => 'vault', user_name => 'ann')")[0][3] == "denied"
        in_role = "CALL neurolake.explain_policy('SELECT * FROM people, orders', 'writer', 'ann', 'column:orders.id')"
        assert [row[1:4] for row in admin(in_role)] == [("orders", "id", "allow")]
        admin("CALL neurolake.set_row_filter('r', 'analyst', 'people', 'region = neurolake.attribute(''region'')')")
        assert admin(asked.format("name"))[-1][3] == "row_filter"
        with driver(service) as ann:
            own = ann("CALL neurolake.explain_policy(object => 'column:people.salary')")
            assert [row[2:4] for row in own] == [("salary", "null"), (None, "row_filter")]
            assert ann("CALL neurolake.explain_policy(object => 'column:people.ssn')")[0][3] == "row_filter"
            assert code_of(ann, "CALL neurolake.explain_policy('SELECT 1', user_name => 'admin')") == "access_denied"
            assert code_of(ann, "CALL neurolake.explain_policy()") == "argument"
            assert code_of(ann, "CALL neurolake.explain_policy(object => 'schema:lab')") == "argument"
        assert code_of(admin, "CALL neurolake.explain_policy('SELECT 1', user_name => 'nobody')") == "user_unknown"
        assert code_of(admin, "CALL neurolake.explain_policy('SELECT 1', 'nobody', 'ann')") == "role_denied"

    def test_explain_policy_says_what_is_decided(self, service: Service) -> None:
        call = "CALL neurolake.explain_policy('SELECT * FROM people', role => 'analyst')"
        decided = {row[2]: (row[3], row[4]) for row in owner(service.engine)(call)}
        assert decided["email"] == ("partial", "email")
        assert decided["ssn"] == ("absent", "ssn")
        assert decided["id"] == ("allow", None)
        denied = owner(service.engine)("CALL neurolake.explain_policy('SELECT * FROM vault', role => 'analyst')")
        assert [row[3] for row in denied] == ["denied"]
        with embedded(service) as ann:
            own = {row[2]: row[3] for row in ann("CALL neurolake.explain_policy('SELECT * FROM people')")}
            assert "ssn" not in own
            assert code_of(ann, call.replace("analyst", "writer")) == "access_denied"

    def test_explain_shows_decisions_and_no_plan(self, service: Service) -> None:
        with embedded(service) as ann:
            rows = dict(ann("EXPLAIN SELECT email FROM people"))
            assert set(rows) == {"neurolake_sql", "neurolake_columns people"}
            assert "email: partial" in rows["neurolake_columns people"]
            assert code_of(ann, "EXPLAIN ANALYZE SELECT 1") == "statement_denied"


def test_it_holds_after_a_restart(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "lake")
    service = Service(Home.open(tmp_path / "lake"), load(tmp_path / "lake", flags=FLAGS))
    service.start()
    owner(service.engine)("CALL neurolake.set_policy('name', 'analyst', 'column:people.name', 'token')")
    with embedded(service) as ann:
        before = ann("SELECT name FROM people ORDER BY id")
        ann("SET ROLE writer")
        ann("INSERT INTO orders VALUES (100, 1, 1)")
    service.stop()
    again = Service(Home.open(tmp_path / "lake"), load(tmp_path / "lake", flags=FLAGS))
    again.start()
    with driver(again) as ann:
        assert ann("SELECT name FROM people ORDER BY id") == before
        assert ann("SELECT count(*) FROM orders") == [(21,)]
    again.stop()
