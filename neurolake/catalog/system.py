"""The system tables: what `neurolake.<table>` shows, made when a statement names it, filtered for the caller."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neurolake import errors, urls
from neurolake.catalog import system_backups as backups
from neurolake.catalog import system_governance as governed
from neurolake.catalog import system_snapshots as recorded
from neurolake.catalog.system_governance import TIME
from neurolake.identifiers import fold
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from neurolake.procedures import Context

QUERIES = pa.schema([
    ("query_id", pa.string()), ("user_name", pa.string()), ("role", pa.string()), ("client", pa.string()),
    ("sql", pa.string()), ("state", pa.string()), ("error_code", pa.string()), ("started_at", TIME),
    ("duration_ms", pa.float64()), ("rows_out", pa.int64()), ("bytes_out", pa.int64()),
])  # fmt: skip
RUNNING = pa.schema([
    *QUERIES, ("own_session", pa.bool_()), ("step", pa.string()), ("bytes_done", pa.int64()),
    ("bytes_total", pa.int64()), ("progress", pa.float64()),
])  # fmt: skip
SOURCES = pa.schema([
    ("table_schema", pa.string()), ("table_name", pa.string()), ("format", pa.string()),
    ("location", pa.string()), ("options", pa.string()), ("columns", pa.int64()), ("registered_at", TIME),
    ("registered_by", pa.string()), ("changed_at", TIME),
])  # fmt: skip
PROCEDURES = pa.schema([
    ("name", pa.string()), ("arguments", pa.string()), ("privilege", pa.string()), ("help", pa.string()),
])  # fmt: skip
SETTINGS = pa.schema([
    ("name", pa.string()), ("value", pa.string()), ("source", pa.string()), ("help", pa.string()),
])  # fmt: skip
TOKENS = pa.schema([
    ("token_id", pa.string()), ("user_name", pa.string()), ("roles", pa.list_(pa.string())), ("created_at", TIME),
    ("created_by", pa.string()), ("expires_at", TIME), ("revoked_at", TIME),
])  # fmt: skip


def queries(context: Context) -> pa.Table:
    """Finished statements: one's own, or everyone's for an administrator."""
    return context.engine.history.table(None if context.principal.is_admin else context.principal.name)


def running(context: Context) -> pa.Table:
    """Statements in flight, in the columns of `queries`, and how far they are; `state` is the phase."""
    rows = []
    for a in context.engine.activities.snapshot():
        if context.principal.is_admin or a.principal.name == context.principal.name:
            how_far = (None,) * 4 if (step := a.step()) is None else step.told
            rows.append(
                (a.query_id, a.principal.name, a.principal.role, a.client, a.text, a.phase, None, a.started_at,
                 a.duration_ms, a.rows_out, a.bytes_out, a.session is context.session, *how_far)
            )  # fmt: skip
    return table(rows, RUNNING)


def columns(context: Context) -> pa.Table:
    """The columns of every table, view and source, with what is known about each; for others, those they may read."""
    from neurolake.catalog.browse import Browser

    managed = Browser(context.engine, context.session).columns()
    registered = [
        (source.name.schema, source.name.table, name, kind, True)
        for source in context.engine.catalog.sources.values()
        for name, kind in source.columns.items()
    ]
    return table(governed.columns(context, [*managed, *registered]), governed.COLUMNS)


def sources(context: Context) -> pa.Table:
    """The registered sources; for others than administrators those that they may read, and not where they lie."""
    import json

    access, principal = context.engine.access, context.principal
    rows = []
    for s in context.engine.catalog.sources.values():
        lies: tuple[str | None, str | None] = (urls.hidden(s.location), urls.hidden(json.dumps(s.options)))
        if not principal.is_admin:
            if not access.sees(principal, s.name):
                continue
            lies = (None, None)
        rows.append(
            (s.name.schema, s.name.table, s.format, *lies, len(s.columns), s.registered_at, s.registered_by,
             s.changed_at)
        )  # fmt: skip
    return table(rows, SOURCES)


def procedures(context: Context) -> pa.Table:
    """The procedures there are, with their arguments and help."""
    from neurolake.procedures import REGISTRY, load_all

    load_all()
    return table(
        [(p.name, ", ".join(map(str, p.arguments)), p.privilege, p.help) for p in REGISTRY.values()],
        PROCEDURES,
    )


def settings(context: Context) -> pa.Table:
    """The settings in force; secrets are shown as ***."""
    if not context.principal.is_admin:
        raise errors.AccessDenied("Only an administrator may read the settings.", next_step="Ask one.")
    return table(context.engine.settings.show(), SETTINGS)


def users(context: Context) -> pa.Table:
    """The users, without their passwords: oneself, or everyone for an administrator."""
    return table(governed.users(context), governed.USERS)


def roles(context: Context) -> pa.Table:
    """The roles: those the caller has, with what they inherit, or all for an administrator."""
    return table(governed.roles(context), governed.ROLES)


def grants(context: Context) -> pa.Table:
    """What is granted to the caller's roles, or to all for an administrator."""
    return table(governed.grants(context), governed.GRANTS)


def policies(context: Context) -> pa.Table:
    """Policies and row filters: those of the active role, or all for an administrator."""
    return table(governed.policies(context), governed.POLICIES)


def tags(context: Context) -> pa.Table:
    """Tags of what the caller may read."""
    return table(governed.tags(context), governed.TAGS)


def audit(context: Context) -> pa.Table:
    """The audit log: one's own records, or all for who administers the lake."""
    return table(governed.audit(context), governed.AUDIT)


def tokens(context: Context) -> pa.Table:
    """Personal access tokens, without their text: one's own, or everyone's for an administrator."""
    found = context.engine.tokens.all(None if context.principal.is_admin else context.principal.name)
    rows = [
        (t.token_id, t.user_name, None if t.roles is None else list(t.roles), t.created_at, t.created_by, t.expires_at,
         t.revoked_at)
        for t in found
    ]  # fmt: skip
    return table(rows, TOKENS)


def backup_runs(context: Context) -> pa.Table:
    """What became of each run of a backup job; for administrators."""
    return table(backups.backup_runs(context), backups.BACKUP_RUNS)


def backup_schedule(context: Context) -> pa.Table:
    """The backup jobs that have a schedule, when they are due and how they went last; for administrators."""
    return table(backups.backup_schedule(context), backups.BACKUP_SCHEDULE)


def snapshots(context: Context) -> pa.Table:
    """The snapshots in the repositories of the settings."""
    return table(recorded.snapshots(context), recorded.SNAPSHOTS)


def table(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table; seconds since the epoch become timestamps."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array([_moment(v) for v in values] if field.type == TIME else values, field.type)
        for field, values in zip(schema, columns, strict=True)
    ]
    return pa.table(arrays, schema=schema)


def _moment(seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)


TABLES: Mapping[str, Callable[[Context], pa.Table]] = {
    f.__name__: f
    for f in (
        audit,
        backup_runs,
        backup_schedule,
        columns,
        grants,
        policies,
        procedures,
        queries,
        roles,
        running,
        settings,
        snapshots,
        sources,
        tags,
        tokens,
        users,
    )
}

SCHEMAS: Mapping[str, pa.Schema] = {
    "audit": governed.AUDIT, "backup_runs": backups.BACKUP_RUNS, "backup_schedule": backups.BACKUP_SCHEDULE,
    "columns": governed.COLUMNS, "grants": governed.GRANTS, "policies": governed.POLICIES,
    "procedures": PROCEDURES, "queries": QUERIES, "roles": governed.ROLES, "running": RUNNING, "settings": SETTINGS,
    "snapshots": recorded.SNAPSHOTS, "sources": SOURCES, "tags": governed.TAGS, "tokens": TOKENS,
    "users": governed.USERS,
}  # fmt: skip


def lookup(name: Name) -> Callable[[Context], pa.Table] | None:
    """The maker of a system table; None for a name outside our schema.

    Raises:
        NotFound: the schema is ours, and there is no such table in it.
    """
    if fold(name.schema) != "neurolake":
        return None
    found = TABLES.get(fold(name.table))
    if found is None:
        raise errors.NotFound(
            f"There is no system table neurolake.{name.table}.", next_step=f"There are: {', '.join(TABLES)}."
        )
    return found
