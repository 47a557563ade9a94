"""Two served lakes that differ only in what the role `analyst` may not see: its own view of both is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from contract.clients import PASSWORD

from flight.service import Service
from neurolake.config import load
from neurolake.home import Home
from neurolake.query import OWNER, Request

USER_PASSWORD = "a password for ann"
MARKS = ("ALPHA", "OMEGA")
"""What every hidden text of a lake contains."""
NUMBERS = (0x5A5AA5A5, 0x3C3CC3C3)
"""What its hidden numbers start from, easily found in a buffer."""


class Served(NamedTuple):
    """One of the two lakes."""

    service: Service
    mark: str
    number: int

    def admin(self, sql: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator."""
        session = self.service.engine.session(OWNER)
        try:
            return self.service.engine.run(Request(sql, session)).fetchall()
        finally:
            session.close()


@contextmanager
def served(path: Path, which: int) -> Iterator[Served]:
    """Serve one of the lakes."""
    home = Home.open(path / "lake", create=True)
    flags = {"port": 0, "http_port": 0, "admin_password": PASSWORD, "shutdown_grace_s": 0}
    service = Service(home, load(home.path, flags=flags))
    service.start()
    lake = Served(service, MARKS[which], NUMBERS[which])
    try:
        # Tokens of the same value are the same in both.
        service.engine.store.set_fact("mask_key_1", "ab" * 32)
        service.engine.store.set_fact("mask_key_version", 1)
        for statement in [*_data(lake, which), _source(path, lake), *_rules(), *_shifted(lake), *MACROS]:
            lake.admin(statement)
        yield lake
    finally:
        service.stop()


def _data(lake: Served, which: int) -> list[str]:
    mark, number, extra = lake.mark, lake.number, "x" * (7 * which)
    person = f"""
        SELECT i AS id, CASE WHEN i < 10 THEN 'north' ELSE {"'south'" if which else "'south-of'"} END AS region,
            'person ' || i AS name,
            'u{mark}{extra}' || i || '@example.org' AS email,
            '+44 {number % 900}' || i || ' {mark}{extra} 42' AS phone,
            {number} + i AS salary,
            DATE '1990-01-01' + {10 + 90 * which} + i::INTEGER AS born,
            '941{mark}' || i AS zip,
            '10.1.2.' || ({10 + 100 * which} + i) AS ip,
            'Call ' || ({number} + i) || ' today' AS note,
            {41 + which} AS score,
            'code {mark}' AS code,
            CAST(CASE i % 2 WHEN 0 THEN 'm{mark}' ELSE 'n{mark}' END AS ENUM('m{mark}', 'n{mark}')) AS mood,
            ['l{mark}', 'k{extra}'] AS labels,
            {{'street': 's{mark}', 'number': {number}}} AS home,
            '078-{mark}-' || i AS ssn,
            'dna {mark}' AS dna
        FROM range({12 + 3 * which}) r(i)
    """
    return [
        "CREATE TYPE mood AS ENUM ('x', 'y')",
        f"CREATE TABLE people AS {person}",
        "CREATE TABLE orders AS SELECT i AS id, i % 10 AS person, (i * 1.5)::DOUBLE AS amount FROM range(40) r(i)",
        f"CREATE TABLE secrets AS SELECT 's{mark}{extra}' AS s",
        "CREATE SCHEMA other",
        f"CREATE TABLE other.vault AS SELECT 'v{mark}' AS v",
        "CREATE VIEW v_people AS SELECT * FROM people",
        "CREATE SEQUENCE numbers",
    ]


MACROS = (
    "CREATE MACRO leak() AS (SELECT max(s) FROM lake.main.secrets)",
    "CREATE MACRO lower(x) AS (SELECT max(s) FROM lake.main.secrets)",
    "CREATE MACRO md5(x) AS (SELECT max(s) FROM lake.main.secrets)",
    "CREATE MACRO sha256(x) AS x",
    "CREATE MACRO split_part(a, b, c) AS a",
    "CREATE MACRO all_people() AS TABLE SELECT * FROM lake.main.people",
    "CREATE MACRO range(x) AS TABLE SELECT * FROM lake.main.secrets",
)
"""What would betray everything, were it called in place of the engine's own functions."""


def _shifted(lake: Served) -> list[str]:
    """Days that differ, and that each lake's own key shifts to the same ones."""
    number = lake.service.engine.views.keys.derive(lake.mark).number
    days = (number % 30 + 1) * (-1 if number < 1 << 30 else 1)
    visits = f"""
        SELECT i AS id, DATE '2001-05-05' + i::INTEGER - {days} AS seen_on,
            TIMESTAMP '2001-05-05 10:00:00' + to_days(i::INTEGER - {days}) AS seen_at
        FROM range(6) r(i)
    """
    return [
        f"CREATE TABLE visits AS {visits}",
        "CALL neurolake.set_pii('visits', null, 'confirmed')",
        "CALL neurolake.grant('read', 'visits', 'analyst')",
        *(
            f"CALL neurolake.set_policy('{column}', 'analyst', 'column:visits.{column}', 'date_shift', "
            f"{{'scope': '{lake.mark}'}})"
            for column in ("seen_on", "seen_at")
        ),
    ]


def _source(path: Path, lake: Served) -> str:
    file = path / "customers.csv"
    rows = "".join(f"{i},c{lake.mark}{i}@example.org,{'NL' if i % 2 else 'DE'}\n" for i in range(5))
    file.write_text(f"id,email,country\n{rows}")
    return f"CALL neurolake.register('customers', '{file}')"


def _rules() -> list[str]:
    masks = {
        "name": ("token", ""), "email": ("partial", ", {'email': true}"), "phone": ("partial", ", {'last': 2}"),
        "salary": ("null", ""), "born": ("date_trunc", ", {'unit': 'year'}"), "zip": ("postcode", ", {'keep': 3}"),
        "ip": ("ip_prefix", ""), "note": ("redact", ""), "score": ("bucket", ", {'width': 10}"),
        "code": ("constant", ", {'value': 'withheld'}"), "mood": ("null", ""), "labels": ("null", ""),
        "home": ("null", ""), "dna": ("block", ""),
    }  # fmt: skip
    granted = ["id", "region", *masks]
    return [
        "CALL neurolake.create_role('analyst')",
        "CALL neurolake.create_role('other')",
        *(f"CALL neurolake.set_pii('{table}', null, 'confirmed')" for table in ("people", "orders", "customers")),
        *(f"CALL neurolake.grant('read', 'column:people.{column}', 'analyst')" for column in granted),
        "CALL neurolake.grant('read', 'orders', 'analyst')",
        "CALL neurolake.grant('read', 'customers', 'analyst')",
        *(
            f"CALL neurolake.set_policy('people_{column}', 'analyst', 'column:people.{column}', '{action}'{options})"
            for column, (action, options) in masks.items()
        ),
        "CALL neurolake.set_policy('customers_email', 'analyst', 'column:customers.email', 'null')",
        "CALL neurolake.set_row_filter('north', 'analyst', 'people', 'region = neurolake.attribute(''region'')')",
        "CREATE SCHEMA lab",
        "CALL neurolake.create_role('writer', ['analyst'])",
        *(f"CALL neurolake.grant('write', '{table}', 'writer')" for table in ("people", "orders", "customers")),
        *(f"CALL neurolake.grant('{right}', 'schema:lab', 'writer')" for right in ("read", "write", "create")),
        f"CALL neurolake.create_user('wil', '{USER_PASSWORD}', ['writer'])",
        "CALL neurolake.set_attribute('wil', 'region', 'north')",
        f"CALL neurolake.create_user('ann', '{USER_PASSWORD}', ['analyst'])",
        "CALL neurolake.set_attribute('ann', 'region', 'north')",
    ]
