"""A condition made of CASE, `WHERE CASE WHEN c THEN 1 ELSE 0 END = 1`, becomes `WHERE c`.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: None)
>>> optimise("SELECT * FROM t WHERE CASE WHEN a > 1 THEN 'big' ELSE 'small' END = 'big'", context).text
'SELECT * FROM t WHERE (a > 1)'

Conditions:
    - one WHEN, no operand after CASE, and an ELSE that fails the condition, or none; `if(c, 1, 0)` is the same;
    - what it gives and what it is compared with are constants of one kind: whole numbers, truth values, or ASCII texts
      that differ in more than case, so that no collation takes one for the other;
    - it stands where false and NULL do the same (`Place.positive`): CASE makes NULL false, and here that is no change.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.optimizer.days import whole
from neurolake.optimizer.place import Place, conditions
from neurolake.optimizer.statement import Edit, Statement

_Constant = tuple[str, bool | int | str]
"""The kind of a constant and its value: 1, '1' and TRUE are three."""
_TRUE: _Constant = ("boolean", True)


def find(statement: Statement) -> list[Edit]:
    """Conditions made of a CASE."""
    found = (_edit(statement, node, place) for node, place in conditions(statement, exp.Case, exp.If, exp.EQ))
    return [edit for edit in found if edit is not None]


def _edit(statement: Statement, node: exp.Expression, place: Place) -> Edit | None:
    if not place.positive:
        return None
    for case, wanted in _readings(node):
        branch = _only_branch(case)
        if branch is not None and wanted is not None and _holds_only_then(branch, case, wanted):
            condition = statement.source(branch.this)
            return None if condition is None else statement.replace(node, f"({condition})")
    return None


def _readings(node: exp.Expression) -> list[tuple[exp.Expression, _Constant | None]]:
    """What may be the CASE of a condition, with the value for which it holds."""
    if not isinstance(node, exp.EQ):
        return [(node, _TRUE)]
    left, right = _bare(node.this), _bare(node.expression)
    return [(left, _constant(right)), (right, _constant(left))]


def _only_branch(case: exp.Expression) -> exp.If | None:
    if isinstance(case, exp.If):
        return case
    if not isinstance(case, exp.Case) or case.this is not None or len(case.args["ifs"]) != 1:
        return None
    branch: exp.If = case.args["ifs"][0]
    return branch


def _holds_only_then(branch: exp.If, case: exp.Expression, wanted: _Constant) -> bool:
    otherwise = case.args.get("false" if isinstance(case, exp.If) else "default")
    if _constant(branch.args.get("true")) != wanted:
        return False
    if otherwise is None or isinstance(otherwise, exp.Null):
        return True
    other = _constant(otherwise)
    return other is not None and other[0] == wanted[0] and other[1] != wanted[1]


def _constant(node: exp.Expression | None) -> _Constant | None:
    if isinstance(node, exp.Boolean):
        return "boolean", bool(node.this)
    if isinstance(node, exp.Literal) and node.is_string:
        text = str(node.this)
        return ("text", text.casefold()) if text.isascii() else None
    number = whole(node)
    return None if number is None else ("number", number)


def _bare(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Paren):
        node = node.this
    return node
