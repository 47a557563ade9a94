"""A generator of random statements, and the oracle that says whether a governed role sees by them what it may see.

The role asks two lakes that differ in hidden values alone. The third is the model: a lake whose tables hold exactly
what the role may see, asked by its administrator. All three must give the same rows, or fail alike.
"""

from __future__ import annotations

import hmac
import random
import re
from typing import NamedTuple

import neurolake
from neurolake import errors
from neurolake.lake import EmbeddedLake
from neurolake.query import Principal, Request
from neurolake.session import Session

ANN = Principal("ann", "analyst", roles=("analyst",), attributes={"region": "north"})
COLUMNS = {
    "people": (
        "id", "region", "email", "salary", "born", "note", "score", "code", "name", "ip", "zip", "seen_on"
    ),
    "orders": ("id", "person", "amount"),
}  # fmt: skip
ABSENT = ("ssn", "dna", "nowhere")
SECRET = bytes.fromhex("ab" * 32)
TOTAL = re.compile(r"(?<!TRY_)\bCAST\(")


class Asked(NamedTuple):
    """Somebody who runs queries on a lake."""

    lake: EmbeddedLake
    session: Session

    def outcome(self, sql: str) -> object:
        """The rows of a query, in no order, or that it failed."""
        try:
            rows = self.lake.engine.run(Request(sql, self.session)).fetchall()
        except errors.NeuroLakeError as problem:
            assert not isinstance(problem, errors.InternalProblem), sql
            return "failed"
        return sorted(map(repr, rows))


def derived(purpose: bytes, scope: str) -> bytes:
    return hmac.digest(SECRET, purpose + b"\0" + scope.encode(), "sha256")


def token(value: str) -> str:
    return "tok_" + hmac.digest(derived(b"neurolake token", "lake"), value.encode(), "sha256").hex()[:32]


def shift(scope: str) -> int:
    """By how many days the mask shifts a date of that scope."""
    number = int.from_bytes(derived(b"neurolake number", scope)[:4], "big") // 2 + 1
    return (number % 30 + 1) * (-1 if number < 1 << 30 else 1)


def people(mark: str, number: int, extra: int) -> str:
    born = f"DATE '1990-01-01' + ({number % 300})::INTEGER"
    return f"""
        SELECT i AS id, CASE WHEN i < 8 THEN 'north' ELSE 'south{mark}' END AS region,
            'u{mark}' || i || '@x.org' AS email, {number} + i AS salary, {born} AS born,
            'call ' || ({number} + i) AS note, {40 + number % 9} AS score, '{mark}' || i AS ssn,
            'code {mark}' AS code, 'person ' || (i % 5) AS name, '10.1.2.' || ({number % 100} + i) AS ip,
            '941{mark}' || i AS zip, DATE '2001-05-05' + (i % 4)::INTEGER - {shift(mark)} AS seen_on,
            'dna {mark}' AS dna
        FROM range({10 + extra}) r(i)
    """


SEEN = f"""
    SELECT i AS id, 'north' AS region, 'u***@x.org' AS email, CAST(NULL AS BIGINT) AS salary, DATE '1990-01-01' AS born,
        'call ***' AS note, 40 AS score, 'withheld' AS code,
        [{", ".join(repr(token(f"person {i}")) for i in range(5))}][i % 5 + 1] AS name, '10.1.2.0/24' AS ip,
        '941**' AS zip, DATE '2001-05-05' + (i % 4)::INTEGER AS seen_on
    FROM range(8) r(i)
"""
ORDERS = "SELECT i AS id, i % 9 AS person, (i * 1.5)::DOUBLE AS amount FROM range(12) r(i)"
RULES = (
    "CALL neurolake.create_role('analyst')",
    *(f"CALL neurolake.set_pii('{table}', null, 'confirmed')" for table in COLUMNS),
    *(f"CALL neurolake.grant('read', 'column:{t}.{c}', 'analyst')" for t, columns in COLUMNS.items() for c in columns),
    "CALL neurolake.set_policy('e', 'analyst', 'column:people.email', 'partial', {'email': true})",
    "CALL neurolake.set_policy('s', 'analyst', 'column:people.salary', 'null')",
    "CALL neurolake.set_policy('b', 'analyst', 'column:people.born', 'date_trunc')",
    "CALL neurolake.set_policy('n', 'analyst', 'column:people.note', 'redact')",
    "CALL neurolake.set_policy('c', 'analyst', 'column:people.score', 'bucket', {'width': 10})",
    "CALL neurolake.set_policy('k', 'analyst', 'column:people.code', 'constant', {'value': 'withheld'})",
    "CALL neurolake.set_policy('t', 'analyst', 'column:people.name', 'token')",
    "CALL neurolake.set_policy('i', 'analyst', 'column:people.ip', 'ip_prefix')",
    "CALL neurolake.set_policy('z', 'analyst', 'column:people.zip', 'postcode')",
    "CALL neurolake.grant('read', 'column:people.dna', 'analyst')",
    "CALL neurolake.set_policy('d', 'analyst', 'column:people.dna', 'block')",
    "CALL neurolake.set_row_filter('r', 'analyst', 'people', 'region = neurolake.attribute(''region'')')",
)


def opened(table: str, *rules: str) -> EmbeddedLake:
    lake = neurolake.connect(":memory:")
    assert isinstance(lake, EmbeddedLake)
    for statement in (f"CREATE TABLE people AS {table}", f"CREATE TABLE orders AS {ORDERS}", *rules):
        lake.sql(statement).close()
    return lake


def governed(mark: str, number: int, extra: int) -> EmbeddedLake:
    """One whose dates are shifted by a key of its own, to what is the same for all."""
    days = f"CALL neurolake.set_policy('o', 'analyst', 'column:people.seen_on', 'date_shift', {{'scope': '{mark}'}})"
    lake = opened(people(mark, number, extra), *RULES, days)
    lake.engine.store.set_fact("mask_key_1", SECRET.hex())
    lake.engine.store.set_fact("mask_key_version", 1)
    return lake


class Maker:
    """Composes relations, expressions and statements."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = 0

    def fresh(self) -> str:
        self.names += 1
        return f"a{self.names}"

    def pick(self, *ways: str) -> str:
        return self.random.choice(ways)

    def relation(self, depth: int) -> tuple[str, tuple[str, ...]]:
        """A FROM item without its alias, and its columns."""
        way = self.random.randrange(5 if depth > 0 else 1)
        if way < 2:
            table = self.pick(*COLUMNS)
            return self.pick(table, f"main.{table}", f"lake.main.{table}", f'"{table}"'), COLUMNS[table]
        return f"({self.query(depth - 1)[0]})", self.query_columns

    def expression(self, alias: str, columns: tuple[str, ...], depth: int) -> str:
        column = f"{alias}.{self.pick(*columns)}" if self.random.random() > 0.03 else f"{alias}.{self.pick(*ABSENT)}"
        if depth <= 0:
            return self.pick(column, column, "1", "'x'", "NULL")
        inner = self.expression(alias, columns, depth - 1)
        return self.pick(
            column, f"{inner}::VARCHAR", f"length({inner}::VARCHAR)", f"upper({inner}::VARCHAR)", f"hash({inner})",
            f"coalesce({inner}::VARCHAR, 'none')", f"({inner} IS NULL)", f"CASE WHEN {inner} IS NULL THEN 0 ELSE 1 END",
            f"TRY_CAST({inner}::VARCHAR AS INTEGER)", f"md5({inner}::VARCHAR)", f"{inner}::VARCHAR LIKE '%A%'",
            f"[{inner}]", f"{{'k': {inner}}}", f"left({inner}::VARCHAR, 3)", f"({column} = {column})",
            f"(SELECT max({inner}::VARCHAR) FROM orders LIMIT 1)", self.window(alias, columns, inner),
            f"CAST({inner}::VARCHAR AS INTEGER)", f"regexp_replace({inner}::VARCHAR, '[0-9]+', '#')",
        )  # fmt: skip

    def window(self, alias: str, columns: tuple[str, ...], inner: str) -> str:
        """One whose answer does not depend on the order of rows that are alike."""
        part, order = f"{alias}.{self.pick(*columns)}", f"{alias}.{self.pick(*columns)}"
        return self.pick(
            f"count({inner}) OVER (PARTITION BY {part})", f"rank() OVER (ORDER BY {order})",
            f"max({inner}::VARCHAR) OVER (PARTITION BY {part} ORDER BY {order} RANGE UNBOUNDED PRECEDING)",
        )  # fmt: skip

    def around(self, sql: str, columns: tuple[str, ...]) -> str:
        """A statement that asks a query in a way of its own."""
        column, name = self.pick(*columns), self.fresh()
        return self.pick(
            f"SELECT o.id, l.{column} FROM orders o, LATERAL (SELECT * FROM ({sql}) {name} WHERE o.id < 3) l",
            f"WITH RECURSIVE {name} AS (SELECT 0 AS step, {column}::VARCHAR AS v FROM ({sql}) UNION "
            f"SELECT step + 1, left(v, 2) FROM {name} WHERE step < 2) SELECT * FROM {name}",
            f"FROM (PIVOT ({sql}) ON left(coalesce({column}::VARCHAR, ''), 1) IN ('A', 't', '1', '') USING count(*))",
            f"SELECT (SELECT count(DISTINCT {column}) FROM ({sql})) AS n, id FROM people WHERE id < 3",
            f"SELECT id FROM orders o WHERE EXISTS (FROM ({sql}) {name} WHERE {name}.{column}::VARCHAR = o.id::TEXT)",
        )

    def query(self, depth: int) -> tuple[str, tuple[str, ...]]:
        """A SELECT, and its columns."""
        source, columns = self.relation(depth)
        alias = self.fresh()
        sql = f"{source} AS {alias}"
        with_ = ""
        if self.random.random() < 0.2:
            name = self.pick("people", "orders", self.fresh())
            with_, sql = f"WITH {name} AS (SELECT * FROM {source} AS {alias}) ", f"{name} AS {alias}"
        elif self.random.random() < 0.2:
            other = self.fresh()
            table = self.pick(*COLUMNS)
            how = self.pick("JOIN", "LEFT JOIN", "SEMI JOIN", "ANTI JOIN")
            sql += f" {how} {table} {other} ON {alias}.{self.pick(*columns)}::VARCHAR = {other}.id::VARCHAR"
        shown = [self.expression(alias, columns, 2) for _ in range(self.random.randrange(1, 4))]
        names = tuple(f"c{place}" for place in range(len(shown)))
        where = f" WHERE {self.expression(alias, columns, 1)} IS NOT NULL" if self.random.random() < 0.4 else ""
        if self.random.random() < 0.25:
            how = self.pick("count(", "max(", "min(", "count(DISTINCT ")
            listed = ", ".join(f"{how}{e}) AS {n}" for e, n in zip(shown, names, strict=True))
            return self._done(f"{with_}SELECT {listed} FROM {sql}{where}", names)
        listed = ", ".join(f"{e} AS {n}" for e, n in zip(shown, names, strict=True))
        distinct = self.pick("", "", "DISTINCT ")
        return self._done(f"{with_}SELECT {distinct}{listed} FROM {sql}{where}", names)

    def _done(self, sql: str, columns: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        self.query_columns = columns
        return sql, columns

    def statement(self) -> str:
        """One statement: a query, a star over one, or several put together."""
        sql, columns = self.query(2)
        return self.pick(
            sql, sql, *(self.around(sql, columns) for _ in range(4)),
            f"SELECT * FROM ({sql})", f"SELECT count(*) FROM ({sql})", f"{sql} UNION ALL {sql}",
            f"SELECT COLUMNS(*) FROM ({sql})", f"SELECT q FROM ({sql}) q", f"FROM ({sql}) SELECT DISTINCT {columns[0]}",
            f"SELECT {columns[0]}, count(*) FROM ({sql}) GROUP BY ALL",
            f"SELECT sum(n) FROM (SELECT row_number() OVER (ORDER BY {columns[0]}) AS n FROM ({sql}))",
        )  # fmt: skip


def check(asked: tuple[Asked, ...], seeds: range) -> int:
    """How many of the statements gave rows, which must be the same for all."""
    return sum(worked(asked, Maker(seed).statement()) for seed in seeds)


def check_forms(asked: tuple[Asked, ...], seeds: range) -> None:
    """Each statement with several literals: all but the first are answered by the plan that is kept of its form."""
    for seed in seeds:
        sql = Maker(seed).statement()
        for value in (3, 70, 4, 8):
            worked(asked, with_other_literals(sql, value))


def worked(asked: tuple[Asked, ...], sql: str) -> bool:
    """Whether a statement gave rows, which must be the same for all."""
    first, second, model = (one.outcome(sql) for one in asked)
    assert first == second, f"hidden values show in: {sql}"
    if first != model and "failed" in (first, model) and TOTAL.search(sql):
        # A cast that fails is met or not by the order in which a plan does things, and the model has another plan.
        return worked(asked, TOTAL.sub("TRY_CAST(", sql))
    assert first == model, f"the role sees other than it should by: {sql}"
    return first != "failed"


def with_other_literals(sql: str, value: int) -> str:
    """The statement with other plain literals: its form is gated once, and taken up again."""
    return re.sub(r"(?<=[ (])(1|'x'|0)(?=[ ),])", lambda found: f"'{value}'" if "'" in found[1] else str(value), sql)
