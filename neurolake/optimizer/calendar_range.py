"""Calendar functions compared in ways that DuckDB does not see through get the range of days beside them.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> done = optimise("SELECT * FROM t WHERE year(d) * 100 + month(d) = 199503", context)
>>> print(done.text.replace(" AND (", "\\n    AND (").replace(" OR ", "\\n        OR ", 1))
SELECT * FROM t WHERE (year(d) * 100 + month(d) = 199503
    AND (d >= DATE '1995-03-01' AND d < DATE '1995-04-01'
        OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'))

What is seen, with what DuckDB 2.0 already turns into a range itself left out:
    - `date_trunc(unit, d) IN (…)` and `year(d) IN (…)`;
    - `ts::DATE IN (…)` and `ts::DATE BETWEEN … AND …`;
    - `extract(year FROM d)` in every comparison;
    - `last_day(d) = …` and IN, of a DATE;
    - `year(d) * 100 + month(d)` in every comparison.
Conditions:
    - d is a DATE or TIMESTAMP column (zoned timestamps depend on the session), all values are constants;
    - at most 64 of them.
The comparison stays; days outside the years 1 to 9999 are left to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import Comparison, comparisons
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_LISTED_MAX = 64
_EVERY = frozenset(("=", "<", "<=", ">", ">=", "in", "between"))


class _Seen(NamedTuple):
    """A calendar function: its column, where it is worth rewriting, and the days that have a value."""

    column: exp.Expression
    ops: frozenset[str]
    types: tuple[str, ...]
    bucket: Callable[[exp.Expression], days.Range | None]


def find(statement: Statement) -> list[Edit]:
    """Comparisons of a calendar function with constants."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    seen = _seen(found.subject)
    if seen is None or found.op not in seen.ops or len(found.values) > _LISTED_MAX:
        return None
    if not isinstance(seen.column, exp.Column):
        return None
    buckets = [bucket for value in found.values if (bucket := seen.bucket(value)) is not None]
    if len(buckets) != len(found.values):
        return None
    kind = column_type(statement, seen.column, found.place)
    name, condition = statement.source(seen.column), statement.source(found.node)
    if kind not in seen.types or name is None or condition is None:
        return None
    return statement.replace(found.node, days.beside(condition, name, kind, days.implied(found.op, buckets)))


def _seen(subject: exp.Expression) -> _Seen | None:
    if isinstance(subject, exp.TimestampTrunc | exp.DateTrunc) and not subject.args.get("zone"):
        unit = subject.args.get("unit")
        name = "" if unit is None else str(unit.name).upper()
        return _Seen(subject.this, frozenset(("in",)), days.DAY_TYPES, lambda value: _unit_of(value, name))
    if type(subject) is exp.Cast and subject.to.this == exp.DType.DATE:
        ops = frozenset(("in", "between"))
        return _Seen(subject.this, ops, ("TIMESTAMP",), lambda value: _unit_of(value, "DAY"))
    if isinstance(subject, exp.Year):
        return _Seen(subject.this, frozenset(("in",)), days.DAY_TYPES, _year)
    if isinstance(subject, exp.Extract) and subject.this.name.upper() == "YEAR":
        return _Seen(subject.expression, _EVERY, days.DAY_TYPES, _year)
    if isinstance(subject, exp.LastDay) and subject.args.get("unit") is None:
        return _Seen(subject.this, frozenset(("=", "in")), ("DATE",), lambda value: _unit_of(value, "MONTH"))
    column = _year_and_month(subject)
    return None if column is None else _Seen(column, _EVERY, days.DAY_TYPES, _month)


def _year_and_month(subject: exp.Expression) -> exp.Expression | None:
    """The d of `year(d) * 100 + month(d)`."""
    if type(subject) is not exp.Add or type(subject.this) is not exp.Mul:
        return None
    factors = [subject.this.this, subject.this.expression]
    if days.whole(factors[0]) == 100:
        factors.reverse()
    year, month = factors[0], subject.expression
    fits = isinstance(year, exp.Year) and days.whole(factors[1]) == 100 and isinstance(month, exp.Month)
    return year.this if fits and year.this == month.this else None


def _year(value: exp.Expression) -> days.Range | None:
    number = days.whole(value)
    return None if number is None else days.period(number)


def _month(value: exp.Expression) -> days.Range | None:
    number = days.whole(value)
    return None if number is None else days.period(number // 100, number % 100)


def _unit_of(value: exp.Expression, unit: str) -> days.Range | None:
    """The whole year, quarter, month or day that a constant lies in."""
    moment = days.moment(value)
    if moment is None or moment.at is None:
        return None
    day = moment.at.date()
    if unit == "QUARTER":
        first = dt.date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        last = days.period(day.year, first.month + 2)
        return None if last is None else days.Range(days.Moment(days.midnight(first), True), last.high)
    parts = {"YEAR": 1, "MONTH": 2, "DAY": 3}.get(unit)
    return None if parts is None else days.period(*(day.year, day.month, day.day)[:parts])
