"""Planning the writes of governed roles: privileges, the target, what is read, and the statement that runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import gating, governed, planning
from neurolake.governance import gate, merges, writes
from neurolake.governance.access import TableDecision
from neurolake.governance.masks import keys_of
from neurolake.governance.objects import Object
from neurolake.governance.views import RESERVED
from neurolake.loading import Load
from neurolake.outbox import SCHEMA as OUTBOX_SCHEMA
from neurolake.query import Plan, evolve
from neurolake.sql.text import RESERVED_SCHEMA, Name, quote, split_identifier

if TYPE_CHECKING:
    from neurolake.engine import Engine
    from neurolake.session import Session

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_FULL = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_CREATE_AS = re.compile(
    rf"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?(?P<temporary>TEMP(?:ORARY)?\s+)?TABLE\s+(?P<missing>IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{_FULL})\s+AS\s+(?P<query>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_CREATE = re.compile(
    rf"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?(?P<temporary>TEMP(?:ORARY)?\s+)?TABLE\s+(?P<missing>IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{_FULL})\s*\((?P<columns>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_COLUMN = re.compile(
    rf"\s*(?P<name>{_NAME})\s+(?P<type>.*?)(?P<rest>(?:\s+(?:NOT\s+NULL|NULL|PRIMARY\s+KEY|UNIQUE))*)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_DROP = re.compile(rf"\s*DROP\s+TABLE\s+(?P<exists>IF\s+EXISTS\s+)?(?P<name>{_FULL})\s*\Z", re.IGNORECASE)
_TYPE = re.compile(r"SELECT CAST\(NULL AS (.*)\)\Z", re.DOTALL)


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
    select, _, _ = gating.mapped_tree(engine, found.select, relations, draft.request.session.schema)
    alone = evolve(draft, text=select, relations=relations.lent)
    if found.verb != "INSERT":
        planning.bound(alone, activity)  # by itself: no name in it may be found in the target as it is
    elif found.by_name:
        _check_names(alone, activity, relations.decision)
    if found.returning:
        engine.views.keys.need(keys_of((column.action, column.options) for column in relations.decision.columns))
    text = writes.composed(found, relations.sql, select, relations.decision, relations.columns)
    draft = evolve(draft, text=text, relations=relations.lent, ruling=_ruling(relations))
    return planning.described(draft, planning.bound(draft, activity))


def _merge(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    found = merges.taken_apart(draft.text, engine.serialise)
    draft = evolve(draft, home=governed.at_home(draft))
    relations = _Target(engine, draft, activity, writes.Write("MERGE", found.target, None))
    select, _, _ = gating.mapped_tree(engine, found.select, relations, draft.request.session.schema)
    planning.bound(evolve(draft, text=select, relations=relations.lent), activity)
    text = merges.composed(found, relations.sql, select, relations.decision)
    draft = evolve(draft, text=text, relations=relations.lent, ruling=_ruling(relations))
    return planning.described(draft, planning.bound(draft, activity))


def _ruling(relations: governed.Relations) -> governed.Ruling:
    return governed.Ruling(relations.access.version, relations.decisions)


def _check_names(draft: Plan, activity: Activity, decision: TableDecision) -> None:
    """BY NAME writes the columns that the query names: only those that the role sees."""
    seen = {name.casefold() for name in writes.writable(decision)}
    for name in planning.bound(draft, activity).names:
        if name.casefold() not in seen:
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
        if self.name.fold() in engine.catalog.sources:
            raise errors.NotSupported(
                f"{self.name} is a registered source, and read-only.",
                code="read_only_relation",
                next_step="Write to a managed table.",
            )
        if self.name.schema.casefold() == RESERVED_SCHEMA or not self._may_write(write):
            raise no_privilege("write", str(self.name), self._principal.role)
        _, self.columns = self.described(self.name)
        self.decision = self.decide(self.name, self.columns)

    def _may_write(self, write: writes.Write) -> bool:
        """On the table, or on each column that the write assigns."""
        if self.access.may(self._principal, "write", Object.of(self.name)):
            return True
        return bool(write.assigned) and all(
            self.access.may(self._principal, "write", Object.of(self.name, column)) for column in write.assigned
        )

    def _find(self, path: gate.Path) -> gate.Path:
        if path != (writes.TARGET,):
            return super()._find(path)
        text = writes.target_view(self.sql, self.decision, self.rows_of(self.sql, self.decision, self.columns))
        return self.made(text, self.columns, self.decision)


def no_privilege(privilege: str, name: str, role: str) -> errors.AccessDenied:
    """The answer to a write that the role may not do, whether there is such a table or not."""
    return errors.AccessDenied(
        f"The role {role or '(none)'} does not have the privilege {privilege} on {name}.",
        code="privilege_missing",
        next_step=f"Ask an administrator: CALL neurolake.grant('{privilege}', …).",
    )


# DDL


def define(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """CREATE TABLE, with a query or with columns, and DROP TABLE.

    Raises:
        AccessDenied: the role may not, or the statement is another.
    """
    draft = evolve(draft, home=governed.at_home(draft))
    if (match := _DROP.match(draft.text)) is not None:
        return _drop(engine, draft, activity, match)
    match = _CREATE_AS.match(draft.text) or _CREATE.match(draft.text)
    if match is None:
        raise gate.denied(f"this form of {draft.verb}", code="statement_denied")
    draft = evolve(draft, home=draft.home or bool(match["temporary"]))
    name, sql = _made(engine, draft, match)
    head = f"CREATE {'OR REPLACE ' * bool(match['replace'])}{'TEMP ' * bool(match['temporary'])}TABLE "
    head += f"{'IF NOT EXISTS ' * bool(match['missing'])}{sql}"
    if "query" not in match.groupdict():
        text, relations = f"{head} ({_columns(engine, match['columns'])})", None
    else:
        relations = governed.Relations(engine, draft, activity)
        select, _, _ = gating.mapped(engine, match["query"], relations, draft.request.session.schema)
        text = f"{head} AS {select}"
    ruling = governed.Ruling(engine.access.version, {}) if relations is None else _ruling(relations)
    there = bool(match["missing"]) and name.casefold() in draft.request.session.temporary
    made = name.casefold() if match["temporary"] and not there else None  # what is there stays what it was
    draft = evolve(draft, text=text, relations={} if relations is None else relations.lent, ruling=ruling, detail=made)
    return planning.described(draft, planning.bound(draft, activity))


def _made(engine: Engine, draft: Plan, match: re.Match[str]) -> tuple[str, str]:
    """The name of the table to be made, and the SQL of it."""
    session, principal = draft.request.session, draft.request.principal
    parts = split_identifier(match["name"])
    if parts[-1].casefold().startswith(RESERVED):
        raise errors.InvalidRequest(
            f"Names that begin with {RESERVED} are the system's own.", code="reserved_name",
            next_step="Choose another name.",
        )  # fmt: skip
    if match["temporary"]:
        if [part.casefold() for part in parts[:-1]] not in ([], ["temp"], ["temp", "main"]):
            raise gate.denied("a temporary table in a schema", code="statement_denied")
        return parts[-1], f"temp.main.{quote(parts[-1])}"
    name = _lake_name(parts, session)
    if not engine.access.may(principal, "create", Object.of(name)):
        raise no_privilege("create", str(name), principal.role)
    _check_spelling(engine, name)
    if name.fold() in engine.catalog.sources:
        raise errors.AlreadyExists(f"A source named {name} exists already.", next_step="Choose another name.")
    return name.table, name.sql()


def _check_spelling(engine: Engine, name: Name) -> None:
    """Refuse a second table whose name compares as equal to one that is there, since what is granted on it would meet
    the other too: the engine takes only ASCII letters of either case for the same.

    Raises:
        AlreadyExists: there is one.
    """
    sql = (
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' "
        "UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = 'lake' AND NOT internal"
    )
    for (other,) in engine.instance.acquire_and(lambda cursor: cursor.rows(sql)):
        if other.casefold() == name.table.casefold() and _ascii_folded(other) != _ascii_folded(name.table):
            raise errors.AlreadyExists(f"A table of a name that counts as {name} exists already.",
                                       next_step="Choose another name.")  # fmt: skip


def _ascii_folded(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _lake_name(parts: list[str], session: Session) -> Name:
    if len(parts) == 3 and parts[0].casefold() == "lake":
        parts = parts[1:]
    if len(parts) > 2:
        raise gate.denied("a table outside the lake", code="statement_denied")
    name = Name(parts[0] if len(parts) == 2 else session.schema, parts[-1])
    if name.schema.casefold() in (RESERVED_SCHEMA, OUTBOX_SCHEMA, "temp", "information_schema", "pg_catalog"):
        raise errors.InvalidRequest(
            f"No table can be made in the schema {name.schema}.", code="reserved_name", next_step="Choose another."
        )
    return name


def _columns(engine: Engine, text: str) -> str:
    """The columns of a CREATE TABLE: names, the engine's own types, and plain constraints."""
    made = []
    for part in re.split(r",(?![^()]*\))", text):
        match = _COLUMN.match(part)
        if match is None:
            raise gate.denied("this form of a column", code="statement_denied")
        tree = engine.serialise(f"SELECT CAST(NULL AS {match['type']}\n)")
        printed, _, _ = gating.mapped_tree(engine, tree, _nothing, "main")
        kind = _TYPE.match(printed)
        items = tree["statements"][0]["node"]["select_list"]
        if kind is None or len(items) != 1 or items[0]["class"] != "CAST" or items[0]["alias"]:
            raise gate.denied("this form of a column", code="statement_denied")
        (name,) = split_identifier(match["name"])
        rest = " ".join(match["rest"].upper().split())
        made.append(f"{quote(name)} {kind[1]} {rest}".rstrip())
    return ", ".join(made)


def _nothing(path: gate.Path) -> gate.Path:
    raise gate.denied("a table in the type of a column", code="statement_denied")


def _drop(engine: Engine, draft: Plan, activity: Activity, match: re.Match[str]) -> Plan:
    session, principal = draft.request.session, draft.request.principal
    parts = split_identifier(match["name"])
    temporary = governed.temporary_of(tuple(parts), session.temporary)
    if temporary is not None:
        sql = f"temp.main.{quote(temporary)}"
    else:
        name = _lake_name(parts, session)
        if not engine.access.may(principal, "create", Object.of(name)):
            raise no_privilege("create", str(name), principal.role)
        sql = name.sql()
    draft = evolve(
        draft, text=f"DROP TABLE {'IF EXISTS ' * bool(match['exists'])}{sql}",
        home=draft.home or temporary is not None, ruling=governed.Ruling(engine.access.version, {}),
    )  # fmt: skip
    return planning.described(draft, planning.bound(draft, activity))


# Loads


def load(engine: Engine, plan: Plan) -> Plan:
    """A load that the session's role may do, ready to run.

    Raises:
        AccessDenied: it may not.
    """
    session, wanted = plan.request.session, plan.detail
    if not isinstance(wanted, Load) or wanted.columns is None:
        raise gate.denied("files of the server as what is loaded", code="statement_denied")
    if wanted.target.table.casefold().startswith(RESERVED):
        raise errors.InvalidRequest(
            f"Names that begin with {RESERVED} are the system's own.", code="reserved_name",
            next_step="Choose another name.",
        )  # fmt: skip
    if wanted.temporary:  # a table of the lake that a temporary one hides is still the lake's
        made = wanted.target.table.casefold()
        if made in session.temporary:
            governed.check_temporary(session, engine.access.version, wanted.target.table)
        return evolve(plan, ruling=governed.Ruling(engine.access.version, {}), detail=made)
    decision = _checked(engine, session, wanted)
    decided = {} if decision is None else {wanted.target.fold(): decision}
    return evolve(plan, ruling=governed.Ruling(engine.access.version, decided), detail=None)


def _checked(engine: Engine, session: Session, wanted: Load) -> TableDecision | None:
    principal, target = session.principal, wanted.target
    types = _types(engine, session, target)
    makes = wanted.mode in ("create", "replace") or (wanted.mode == "create_append" and types is None)
    for privilege in (["create"] if makes else []) + (["write"] if not makes or types is not None else []):
        if not engine.access.may(principal, privilege, Object.of(target)):
            raise no_privilege(privilege, str(target), principal.role)
    if makes or types is None:
        _check_spelling(engine, target)
        return None
    decision = engine.access.decide(principal, target, types)
    if wanted.mode == "upsert" and not writes.sees_whole(decision):
        raise gate.denied("upsert into a table that it does not see as it is", code="write_denied")
    seen = {name.casefold() for name in writes.writable(decision)}
    for name in wanted.columns or ():
        if name.casefold() not in seen:
            raise gate.denied(f"the column {name} in this load", code="column_denied")
    return decision


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
