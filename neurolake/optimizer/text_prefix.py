"""`d::VARCHAR LIKE '1995-03%'` gets the range of days beside it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"d": "DATE"})
>>> done = optimise("SELECT * FROM t WHERE d::VARCHAR LIKE '1995-03%'", context)
>>> print(done.text.replace(" AND (", "\\n    AND (").replace(" OR ", "\\n        OR ", 1))
SELECT * FROM t WHERE (d::VARCHAR LIKE '1995-03%'
    AND (d >= DATE '1995-03-01' AND d < DATE '1995-04-01'
        OR d < DATE '0001-01-01' OR d > DATE '9999-12-31'))

What is seen, of a DATE or TIMESTAMP column cast to text:
    - LIKE and ILIKE without ESCAPE, and starts_with;
    - `=`, IN, `<`, `<=`, `>`, `>=` and BETWEEN;
    - `=` and IN of `left(…, n)` and `substr(…, 1, n)`.
Conditions:
    - every value is a constant that begins with the four digits of a year 1 to 9999; as much of `-MM-DD` as follows
      narrows the range;
    - at most 64 values.
The condition stays: `1995-03-01 (BC)` and `19950-03-01` begin like that as well, and such days are left to it. For all
others the text has a fixed width, so texts compare as the days do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from neurolake.optimizer import days
from neurolake.optimizer.comparison import comparisons, is_text_cast, text_of, texts_of
from neurolake.optimizer.place import Place, column_type, conditions
from neurolake.optimizer.statement import Edit, Statement

_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_LISTED_MAX = 64


def find(statement: Statement) -> list[Edit]:
    """Conditions on the text of a day."""
    edits = []
    for node, place, column, op, texts in _conditions(statement):
        buckets = [bucket for text in texts if (bucket := _bucket(text)) is not None]
        if len(buckets) != len(texts) or len(texts) > _LISTED_MAX or not isinstance(column, exp.Column):
            continue
        edit = _edit(statement, node, place, column, days.implied(op, buckets))
        edits += [] if edit is None else [edit]
    return edits


def _conditions(statement: Statement) -> Iterator[tuple[exp.Expression, Place, exp.Expression, str, list[str]]]:
    """Each condition with its column, its operator and its texts; a pattern or prefix counts as `=`."""
    for node, place in conditions(statement, exp.Like, exp.ILike, exp.StartsWith):
        text = text_of(node.expression)
        if text is not None and is_text_cast(node.this) and not node.args.get("negate"):
            plain = text if isinstance(node, exp.StartsWith) else re.split("[%_]", text, maxsplit=1)[0]
            yield node, place, node.this.this, "=", [plain]
    for found in comparisons(statement):
        texts, subject = texts_of(found.values), found.subject
        if texts is None:
            continue
        if is_text_cast(subject):
            yield found.node, found.place, subject.this, found.op, texts
        elif _takes_the_start(subject) and found.op in ("=", "in"):
            yield found.node, found.place, subject.this.this, found.op, texts


def _takes_the_start(subject: exp.Expression) -> bool:
    if isinstance(subject, exp.Left):
        return is_text_cast(subject.this) and days.whole(subject.expression) is not None
    if isinstance(subject, exp.Substring):
        return is_text_cast(subject.this) and days.whole(subject.args.get("start")) == 1
    return False


def _bucket(text: str) -> days.Range | None:
    """The longest part of the text that is a day, a month or a year of the calendar."""
    found = _DAY.match(text)
    parts = [] if found is None else [int(part) for part in found.groups() if part is not None]
    for length in range(len(parts), 0, -1):
        if (bucket := days.period(*parts[:length])) is not None:
            return bucket
    return None


def _edit(
    statement: Statement, node: exp.Expression, place: Place, column: exp.Expression, ranges: list[days.Range]
) -> Edit | None:
    kind = column_type(statement, column, place)
    name, condition = statement.source(column), statement.source(node)
    if kind not in days.DAY_TYPES or name is None or condition is None:
        return None
    return statement.replace(node, days.beside(condition, name, kind, ranges))
