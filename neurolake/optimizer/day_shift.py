"""`d + INTERVAL 30 DAY > DATE '1995-03-31'` gets the range of `d` itself beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> done = optimise("SELECT * FROM t WHERE d + INTERVAL 30 DAY > DATE '1995-03-31'", context)
>>> print(done.text.replace(" AND (", "\\n    AND ("))
SELECT * FROM t WHERE (d + INTERVAL 30 DAY > DATE '1995-03-31'
    AND (d >= DATE '1995-03-01' OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'))

Conditions:
    - a DATE or TIMESTAMP column plus or minus an interval of a whole number of one unit, or a DATE plus or minus days;
    - the other side is a constant moment, or today with days or weeks as the unit.
The comparison stays, so overflow raises what it raised; days outside the years 1 to 9999 are left to it. Months differ
in length, so for months, quarters and years the range is a few days wider than it need be.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import Comparison, comparisons
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_LISTED_MAX = 64


def find(statement: Statement) -> list[Edit]:
    """Comparisons of a shifted day with a constant."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    subject = found.subject
    if type(subject) not in (exp.Add, exp.Sub) or len(found.values) > _LISTED_MAX:
        return None
    column, added = subject.this, subject.expression
    if type(subject) is exp.Add and isinstance(added, exp.Column):
        column, added = added, column
    shift = _shift(added)
    if shift is None or not isinstance(column, exp.Column):
        return None
    unit, count = shift[0], shift[1] if type(subject) is exp.Add else -shift[1]
    moments = [moment for value in found.values if (moment := days.moment(value)) is not None]
    buckets = [bucket for moment in moments if (bucket := days.shifted(moment, unit, count)) is not None]
    if len(buckets) != len(found.values):
        return None
    kind = column_type(statement, column, found.place)
    name, condition = statement.source(column), statement.source(found.node)
    if kind not in days.DAY_TYPES or name is None or condition is None:
        return None
    return statement.replace(found.node, days.beside(condition, name, kind, days.implied(found.op, buckets)))


def _shift(node: exp.Expression) -> tuple[str, int] | None:
    """The unit and number of an interval; a bare number is of days."""
    if (number := days.whole(node)) is not None:
        return "DAY", number
    if not isinstance(node, exp.Interval) or node.unit is None:
        return None
    count = node.this.this if isinstance(node.this, exp.Paren) else node.this
    if isinstance(count, exp.Literal) and count.is_string:
        digits = str(count.this)
        fits = digits.removeprefix("-").isdigit() and digits.isascii() and len(digits) < 9
        number = int(digits) if fits else None
    else:
        number = days.whole(count)
    return None if number is None else (str(node.unit.name).upper().removesuffix("S"), number)
