"""Names: what a statement reads that is no object of DuckDB's, and how it comes to read it.

A source's name in the text is replaced by what reads it. Where the name cannot be followed (SHOW, query_table, a
construct that no parser of ours reads), the statement runs beside a temporary view of that name.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from neurolake import errors
from neurolake.activity import Activity
from neurolake.catalog import Source, information, system
from neurolake.identifiers import fold
from neurolake.procedures import Context
from neurolake.query import Kind, Plan, evolve
from neurolake.sources import relation
from neurolake.sql import statements
from neurolake.sql.text import DEFAULT_SCHEMA, RESERVED_SCHEMA, Name, mentions, quote, words

if TYPE_CHECKING:
    from neurolake.engine import Engine

SYSTEM_SCHEMAS = frozenset((RESERVED_SCHEMA, information.SCHEMA))
_KEEPERS = ("VIEW", "MACRO", "FUNCTION")
_OPAQUE = frozenset(("show", "query", "query_table"))
"""Words of statements that name relations where a parser sees none."""


class _Lookup:
    """Gives the SQL of each relation that we resolve, and keeps what the statement needs beside it."""

    def __init__(self, engine: Engine, draft: Plan, activity: Activity, *, as_views: bool) -> None:
        self.as_views = as_views
        self.relations: dict[str, Any] = {}
        self.used: dict[Name, Source] = {}
        self._engine = engine
        self._activity = activity
        self._context = Context(engine, draft.request.session, draft.request.query_id)
        self._inside: list[Name] = []
        target = statements.target_of(draft.text) if draft.kind is Kind.DDL else None
        self._made = None if target is None else Name(*(draft.request.session.schema, *target)[-2:]).fold()

    def __call__(self, name: Name) -> str | None:
        if (make := system.lookup(name)) is not None:
            return self._lend(make(self._context))
        sources = self._engine.catalog.sources
        if fold(name.schema) == information.SCHEMA:
            return information.relation(name, self._lend, sources.values())
        source = sources.get(name.fold())
        return self._expanded(name.fold()) if source is None else self.read(source)

    def _expanded(self, name: Name) -> str | None:
        """The text of a governed role's view, for an administrator who reads it; None for what is no such view."""
        text = self._engine.catalog.views.get(name)
        if text is None or name == self._made:
            return None
        if name in self._inside:
            raise errors.InvalidRequest(f"The view {name} reads itself.", code="view_circle")
        from neurolake.engine import gating
        from neurolake.sql import names

        # Printed from its tree: whatever it says, it is one SELECT.
        text, _ = gating.reprinted(self._engine, self._engine.serialise(text))
        self._inside.append(name)
        found = names.resolve(text, self, DEFAULT_SCHEMA, frozenset(), self._engine.serialise)
        self._inside.pop()
        return f"({found.text})"

    def read(self, source: Source) -> str:
        self.used[source.name] = source
        self._engine.files.look_at(source)
        reader = relation.reader(source.location, source.format, source.options)
        table = source.name.table
        if (
            not self.as_views
            or self.relations.setdefault(table, f"SELECT * FROM {reader}") != f"SELECT * FROM {reader}"
        ):
            return reader  # of two schemas' tables of one name the second has no view
        return quote(table)

    def _lend(self, table: Any) -> str:
        key = f"_{RESERVED_SCHEMA}_{secrets.token_hex(6)}"
        self.relations[key] = table
        return quote(key)


def _in_snapshots(engine: Engine, draft: Plan, seen: Collection[str]) -> Plan:
    """The plan with what it reads of snapshots replaced by what reads their files."""
    text = draft.text
    opened: tuple[Any, ...] = ()
    if RESERVED_SCHEMA in seen:
        from neurolake.backup.at import replace_at

        text, opened = replace_at(engine, draft.request, text)
    if "timestamp" in seen or "version" in seen:
        from neurolake.backup.at import replace_clauses

        text, more = replace_clauses(engine, draft.request, text)
        opened = (*opened, *more)
    if opened and statements.made_of(text) in _KEEPERS:
        raise errors.NotSupported(
            "A view cannot keep what is read of a sealed snapshot.", next_step="Restore the table, or mount it."
        )
    return evolve(draft, text=text, opened=opened)


def resolve(engine: Engine, draft: Plan, activity: Activity, *, as_views: bool = False) -> Plan:
    """The plan with its text and relations; `as_views` leaves the names of sources in the text, as views of those."""
    session = draft.request.session
    seen = words(draft.text)
    home = draft.home or mentions(draft.text, session.temporary)
    if "at" in seen:
        draft = _in_snapshots(engine, draft, seen)
    if seen.isdisjoint(SYSTEM_SCHEMAS) and seen.isdisjoint(engine.catalog.source_words):
        return evolve(draft, home=home) if home else draft
    from neurolake.sql import names

    lookup = _Lookup(engine, draft, activity, as_views=as_views)
    resolved = names.resolve(draft.text, lookup, session.schema, session.temporary, engine.serialise)
    if draft.kind is not Kind.LOCAL and (resolved.unread or not seen.isdisjoint(_OPAQUE)):
        lookup.as_views = True
        for name, source in engine.catalog.sources.items():
            hidden = name.table in session.temporary or name.schema != fold(session.schema)
            if not hidden and words(name.table) <= seen:
                lookup.read(source)
    if lookup.relations and statements.made_of(draft.text) in _KEEPERS:
        raise errors.NotSupported(
            "A view cannot keep what this statement reads: a system table, or a source that only a function names.",
            next_step="Select from it by its name.",
        )
    used = tuple(map(str, lookup.used))
    return evolve(draft, text=resolved.text, relations=lookup.relations, sources=used, home=home)
