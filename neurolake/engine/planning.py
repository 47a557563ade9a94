"""Planning: parse → bind → authorise → optimise → gate. Each stage makes a new Plan from the last; none reads a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import pyarrow as pa

from neurolake import errors, observe
from neurolake._duckdb import CATALOG, Binding, Cursor, Parsed
from neurolake.activity import Activity
from neurolake.backup.definitions import MOUNT_PREFIX
from neurolake.engine.resolving import resolve
from neurolake.identifiers import fold
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.procedures import JOB, Procedure, find
from neurolake.query import Kind, Plan, Request, evolve, new_query_id
from neurolake.sources import relation
from neurolake.sql import statements
from neurolake.sql.text import RESERVED_SCHEMA, Name, quote, words

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

COUNT = pa.schema([pa.field("Count", pa.int64())])
"""The schema of every statement that answers with a number of rows."""
EXPLANATION = pa.schema([pa.field("explain_key", pa.string()), pa.field("explain_value", pa.string())])

_ROWS = frozenset((Kind.SELECT, Kind.CALL, Kind.EXPLAIN, Kind.LOCAL))
_TRANSACTION = frozenset((Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK))
_PLAIN_QUERIES = frozenset(("SELECT", "FROM", "VALUES"))
_UNTRANSLATED = frozenset(("SET", "RESET", "USE", "CALL", "BEGIN", "START", "COMMIT", "ROLLBACK"))
"""Statements about the session, written alike in every dialect."""
TABLES_KNOWN_MAX = 1000
"""How many tables' columns are kept, so that a short statement is not bound for them each time."""
_ENCODED = ("UHUGEINT", "BIT", "TIME WITH TIME ZONE", "BIGNUM")
"""Types that Arrow cannot carry faithfully: they travel as their text."""
_NOTHING_LENT = nullcontext()
_TAKEN = (RESERVED_SCHEMA, OUTBOX_SCHEMA, CATALOG)


def plan(engine: Engine, request: Request, activity: Activity) -> Plan:
    """Take a request through every stage. Governed roles have stages of their own."""
    if not request.principal.is_admin:
        from neurolake.engine import governed

        return governed.plan(engine, request, activity)
    draft = Plan(request, request.text, engine.versions(request.session, request.principal))
    with engine.storage.since(request.asked_at):
        for stage in STAGES:
            with observe.stage(stage.__name__, request.query_id):
                draft = stage(engine, draft, activity)
    return draft


def parse(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """Bring the text into DuckDB's dialect and say what kind of statement it is."""
    text = draft.text
    foreign = draft.request.session.dialect != "duckdb" and not draft.request.translated
    if foreign and statements.first_word(text) not in _UNTRANSLATED:
        from neurolake.sql.dialects import transpile

        text = transpile(text, draft.request.session.dialect)
    verb = statements.first_word(text)
    if verb == "SET" and (role := statements.role_of(text)) is not None:
        setting = statements.Setting("role", role)
        return evolve(draft, text=text, kind=Kind.SET, verb="SET", schema=COUNT, detail=setting)
    if verb == "SHOW" and (query := statements.shown(text, draft.request.session.schema)) is not None:
        return evolve(draft, text=query, verb=verb)
    if verb in _PLAIN_QUERIES and ";" not in text:
        return evolve(draft, text=text, verb=verb)  # the binder refuses whatever is not one statement
    found = engine.parse(text)
    if not found:
        raise errors.SyntaxProblem("There is no statement in the text.", code="empty_statement")
    if len(found) > 1:
        rows = _answers_with_rows(found[-1])
        return evolve(draft, kind=Kind.SCRIPT, verb="SCRIPT", parts=tuple(s.text for s in found), returns_rows=rows)
    kind = statements.kind_of(found[0].kind, text)
    return evolve(draft, text=text.rstrip().rstrip(";"), kind=kind, verb=statements.first_word(text))


def _answers_with_rows(last: Parsed) -> bool:
    """Whether a script ends in rows: its last statement cannot be bound before those ahead of it have run."""
    kind = statements.kind_of(last.kind, last.text)
    return kind in _ROWS or (kind is Kind.WRITE and "returning" in words(last.text))


def bind(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """Resolve names, and learn the columns and parameters from DuckDB's binder."""
    kind = draft.kind
    if kind in _TRANSACTION:
        return evolve(draft, schema=COUNT, home=True)
    if kind is Kind.SCRIPT:
        return draft
    if kind is Kind.SET:
        return draft if draft.detail else evolve(draft, schema=COUNT, detail=statements.setting_of(draft.text))
    if kind is Kind.CALL:
        return _bind_call(engine, draft)
    if kind is Kind.EXPLAIN:
        return _bind_explain(engine, draft, activity)
    if CATALOG in fold(draft.text) or MOUNT_PREFIX in draft.text:
        _refuse_reserved(draft)
    asked = evolve(draft, home=_belongs_home(draft))
    draft = resolve(engine, asked, activity)
    try:
        binding = bound(draft, activity)
        if draft.sources and _shows_reader(binding):
            draft = resolve(engine, asked, activity, as_views=True)
            binding = bound(draft, activity)
    except errors.NeuroLakeError as problem:
        raise engine.files.explain(problem, draft) from None
    from neurolake.engine.marking import marked

    return marked(engine, asked, described(draft, binding), activity)


def _shows_reader(binding: Binding) -> bool:
    """Whether a column is named after its expression, and shows in it how we read a source."""
    return any(f"{function}(" in name for name in binding.names for function, _ in relation.FORMATS.values())


def _belongs_home(draft: Plan) -> bool:
    session = draft.request.session
    if draft.kind is Kind.LOCAL or session.in_transaction() or session.temporary_functions:
        return True
    changes = draft.kind is Kind.DDL and draft.verb in ("CREATE", "DROP", "ALTER")
    return changes and statements.is_temporary(draft.text)


def described(draft: Plan, binding: Binding) -> Plan:
    """The plan with what the binder says of it."""
    rows = binding.returns == "query_result"
    if draft.kind is Kind.WRITE and "returning" not in words(draft.text):
        rows = False  # before its parameters are bound, the binder cannot tell
    return evolve(
        draft,
        schema=binding.schema if rows else COUNT,
        types=binding.types,
        parameters=binding.parameters,
        parameter_schema=binding.parameter_schema,
        returns_rows=rows,
    )


def columns_for(engine: Engine, session: Session, name: Name) -> dict[str, str]:
    """The columns that a relation has for a session, and their types; none where it cannot be read."""
    request = Request(f"SELECT * FROM {name.sql()}", session, query_id=new_query_id(), translated=True)
    activity = Activity(request.query_id, session.principal, session.client, request.text)
    try:
        planned = plan(engine, request, activity)
    except errors.NeuroLakeError:
        return {}
    return {} if planned.schema is None else dict(zip(planned.schema.names, planned.types, strict=True))


def bound(draft: Plan, activity: Activity) -> Binding:
    """What the binder says of a plan's text."""
    with borrowed(draft, activity) as cursor:
        return cursor.bind(draft.text, draft.request.values)


@contextmanager
def borrowed(draft: Plan, activity: Activity) -> Iterator[Cursor]:
    """The cursor a plan is bound on: home or one of its own, with the relations it reads."""
    session = draft.request.session
    governed = draft.ruling is not None
    if draft.home:
        with session.at_home(activity) as cursor, attached(cursor, draft):
            if governed:
                session.stand_apart(cursor)
            activity.use(cursor, activity.phase)
            try:
                yield cursor
            finally:
                activity.leave()
        return
    version = session.settings_version
    cursor = session.acquire(governed=governed)
    try:
        activity.use(cursor, activity.phase)
        with attached(cursor, draft):
            yield cursor
    finally:
        activity.leave()
        session.release(cursor, version, governed=governed)


def attached(cursor: Cursor, draft: Plan) -> AbstractContextManager[None]:
    """Lend a cursor the relations of a plan."""
    return _lent(cursor, draft) if draft.relations else _NOTHING_LENT


@contextmanager
def _lent(cursor: Cursor, draft: Plan) -> Iterator[None]:
    for name, table in draft.relations.items():
        cursor.attach(name, table)
    try:
        yield
    finally:
        for name in draft.relations:
            cursor.detach(name)


def columns_of(engine: Engine, draft: Plan, activity: Activity, name: Name) -> dict[str, str]:
    """The columns of a managed table and their DuckDB types, as the plan's own cursor sees them.

    Known as long as the catalog stays as it is; in a transaction, as long as that has changed nothing.
    """
    versions, session = draft.versions, draft.request.session
    if session.in_transaction():
        columns_known, changes = session.columns_known, len(session.events)
    else:
        columns_known, changes = engine.columns_known, 0
    key = (versions.catalog, versions.generation, changes, name.fold())
    if (known := columns_known.get(key)) is not None:
        return known
    with borrowed(draft, activity) as cursor:
        seen = cursor.bind(f"SELECT * FROM {name.sql()}")
    found = dict(zip(seen.names, seen.types, strict=True))
    if len(columns_known) >= TABLES_KNOWN_MAX:
        columns_known.clear()
    columns_known[key] = found
    return found


def _bind_call(engine: Engine, draft: Plan) -> Plan:
    call = engine.read_call(draft.text, draft.request.values)
    found = find(call.name)
    secret = {a.name for a in found.arguments if a.secret}
    names = [a.name for a in found.arguments]
    hidden = [
        span for key, span in call.spans.items()
        if (key if isinstance(key, str) else names[key] if key < len(names) else "") in secret
    ]  # fmt: skip
    markers = engine.parse(draft.text)[0].parameters
    return evolve(
        draft,
        schema=found.returns if _waits(draft.request, found, call) else JOB,
        returns_rows=True,
        parameters=tuple((name, "UNKNOWN") for name in sorted(markers)),
        detail=(found, call, statements.masked(draft.text, hidden)),
    )


def _waits(request: Request, found: Procedure, call: statements.Call) -> bool:
    return request.is_job or found.waited_for(call.positional, call.named)


def _bind_explain(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    text, analyze = statements.explained(draft.text)
    inner = plan(engine, evolve(draft.request, text=text, translated=True), activity)
    if inner.kind not in (Kind.SELECT, Kind.WRITE, Kind.DDL) or (analyze and inner.kind is not Kind.SELECT):
        raise errors.NotSupported(
            f"EXPLAIN{' ANALYZE' if analyze else ''} of a {inner.verb} statement is not supported.",
            next_step="Explain a SELECT.",
        )
    return evolve(
        draft, schema=EXPLANATION, returns_rows=True, parameters=inner.parameters, home=inner.home,
        relations=inner.relations, sources=inner.sources, detail=(inner, analyze),
    )  # fmt: skip


def authorise(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """May this principal do this? Settings of the instance and reserved names are closed to everybody."""
    if draft.kind is Kind.SET:
        engine.check_setting(draft.request.session, draft.detail)
        if draft.detail.name == "role":
            return draft
    if draft.kind is Kind.CALL:
        found, _, _ = draft.detail
        here = found.privilege == "own" or found.per_object
        if not here and not engine.access.may(draft.request.principal, found.privilege):
            raise errors.AccessDenied(
                f"neurolake.{found.name} needs the privilege {found.privilege} on lake.",
                next_step="Ask an administrator to call it, or SET ROLE to one of your roles that has the privilege.",
            )
        return draft
    if draft.verb == "PRAGMA" and "progress_bar" in fold(draft.text):  # cursors have it on, and it must print nothing
        raise errors.InvalidRequest(
            "The progress bar is no setting of a session.",
            code="setting_locked",
            next_step="neurolake.running says how far a statement is; neurolake.toml has the settings of the lake.",
        )
    return draft


def _refuse_reserved(draft: Plan) -> None:
    """No schema, catalog or attached database takes a name of the system's; nothing touches the outbox."""
    text = draft.text
    target = tuple(fold(part) for part in statements.target_of(text) or ())
    refused = OUTBOX_SCHEMA in words(text)
    if draft.verb == "ATTACH":
        refused |= fold(statements.attached_name(text)) in _TAKEN
    elif draft.verb == "CREATE":
        made = statements.made_of(text) in ("SCHEMA", "DATABASE")
        refused |= target[-1:] in [(name,) for name in _TAKEN] if made else target[-2:-1] == (RESERVED_SCHEMA,)
        if made and MOUNT_PREFIX in text:
            refuse_mount((statements.target_of(text) or ("",))[-1])
    if refused:
        raise errors.InvalidRequest(
            "The name neurolake is the system's own.", code="reserved_name", next_step="Choose another name."
        )


def refuse_mount(schema: str) -> None:
    """Refuse a schema whose name says that a snapshot is mounted there: no backup takes such a one along.

    Raises:
        InvalidRequest: `reserved_name`.
    """
    if schema.startswith(MOUNT_PREFIX):
        raise errors.InvalidRequest(
            f"Schemas that begin with {MOUNT_PREFIX} are those of mounted snapshots, which no backup takes along.",
            code="reserved_name",
            next_step="Choose another name.",
        )


def optimise(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """Rewrite what DuckDB's own optimiser does not. In doubt the text stays."""
    settings = engine.settings_of(draft.request.session)
    if draft.kind is not Kind.SELECT or not settings.optimizer:
        return draft
    from neurolake.optimizer import Context as Rewriting
    from neurolake.optimizer import optimise as rewrite

    rewriting = Rewriting(
        describe=lambda relation_sql: _types(draft, activity, relation_sql),
        own_functions=lambda: engine.own_functions.seen_by(engine, draft, activity),
        tree=engine.serialise,
    )
    done = rewrite(draft.text, rewriting, off=frozenset(settings.optimizer_rules_off))
    if not done.fired:
        return draft
    return evolve(draft, text=done.text, asked=draft.text, rules=done.fired)


def _types(draft: Plan, activity: Activity, relation_sql: str) -> dict[str, str] | None:
    try:
        with borrowed(draft, activity) as cursor:
            seen = cursor.bind(f"SELECT * FROM {relation_sql}")
    except errors.NeuroLakeError:
        return None
    return dict(zip(seen.names, seen.types, strict=True))


def gate(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """The last look, at exactly the text that runs: what was rewritten must bind as what was asked."""
    if draft.rules:
        draft = _proved(draft, activity)
    if draft.kind is Kind.SELECT and any(t for t in draft.types if needs_encoding(t)):
        draft = encoded(draft, activity)
    return draft


def _proved(draft: Plan, activity: Activity) -> Plan:
    try:
        after = bound(draft, activity)
    except errors.NeuroLakeError:
        after = None
    if after is not None and after.types == draft.types and after.schema == draft.schema:
        return draft
    return evolve(draft, text=draft.asked, rules=())


def needs_encoding(duckdb_type: str) -> bool:
    """Whether a column of this type travels as its text."""
    return any(name in duckdb_type for name in _ENCODED)


def encoded(draft: Plan, activity: Activity) -> Plan:
    """The plan with such columns cast to text."""
    if draft.schema is None:
        return draft
    columns = [f"c{position}" for position in range(len(draft.types))]
    shown = ", ".join(
        (f"CAST({column} AS VARCHAR)" if needs_encoding(kind) else column) + f" AS {quote(name)}"
        for column, kind, name in zip(columns, draft.types, draft.schema.names, strict=True)
    )
    wrapped = evolve(draft, text=f"SELECT {shown} FROM ({draft.text}\n) AS encoded({', '.join(columns)})")
    schema = bound(wrapped, activity).schema
    marks = zip(schema or (), draft.schema, strict=True)
    return evolve(wrapped, schema=pa.schema([field.with_metadata(before.metadata) for field, before in marks]))


STAGES = (parse, bind, authorise, optimise, gate)
