"""IN and NOT IN with very many constants become a join with the list, given as one text.

DuckDB parses and binds every constant by itself, and tries the members of a NOT IN one after the other.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"id": "BIGINT"})
>>> values = ", ".join(map(str, range(32)))
>>> optimise(f"SELECT count(*) FROM t WHERE id NOT IN ({values})", context).text[:77]
"SELECT count(*) FROM t WHERE id NOT IN (SELECT unnest(CAST('[0, 1, 2, 3, 4, 5"

Conditions:
    - at least 32 whole numbers of at most 18 digits and a signed integer column, or at least 500 strings and a VARCHAR;
    - it stands in WHERE, and only AND (and one NOT of its own) stands around it;
    - nothing in the statement can show in which order rows come: a join gives them in an order of its own. So no LIMIT,
      no window, and of aggregates only those that do not see an order.
A list of constants holds no NULL, so IN and NOT IN of a NULL column give NULL either way.
"""

from __future__ import annotations

import re

from sqlglot import exp

from neurolake.optimizer.comparison import SIGNED
from neurolake.optimizer.place import Place, column_type, conditions
from neurolake.optimizer.statement import Edit, Statement
from neurolake.sql.text import literal

STRINGS_MIN = 500

_STRING = re.compile(r"'((?:[^']|'')*)'")
_SEPARATORS = (",", "|", ";", "\t", "~")
_SHOW_ORDER = (exp.Limit, exp.Offset, exp.Fetch, exp.Window, exp.Anonymous)
_BLIND = (exp.Count, exp.Min, exp.Max, exp.Sum, exp.Avg)


def find(statement: Statement) -> list[Edit]:
    """Long lists in WHERE, in statements that cannot show an order of rows."""
    found = [(node, place) for node, place in conditions(statement, exp.In) if _list_name(statement, node)]
    if not found or _shows_order(statement.tree):
        return []
    edits = (_edit(statement, node, place) for node, place in found)
    return [edit for edit in edits if edit is not None]


def _list_name(statement: Statement, node: exp.Expression) -> str | None:
    listed = node.expressions
    name = listed[0].name if len(listed) == 1 and isinstance(listed[0], exp.Column) else None
    return name if name in statement.lists else None


def _shows_order(tree: exp.Expression) -> bool:
    if next(tree.find_all(*_SHOW_ORDER), None) is not None:
        return True
    return any(not isinstance(aggregate, _BLIND) for aggregate in tree.find_all(exp.AggFunc))


def _edit(statement: Statement, node: exp.Expression, place: Place) -> Edit | None:
    column, listed = node.this, _list_name(statement, node)
    if listed is None or place.join is not None or not (place.conjunct or place.negated):
        return None
    if not isinstance(column, exp.Column) or (name := statement.source(column)) is None:
        return None
    members = _members(statement, listed, column_type(statement, column, place))
    if members is None:
        return None
    negated = isinstance(node.parent, exp.Not)
    verb = "NOT IN" if negated else "IN"
    return statement.replace(node.parent if negated else node, f"{name} {verb} (SELECT unnest({members}))")


def _members(statement: Statement, listed: str, kind: str | None) -> str | None:
    values = statement.lists[listed]
    if kind in SIGNED and "'" not in values:
        return f"CAST('[{listed}]' AS BIGINT[])"
    if kind != "VARCHAR" or "'" not in values:
        return None
    texts = [text.replace("''", "'") for text in _STRING.findall(values)]
    together = "".join(texts)
    separator = next((one for one in _SEPARATORS if one not in together), None)
    if len(texts) < STRINGS_MIN or separator is None:
        return None
    held = statement.hold(literal(separator.join(texts))[1:-1])
    return f"string_split('{held}', {literal(separator)})"
