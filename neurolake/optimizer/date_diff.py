"""`date_diff('day', d, DATE '1995-03-31') < 30` gets the range of `d` beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> done = optimise("SELECT * FROM t WHERE date_diff('day', d, current_date) < 30", context)
>>> print(done.text.replace(" AND (", "\\n    AND ("))
SELECT * FROM t WHERE (date_diff('day', d, current_date) < 30
    AND (d >= (current_date - 30) OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'))

Conditions:
    - the unit is second, minute, hour, day, month, quarter or year; weeks do not begin where one would think;
    - one argument is a DATE or TIMESTAMP column, the other a constant moment, or today with days as the unit;
    - or it is the difference of a DATE column and a DATE;
    - it is compared with whole numbers.
The comparison stays; days outside the years 1 to 9999 are left to it, infinity among them, for which it is NULL.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import FLIPPED, Comparison, comparisons
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_LISTED_MAX = 64


class _Distance(NamedTuple):
    """The distance of a column from a moment, counted up or down."""

    column: exp.Expression
    moment: days.Moment
    unit: str
    rises: bool
    types: tuple[str, ...]


def find(statement: Statement) -> list[Edit]:
    """Comparisons of the distance from a constant moment."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    distance = _distance(found.subject)
    counts = [count for value in found.values if (count := days.whole(value)) is not None]
    if distance is None or len(counts) != len(found.values) or len(counts) > _LISTED_MAX:
        return None
    signed = counts if distance.rises else [-count for count in reversed(counts)]
    buckets = [one for count in signed if (one := days.apart(distance.moment, distance.unit, count)) is not None]
    if len(buckets) != len(counts):
        return None
    kind = column_type(statement, distance.column, found.place)
    name, condition = statement.source(distance.column), statement.source(found.node)
    if kind not in distance.types or name is None or condition is None:
        return None
    op = found.op if distance.rises else FLIPPED[found.op]
    return statement.replace(found.node, days.beside(condition, name, kind, days.implied(op, buckets)))


def _distance(subject: exp.Expression) -> _Distance | None:
    # date_diff(unit, start, end): sqlglot keeps the end first, as in `end - start`.
    end, start = _bare(subject.this), _bare(subject.args.get("expression"))
    unit, types = "DAY", days.DAY_TYPES[:1]
    if isinstance(subject, exp.DateDiff) and subject.args.get("unit") is not None:
        unit, types = str(subject.unit.name).upper().removesuffix("S"), days.DAY_TYPES
    elif type(subject) is not exp.Sub:
        return None
    rises = isinstance(end, exp.Column)
    column, fixed = (end, start) if rises else (start, end)
    moment = days.moment(fixed, bare_strings=False)
    if not isinstance(column, exp.Column) or moment is None or (type(subject) is exp.Sub and not moment.is_day):
        return None
    return _Distance(column, moment, unit, rises, types)


def _bare(node: exp.Expression | None) -> exp.Expression | None:
    while isinstance(node, exp.Paren):
        node = node.this
    return node
