"""ORDER BY in a subquery that only feeds order-blind aggregates is dropped.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"a": "INTEGER"})
>>> optimise("SELECT count(*) FROM (SELECT a FROM t ORDER BY a) AS s", context).text
'SELECT count(*) FROM (SELECT a FROM t ) AS s'

Conditions:
    - the subquery has no LIMIT, OFFSET, DISTINCT ON or sample, and stands alone in FROM;
    - it sorts by plain columns, none of which is another name of something computed: an error raised while computing
      a sort key would be lost with it;
    - the query around it selects nothing but the columns it groups by and count, min and max, has no window, and no
      DISTINCT ON: everything else (first, list, string_agg, sums of floating point numbers) may see the order;
    - if it groups, it is the whole statement: groups come in an order that hangs on their rows' order.
Which of several spellings that a collation holds equal is shown for a group DuckDB leaves open, and so does the rule.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.identifiers import fold
from neurolake.optimizer.statement import Edit, Statement

_BLIND = (exp.Count, exp.Min, exp.Max)
_INNER = frozenset(
    ("expressions", "from_", "joins", "where", "group", "having", "order", "with_", "kind", "hint", "distinct")
)
_OUTER_WITHOUT = (
    "joins", "laterals", "limit", "offset", "qualify", "windows", "distinct", "having", "order",
)  # fmt: skip


def find(statement: Statement) -> list[Edit]:
    """Sorts whose order nobody sees."""
    found = (_edit(statement, select) for select in statement.tree.find_all(exp.Select))
    return [edit for edit in found if edit is not None]


def _edit(statement: Statement, outer: exp.Select) -> Edit | None:
    source = outer.args.get("from_")
    subquery = source.this if source is not None else None
    inner = subquery.this if isinstance(subquery, exp.Subquery) else None
    if not isinstance(inner, exp.Select) or not _is_blind(outer):
        return None
    order = inner.args.get("order")
    if order is None or any(value for key, value in inner.args.items() if key not in _INNER):
        return None
    distinct = inner.args.get("distinct")
    if (distinct is not None and distinct.args.get("on")) or not _sorts_by_columns(order, inner):
        return None
    span = statement.order_span(order)
    return None if span is None else Edit(*span, "", order, None)


def _sorts_by_columns(order: exp.Order, inner: exp.Select) -> bool:
    computed = {
        fold(one.alias)
        for one in inner.expressions
        if isinstance(one, exp.Alias) and not isinstance(one.this, exp.Column | exp.Literal)
    }
    keys = [one.this for one in order.expressions]
    return all(isinstance(key, exp.Column) and fold(key.name) not in computed for key in keys)


def _is_blind(outer: exp.Select) -> bool:
    if any(outer.args.get(clause) for clause in _OUTER_WITHOUT):
        return False
    group = outer.args.get("group")
    if group is not None and (outer.parent is not None or {k for k, v in group.args.items() if v} != {"expressions"}):
        return False
    grouped = [_bare(key) for key in group.expressions] if group is not None else []
    if not all(isinstance(key, exp.Column) for key in grouped):
        return False
    if any(isinstance(node, exp.Window | exp.Subquery) for one in outer.expressions for node in one.walk()):
        return False
    shown = [_bare(expression) for expression in outer.expressions]
    # max(a, 3) is the list of the three largest.
    aggregates = [one for one in shown if isinstance(one, _BLIND) and not one.args.get("count")]
    return bool(aggregates) and all(one in aggregates or one in grouped for one in shown)


def _bare(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Paren | exp.Alias):
        node = node.this
    return node
