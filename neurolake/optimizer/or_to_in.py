"""`a = 1 OR a = 2 OR …` becomes `a IN (1, 2, …)`, which DuckDB looks up instead of trying one by one.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"a": "INTEGER"})
>>> chain = " OR ".join(f"a = {value}" for value in range(8))
>>> optimise(f"SELECT * FROM t WHERE {chain}", context).text
'SELECT * FROM t WHERE (a IN (0, 1, 2, 3, 4, 5, 6, 7))'

Conditions:
    - at least eight comparisons of one column, all with whole numbers and an integer column, or all with strings and a
      plain VARCHAR column: with other types IN would compare in another common type than each `=` does;
    - nothing but these comparisons in the chain.
NULL in the column gives NULL either way, and a value named twice matches once either way.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from neurolake.optimizer.comparison import INTEGERS
from neurolake.optimizer.days import whole
from neurolake.optimizer.place import Place, column_type, conditions
from neurolake.optimizer.statement import Edit, Statement
from neurolake.sql.text import literal

CHAIN_MIN = 8


def find(statement: Statement) -> list[Edit]:
    """Long chains of equalities."""
    found = (_edit(statement, node, place) for node, place in conditions(statement, exp.Or) if _is_whole_chain(node))
    return [edit for edit in found if edit is not None]


def _is_whole_chain(node: exp.Expression) -> bool:
    above = node.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    return not isinstance(above, exp.Or)


def _edit(statement: Statement, node: exp.Expression, place: Place) -> Edit | None:
    pairs = [_pair(part) for part in _parts(node)]
    if len(pairs) < CHAIN_MIN or any(pair is None for pair in pairs):
        return None
    known = [pair for pair in pairs if pair is not None]
    column = known[0][0]
    if any(other != column for other, _ in known[1:]):
        return None
    kind = column_type(statement, column, place)
    values = [_value(value, kind) for _, value in known]
    name = statement.source(column)
    if name is None or any(value is None for value in values):
        return None
    return statement.replace(node, f"({name} IN ({', '.join(str(value) for value in values)}))")


def _parts(node: exp.Expression) -> Iterator[exp.Expression]:
    """The operands of a chain, without recursion: it may have thousands."""
    pending = [node]
    while pending:
        one = pending.pop()
        while isinstance(one, exp.Paren):
            one = one.this
        if isinstance(one, exp.Or):
            pending += (one.expression, one.this)
        else:
            yield one


def _pair(node: exp.Expression) -> tuple[exp.Expression, exp.Expression] | None:
    if type(node) is not exp.EQ:
        return None
    left, right = node.this, node.expression
    if isinstance(left, exp.Column):
        return left, right
    return (right, left) if isinstance(right, exp.Column) else None


def _value(value: exp.Expression, kind: str | None) -> str | None:
    if kind in INTEGERS:
        number = whole(value)
        return None if number is None else str(number)
    if kind == "VARCHAR" and isinstance(value, exp.Literal) and value.is_string:
        return literal(str(value.this))
    return None
