"""`date_diff('day', d, DATE '1995-03-01') < 30` gets the range of `d` beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> optimise("SELECT * FROM t WHERE date_diff('day', d, DATE '1995-03-31') < 30", context).fired
('date_diff',)

Conditions:
    - the unit is the day, one argument is a DATE or TIMESTAMP column, the other a constant moment;
    - it is compared with whole numbers.
The comparison stays; days outside the years 1 to 9999 are left to it.
"""

from __future__ import annotations

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import FLIPPED, Comparison, comparisons
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_LISTED_MAX = 64


def find(statement: Statement) -> list[Edit]:
    """Comparisons of a number of days."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    subject = found.subject
    if not isinstance(subject, exp.DateDiff) or len(found.values) > _LISTED_MAX:
        return None
    if subject.unit is None or subject.unit.name.upper() not in ("DAY", "DAYS"):
        return None
    # date_diff(unit, start, end): sqlglot keeps the end first.
    end, start = subject.this, subject.expression
    rises = isinstance(_bare(end), exp.Column)
    column, fixed = (_bare(end), start) if rises else (_bare(start), end)
    moment = days.moment(fixed, bare_strings=False)
    counts = [days.whole(value) for value in found.values]
    if not isinstance(column, exp.Column) or moment is None or moment.at is None or None in counts:
        return None
    kind = column_type(statement, column, found.place)
    buckets = _buckets(moment.day(), [count for count in counts if count is not None], rises)
    name, condition = statement.source(column), statement.source(found.node)
    if kind not in days.DAY_TYPES or buckets is None or name is None or condition is None:
        return None
    op = found.op if rises else FLIPPED[found.op]
    return statement.replace(found.node, days.beside(condition, name, kind, days.implied(op, buckets)))


def _bare(node: exp.Expression) -> exp.Expression:
    """A column that sqlglot wraps into a cast of its own making is the column the user wrote."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _buckets(day: days.Moment, counts: list[int], rises: bool) -> list[days.Range] | None:
    signed = counts if rises else [-count for count in reversed(counts)]
    try:
        return [days.Range(day.plus(days=count), day.plus(days=count + 1)) for count in signed]
    except OverflowError:
        return None
