"""Marks on an administrator's results: which columns hold personal data, by what scans found and people said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import planning
from neurolake.governance import gate_marks
from neurolake.identifiers import fold
from neurolake.query import Kind, Plan, evolve
from neurolake.sql.text import Name, words

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session


def marked(engine: Engine, asked: Plan, planned: Plan, activity: Activity) -> Plan:
    """The plan with what is found marked in its schema; a text without a word of such a table is not looked at.

    Args:
        engine: whose tables.
        asked: the plan before its names were resolved.
        planned: the same, bound.
        activity: the statement.
    """
    if asked.kind is not Kind.SELECT or planned.schema is None:
        return planned
    session, access = asked.request.session, engine.access
    if access.words_found.isdisjoint(words(asked.text)) or "search_path" in session.settings:
        return planned
    tree = engine.serialise(asked.text)
    named = {path: _name_of(path, session) for path in gate_marks.tables_of(tree)}
    if not any(name is not None and access.facts(name).findings for name in named.values()):
        return planned
    shown = {
        path: access.decide(asked.request.principal, name, columns)
        for path, name in named.items()
        if name is not None and (columns := _columns(engine, planned, activity, name)) is not None
    }
    return evolve(planned, schema=gate_marks.marked(planned.schema, tree, shown, measured=True))


def _name_of(path: tuple[str, ...], session: Session) -> Name | None:
    """The name that a path means; None for what is temporary, or out of the lake."""
    if len(path) == 3:
        return Name(*path[1:]) if fold(path[0]) == "lake" else None
    if len(path) > 3 or fold(path[-1]) in session.temporary:
        return None
    return Name(path[0] if len(path) == 2 else session.schema, path[-1])


def _columns(engine: Engine, draft: Plan, activity: Activity, name: Name) -> dict[str, str] | None:
    if (source := engine.catalog.sources.get(name.fold())) is not None:
        return dict(source.columns)
    try:
        return planning.columns_of(engine, draft, activity, name)
    except errors.NeuroLakeError:
        if activity.problem is not None:
            raise
        return None  # no table of the lake: a file, or one of an attached database
