"""The metadata file, `system.sqlite`. Every write is on the disk, fsynced, before it returns.

Records that may lag, such as those of query history, come here through a journal of their own. `Store.gap` says that
the machine went down while the file was open: the last moment of such records may be missing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurolake import errors
from neurolake.catalog.governance_tables import SCHEMA as GOVERNANCE

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS sources (
    table_schema TEXT NOT NULL, table_name TEXT NOT NULL, location TEXT NOT NULL, format TEXT NOT NULL,
    options TEXT NOT NULL, columns TEXT NOT NULL, registered_at REAL NOT NULL, registered_by TEXT NOT NULL,
    changed_at REAL, PRIMARY KEY (table_schema, table_name)
);
CREATE TABLE IF NOT EXISTS events (
    event_id TEXT PRIMARY KEY, query_id TEXT NOT NULL, verb TEXT NOT NULL, object TEXT NOT NULL,
    user_name TEXT NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS users (
    user_name TEXT PRIMARY KEY, password TEXT, role TEXT NOT NULL, created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS tokens (
    token_id TEXT PRIMARY KEY, hash BLOB NOT NULL, user_name TEXT NOT NULL, roles TEXT NOT NULL,
    created_at REAL NOT NULL, created_by TEXT NOT NULL, expires_at REAL NOT NULL, revoked_at REAL
);
CREATE TRIGGER IF NOT EXISTS tokens_end_with_their_user AFTER DELETE ON users
    BEGIN DELETE FROM tokens WHERE user_name = OLD.user_name; END;
CREATE TABLE IF NOT EXISTS history (
    position INTEGER PRIMARY KEY, query_id TEXT NOT NULL, user_name TEXT NOT NULL, role TEXT NOT NULL,
    client TEXT NOT NULL, sql TEXT NOT NULL, state TEXT NOT NULL, error_code TEXT, started_at REAL NOT NULL,
    duration_ms REAL NOT NULL, rows_out INTEGER NOT NULL, bytes_out INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS history_by_query ON history (query_id);
CREATE TABLE IF NOT EXISTS backup_runs (
    position INTEGER PRIMARY KEY, query_id TEXT NOT NULL, job TEXT NOT NULL, mode TEXT NOT NULL,
    repository TEXT NOT NULL, started_by TEXT NOT NULL, due_at REAL, started_at REAL NOT NULL, ended_at REAL,
    duration_ms REAL, state TEXT NOT NULL, error_code TEXT, snapshot_id TEXT, tables INTEGER, rows INTEGER,
    bytes INTEGER, bytes_new INTEGER, detail TEXT, notified TEXT
);
"""


class Store:
    """The open metadata file. Safe to share between threads; `path` None keeps it in memory."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(SCHEMA + GOVERNANCE)
        except sqlite3.Error as error:
            raise _problem(error) from None
        self.gap = self._notice_gap()

    @contextmanager
    def durable(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on the disk when the block ends; rolled back when the block raises."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise _problem(error) from None

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Read rows."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise _problem(error) from None

    def fact(self, name: str, default: Any = None) -> Any:
        """One remembered value."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return found[0][0] if found else default

    def set_fact(self, name: str, value: object) -> None:
        """Remember one value, durably."""
        with self.durable() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Note the clean end, and close."""
        self.set_fact("open_in_boot", None)
        self._db.close()

    def _notice_gap(self) -> bool:
        """Whether the machine went down while the file was open: the last interval of lazy writes may be missing."""
        boot = _boot_id()
        before = self.fact("open_in_boot")
        self.set_fact("open_in_boot", boot)
        return before is not None and before != boot


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _problem(error: sqlite3.Error) -> errors.NeuroLakeError:
    if "full" in str(error):
        return errors.LimitReached(
            "The disk is full; the metadata could not be written.",
            code="disk_full",
            next_step="Free space on the disk that holds the home folder, then try again.",
        )
    if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
        return errors.HomeProblem(
            "The metadata file is damaged.", code="home_damaged", next_step="See docs/runbooks.md."
        )
    return errors.HomeProblem(f"The metadata file could not be used: {error}.", code="metadata")
