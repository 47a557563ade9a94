"""Planning the writes of governed roles: privileges, the target, what is read, and the statement that runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import gating, governed, planning
from neurolake.engine.governed_ddl import no_privilege, no_relation
from neurolake.governance import clauses, gate, merges, writes
from neurolake.governance.access import TableDecision
from neurolake.governance.masks import keys_of
from neurolake.governance.objects import Object
from neurolake.governance.ruling import Decided, Ruling
from neurolake.governance.views import RESERVED
from neurolake.identifiers import fold
from neurolake.loading import Load
from neurolake.query import Plan, evolve
from neurolake.sql.text import DEFAULT_SCHEMA, RESERVED_SCHEMA, Name, quote

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session


def write(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """INSERT, UPDATE, DELETE and MERGE.

    Raises:
        AccessDenied: the role may not, or the statement cannot be taken apart.
    """
    if draft.verb == "MERGE":
        return _merge(engine, draft, activity)
    if draft.verb == "COPY":
        raise gate.denied(f"{draft.verb} statements", code="statement_denied")
    found = writes.taken_apart(engine.serialise(writes.wrapped(draft.text)))
    draft = evolve(draft, home=governed.at_home(draft))
    relations = _Target(engine, draft, activity, found)
    select = gating.mapped_tree(engine, found.select, relations, draft.request.session.schema).text
    alone = _alone(draft, select, relations)
    if found.verb != "INSERT":
        planning.bound(alone, activity)  # by itself: no name in it may be found in the target as it is
    elif found.by_name:
        _check_names(alone, activity, relations.decision)
    if found.returning:
        engine.views.keys.need(keys_of((column.action, column.options) for column in relations.decision.columns))
    show = partial(_shown, engine, found.parameters)
    text = writes.composed(found, relations.sql, select, relations.decision, relations.columns, show)
    draft = evolve(draft, text=text, relations=relations.lent, ruling=relations.ruling())
    return planning.described(draft, planning.bound(draft, activity))


def _merge(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    found = merges.taken_apart(draft.text, engine.serialise)
    draft = evolve(draft, home=governed.at_home(draft))
    relations = _Target(engine, draft, activity, writes.Write("MERGE", found.target, None))
    select = gating.mapped_tree(engine, found.select, relations, draft.request.session.schema).text
    planning.bound(_alone(draft, select, relations), activity)
    if found.returning:
        engine.views.keys.need(keys_of((column.action, column.options) for column in relations.decision.columns))
    show = partial(_shown, engine, found.parameters)
    text = merges.composed(found, relations.sql, select, relations.decision, relations.columns, show)
    draft = evolve(draft, text=text, relations=relations.lent, ruling=relations.ruling())
    return planning.described(draft, planning.bound(draft, activity))


def _alone(draft: Plan, select: str, relations: governed.Relations) -> Plan:
    """What a write reads, by itself; values of parameters that stand elsewhere in the write are none of its own."""
    return evolve(draft, text=select, relations=relations.lent, request=evolve(draft.request, values=None))


def _shown(engine: Engine, parameters: Sequence[gate.Node], node: gate.Node) -> str:
    """An expression that reads no relation, gated, as it is printed."""
    tree = engine.serialise("SELECT 1")
    (statement,) = tree["statements"]
    statement["node"]["select_list"], statement["named_param_map"] = [node], list(parameters)
    return gating.mapped_tree(engine, tree, no_relation, DEFAULT_SCHEMA).text.removeprefix("SELECT ")


def _check_names(draft: Plan, activity: Activity, decision: TableDecision) -> None:
    """BY NAME writes the columns that the query names: only those that the role sees."""
    seen = {fold(name) for name in writes.writable(decision)}
    for name in planning.bound(draft, activity).names:
        if fold(name) not in seen:
            raise gate.denied(f"the column {name} in this write", code="column_denied")


class _Target(governed.Relations):
    """The relations of a write: its target is read through a view of its own."""

    def __init__(self, engine: Engine, draft: Plan, activity: Activity, write: writes.Write) -> None:
        super().__init__(engine, draft, activity)
        target = write.target
        session = draft.request.session
        temporary = governed.temporary_of(target, session.temporary)
        self.name = Name("", temporary) if temporary is not None else self.name_of(target)
        if temporary is not None:
            governed.check_temporary(session, self.access.version, temporary)
            self.sql = f"temp.main.{quote(temporary)}"
            with planning.borrowed(draft, activity) as cursor:
                seen = cursor.bind(f"SELECT * FROM {self.sql}")
            self.columns = dict(zip(seen.names, seen.types, strict=True))
            self.decision = governed.open_decision(self.columns)
            return
        self.sql = self.name.sql()
        if fold(self.name.schema) == RESERVED_SCHEMA or not self._may_write(write):
            raise no_privilege("write", self.name, self._principal.role)
        if self.name.fold() in engine.catalog.sources:
            raise errors.NotSupported(
                f"{self.name} is a registered source, and read-only.",
                code="read_only_relation",
                next_step="Write to a managed table.",
            )
        if self.views.text_of(self.name) is not None:
            raise errors.NotSupported(
                f"{self.name} is a view, and read-only.", code="read_only_relation",
                next_step="Write to the tables that it reads.",
            )  # fmt: skip
        _, self.columns = self.described(self.name)
        self.decision = self.decide(self.name, self.columns)

    def _may_write(self, write: writes.Write) -> bool:
        """On the table, or on each column that the write assigns."""
        if self.access.may(self._principal, "write", Object.of(self.name)):
            return True
        change = (write.conflict or {}).get("set_info") or {"columns": ()}
        return bool(write.assigned) and all(
            self.access.may(self._principal, "write", Object.of(self.name, column))
            for column in (*write.assigned, *change["columns"])
        )

    def _find(self, path: gate.Path) -> gate.Path:
        if path != (writes.TARGET,):
            return super()._find(path)
        text = writes.target_view(self.sql, self.decision, self.rows_of(self.sql, self.decision, self.columns))
        return self.made(text, self.columns, self.decision)


# Loads


def load(engine: Engine, plan: Plan, activity: Activity) -> Plan:
    """A load that the session's role may do, ready to run.

    Raises:
        AccessDenied: it may not.
    """
    session, wanted = plan.request.session, plan.detail
    activity.decided = Decided(session.principal, engine.governance.version, verb="LOAD")
    versions = engine.versions(session)
    if not isinstance(wanted, Load) or wanted.columns is None:
        raise gate.denied("files of the server as what is loaded", code="statement_denied")
    if fold(wanted.target.table).startswith(RESERVED):
        raise errors.InvalidRequest(
            f"Names that begin with {RESERVED} are the system's own.", code="reserved_name",
            next_step="Choose another name.",
        )  # fmt: skip
    if wanted.temporary:  # a table of the lake that a temporary one hides is still the lake's
        made = fold(wanted.target.table)
        if made in session.temporary:
            governed.check_temporary(session, engine.access.version, wanted.target.table)
        return evolve(plan, ruling=Ruling(engine.access.version, {}), detail=made, versions=versions)
    activity.decided.text = " ".join(wanted.columns)
    decided: dict[Name, TableDecision] = {}
    ruling = activity.decided.ruling = Ruling(engine.access.version, decided)
    _check(engine, session, wanted, decided)
    return evolve(plan, ruling=ruling, detail=None, versions=versions)


def _check(engine: Engine, session: Session, wanted: Load, decided: dict[Name, TableDecision]) -> None:
    """Refuse a load that the role may not do; what is decided about its target is put down first."""
    principal, target = session.principal, wanted.target
    types = _types(engine, session, target)
    makes = wanted.mode in ("create", "replace") or (wanted.mode == "create_append" and types is None)
    for privilege in (["create"] if makes else []) + (["write"] if not makes or types is not None else []):
        if not engine.access.may(principal, privilege, Object.of(target)):
            raise no_privilege(privilege, target, principal.role)
    if makes or types is None:
        return
    decision = decided[target.fold()] = engine.access.decide(principal, target, types)
    if wanted.mode == "upsert" and not clauses.sees_whole(decision):
        raise gate.denied("upsert into a table that it does not see as it is", code="write_denied")
    seen = {fold(name) for name in writes.writable(decision)}
    for name in wanted.columns or ():
        if fold(name) not in seen:
            raise gate.denied(f"the column {name} in this load", code="column_denied")


def _types(engine: Engine, session: Session, name: Name) -> dict[str, str] | None:
    """The columns of a table; None where it is not there."""
    text = f"SELECT * FROM {name.sql()}"
    try:
        if session.in_transaction():
            with session.at_home() as cursor:
                seen = cursor.bind(text)
        else:
            seen = engine.instance.acquire_and(lambda cursor: cursor.bind(text))
    except errors.NotFound:
        return None
    return dict(zip(seen.names, seen.types, strict=True))
