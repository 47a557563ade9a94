"""ALTER TABLE as a way around a mask: on two lakes that differ in hidden values alone, each in a transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract.wire import Wire

from attacks.lakes import USER_PASSWORD, Served
from attacks.test_attacks import attempt
from attacks.test_views import differing

WAYS = (
    "ALTER TABLE lab.pay RENAME COLUMN salary TO open_salary",
    "ALTER TABLE lab.pay RENAME salary TO note",
    "ALTER TABLE lab.pay RENAME id TO salary",
    "ALTER TABLE lab.pay DROP COLUMN salary",
    "ALTER TABLE lab.pay ALTER salary TYPE VARCHAR",
    "ALTER TABLE lab.pay ALTER salary TYPE DOUBLE USING salary / 2",
    "ALTER TABLE lab.pay ALTER note TYPE VARCHAR USING salary::VARCHAR",
    "ALTER TABLE lab.pay ALTER note TYPE INTEGER",
    "ALTER TABLE lab.pay ALTER id TYPE VARCHAR",
    "ALTER TABLE lab.pay ALTER salary SET DEFAULT 1",
    "ALTER TABLE lab.pay ALTER salary SET NOT NULL",
    "ALTER TABLE lab.pay ALTER note SET DEFAULT (SELECT max(s) FROM secrets)",
    "ALTER TABLE lab.pay ALTER note SET DEFAULT salary",
    "ALTER TABLE lab.pay ALTER note SET DEFAULT leak()",
    "ALTER TABLE lab.pay ALTER note SET DEFAULT lower('A')",
    "ALTER TABLE lab.pay ADD COLUMN c VARCHAR DEFAULT (SELECT max(s) FROM secrets)",
    "ALTER TABLE lab.pay ADD COLUMN c VARCHAR DEFAULT leak()",
    "ALTER TABLE lab.pay ADD COLUMN c VARCHAR DEFAULT note",
    "ALTER TABLE lab.pay ADD COLUMN c VARCHAR DEFAULT getenv('HOME')",
    "ALTER TABLE lab.pay ADD COLUMN c BIGINT DEFAULT nextval('numbers')",
    "ALTER TABLE lab.pay ADD COLUMN c BIGINT GENERATED ALWAYS AS (salary)",
    "ALTER TABLE lab.pay ADD COLUMN c BIGINT AS (salary)",
    "ALTER TABLE lab.pay ADD COLUMN c BIGINT CHECK (salary > 0)",
    "ALTER TABLE lab.pay ADD COLUMN c mood",
    "ALTER TABLE lab.pay ADD COLUMN c ENUM (SELECT s FROM secrets)",
    "ALTER TABLE lab.pay ADD COLUMN c INTEGER) ; SELECT * FROM secrets; --",
    "ALTER TABLE lab.pay ADD COLUMN __neurolake_c INTEGER",
    "ALTER TABLE lab.pay ADD COLUMN salary INTEGER",
    "ALTER TABLE lab.pay ADD PRIMARY KEY (salary)",
    "ALTER TABLE lab.pay SET SORTED BY (salary)",
    "ALTER TABLE lab.pay RENAME TO people",
    "ALTER TABLE lab.pay RENAME TO __neurolake_pay",
    "ALTER TABLE lab.pay SET SCHEMA main",
    "ALTER TABLE lab.half ADD COLUMN hidden INTEGER",
    "ALTER TABLE lab.half ADD COLUMN other INTEGER",
    "ALTER TABLE lab.half RENAME COLUMN hidden TO id2",
    "ALTER TABLE lab.half DROP COLUMN nowhere",
    "ALTER TABLE lab.filtered RENAME COLUMN region TO r",
    "ALTER TABLE lab.filtered DROP COLUMN region",
    "ALTER TABLE lab.filtered ADD COLUMN c INTEGER",
    "ALTER TABLE people ADD COLUMN c INTEGER",
    "ALTER TABLE people RENAME COLUMN ssn TO open_ssn",
    "ALTER TABLE secrets RENAME TO mine",
    "ALTER TABLE lake.other.vault RENAME COLUMN v TO w",
    "ALTER TABLE customers ADD COLUMN c INTEGER",
    "ALTER VIEW v_people RENAME TO v",
    "ALTER SEQUENCE numbers OWNED BY people",
    "ALTER SCHEMA lab RENAME TO main2",
    "ALTER DATABASE lake RENAME TO sea",
)

LOOKS = (
    "SELECT * FROM lab.pay ORDER BY ALL", "SELECT * FROM lab.half ORDER BY ALL", "SELECT * FROM lab.filtered",
    "SELECT open_salary FROM lab.pay", "SELECT c FROM lab.pay", "SELECT * FROM mine", "DESCRIBE lab.pay",
)  # fmt: skip


@pytest.fixture(scope="module")
def shapers(lakes: tuple[Served, Served]) -> Iterator[tuple[Wire, Wire]]:
    """Sessions of a role that may make and drop what stands in `lab`, and reads some of it masked."""
    for lake in lakes:
        for statement in (
            f"CREATE TABLE lab.pay AS SELECT i AS id, {lake.number} + i AS salary, 'n' || i AS note "
            "FROM generate_series(0, 2) r(i)",
            f"CREATE TABLE lab.half AS SELECT i AS id, '{lake.mark}' AS hidden FROM generate_series(0, 2) r(i)",
            f"CREATE TABLE lab.filtered AS SELECT i AS id, '{lake.mark}' AS region FROM generate_series(0, 2) r(i)",
            *(f"CALL neurolake.set_pii('lab.{table}', null, 'confirmed')" for table in ("pay", "half", "filtered")),
            "CALL neurolake.set_policy('pay_salary', '*', 'column:lab.pay.salary', 'null')",
            "CALL neurolake.set_policy('half_hidden', '*', 'column:lab.half.hidden', 'block')",
            "CALL neurolake.set_row_filter('filtered', '*', 'lab.filtered', 'region = ''none''')",
        ):
            lake.admin(statement)
    first, second = (Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD) for lake in lakes)
    yield first, second
    for lake in lakes:
        for table in ("pay", "half", "filtered"):
            lake.admin(f"DROP TABLE lab.{table}")
        for policy in ("pay_salary", "half_hidden"):
            lake.admin(f"CALL neurolake.drop_policy('{policy}')")
        lake.admin("CALL neurolake.drop_row_filter('filtered')")


@pytest.mark.parametrize("way", WAYS)
def test_no_change_of_a_table_brings_hidden_values_out(shapers: tuple[Wire, Wire], way: str) -> None:
    assert differing(shapers, (way, *LOOKS)) == []


def test_what_is_hidden_stays_so_after_a_rename_that_lasts(lakes: tuple[Served, Served]) -> None:
    lake = lakes[0]
    wil = Wire(f"grpc://127.0.0.1:{lake.service.port}", "wil", USER_PASSWORD)
    lake.admin(f"CREATE TABLE lab.kept AS SELECT 1 AS id, '{lake.mark}' AS hidden")
    lake.admin("CALL neurolake.set_pii('lab.kept', null, 'confirmed')")
    lake.admin("CALL neurolake.set_policy('kept', '*', 'column:lab.kept.hidden', 'null')")
    wil.update("ALTER TABLE lab.kept RENAME TO kept2")
    assert attempt(wil, "SELECT * FROM lab.kept2").rows == ["{'id': 1, 'hidden': None}"]
    wil.update("ALTER TABLE lab.kept2 RENAME id TO n")
    wil.update("ALTER TABLE lab.kept2 ADD COLUMN id INTEGER DEFAULT 5")
    assert attempt(wil, "SELECT * FROM lab.kept2").rows == ["{'n': 1, 'hidden': None}"]  # nobody has looked at `id`
    lake.admin("DROP TABLE lab.kept2")
    lake.admin("CALL neurolake.drop_policy('kept')")
