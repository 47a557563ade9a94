"""Statements taken up from others that differ in literals alone: all is as if each were met for the first time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from attacks.corpus import ATTACKS, LEGAL
from attacks.lakes import MARKS, Served
from attacks.test_attacks import QUERY_ID, blocks
from neurolake import errors
from neurolake.engine import Engine
from neurolake.query import Principal, Request
from neurolake.session import Session

ANN = Principal("ann", "analyst", roles=("analyst",), attributes={"region": "north"})
LITERAL = re.compile(r"'((?:[^']|'')*)'|(?<![\w.$#])(\d{1,8})(?![\w.])")
STATEMENTS = tuple(
    sql
    for sql in dict.fromkeys((*LEGAL, *ATTACKS))
    if LITERAL.search(sql)
    and not sql.lstrip().upper().startswith(("BEGIN", "SET", "USE"))
    and not re.search(r"neurolake\.|TABLESAMPLE|SAMPLE|random|uuid|now\(|current_", sql, re.IGNORECASE)
)
"""Those with a literal, that give the same whenever they are asked."""


class Asker(NamedTuple):
    """Who asks whom."""

    engine: Engine
    session: Session


def varied(sql: str, by: int) -> str:
    """The statement with other literals."""
    return LITERAL.sub(lambda m: str(int(m[2]) + by) if m[2] is not None else f"'{m[1]}{'z' * by}'", sql)


def outcome(asker: Asker, sql: str) -> str:
    engine, session = asker
    try:
        result = engine.run(Request(sql, session))
        shown = repr((result.schema, sorted(map(repr, result.fetchall()))))
    except errors.NeuroLakeError as problem:
        shown = f"{type(problem).__name__} {problem}"
    return QUERY_ID.sub("…", shown)


def forget(asker: Asker) -> None:
    asker.engine.forms.known.clear()
    asker.engine.forms.spelled.clear()


@pytest.fixture
def asker(lakes: tuple[Served, Served]) -> Iterator[Asker]:
    engine = lakes[0].service.engine
    session = engine.session(ANN)
    yield Asker(engine, session)
    session.close()


def check(asker: Asker, statements: tuple[str, ...]) -> int:
    """How many were taken up; each is asked often enough that the last ones are, wherever that can be."""
    taken = 0
    for sql in statements:
        forget(asker)
        texts = (*(varied(sql, by) for by in (1, 2, 3)), sql, varied(sql, 4))
        warm = [outcome(asker, text) for text in texts]
        taken += any(asker.engine.forms.known.values())
        for text, seen in zip(texts[-3:], warm[-3:], strict=True):
            forget(asker)
            assert seen == outcome(asker, text), text
            assert MARKS[0] in sql or MARKS[0].casefold() not in seen.casefold(), text
    return taken


def test_a_form_that_is_known_gives_what_a_new_one_gives(asker: Asker) -> None:
    assert check(asker, STATEMENTS[::8]) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("statements", blocks(STATEMENTS, 60), ids=lambda block: block[0][:40])
def test_so_does_the_whole_corpus(asker: Asker, statements: tuple[str, ...]) -> None:
    assert check(asker, statements) >= 5


def test_equal_literals_do_not_hide_in_which_order_they_stand(asker: Asker) -> None:
    for form in (
        "SELECT * REPLACE ({} AS x, {} AS y) FROM (SELECT 7 AS x, 7 AS y)",
        "SELECT position('{}' IN '{}'), 'a' LIKE '{}' ESCAPE '{}'",
        "SELECT id FROM orders ORDER BY id LIMIT {} OFFSET {}",
        "SELECT {} NOT BETWEEN {} AND 8, overlay('abcdef' PLACING 'x' FROM {} FOR {})",
    ):
        forget(asker)
        for _ in range(3):
            outcome(asker, form.replace("{}", "2"))
        texts = [form.replace("{}", a, 1).replace("{}", b, 1).replace("{}", "1") for a, b in (("1", "3"), ("3", "1"))]
        warm = [outcome(asker, text) for text in texts]
        for text, seen in zip(texts, warm, strict=True):
            forget(asker)
            assert seen == outcome(asker, text), text
