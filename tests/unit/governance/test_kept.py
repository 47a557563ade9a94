"""What is kept of a governed statement between two askings follows every change that bears on it, at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neurolake import errors
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal, Request
from neurolake.session import Session

ANN = Principal("ann", "analyst", roles=("analyst",), attributes={"region": "north"})
FORMS = (
    "SELECT id, email, salary FROM people WHERE id < {} ORDER BY id",
    "SELECT * FROM people WHERE id < {} ORDER BY id",
    "SELECT p.email AS mail, o.amount FROM orders o JOIN people p ON p.id = o.person WHERE p.id < {} ORDER BY ALL",
)
CHANGES = (
    "CALL neurolake.set_policy('email', 'analyst', 'column:people.email', 'constant', {'value': 'x'})",
    "CALL neurolake.set_policy('again', 'analyst', 'column:people.email', 'null')",
    "CALL neurolake.drop_policy('again')",
    "CALL neurolake.drop_policy('email')",
    "CALL neurolake.set_pii('column:people.email', 'EMAIL_ADDRESS', 'confirmed')",
    "CALL neurolake.set_policy('mails', '*', 'entity:EMAIL_ADDRESS', 'partial', {'email': true})",
    "CALL neurolake.set_pii('column:people.email', 'EMAIL_ADDRESS', 'rejected')",
    "CALL neurolake.set_policy('inner', '*', 'tag:inner', 'redact')",
    "CALL neurolake.tag('column:people.email', 'inner')",
    "CALL neurolake.untag('column:people.email', 'inner')",
    "CALL neurolake.set_row_filter('here', 'analyst', 'people', 'region = neurolake.attribute(''region'')')",
    "CALL neurolake.drop_row_filter('here')",
    "CALL neurolake.revoke('read', 'people', 'analyst')",
    "CALL neurolake.grant('read', 'column:people.id', 'analyst')",
    "CALL neurolake.grant('read', 'people', 'analyst')",
    "ALTER TABLE people ALTER COLUMN salary TYPE DOUBLE",
    "CALL neurolake.set_pii('people', null, 'confirmed')",
    "ALTER TABLE people RENAME COLUMN salary TO wage",
    "ALTER TABLE people RENAME COLUMN wage TO salary",
    "CALL neurolake.set_pii('people', null, 'confirmed')",
    "UPDATE people SET email = 'other@example.org'",
    "CREATE OR REPLACE TABLE people AS SELECT 1 AS id, 'new@example.org' AS email, 5 AS salary, 'north' AS region",
    "CALL neurolake.set_pii('people', null, 'confirmed')",
    "CALL neurolake.grant('read', 'people', 'analyst')",
    "CALL neurolake.revoke('read', 'orders', 'analyst')",
    "DROP TABLE people",
)
SILENT = frozenset(
    (
        "CALL neurolake.set_policy('inner', '*', 'tag:inner', 'redact')",
        "CALL neurolake.set_pii('people', null, 'confirmed')",
        "CALL neurolake.grant('read', 'people', 'analyst')",
    )
)
"""Changes that may show in no answer by themselves."""


@pytest.fixture
def lake() -> Iterator[EmbeddedLake]:
    lake = EmbeddedLake.open(":memory:")
    assert isinstance(lake, EmbeddedLake)
    with lake:
        for sql in (
            "CREATE TABLE people AS SELECT i AS id, 'u' || i || '@example.org' AS email, 1000 * i AS salary, "
            "CASE i % 2 WHEN 0 THEN 'north' ELSE 'south' END AS region FROM range(10) r(i)",
            "CREATE TABLE orders AS SELECT i AS id, i % 10 AS person, i * 0.5 AS amount FROM range(20) r(i)",
            "CALL neurolake.create_role('analyst')",
            *(f"CALL neurolake.set_pii('{name}', null, 'confirmed')" for name in ("people", "orders")),
            *(f"CALL neurolake.grant('read', '{name}', 'analyst')" for name in ("people", "orders")),
            "CALL neurolake.set_policy('email', 'analyst', 'column:people.email', 'partial', {'email': true})",
        ):
            lake.sql(sql).fetchall()
        yield lake


def seen(lake: EmbeddedLake, session: Session, form: str, number: int) -> str:
    """Names, types, marks and rows; or why there are none."""
    try:
        result = lake.engine.run(Request(form.format(number), session))
        fields = [(field.name, field.type, field.metadata) for field in result.schema]
        return repr((fields, result.fetchall()))
    except errors.NeuroLakeError as problem:
        return f"{type(problem).__name__} {problem.code}"


def warmed(lake: EmbeddedLake, session: Session) -> list[str]:
    """What every form gives once all is kept that is ever kept of it."""
    for number in range(20, 24):
        found = [seen(lake, session, form, number) for form in FORMS]
    return found


def anew(lake: EmbeddedLake) -> list[str]:
    """The same with nothing kept, in a session that has asked nothing."""
    engine = lake.engine
    for kept in (engine.forms.known, engine.forms.spelled, engine.forms.conditions, engine.views._planned):
        kept.clear()
    engine._plans.clear()
    session = engine.session(ANN)
    found = [seen(lake, session, form, 30) for form in FORMS]
    session.close()
    return found


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
def test_every_change_is_seen_by_the_next_statement(lake: EmbeddedLake, in_transaction: bool) -> None:
    shown = set()
    for change in CHANGES:
        session = lake.engine.session(ANN)
        if in_transaction and change.startswith("CALL"):  # other changes are, rightly, not seen by an open transaction
            lake.engine.begin(session)
        before = warmed(lake, session)
        lake.sql(change).fetchall()
        after = [seen(lake, session, form, 25) for form in FORMS]
        assert after == anew(lake), change
        assert after != before or change in SILENT, change
        shown.update(after)
        session.close()
    assert len(shown) > len(CHANGES)


def test_other_attributes_give_other_rows(lake: EmbeddedLake) -> None:
    lake.sql(
        "CALL neurolake.set_row_filter('here', 'analyst', 'people', 'region = neurolake.attribute(''region'')')"
    ).fetchall()
    south = Principal("bob", "analyst", roles=("analyst",), attributes={"region": "south"})
    north, other = lake.engine.session(ANN), lake.engine.session(south)
    for number in range(20, 24):
        rows = [seen(lake, session, FORMS[1], number) for session in (north, other)]
        assert "south" not in rows[0] and "north" not in rows[1], number
    north.close()
    other.close()
