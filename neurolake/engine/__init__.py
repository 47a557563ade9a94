"""The engine: plan and execute, the two verbs everything goes through."""

from __future__ import annotations

import atexit
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from neurolake import errors, observe, procedures, urls
from neurolake._duckdb import CATALOG, Cursor, Instance, Parsed
from neurolake.activity import Activities, Activity, Feed
from neurolake.backup.runs import Runs
from neurolake.catalog import Catalog, Event
from neurolake.catalog.store import Store
from neurolake.config import Settings, resolve_secret
from neurolake.engine import (
    accounting,
    bulk,
    gating,
    literal_checks,
    opening,
    planning,
    result_checks,
    running,
    settings_of_session,
    turns,
)
from neurolake.engine.files import Files
from neurolake.engine.jobs import Jobs
from neurolake.engine.own_functions import OwnFunctions
from neurolake.governance import invoker
from neurolake.governance.access import Access
from neurolake.governance.gate_keys import Keys
from neurolake.governance.logins import Logins
from neurolake.governance.model import Governance
from neurolake.governance.ruling import Decided
from neurolake.governance.tables import changes_tables
from neurolake.governance.tokens import Tokens
from neurolake.governance.users import Users
from neurolake.governance.views import SecureViews
from neurolake.history import History
from neurolake.home import Home
from neurolake.identifiers import folded_sql
from neurolake.outbox import Outbox
from neurolake.pii.background import Background
from neurolake.query import Alive, Kind, Plan, Principal, Request, Values, Versions, evolve, new_query_id
from neurolake.result import Limits, Result
from neurolake.session import Session
from neurolake.sources.storage import Storage, StorageOptions
from neurolake.sql import statements
from neurolake.sql.text import Name

logger = logging.getLogger("neurolake")

STOPPED_WITHIN_S = 5.0
"""How long the end waits for statements that were cancelled."""

BATCH_BYTES_PER_COLUMN = 12
"""What a value weighs on average, to turn `batch_bytes` into rows before any is seen."""

T = TypeVar("T")


class Engine:
    """One open lake: plans and executes statements for any number of sessions. Thread-safe."""

    def __init__(self, home: Home, settings: Settings, *, in_memory: bool = False) -> None:
        self.home = home
        self._in_memory = in_memory
        self.settings = settings
        self.metrics = observe.Metrics()
        self.activities = Activities()
        self.admission = turns.Admission(
            settings.concurrent_statements_max, settings.queue_length_max, settings.queue_wait_s
        )
        self.store = Store(None if in_memory else home.system)
        self.storage = Storage(
            settings.storage,
            resolve=resolve_secret,
            options=StorageOptions.of(settings),
            readers=self.activities,
        )
        self.instance = Instance(opening.options(home, settings, self.storage, in_memory=in_memory))
        self.governance = Governance(
            self.store,
            None if in_memory else home.run,
            settings.history_fsync_ms / 1000,
            synchronous=settings.audit_synchronous,
            audit_keep_days=settings.audit_keep_days,
        )
        self.catalog = Catalog(self.store, self.governance)
        self.files = Files(self.instance, self.storage, self.catalog)
        self.outbox = Outbox(self.instance, self.catalog)
        self.governance.unsettled = self.outbox.in_doubt
        self.governance.looked_at = lambda name: self.outbox.looked_at(name)
        self.governance.derived = lambda name: name in self.catalog.views
        self.catalog.know(invoker.texts(self.instance))
        self.background = Background(self)
        self.users = Users(self.store)
        self.tokens = Tokens(self.store)
        self.logins = Logins(self.users, self.tokens, settings, self.governance, self.metrics)
        self.jobs = Jobs(self)
        self.history = History(
            self.store, settings.history_rows_max, None if in_memory else home.run, settings.history_fsync_ms / 1000
        )
        self.backup_runs = Runs(self.store, settings, home.path.name, self.metrics)
        self.views = SecureViews(self.instance, Keys(self.store), self.catalog.touch)
        self.columns_known: dict[tuple[int, int, int, Name], dict[str, str]] = {}
        self.forms = gating.Forms(gating.Parser(settings.memory_bytes_max))
        self.own_functions = OwnFunctions()
        self.managed_names = accounting.ManagedNames()
        self._plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        self._limits = self._limits_under(settings)
        self.outbox.after = self._look_at_written
        self._look_at_written(self.outbox.replayed)
        self.background.start()
        atexit.register(self.close)  # who forgets to close loses nothing, and no connection outlives the interpreter
        if self.store.gap:
            logger.warning("the machine went down while this lake was open: the last moment of history may be missing")

    def _look_at_written(self, events: Sequence[Event]) -> None:
        if any(changes_tables(event.verb) for event in events):
            self.catalog.know(invoker.texts(self.instance))
        if self.settings.pii_scan != "off":
            from neurolake.pii.watch import after_writes

            after_writes(self, events)

    # Sessions

    def session(self, principal: Principal, *, client: str = "embedded", per_thread: bool = False) -> Session:
        """Open a session. Close it with its own `close`."""
        session = Session(self.instance, principal, client=client, per_thread=per_thread)
        session.dialect = self.settings.dialect
        session.views = self.views
        return session

    # The two verbs

    def plan(self, request: Request, alive: Alive = None) -> Plan:
        """Plan a statement: its schema, its parameters, the text that runs. Reads no rows."""
        request = request if request.query_id else evolve(request, query_id=new_query_id())
        activity = self._begin(request, alive)
        try:
            return self._told(activity, lambda: self.plan_within(request, activity))
        finally:
            self.activities.end(activity)

    def execute(self, plan: Plan, request: Request | None = None, alive: Alive = None) -> Result:
        """Run a plan, again as often as wanted: `request` brings the values and the query id of this run.

        Raises:
            Unavailable: `plan_stale`, when what it reads has changed its columns since.
        """
        request = request or plan.request
        activity = self._begin(request, alive)
        return self._told(
            activity, lambda: running.settled(self, activity, lambda: self._fresh(plan, request, activity))
        )

    def run(self, request: Request, alive: Alive = None) -> Result:
        """Plan and execute in one go."""
        request = request if request.query_id else evolve(request, query_id=new_query_id())
        activity = self._begin(request, alive)
        return self._told(
            activity, lambda: running.settled(self, activity, lambda: self.plan_within(request, activity))
        )

    def run_many(
        self, plan: Plan, rows: pa.RecordBatchReader, request: Request | None = None, alive: Alive = None
    ) -> int:
        """Run one write for every row of parameters, in one transaction; how many rows it changed in all."""
        request = request or plan.request
        activity = self._begin(request, alive)

        def run() -> int:
            if plan.kind is not Kind.WRITE:
                raise errors.NotSupported("Only a write can be run for many sets of parameters.")
            fresh = self._fresh(plan, evolve(request, values=None), activity)
            accounting.note(activity, fresh)
            return bulk.run(self, fresh, activity, rows)

        changed = self._told(activity, run)
        self.account(activity, None)
        return changed

    def load(self, plan: Plan, work: Callable[[Cursor], int], alive: Alive = None, feed: Feed | None = None) -> int:
        """Do a load: a write whose rows come from outside the statement, and where from a client then by `feed`."""
        activity = self._begin(plan.request, alive)
        activity.feed = feed

        def run() -> int | pa.Table:
            loading = plan
            if not activity.principal.is_admin:
                from neurolake.engine import governed_writes

                loading = governed_writes.load(self, plan, activity)
            accounting.note(activity, loading, verb="LOAD")
            return running.change(self, loading, activity, work)

        loaded = self._told(activity, lambda: turns.begun(run))
        assert isinstance(loaded, int)
        self.account(activity, None)
        return loaded

    def plan_within(self, request: Request, activity: Activity) -> Plan:
        """Plan under a statement that is in flight already; a text planned before under the same state is reused."""
        if request.asker is not request.session.principal:
            request = evolve(request, asker=request.session.principal)
        activity.decided = Decided(request.principal, self.governance.version, request.text)
        literal_checks.refuse(activity)
        key = self._plan_key(request)
        if key is not None and (known := self._plans.get(key)) is not None:
            return literal_checks.announced(evolve(known, request=request), activity)
        plan = result_checks.announced(self, planning.plan(self, request, activity))
        if activity.sources is not None:
            plan = evolve(plan, storage=frozenset(activity.sources))
        own = plan.relations or plan.sources or (plan.home and plan.ruling is not None)  # it names a session's own
        own = own or plan.opened
        if key is not None and plan.kind is Kind.SELECT and not own:
            self._plans[key] = evolve(plan, request=None)  # the session may end before the plan is forgotten
            while len(self._plans) > self.settings.plan_cache_entries:
                self._plans.popitem(last=False)
        return literal_checks.announced(plan, activity)

    def _plan_key(self, request: Request) -> tuple[object, ...] | None:
        session = request.session
        if request.values is not None or not session.sees_the_same(self.catalog.version):
            return None
        asker = request.principal
        return (
            request.text, request.translated, session.in_transaction(),
            session.dialect, session.schema, asker.role if asker.is_admin else asker,
            self.catalog.version, self.governance.version, self.instance.generation,
        )  # fmt: skip

    def _fresh(self, plan: Plan, request: Request, activity: Activity) -> Plan:
        """The plan as it is, or planned again because the world, the values or the session's transaction have moved."""
        outside = request.session.in_transaction() and not plan.home
        if plan.versions == self.versions(request.session) and plan.kind is not Kind.CALL and not outside:
            if request is plan.request:
                return plan
            if request.values is None or (plan.schema is not None and plan.kind is not Kind.SELECT):
                return evolve(plan, request=request)
            if plan.schema is not None and not plan.parameters and plan.request.values is None:
                return evolve(plan, request=request)
        again = self.plan_within(request, activity)
        if plan.schema is not None and again.schema != plan.schema and request.values is None:
            raise errors.Unavailable(
                "What the statement reads has changed its columns since it was planned.",
                code="plan_stale",
                next_step="Run the statement again.",
            )
        return again

    def _told(self, activity: Activity, work: Callable[[], T]) -> T:
        """What the work gives; how it failed is told to whoever wants to know of a statement's end."""
        try:
            return work()
        except BaseException as error:
            accounting.failed(self, activity, error)
            raise

    def _begin(self, request: Request, alive: Alive) -> Activity:
        if self._closed:
            raise errors.Unavailable("The lake is closed.", code="closed", retryable=False)
        self.governance.refresh(request.session)
        timeout_s = request.timeout_s or request.session.timeout_s or self.settings.statement_timeout_s
        seen = literal_checks.look(self, request)
        activity = Activity(
            request.query_id or new_query_id(),
            request.session.principal,
            request.client,
            urls.hidden(statements.cautious(seen.text, procedures.secretive())),
            time.perf_counter() + timeout_s if timeout_s else None,
            alive,
        )
        activity.session = request.session
        activity.literals, activity.literals_refused = seen.told, seen.refused
        self.activities.begin(activity)
        if request.session.closed:  # asked after it is shown as running: who ends a session stops what is shown
            self.activities.end(activity)
            raise errors.Unavailable("The session is closed.", code="session_closed", retryable=False)
        return activity

    def account(self, activity: Activity, problem: BaseException | None) -> None:
        """The end of a statement, exactly once: history, metrics, and the audit of governed roles."""
        accounting.account(self, activity, problem)

    def explain_policy(self, session: Session, query_id: str, *asked: str | None) -> list[tuple[Any, ...]]:
        """What would be decided; see the procedure of that name, whose arguments these are."""
        from neurolake.engine import governed_explain

        return governed_explain.rows(self, session, governed_explain.Asked(*asked), query_id)

    # What the stages ask

    def parse(self, text: str) -> list[Parsed]:
        """Split a text into statements."""
        found: list[Parsed] = self.instance.acquire_and(lambda cursor: cursor.parse(text))
        return found

    def read_call(self, text: str, values: Values) -> statements.Call:
        """Read a procedure call."""
        call: statements.Call = self.instance.acquire_and(lambda c: statements.read_call(c, text, values))
        return call

    @property
    def access(self) -> Access:
        """Who may do what, by the policies that hold now."""
        return self.governance.access

    def versions(self, session: Session, principal: Principal | None = None) -> Versions:
        """The state of the world that a plan depends on."""
        role = (principal or session.principal).role
        return Versions(
            self.catalog.version,
            self.governance.version,
            role,
            session.settings_version,
            self.instance.generation,
            self.outbox.changes,
        )

    def settings_of(self, session: Session) -> Settings:
        """The settings as this session has them."""
        return session.own_settings or self.settings

    def check_setting(self, session: Session, setting: statements.Setting) -> None:
        """Refuse a SET that is not the session's own to change."""
        settings_of_session.check(self, session, setting)

    def change_setting(self, session: Session, setting: statements.Setting, text: str, activity: Activity) -> None:
        """Carry out a SET, RESET or USE."""
        settings_of_session.change(self, session, setting, text, activity)

    def change(self, plan: Plan, activity: Activity, work: Callable[[Cursor], int | pa.Table]) -> int | pa.Table:
        """Do a write together with its catalog event."""
        return running.change(self, plan, activity, work)

    def limits(self, plan: Plan) -> Limits:
        """What the plan's result may deliver, and where it may be set aside."""
        own = plan.request.session.own_settings
        return self._limits if own is None else self._limits_under(own)

    def _limits_under(self, settings: Settings) -> Limits:
        return Limits(
            settings.result_rows_max,
            settings.result_bytes_max,
            self.home.tmp,
            settings.home_buffer_memory_bytes_max,
            settings.home_buffer_bytes_max,
        )

    def rows_per_batch(self, schema: pa.Schema | None) -> int:
        """How many rows make a batch of about `batch_bytes`; a multiple of the engine's 2,048-row vectors."""
        width = max(1, len(schema) if schema is not None else 8) * BATCH_BYTES_PER_COLUMN
        return max(2048, min(131_072, self.settings.batch_bytes // width // 2048 * 2048))

    # The catalog's questions

    def refuse_taken(self, name: Name) -> None:
        """Refuse a name that a managed table or view has."""
        sql = (
            f"SELECT 1 FROM information_schema.tables WHERE table_catalog = ? AND {folded_sql('table_schema')} = ? "
            f"AND {folded_sql('table_name')} = ?"
        )
        folded = name.fold()
        if self.instance.acquire_and(lambda c: c.rows(sql, [CATALOG, folded.schema, folded.table])):
            raise errors.AlreadyExists(f"A table named {name} exists already.", next_step="Choose another name.")

    def view_columns(self, session: Session, name: Name) -> dict[str, str]:
        """The columns that a governed role's view has for a session, and their types; none where it cannot be read."""
        return planning.columns_for(self, session, name)

    def serialise(self, text: str) -> Any:
        """DuckDB's own tree of a SELECT, None where it cannot be had."""
        return json.loads(gating.serialised(self, text))

    def probe(self) -> None:
        """Raise unless the engine answers a statement."""
        self.instance.acquire_and(lambda cursor: cursor.rows("SELECT 1"))

    # Transactions without a text

    def begin(self, session: Session) -> None:
        """Open a transaction in a session."""
        running.begin(self, session)

    def commit(self, session: Session) -> None:
        """Commit a session's transaction."""
        running.commit(self, session)

    def rollback(self, session: Session) -> None:
        """Undo a session's transaction."""
        running.rollback(self, session)

    # The end

    def drain(self, grace_s: float) -> None:
        """Let running statements end within the grace time, then cancel them, and what comes after.

        One whose rows wait for its client is cancelled too, but nobody waits for it: its client may never read on.
        """
        activities = self.activities
        _wait_while(lambda: bool(len(activities)), grace_s)
        activities.end_all(lambda: errors.Cancelled("The server is shutting down.", retryable=True))
        _wait_while(lambda: any(activity.at_work for activity in activities.snapshot()), STOPPED_WITHIN_S)

    def close(self) -> None:
        """Close the lake. Statements in flight are cancelled."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        self.background.close()
        self.activities.end_all(lambda: errors.Cancelled("The lake was closed."))
        self.outbox.remove_applied()
        self.jobs.close()
        self.activities.close()
        self.backup_runs.close()
        self.views.close()
        self.forms.parser.close()
        self.instance.close()
        self.storage.close()
        self.history.close()
        self.governance.close()
        self.store.close()
        self.home.close()


def _wait_while(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while condition() and time.monotonic() < until:
        time.sleep(0.02)
