"""The audit log: append-only, each record chained to the one before by its hash, so that a change shows.

There are two chains. `changes` holds what was changed (users, roles, grants, policies, tags) and is written in the
transaction of the change itself. `access` holds logins and decisions: its records go to a journal before the answer,
and from there, fsynced, into the metadata file, as query history does. A record names objects and policies; values of
the data never stand in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolake.catalog.store import Store
from neurolake.journal import MovedJournal
from neurolake.query import Principal

if TYPE_CHECKING:
    from sqlite3 import Connection

logger = logging.getLogger("neurolake")

ACCESS = "access"
CHANGES = "changes"
START = "0" * 64
"""What the first record of a chain is chained to."""
COLUMNS = "chain, number, at, event, user_name, role, query_id, policy_version, details, hash"
_INSERT = f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_EVENTS_OF_ACCESS = frozenset(("login", "login_failed", "login_locked", "decision", "denied", "set_role", "gap"))
ROWS_AT_ONCE = 10_000


class Audit:
    """The audit log of one lake. Safe to share between threads.

    Args:
        store: the metadata file.
        version: gives the policy version that holds now.
        folder: where the journal is; None keeps it in memory.
        interval_s: how often the journal is moved into the metadata file.
        synchronous: fsync each record before its statement's end is answered.
    """

    def __init__(
        self,
        store: Store,
        version: Callable[[], int],
        folder: Path | None = None,
        interval_s: float = 0.2,
        *,
        synchronous: bool = False,
    ) -> None:
        self._store = store
        self._version = version
        self._synchronous = synchronous
        self._lock = threading.Lock()
        self._journal = MovedJournal(folder, "audit", self._keep, interval_s)
        self._number, self._hash = self._head(ACCESS)
        if store.gap:
            self.record("gap", Principal("", ""), "")

    def record(self, event: str, principal: Principal, query_id: str, **details: object) -> None:
        """Write one record; it is safe, by its class of durability, when this returns.

        Args:
            event: `login`, `decision`, `grant` …
            principal: who did it.
            query_id: the statement it belongs to; '' for none.
            details: names, actions and counts. Never a value of the data, never a secret.
        """
        if event not in _EVENTS_OF_ACCESS:
            with self._store.durable() as db:
                self.write(db, event, principal, query_id, self._version(), details)
            return
        with self._lock:
            row = _chained(ACCESS, self._number + 1, self._hash, event, principal, query_id, self._version(), details)
            self._number, self._hash = row[1], row[-1]  # first: a record that finds the disk full waits in memory
            self._journal.append(row)
        if self._synchronous:
            self.flush()

    def write(
        self, db: Connection, event: str, principal: Principal, query_id: str, version: int, details: dict[str, object]
    ) -> None:
        """Write a record of a change in the open transaction of that change."""
        found = db.execute("SELECT number, hash FROM audit WHERE chain = ? ORDER BY number DESC LIMIT 1", (CHANGES,))
        number, before = found.fetchone() or (0, START)
        db.execute(_INSERT, _chained(CHANGES, number + 1, before, event, principal, query_id, version, details))
        _note_head(db, CHANGES, number + 1)

    def flush(self) -> None:
        """Move what the journal holds into the metadata file."""
        self._journal.flush()

    def verify(self) -> Iterator[tuple[str, int, str, str | None]]:
        """Check both chains from their first record to their last.

        Yields:
            (chain, records that follow each other, the hash of the last of them, what is wrong after it or None).
        """
        self.flush()
        for chain in (CHANGES, ACCESS):
            yield self._verified(chain)

    def close(self) -> None:
        """Move the rest and close."""
        self._journal.close()

    def rows(self, user_name: str | None = None) -> list[tuple[Any, ...]]:
        """The records in the order of their time; of one user, or of all."""
        self.flush()
        where, values = ("WHERE user_name = ?", [user_name]) if user_name is not None else ("", [])
        return self._store.rows(f"SELECT {COLUMNS} FROM audit {where} ORDER BY at, chain DESC, number", values)

    def _verified(self, chain: str) -> tuple[str, int, str, str | None]:
        number, before = 0, START
        while rows := self._store.rows(
            f"SELECT {COLUMNS} FROM audit WHERE chain = ? AND number > ? ORDER BY number LIMIT {ROWS_AT_ONCE}",
            (chain, number),
        ):
            for row in rows:
                if row[1] != number + 1:
                    return chain, number, before, f"records {number + 1} to {row[1] - 1} are missing"
                if _hash(before, row[:-1]) != row[-1]:
                    what = f"record {row[1]} was changed, or does not follow the one before"
                    return chain, number, before, what
                number, before = row[1], row[-1]
        head = self._store.fact(f"audit_{chain}", 0)
        if head > number:
            return chain, number, before, f"records {number + 1} to {head} are missing at the end"
        return chain, number, before, None

    def _head(self, chain: str) -> tuple[int, str]:
        rows = self._store.rows("SELECT number, hash FROM audit WHERE chain = ? ORDER BY number DESC LIMIT 1", (chain,))
        return rows[0] if rows else (0, START)

    def _keep(self, records: list[list[Any]]) -> None:
        with self._store.durable() as db:
            db.executemany(_INSERT.replace("INSERT", "INSERT OR IGNORE"), records)
            _note_head(db, ACCESS, max(row[1] for row in records))


def _note_head(db: Connection, chain: str, number: int) -> None:
    """Keep how far the chain goes, so that records missing at its end show."""
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (f"audit_{chain}", number))


def _chained(
    chain: str,
    number: int,
    before: str,
    event: str,
    principal: Principal,
    query_id: str,
    version: int,
    details: dict[str, object],
) -> list[Any]:
    shown = json.dumps(details, sort_keys=True, separators=(",", ":"), default=str)
    name = principal.name.encode("utf-8", "replace").decode()  # of a login that failed it may be anything
    row = [chain, number, round(time.time(), 6), event, name, principal.role, query_id, version, shown]
    return [*row, _hash(before, row)]


def _hash(before: str, row: Any) -> str:
    text = json.dumps([before, *row], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
