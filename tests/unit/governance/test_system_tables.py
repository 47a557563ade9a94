"""The system tables on governance: all for an administrator, and for the others what is theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import neurolake
from neurolake.lake import EmbeddedLake
from neurolake.query import Request

Ask = Callable[[str], list[Any]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLake]:
    """A lake with two tables and a source, of which ann may read one column, one table and nothing."""
    folder: Path = tmp_path_factory.mktemp("system")
    (folder / "files.csv").write_text("a\n1\n")
    opened = neurolake.connect(folder / "lake")
    assert isinstance(opened, EmbeddedLake)
    with opened:
        opened.sql("CREATE TABLE people AS SELECT 1 AS id, 'x' AS name, DATE '2000-01-01' AS born").close()
        opened.sql("CREATE TABLE vault AS SELECT 1 AS secret").close()
        opened.register("files", folder / "files.csv")
        for call in (
            ("create_role", "staff"), ("create_role", "analyst", ["staff"]), ("create_role", "auditor"),
            ("create_user", "ann", None, ["analyst"]), ("create_user", "bob", None, ["auditor"]),
            ("set_attribute", "ann", "region", "north"), ("set_attribute", "bob", "region", "south"),
            ("grant", "read", "column:people.id", "staff"), ("grant", "read", "column:people.born", "analyst"),
            ("grant", "read", "files", "analyst"), ("grant", "read", "vault", "auditor"),
            ("set_pii", "column:people.id", None, "confirmed"), ("set_pii", "column:people.name", None, "confirmed"),
            ("set_pii", "files", None, "confirmed"), ("set_pii", "vault", "PERSON", "confirmed"),
            ("tag", "people", "internal"), ("tag", "vault", "secret"), ("tag", "schema:main", "all"),
            ("set_policy", "p1", "staff", "column:people.id", "bucket"), ("set_policy", "p2", "*", "vault", "null"),
            ("set_policy", "p3", "auditor", "entity:PERSON", "redact"), ("set_policy", "p4", "*", "tag:secret", "null"),
            ("set_row_filter", "f1", "*", "people", "id > 0"), ("set_row_filter", "f2", "auditor", "vault", "true"),
        ):  # fmt: skip
            opened.call(*call)
        yield opened


@pytest.fixture
def ann(lake: EmbeddedLake) -> Iterator[Ask]:
    """Asks as ann, for the first column or the rows."""
    session = lake.engine.session(lake.engine.governance.principal("ann"))

    def ask(text: str) -> list[Any]:
        rows = lake.engine.run(Request(text, session)).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    yield ask
    session.close()


def test_columns_are_those_that_are_open(ann: Ask) -> None:
    assert ann("SELECT table_name, column_name, pii_status FROM neurolake.columns ORDER BY ALL") == [
        ("files", "a", "confirmed"), ("people", "id", "confirmed"),
    ]  # fmt: skip


def test_sources_are_those_that_may_be_read_and_not_where_they_lie(ann: Ask, lake: EmbeddedLake) -> None:
    assert ann("SELECT table_name, location, options FROM neurolake.sources") == [("files", None, None)]
    assert lake.sql("SELECT location LIKE '%files.csv' FROM neurolake.sources").fetchall() == [(True,)]


def test_tags_are_those_of_what_may_be_read(ann: Ask, lake: EmbeddedLake) -> None:
    assert ann("SELECT tag FROM neurolake.tags") == ["internal"]
    assert lake.sql("SELECT count(*) FROM neurolake.tags").fetchall() == [(3,)]


def test_policies_are_those_that_are_meant_for_the_role(ann: Ask, lake: EmbeddedLake) -> None:
    assert ann("SELECT name FROM neurolake.policies ORDER BY name") == ["f1", "p1", "p4"]
    assert lake.sql("SELECT count(*) FROM neurolake.policies").fetchall() == [(6,)]


def test_users_roles_and_grants_are_ones_own(ann: Ask, lake: EmbeddedLake) -> None:
    assert ann("SELECT user_name, attributes FROM neurolake.users") == [("ann", '{"region": "north"}')]
    assert ann("SELECT role FROM neurolake.roles") == ["analyst", "staff"]
    assert ann("SELECT DISTINCT role FROM neurolake.grants ORDER BY role") == ["analyst", "staff"]
    assert lake.sql("SELECT count(*) FROM neurolake.users").fetchall() == [(2,)]
    assert lake.sql("SELECT role FROM neurolake.roles ORDER BY role").fetchall() == [
        ("admin",), ("analyst",), ("auditor",), ("staff",),
    ]  # fmt: skip


def test_the_audit_log_is_ones_own(ann: Ask, lake: EmbeddedLake) -> None:
    assert ann("SELECT id FROM people") == [0]
    assert ann("SELECT DISTINCT user_name FROM neurolake.audit") == ["ann"]
    seen = lake.sql("SELECT DISTINCT user_name FROM neurolake.audit ORDER BY 1").fetchall()
    assert seen == [("ann",), ("owner",)]
