"""`d::VARCHAR LIKE '1995-03%'` gets the range of days beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> optimise("SELECT * FROM t WHERE d::varchar LIKE '1995-03%'", context).fired
('text_prefix',)

Conditions:
    - the column is a DATE or TIMESTAMP, cast to text without a format;
    - the pattern is a whole year and hyphen, a year and month, or a day, then one `%` at its end, and no ESCAPE.
The LIKE stays (`1995-03-01 (BC)` matches as well, and the range leaves such days to it: see `days.beside`).
"""

from __future__ import annotations

import re

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import is_text_cast, text_of
from neurolake.optimizer.place import Place, column_type, conditions
from neurolake.optimizer.statement import Edit, Statement

_PREFIX = re.compile(r"(\d{4})-(?:(\d\d)(?:-(?:(\d\d))?)?)?%", re.ASCII)


def find(statement: Statement) -> list[Edit]:
    """LIKE on the text of a day."""
    found = (_edit(statement, node, place) for node, place in conditions(statement, exp.Like))
    return [edit for edit in found if edit is not None]


def _edit(statement: Statement, node: exp.Expression, place: Place) -> Edit | None:
    subject, pattern = node.this, text_of(node.expression)
    match = _PREFIX.fullmatch(pattern or "")
    if match is None or not is_text_cast(subject) or not isinstance(subject.this, exp.Column):
        return None
    span = days.period(*(int(part) for part in match.groups() if part is not None))
    kind = column_type(statement, subject.this, place)
    name, condition = statement.source(subject.this), statement.source(node)
    if kind not in days.DAY_TYPES or span is None or name is None or condition is None:
        return None
    return statement.replace(node, days.beside(condition, name, kind, [span]))
