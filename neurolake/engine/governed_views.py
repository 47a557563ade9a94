"""Views of governed roles: made from gated parts, and gated anew under the role of whoever reads them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import gating, governed, planning
from neurolake.governance import gate, invoker
from neurolake.governance.access import ColumnDecision, TableDecision
from neurolake.governance.gate_marks import marked_columns
from neurolake.identifiers import fold
from neurolake.query import Plan, evolve
from neurolake.sql.text import DEFAULT_SCHEMA, Name, quote

if TYPE_CHECKING:
    from neurolake.engine import Engine

NESTED_MAX = 16
"""How deep views of governed roles may read each other."""
READS_MAX = 500
"""How many relations such views may read in one statement, each as often as it is named."""


# Making


def define(engine: Engine, draft: Plan, activity: Activity, match: re.Match[str], name: str, sql: str) -> Plan:
    """CREATE VIEW: the text is kept with its names in full, and read by nobody but through the gate.

    Args:
        engine: whose lake it is.
        draft: the statement.
        activity: of the statement.
        match: the parts of the statement.
        name: the view's own name.
        sql: its name in SQL, in full.

    Raises:
        AccessDenied: the role may not read what the view reads.
        NotSupported: it reads what a view cannot keep.
        InvalidRequest: it has parameters.
    """
    schema = draft.request.session.schema
    query = match["query"]
    if match["aliases"]:
        query = f"SELECT * FROM ({query}\n) AS {quote(name)} {match['aliases']}"
    relations = governed.Relations(engine, draft, activity)
    select = gating.mapped(engine, query, relations, schema).text
    if relations.lent:
        raise errors.NotSupported("A view cannot keep what this statement reads: a system table.")
    seen = planning.bound(evolve(draft, text=select), activity)
    if seen.parameters:
        raise errors.InvalidRequest("A view takes no parameters.", code="parameter_in_view")
    text = _in_full(engine, query, relations, schema, temporary=bool(match["temporary"]))
    head = f"CREATE {'OR REPLACE ' * bool(match['replace'])}{'TEMP ' * bool(match['temporary'])}VIEW "
    head += f"{'IF NOT EXISTS ' * bool(match['missing'])}{sql}"
    columns = dict(zip(_distinct(seen.names), seen.types, strict=True))
    draft = evolve(draft, text=f"{head} AS {invoker.stub(text, columns)}", ruling=relations.ruling())
    return planning.described(draft, planning.bound(draft, activity))


def _in_full(engine: Engine, query: str, relations: governed.Relations, schema: str, *, temporary: bool) -> str:
    """The text with the name of every relation as it is in the lake, whatever schema the reader stands in."""

    def full(path: gate.Path) -> gate.Path:
        if (found := relations.temporary(path)) is not None:
            if not temporary:
                raise gate.denied("a temporary table in a view that is not temporary", code="view_denied")
            return ("temp", "main", found)
        return ("lake", *relations.name_of(path))

    tree = engine.serialise(query)
    gating.keep_names(engine, tree)
    gate.map_statement(tree, full, schema)
    return gating.reprinted(engine, tree)[0]


def _distinct(names: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in names:
        while fold(name) in (fold(other) for other in found):
            name += "_1"
        found.append(name)
    return found


# Reading


class Expansion:
    """What views of governed roles mean in one statement, for the role that reads them."""

    def __init__(self, relations: governed.Relations, engine: Engine, draft: Plan, activity: Activity) -> None:
        self._relations = relations
        self._engine = engine
        self._draft = draft
        self._activity = activity
        self._inside: list[Name] = []
        self._made: dict[Name, tuple[gate.Path, int]] = {}
        self._reads = 0

    def text_of(self, name: Name) -> str | None:
        """The text of a view in the lake; None for anything else. A transaction that has changed the lake is asked."""
        folded = name.fold()
        if not self._draft.request.session.events:
            return self._engine.catalog.views.get(folded)
        return self._asked("database_name = 'lake'", lambda schema, view: Name(schema, view).fold() == folded)

    def temporary_text(self, name: str) -> str | None:
        """The text of a temporary view of the session; None for any other of its temporary relations."""
        return self._asked("temporary", lambda schema, view: fold(view) == fold(name))

    def _asked(self, where: str, wanted: Callable[[str, str], bool]) -> str | None:
        with planning.borrowed(self._draft, self._activity) as cursor:
            rows = cursor.rows(f"{invoker.FOUND} AND {where}", [invoker.MARK])
        return next((invoker.text_of(sql) for schema, view, sql in rows if wanted(schema, view)), None)

    def path(self, name: Name, text: str) -> gate.Path:
        """What is read in place of a view.

        Args:
            name: the view; without a schema, a temporary one.
            text: what it means.

        Raises:
            AccessDenied: the reader may not read what it reads, or it cannot be read at all.
        """
        key = name.fold()
        if (made := self._made.get(key)) is not None:
            self.count(made[1])
            return made[0]
        if key in self._inside or len(self._inside) >= NESTED_MAX:
            raise _unreadable(name, "views read each other in a circle, or too deep")
        before = self._reads
        self._inside.append(key)
        try:
            path = self._read(name, text)
        finally:
            self._inside.pop()
        self._made[key] = (path, self._reads - before)
        return path

    def count(self, more: int = 1) -> None:
        """Note that so many relations more are read.

        Raises:
            AccessDenied: views read too many.
        """
        self._reads += more
        if self._reads > READS_MAX and (self._inside or self._made):
            raise gate.denied("views that read so many relations", code="view_denied")

    def _read(self, name: Name, text: str) -> gate.Path:
        relations = self._relations
        try:
            select, tree, *_ = gating.mapped(self._engine, text, relations, DEFAULT_SCHEMA)
            path = relations.secured(select, "")
        except errors.AccessDenied as problem:
            why = "it reads what the role may not read, or what is not there any more"
            raise _unreadable(name, why).on(name, *problem.about) from None
        seen = planning.bound(evolve(self._draft, text=f"SELECT * FROM {'.'.join(path)}"), self._activity)
        columns = dict(zip(seen.names, seen.types, strict=True))
        marked = marked_columns(seen.names, tree, relations.shown)
        if not name.schema:
            relations.shown[path] = _together(governed.open_decision(columns), marked)
            return path
        own = relations.decide(name, columns, derived=True)
        if own.filters or any(column.action != "allow" for column in own.columns):
            path = relations.narrowed(name, ".".join(path), columns, own, None)
        relations.shown[path] = relations.decisions[name.fold()] = _together(own, marked)
        return path


def _together(own: TableDecision, marked: Mapping[str, ColumnDecision]) -> TableDecision:
    """The decision about a view, with what the marks say of what it reads."""
    columns = tuple(
        dataclasses.replace(marked[one.column], column=one.column)
        if one.action == "allow" and one.finding is None and one.column in marked
        else one
        for one in own.columns
    )  # fmt: skip
    return dataclasses.replace(own, columns=columns)


def _unreadable(name: Name, why: str) -> errors.AccessDenied:
    shown = str(name) if name.schema else name.table
    return errors.AccessDenied(
        f"The view {shown} shows nothing: {why}.", code="view_denied",
        next_step="A view shows each role what that role may read of the tables behind it.",
    )  # fmt: skip
