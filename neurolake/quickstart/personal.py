"""The steps of quickstart on personal data: find it, mask it, and look at it in two roles."""

from __future__ import annotations

import json
import secrets
from typing import Any

from neurolake.adbc import translated
from neurolake.quickstart.demo import Demo
from neurolake.sql.text import literal

ROLE = "analyst"
USER = "ana"
FOUND = """\
SELECT column_name, entity, pii_status FROM neurolake.columns
WHERE table_name = 'customers' AND entity IS NOT NULL"""
LOOK = "SELECT full_name, email, phone, birth_date, iban, city FROM customers ORDER BY customer_id LIMIT 3"


def find(demo: Demo) -> dict[str, object]:
    """Scan the customers, and show which columns hold personal data."""
    _call(demo, "CALL neurolake.scan_pii('customers')")
    return {"columns": demo.ask(FOUND).to_pylist()}


def protect(demo: Demo) -> dict[str, object]:
    """Set the policies that are proposed, for every role but admin."""
    proposed = _call(demo, "CALL neurolake.propose_policies('customers')")
    for policy in proposed:
        options = json.loads(policy["options"])
        shown = f" {policy['options']}" if options else ""
        demo.say(f"   {policy['target'].removeprefix('column:'):<24}{policy['action'] + shown:<28}{policy['entity']}")
        given = [policy["name"], policy["role"], policy["target"], policy["action"]]
        _run(
            demo, f"CALL neurolake.set_policy({', '.join(map(literal, given))}, options => {literal(options or None)})"
        )
    demo.say(f"neurolake pii protect customers --apply --lake {demo.name}   does the same")
    return {"policies": proposed}


def compare(demo: Demo) -> dict[str, object]:
    """The same query as the administrator and as an analyst, who may read the table."""
    import adbc_driver_flightsql.dbapi as flightsql

    password = secrets.token_urlsafe(12)
    _make_analyst(demo, password)
    admin = demo.ask(LOOK)
    demo.say(f"\nThe same as {USER}, in the role {ROLE}:")
    login = {"username": USER, "password": password}
    with translated(demo.uri), flightsql.connect(demo.uri, db_kwargs=login, autocommit=True) as connection:
        governed = demo.ask(LOOK, connection)
    return {"admin": admin.to_pylist(), ROLE: governed.to_pylist()}


def _make_analyst(demo: Demo, password: str) -> None:
    """A role that may read the table, and a user in it; those of an earlier run are taken."""
    if not _run(demo, f"SELECT 1 FROM neurolake.roles WHERE role = {literal(ROLE)}"):
        _call(demo, f"CALL neurolake.create_role({literal(ROLE)})")
    _call(demo, f"CALL neurolake.grant('read', 'table:customers', {literal(ROLE)})")
    if _run(demo, f"SELECT 1 FROM neurolake.users WHERE user_name = {literal(USER)}"):
        _run(demo, "CALL neurolake.set_password(?, ?)", [USER, password])
    else:
        demo.say(f"CALL neurolake.create_user({literal(USER)}, ?, roles => [{literal(ROLE)}])")
        _run(demo, f"CALL neurolake.create_user(?, ?, roles => [{literal(ROLE)}])", [USER, password])


def _call(demo: Demo, text: str) -> list[dict[str, Any]]:
    demo.say(text)
    return _run(demo, text)


def _run(demo: Demo, text: str, values: list[object] | None = None) -> list[dict[str, Any]]:
    with translated(demo.uri), demo.connection.cursor() as cursor:
        cursor.execute(text, values)
        rows: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
        return rows
