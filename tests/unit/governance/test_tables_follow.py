"""What becomes of grants, findings and policies when tables are made, renamed, replaced and dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake.governance.access import TableDecision
from neurolake.governance.tables import detail_of
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal, Request
from neurolake.sql.text import Name

ANALYST = Principal("ann", "analyst", roles=("analyst",))
PEOPLE = Name("main", "people")


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    """A lake with a table that analysts may read, masked in one column."""
    with open_with_people(":memory:") as opened:
        yield opened


@contextmanager
def open_with_people(place: str | Path) -> Iterator[EmbeddedLake]:
    opened = neurolake.connect(place)
    assert isinstance(opened, EmbeddedLake)
    with opened:
        opened.sql("CREATE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)").close()
        opened.call("create_role", "staff")
        opened.call("create_role", "analyst", ["staff"])
        opened.call("grant", "read", "people", "analyst")
        opened.call("set_pii", "people", None, "confirmed")
        opened.call("set_pii", "column:people.email", "EMAIL_ADDRESS", "confirmed")
        opened.call("set_policy", "pay", "*", "column:people.pay", "null")
        yield opened


def decide(lake: EmbeddedLake, name: Name = PEOPLE, **columns: str) -> TableDecision:
    types = columns or {"id": "BIGINT", "email": "VARCHAR", "pay": "BIGINT"}
    return lake.engine.access.decide(ANALYST, name, types)


def conditions(lake: EmbeddedLake, name: Name = PEOPLE) -> set[str]:
    return {one.condition for one in decide(lake, name).filters}


def shown(lake: EmbeddedLake, name: Name = PEOPLE, **columns: str) -> dict[str, str]:
    return {column.column: column.action for column in decide(lake, name, **columns).columns}


def run(lake: EmbeddedLake, *texts: str) -> None:
    for text in texts:
        lake.sql(text).close()


OPEN = {"id": "allow", "email": "null", "pay": "null"}
CLOSED = dict.fromkeys(OPEN, "absent")


class TestANewTableOfAnOldName:
    @pytest.mark.parametrize(
        "texts",
        [
            ("DROP TABLE people", "CREATE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)"),
            ("DROP TABLE lake.main.people", "CREATE VIEW people AS SELECT 1::BIGINT id, 'x' email, 2::BIGINT pay"),
            ("CREATE OR REPLACE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)",),
            ('/* anew */ CREATE OR REPLACE TABLE "People" (id BIGINT, email VARCHAR, pay BIGINT)',),
            ("BEGIN", "DROP TABLE people", "CREATE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)", "COMMIT"),
            ("CREATE OR REPLACE TABLE people AS SELECT 1::BIGINT AS id, 'x' AS email, 2::BIGINT AS pay, 3 AS temp",),
            ("DROP /* the old */ TABLE -- of the\n people", "CREATE TABLE people (id INT, email VARCHAR, pay INT)"),
            ("DROP /* a /* nested */ comment */ TABLE people", "CREATE TABLE people (id INT, email VARCHAR)"),
            ("DROP TABLE lake.people", "CREATE TABLE lake.people (id BIGINT, email VARCHAR, pay BIGINT)"),
            ("CREATE TEMP TABLE people (a INT)", "DROP TABLE lake.main.people", "CREATE TABLE main.people (id BIGINT)"),
            ("CREATE TEMP TABLE people (a INT)", "DROP TABLE lake.people", "DROP TABLE people",
             "CREATE TABLE people (id BIGINT)"),
            ("CREATE SCHEMA s", "USE s", "SET search_path = 'lake.main,lake.s'", "DROP TABLE people",
             "CREATE TABLE people (id BIGINT)"),
        ],
    )  # fmt: skip
    def test_is_closed(self, lake: EmbeddedLake, texts: tuple[str, ...]) -> None:
        assert shown(lake) == OPEN
        run(lake, *texts)
        assert shown(lake) == CLOSED
        assert decide(lake).privileges == frozenset()

    def test_loaded_in_place_of_the_old_one(self, lake: EmbeddedLake) -> None:
        lake.load("people", [{"id": 1, "email": "a", "pay": 1}], mode="append")
        assert shown(lake) == OPEN
        lake.load("people", [{"id": 1, "email": "a", "pay": 1}], mode="replace")
        assert shown(lake) == CLOSED

    def test_what_protected_the_old_one_protects_it(self, lake: EmbeddedLake) -> None:
        run(lake, "CREATE OR REPLACE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)")
        lake.call("grant", "read", "schema:main", "analyst")
        assert shown(lake) == CLOSED
        lake.engine.governance.classification.record(PEOPLE, {"id": "BIGINT", "email": "VARCHAR", "pay": "BIGINT"}, [])
        assert shown(lake) == OPEN  # the scan found no mail, but somebody had confirmed it

    def test_a_grant_on_the_schema_holds_for_it_once_it_was_looked_at(self, lake: EmbeddedLake) -> None:
        lake.call("grant", "read", "schema:main", "analyst")
        run(lake, "CREATE TABLE fresh (a INT)")
        assert shown(lake, Name("main", "fresh"), a="INTEGER") == {"a": "absent"}
        lake.call("set_pii", "fresh", None, "confirmed")
        assert shown(lake, Name("main", "fresh"), a="INTEGER") == {"a": "allow"}

    def test_an_own_policy_no_longer_replaces_the_inherited_one(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "pay_of_analysts", "analyst", "column:people.pay", "allow")
        lake.call("set_row_filter", "all", "*", "people", "id = 1")
        lake.call("set_row_filter", "of_analysts", "analyst", "people", "true")
        assert shown(lake)["pay"] == "allow"
        assert conditions(lake) == {"true"}
        run(lake, "CREATE OR REPLACE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)")
        lake.call("grant", "read", "people", "analyst")
        lake.call("set_pii", "people", None, "confirmed")
        assert shown(lake)["pay"] == "null"
        assert conditions(lake) == {"id = 1", "true"}
        lake.call("set_policy", "pay_of_analysts", "analyst", "column:people.pay", "allow")
        assert shown(lake)["pay"] == "allow"

    def test_what_was_undone_changes_nothing(self, lake: EmbeddedLake) -> None:
        run(lake, "BEGIN", "DROP TABLE people", "ROLLBACK", "CREATE TABLE IF NOT EXISTS people (id INT)")
        with pytest.raises(errors.InvalidRequest):
            run(lake, "CREATE TABLE people (id INT)")
        assert shown(lake) == OPEN

    def test_it_holds_after_a_restart(self, tmp_path: Path) -> None:
        with open_with_people(tmp_path / "lake") as lake:
            run(lake, "CREATE TABLE other (a INT)")
            lake.call("grant", "read", "other", "analyst")
            run(lake, "DROP TABLE people")
        with neurolake.connect(tmp_path / "lake") as again:
            assert isinstance(again, EmbeddedLake)
            assert shown(again) == CLOSED
            assert decide(again, Name("main", "other"), a="INTEGER").privileges == {"read"}


class TestSources:
    def test_another_source_under_the_name_is_closed(self, lake: EmbeddedLake, tmp_path: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / f"{name}.csv").write_text("a,b\n1,x\n")
        lake.register("files", tmp_path / "one.csv")
        lake.call("grant", "read", "files", "analyst")
        lake.call("set_pii", "files", None, "confirmed")
        files = Name("main", "files")
        assert set(shown(lake, files, a="BIGINT", b="VARCHAR").values()) == {"allow"}
        lake.unregister("files")
        lake.register("files", tmp_path / "two.csv")
        assert set(shown(lake, files, a="BIGINT", b="VARCHAR").values()) == {"absent"}

    def test_a_column_that_came_later_or_changed_its_type_is_absent(self, lake: EmbeddedLake) -> None:
        assert shown(lake, id="BIGINT", email="VARCHAR", pay="VARCHAR", extra="INTEGER") == {
            "id": "allow", "email": "null", "pay": "absent", "extra": "absent",
        }  # fmt: skip


class TestRenames:
    def test_a_table_takes_everything_along(self, lake: EmbeddedLake) -> None:
        lake.call("set_row_filter", "first", "*", "people", "id = 1")
        run(lake, 'ALTER TABLE people RENAME TO "The Staff"')
        assert shown(lake, Name("main", "The Staff")) == OPEN
        assert conditions(lake, Name("main", "The Staff")) == {"id = 1"}
        assert shown(lake) == CLOSED
        run(lake, "CREATE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)")
        assert shown(lake) == CLOSED

    def test_a_column_takes_everything_along(self, lake: EmbeddedLake) -> None:
        run(lake, "ALTER TABLE people RENAME COLUMN email TO contact", "ALTER TABLE people RENAME pay TO salary")
        assert shown(lake, id="BIGINT", contact="VARCHAR", salary="BIGINT") == {
            "id": "allow", "contact": "null", "salary": "null",
        }  # fmt: skip

    def test_a_column_dropped_and_made_again_is_closed(self, lake: EmbeddedLake) -> None:
        run(lake, "ALTER TABLE people DROP COLUMN id", "ALTER TABLE people ADD COLUMN id BIGINT")
        assert shown(lake) == {**OPEN, "id": "absent"}

    def test_a_comment_hides_no_rename(self, lake: EmbeddedLake) -> None:
        run(lake, "ALTER TABLE people /* to */ RENAME -- it\n TO staff")
        assert shown(lake, Name("main", "staff")) == OPEN
        assert shown(lake) == CLOSED

    def test_a_temporary_table_of_the_name_is_another(self, lake: EmbeddedLake) -> None:
        run(lake, "CREATE TEMP TABLE people (a INT)", "ALTER TABLE people ADD COLUMN b INT", "DROP TABLE people")
        assert shown(lake) == OPEN

    def test_a_new_column_closes_nothing_else(self, lake: EmbeddedLake) -> None:
        run(lake, "ALTER TABLE people ADD COLUMN note VARCHAR")
        assert shown(lake) == OPEN

    @pytest.mark.parametrize(
        ("text", "detail"),
        [
            ("ALTER TABLE IF EXISTS lake.s.t RENAME TO u;", '{"rename": "u"}'),
            ("alter view v rename to w", '{"rename": "w"}'),
            ('ALTER TABLE "a b"."c" RENAME "d e" TO f', '{"rename_column": ["d e", "f"]}'),
            ("ALTER TABLE t DROP IF EXISTS c CASCADE", '{"drop_column": "c"}'),
            ("ALTER TABLE t ALTER COLUMN c TYPE INT", ""),
            ("ALTER TABLE t SET ('x' = 1)", ""),
            ("ALTER TABLE t RENAME COLUMN a.b TO c", '{"unread": true}'),
            ("ALTER SOMETHING t", '{"unread": true}'),
        ],
    )  # fmt: skip
    def test_how_an_alter_is_read(self, text: str, detail: str) -> None:
        assert detail_of("ALTER", text, None) == detail


class TestSchemas:
    def test_a_schema_made_again_is_closed(self, lake: EmbeddedLake) -> None:
        run(lake, "CREATE SCHEMA s", "CREATE TABLE s.t (a INT)")
        lake.call("grant", "read", "schema:s", "analyst")
        lake.call("set_pii", "s.t", None, "confirmed")
        table = Name("s", "t")
        assert shown(lake, table, a="INTEGER") == {"a": "allow"}
        run(lake, "DROP SCHEMA lake.s CASCADE", "CREATE SCHEMA s", "CREATE TABLE s.t (a INT)")
        assert shown(lake, table, a="INTEGER") == {"a": "absent"}
        lake.call("grant", "read", "schema:s", "analyst")
        assert shown(lake, table, a="INTEGER") == {"a": "absent"}

    def test_names_with_dots_close_whatever_they_may_be(self, lake: EmbeddedLake) -> None:
        run(lake, 'CREATE SCHEMA "a.b"', 'CREATE TABLE "a.b"."c" (a INT)')
        lake.call("grant", "read", 'table:"a.b".c', "analyst")
        assert decide(lake, Name("a.b", "c"), a="INTEGER").privileges == {"read"}
        run(lake, 'DROP TABLE "a.b".c')
        assert decide(lake, Name("a.b", "c"), a="INTEGER").privileges == frozenset()


class TestUntilTheMetadataKnows:
    def test_a_table_in_doubt_is_closed(self, lake: EmbeddedLake) -> None:
        outbox = lake.engine.outbox
        event = outbox.append(lake.engine.instance.cursor(), "", "DROP TABLE", "main.people", "x")
        with outbox.settling([event]):
            assert shown(lake) == CLOSED
            assert "changed" in decide(lake).reason
            assert decide(lake, Name("main", "other"), a="INTEGER").reason != decide(lake).reason
            with pytest.raises(errors.Unavailable) as caught:
                lake.engine.run(Request("SELECT * FROM people", lake.engine.session(ANALYST)))
            assert caught.value.code == "table_changing"
            assert caught.value.retryable
        lake.call("grant", "read", "people", "analyst")
        assert decide(lake).privileges == {"read"}

    def test_a_plan_made_before_is_made_again(self, lake: EmbeddedLake) -> None:
        plan = lake.engine.plan(Request("SELECT count(*) FROM people", lake.session))
        before = lake.engine.versions(lake.session)
        lake.call("drop_policy", "pay")
        assert lake.engine.versions(lake.session) != before
        assert lake.engine.execute(plan).fetchall() == [(0,)]

    def test_a_crash_before_the_metadata_knew(self, tmp_path: Path) -> None:
        """The tables have changed, and so has the outbox, in one transaction; nothing else was done."""
        with open_with_people(tmp_path / "lake") as lake:
            cursor = lake.engine.instance.cursor()
            cursor.run("BEGIN")
            cursor.run("CREATE OR REPLACE TABLE lake.people (id BIGINT, email VARCHAR, pay BIGINT)")
            lake.engine.outbox.append(cursor, "q", "CREATE TABLE", "main.people", "owner")
            cursor.run("COMMIT")
            assert shown(lake) == OPEN
        with neurolake.connect(tmp_path / "lake") as again:
            assert isinstance(again, EmbeddedLake)
            assert shown(again) == CLOSED
            events = again.sql("SELECT event, query_id FROM neurolake.audit WHERE event = 'create_table'").fetchall()
            assert events == [("create_table", "q")]

    def test_an_event_is_followed_once(self, lake: EmbeddedLake) -> None:
        """A crash between applying an event and forgetting it must not take away what was granted since."""
        run(lake, "DROP TABLE people", "CREATE TABLE people (id BIGINT, email VARCHAR, pay BIGINT)")
        lake.call("grant", "read", "people", "analyst")
        rows = lake.engine.store.rows("SELECT event_id, query_id, verb, object, user_name, at FROM events")
        lake.engine.catalog.apply([neurolake.catalog.Event(*row) for row in rows])
        assert decide(lake).privileges == {"read"}


def test_who_makes_a_table_may_use_it(lake: EmbeddedLake) -> None:
    run(lake, "CREATE TABLE mine (a INT)", "CREATE TABLE theirs (a INT)")
    from neurolake.catalog import Event

    made = Event("e1", "", "CREATE TABLE", "main.mine", "ann", 0.0, '{"role": "analyst"}')
    maybe = Event("e2", "", "CREATE TABLE", "main.theirs", "ann", 0.0, '{"role": "analyst", "if_not_exists": true}')
    lake.engine.catalog.apply([made, maybe])
    assert decide(lake, Name("main", "mine"), a="INTEGER").privileges == {"read", "write", "create"}
    assert decide(lake, Name("main", "theirs"), a="INTEGER").privileges == frozenset()
