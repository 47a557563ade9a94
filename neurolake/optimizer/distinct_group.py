"""DISTINCT over a query that already groups by the columns it selects is dropped.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: None)
>>> optimise("SELECT DISTINCT a, b, count(*) FROM t GROUP BY a, b", context).text
'SELECT a, b, count(*) FROM t GROUP BY a, b'

Conditions:
    - every key of GROUP BY is a plain column and is selected as it is: then no two rows agree in all of them;
    - no DISTINCT ON, grouping sets, ROLLUP, CUBE or LIMIT;
    - what else is selected is made of columns, constants, arithmetic and common aggregates: nothing that makes several
      rows of one (unnest), and no alias that a key could mean instead of the column.
Keys are equal to GROUP BY exactly where they are equal to DISTINCT: NULLs, NaNs and collations included.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.identifiers import fold
from neurolake.optimizer.statement import Edit, Statement

_HARMLESS = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Star, exp.Alias, exp.Paren, exp.Neg, exp.Add,
    exp.Sub, exp.Mul, exp.Div, exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Distinct, exp.Coalesce,
)  # fmt: skip


def find(statement: Statement) -> list[Edit]:
    """SELECT DISTINCT … GROUP BY."""
    found = (_edit(statement, select) for select in statement.tree.find_all(exp.Select))
    return [edit for edit in found if edit is not None]


def _edit(statement: Statement, select: exp.Select) -> Edit | None:
    distinct, group = select.args.get("distinct"), select.args.get("group")
    if distinct is None or group is None or distinct.args.get("on") or distinct.expressions:
        return None
    if {key for key, value in group.args.items() if value} != {"expressions"} or _is_cut(select):
        return None
    if not all(isinstance(node, _HARMLESS) for one in select.expressions for node in one.walk()):
        return None
    if not all(isinstance(key, exp.Column) and _is_selected(key, select) for key in group.expressions):
        return None
    span = statement.word_span(select, "DISTINCT")
    return None if span is None else Edit(*span, "", distinct, None)


def _is_cut(select: exp.Select) -> bool:
    return any(select.args.get(clause) for clause in ("limit", "offset", "qualify", "windows"))


def _is_selected(key: exp.Column, select: exp.Select) -> bool:
    """The column is selected, and no alias of another expression carries its name."""
    found = False
    for one in select.expressions:
        if _bare(one) == key:
            found = True
        elif isinstance(one, exp.Alias) and fold(one.alias) == fold(key.name):
            return False
    return found


def _bare(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Paren | exp.Alias):
        node = node.this
    return node
