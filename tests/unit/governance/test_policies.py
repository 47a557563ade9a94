"""Policies, row filters and what columns hold: what is refused, what it comes to, and when it takes effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import neurolake
from neurolake import errors
from neurolake.governance.classification import Finding
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal, Request
from neurolake.session import Session
from neurolake.sql.text import Name

PEOPLE = Name("main", "people")
TYPES = {"id": "INTEGER", "email": "VARCHAR", "born": "DATE", "tags": "VARCHAR[]"}
ANALYST = Principal("ann", "analyst")


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    """A lake with a table that analysts may read."""
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
        row = "1 AS id, 'ada@example.org' AS email, DATE '1985-04-12' AS born, ['a'] AS tags"
        opened.sql(f"CREATE TABLE people AS SELECT {row}").close()
        opened.call("create_role", "staff")
        opened.call("create_role", "analyst", ["staff"])
        opened.call("create_user", "ann", roles=["analyst"])
        opened.call("grant", "read", "people", "staff")
        opened.call("set_pii", "people", None, "confirmed")
        yield opened


@pytest.fixture
def ann(lake: EmbeddedLake) -> Iterator[Session]:
    """A session of an analyst."""
    session = lake.engine.session(lake.engine.governance.principal("ann"))
    yield session
    session.close()


def shown(lake: EmbeddedLake) -> dict[str, str]:
    decision = lake.engine.access.decide(ANALYST, PEOPLE, TYPES)
    return {column.column: column.action for column in decision.columns}


def code(lake: EmbeddedLake, name: str, *arguments: object) -> str:
    with pytest.raises(errors.NeuroLakeError) as caught:
        lake.call(name, *arguments)
    return caught.value.code


class TestSetting:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("p", "*", "people", "hide"), "policy_action"),
            (("p", "*", "people", "null", {"value": 1}), "policy_options"),
            (("p", "*", "people", "constant"), "policy_options"),
            (("p", "*", "people", "constant", {"value": None}), "policy_options"),
            (("p", "*", "people", "partial", {"last": -1}), "policy_options"),
            (("p", "*", "people", "partial", {"last": True}), "policy_options"),
            (("p", "*", "people", "partial", {"email": 1}), "policy_options"),
            (("p", "*", "people", "bucket", {"width": 0}), "policy_options"),
            (("p", "*", "people", "date_trunc", {"unit": "minute"}), "policy_options"),
            (("p", "*", "people", "ip_prefix", {"v4_bits": 33}), "policy_options"),
            (("p", "*", "people", "token", {"scope": ""}), "policy_options"),
            (("p", "*", "column:people.id", "partial"), "policy_type"),
            (("p", "*", "column:people.born", "redact"), "policy_type"),
            (("p", "*", "column:people.email", "bucket"), "policy_type"),
            (("p", "*", "column:people.tags", "token"), "policy_type"),
            (("p", "*", "column:people.id", "constant", {"value": "x"}), "policy_type"),
            (("p", "*", "column:people.id", "constant", {"value": 1 << 40}), "policy_type"),
            (("p", "*", "column:people.born", "constant", {"value": "soon"}), "policy_type"),
            (("p", "*", "column:people.nothing", "null"), "not_found"),
            (("p", "*", "nothing", "null"), "not_found"),
            (("p", "*", "schema:nothing", "null"), "not_found"),
            (("p", "nobody", "people", "null"), "role_unknown"),
            (("p", "admin", "people", "null"), "role_fixed"),
            (("a b", "*", "people", "null"), "bad_name"),
            (("p", "*", "tag:a b", "null"), "bad_name"),
            (("p", "*", "column:people", "null"), "bad_name"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, still: EmbeddedLake, arguments: tuple[object, ...], expected: str
    ) -> None:
        version = still.engine.governance.version
        assert code(still, "set_policy", *arguments) == expected
        assert still.engine.governance.version == version

    @pytest.mark.parametrize(
        "condition",
        [
            "", "1", "nothing = 1", "id IN (SELECT 1)", "EXISTS (FROM people)", "true) OR (SELECT true", "id = 1;",
            "true) UNION ALL SELECT * FROM people WHERE (true", "row_number() OVER () = 1", "count(*) > 0", "id = ?",
            "true) ORDER BY (id", "true) LIMIT (1", "true); DROP TABLE people; SELECT (1", "id = $x", "email", "null",
            "neurolake.attribute('a', 'b') = ''", "neurolake.attribute(id) = ''",
            "neurolake.other('a') = ''", "list_filter(tags, x -> true) = tags", "getenv('HOME') = 'x'",
            "getvariable('keys') = 'x'", "main.lower(email) = 'x'", "system.main.lower(email) = 'x'",
            "current_setting('threads') = '1'", "query('SELECT 1') = 1",
        ],
    )  # fmt: skip
    def test_a_condition_is_one_expression(self, still: EmbeddedLake, condition: str) -> None:
        with pytest.raises(errors.InvalidRequest):
            still.call("set_row_filter", "f", "*", "people", condition)
        assert still.sql("SELECT count(*) FROM neurolake.policies").fetchall() == [(0,)]

    @pytest.mark.parametrize(
        "condition",
        [
            "id = 1", "lower(email) LIKE 'ada%' ESCAPE '!'", "id + 1 IN (1, 2) OR email IS NOT NULL", "NOT id % 2 = 0",
            "born BETWEEN DATE '1980-01-01' AND DATE '1990-01-01'", "people.email ~ '.*org'", "(id, 1) = (1, 1)",
            "CASE WHEN id = 1 THEN true ELSE false END", "list_contains(tags, 'a')", "email = 'x' -- and no more",
            "email = coalesce(neurolake.attribute('email'), 'ada@example.org')", "year(born) = 1985", "true",
            "id = TRY_CAST(neurolake.attribute('id') AS INTEGER)",
        ],
    )  # fmt: skip
    def test_conditions_that_people_write(self, still: EmbeddedLake, condition: str) -> None:
        still.call("set_row_filter", "f", "*", "people", condition)
        session = still.engine.session(Principal("ann", "analyst"))
        assert len(still.engine.run(Request("SELECT id FROM people", session)).fetchall()) <= 1
        still.call("drop_row_filter", "f")

    def test_one_of_the_same_name_is_replaced(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "P", "*", "people", "null")
        lake.call("set_policy", "p", "staff", "column:people.id", "bucket")
        assert lake.sql("SELECT name, role, target, action, options FROM neurolake.policies").fetchall() == [
            ("p", "staff", "column:main.people.id", "bucket", '{"width": 10}')
        ]
        assert shown(lake) == {"id": "bucket", "email": "allow", "born": "allow", "tags": "allow"}

    def test_options_can_be_written_in_sql(self, lake: EmbeddedLake) -> None:
        lake.sql("CALL neurolake.set_policy('p', '*', 'column:people.id', 'bucket', {'width': 2.5})").close()
        lake.sql("CALL neurolake.set_policy('q', '*', 'column:people.email', 'partial', {'first': 1})").close()
        options = [row[0] for row in lake.sql("SELECT options FROM neurolake.policies ORDER BY name").fetchall()]
        assert options == ['{"width": 2.5}', '{"first": 1, "last": 0, "email": false}']


class TestWhatItComesTo:
    def test_an_action_that_cannot_keep_a_type_gives_null(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "p", "*", "people", "partial")
        assert shown(lake) == {"id": "null", "email": "partial", "born": "null", "tags": "null"}

    def test_a_policy_on_a_column_that_is_gone_closes_the_table(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "p", "staff", "column:people.born", "null")
        access, left = lake.engine.access, {"id": "INTEGER", "email": "VARCHAR"}
        decision = access.decide(ANALYST, PEOPLE, left)
        assert decision.privileges == frozenset()
        assert {column.action for column in decision.columns} == {"absent"}
        assert "the policy p names the column born" in decision.reason
        assert access.decide(Principal("bob", "other"), PEOPLE, left).reason == "the role other may not read it"

    def test_a_policy_on_the_lake_or_a_schema_holds_everywhere_in_it(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "p", "*", "lake", "null")
        assert set(shown(lake).values()) == {"null"}
        lake.call("set_policy", "p", "*", "schema:main", "block")
        assert set(shown(lake).values()) == {"absent"}

    def test_tags_of_schema_table_and_column(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "p", "*", "tag:secret", "null")
        for on, masked in (("schema:main", 4), ("people", 4), ("column:people.id", 1)):
            lake.call("tag", on, "Secret")
            assert list(shown(lake).values()).count("null") == masked
            lake.call("untag", on, "SECRET")
            assert list(shown(lake).values()).count("null") == 0

    def test_what_two_say_names_both(self, lake: EmbeddedLake) -> None:
        lake.call("set_policy", "b", "*", "column:people.email", "partial", {"last": 2})
        lake.call("set_policy", "a", "*", "people", "postcode")
        (email,) = [c for c in lake.engine.access.decide(ANALYST, PEOPLE, TYPES).columns if c.column == "email"]
        assert (email.action, email.policy) == ("null", None)
        assert email.reason == "policies a, b: different ones of equal rank"

    def test_who_is_closed_out_is_told_why(self, lake: EmbeddedLake, ann: Session) -> None:
        lake.call("set_policy", "p", "staff", "column:people.born", "null")
        lake.sql("ALTER TABLE people DROP COLUMN born").close()
        with pytest.raises(errors.AccessDenied, match="the policy p names the column born, which is not there"):
            lake.engine.run(Request("SELECT * FROM people", ann))
        lake.call("drop_policy", "p")
        lake.call("set_pii", "people", None, "auto")
        with pytest.raises(errors.AccessDenied, match="was not scanned or confirmed"):
            lake.engine.run(Request("SELECT * FROM people", ann))


class TestWhatColumnsHold:
    def record(self, lake: EmbeddedLake, *found: tuple[str, str, float]) -> None:
        findings = [Finding(PEOPLE, c, entity, sure, "share", 1.0, 10, "test") for c, entity, sure in found]
        lake.engine.governance.classification.record(PEOPLE, TYPES, findings)

    def test_an_entity_without_a_policy_is_null(self, lake: EmbeddedLake) -> None:
        lake.call("set_pii", "column:people.email", "email_address", "confirmed")
        assert shown(lake)["email"] == "null"
        lake.call("set_policy", "p", "*", "entity:EMAIL_ADDRESS", "allow")
        assert shown(lake)["email"] == "allow"
        lake.call("drop_policy", "p")
        lake.call("set_policy", "p", "analyst", "column:people.email", "partial")
        assert shown(lake)["email"] == "partial"

    def test_a_rejected_finding_stays_rejected(self, lake: EmbeddedLake) -> None:
        lake.call("set_pii", "people", None, "auto")
        assert set(shown(lake).values()) == {"absent"}
        self.record(lake, ("email", "URL", 0.95))
        assert shown(lake) == {"id": "allow", "email": "null", "born": "allow", "tags": "allow"}
        lake.call("set_pii", "column:people.email", "URL", "rejected")
        assert shown(lake)["email"] == "allow"
        self.record(lake, ("email", "URL", 0.99))
        assert shown(lake)["email"] == "allow"
        lake.call("set_pii", "column:people.email", "URL", "auto")
        assert shown(lake)["email"] == "absent"
        self.record(lake, ("email", "URL", 0.99))
        assert shown(lake)["email"] == "null"

    def test_what_is_not_sure_waits_for_a_review(self, lake: EmbeddedLake) -> None:
        lake.call("set_pii", "people", None, "auto")
        lake.call("set_policy", "p", "*", "entity:URL", "allow")
        self.record(lake, ("email", "URL", 0.6))
        assert shown(lake)["email"] == "null"
        lake.call("set_pii", "column:people.email", "URL", "confirmed")
        assert shown(lake)["email"] == "allow"

    def test_what_was_reviewed_stays_so(self, lake: EmbeddedLake) -> None:
        self.record(lake, ("email", "URL", 0.99))
        assert shown(lake)["email"] == "allow"
        status = lake.engine.governance.classification.status
        assert (status(PEOPLE, "EMAIL"), status(PEOPLE, "email", "INTEGER")) == ("confirmed", "unscanned")

    def test_declassified_with_a_reason(self, lake: EmbeddedLake) -> None:
        lake.call("set_pii", "people", "PERSON", "confirmed")
        assert set(shown(lake).values()) == {"null"}
        assert code(lake, "declassify", "people", " ") == "argument"
        lake.call("declassify", "people", "made-up people")
        assert set(shown(lake).values()) == {"allow"}
        (details,) = lake.sql("SELECT details FROM neurolake.audit WHERE event = 'declassify'").fetchall()[0]
        assert "made-up people" in details

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("people", None, "rejected"), "argument"), (("people", "PERSON", "maybe"), "argument"),
            (("column:people.nothing", None, "confirmed"), "not_found"), (("nothing", None, "confirmed"), "not_found"),
            (("lake", None, "confirmed"), "object_kind"), (("people", "a person", "confirmed"), "bad_name"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused(
        self, still: EmbeddedLake, arguments: tuple[object, ...], expected: str
    ) -> None:
        assert code(still, "set_pii", *arguments) == expected


class TestWhenItTakesEffect:
    TEXT = "SELECT email FROM people"

    def rows(self, lake: EmbeddedLake, ann: Session, text: str = TEXT) -> list[tuple[object, ...]]:
        return lake.engine.run(Request(text, ann)).fetchall()

    def test_for_the_very_next_statement(self, lake: EmbeddedLake, ann: Session) -> None:
        assert self.rows(lake, ann) == [("ada@example.org",)]
        lake.call("set_policy", "p", "*", "column:people.email", "null")
        assert self.rows(lake, ann) == [(None,)]
        lake.call("drop_policy", "p")
        assert self.rows(lake, ann) == [("ada@example.org",)]
        lake.call("revoke", "read", "people", "staff")
        with pytest.raises(errors.NeuroLakeError):
            self.rows(lake, ann)

    def test_inside_an_open_transaction(self, lake: EmbeddedLake, ann: Session) -> None:
        self.rows(lake, ann, "BEGIN")
        assert self.rows(lake, ann) == [("ada@example.org",)]
        lake.call("set_policy", "p", "*", "column:people.email", "constant", {"value": "hidden"})
        assert self.rows(lake, ann) == [("hidden",)]
        lake.call("set_row_filter", "f", "*", "people", "id = 2")
        assert self.rows(lake, ann) == []
        self.rows(lake, ann, "COMMIT")

    def test_for_a_plan_made_before(self, lake: EmbeddedLake, ann: Session) -> None:
        plan = lake.engine.plan(Request(self.TEXT, ann))
        prepared = lake.engine.plan(Request(f"{self.TEXT} WHERE id = ?", ann))
        lake.call("set_policy", "p", "*", "column:people.email", "null")
        for values, one in ((None, plan), ([1], prepared)):
            try:
                assert lake.engine.execute(one, Request(one.request.text, ann, values)).fetchall() == [(None,)]
            except errors.Unavailable as problem:
                assert problem.code == "plan_stale"
        lake.call("set_policy", "p", "*", "column:people.email", "block")
        with pytest.raises(errors.NeuroLakeError):
            lake.engine.execute(plan)

    def test_a_running_stream_ends_under_the_policy_it_began_with(self, lake: EmbeddedLake, ann: Session) -> None:
        result = lake.engine.run(Request(self.TEXT, ann))
        lake.call("revoke", "read", "people", "staff")
        assert result.fetchall() == [("ada@example.org",)]
