"""Planning what governed roles make and drop: the statement that runs is composed of names and gated parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.activity import Activity
from neurolake.engine import gating, governed, governed_views, planning
from neurolake.governance import gate
from neurolake.governance.objects import Object
from neurolake.governance.views import RESERVED
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
_CREATE_VIEW = re.compile(
    rf"\s*CREATE\s+(?P<replace>OR\s+REPLACE\s+)?(?P<temporary>TEMP(?:ORARY)?\s+)?VIEW\s+(?P<missing>IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{_FULL})\s*(?P<aliases>\(\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\)\s*)?\bAS\b(?P<query>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_DROP = re.compile(
    rf"\s*DROP\s+(?P<kind>TABLE|VIEW)\s+(?P<exists>IF\s+EXISTS\s+)?(?P<name>{_FULL})\s*\Z", re.IGNORECASE
)
_TYPE = re.compile(r"SELECT CAST\(NULL AS (.*)\)\Z", re.DOTALL)


def define(engine: Engine, draft: Plan, activity: Activity) -> Plan:
    """CREATE TABLE, with a query or with columns, CREATE VIEW, and DROP of either.

    Raises:
        AccessDenied: the role may not, or the statement is another.
    """
    draft = evolve(draft, home=governed.at_home(draft))
    if (match := _DROP.match(draft.text)) is not None:
        return _drop(engine, draft, activity, match)
    patterns = (_CREATE_AS, _CREATE, _CREATE_VIEW)
    match = next((found for pattern in patterns if (found := pattern.match(draft.text)) is not None), None)
    if match is None:
        raise gate.denied(f"this form of {draft.verb}", code="statement_denied")
    draft = evolve(draft, home=draft.home or bool(match["temporary"]))
    name, sql = _made(engine, draft, match)
    if match.re is _CREATE_VIEW:
        return governed_views.define(engine, draft, activity, match, name, sql)
    return _create(engine, draft, activity, match, name, sql)


def _create(engine: Engine, draft: Plan, activity: Activity, match: re.Match[str], name: str, sql: str) -> Plan:
    head = f"CREATE {'OR REPLACE ' * bool(match['replace'])}{'TEMP ' * bool(match['temporary'])}TABLE "
    head += f"{'IF NOT EXISTS ' * bool(match['missing'])}{sql}"
    if "query" not in match.groupdict():
        text, relations = f"{head} ({_columns(engine, match['columns'])})", None
    else:
        relations = governed.Relations(engine, draft, activity)
        select, _, _ = gating.mapped(engine, match["query"], relations, draft.request.session.schema)
        text = f"{head} AS {select}"
    ruling = governed.Ruling(engine.access.version, {}) if relations is None else relations.ruling()
    there = bool(match["missing"]) and name.casefold() in draft.request.session.temporary
    made = name.casefold() if match["temporary"] and not there else None  # what is there stays what it was
    draft = evolve(draft, text=text, relations={} if relations is None else relations.lent, ruling=ruling, detail=made)
    return planning.described(draft, planning.bound(draft, activity))


def _made(engine: Engine, draft: Plan, match: re.Match[str]) -> tuple[str, str]:
    """The name of the table or view to be made, and the SQL of it."""
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
    check_spelling(engine, name)
    if name.fold() in engine.catalog.sources:
        raise errors.AlreadyExists(f"A source named {name} exists already.", next_step="Choose another name.")
    return name.table, name.sql()


def check_spelling(engine: Engine, name: Name) -> None:
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
        draft, text=f"DROP {match['kind'].upper()} {'IF EXISTS ' * bool(match['exists'])}{sql}",
        home=draft.home or temporary is not None, ruling=governed.Ruling(engine.access.version, {}),
    )  # fmt: skip
    return planning.described(draft, planning.bound(draft, activity))


def no_privilege(privilege: str, name: str, role: str) -> errors.AccessDenied:
    """The answer to a write that the role may not do, whether there is such a table or not."""
    return errors.AccessDenied(
        f"The role {role or '(none)'} does not have the privilege {privilege} on {name}.",
        code="privilege_missing",
        next_step=f"Ask an administrator: CALL neurolake.grant('{privilege}', …).",
    )
