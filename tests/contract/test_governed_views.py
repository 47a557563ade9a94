"""Views that governed roles make: kept as a text, gated anew under the role of whoever reads them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.test_governed import ANN, FLAGS, Run, code_of, driver, embedded, in_transaction, owner, prepared, service
from contract.wire import Wire, command
from flight.service import Service
from neurolake.config import load
from neurolake.home import Home

__all__ = ["prepared", "service"]


@pytest.fixture(params=[embedded, in_transaction], ids=["embedded", "driver"])
def writer(request: pytest.FixtureRequest, service: Service) -> Iterator[Run]:
    with request.param(service) as run:
        run("SET ROLE writer")
        yield run


def test_a_view_shows_what_its_reader_may_see(writer: Run) -> None:
    writer("CREATE VIEW lab.v AS SELECT * FROM people")
    assert writer("SELECT * FROM lab.v WHERE id = 3") == [(3, "name3", "u***@example.org", None, "south")]
    assert [row[0] for row in writer("DESCRIBE lab.v")] == ["id", "name", "email", "salary", "region"]
    writer('CREATE VIEW lab."over it" (a, b) AS SELECT id, upper(email) FROM lab.v WHERE id < 2')
    assert writer('SELECT * FROM lab."over it" ORDER BY a') == [(0, "U***@EXAMPLE.ORG"), (1, "U***@EXAMPLE.ORG")]
    writer("CREATE OR REPLACE VIEW lab.v AS SELECT id, 'it''s' AS email FROM orders")
    assert writer('SELECT DISTINCT b FROM lab."over it"') == [("IT'S",)]
    writer('DROP VIEW lab."over it"')
    assert code_of(writer, 'SELECT * FROM lab."over it"') == "relation_denied"


def test_what_a_view_is_made_of_is_gated(service: Service) -> None:
    with driver(service) as writer:
        assert code_of(writer, "CREATE VIEW lab.v AS SELECT 1 AS a") == "privilege_missing"
        writer("SET ROLE writer")
        writer("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        for query, code in (
            ("SELECT * FROM vault", "relation_denied"),
            ("SELECT ssn FROM people", "binding"),
            ("SELECT getenv('HOME')", "function_denied"),
            ("SELECT * FROM mine", "view_denied"),
            ("SELECT * FROM neurolake.columns", "not_supported"),
            ("SELECT ?", "parameter_in_view"),
        ):
            assert code_of(writer, f"CREATE VIEW lab.v AS {query}", [1] if "?" in query else None) == code, query
        assert code_of(writer, "CREATE VIEW elsewhere AS SELECT 1 AS a") == "privilege_missing"
        assert code_of(writer, "SELECT * FROM lab.v") == "relation_denied"


def test_a_policy_holds_for_the_very_next_read(service: Service, writer: Run) -> None:
    writer("CREATE VIEW lab.v AS SELECT id, name FROM people")
    assert writer("SELECT name FROM lab.v WHERE id = 3") == [("name3",)]
    owner(service.engine)("CALL neurolake.set_policy('name', '*', 'column:people.name', 'constant', {'value': 'x'})")
    assert writer("SELECT name FROM lab.v WHERE id = 3") == [("x",)]
    owner(service.engine)("CALL neurolake.set_row_filter('one', '*', 'people', 'id = 3')")
    assert writer("SELECT count(*) FROM lab.v") == [(1,)]
    owner(service.engine)("CALL neurolake.revoke('read', 'people', 'analyst')")
    assert code_of(writer, "SELECT * FROM lab.v") == "view_denied"


def test_a_view_lends_nobody_rights(service: Service) -> None:
    admin = owner(service.engine)
    admin("CALL neurolake.create_role('lone')")
    admin("CALL neurolake.create_user('lea', 'a password for ann', ['lone'])")
    admin("CALL neurolake.grant('read', 'people', 'lone')")
    with embedded(service) as ann:
        ann("SET ROLE writer")
        ann("CREATE VIEW lab.both AS SELECT p.id, o.amount FROM people p JOIN orders o ON o.person = p.id")
        ann("CREATE VIEW lab.people AS SELECT * FROM people")
    for view in ("both", "people"):
        admin(f"CALL neurolake.grant('read', 'lab.{view}', 'lone')")
    session = service.engine.session(service.engine.governance.principal("lea"))
    from neurolake.query import Request

    def lea(sql: str, values: object = None) -> list[tuple[object, ...]]:
        return service.engine.run(Request(sql, session)).fetchall()

    assert code_of(lea, "SELECT * FROM lab.both") == "view_denied"
    # The analyst's masks are not lea's: she sees what her own role may see.
    assert lea("SELECT email, salary FROM lab.people WHERE id = 3") == [("u3@example.org", 3000)]
    admin("CALL neurolake.set_policy('lea', 'lone', 'column:people.email', 'null')")
    assert lea("SELECT email FROM lab.people WHERE id = 3") == [(None,)]
    session.close()


def test_grants_policies_and_filters_on_the_view_count_too(service: Service) -> None:
    admin = owner(service.engine)
    with embedded(service) as ann:
        ann("SET ROLE writer")
        ann("CREATE VIEW lab.v AS SELECT id, name, email FROM people")
        admin("CALL neurolake.set_policy('v', '*', 'column:lab.v.name', 'null')")
        admin("CALL neurolake.set_row_filter('v', '*', 'lab.v', 'id > 7')")
        assert ann("SELECT * FROM lab.v ORDER BY id") == [(8, None, "u***@example.org"), (9, None, "u***@example.org")]
        admin("CALL neurolake.grant('read', 'column:lab.v.id', 'analyst')")
        ann("SET ROLE analyst")
        assert ann("SELECT * FROM lab.v ORDER BY id") == [(8,), (9,)]


def test_an_administrator_reads_it_with_every_right(service: Service) -> None:
    admin = owner(service.engine)
    with embedded(service) as ann:
        ann("SET ROLE writer")
        ann("CREATE VIEW lab.v AS SELECT * FROM people")
        ann("CREATE VIEW lab.w AS SELECT email, ssn FROM (SELECT *, 1 AS ssn FROM lab.v)")
    assert admin("SELECT email, ssn FROM lab.v WHERE id = 3") == [("u3@example.org", "ssn3")]
    assert admin("SELECT w.email FROM lab.w ORDER BY 1 LIMIT 1") == [("u0@example.org",)]
    columns = "SELECT column_name FROM neurolake.columns WHERE table_name = 'v' AND table_schema = 'lab'"
    assert len(admin(columns)) == len(admin("DESCRIBE lab.v")) == 6
    admin("ALTER VIEW lab.v RENAME TO u")
    assert admin("SELECT count(*) FROM lab.u") == [(10,)]
    admin("CREATE OR REPLACE VIEW lab.u AS SELECT 1 AS one")
    assert admin("SELECT * FROM lab.u") == [(1,)]
    with embedded(service) as ann:  # now it is an administrator's: nobody has looked at it
        ann("SET ROLE writer")
        assert code_of(ann, "SELECT * FROM lab.u") == "relation_denied"


def test_it_is_listed_as_its_reader_sees_it_and_masks_are_marked(service: Service) -> None:
    with driver(service) as ann:
        ann("SET ROLE writer")
        ann("CREATE VIEW lab.v AS SELECT id, email AS mail, salary FROM people")
        tables = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'lab'"
        assert ann(tables) == [("v", "VIEW")]
        columns = "SELECT column_name, pii_status FROM neurolake.columns WHERE table_name = 'v'"
        assert ann(columns) == [("id", "derived"), ("mail", "derived"), ("salary", "derived")]
        assert ("lab", "v", "mail", "partial") in [
            row[:4] for row in ann("CALL neurolake.explain_policy('SELECT * FROM lab.v')")
        ]
    wire = Wire(f"grpc://127.0.0.1:{service.port}", "ann", ANN)
    wire.update("SET ROLE writer")
    info = wire.info(command("CommandStatementQuery", query="SELECT mail, id FROM lab.v"))
    assert info.schema.field("mail").metadata[b"neurolake.mask"] == b"partial"
    assert not info.schema.field("id").metadata


def test_circles_and_what_is_gone_are_told_clearly(writer: Run, service: Service) -> None:
    writer("CREATE VIEW lab.a AS SELECT 1 AS x")
    writer("CREATE VIEW lab.b AS SELECT * FROM lab.a")
    writer("CREATE OR REPLACE VIEW lab.a AS SELECT * FROM lab.b")
    assert code_of(writer, "SELECT * FROM lab.a") == "view_denied"
    writer("CREATE OR REPLACE VIEW lab.a AS SELECT 2 AS x")
    assert writer("SELECT * FROM lab.b") == [(2,)]
    writer("DROP VIEW lab.a")
    assert code_of(writer, "SELECT * FROM lab.b") == "view_denied"
    for way in ("INSERT INTO lab.b VALUES (1)", "UPDATE lab.b SET x = 1", "DELETE FROM lab.b"):
        assert code_of(writer, way) == "read_only_relation"


def test_views_do_not_multiply_without_end(service: Service) -> None:
    with embedded(service) as writer:
        writer("SET ROLE writer")
        writer("CREATE VIEW lab.v0 AS SELECT 1 AS x")
        many = [
            f"CREATE VIEW lab.v{i + 1} AS SELECT 1 AS x FROM {', '.join(f'lab.v{i} AS t{j}' for j in range(10))}"
            for i in range(3)
        ]
        writer(many[0]), writer(many[1])
        assert code_of(writer, many[2]) == "view_denied"
        assert writer("SELECT * FROM lab.v2") == [(1,)]


def test_a_temporary_view_is_gated_anew_as_well(writer: Run, service: Service) -> None:
    writer("CREATE TEMP TABLE mine AS SELECT 3 AS id")
    writer("CREATE TEMP VIEW seen AS SELECT p.* FROM people p JOIN mine USING (id)")
    assert writer("SELECT name, email FROM seen") == [("name3", "u***@example.org")]
    writer("CREATE TEMP VIEW other AS SELECT name FROM people WHERE id = 3")
    owner(service.engine)("CALL neurolake.set_policy('name', '*', 'column:people.name', 'null')")
    assert writer("SELECT * FROM other") == [(None,)]
    writer("DROP VIEW other")
    assert code_of(writer, "SELECT * FROM other") == "relation_denied"


def test_views_last_after_a_restart(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "lake")
    for again in (False, True):
        service = Service(Home.open(tmp_path / "lake"), load(tmp_path / "lake", flags=FLAGS))
        service.start()
        with driver(service) as ann:
            ann("SET ROLE writer")
            if not again:
                ann("CREATE VIEW lab.v AS SELECT id, email FROM people")
            assert ann("SELECT * FROM lab.v WHERE id = 3") == [(3, "u***@example.org")]
        assert owner(service.engine)("SELECT email FROM lab.v WHERE id = 3") == [("u3@example.org",)]
        service.stop()


def test_a_view_gets_another_name_and_is_read_by_it(writer: Run) -> None:
    writer("CREATE VIEW lab.v AS SELECT id, email, salary FROM people WHERE id = 3")
    writer("ALTER VIEW lab.v RENAME TO w")
    assert writer("SELECT * FROM lab.w") == [(3, "u***@example.org", None)]
    writer("CREATE VIEW lab.v AS SELECT 1 AS a")
    assert writer("SELECT * FROM lab.v, lab.w") == [(1, 3, "u***@example.org", None)]


def test_a_renamed_view_is_gated_for_each_reader_as_before(service: Service) -> None:
    with driver(service) as writer:
        writer("SET ROLE writer")
        writer("CREATE VIEW lab.v AS SELECT id, email, salary FROM people WHERE id = 3")
        writer("CREATE VIEW lab.over_v AS SELECT email FROM lab.v")
        writer('ALTER VIEW IF EXISTS lake.lab.v RENAME TO "w w"')
        assert writer('SELECT * FROM lab."w w"') == [(3, "u***@example.org", None)]
        assert code_of(writer, "SELECT * FROM lab.v") == "relation_denied"
        assert code_of(writer, "SELECT * FROM lab.over_v") == "view_denied"
        assert [row[0] for row in writer('DESCRIBE lab."w w"')] == ["id", "email", "salary"]
        owner(service.engine)("CALL neurolake.set_policy('id', '*', 'column:people.id', 'null')")
        assert writer('SELECT id FROM lab."w w"') == []
        assert owner(service.engine)('SELECT salary FROM lab."w w"') == [(3000,)]
        for text, code in (
            ('ALTER VIEW lab."w w" RENAME TO __neurolake_v', "reserved_name"),
            ("ALTER VIEW people RENAME TO p", "privilege_missing"),
            ("ALTER VIEW lab.nowhere RENAME TO n", "relation_denied"),
        ):
            assert code_of(writer, text) == code, text
        writer('DROP VIEW lab."w w"')
        writer("SET ROLE analyst")
        assert code_of(writer, "ALTER VIEW lab.over_v RENAME TO x") == "privilege_missing"
