"""`id::VARCHAR = '123'` becomes `id = 123`, so that DuckDB can skip the groups of rows that cannot hold it.

>>> from neurolake.optimizer import Context, optimise
>>> context = Context(describe=lambda relation: {"id": "BIGINT"})
>>> optimise("SELECT * FROM t WHERE CAST(id AS VARCHAR) IN ('7', '12')", context).text
'SELECT * FROM t WHERE id IN (7, 12)'

Conditions:
    - the column is a signed integer of at most 64 bits;
    - `=`, `<>` or IN, and every value is the text of a whole number of at most 18 digits as DuckDB prints it: no zeros
      in front, no plus, no space. Only then does exactly one integer have that text.
NULL stays NULL, and neither side can raise an error.
"""

from __future__ import annotations

import re

from sqlglot import exp

from neurolake.optimizer.comparison import SIGNED, Comparison, comparisons, is_text_cast, texts_of
from neurolake.optimizer.place import column_type
from neurolake.optimizer.statement import Edit, Statement

_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)


def find(statement: Statement) -> list[Edit]:
    """Comparisons of an integer's text."""
    return [edit for found in comparisons(statement, unequal=True) if (edit := _edit(statement, found)) is not None]


def _edit(statement: Statement, found: Comparison) -> Edit | None:
    texts = texts_of(found.values)
    if found.op not in ("=", "<>", "in") or texts is None or not is_text_cast(found.subject):
        return None
    column = found.subject.this
    if not isinstance(column, exp.Column) or not all(_WHOLE.fullmatch(text) for text in texts):
        return None
    name = statement.source(column)
    if name is None or column_type(statement, column, found.place) not in SIGNED:
        return None
    values = f"IN ({', '.join(texts)})" if found.op == "in" else f"{found.op} {texts[0]}"
    return statement.replace(found.node, f"{name} {values}")
