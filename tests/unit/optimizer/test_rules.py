"""Each rule's cases: what it makes of a statement, and what it must leave alone; both sides are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from neurolake.optimizer import RULES, Context, optimise

CASES = Path(__file__).parent / "cases"


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
