"""Scans in the background: one table at a time, giving way to statements, and again what a restart cut short."""

from __future__ import annotations

import json
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from neurolake import errors
from neurolake.activity import Activity
from neurolake.query import OWNER, Principal, new_query_id
from neurolake.sql.text import Name, literal

if TYPE_CHECKING:
    from neurolake.engine import Engine

__all__ = ["Background"]

logger = logging.getLogger("neurolake")

GIVE_WAY_S = 1.0
"""How long a scan waits, before each piece of it, for other statements to end."""
GIVE_WAY_POLL_S = 0.02
AGAIN_TIMES = 10
"""A table is scanned again no sooner than this many times what the last scan of it took."""
CLOSE_S = 1.0
FILES_FIRST_S = 5.0
"""When files are listed first: a lake that is opened for one statement is closed by then."""
_LATER = "pii_later "
"""Before the names of facts that say which tables are to be scanned again: a restart must not forget them."""


class _Due(NamedTuple):
    at: float
    user_name: str
    only_new: bool = False


class Background:
    """The background scans of one lake. Its thread is started by the first table that waits.

    Args:
        engine: whose tables.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due: dict[Name, _Due] = {}
        self._rested: dict[Name, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._activity: Activity | None = None
        self._taken_up = True
        self._closed = False
        self._files_at = time.monotonic() + FILES_FIRST_S

    def __len__(self) -> int:
        """How many tables wait."""
        return len(self._due)

    def start(self) -> None:
        """Take up what the last process left: tables to be scanned again, and columns that nobody has looked at."""
        if self._engine.settings.pii_scan == "off":
            return
        self._taken_up = self._engine.settings.pii_scan != "background"
        sql = "SELECT substr(name, ?), value FROM facts WHERE name LIKE ?"
        for shown, user_name in self._engine.store.rows(sql, [len(_LATER) + 1, f"{_LATER}%"]):
            self.add(Name(*json.loads(shown)), user_name)
        if not self._taken_up or self._engine.settings.pii_files_s:
            with self._changed:
                self._wake()

    def _take_up(self) -> None:
        self._taken_up = True
        try:
            for name in self._unscanned():
                self.add(name, OWNER.name)
        except errors.NeuroLakeError as problem:
            if not self._closed:
                logger.warning("what is not scanned for personal data yet could not be listed: %s", problem.code)

    def _unscanned(self) -> list[Name]:
        """Tables, views and sources with a column nobody has looked at; not views as open as what they read."""
        from neurolake.catalog.browse import Browser

        engine = self._engine
        session = engine.session(OWNER)
        columns = [row[:4] for row in Browser(engine, session).columns()]
        session.close()
        for source in engine.catalog.sources.values():
            columns += [(*source.name, column, kind) for column, kind in source.columns.items()]
        access = engine.access
        access.read_all()
        found = {
            Name(schema, table): None
            for schema, table, column, kind in columns
            if access.facts(Name(schema, table)).status(column, kind) == "unscanned"
        }
        return [name for name in found if name.fold() not in engine.catalog.views]

    def add(self, name: Name, user_name: str) -> None:
        """Scan a table as soon as it is its turn. One that waits already waits on."""
        with self._changed:
            waiting = self._due.get(name.fold())
            if self._closed or (waiting is not None and waiting.at <= time.monotonic() and not waiting.only_new):
                return
            self._due[name.fold()] = _Due(time.monotonic(), user_name)
            self._wake()

    def waits(self, name: Name) -> bool:
        """Whether a table waits for its scan."""
        return name.fold() in self._due

    def later(self, name: Name, user_name: str) -> None:
        """Scan a table again, into which rows have come: after a while, and not for each write. A restart keeps it."""
        key = name.fold()
        after_s = self._engine.settings.pii_rescan_s
        if not after_s or self.waits(key):
            return
        try:
            self._engine.store.set_fact(f"{_LATER}{json.dumps(key)}", user_name)
        except errors.NeuroLakeError as problem:  # the rows are written, and must not be reported as failed
            logger.error("that %s is to be scanned again would not survive a restart: %s", name, problem)
        with self._changed:
            at = max(time.monotonic() + after_s, self._rested.get(key, 0.0))
            self._due.setdefault(key, _Due(at, user_name))
            self._wake()

    def _wake(self) -> None:
        """Have the thread look at what waits. (The caller holds the lock.)"""
        if self._closed:
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="neurolake-scans", daemon=True)
            self._thread.start()
        self._changed.notify()

    def close(self) -> None:
        """Stop within a second; what waits is found again at the next start."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread, activity = self._thread, self._activity
        if activity is not None:
            activity.stop(errors.Cancelled("The lake was closed."))
        if thread is not None:
            thread.join(CLOSE_S)

    def _work(self) -> None:
        if not self._taken_up:
            self._take_up()
        while not self._closed:
            job = self._next()
            if job is not None:
                self._scan(*job)
            elif not self._closed:
                self._look_for_files()

    def _next(self) -> tuple[Name, _Due] | None:
        """The table whose turn it is, waited for; None when it is time to list files, and at the end."""
        with self._changed:
            while not self._closed:
                name = min(self._due, key=lambda one: self._due[one].at, default=None)
                now, every_s = time.monotonic(), self._engine.settings.pii_files_s
                if name is not None and self._due[name].at <= now:
                    return name, self._due.pop(name)
                files_at = min(self._files_at, now + every_s) if every_s else float("inf")
                if files_at <= now:
                    return None
                at = files_at if name is None else min(files_at, self._due[name].at)
                self._changed.wait(None if at == float("inf") else at - now)
        return None

    def _look_for_files(self) -> None:
        """Have files scanned that have come into scanned sources."""
        from neurolake.pii.scan import has_new_files

        engine = self._engine
        for source in engine.catalog.sources.values() if engine.settings.pii_scan != "off" else ():
            name = source.name.fold()
            try:
                if self._closed or self.waits(name) or not has_new_files(engine, source):
                    continue
            except errors.NeuroLakeError as problem:
                if not self._closed:
                    logger.warning("whether %s has new files could not be told: %s", name, problem.code)
                continue
            with self._changed:
                self._due.setdefault(name, _Due(time.monotonic(), source.registered_by, only_new=True))
        self._files_at = time.monotonic() + engine.settings.pii_files_s

    def _scan(self, name: Name, due: _Due) -> None:
        from neurolake.pii import presidio
        from neurolake.pii.scan import scan

        if not self._is_there(name):
            self._forget(name)  # it was dropped before its turn
            return
        presidio.entities()  # loaded here, where it does not count as the table's
        more = ", only_new => true" if due.only_new else ""
        engine, text = self._engine, f"CALL neurolake.scan_pii({literal(str(name))}, full => true{more})"
        principal = Principal(due.user_name, "", is_admin=True)
        activity = Activity(new_query_id(), principal, "background", text)
        with self._changed:
            if self._closed:
                return
            self._activity = activity
            engine.activities.begin(activity)
        began, problem = time.monotonic(), None
        pause = partial(self._give_way, activity)
        try:
            pause()
            scan(
                engine, name, principal=principal, query_id=activity.query_id, full=True, only_new=due.only_new,
                activity=activity, pause=pause,
            )  # fmt: skip
        except errors.NeuroLakeError as found:
            problem = found
        self._ended(name, due, activity, problem, time.monotonic() - began)

    def _ended(
        self, name: Name, due: _Due, activity: Activity, problem: errors.NeuroLakeError | None, took_s: float
    ) -> None:
        with self._changed:
            self._activity = None
            if self._closed:
                self._engine.activities.end(activity)
                return
            self._rested[name] = time.monotonic() + AGAIN_TIMES * took_s
        self._engine.account(activity, problem)
        self._engine.metrics.scanned("done" if problem is None else problem.code)
        if problem is not None and not self._is_there(name):
            self._forget(name)
        elif problem is not None and problem.code == "table_changing":
            with self._changed:  # what stands there now was not looked at
                self._due.setdefault(name, due._replace(at=time.monotonic() + 1 + took_s))
        elif problem is not None:
            why = problem.code  # the message may quote a row; `scan_pii` tells it to who may hear it
            logger.warning("%s was not scanned for personal data in the background: %s", name, why)
        if problem is None and not self.waits(name):
            self._forget(name)

    def _is_there(self, name: Name) -> bool:
        from neurolake.pii import reading

        try:
            return bool(reading.identity(self._engine, name))
        except errors.NeuroLakeError:
            return not self._closed  # the engine cannot tell now; whoever scans it hears why

    def _forget(self, name: Name) -> None:
        """It need not be scanned again after a restart."""
        try:
            with self._engine.store.durable() as db:
                db.execute("DELETE FROM facts WHERE name = ?", (f"{_LATER}{json.dumps(name)}",))
        except errors.NeuroLakeError as problem:
            logger.warning("%s is scanned once more after a restart: %s", name, problem)

    def _give_way(self, activity: Activity) -> None:
        """Let other statements end before the next piece, for a while: what never ends must not starve a scan."""
        until = time.monotonic() + GIVE_WAY_S
        while len(self._engine.activities) > 1 and time.monotonic() < until:
            activity.check()
            time.sleep(GIVE_WAY_POLL_S)
        activity.check()
