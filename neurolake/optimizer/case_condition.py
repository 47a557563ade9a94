"""`WHERE CASE WHEN c THEN TRUE ELSE FALSE END`, and its twin with 1 and 0, become `WHERE c`.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: None)
>>> optimise("SELECT * FROM t WHERE CASE WHEN a > 1 THEN 1 ELSE 0 END = 1", context).text
'SELECT * FROM t WHERE (a > 1)'

Conditions:
    - one WHEN, no operand after CASE, and an ELSE that fails the condition, or none;
    - it stands where false and NULL do the same (`Place.positive`): CASE makes NULL false, and here that is no change.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.optimizer.days import whole
from neurolake.optimizer.place import Place, conditions
from neurolake.optimizer.statement import Edit, Statement


def find(statement: Statement) -> list[Edit]:
    """Conditions made of a CASE."""
    found = (_edit(statement, node, place) for node, place in conditions(statement, exp.Case, exp.EQ))
    return [edit for edit in found if edit is not None]


def _edit(statement: Statement, node: exp.Expression, place: Place) -> Edit | None:
    if not place.positive:
        return None
    case, wanted = _case(node)
    if case is None or case.this is not None or len(case.args["ifs"]) != 1:
        return None
    branch, otherwise = case.args["ifs"][0], case.args.get("default")
    if not _is(branch.args["true"], wanted) or not (otherwise is None or _fails(otherwise, wanted)):
        return None
    condition = statement.source(branch.this)
    return None if condition is None else statement.replace(node, f"({condition})")


def _case(node: exp.Expression) -> tuple[exp.Case | None, bool | int]:
    """The CASE of a condition, and the value of it that holds."""
    if isinstance(node, exp.Case):
        return node, True
    for side, other in ((node.this, node.expression), (node.expression, node.this)):
        while isinstance(side, exp.Paren):
            side = side.this
        if isinstance(side, exp.Case):
            number = whole(other)
            if number is not None:
                return side, number
            if isinstance(other, exp.Boolean) and other.this:
                return side, True
    return None, True


def _is(value: exp.Expression, wanted: bool | int) -> bool:
    if wanted is True:
        return isinstance(value, exp.Boolean) and bool(value.this)
    return whole(value) == wanted


def _fails(value: exp.Expression, wanted: bool | int) -> bool:
    if isinstance(value, exp.Null):
        return True
    if wanted is True:
        return isinstance(value, exp.Boolean) and not value.this
    number = whole(value)
    return number is not None and number != wanted
