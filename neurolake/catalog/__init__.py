"""What the lake holds: registered sources, managed tables, and the version that plans are made under."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from neurolake import errors
from neurolake.catalog.store import Store
from neurolake.identifiers import fold
from neurolake.sql.text import Name, words

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["Catalog", "Event", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """One registered source. `columns` maps names to DuckDB types, as seen when last looked at."""

    name: Name
    location: str
    format: str
    options: Mapping[str, object] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    registered_at: float = 0.0
    registered_by: str = ""
    changed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change of the managed tables; `object` is the table's full name, `detail` JSON, or '' for nothing more."""

    event_id: str
    query_id: str
    verb: str
    object: str
    user_name: str
    at: float
    detail: str = ""


class Follower(Protocol):
    """What has to follow when tables change, in the same transaction of the metadata."""

    def follow(self, db: Connection, events: Sequence[Event]) -> bool:
        """Follow events that were not followed before; whether anything has changed by it."""

    def moved(self) -> None:
        """What has changed is on the disk."""


class Catalog:
    """The catalog of one lake, held in memory and in the metadata store. Safe to share between threads.

    Args:
        store: the metadata file.
        follower: follows each change of a table or source.
    """

    def __init__(self, store: Store, follower: Follower | None = None) -> None:
        self._store = store
        self._follower = follower
        self._lock = threading.Lock()
        self.version = int(store.fact("catalog_version", 1))
        self.sources: Mapping[Name, Source] = {source.name.fold(): source for source in self._read()}
        self.views: Mapping[Name, str] = {}
        """The texts of governed roles' views, by folded name."""
        self.source_words = _words(self.sources)
        """What a statement must name one of, to name a source or such a view."""

    def add(self, source: Source, *, replace: bool = False) -> None:
        """Register a source, durably.

        Raises:
            AlreadyExists: the name is taken and `replace` is false.
        """
        with self._lock:
            if source.name.fold() in self.sources and not replace:
                raise errors.AlreadyExists(
                    f"A source named {source.name} is registered already.",
                    next_step="Unregister it first, or choose another name.",
                )
            with self._store.durable() as db:
                db.execute(
                    "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (source.name.schema, source.name.table, source.location, source.format,
                     json.dumps(source.options), json.dumps(source.columns), source.registered_at,
                     source.registered_by, source.changed_at),
                )  # fmt: skip
                self._set_version(db)
            self._replace({**self.sources, source.name.fold(): source})

    def remove(self, name: Name) -> None:
        """Forget a source, durably. The files stay.

        Raises:
            NotFound: there is no such source.
        """
        with self._lock:
            found = self.sources.get(name.fold())
            if found is None:
                raise errors.NotFound(
                    f"There is no source named {name}.",
                    next_step="SELECT * FROM neurolake.sources lists them.",
                )
            with self._store.durable() as db:
                db.execute("DELETE FROM sources WHERE table_schema = ? AND table_name = ?", found.name)
                self._set_version(db)
                gone = Event("", "", "UNREGISTER", ".".join(found.name), "", time.time())
                moved = self._follower is not None and self._follower.follow(db, [gone])
            self._replace({key: value for key, value in self.sources.items() if value is not found})
            if moved and self._follower is not None:
                self._follower.moved()

    def apply(self, events: Iterable[Event]) -> None:
        """Take over events of the outbox, durably and idempotently."""
        with self._lock:
            with self._store.durable() as db:
                fresh = [event for event in events if _is_new(db, event)]
                self._set_version(db)
                moved = self._follower is not None and self._follower.follow(db, fresh)
            self.version += 1
            if moved and self._follower is not None:
                self._follower.moved()

    def touch(self) -> None:
        """Something else changed that plans depend on."""
        with self._lock:
            self.version += 1

    def know(self, views: Mapping[Name, str]) -> None:
        """Take over the texts of governed roles' views, as the tables' own store has them."""
        with self._lock:
            if views != self.views:
                self.views = views
                self._replace(self.sources)

    def _set_version(self, db: object) -> None:
        db.execute("INSERT OR REPLACE INTO facts VALUES ('catalog_version', ?)", (self.version + 1,))  # type: ignore[attr-defined]

    def _replace(self, sources: Mapping[Name, Source]) -> None:
        self.sources = sources
        self.source_words = _words([*sources, *self.views])
        self.version += 1

    def _read(self) -> list[Source]:
        rows = self._store.rows(
            "SELECT table_schema, table_name, location, format, options, columns, registered_at, registered_by, "
            "changed_at FROM sources"
        )
        return [
            Source(Name(r[0], r[1]), r[2], r[3], json.loads(r[4]), json.loads(r[5]), r[6], r[7], r[8]) for r in rows
        ]


def _is_new(db: Connection, event: Event) -> bool:
    row = (event.event_id, event.query_id, event.verb, event.object, event.user_name, event.at)
    return bool(db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)", row).rowcount)


def _words(names: Iterable[Name]) -> frozenset[str]:
    """Every first word of a source's name, folded: a statement without any of them names no source."""
    return frozenset(next(iter(words(name.table)), fold(name.table)) for name in names)
