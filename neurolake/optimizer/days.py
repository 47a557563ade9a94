"""Ranges of days: reading constants, counting months, and the condition that lets DuckDB skip what cannot match.

DuckDB skips row groups and files by comparing a bare column with constants. Where a function hides the column, a rule
puts such a comparison beside the function, in a form that cannot change the answer:

    (f(d) = x AND (d >= low AND d < high OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'))

For a day in the years 1 to 9999 the second half follows from the first; for every other value (before Christ, far
future, infinity) it is true, so the function alone decides, and raises what it raises. For NULL both halves are NULL.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

DAY_TYPES: tuple[str, ...] = ("DATE", "TIMESTAMP")
"""Types whose values are days on one calendar. Not TIMESTAMP WITH TIME ZONE: its days depend on the session."""

TODAY = "current_date"

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?")
_CASTS = {exp.DType.DATE: "DATE", exp.DType.TIMESTAMP: "TIMESTAMP", exp.DType.TIMESTAMPNTZ: "TIMESTAMP"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A constant point in time.

    Args:
        at: the point; None for today, whose value is DuckDB's to fill in.
        is_day: it is a DATE.
        shift_days: days to add.
    """

    at: dt.datetime | None
    is_day: bool
    shift_days: int = 0

    def plus(self, days: int = 0, microseconds: int = 0) -> Moment:
        """This much later.

        Raises:
            OverflowError: outside the years 1 to 9999.
        """
        if self.at is None:
            return Moment(None, True, self.shift_days + days)
        return Moment(self.at + dt.timedelta(days=days, microseconds=microseconds), self.is_day)

    def day(self) -> Moment:
        """The start of its day."""
        return self if self.at is None else Moment(midnight(self.at.date()), True)

    def sql(self, column_type: str) -> str:
        """As a constant to compare with a column of this type.

        >>> Moment(dt.datetime(1995, 3, 1), True).sql("DATE"), Moment(None, True, -30).sql("TIMESTAMP")
        ("DATE '1995-03-01'", '(current_date - 30)')
        """
        if self.at is None:
            return f"({TODAY} {'-' if self.shift_days < 0 else '+'} {abs(self.shift_days)})"
        if column_type == "DATE":
            return f"DATE '{self.at.date().isoformat()}'"
        return f"TIMESTAMP '{self.at.isoformat(sep=' ')}'"


@dataclass(frozen=True, slots=True)
class Range:
    """Moments from `low` up to but not including `high`; None leaves that side open."""

    low: Moment | None
    high: Moment | None


def midnight(day: dt.date) -> dt.datetime:
    """The start of a day."""
    return dt.datetime.combine(day, dt.time())


def days(first: dt.date, after: dt.date | None) -> Range:
    """The range from one day up to but not including another."""
    return Range(Moment(midnight(first), True), None if after is None else Moment(midnight(after), True))


def period(year: int, month: int | None = None, day: int | None = None) -> Range | None:
    """A whole year, month or day; None if the calendar has none such, or the next one is past year 9999.

    >>> period(1995, 2).high.sql("DATE"), period(1995, 13)
    ("DATE '1995-03-01'", None)
    """
    try:
        first = dt.date(year, 1 if month is None else month, 1 if day is None else day)
        if day is not None:
            return days(first, first + dt.timedelta(days=1))
        return days(first, month_start(12 * year + 12 if month is None else 12 * year + month))
    except (ValueError, OverflowError):
        return None


def moment(node: exp.Expression | None, *, bare_strings: bool = True) -> Moment | None:
    """A constant date or timestamp: typed, cast, today, or (where DuckDB would cast it) a bare ISO string."""
    if isinstance(node, exp.Paren):
        return moment(node.this, bare_strings=bare_strings)
    if isinstance(node, exp.CurrentDate) and not node.this:
        return Moment(None, True)
    if (
        isinstance(node, exp.Cast)
        and not isinstance(node, exp.TryCast)
        and node.to.this in _CASTS
        and not node.to.expressions
    ):
        found = _iso(node.this)
        kind = _CASTS[node.to.this]
        return None if found is None else Moment(midnight(found.date()) if kind == "DATE" else found, kind == "DATE")
    found = _iso(node) if bare_strings else None
    return None if found is None else Moment(found, False)


def _iso(node: exp.Expression | None) -> dt.datetime | None:
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    found = _MOMENT.fullmatch(node.this)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        return dt.datetime(year, month, day, hour, minute, second, int((found[7] or "0").ljust(6, "0")))
    except ValueError:
        return None


def whole(node: exp.Expression | None) -> int | None:
    """An integer constant of at most nine digits, with its sign."""
    if isinstance(node, exp.Neg):
        below = whole(node.this)
        return None if below is None else -below
    if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit() and len(node.this) <= 9:
        return int(node.this)
    return None


_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_MICROSECONDS = {"SECOND": 10**6, "MINUTE": 60 * 10**6, "HOUR": 3600 * 10**6}
_DAYS = {"DAY": 1, "WEEK": 7}


def apart(start: Moment, unit: str, count: int) -> Range | None:
    """The days whose `date_diff(unit, start, day)` is `count`; None for other units, or past the years 1 to 9999.

    >>> within("d", "DATE", [apart(Moment(dt.datetime(1995, 3, 31), True), "MONTH", -1)])
    "d >= DATE '1995-02-01' AND d < DATE '1995-03-01'"
    """
    try:
        if unit == "DAY":
            return Range(start.day().plus(days=count), start.day().plus(days=count + 1))
        if start.at is None:
            return None
        if unit in _MICROSECONDS:
            # DuckDB counts units from 1970 and cuts towards it, so a moment before may count one less.
            size = _MICROSECONDS[unit]
            return Range(start.plus(microseconds=(count - 2) * size), start.plus(microseconds=(count + 2) * size))
        if unit in _MONTHS:
            size = _MONTHS[unit]
            index = (12 * start.at.year + start.at.month - 1) // size + count
            return days(month_start(index * size), month_start((index + 1) * size))
    except (ValueError, OverflowError):
        return None
    return None


def shifted(point: Moment, unit: str, count: int) -> Range | None:
    """The days that may be `point` once `count` units are added; None for other units, or past the years 1 to 9999.

    Months differ in length: for them the range has room on both sides.
    """
    try:
        if unit in _DAYS:
            by = -count * _DAYS[unit]
            return Range(point.plus(days=by), point.plus(days=by + 1))
        if point.at is None:
            return None
        if unit in _MICROSECONDS:
            size = _MICROSECONDS[unit]
            return Range(point.plus(microseconds=-count * size), point.plus(days=1, microseconds=-count * size))
        if unit in _MONTHS:
            index = 12 * point.at.year + point.at.month - 1 - count * _MONTHS[unit]
            near = Moment(midnight(month_start(index)), True).plus(days=point.at.day - 1)
            return Range(near.plus(days=-4), near.plus(days=5))
    except (ValueError, OverflowError):
        return None
    return None


def month_start(index: int) -> dt.date:
    """The first day of a month counted from year 0: 12 * year + month - 1.

    Raises:
        ValueError: outside the years 1 to 9999.

    >>> month_start(12 * 1995 + 2)
    datetime.date(1995, 3, 1)
    """
    return dt.date(index // 12, index % 12 + 1, 1)


def implied(op: str, buckets: Sequence[Range]) -> list[Range]:
    """Where a day can lie if `f(day) op value`, for an f that never falls.

    Args:
        op: `=`, `<`, `<=`, `>`, `>=`, `in` or `between`.
        buckets: for each value the days around it: f is below the value for days before, above for days after.

    >>> march = days(dt.date(1995, 3, 1), dt.date(1995, 4, 1))
    >>> within("d", "DATE", implied("<=", [march]))
    "d < DATE '1995-04-01'"
    """
    if op in ("=", "in"):
        return list(buckets)
    low, high = buckets[0].low, buckets[-1].high
    return [Range(None if op in ("<", "<=") else low, None if op in (">", ">=") else high)]


def within(column: str, column_type: str, ranges: Sequence[Range]) -> str:
    """The condition that a column lies in one of the ranges.

    For a DATE column a bound within a day takes in the whole day: comparing it with a TIMESTAMP would hide the column.
    """
    shown = []
    for one in ranges:
        bounds = []
        if one.low is not None:
            bounds.append(f"{column} >= {one.low.sql(column_type)}")
        if one.high is not None:
            high = one.high
            if column_type == "DATE" and high.at is not None and high.at.time() != dt.time():
                high = high.day().plus(days=1)
            bounds.append(f"{column} < {high.sql(column_type)}")
        shown.append(" AND ".join(bounds))
    return " OR ".join(shown)


def beside(condition: str, column: str, column_type: str, ranges: Sequence[Range]) -> str:
    """A condition with the ranges it implies for ordinary days beside it; the module's text says why this is exact."""
    first, last = (Moment(midnight(day), True).sql(column_type) for day in (dt.date.min, dt.date.max))
    implied = within(column, column_type, ranges)
    return f"({condition} AND ({implied} OR {column} < {first} OR {column} > {last}))"
