"""What holds for every rule: the rest of the text stays, types are asked for late, in doubt nothing changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import pytest

from neurolake.optimizer import RULES, Context, optimise

STRFTIME = "strftime(d, '%Y') = '1995'"
RANGE = "(d >= DATE '1995-01-01' AND d < DATE '1996-01-01')"


def types(**known: str) -> Context:
    return Context(describe=lambda relation: known)


def asking(asked: list[str], known: Mapping[str, str] | None = None) -> Context:
    def describe(relation: str) -> Mapping[str, str] | None:
        asked.append(relation)
        return known

    return Context(describe=describe)


def test_the_rest_of_the_text_stays_byte_for_byte() -> None:
    text = f"""-- ünïcode 😀
    SELECT  a /* c */, "Mixed Case" , x[1:2], {{'k': 1}}.k, 7 // 2, COLUMNS('a.*'), lst[-1]
    FROM t  WHERE a IS NOT NULL and\t{STRFTIME} -- why
    ;"""
    assert optimise(text, types(d="DATE")).text == text.replace(STRFTIME, RANGE)


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT * FROM t WHERE a = 1 OR b = 2", f"SELECT {STRFTIME} FROM t"])
def test_types_are_not_asked_for_without_a_pattern(text: str) -> None:
    asked: list[str] = []
    optimise(text, asking(asked))
    assert asked == []


def test_a_relation_is_asked_for_once_and_as_it_stands() -> None:
    asked: list[str] = []
    call = "read_parquet('/x/**/*.parquet', union_by_name = true)"
    optimise(f"SELECT * FROM {call} AS o WHERE {STRFTIME} OR strftime(o.d, '%Y') = '1996'", asking(asked))
    optimise(f'SELECT * FROM lake.main."Or""ders" WHERE {STRFTIME}', asking(asked))
    optimise(f"SELECT * FROM (SELECT d FROM t WHERE a IN (1, 2)) WHERE {STRFTIME}", asking(asked))
    assert asked == [call, '"lake"."main"."Or""ders"', "(SELECT d FROM t WHERE a IN (1, 2))"]


@pytest.mark.parametrize(
    "text",
    [
        f"WITH t AS (SELECT 1 AS d) SELECT * FROM t WHERE {STRFTIME}",  # not the table of that name
        f"SELECT * FROM t, u WHERE {STRFTIME}",  # both have it
        f"SELECT * FROM t AS o(x, d) WHERE {STRFTIME}",  # renamed
        f"SELECT * FROM t TABLESAMPLE 10% WHERE {STRFTIME}",
        f"SELECT * FROM t WHERE m -> '$.a' AND {STRFTIME}",  # the arrow binds looser than AND
        f"SELECT * FROM (VALUES (1)) AS t(d) WHERE {STRFTIME}",
        f"SELECT a FROM t GROUP BY a, d HAVING {STRFTIME}",
        f"SELECT (SELECT count(*) FROM t WHERE {STRFTIME})",  # names the column
        f"SELECT list_filter(l, lambda d: {STRFTIME}) FROM t",
        f"UPDATE t SET a = 1 WHERE {STRFTIME}",
        f"SELECT 1; SELECT * FROM t WHERE {STRFTIME}",
        "SELECT * FROM t WHERE strftime(d, ?) = '1995'",
        "SELECT * FROM t WHERE strftime(d, '%Y') = $1",
    ],
)
def test_in_doubt_the_text_stays(text: str) -> None:
    assert optimise(text, types(d="DATE", m="JSON", l="DATE[]", a="INTEGER")) == (text, ())


def test_a_correlated_column_is_left_alone() -> None:
    known = {'"t"': {"a": "INTEGER"}, '"u"': {"d": "DATE"}}
    text = f"SELECT * FROM u WHERE EXISTS (SELECT 1 FROM t WHERE {STRFTIME})"
    assert optimise(text, Context(describe=known.get)) == (text, ())


@pytest.fixture
def owning(plain: duckdb.DuckDBPyConnection) -> Callable[..., Context]:
    """A lake whose users have made these functions."""

    def tree(text: str) -> Any:
        ((answer,),) = plain.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
        return json.loads(answer)

    return lambda *own: Context(lambda relation: {"d": "DATE", "x": "DATE"}, own_functions=lambda: own, tree=tree)


HIDDEN = [
    ("strftime", STRFTIME),
    ("strftime", "\"STRFTIME\"(d, '%Y') = '1995'"),
    ("date_part", "extract(year FROM d) = 1995"),
    ("~~", "d::VARCHAR LIKE '1995-%'"),
    ("+", "d + INTERVAL 30 DAY > DATE '1995-03-31'"),
    ("to_days", "d + INTERVAL 30 DAY > DATE '1995-03-31'"),
    ("current_date", "date_diff('day', d, Current_Date) < 30"),
    ("-", "date_diff('day', d, current_date) < 30"),  # only what the rule writes has one
    ("time_to_str", f"{STRFTIME} AND time_to_str(d, '%Y') = '1995'"),  # sqlglot has a meaning for it, DuckDB none
]


@pytest.mark.parametrize(("own", "condition"), HIDDEN)
def test_a_function_of_the_users_is_not_taken_for_a_built_in(
    owning: Callable[..., Context], own: str, condition: str
) -> None:
    text = f"SELECT * FROM t WHERE {condition}"
    assert optimise(text, owning()).fired
    assert optimise(text, owning(own)) == (text, ())


@pytest.mark.parametrize("own", ["mine", "year", "d", "x", "+"])
def test_functions_that_a_rule_cannot_mistake_change_nothing(owning: Callable[..., Context], own: str) -> None:
    text = f"SELECT mine(d) FROM t WHERE {STRFTIME} AND mine(x) > 3 AND x > DATE '1995-01-01'"
    assert optimise(text, owning(own)).text == text.replace(STRFTIME, RANGE)


def test_own_functions_are_asked_for_only_once_a_rule_would_change_something() -> None:
    asked: list[str] = []

    def own() -> tuple[str, ...]:
        asked.append("own")
        return ()

    for condition in ("strftime(x, '%Y') = '1995'", "strftime(d, '%Y') = 'never'", STRFTIME):
        optimise(f"SELECT * FROM t WHERE {condition}", Context(lambda relation: {"d": "DATE"}, own_functions=own))
    assert asked == ["own"]


def test_every_rule_is_named_after_its_module() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.find.__module__ == f"neurolake.optimizer.{rule.name}" for rule in RULES)


def test_a_long_list_of_strings_is_split_from_one_text(plain: duckdb.DuckDBPyConnection, context: Context) -> None:
    listed = ", ".join(f"'k{value}'" for value in range(0, 1200, 2)) + ", 'it''s', '', 'a,b'"
    for column in ("s", "c"):
        text = f"SELECT count(*), min(s) FROM texts WHERE {column} NOT IN ({listed})"
        done = optimise(text, context)
        assert done.fired == ("long_list",)
        assert f"{column} NOT IN (SELECT unnest(string_split('k0|k2|" in done.text
        assert plain.execute(done.text).fetchall() == plain.execute(text).fetchall()


def test_lists_put_aside_come_back(plain: duckdb.DuckDBPyConnection, context: Context) -> None:
    listed = f"({', '.join(map(str, range(40)))})"
    text = f"SELECT '{listed}' AS list_0_, f FROM keys WHERE f IN {listed} /* {listed} */ AND id::VARCHAR = '5'"
    assert optimise(text, context).text == text.replace("id::VARCHAR = '5'", "id = 5")


def test_a_chain_of_thousands_needs_no_recursion(plain: duckdb.DuckDBPyConnection, context: Context) -> None:
    chain = " OR ".join(f"id = {value}" for value in range(3000))
    done = optimise(f"SELECT count(*) FROM keys WHERE {chain}", context)
    assert done.fired == ("or_to_in",)
    counted = "SELECT count(*) FROM keys WHERE id BETWEEN 0 AND 2999"
    assert plain.execute(done.text).fetchone() == plain.execute(counted).fetchone()


def test_every_day_that_prints_a_text_is_in_its_range(plain: duckdb.DuckDBPyConnection, context: Context) -> None:
    """Over three centuries around the first and the last ordinary year, and in between."""
    for first in ("0002-01-01 (BC)", "1900-01-01", "9990-01-01"):
        every = f"(SELECT DATE '{first}' + i::INTEGER AS d FROM range(8000) r(i))"
        for pattern, text in (("%Y-%m", "0001-02"), ("%Y%m%d", "19041231"), ("%d.%m.%Y", "31.12.9998"), ("%Y", "1910")):
            asked = f"SELECT count(*), min(d), max(d) FROM {every} WHERE strftime(d, '{pattern}') = '{text}'"
            done = optimise(asked, context)
            assert done.fired == ("strftime_range",)
            assert plain.execute(done.text).fetchall() == plain.execute(asked).fetchall()
