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
from typing import TYPE_CHECKING, Any, NamedTuple

from neurolake import errors
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
CUT = "audit_cut"
"""The event that says how far the beginning of a chain was cut off, and which hash it was cut at."""
CUT_EVERY_S = 3600.0
DAY_S = 86_400.0


class Checked(NamedTuple):
    """What a check of one chain has found.

    Records `first` to `first + records - 1` follow each other, and `last_hash` is that of the last of them; `problem`
    is what is wrong after it, or None. What stood before `first` was cut off. `holds` says whether the hash that was
    asked for is among theirs, or that of the record before them; None where none was.
    """

    chain: str
    records: int
    last_hash: str
    problem: str | None
    first: int
    holds: bool | None = None


class Audit:
    """The audit log of one lake. Safe to share between threads.

    Args:
        store: the metadata file.
        version: gives the policy version that holds now.
        folder: where the journal is; None keeps it in memory.
        interval_s: how often the journal is moved into the metadata file.
        synchronous: fsync each record before its statement's end is answered.
        keep_days: what is older is cut off; 0 keeps everything.
    """

    def __init__(
        self,
        store: Store,
        version: Callable[[], int],
        folder: Path | None = None,
        interval_s: float = 0.2,
        *,
        synchronous: bool = False,
        keep_days: int = 0,
    ) -> None:
        self._store = store
        self._keep_days = keep_days
        self._cut_at = 0.0
        self._version = version
        self._synchronous = synchronous
        self._lock = threading.Lock()
        self._journal = MovedJournal(folder, "audit", self._keep, interval_s)
        self._number, self._hash = self._head(ACCESS)
        if store.gap:
            self.record("gap", Principal("", ""), "")

    def record(
        self, event: str, principal: Principal, query_id: str, *, under: int | None = None, **details: object
    ) -> None:
        """Write one record; it is safe, by its class of durability, when this returns.

        Args:
            event: `login`, `decision`, `grant` …
            principal: who did it.
            query_id: the statement it belongs to; '' for none.
            under: the policy version it was decided under; None for the one that holds now.
            details: names, actions and counts. Never a value of the data, never a secret.
        """
        version = self._version() if under is None else under
        if event not in _EVENTS_OF_ACCESS:
            with self._store.durable() as db:
                self.write(db, event, principal, query_id, version, details)
            return
        with self._lock:
            row = _chained(ACCESS, self._number + 1, self._hash, event, principal, query_id, version, details)
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

    def verify(self, last_hash: str | None = None) -> Iterator[Checked]:
        """Check both chains from the first record that is kept to their last.

        Args:
            last_hash: one that was kept from an earlier check: whether a chain passes through it is told.
        """
        self.flush()
        for chain in (CHANGES, ACCESS):
            yield self._verified(chain, last_hash=last_hash)

    def cut(self, now: float) -> None:
        """Cut off the beginning of each chain, up to the last record that is too old; the newest is always kept.

        Only what follows its anchor is cut: of a chain that was tampered with, everything stays.
        """
        before = now - self._keep_days * DAY_S
        for chain in (ACCESS, CHANGES):
            sql = "SELECT min(number) FROM audit WHERE chain = ? AND at >= ?"
            (kept,) = self._store.rows(sql, (chain, before))[0]
            last = (self._head(chain)[0] if kept is None else kept) - 1
            start = self._anchor(chain)[0]
            if last <= start:
                continue
            found = self._verified(chain, last)
            if found.problem is not None:
                logger.error("the audit log keeps all of the chain %s: %s", chain, found.problem)
                continue
            self._cut_off(chain, last, found.last_hash)

    def _cut_off(self, chain: str, last: int, last_hash: str) -> None:
        """Remove records in one transaction with the new anchor, and with the record that says so."""
        with self._store.durable() as db:
            anchor = json.dumps([last, last_hash])
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (f"audit_anchor_{chain}", anchor))
            db.execute("DELETE FROM audit WHERE chain = ? AND number <= ?", (chain, last))
            said: dict[str, object] = {"chain": chain, "number": last, "hash": last_hash}
            self.write(db, CUT, Principal("", ""), "", self._version(), said)

    def close(self) -> None:
        """Move the rest and close."""
        self._journal.close()

    def rows(self, user_name: str | None = None) -> list[tuple[Any, ...]]:
        """The records in the order of their time; of one user, or of all."""
        self.flush()
        where, values = ("WHERE user_name = ?", [user_name]) if user_name is not None else ("", [])
        return self._store.rows(f"SELECT {COLUMNS} FROM audit {where} ORDER BY at, chain DESC, number", values)

    def _verified(self, chain: str, until: int | None = None, last_hash: str | None = None) -> Checked:
        start, before = self._anchor(chain)
        number, holds = start, None if last_hash is None else last_hash == before

        def found(problem: str | None) -> Checked:
            return Checked(chain, number - start, before, problem, start + 1, holds)

        if not self._is_anchored(chain, start, before):
            return found("its beginning was cut off, and no record says so")
        while rows := self._store.rows(
            f"SELECT {COLUMNS} FROM audit WHERE chain = ? AND number > ? AND number <= ? "
            f"ORDER BY number LIMIT {ROWS_AT_ONCE}",
            (chain, number, 2**62 if until is None else until),
        ):
            for row in rows:
                if row[1] != number + 1:
                    return found(f"records {number + 1} to {row[1] - 1} are missing")
                if _hash(before, row[:-1]) != row[-1]:
                    return found(f"record {row[1]} was changed, or does not follow the one before")
                number, before = row[1], row[-1]
                holds = holds or (None if last_hash is None else before == last_hash)
        head = self._store.fact(f"audit_{chain}", 0) if until is None else until
        return found(f"records {number + 1} to {head} are missing at the end" if head > number else None)

    def _anchor(self, chain: str) -> tuple[int, str]:
        """The number and the hash of the last record that was cut off."""
        kept = self._store.fact(f"audit_anchor_{chain}")
        return (0, START) if kept is None else tuple(json.loads(kept))

    def _is_anchored(self, chain: str, number: int, last_hash: str) -> bool:
        """Whether the last record of a cut says the same. It is gone where the chain of changes was cut since."""
        if number == 0:
            return True
        sql = "SELECT details FROM audit WHERE chain = ? AND event = ? ORDER BY number DESC"
        for (details,) in self._store.rows(sql, (CHANGES, CUT)):
            said = json.loads(details)
            if said["chain"] == chain:
                return (said["number"], said["hash"]) == (number, last_hash)
        return chain == ACCESS and self._anchor(CHANGES)[0] > 0

    def _head(self, chain: str) -> tuple[int, str]:
        rows = self._store.rows("SELECT number, hash FROM audit WHERE chain = ? ORDER BY number DESC LIMIT 1", (chain,))
        return rows[0] if rows else (0, START)

    def _keep(self, records: list[list[Any]]) -> None:
        with self._store.durable() as db:
            db.executemany(_INSERT.replace("INSERT", "INSERT OR IGNORE"), records)
            _note_head(db, ACCESS, max(row[1] for row in records))
        if self._keep_days and time.time() > self._cut_at:
            self._cut_at = time.time() + CUT_EVERY_S
            try:
                self.cut(time.time())
            except errors.NeuroLakeError as problem:
                logger.error("the audit log is longer than it should be: %s", problem)


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
