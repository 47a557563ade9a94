"""`d + INTERVAL 30 DAY > DATE '1995-03-01'` gets the range of `d` itself beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> optimise("SELECT * FROM t WHERE d + INTERVAL 30 DAY > DATE '1995-03-31'", context).fired
('day_shift',)

Conditions:
    - a DATE or TIMESTAMP column plus or minus a constant number of days (months differ in length);
    - the other side is a constant moment.
The comparison stays, so overflow raises what it raised; days outside the years 1 to 9999 are left to it.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import Comparison, comparisons
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_UNITS = frozenset(("DAY", "DAYS"))


def find(statement: Statement) -> list[Edit]:
    """Comparisons of a shifted day with a constant."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    subject = found.subject
    if type(subject) not in (exp.Add, exp.Sub) or not isinstance(subject.this, exp.Column) or found.op == "in":
        return None
    shift = _days(subject.expression)
    if shift is None:
        return None
    column = subject.this
    kind = column_type(statement, column, found.place)
    buckets = _buckets(found, shift if type(subject) is exp.Add else -shift)
    name, condition = statement.source(column), statement.source(found.node)
    if kind not in days.DAY_TYPES or buckets is None or name is None or condition is None:
        return None
    return statement.replace(found.node, days.beside(condition, name, kind, days.implied(found.op, buckets)))


def _days(node: exp.Expression) -> int | None:
    if not isinstance(node, exp.Interval) or node.unit is None or node.unit.name.upper() not in _UNITS:
        return None
    count = node.this
    if isinstance(count, exp.Literal) and count.is_string:
        return int(count.this) if count.this.lstrip("-").isdigit() and len(count.this) < 9 else None
    return days.whole(count)


def _buckets(found: Comparison, shift: int) -> list[days.Range] | None:
    moments = [days.moment(value) for value in found.values]
    try:
        return (
            [days.Range(m.plus(days=-shift), m.plus(days=1 - shift)) for m in moments if m is not None and m.at]
            if all(m is not None and m.at for m in moments)
            else None
        )
    except OverflowError:
        return None
