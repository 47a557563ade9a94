"""`make_date(y, m, 1) = DATE '1995-03-01'` gets `y = 1995 AND m = 3` beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"y": "BIGINT", "m": "BIGINT"})
>>> done = optimise("SELECT * FROM t WHERE make_date(y, m, 1) = DATE '1995-03-01'", context)
>>> print(done.text.replace(" AND (", "\\n    AND ("))
SELECT * FROM t WHERE (make_date(y, m, 1) = DATE '1995-03-01'
    AND (y = 1995 AND m = 3 OR y < 1 OR y > 9999 OR m < 1 OR m > 12))

Conditions:
    - each part is a signed integer column or a constant; the year is a column, a constant month lies in 1 to 12, a
      constant day in 1 to 28;
    - the other side is a constant day;
The comparison stays. The parts added beside it are true wherever a part is outside its range, so that what make_date
refuses (month 13, 30 February) it refuses as before; and they are NULL or true where a part is NULL, as it is itself.
"""

from __future__ import annotations

import datetime as dt

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import SIGNED, Comparison, comparisons
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_LIMITS = {"year": (1, 9999), "month": (1, 12), "day": (1, 28)}
"""Parts within which make_date always has an answer."""


def find(statement: Statement) -> list[Edit]:
    """Comparisons of a day made of columns."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    subject = found.subject
    moments = [days.moment(value) for value in found.values]
    if not isinstance(subject, exp.DateFromParts) or found.op == "in":
        return None
    fixed = [moment.at for moment in moments if moment is not None and moment.at is not None]
    columns = _columns(statement, found)
    condition = statement.source(found.node)
    if len(fixed) != len(moments) or columns is None or "year" not in columns or condition is None:
        return None
    outside = [f"{name} {side}" for part, name in columns.items() for side in _outside(part)]
    return statement.replace(
        found.node, f"({condition} AND ({_implied(found.op, columns, fixed)} OR {' OR '.join(outside)}))"
    )


def _columns(statement: Statement, found: Comparison) -> dict[str, str] | None:
    """The source of each part that is a column; None if a part is anything but a column or a fitting constant."""
    columns = {}
    for part, (low, high) in _LIMITS.items():
        node = found.subject.args.get(part)
        value = days.whole(node)
        if value is not None and low <= value <= high:
            continue
        if not isinstance(node, exp.Column) or column_type(statement, node, found.place) not in SIGNED:
            return None
        if (name := statement.source(node)) is None:
            return None
        columns[part] = name
    return columns


def _outside(part: str) -> tuple[str, str]:
    low, high = _LIMITS[part]
    return f"< {low}", f"> {high}"


def _implied(op: str, columns: dict[str, str], moments: list[dt.datetime]) -> str:
    first, last = moments[0], moments[-1]
    if op == "=":
        return " AND ".join(f"{name} = {getattr(first, part)}" for part, name in columns.items())
    year = columns["year"]
    if op == "between":
        return f"{year} >= {first.year} AND {year} <= {last.year}"
    return f"{year} {'<=' if op.startswith('<') else '>='} {first.year}"
