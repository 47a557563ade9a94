"""`strftime(d, '%Y-%m') = '1995-03'` becomes a range of days.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> optimise("SELECT * FROM t WHERE strftime(d, '%Y-%m') = '1995-03'", context).text
"SELECT * FROM t WHERE (d >= DATE '1995-03-01' AND d < DATE '1995-04-01')"

Conditions:
    - the argument is a DATE or TIMESTAMP column (a TIMESTAMP WITH TIME ZONE depends on the session's zone);
    - the format holds %Y, at most %m and %d besides, and no other letters or digits; %d only with %m;
    - every value is a string such as the format prints for a day in the years 1 to 9999.
With `=` and IN the range says exactly the same: month and day have fixed widths, so no other year, no year before
Christ and no infinity prints that text, and NULL stays NULL. With `<`, `<=`, `>`, `>=` and BETWEEN the format must be
year before month before day, and the range stands beside the comparison (see `days`), which decides for other days.
"""

from __future__ import annotations

import re

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import Comparison, comparisons, texts_of
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_FIELDS = {"%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d\d)", "%d": r"(?P<d>\d\d)"}
_PART = re.compile(r"%.|[^%\w]")
_LISTED_MAX = 64


def find(statement: Statement) -> list[Edit]:
    """Comparisons of a formatted day with texts it can have."""
    return [edit for found in comparisons(statement) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    if not isinstance(found.subject, exp.TimeToStr) or len(found.values) > _LISTED_MAX:
        return None
    # DuckDB takes its two arguments in either order.
    column, pattern = found.subject.this, found.subject.args.get("format")
    if isinstance(column, exp.Literal):
        column, pattern = pattern, column
    texts = texts_of(found.values)
    if not isinstance(column, exp.Column) or not isinstance(pattern, exp.Literal) or texts is None:
        return None
    layout = _layout(pattern.this)
    buckets = None if layout is None else _buckets(layout, texts)
    exact = found.op in ("=", "in")
    if buckets is None or not (exact or _is_ordered(pattern.this)):
        return None
    kind = column_type(statement, column, found.place)
    name, condition = statement.source(column), statement.source(found.node)
    if kind not in days.DAY_TYPES or name is None or condition is None:
        return None
    if exact:
        return statement.replace(found.node, f"({days.within(name, kind, buckets)})")
    return statement.replace(found.node, days.beside(condition, name, kind, days.implied(found.op, buckets)))


def _layout(pattern: str) -> re.Pattern[str] | None:
    """What the format prints for a year of four digits; None for a format with other fields."""
    parts = _PART.findall(pattern)
    fields = [part for part in parts if part.startswith("%")]
    known = "".join(parts) == pattern and set(fields) <= set(_FIELDS) and len(fields) == len(set(fields))
    if not known or "%Y" not in fields or ("%d" in fields and "%m" not in fields):
        return None
    return re.compile("".join(_FIELDS.get(part, re.escape(part)) for part in parts), re.ASCII)


def _is_ordered(pattern: str) -> bool:
    return re.findall(r"%\w", pattern) in (["%Y"], ["%Y", "%m"], ["%Y", "%m", "%d"])


def _buckets(layout: re.Pattern[str], texts: list[str]) -> list[days.Range] | None:
    """The days that print each text; None if one is printed by no day of the years 1 to 9999."""
    buckets = []
    for text in texts:
        if (found := layout.fullmatch(text)) is None:
            return None
        fields = {name: int(digits) for name, digits in found.groupdict().items()}
        if (bucket := days.period(fields["Y"], fields.get("m"), fields.get("d"))) is None:
            return None
        buckets.append(bucket)
    return buckets
