"""ALTER TABLE of governed roles: one change a statement, composed of quoted names, gated types and constants.

Findings, policies and grants go by the names of columns, and row filters ask for columns by their names. So a role
changes a table only where it knows of every column and no row filter stands on it, and of its columns those that it
sees as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import governed, governed_ddl, planning
from neurolake.governance import gate
from neurolake.governance.access import NOT_GRANTED, WRITE_ONLY, TableDecision
from neurolake.governance.actions import ABSENT
from neurolake.governance.objects import Object
from neurolake.governance.views import RESERVED
from neurolake.identifiers import fold
from neurolake.query import Plan, evolve
from neurolake.sql.text import Name, quote, split_identifier

if TYPE_CHECKING:
    from neurolake.engine import Engine

_NAME = governed_ddl.NAME
_ALTER = re.compile(
    rf"\s*ALTER\s+(?P<what>TABLE|VIEW)\s+(?P<exists>IF\s+EXISTS\s+)?(?P<name>{governed_ddl.FULL})\s+(?P<change>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_CHANGES = {
    kind: re.compile(rf"{pattern}\s*\Z", re.IGNORECASE | re.DOTALL)
    for kind, pattern in {
        "rename": rf"RENAME\s+TO\s+(?P<new>{_NAME})",
        "rename_column": rf"RENAME\s+(?:COLUMN\s+)?(?P<column>{_NAME})\s+TO\s+(?P<new>{_NAME})",
        "add": rf"ADD\s+(?:COLUMN\s+)?(?P<missing>IF\s+NOT\s+EXISTS\s+)?(?P<new>{_NAME})\s+(?P<type>.*?)"
        r"(?:\s+DEFAULT\s+(?P<value>.*))?",
        "drop": rf"DROP\s+(?:COLUMN\s+)?(?P<there>IF\s+EXISTS\s+)?(?P<column>{_NAME})",
        "set_default": rf"ALTER\s+(?:COLUMN\s+)?(?P<column>{_NAME})\s+SET\s+DEFAULT\s+(?P<value>.*)",
        "drop_default": rf"ALTER\s+(?:COLUMN\s+)?(?P<column>{_NAME})\s+DROP\s+DEFAULT",
        "not_null": rf"ALTER\s+(?:COLUMN\s+)?(?P<column>{_NAME})\s+(?P<verb>SET|DROP)\s+NOT\s+NULL",
        "type": rf"ALTER\s+(?:COLUMN\s+)?(?P<column>{_NAME})\s+(?:SET\s+DATA\s+)?TYPE\s+(?P<type>.*)",
    }.items()
}


def define(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """ALTER TABLE, and a new name for a view.

    Raises:
        AccessDenied: the role may not, or the statement is another.
    """
    match = _ALTER.match(draft.text)
    if match is None:
        raise gate.denied("this form of ALTER", code="statement_denied")
    session = draft.request.session
    parts = split_identifier(match["name"])
    relations = governed.Relations(engine, draft, activity)
    kind, change = _change(match["change"])
    what = match["what"].upper()
    if what == "VIEW" and kind != "rename":
        raise gate.denied("this form of ALTER VIEW", code="statement_denied")
    temporary = relations.temporary(tuple(parts))
    if temporary is not None:
        governed.check_temporary(session, relations.access.version, temporary)
        if kind == "rename":
            raise gate.denied("a new name for a temporary table", code="statement_denied")
        sql = f"temp.main.{quote(temporary)}"
        with planning.borrowed(draft, activity) as cursor:
            decision = governed.open_decision(cursor.bind(f"SELECT * FROM {sql}").names)
    else:
        name = governed_ddl.lake_name(parts, session)
        sql, decision = _of_the_lake(engine, draft, relations, name)
        if kind == "rename":
            governed_ddl.may_make(engine, draft, Name(name.schema, _part(change["new"])))
    text = f"ALTER {what} {'IF EXISTS ' * bool(match['exists'])}{sql} {_composed(engine, kind, change, decision)}"
    draft = evolve(draft, text=text, ruling=relations.ruling())
    return planning.described(draft, planning.bound(draft, activity))


def _change(text: str) -> tuple[str, re.Match[str]]:
    for kind, pattern in _CHANGES.items():
        if (match := pattern.match(text)) is not None:
            return kind, match
    raise gate.denied("this form of ALTER TABLE", code="statement_denied")


def _of_the_lake(engine: Engine, draft: Plan, relations: governed.Relations, name: Name) -> tuple[str, TableDecision]:
    """The table's name in SQL and what the role sees of it.

    Raises:
        AccessDenied: the role may not make and drop it, or does not know all that goes by names there.
    """
    principal = draft.request.principal
    if name.fold() in engine.catalog.sources or not engine.access.may(principal, "create", Object.of(name)):
        raise governed_ddl.no_privilege("create", name, principal.role)
    sql, columns = relations.described(name)
    decision = relations.decide(name, columns)
    hidden = any(
        c.action == ABSENT and (c.policy is not None or c.reason in (NOT_GRANTED, WRITE_ONLY)) for c in decision.columns
    )
    if hidden or not decision.privileges or relations.access.facts(name).filters:
        raise gate.denied(
            "ALTER on a table that has a row filter, or of which it does not know every column", code="write_denied"
        )
    return sql, decision


def _composed(engine: Engine, kind: str, change: re.Match[str], decision: TableDecision) -> str:
    """What follows the table's name."""
    parts = change.groupdict()
    column = quote(_seen(_part(parts["column"]), decision)) if parts.get("column") else ""
    new = quote(_new(parts["new"])) if parts.get("new") else ""
    kind_of_value = governed_ddl.column_type(engine, parts["type"]) if parts.get("type") else ""
    default = f"DEFAULT {governed_ddl.constant(engine, parts['value'])}" if parts.get("value") else ""
    if kind == "add":
        missing = "IF NOT EXISTS " * bool(parts["missing"])
        return f"ADD COLUMN {missing}{new} {kind_of_value} {default}".rstrip()
    return {
        "rename": f"RENAME TO {new}",
        "rename_column": f"RENAME COLUMN {column} TO {new}",
        "drop": f"DROP COLUMN {column}",
        "set_default": f"ALTER COLUMN {column} SET {default}",
        "drop_default": f"ALTER COLUMN {column} DROP DEFAULT",
        "not_null": f"ALTER COLUMN {column} {(parts.get('verb') or '').upper()} NOT NULL",
        "type": f"ALTER COLUMN {column} SET DATA TYPE {kind_of_value}",
    }[kind]


def _seen(name: str, decision: TableDecision) -> str:
    """A column that the role sees as it is, as it is spelled in the table; or one that nobody has looked at yet."""
    for column in decision.columns:
        if fold(column.column) == fold(name) and column.action in ("allow", ABSENT):
            return column.column
    raise gate.denied(f"the column {name} in this ALTER", code="column_denied")


def _part(text: str) -> str:
    (part,) = split_identifier(text)
    return part


def _new(text: str) -> str:
    name = _part(text)
    if fold(name).startswith(RESERVED):
        raise errors.InvalidRequest(
            f"Names that begin with {RESERVED} are the system's own.", code="reserved_name",
            next_step="Choose another name.",
        )  # fmt: skip
    return name
