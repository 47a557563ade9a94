"""Planning for governed roles: every relation becomes the role's own view of it, and the gate has the last look.

Nothing here binds or runs the caller's own text. What runs was printed by DuckDB from a tree that the gate has walked,
and was walked again.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors, observe, urls
from neurolake._duckdb import Binding
from neurolake.activity import Activity
from neurolake.catalog import system, visible
from neurolake.engine import planning
from neurolake.engine.gating import Gated, Marks, mapped, reprinted
from neurolake.governance import gate, tables, views
from neurolake.governance.access import IN_DOUBT, ColumnDecision, TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.facts import RowFilter
from neurolake.governance.gate_marks import marked
from neurolake.governance.ruling import NOTHING, Ruling
from neurolake.identifiers import fold
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.procedures import Context
from neurolake.query import Kind, Plan, Request, evolve
from neurolake.sources import relation
from neurolake.sql import statements
from neurolake.sql.text import RESERVED_SCHEMA, Name, mentions, quote

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

Path = gate.Path

_TIMES = re.compile(r"zone|time|date|now|today|age|ago", re.IGNORECASE)
"""Stands in the name of every function and type whose meaning depends on the session's time zone."""

_ZONED = re.compile(r"TIME ZONE|TIMESTAMPTZ|TIMETZ")

_FILTERED = frozenset(
    ("audit", "columns", "grants", "policies", "procedures", "queries", "roles", "running", "settings", "sources",
     "tags", "tokens", "users")
)  # fmt: skip
"""The system tables that show a caller no more than is theirs."""

_CLOSED_SCHEMAS = frozenset((OUTBOX_SCHEMA, RESERVED_SCHEMA, "pg_catalog"))


def plan(engine: Engine, request: Request, activity: Activity) -> Plan:
    """Take a governed request through every stage."""
    draft = Plan(request, request.text, engine.versions(request.session, request.principal), ruling=NOTHING)
    try:
        for stage in (planning.parse, bind):
            with observe.stage(stage.__name__, request.query_id):
                draft = stage(engine, draft, activity)
                activity.decided.verb = activity.decided.verb or draft.verb  # not that of an inner statement
    except RecursionError:
        raise gate.denied("a statement that nests so deep") from None
    return draft


def bind(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """By the kind of statement; what has no way here is denied."""
    kind = draft.kind
    if kind is Kind.SELECT:
        return read(engine, draft, activity)
    if kind in (Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK, Kind.SCRIPT):
        return planning.bind(engine, draft, activity)
    if kind in (Kind.SET, Kind.CALL):
        draft = planning.bind(engine, draft, activity)
        activity.decided.procedure = draft.detail[0].name if kind is Kind.CALL else ""
        return planning.authorise(engine, draft, activity)
    if kind is Kind.EXPLAIN:
        return explain(engine, draft, activity)
    from neurolake.engine import governed_ddl, governed_writes

    if kind is Kind.WRITE:
        return governed_writes.write(engine, draft, activity)
    if kind is Kind.DDL and draft.verb in ("CREATE", "DROP", "ALTER"):
        return governed_ddl.define(engine, draft, activity)
    raise gate.denied(f"{draft.verb} statements", code="statement_denied")


def at_home(draft: Plan) -> bool:
    """Whether a statement belongs on the session's home cursor: it is in a transaction, or names what is temporary."""
    session = draft.request.session
    return session.in_transaction() or mentions(draft.text, session.temporary)


def open_decision(columns: Iterable[str]) -> TableDecision:
    """About a temporary table that the session has made itself: all of it is its own."""
    open_ = tuple(ColumnDecision(column, "allow", {}, None, "the session's own") for column in columns)
    return TableDecision(frozenset(), open_, (), "the session's own")


# Reading


def read(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """A SELECT, and what parses as one: its relations become views, and the gate walks the text that runs."""
    if draft.verb == "PIVOT":
        from neurolake.engine import governed_pivot

        draft = governed_pivot.listed(engine, draft, activity)
    home = at_home(draft)
    relations = Relations(engine, evolve(draft, home=home), activity)
    gated = mapped(engine, draft.text, relations, draft.request.session.schema)
    draft = evolve(
        draft, text=gated.text, home=home, relations=relations.lent, sources=tuple(map(str, relations.sources)),
        ruling=relations.ruling(),
    )  # fmt: skip
    planned = planning.described(draft, _bound(draft, gated, activity))
    if any(planning.needs_encoding(kind) for kind in planned.types):
        planned = planning.encoded(planned, activity)
        gate.check_statement(engine.serialise(planned.text), relations.allowed, gated.ctes)
    return evolve(planned, schema=_marked(planned.schema, gated, relations.shown))


def _marked(schema: pa.Schema | None, gated: Gated, shown: Mapping[Path, TableDecision]) -> pa.Schema | None:
    """The schema with its marks; known where it was asked of the same form, under the very same decisions."""
    known = gated.known
    if known is None:
        return marked(schema, gated.tree, shown)
    kept = known.marks
    if kept is None or kept.schema is not schema or not kept.under(shown):
        kept = known.marks = Marks(schema, dict(shown), marked(schema, gated.tree, shown))
    return kept.marked


def _bound(draft: Plan, gated: Gated, activity: Activity) -> Binding:
    """What the binder says of a statement; known where it was asked of the same form and views, under no settings."""
    known = gated.known
    if known is None or not known.settled or draft.request.session.settings:
        return planning.bound(draft, activity)
    if known.binding is None:
        known.binding = planning.bound(draft, activity)
    return known.binding


class Relations:
    """Gives the path that is read in place of each relation a statement names."""

    def __init__(self, engine: Engine, draft: Plan, activity: Activity) -> None:
        self.access = engine.access
        self.lent: dict[str, Any] = {}
        self.allowed: set[Path] = set()
        self.sources: list[Name] = []
        self.decisions: dict[Name, TableDecision] = {}
        self.shown: dict[Path, TableDecision] = {}
        self.named: frozenset[str] | None = None
        self.reader: tuple[object, ...] = (draft.request.principal, draft.home)
        self._engine = engine
        self._draft = draft
        self._activity = activity
        self._principal = draft.request.principal
        self._session = draft.request.session
        activity.decided.ruling = self.ruling()
        from neurolake.engine.governed_views import Expansion

        self.views = Expansion(self, engine, draft, activity)

    def __call__(self, path: Path) -> Path:
        """The path that is read in place of this one.

        Raises:
            AccessDenied: there is nothing that the role may read in its place.
        """
        found = self._find(path)
        self.allowed.add(found)
        self.views.count()
        return found

    def temporary(self, path: Path) -> str | None:
        """The temporary table or view of the session that a path means, if it is one."""
        return temporary_of(path, self._session.temporary)

    def _find(self, path: Path) -> Path:
        if (name := self.temporary(path)) is not None:
            if (text := self.views.temporary_text(name)) is not None:
                return self.views.path(Name("", name), text)
            check_temporary(self._session, self.access.version, name)
            return ("temp", "main", name)
        wanted = self.name_of(path)
        if (make := system.lookup(wanted)) is not None:
            if fold(wanted.table) not in _FILTERED:
                raise gate.denied(f"neurolake.{wanted.table}", code="relation_denied").on(wanted)
            return self._lend(make(Context(self._engine, self._session, self._draft.request.query_id)))
        if fold(wanted.schema) == "information_schema":
            return self._lend(visible.information(self._engine, self._session, wanted.table))
        return self._view(wanted)

    def ruling(self) -> Ruling:
        """What was decided about all that the statement reads."""
        return Ruling(self.access.version, self.decisions)

    def name_of(self, path: Path) -> Name:
        """The name that a path means; one that leads out of the lake means nothing."""
        if len(path) == 3 and fold(path[0]) == "lake":
            path = path[1:]
        if len(path) > 2:
            raise unknown(".".join(path), self._principal.role)
        return Name(path[0] if len(path) == 2 else self._session.schema, path[-1])

    def _lend(self, table: pa.Table) -> Path:
        key = f"_{RESERVED_SCHEMA}_{secrets.token_hex(6)}"
        self.lent[key] = table
        return (key,)

    def _view(self, name: Name) -> Path:
        if not self.access.sees(self._principal, name):
            raise unknown(str(name), self._principal.role).on(name)
        if (text := self.views.text_of(name)) is not None:
            return self.views.path(name, text)
        sql, columns = self.described(name)
        decision = self.decide(name, columns)
        path = self.narrowed(name, sql, columns, decision, self.named)
        self.shown[path] = decision
        return path

    def narrowed(
        self,
        name: Name,
        sql: str,
        columns: Mapping[str, str],
        decision: TableDecision,
        named: frozenset[str] | None,
    ) -> Path:
        """A secure view of what is decided to be visible of a relation, as far as it may be meant by these names.

        Raises:
            AccessDenied: nothing is.
        """
        rows = self.rows_of(sql, decision, columns)
        try:
            view = self._engine.views.planned(sql, columns, decision, rows, named)
        except errors.AccessDenied:
            if decision.reason == IN_DOUBT:
                raise errors.Unavailable(
                    f"{name} is being changed.", code="table_changing", next_step="Run the statement again."
                ) from None
            raise closed(str(name), self._principal.role, decision.reason).on(name) from None
        self._engine.views.keys.need(view.scopes)
        return self.secured(view.text, view.types)

    def made(self, text: str, columns: Mapping[str, str], decision: TableDecision) -> Path:
        """A secure view of this text: of the home cursor alone where the statement runs there, else shared."""
        view = views.of(text, columns, decision)
        self._engine.views.keys.need(view.scopes)
        return self.secured(view.text, view.types)

    def secured(self, text: str, types: str) -> Path:
        """The path of a secure view of a gated text."""
        secure = self._engine.views
        try:
            if not self._draft.home:
                return secure.view(text, types)
            with planning.borrowed(self._draft, self._activity) as cursor:
                return secure.temporary_view(cursor, text, types)
        except errors.NeuroLakeError as problem:
            if isinstance(problem, errors.Stopped | errors.Unavailable | errors.SourceFailed):
                raise
            raise self._unworkable() from None

    def _unworkable(self) -> errors.AccessDenied:
        """Why no view could be made: a row filter that the table has outgrown is named."""
        for name, decision in self.decisions.items():
            for one in decision.filters:
                if not self._fits(one, name):
                    return errors.AccessDenied(
                        f"The row filter {one.name} does not fit {name} as it is now, so none of its rows is shown: a "
                        "column that it names was dropped, or is of another type.",
                        code="view_failed",
                        next_step="Ask an administrator to set it anew, or to drop it.",
                    )
        return errors.AccessDenied(
            "What the role may see of a table could not be worked out, so nothing of it is shown.",
            code="view_failed",
            next_step="Ask an administrator to look at its policies and row filters.",
        )

    def _fits(self, row_filter: RowFilter, name: Name) -> bool:
        condition = row_condition(self._engine, row_filter, self._principal.attributes)
        sql, _ = self.described(name)
        try:
            with planning.borrowed(self._draft, self._activity) as cursor:
                cursor.bind(f"SELECT 1 FROM {sql} WHERE {condition}")
        except errors.InvalidRequest:
            return False
        return True

    def described(self, name: Name) -> tuple[str, dict[str, str]]:
        """The SQL that reads a relation as it is, and its columns.

        Raises:
            AccessDenied: it is not there; who may not read it hears the same.
        """
        source = self._engine.catalog.sources.get(name.fold())
        if source is not None:
            self._engine.files.look_at(source)
            source = self._engine.catalog.sources.get(name.fold(), source)
            self.sources.append(source.name)
            return relation.reader(source.location, source.format, source.options), dict(source.columns)
        if fold(name.schema) in _CLOSED_SCHEMAS:
            raise unknown(str(name), self._principal.role).on(name)
        if self._session.in_transaction() and self._is_another(name.fold()):
            raise errors.Unavailable(
                f"{name} is another table than when the transaction began, or was renamed in it, or its rows were "
                "changed and looked at anew.",
                code="table_changing",
                next_step="End the transaction, and run the statement again.",
            )
        try:
            return name.sql(), planning.columns_of(self._engine, self._draft, self._activity, name)
        except errors.NeuroLakeError as problem:
            if isinstance(problem, errors.Stopped | errors.Unavailable):
                raise
            raise unknown(str(name), self._principal.role).on(name) from None

    def _is_another(self, name: Name) -> bool:
        """Whether the transaction may see rows under a folded name that what is known of the name is not about."""
        own = self._session.events
        known = self._engine.outbox
        if known.changed_since(self._session.changes, name) or known.looked_at_since(self._session.writes, name):
            return True
        return any(tables.brings(event.object, event.detail, name) for event in own)

    def decide(self, name: Name, columns: Mapping[str, str], *, derived: bool = False) -> TableDecision:
        """What becomes of a relation, by the picture that the plan is made under; `derived`, of a role's own view."""
        decision = self.access.decide(self._principal, name, columns, derived=derived)
        self.decisions[name.fold()] = decision
        return decision

    def rows_of(self, sql: str, decision: TableDecision, columns: Mapping[str, str]) -> str | None:
        """The condition that every visible row fulfils, with the caller's attributes in it; None for all rows."""
        if not decision.filters:
            return None
        joined = " AND ".join(f"({one.condition}\n)" for one in decision.filters)
        if "timezone" in self._session.settings and _in_zone(joined, columns):
            raise errors.AccessDenied(
                "A row filter of the table may depend on the time zone, which this session has set.",
                code="setting_denied",
                next_step="RESET TimeZone.",
            )
        key = (joined, *sorted(self._principal.attributes.items()))
        made = self._engine.forms.conditions.get(key)
        if made is None:
            each = (row_condition(self._engine, one, self._principal.attributes) for one in decision.filters)
            made = " AND ".join(f"({condition})" for condition in each)
            self._engine.forms.keep(self._engine.forms.conditions, key, made)
        return made


def _in_zone(condition: str, columns: Mapping[str, str]) -> bool:
    """Whether the rows that a condition lets through may be others in another time zone."""
    said = fold(condition)
    asked = (kind for column, kind in columns.items() if fold(column) in said)
    return _TIMES.search(condition) is not None or any(map(_ZONED.search, asked))


def row_condition(engine: Engine, row_filter: RowFilter, attributes: Mapping[str, str]) -> str:
    """A row filter as it stands in a view: `neurolake.attribute('x')` becomes the caller's own, NULL where none is set.

    Raises:
        AccessDenied: it cannot be read; no row is shown.
    """
    try:
        tree = engine.serialise(f"SELECT 1 WHERE {row_filter.condition}")
        (statement,) = tree["statements"]
        _fill_in(statement, attributes)
        where = statement["node"]["where_clause"]
        statement["node"].update(select_list=[where], where_clause=None)
    except (KeyError, TypeError, ValueError):
        raise errors.AccessDenied(
            f"The row filter {row_filter.name} of {row_filter.table} cannot be read, so none of its rows is shown.",
            code="row_filter_unreadable",
            next_step="Ask an administrator to set it anew, or to drop it.",
        ) from None
    return reprinted(engine, tree)[0].removeprefix("SELECT ")


def _fill_in(node: Any, attributes: Mapping[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _fill_in(item, attributes)
    elif isinstance(node, dict):
        if node.get("class") == "FUNCTION" and _is_attribute(node):
            (argument,) = node["arguments"]
            value = attributes.get(argument["expression"]["literal"]["text"])
            kind = {"kind": "NULL_LITERAL"} if value is None else {"kind": "STRING", "text": value}
            kept = {key: node[key] for key in ("alias", "query_location", "query_location_length")}
            node.clear()
            node.update({"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": kind, **kept})
        for value in node.values():
            _fill_in(value, attributes)


def _is_attribute(node: Mapping[str, Any]) -> bool:
    path = [fold(part) for part in node["qualified_name"]["path"]]
    return path[-2:] == [RESERVED_SCHEMA, "attribute"]


def temporary_of(path: Path, temporary: frozenset[str]) -> str | None:
    """The temporary table that a path means, if it is one."""
    folded = [fold(part) for part in path]
    if folded[:-1] in ([], ["temp"], ["temp", "main"]) and folded[-1] in temporary:
        return path[-1]
    return None


def check_temporary(session: Session, version: int, name: str) -> None:
    """Refuse a temporary table that was made in another role or under other policies.

    Raises:
        AccessDenied: it was.
    """
    if session.made_under.get(fold(name)) != (session.principal.role, version):
        raise errors.AccessDenied(
            f"The temporary table {name} was made in another role or before the policies changed.",
            code="temporary_stale",
            next_step="Drop it, and make it again.",
        )


def unknown(name: str, role: str) -> errors.AccessDenied:
    """The one answer to a name that is not there and to one that the role may not read."""
    return errors.AccessDenied(
        f"There is no table {name} that {f'the role {role}' if role else 'a session without a role'} may read.",
        code="relation_denied",
        next_step="SELECT * FROM neurolake.columns shows what it may read; ask an administrator for more.",
    )


def closed(name: str, role: str, reason: str) -> errors.AccessDenied:
    """The answer to a table that a role may know of, and of which nothing is open to it."""
    return errors.AccessDenied(
        f"The role {role} may see nothing of {name}: {reason}.",
        code="relation_denied",
        next_step="Ask an administrator.",
    )


# Explaining


def explain(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """EXPLAIN in its safe form: what was decided. Plans of the engine show names, texts and numbers of rows."""
    text, analyze = statements.explained(draft.text)
    if analyze:
        raise gate.denied("EXPLAIN ANALYZE", code="statement_denied")
    inner = plan(engine, evolve(draft.request, text=text, translated=True), activity)
    rows = [("neurolake_sql", urls.hidden(text.strip())), *explained(inner)]
    table = pa.table(list(zip(*rows, strict=True)), schema=planning.EXPLANATION)
    key = f"_{RESERVED_SCHEMA}_{secrets.token_hex(6)}"
    return evolve(
        draft, kind=Kind.SELECT, text=f"SELECT * FROM {quote(key)}", relations={key: table}, returns_rows=True,
        schema=planning.EXPLANATION, types=("VARCHAR", "VARCHAR"), ruling=inner.ruling,
    )  # fmt: skip


def explained(inner: Plan) -> list[tuple[str, str]]:
    """What was decided about a plan, as rows of a key and a text."""
    rows = []
    for name, decision in inner.ruling.tables.items():
        shown = [
            f"{column.column}: {column.action} ({column.reason})" for column in decision.columns
            if column.action not in ("allow", ABSENT)
        ]  # fmt: skip
        rows.append((f"neurolake_columns {name}", "; ".join(shown) or "as they are"))
        if decision.filters:
            rows.append((f"neurolake_rows {name}", "filtered"))
    return rows
