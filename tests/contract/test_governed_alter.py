"""ALTER TABLE by governed roles: what is told of a table follows, and what they do not see they do not change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.test_governed import Run, code_of, driver, embedded, owner, prepared, service
from flight.service import Service

__all__ = ["prepared", "service"]


@pytest.fixture(params=[embedded, driver], ids=["embedded", "driver"])
def writer(request: pytest.FixtureRequest, service: Service) -> Iterator[Run]:
    with request.param(service) as run:
        run("SET ROLE writer")
        run("CREATE TABLE lab.t (id INTEGER, s VARCHAR)")
        owner(service.engine)("CALL neurolake.set_pii('lab.t', null, 'confirmed')")
        run("INSERT INTO lab.t VALUES (1, 'a'), (2, 'b')")
        yield run


def test_columns_come_and_go(writer: Run, service: Service) -> None:
    writer("ALTER TABLE lab.t ADD COLUMN n DECIMAL(10, 2) DEFAULT -1.5")
    assert writer("SELECT * FROM lab.t ORDER BY id") == [(1, "a"), (2, "b")]  # nobody has looked at it yet
    owner(service.engine)("CALL neurolake.set_pii('lab.t', null, 'confirmed')")
    assert [float(n) for (n,) in writer("SELECT n FROM lab.t")] == [-1.5, -1.5]
    writer("ALTER TABLE lab.t DROP n")
    assert code_of(writer, "SELECT n FROM lab.t") == "binding"
    assert code_of(writer, "ALTER TABLE lab.t DROP COLUMN n") == "column_denied"
    assert code_of(writer, "ALTER TABLE lab.t ADD COLUMN id INTEGER") == "already_exists"
    writer("ALTER TABLE lab.t ADD COLUMN IF NOT EXISTS id INTEGER")


def test_defaults_constraints_and_types(writer: Run) -> None:
    writer("ALTER TABLE lab.t ALTER COLUMN s SET DEFAULT 'it''s'")
    writer("INSERT INTO lab.t (id) VALUES (3)")
    assert writer("SELECT s FROM lab.t WHERE id = 3") == [("it's",)]
    writer("ALTER TABLE lab.t ALTER s DROP DEFAULT")
    writer("ALTER TABLE lab.t ALTER id SET NOT NULL")
    assert code_of(writer, "INSERT INTO lab.t (s) VALUES ('x')") == "constraint"
    assert code_of(writer, "ALTER TABLE lab.t ALTER s TYPE INTEGER") == "conversion"
    assert code_of(writer, "ALTER TABLE lab.t ADD COLUMN c INTEGER DEFAULT length('a')") != ""
    writer("ALTER TABLE lab.t ALTER COLUMN id SET DATA TYPE BIGINT")
    assert writer("SELECT * FROM lab.t WHERE s = 'a'") == [("a",)]  # as another type it is another column


def test_what_is_said_of_a_column_goes_with_its_new_name(writer: Run, service: Service) -> None:
    admin = owner(service.engine)
    admin("CALL neurolake.set_policy('s', 'analyst', 'column:lab.t.s', 'allow')")
    admin("CALL neurolake.tag('column:lab.t.s', 'kept')")
    writer("ALTER TABLE lab.t RENAME COLUMN s TO txt")
    assert writer("SELECT txt FROM lab.t ORDER BY 1") == [("a",), ("b",)]
    writer("ALTER TABLE lab.t RENAME TO u")
    assert writer("SELECT txt FROM lab.u ORDER BY 1") == [("a",), ("b",)]
    assert admin("SELECT target FROM neurolake.policies WHERE name = 's'") == [("column:lab.u.txt",)]
    assert admin("SELECT table_name, column_name FROM neurolake.tags WHERE tag = 'kept'") == [("u", "txt")]


def test_what_is_not_seen_as_it_is_is_not_changed(writer: Run, service: Service) -> None:
    admin = owner(service.engine)
    assert code_of(writer, "ALTER TABLE people ADD COLUMN c INTEGER") == "privilege_missing"
    admin("CALL neurolake.grant('create', 'people', 'writer')")
    for change in ("ADD COLUMN c INTEGER", "ADD COLUMN ssn INTEGER", "DROP COLUMN id", "RENAME COLUMN id TO x"):
        assert code_of(writer, f"ALTER TABLE people {change}") == "write_denied"  # `ssn` is blocked
    admin("CALL neurolake.drop_policy('ssn')")
    for change in ("DROP COLUMN salary", "RENAME salary TO x", "ALTER email TYPE BLOB", "ALTER email SET DEFAULT 'x'"):
        assert code_of(writer, f"ALTER TABLE people {change}") == "column_denied"
    writer("ALTER TABLE people RENAME COLUMN region TO place")
    admin("CALL neurolake.set_row_filter('own', '*', 'people', 'place = ''north''')")
    assert code_of(writer, "ALTER TABLE people RENAME COLUMN place TO region") == "write_denied"


def test_it_is_undone_with_its_transaction(service: Service) -> None:
    with embedded(service) as run:
        run("SET ROLE writer")
        run("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        run("BEGIN")
        run("ALTER TABLE mine ADD COLUMN b INTEGER DEFAULT 2")
        assert run("SELECT * FROM mine") == [(1, 2)]
        run("ROLLBACK")
        assert run("SELECT * FROM mine") == [(1,)]
