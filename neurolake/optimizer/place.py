"""Where a condition stands: whether changing it changes anything but the work, and what its columns are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

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


def place_of(node: exp.Expression) -> Place | None:
    """Where a condition stands; None if its text may give a column its name, or must match another expression's."""
    path: list[exp.Expression] = []
    above = node.parent
    while isinstance(above, _CONNECTIVES):
        path.append(above)
        above = above.parent
    select = above.parent if isinstance(above, exp.Where | exp.Join) else None
    if not isinstance(select, exp.Select) or not _is_nameless(select):
        return None
    kinds = [type(step) for step in path if not isinstance(step, exp.Paren)]
    return Place(
        select,
        above if isinstance(above, exp.Join) else None,
        positive=exp.Not not in kinds,
        conjunct=set(kinds) <= {exp.And},
        negated=kinds[:1] == [exp.Not] and set(kinds[1:]) <= {exp.And},
    )


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


def conditions(statement: Statement, *kinds: type[exp.Expression]) -> Iterator[tuple[exp.Expression, Place]]:
    """The nodes of these kinds that are whole conditions of a WHERE or ON, with their places."""
    for node in statement.tree.find_all(*kinds):
        if (place := place_of(node)) is not None:
            yield node, place


def column_type(statement: Statement, column: exp.Expression, place: Place) -> str | None:
    """The DuckDB type of a column used in a condition; None if it cannot be told for certain which column it is.

    A column that its own query's relations do not have belongs to a query further out, and is left alone.
    """
    if not isinstance(column, exp.Column) or column.args.get("db") or not isinstance(column.this, exp.Identifier):
        return None
    sources = list(_sources(place))
    if column.table:
        sources = [s for s in sources if s is not None and s.alias_or_name.casefold() == column.table.casefold()]
    found = []
    for source in sources:
        types = None if source is None else describe(statement, source)
        if types is None:
            return None
        found += [kind for name, kind in types.items() if name.casefold() == column.name.casefold()]
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
    if not source.args.get("db") and source.name.casefold() in statement.cte_names:
        return None
    parts = [source.args.get(part) for part in ("catalog", "db", "this")]
    return ".".join(quote(part.name) for part in parts if part is not None)


def _query_text(statement: Statement, source: exp.Subquery) -> str | None:
    """The text of a query in FROM, unless it leans on a WITH outside it."""
    names = {table.name.casefold() for table in source.find_all(exp.Table)}
    if not statement.cte_names.isdisjoint(names) or not isinstance(source.this, exp.Query):
        return None
    text = statement.source(source.this)
    return None if text is None else f"({statement.expand(text)})"
