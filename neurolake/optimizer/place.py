"""Where a condition stands: whether changing it changes anything but the work, and what its columns are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from neurolake.identifiers import fold
from neurolake.optimizer.statement import Statement
from neurolake.sql.text import quote

_CONNECTIVES = (exp.And, exp.Or, exp.Paren, exp.Not)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_NAMELESS = (
    *_CONNECTIVES, *_COMPARISONS, exp.In, exp.Exists, exp.Where, exp.Join, exp.From, exp.Subquery, exp.With, exp.CTE,
    exp.SetOperation,
)  # fmt: skip
_PLAIN_TABLE = {"this", "db", "catalog", "alias"}
_PLAIN_SUBQUERY = {"this", "alias"}


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a condition in WHERE or ON.

    Args:
        select: the query whose rows it keeps or drops.
        join: the join it belongs to, None for WHERE.
        positive: false and NULL do the same here: only AND and OR stand between it and its clause.
        conjunct: only AND stands between it and its clause, so it alone can drop a row.
        negated: exactly one NOT, directly around it, and only AND above that.
    """

    select: exp.Select
    join: exp.Join | None
    positive: bool
    conjunct: bool
    negated: bool


def conditions(statement: Statement, *kinds: type[exp.Expression]) -> Iterator[tuple[exp.Expression, Place]]:
    """The nodes of these kinds that are whole conditions of a WHERE or ON, with their places.

    Left out is a condition whose text may give a column its name, or must match the text of another expression.
    """
    if statement.placed is None:
        statement.placed = list(_all_conditions(statement.tree))
    return ((node, place) for node, place in statement.placed if isinstance(node, kinds))


def _all_conditions(tree: exp.Expression) -> Iterator[tuple[exp.Expression, Place]]:
    for select in tree.find_all(exp.Select):
        if not _is_nameless(select):
            continue
        if (where := select.args.get("where")) is not None:
            yield from _parts(where.this, Place(select, None, True, True, False))
        for join in select.args.get("joins") or ():
            if (on := join.args.get("on")) is not None:
                yield from _parts(on, Place(select, join, True, True, False))


def _parts(condition: exp.Expression, place: Place) -> Iterator[tuple[exp.Expression, Place]]:
    """A condition and those it is made of. Downwards and without recursion: chains may have thousands of links."""
    pending = [(condition, place)]
    while pending:
        node, place = pending.pop()
        yield node, place
        if isinstance(node, exp.Paren):
            pending.append((node.this, place))
        elif isinstance(node, exp.Not):
            inside = replace(place, positive=False, conjunct=False, negated=place.conjunct)
            pending.append((node.this, inside))
        elif isinstance(node, exp.And | exp.Or):
            # Below an OR nothing drops a row by itself; below an AND inside a NOT neither.
            alone = isinstance(node, exp.And) and place.conjunct
            inside = place if alone else replace(place, conjunct=False, negated=False)
            pending += [(node.expression, inside), (node.this, inside)]


def _is_nameless(select: exp.Select) -> bool:
    """No query around this one stands in a SELECT list, GROUP BY, ORDER BY …, where text makes names and matches."""
    child: exp.Expression = select
    while (above := child.parent) is not None:
        if isinstance(above, exp.Select):
            if child.arg_key not in ("from_", "joins", "where", "with_"):
                return False
        elif not isinstance(above, _NAMELESS):
            return False
        child = above
    return True


def column_type(statement: Statement, column: exp.Expression, place: Place) -> str | None:
    """The DuckDB type of a column used in a condition; None if it cannot be told for certain which column it is.

    A column that its own query's relations do not have belongs to a query further out, and is left alone.
    """
    if not isinstance(column, exp.Column) or column.args.get("db") or not isinstance(column.this, exp.Identifier):
        return None
    sources = list(_sources(place))
    if column.table:
        sources = [s for s in sources if s is not None and fold(s.alias_or_name) == fold(column.table)]
    found = []
    for source in sources:
        types = None if source is None else describe(statement, source)
        if types is None:
            return None
        found += [kind for name, kind in types.items() if fold(name) == fold(column.name)]
    return found[0] if len(found) == 1 else None


def _sources(place: Place) -> Iterator[exp.Expression | None]:
    """The relations a condition can see, None for one of which nothing is known."""
    select = place.select
    if select.args.get("laterals"):
        yield None
    if (first := select.args.get("from_")) is not None:
        yield first.this
    for join in select.args.get("joins") or ():
        yield join.this
        if join is place.join:
            return


def describe(statement: Statement, source: exp.Expression) -> Mapping[str, str] | None:
    """Column names and types of a relation in FROM; None where that takes more than its own text."""
    text = _relation_text(statement, source)
    if text is None:
        return None
    if text not in statement.described:
        statement.described[text] = statement.context.describe(text)
    return statement.described[text]


def _relation_text(statement: Statement, source: exp.Expression) -> str | None:
    alias = source.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        return None
    plain = _PLAIN_TABLE if isinstance(source, exp.Table) else _PLAIN_SUBQUERY
    if any(value for key, value in source.args.items() if key not in plain):
        return None
    if isinstance(source, exp.Subquery):
        return _query_text(statement, source)
    if not isinstance(source, exp.Table):
        return None
    if not isinstance(source.this, exp.Identifier):
        return statement.call_source(source.this)
    if not source.args.get("db") and fold(source.name) in statement.cte_names:
        return None
    parts = [source.args.get(part) for part in ("catalog", "db", "this")]
    return ".".join(quote(part.name) for part in parts if part is not None)


def _query_text(statement: Statement, source: exp.Subquery) -> str | None:
    """The text of a query in FROM, unless it leans on a WITH outside it."""
    names = {fold(table.name) for table in source.find_all(exp.Table)}
    if not statement.cte_names.isdisjoint(names) or not isinstance(source.this, exp.Query):
        return None
    text = statement.source(source.this)
    return None if text is None else f"({statement.expand(text)})"
