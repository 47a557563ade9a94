"""The outbox: how the managed tables and the metadata agree after any crash or rollback.

A write inserts its event in the same DuckDB transaction. After the commit the event is applied to the metadata store,
idempotently, and later removed; opening a home applies what a crash left behind.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from neurolake import errors
from neurolake._duckdb import CATALOG, Cursor, Instance
from neurolake.catalog import Catalog, Event
from neurolake.governance.tables import changes_tables, may_mean, names
from neurolake.sql.text import Name

logger = logging.getLogger("neurolake")

SCHEMA = "__neurolake"
TABLE = f'{CATALOG}."{SCHEMA}".outbox'
CHANGES_KEPT = 1000
"""Of so many changes of tables it is known which they were; a transaction that began before takes all for changed."""
REMOVE_AT = 256
"""Applied events are removed so many at a time: each removal is a commit of its own."""


class Outbox:
    """The outbox of one open lake. `after` is told of events that are applied, while their tables are in doubt.

    `replayed` are those that the last process had not applied; `changes`, how many have changed tables since then;
    `writes`, how many commits have changed anything.
    """

    def __init__(self, instance: Instance, catalog: Catalog) -> None:
        self._instance = instance
        self._catalog = catalog
        self._lock = threading.Lock()
        self._applied: list[str] = []
        self._late: list[Event] = []
        self._settling: tuple[Event, ...] = ()
        self._changed: deque[Event] = deque(maxlen=CHANGES_KEPT)
        self.changes = self.writes = 0
        self._written: dict[Name, int] = {}
        self._looked_at: dict[Name, int] = {}
        self.replayed: tuple[Event, ...] = ()
        self.after: Callable[[Sequence[Event]], None] = lambda events: None
        instance.acquire_and(self._prepare)

    def _prepare(self, cursor: Cursor) -> None:
        cursor.run(f'CREATE SCHEMA IF NOT EXISTS {CATALOG}."{SCHEMA}"')
        cursor.run(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (event_id VARCHAR, query_id VARCHAR, verb VARCHAR, "
            "object VARCHAR, user_name VARCHAR, happened_at DOUBLE, detail VARCHAR)"
        )
        cursor.run(f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS detail VARCHAR DEFAULT ''")
        left = [Event(*row) for row in cursor.rows(f"FROM {TABLE}")]
        if left:
            self.replayed = tuple(left)
            self.apply(left)
            self.remove_applied()

    def append(self, cursor: Cursor, query_id: str, verb: str, target: str, user_name: str, detail: str = "") -> Event:
        """Add an event inside the cursor's open transaction."""
        event = Event(secrets.token_hex(8), query_id, verb, target, user_name, time.time(), detail)
        cursor.run(
            f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?)",
            [event.event_id, event.query_id, event.verb, event.object, event.user_name, event.at, event.detail],
        )
        return event

    @contextmanager
    def settling(self, events: Sequence[Event]) -> Iterator[None]:
        """Around a commit: until its events are applied, the tables they change are in doubt.

        Plans made before are made again, and decisions on such a table wait: the metadata does not know it yet.
        """
        doubtful = [event for event in events if changes_tables(event.verb)]
        if not doubtful:
            yield
            self._wrote(events)
            self.apply(events)
            return
        with self._lock:
            self._settling = (*self._settling, *doubtful)
        self._catalog.touch()
        try:
            yield
            self.apply(events)
        finally:
            with self._lock:
                self._changed.extend(doubtful)
            self._wrote(events)
            with self._lock:
                self.changes += len(doubtful)
                self._settling = tuple(event for event in self._settling if event not in doubtful)

    def _wrote(self, events: Sequence[Event]) -> None:
        with self._lock:
            self.writes += 1
            self._written.update((name, self.writes) for event in events for name in names(event.object))

    def looked_at(self, name: Name) -> None:
        """What is known of a table's columns, by its folded name, is of the rows that it has now."""
        with self._lock:
            self._looked_at[name] = self._written.get(name, self.writes)  # of a view nobody knows whose rows it shows

    def looked_at_since(self, writes: int, name: Name) -> bool:
        """Whether a transaction that began after so many writes may see rows of which nothing is known any more.

        They were changed since, and then looked at: what was found is of rows that it does not see.
        """
        return self._looked_at.get(name, 0) > writes

    def in_doubt(self, name: Name) -> bool:
        """Whether a table, by its folded name, has changed in a way that the metadata does not know yet."""
        return any(may_mean(event.verb, event.object, event.detail, name) for event in (*self._settling, *self._late))

    def changed_since(self, changes: int, name: Name) -> bool:
        """Whether a transaction that began after so many changes may see another table under a folded name.

        What is known of a table is known of the one that has the name now.
        """
        with self._lock:
            since = self.changes - changes
            recent = list(self._changed)
        kept = recent[len(recent) - since :] if since <= len(recent) else None
        return kept is None or any(may_mean(event.verb, event.object, event.detail, name) for event in kept)

    def apply(self, events: Sequence[Event]) -> None:
        """Take over events whose transaction has committed.

        Where the metadata cannot be written now, they wait: the write is done, and must not be reported as failed.
        """
        if not events:
            return
        with self._lock:
            due, self._late = [*self._late, *events], []
        try:
            self._catalog.apply(due)
        except errors.NeuroLakeError as problem:
            logger.error("%d changes of tables wait to be noted in the metadata: %s", len(due), problem)
            with self._lock:
                self._late[:0] = due
            self._catalog.touch()
            return
        with self._lock:
            self._applied.extend(event.event_id for event in due)
            full = len(self._applied) >= REMOVE_AT
        if full:
            self.remove_applied()
        self.after(due)

    def remove_applied(self) -> None:
        """Remove from the outbox what was applied."""
        with self._lock:
            done, self._applied = self._applied, []
        if done:
            self._instance.acquire_and(
                lambda cursor: cursor.run(f"DELETE FROM {TABLE} WHERE event_id IN (SELECT unnest(?))", [done])
            )
