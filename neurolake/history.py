"""Query history: one record a statement, written when it ends, however it ends."""

from __future__ import annotations

import threading

import pyarrow as pa

from neurolake import errors
from neurolake.activity import Activity
from neurolake.catalog.store import Store
from neurolake.catalog.system import QUERIES, table

TRIM_EVERY = 1000


def state_of(problem: BaseException | None) -> str:
    """How a statement ended: done, cancelled, timed_out or failed."""
    if problem is None:
        return "done"
    if isinstance(problem, errors.Stopped):
        return problem.code
    return "cancelled" if isinstance(problem, KeyboardInterrupt) else "failed"


class History:
    """The last `rows_max` statements of a lake."""

    def __init__(self, store: Store, rows_max: int) -> None:
        self._store = store
        self._rows_max = rows_max
        self._lock = threading.Lock()
        self._written = 0
        self._mirror: list[pa.Table] = []
        self._mirrored = 0

    def record(self, activity: Activity, problem: BaseException | None) -> None:
        """Write a statement's end; it is with the operating system when this returns."""
        self._store.lazy(
            "INSERT INTO history (query_id, user_name, role, client, sql, state, error_code, started_at, "
            "duration_ms, rows_out, bytes_out) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (activity.query_id, activity.principal.name, activity.principal.role, activity.client, activity.text,
             state_of(problem), None if problem is None else getattr(problem, "code", "internal"),
             activity.started_at, activity.duration_ms, activity.rows_out, activity.bytes_out),
        )  # fmt: skip
        self._written += 1
        if self._written % TRIM_EVERY == 0:
            self._trim()

    def _trim(self) -> None:
        self._store.lazy(
            "DELETE FROM history WHERE position <= (SELECT max(position) FROM history) - ?", (self._rows_max,)
        )
        with self._lock:
            self._mirror.clear()
            self._mirrored = 0

    def table(self, user_name: str | None = None) -> pa.Table:
        """The records in the columns of `neurolake.queries`, oldest first; of one user, or of all."""
        with self._lock:
            rows = self._store.rows(
                "SELECT query_id, user_name, role, client, sql, state, error_code, started_at, duration_ms, "
                "rows_out, bytes_out, position FROM history WHERE position > ? ORDER BY position",
                (self._mirrored,),
            )
            if rows:
                self._mirrored = rows[-1][-1]
                self._mirror.append(table([row[:-1] for row in rows], QUERIES))
            whole = pa.concat_tables(self._mirror) if self._mirror else QUERIES.empty_table()
            self._mirror = [whole]
        if user_name is None:
            return whole
        import pyarrow.compute as pc

        return whole.filter(pc.equal(whole["user_name"], user_name))
