"""Users, roles, grants and sessions: what the procedures do, refuse, and mean for sessions that are open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import neurolake
from neurolake import errors
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal, Request
from neurolake.session import Session
from neurolake.sql.text import Name

PEOPLE = {"id": "INTEGER", "email": "VARCHAR"}


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    """A lake with a table, two roles and a user."""
    with made() as opened:
        yield opened


@pytest.fixture(scope="module")
def still() -> Iterator[EmbeddedLake]:
    """One for all tests that change nothing."""
    with made() as opened:
        yield opened


@contextmanager
def made() -> Iterator[EmbeddedLake]:
    opened = neurolake.connect(":memory:")
    assert isinstance(opened, EmbeddedLake)
    with opened:
        opened.sql("CREATE TABLE people AS SELECT 1 AS id, 'ada@example.org' AS email").close()
        opened.call("create_role", "Staff")
        opened.call("create_role", "analyst", ["staff"])
        opened.call("create_user", "ann", roles=["analyst", "staff"])
        opened.call("set_pii", "people", None, "confirmed")
        yield opened


@pytest.fixture
def ann(lake: EmbeddedLake) -> Iterator[Session]:
    """A session of the user."""
    session = lake.engine.session(lake.engine.governance.principal("ann"))
    yield session
    session.close()


def run(lake: EmbeddedLake, session: Session, text: str) -> list[tuple[object, ...]]:
    return lake.engine.run(Request(text, session)).fetchall()


def refusal(lake: EmbeddedLake, session: Session, text: str) -> str:
    with pytest.raises(errors.NeuroLakeError) as caught:
        run(lake, session, text)
    return caught.value.code


def code(lake: EmbeddedLake, name: str, *arguments: object) -> str:
    with pytest.raises(errors.NeuroLakeError) as caught:
        lake.call(name, *arguments)
    assert caught.value.next_step or caught.value.message
    return caught.value.code


class TestRoles:
    def test_a_new_role_may_do_nothing(self, lake: EmbeddedLake) -> None:
        decision = lake.engine.access.decide(Principal("ann", "analyst"), Name("main", "people"), PEOPLE)
        assert decision.privileges == frozenset()
        assert {column.action for column in decision.columns} == {"absent"}
        assert decision.reason == "the role analyst may not read it"

    def test_it_may_do_what_it_inherits(self, lake: EmbeddedLake) -> None:
        lake.call("grant", "read", "people", "staff")
        access = lake.engine.access
        assert access.roles_of("analyst") == ("analyst", "staff")
        assert access.may(Principal("ann", "analyst"), "read", "people")
        assert not access.may(Principal("ann", "analyst"), "write", "people")

    def test_roles_do_not_add_up(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("grant", "read", "people", "analyst")
        assert lake.engine.access.may(ann.principal, "read", "people")
        run(lake, ann, "SET ROLE staff")
        assert not lake.engine.access.may(ann.principal, "read", "people")

    @pytest.mark.parametrize(
        ("name", "arguments", "expected"),
        [
            ("create_role", ("analyst",), "already_exists"),
            ("create_role", ("ANALYST",), "already_exists"),
            ("create_role", ("admin",), "reserved_name"),
            ("create_role", ("a b",), "bad_name"),
            ("create_role", ("*",), "bad_name"),
            ("create_role", ("",), "bad_name"),
            ("create_role", ("r", ["nobody"]), "role_unknown"),
            ("create_role", ("r", ["admin"]), "role_fixed"),
            ("drop_role", ("nobody",), "role_unknown"),
            ("drop_role", ("admin",), "role_fixed"),
            ("drop_role", ("staff",), "role_inherited"),
            ("grant_role", ("nobody", "ann"), "role_unknown"),
            ("grant_role", ("staff", "nobody"), "user_unknown"),
            ("grant_role", ("staff", "ANN"), "user_unknown"),
            ("revoke_role", ("staff", "nobody"), "user_unknown"),
            ("create_user", ("ann",), "already_exists"),
            ("create_user", ("owner",), "reserved_name"),
            ("create_user", ("admin",), "reserved_name"),
            ("create_user", ("a:b",), "bad_name"),
            ("create_user", (" a",), "bad_name"),
            ("create_user", ("",), "bad_name"),
            ("create_user", ("a\nb",), "bad_name"),
            ("create_user", ("bob", "short"), "password_too_short"),
            ("create_user", ("bob", None, ["nobody"]), "role_unknown"),
            ("drop_user", ("nobody",), "user_unknown"),
            ("drop_user", ("admin",), "role_fixed"),
            ("set_attribute", ("nobody", "region", "north"), "user_unknown"),
            ("grant", ("read", "people", "nobody"), "role_unknown"),
            ("grant", ("read", "people", "*"), "privilege"),
            ("grant", ("read", "people", "admin"), "role_fixed"),
            ("grant", ("see", "people", "staff"), "privilege"),
            ("grant", ("call", "people", "staff"), "privilege"),
            ("grant", ("create", "column:people.id", "staff"), "privilege"),
            ("grant", ("read", "nothing", "staff"), "not_found"),
            ("grant", ("read", "column:people.nothing", "staff"), "not_found"),
            ("grant", ("read", "schema:nothing", "staff"), "not_found"),
            ("grant", ("read", "tag:secret", "staff"), "object_kind"),
            ("grant", ("read", "neurolake.users", "staff"), "reserved_name"),
            ("grant", ("read", "schema:neurolake", "staff"), "reserved_name"),
            ("revoke", ("read", "people", "staff"), "grant_unknown"),
            ("revoke", ("read", "nothing", "staff"), "grant_unknown"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, still: EmbeddedLake, name: str, arguments: tuple[object, ...], expected: str
    ) -> None:
        version = still.engine.governance.version
        assert code(still, name, *arguments) == expected
        assert still.engine.governance.version == version

    def test_a_revoked_privilege_may_come_from_elsewhere(self, lake: EmbeddedLake) -> None:
        lake.call("grant", "read", "lake", "staff")
        with pytest.raises(errors.NotFound, match="has it by another grant"):
            lake.call("revoke", "read", "people", "analyst")

    def test_grants_twice_are_one(self, lake: EmbeddedLake) -> None:
        for _ in range(2):
            lake.call("grant", "READ", "People", "Staff")
        assert lake.sql("SELECT role, privilege, object FROM neurolake.grants").fetchall() == [
            ("staff", "read", "table:main.people")
        ]
        lake.call("revoke", "read", "lake.main.people", "staff")
        assert lake.sql("SELECT count(*) FROM neurolake.grants").fetchall() == [(0,)]

    def test_a_dropped_role_leaves_nothing_behind(self, lake: EmbeddedLake) -> None:
        lake.call("grant", "read", "people", "analyst")
        lake.call("set_policy", "p", "analyst", "people", "null")
        lake.call("set_row_filter", "f", "analyst", "people", "id = 1")
        lake.call("drop_role", "analyst")
        lake.call("create_role", "analyst")
        for table in ("grants", "policies"):
            assert lake.sql(f"SELECT count(*) FROM neurolake.{table}").fetchall() == [(0,)]
        assert lake.engine.governance.principal("ann").roles == ("staff",)


class TestSessions:
    def test_the_first_role_is_active_and_others_can_be_taken(self, lake: EmbeddedLake, ann: Session) -> None:
        assert (ann.principal.role, ann.principal.roles) == ("analyst", ("analyst", "staff"))
        run(lake, ann, "SET ROLE staff")
        assert ann.principal.role == "staff"
        run(lake, ann, "SET ROLE = 'Analyst'")
        assert ann.principal.role == "analyst"
        run(lake, ann, 'set role "staff"')
        run(lake, ann, "RESET role")
        assert ann.principal.role == "analyst"

    @pytest.mark.parametrize("role", ["admin", "nobody", "'admin'", '"*"'])
    def test_no_other_role_can_be_taken(self, lake: EmbeddedLake, ann: Session, role: str) -> None:
        assert refusal(lake, ann, f"SET ROLE {role}") == "role_denied"
        assert ann.principal.role == "analyst"
        assert not ann.principal.is_admin

    def test_a_role_given_holds_at_once(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("create_role", "auditor")
        lake.call("grant_role", "auditor", "ann")
        run(lake, ann, "SET ROLE auditor")
        assert ann.principal.roles == ("analyst", "staff", "auditor")

    def test_a_role_taken_is_active_no_more(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("grant", "read", "lake", "analyst")
        run(lake, ann, "BEGIN")
        lake.call("revoke_role", "analyst", "ann")
        assert refusal(lake, ann, "SELECT * FROM people")
        assert (ann.principal.role, ann.principal.is_admin) == ("", False)
        run(lake, ann, "SET ROLE staff")
        assert refusal(lake, ann, "SET ROLE analyst") == "role_denied"

    def test_an_administrator_who_is_one_no_more(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("grant_role", "admin", "ann")
        run(lake, ann, "SET ROLE admin")
        plan = lake.engine.plan(Request("SELECT email FROM people", ann))
        assert run(lake, ann, "SELECT email FROM people") == [("ada@example.org",)]
        lake.call("revoke_role", "admin", "ann")
        assert refusal(lake, ann, "SELECT email FROM people")
        with pytest.raises(errors.NeuroLakeError):
            lake.engine.execute(plan)
        assert not ann.principal.is_admin

    def test_a_dropped_user_is_refused(self, lake: EmbeddedLake, ann: Session) -> None:
        run(lake, ann, "SET ROLE staff")
        lake.call("drop_user", "ann")
        assert refusal(lake, ann, "SELECT 1") == "user_dropped"
        lake.call("create_user", "ann", roles=["staff"])
        assert lake.engine.governance.principal("ann").roles == ("staff",)

    def test_attributes_hold_at_once(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("set_attribute", "ann", "Region", "north")
        run(lake, ann, "SET ROLE staff")
        assert ann.principal.attributes == {"region": "north"}
        lake.call("set_attribute", "ann", "region", None)
        run(lake, ann, "SET ROLE analyst")
        assert ann.principal.attributes == {}

    def test_a_user_without_a_role_may_read_nothing(self, lake: EmbeddedLake) -> None:
        lake.call("create_user", "bob")
        bob = lake.engine.session(lake.engine.governance.principal("bob"))
        assert bob.principal.role == ""
        assert refusal(lake, bob, "SELECT * FROM people")
        decision = lake.engine.access.decide(bob.principal, Name("main", "people"), PEOPLE)
        assert decision.reason == "no role is active"

    def test_a_token_limits_the_roles(self, lake: EmbeddedLake) -> None:
        principal = lake.engine.governance.principal("ann", scope=frozenset(["staff", "admin"]))
        session = lake.engine.session(principal)
        assert principal.roles == ("staff",)
        lake.call("grant_role", "admin", "ann")
        assert refusal(lake, session, "SET ROLE analyst") == "role_denied"
        run(lake, session, "SET ROLE admin")  # which the token names, and ann has now

    def test_the_owner_sees_what_a_role_sees(self, lake: EmbeddedLake) -> None:
        lake.sql("SET ROLE analyst").close()
        assert not lake.session.principal.is_admin
        with pytest.raises(errors.NeuroLakeError):
            lake.sql("SELECT * FROM people").fetchall()
        lake.sql("RESET ROLE").close()
        assert lake.sql("SELECT count(*) FROM people").fetchall() == [(1,)]

    def test_two_sessions_have_each_their_role_and_no_plan_of_the_other(self, lake: EmbeddedLake) -> None:
        lake.call("grant_role", "admin", "ann")
        text = "SELECT email FROM people"
        sessions = [lake.engine.session(lake.engine.governance.principal("ann", role)) for role in ("admin", "staff")]
        seen: list[object] = []

        def ask(session: Session) -> None:
            for _ in range(20):
                try:
                    seen.append((session.principal.role, tuple(run(lake, session, text))))
                except errors.NeuroLakeError:
                    seen.append((session.principal.role, None))

        threads = [threading.Thread(target=ask, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {("admin", (("ada@example.org",),)), ("staff", None)}


def test_users_of_a_home_that_knew_one_role_only(tmp_path: Path) -> None:
    with neurolake.connect(tmp_path / "lake") as lake:
        assert isinstance(lake, EmbeddedLake)
        with lake.engine.store.durable() as db:
            db.execute("DELETE FROM facts WHERE name = 'user_roles'")
            db.execute("INSERT INTO users VALUES ('admin', NULL, 'admin', 0)")
    for _ in range(2):
        with neurolake.connect(tmp_path / "lake") as lake:
            assert isinstance(lake, EmbeddedLake)
            assert lake.engine.governance.principal("admin").is_admin
            assert lake.sql("SELECT role, roles FROM neurolake.users").fetchall() == [("admin", ["admin"])]


class TestWhoMayCall:
    def test_governed_roles_administer_nothing(self, lake: EmbeddedLake, ann: Session) -> None:
        for privilege in ("read", "write", "create", "call"):
            lake.call("grant", privilege, "lake", "analyst")
        for call in (
            "create_role('x')", "drop_role('staff')", "create_user('x')", "drop_user('ann')",
            "grant_role('staff', 'ann')", "set_attribute('ann', 'region', 'all')", "register('x', '/etc/passwd')",
            "grant('read', 'people', 'analyst')", "grant('read', 'nothing', 'analyst')", "tag('people', 'x')",
            "revoke('read', 'people', 'analyst')", "set_pii('people', null, 'confirmed')", "untag('people', 'x')",
            "declassify('people', 'x')", "set_policy('p', '*', 'people', 'allow')", "drop_policy('p')",
            "set_row_filter('f', '*', 'people', 'true')", "drop_row_filter('f')", "set_description('people', 'x')",
            "set_policy('p', '*', 'lake', 'allow')", "set_policy('p', '*', 'tag:x', 'allow')",
            "set_password('admin', 'long enough')",
        ):  # fmt: skip
            assert refusal(lake, ann, f"CALL neurolake.{call}") == "access_denied"

    def test_some_procedures_need_no_more_than_call(self, lake: EmbeddedLake, ann: Session) -> None:
        assert refusal(lake, ann, "CALL neurolake.verify_audit()") == "access_denied"
        lake.call("grant", "call", "lake", "staff")
        assert len(run(lake, ann, "CALL neurolake.verify_audit()")) == 2

    def test_who_administers_a_table_does_so_there(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.sql("CREATE TABLE other (a INT)").close()
        lake.call("grant", "admin", "people", "analyst")
        for call in (
            "grant('read', 'people', 'staff')", "revoke('read', 'people', 'staff')", "tag('column:people.id', 'x')",
            "set_pii('column:people.email', 'EMAIL_ADDRESS', 'confirmed')", "set_policy('p', '*', 'people', 'null')",
            "set_row_filter('f', 'staff', 'people', 'id = 1')", "drop_policy('p')", "drop_row_filter('f')",
        ):  # fmt: skip
            run(lake, ann, f"CALL neurolake.{call}")
        lake.call("set_policy", "of_other", "*", "other", "null")
        for call in (
            "grant('read', 'other', 'analyst')", "drop_policy('of_other')", "grant('admin', 'schema:main', 'analyst')",
            "set_policy('of_other', '*', 'people', 'allow')", "set_policy('q', '*', 'tag:x', 'allow')",
            "create_role('y')",
        ):  # fmt: skip
            assert refusal(lake, ann, f"CALL neurolake.{call}") == "access_denied"

    def test_who_administers_the_lake_makes_no_administrators(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("grant", "admin", "lake", "analyst")
        run(lake, ann, "CALL neurolake.create_role('helper')")
        run(lake, ann, "CALL neurolake.grant_role('helper', 'ann')")
        lake.call("create_user", "root", roles=["admin"])
        for call in (
            "grant_role('admin', 'ann')", "create_user('eve', roles => ['admin'])", "grant('admin', 'lake', 'helper')",
            "drop_user('root')", "revoke_role('admin', 'root')", "set_password('admin', 'another password')",
        ):  # fmt: skip
            assert refusal(lake, ann, f"CALL neurolake.{call}") == "access_denied"


def test_changes_and_decisions_side_by_side(lake: EmbeddedLake) -> None:
    """Many threads change, decide and fail at once: nothing waits for ever, and the log is whole."""
    governance, problems = lake.engine.governance, list[BaseException]()

    def work(number: int) -> None:
        role = f"r{number}"
        try:
            lake.call("create_role", role)
            for _ in range(5):
                lake.call("grant", "read", "people", role)
                assert lake.engine.access.may(Principal("x", role), "read", "people")
                lake.call("revoke", "read", "people", role)
                assert not lake.engine.access.may(Principal("x", role), "read", "people")
                with pytest.raises(errors.NotFound):
                    lake.call("revoke", "read", "people", role)
                lake.sql(f"CREATE OR REPLACE TABLE t{number} (a INT)").close()
        except BaseException as problem:
            problems.append(problem)
            raise

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not problems
    assert not any(thread.is_alive() for thread in threads)
    assert {one.problem for one in governance.audit.verify()} == {None}
    assert governance.access.version == governance.version
