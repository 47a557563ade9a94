"""Query history: one record a statement, written when it ends, however it ends.

A record goes to a journal before the statement's end is answered. Every `fsync_interval_s` the journal is fsynced and
its records move into the metadata file, where each is known by its own number: records that a crash left in a journal
are moved when the lake is opened next.
"""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

from neurolake import errors
from neurolake.activity import Activity
from neurolake.catalog.store import Store
from neurolake.catalog.system import QUERIES, table
from neurolake.journal import MovedJournal

COLUMNS = "query_id, user_name, role, client, sql, state, error_code, started_at, duration_ms, rows_out, bytes_out"


def state_of(problem: BaseException | None) -> str:
    """How a statement ended: done, cancelled, timed_out or failed."""
    if problem is None:
        return "done"
    if isinstance(problem, errors.Stopped):
        return problem.code
    return "cancelled" if isinstance(problem, KeyboardInterrupt) else "failed"


class History:
    """The last `rows_max` statements of a lake."""

    def __init__(self, store: Store, rows_max: int, folder: Path | None = None, fsync_interval_s: float = 0.2) -> None:
        self._store = store
        self._rows_max = rows_max
        self._lock = threading.Lock()
        self._mirror = QUERIES.empty_table()
        self._mirrored = 0
        self._journal = MovedJournal(folder, "history", self._keep, fsync_interval_s)
        self._numbers = itertools.count(int(store.rows("SELECT coalesce(max(position), 0) FROM history")[0][0]) + 1)

    def record(self, activity: Activity, problem: BaseException | None) -> None:
        """Write a statement's end; it is with the operating system when this returns."""
        principal = activity.principal
        self._journal.append(
            [next(self._numbers), activity.query_id, principal.name, principal.role, activity.client, activity.text,
             state_of(problem), None if problem is None else getattr(problem, "code", "internal"),
             activity.started_at, activity.duration_ms, activity.rows_out, activity.bytes_out]
        )  # fmt: skip

    def flush(self) -> None:
        """Move what the journal holds into the metadata file."""
        self._journal.flush()

    def close(self) -> None:
        """Move the rest and close."""
        self._journal.close()

    def _keep(self, records: list[list[Any]]) -> None:
        with self._store.durable() as db:
            marks = ", ".join("?" * len(records[0]))
            db.executemany(f"INSERT OR IGNORE INTO history (position, {COLUMNS}) VALUES ({marks})", records)
            newest = records[-1][0]
            if newest % 100 < len(records):
                db.execute("DELETE FROM history WHERE position <= ?", (newest - self._rows_max,))

    def table(self, user_name: str | None = None) -> pa.Table:
        """The records in the columns of `neurolake.queries`, oldest first; of one user, or of all."""
        self.flush()
        with self._lock:
            rows = self._store.rows(
                f"SELECT {COLUMNS}, position FROM history WHERE position > ? ORDER BY position", (self._mirrored,)
            )
            if rows:
                self._mirrored = rows[-1][-1]
                grown = pa.concat_tables([self._mirror, table([row[:-1] for row in rows], QUERIES)])
                self._mirror = grown.slice(max(0, grown.num_rows - self._rows_max))
            whole = self._mirror
        if user_name is None:
            return whole
        import pyarrow.compute as pc

        return whole.filter(pc.equal(whole["user_name"], user_name))
