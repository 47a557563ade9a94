"""Each rule's cases: what it makes of a statement, and what it must leave alone; both sides are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.rules import STATEMENTS
from neurolake.optimizer import RULES, Context, optimise

CASES = Path(__file__).parent / "cases"
PAGE = Path(__file__).parents[3] / "docs" / "optimizer.md"


def fired() -> list[Any]:
    cases = []
    for path in sorted(CASES.glob("*.sql")):
        lines = path.read_text().split("-- stays")[0].splitlines()[1:]
        statements = [line.rstrip(";") for line in lines if line]
        pairs = zip(statements[::2], statements[1::2], strict=True)
        cases += [pytest.param(path.stem, *pair, id=f"{path.stem}-{n}") for n, pair in enumerate(pairs)]
    return cases


def kept() -> list[Any]:
    return [
        pytest.param(path.stem, line.rstrip(";"), id=f"{path.stem}-{n}")
        for path in sorted(CASES.glob("*.sql"))
        for n, line in enumerate(path.read_text().split("-- stays")[1].splitlines())
        if line
    ]


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    result = connection.execute(sql)
    shape = [(column[0], str(column[1])) for column in result.description]
    return shape, sorted(map(str, result.fetchall()))


def test_every_rule_has_cases() -> None:
    assert {path.stem for path in CASES.glob("*.sql")} == {rule.name for rule in RULES}


def test_every_rule_is_measured_and_published_to_win() -> None:
    names = [rule.name for rule in RULES]
    assert list(STATEMENTS) == names
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| ([\d.]+) × \| ([\d.]+) × \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [row[0] for row in rows] == names
    assert all(max(float(table), float(parquet)) > 1 for _, table, parquet in rows)


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_is_measured_is_what_the_rule_rewrites(name: str) -> None:
    assert name in optimise(STATEMENTS[name].format(t="measured"), measured()).fired


def measured() -> Context:
    """The columns of the data that rules are measured on."""
    types = {
        "id": "BIGINT",
        "k": "INTEGER",
        "v": "INTEGER",
        "d": "DATE",
        "ts": "TIMESTAMP",
        "y": "BIGINT",
        "m": "BIGINT",
    }
    return Context(describe=lambda relation: types)


@pytest.mark.parametrize(("rule", "before", "after"), fired())
def test_rule_fires_and_changes_no_answer(
    plain: duckdb.DuckDBPyConnection, context: Context, rule: str, before: str, after: str
) -> None:
    done = optimise(before, context)
    assert (done.fired, done.text) == ((rule,), after)
    assert answer(plain, done.text) == answer(plain, before)


@pytest.mark.parametrize(("rule", "statement"), kept())
def test_rule_leaves_alone_what_it_cannot_prove(
    plain: duckdb.DuckDBPyConnection, context: Context, rule: str, statement: str
) -> None:
    assert optimise(statement, context) == (statement, ())
    answer(plain, statement)


@pytest.mark.parametrize(("rule", "before", "after"), fired())
def test_rule_can_be_turned_off(context: Context, rule: str, before: str, after: str) -> None:
    assert optimise(before, context, off={rule}).text == before


@pytest.mark.parametrize("text", ["SELECT", "SELEC strftime(", "SELECT strftime(d, '%Y') = '1995' FROM", "(" * 3000])
def test_text_that_is_no_statement_stays(context: Context, text: str) -> None:
    assert optimise(text, context) == (text, ())
