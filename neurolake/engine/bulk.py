"""One write for many rows of parameters: an INSERT of plain placeholders reads them as a table, else row by row.

Read as a table the rows keep their Arrow types to the last digit, and ten thousand of them cost one statement.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as pat

from neurolake import errors, parameters
from neurolake._duckdb import Cursor
from neurolake.activity import Activity
from neurolake.engine import planning
from neurolake.incoming import Incoming
from neurolake.query import Plan, Values
from neurolake.sql.text import columns, quote

if TYPE_CHECKING:
    from neurolake.engine import Engine

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_INSERT = re.compile(
    rf"\s*(?P<head>INSERT\s+INTO\s+{_NAME}(?:\s*\.\s*{_NAME})*\s*(?:\(\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\))?)\s*"
    r"VALUES\s*\(\s*(?P<marks>(?:\?|\$\d+)(?:\s*,\s*(?:\?|\$\d+))*)\s*\)\s*;?\s*\Z",
    re.IGNORECASE,
)


def as_select(text: str, width: int) -> str | None:
    """The head of an INSERT whose values are exactly the parameters in their order; None for any other statement.

    >>> as_select("INSERT INTO t (a, b) VALUES (?, ?)", 2)
    'INSERT INTO t (a, b)'
    >>> as_select("INSERT INTO t VALUES (?, upper(?))", 2), as_select("INSERT INTO t VALUES ($2, $1)", 2)
    (None, None)
    """
    match = _INSERT.match(text)
    if match is None:
        return None
    marks = [mark.strip() for mark in match["marks"].split(",")]
    in_order = all(mark in ("?", f"${place}") for place, mark in enumerate(marks, 1))
    return match["head"].strip() if in_order and len(marks) == width else None


def run(engine: Engine, plan: Plan, activity: Activity, rows: pa.RecordBatchReader) -> int:
    """Run a write for every row, all or none of them; how many rows it changed in all."""
    # A column of unions has no one type to select; some clients send every parameter so.
    unions = any(pat.is_union(kind) for kind in rows.schema.types)
    head = as_select(plan.text, len(rows.schema)) if not plan.returns_rows and not unions else None
    work = _by_row(plan, activity, rows) if head is None else _at_once(head, rows)
    done = engine.change(plan, activity, work)
    return done if isinstance(done, int) else done.num_rows


def _at_once(head: str, rows: pa.RecordBatchReader) -> Callable[[Cursor], int]:
    def work(cursor: Cursor) -> int:
        name = f"_neurolake_{secrets.token_hex(6)}"
        listed = [f"c{place}" for place in range(len(rows.schema))]
        incoming = Incoming(rows, names=False)
        cursor.attach(name, incoming.data)
        try:
            return cursor.run(f"{head} SELECT {columns(listed)} FROM {quote(name)} AS rows({columns(listed)})")
        except errors.NeuroLakeError as problem:
            raise incoming.blame(problem) from None
        finally:
            cursor.detach(name)

    return work


def _by_row(plan: Plan, activity: Activity, rows: pa.RecordBatchReader) -> Callable[[Cursor], int]:
    def work(cursor: Cursor) -> int:
        with planning.attached(cursor, plan):
            total = 0
            for values in _values(plan, rows):
                activity.check()
                total += cursor.run(plan.text, values)
        return total

    return work


def _values(plan: Plan, rows: pa.RecordBatchReader) -> Iterator[Values]:
    for batch in rows:
        for row in parameters.rows(batch):
            yield parameters.for_plan(plan, row)
